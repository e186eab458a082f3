# SPDX-License-Identifier: Apache-2.0
# A broker that takes SCRAM and PLAIN over TLS only, and a Redis with an ACL: counted as ever. A wrong password, an unknown user and a
# certificate that nobody signed are told in words, and neither secret stands in any log, print, argument or environment.
. "$(dirname "$0")/../lib/scenario.sh"
KAFKA_SECRET=bezel-Kumquat-417 REDIS_SECRET=tundra-Oboe-902
cd "$DIR" || exit 1

certificates() {
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=broker -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out ca.pem 2>openssl.log &&
		cat key.pem ca.pem >broker.pem &&
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=stranger -keyout stranger-key.pem -out stranger.pem 2>>openssl.log
}
certificates || fail "certificates: $(cat openssl.log)"
SECURE=$(free_ports 1)
eval "plain_$(declare -f kafka_properties)"
kafka_properties() { # beside the open listener one that asks who is there
	plain_kafka_properties "$@" | sed -E \
		-e "s|^(listeners=.*)|\1,SECURE://127.0.0.1:$SECURE|; s|^(advertised.listeners=.*)|\1,SECURE://127.0.0.1:$SECURE|" \
		-e 's|^(listener.security.protocol.map=.*)|\1,SECURE:SASL_SSL|'
	cat <<-P
	inter.broker.listener.name=PLAINTEXT
	listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
	listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
	listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_meterd="$KAFKA_SECRET";
	listener.name.secure.ssl.keystore.type=PEM
	listener.name.secure.ssl.keystore.location=$DIR/broker.pem
	P
}
own_kafka
kafka_tool kafka.admin.ConfigCommand --bootstrap-server "$(bootstrap)" --alter --entity-type users --entity-name meterd \
	--add-config "SCRAM-SHA-512=[password=$KAFKA_SECRET]" >config.out 2>&1 || fail "user: $(cat config.out)"
start_redis
redis_do "$DIR" acl setuser meterd on ">$REDIS_SECRET" '~meterd:*' '&*' +@all >/dev/null
topics --stamps any

(umask 077 && printf '%s\n' "$KAFKA_SECRET" >kafka.secret && printf '%s\n' "$REDIS_SECRET" >redis.secret &&
	printf 'wrong-%s\n' "$KAFKA_SECRET" >wrong-kafka.secret && printf 'wrong-%s\n' "$REDIS_SECRET" >wrong-redis.secret)
access() { # NAME [key=value]…
	config "$1" "kafka.bootstrap=127.0.0.1:$SECURE" kafka.security=sasl_ssl kafka.user=meterd "kafka.password_file=$DIR/kafka.secret" \
		"kafka.tls_ca_file=$DIR/ca.pem" redis.user=meterd "redis.password_file=$DIR/redis.secret" log.level=debug "${@:2}"
}
PORT=$(free_ports 1)
access m "http.listen=127.0.0.1:$PORT"
ctl init >init.out 2>&1 || fail "init: $(cat init.out)"
start m
event id=1 account=a service=image-tag time=1579046400000 | jq -c '{partition: 0, timestamp: 1579046400000, key: "a", value: .}' | produce
wait_for 60 '[[ $(ledger counted) == 1 ]]' 'a call to be counted with PLAIN over TLS'
tr '\0' '\n' <"/proc/${PIDS[m]}/cmdline" >cmdline.out
tr '\0' '\n' <"/proc/${PIDS[m]}/environ" >environ.out
for page in / /metrics /api/v1/status /-/ready /api/v1/catalog; do curl -fsS "http://127.0.0.1:$PORT$page" || fail "$page"; done >http.out 2>http-errors.out
ctl status >status.out 2>&1 || fail "status: $(cat status.out)"
ctl audit >audit.out 2>&1 || fail "audit: $(cat audit.out)"
"$METERD" --config m.yaml --print-config >print.out 2>&1 || fail "print: $(cat print.out)"
"$METERD" --config m.yaml --check-config >check.out 2>&1 || fail "check: $(cat check.out)"
expect_match "what is printed" "$(cat print.out)" 'password_file: .*kafka.secret'
stop m

# The SCRAM of an older librdkafka repeats the nonce wrongly, which Kafka 4 refuses.
access scram kafka.sasl_mechanism=SCRAM-SHA-512
if dpkg --compare-versions "$(pkg-config --modversion rdkafka)" ge 2.6.1; then
	start scram
	event id=2 account=a service=image-tag time=1579046400000 | jq -c '{partition: 0, timestamp: 1579046400001, key: "a", value: .}' | produce
	wait_for 60 '[[ $(ledger counted) == 2 ]]' 'a call to be counted with SCRAM'
	stop scram
else
	ends_with scram 78 'Kafka refuses this client: .*SCRAM-SHA-512.*; check kafka.user, kafka.password_file and kafka.sasl_mechanism'
fi

access wrong-kafka "kafka.password_file=$DIR/wrong-kafka.secret"
ends_with wrong-kafka 78 'Kafka refuses this client: .*[Aa]uthentication failed.*; check kafka.user, kafka.password_file and kafka.sasl_mechanism'
access unknown kafka.user=nobody
ends_with unknown 78 'Kafka refuses this client'
access wrong-redis "redis.password_file=$DIR/wrong-redis.secret"
ends_with wrong-redis 78 'redis: .*WRONGPASS.*check redis.user'
access stranger "kafka.tls_ca_file=$DIR/stranger.pem"
start stranger
wait_for 60 'grep -q "certificate verify failed" stranger.log' 'a word about the certificate'
kill9 stranger

found=$(grep -lrE "$KAFKA_SECRET|$REDIS_SECRET" --include='*.log' --include='*.out' --include='*.yaml' . | grep -v -e '^./kafka-' -e config.out) &&
	fail "a secret stands in: $found"
for f in m.log wrong-kafka.log wrong-redis.log print.out cmdline.out environ.out http.out status.out; do [[ -s $f ]] || fail "$f is empty: nothing was searched"; done
