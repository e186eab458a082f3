# SPDX-License-Identifier: Apache-2.0
# Redis over TLS: counted as ever, also after Redis was away. Both certificates are checked, the server's by its address too; what is wrong is
# named while it waits, a file that cannot be used ends it. A build without hiredis-ssl (Debian 12) refuses the address at its start.
. "$(dirname "$0")/../lib/scenario.sh"
cd "$DIR" || exit 1
if ! pkg-config --exists hiredis_ssl; then
	start_redis
	config m redis.url=rediss://127.0.0.1:6379/0
	why='m.yaml:[0-9]+:[0-9]+: error: redis.url: TLS to Redis is not in this build: .*use a Unix socket .* or redis:// to a local stunnel'
	expect_code 78 "$METERD" --config m.yaml --check-config 2>check.err
	expect_match "the check" "$(cat check.err)" "$why"
	start m
	reaped m
	expect_equal "exit code" "$CODE" 78
	expect_match "the start" "$(cat m.log)" "$why"
	exit 0
fi

authority() { openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" -keyout "$1.key" -out "$1.pem" 2>>openssl.log; }
signed() { # NAME, what it is for
	openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -addext "subjectAltName=$2" -keyout "$1.key" -out "$1.csr" 2>>openssl.log &&
		openssl x509 -req -in "$1.csr" -CA ours.pem -CAkey ours.key -copy_extensions copy -days 2 -out "$1.pem" 2>>openssl.log
}
{ authority ours && authority stranger && signed server IP:127.0.0.1 && signed elsewhere DNS:redis.example && signed client DNS:meterd; } ||
	fail "certificates: $(cat openssl.log)"
read -r port elsewhere <<<"$(free_ports 2)"
start_redis tls-port "$port" tls-cert-file "$DIR/server.pem" tls-key-file "$DIR/server.key" tls-ca-cert-file "$DIR/ours.pem" tls-auth-clients yes
topics --stamps any
over_tls() { # NAME [key=value]…
	config "$1" "redis.url=rediss://127.0.0.1:$port/0" "redis.tls_ca_file=$DIR/ours.pem" "redis.tls_cert_file=$DIR/client.pem" \
		"redis.tls_key_file=$DIR/client.key" "${@:2}"
}
over_tls m
expect_code 0 ctl init
start m
call() { event id="$1" account=a service=image-tag time=1579046400000 calls="$2" | jq -c '{partition: 0, timestamp: 1579046400000, key: "a", value: .}' | produce; }
call 1 8000
wait_for 60 '[[ $(ledger counted) == 1 ]]' 'a call to be counted over TLS'
ctl_q counters >counters || fail "counters: $(cat meterctl.log)"
grep -q '"calls":8000,' counters || fail "counted over TLS: $(cat counters)"
kill9_redis
restart_redis
call 2 2000
wait_for 60 '[[ $(ledger counted) == 2 ]]' 'a call to be counted after Redis was away'
stop m

says() { # NAME WORDS [key=value]…: it waits, and says so
	over_tls "$1" "${@:3}"
	start "$1"
	wait_for 60 "grep -qE '$2' $1.log" "$1 to say what is wrong: $(cat "$1.log")"
	kill9 "$1"
}
says unsigned 'is away: TLS: (self.signed certificate|unable to get local issuer certificate)' "redis.tls_ca_file=$DIR/stranger.pem"
says unknown 'redis: TLS: ' 'redis.tls_cert_file=""' 'redis.tls_key_file=""'
# The name in the certificate is not where it was asked: hiredis alone would take it.
redis-server --port 0 --tls-port "$elsewhere" --tls-cert-file elsewhere.pem --tls-key-file elsewhere.key --tls-ca-cert-file ours.pem --save '' >elsewhere.log 2>&1 &
PIDS[elsewhere]=$!
says misnamed 'is away: TLS: IP address mismatch' "redis.url=rediss://127.0.0.1:$elsewhere/0"
says misnamed-host 'is away: TLS: hostname mismatch' "redis.url=rediss://localhost:$elsewhere/0"
over_tls unfit "redis.tls_key_file=$DIR/stranger.key"
start unfit
reaped unfit
expect_equal "exit code with a key that does not fit" "$CODE" 78
expect_match "the reason" "$(cat unfit.log)" 'redis.tls_key_file .*/stranger.key: cannot be used \(key values mismatch\)'
