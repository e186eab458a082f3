# SPDX-License-Identifier: Apache-2.0
# The HTTP interface on real servers: alerts as they come, each once, over restarts of the daemon; settlements in pages, statements and
# quotes the same as meterctl's; garbage, halves, slow readers and too many connections while it goes on counting.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
port=$(free_ports 1)
base=http://127.0.0.1:$port
config m http.listen="127.0.0.1:$port"
expect_code 0 ctl init
get() { curl -sS --max-time 20 "$base$1" 2>>"$DIR/curl.log"; }
code() { curl -sS --max-time 20 -o "$DIR/body" -w '%{http_code} %{content_type}' "$base$1" 2>>"$DIR/curl.log"; }

# A client as the page is one: goes on from the last id that it has, whatever ends its stream. One id and one line of data an event.
follow_alerts() {
	exec "$PYTHON" - "$port" "$DIR/followed" <<-'PY'
	import http.client, sys, time
	port, out, last = int(sys.argv[1]), open(sys.argv[2], "w"), None
	while True:
	    try:
	        c = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
	        c.request("GET", "/api/v1/alerts" + ("" if last else "?after=0.0.0.0"), headers={"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})})
	        answer, place = c.getresponse(), None
	        if answer.status != 200:
	            raise OSError(answer.status)
	        for line in answer:
	            if not line.endswith(b"\n"):
	                break  # cut off in the middle: it comes again
	            if line.startswith(b"id: "):
	                place = line[4:].decode().strip()
	            elif line.startswith(b"data: "):
	                data = line[6:].decode()
	            elif line == b"\n" and place:
	                out.write(data)
	                out.flush()
	                last, place = place, None
	    except (OSError, http.client.HTTPException):
	        time.sleep(0.1)
	PY
}
follow_alerts 2>"$DIR/follow.log" &
PIDS[follow]=$!
ctl gen --events 30000 --accounts 30 --seed 8 --from 2020-01 --to 2020-03 >/dev/null || fail gen
start m
for i in 1 2 3; do
	lines=$(wc -l <"$DIR/followed")
	wait_for 60 "(( \$(wc -l <'$DIR/followed') > $lines )) || settled 2020-02" "alerts to come"
	kill9 m
	start m
done
wait_for 120 'settled 2020-02' 'the end of February'
wait_for 30 outbox_empty
ctl_q alerts --format ndjson | jq -cS . | sort >"$DIR/all"
[[ -s $DIR/all ]] || fail "no alerts"
wait_for 30 'cmp -s <(jq -cS . "$DIR/followed" | sort) "$DIR/all"' "each alert once in the stream, over three kills"
wait_for 20 '[[ $(code /api/v1/alerts) == "200 application/json" ]]' 'the newest alerts'
expect_equal "the newest are of those" "$(get /api/v1/alerts | jq -cS '.alerts[]' | sort | comm -23 - "$DIR/all")" ''

# -- the same as meterctl
account=$(ctl_q settlements --format ndjson --period 2020-02 | jq -r 'select(.type == "meterd.statement.v1") | .data.account' | head -n 1)
expect_equal "a statement" "$(get "/api/v1/statements/$account/2020-02" | jq -cS .)" "$(ctl_q statement "$account" 2020-02 --format json | jq -cS .)"
expect_equal "a quote" "$(get '/api/v1/quote?service=image-tag&calls=1010000&period=2020-01' | jq -c 'del(.service, .period)')" \
	"$(ctl_q quote --catalog "$ROOT/config/catalog.yaml" --service image-tag --calls 1010000 --period 2020-01 --format json)"
expect_equal "by an alias" "$(get '/api/v1/quote?service=DetectLabel&calls=1010000&period=2020-01' | jq -r .charge)" 2200.00
expect_equal "services of the price book" "$(get '/api/v1/catalog?period=2020-02' | jq -c '[.services[] | select(.id == "image-tag").plan.tiers[] | [.from, .unit_price]]')" \
	'[[0,"2.5"],[1000000,"2.2"],[3000000,"2"],[15000000,"1.5"]]'
expect_equal "of an unknown service" "$(code '/api/v1/quote?service=nothing&calls=1')" '404 application/problem+json'
expect_equal "a month that is not settled" "$(code "/api/v1/statements/$account/2021-01")" '404 application/problem+json'
expect_match "which is said" "$(jq -r .detail "$DIR/body")" 'not settled yet'
pages() { # parameters: all pages, one envelope a line
	local cursor='' page
	while page=$(get "/api/v1/settlements?${cursor:+cursor=$cursor&}$1") && jq -c '.settlements[]' <<<"$page"; do
		((++n_pages))
		cursor=$(jq -r '.next // empty' <<<"$page")
		[[ -n $cursor ]] || return 0
	done
}
n_pages=0
pages 'period=2020-01' >"$DIR/paged"
((n_pages > 1)) || fail "only one page of $(wc -l <"$DIR/paged")"
expect_equal "all settlements of a month, in pages" "$(jq -cS . "$DIR/paged" | sort | sha256sum)" "$(ctl_q settlements --period 2020-01 --format ndjson | jq -cS . | sort | sha256sum)"
expect_equal "those of an account and month" "$(pages "account=$account&period=2020-02" | jq -cS . | sort | sha256sum)" \
	"$(ctl_q settlements --account "$account" --period 2020-02 --format ndjson | jq -cS . | sort | sha256sum)"
expect_equal "a cursor of another topic" "$(code '/api/v1/settlements?cursor=999999999')" '410 application/problem+json'

# -- who asks badly keeps nobody else from being answered
"$PYTHON" - "$port" "$DIR" <<-'PY' || fail "bad clients"
	import os, random, socket, sys, urllib.request
	port, rng = int(sys.argv[1]), random.Random(4)
	def dial():
	    s = socket.create_connection(("127.0.0.1", port), 20)
	    s.settimeout(30)
	    return s
	def healthy():
	    with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/healthy", timeout=20) as r:
	        assert r.status == 200
	def rss():
	    with open(f"/proc/{pid}/statm") as f:
	        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
	pid = int(open(f"{sys.argv[2]}/m.pid").read().split()[0])
	for i in range(200):  # garbage
	    s = dial()
	    s.sendall(bytes(rng.randrange(256) for _ in range(rng.randrange(1, 400))) + b"\r\n\r\n")
	    s.close()
	healthy()
	halves = [dial() for _ in range(40)]
	for s in halves:
	    s.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost:")
	healthy()
	slow = []  # never read what they ask for, again and again, in pipelines
	for _ in range(20):
	    s = dial()
	    s.settimeout(0)
	    try:
	        for _ in range(2000):
	            s.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
	    except OSError:  # full, or the daemon has ended it
	        pass
	    slow.append(s)
	healthy()
	before = rss()
	assert before < 400 << 20, f"{before} bytes resident"
	for s in halves:  # ended after 10 s of silence
	    try:
	        while s.recv(4096):
	            pass
	    except ConnectionError:
	        pass
	def open_there():
	    return len(os.listdir(f"/proc/{pid}/fd"))
	for s in slow:
	    s.close()
	healthy()
	quiet = open_there()
	many = []  # 192 at a time are served, those beyond are not; none of them harms
	for _ in range(400):
	    many.append(dial())
	most = open_there() - quiet
	assert 64 <= most <= 192, f"{most} of 400 connections are open there"
	for s in many:
	    s.close()
	healthy()
	streams = []  # 128 of them, the follower among them
	for _ in range(140):
	    s = dial()
	    s.sendall(b"GET /api/v1/alerts HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
	    streams.append((s, s.recv(12)))
	codes = [int(head[9:12]) for _, head in streams]
	assert codes.count(200) in (127, 128) and set(codes) == {200, 503}, codes
	healthy()
	for s, _ in streams:
	    s.close()
	healthy()
PY
call() { event id="$1" account=late service=image-tag time=1583200000000 | jq -c '{partition: 0, timestamp: 1583200000000, key: "late", value: .}' | produce; }
call x1
wait_for 30 '[[ $(get "/api/v1/usage?account=late" | jq -c ".[0].calls") == 1 ]]' 'counting goes on'
wait_for 10 '[[ $(get /api/v1/status | jq -c .top_accounts.accounts) == "[{\"account\":\"late\",\"calls\":1}]" ]]' 'the account with the most calls'
kill -KILL "${PIDS[follow]}"
wait "${PIDS[follow]}" 2>/dev/null
unset 'PIDS[follow]'
stop m
