# SPDX-License-Identifier: Apache-2.0
# README's readers of alerts, taken out of it and run: each delivers every alert, also where the receiver refuses some at first, where the
# reader is killed in the middle, and where it starts again. Twice is allowed, never is not.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 3
config m
expect_code 0 ctl init
block() { awk -v lang="$1" '/^## /{ in_it = $0 == "## Readers of alerts" } in_it && $0 == "```" lang { on = 1; next } $0 == "```" { on = 0 } on' "$ROOT/README.md"; }
block python >"$DIR/reader.py"
block sh >"$DIR/reader.sh"
for f in reader.py reader.sh; do
	lines=$(wc -l <"$DIR/$f")
	((lines >= 20 && lines <= 35)) || fail "README's $f has $lines lines"
done
# The receiver: one line an accepted alert; every fifth request is refused with 500, and the key must be the body's id.
"$PYTHON" - "$DIR/hook.port" "$DIR/received" <<-'PY' 2>"$DIR/hook.err" &
	import http.server, json, os, sys
	n = 0
	class Hook(http.server.BaseHTTPRequestHandler):
	    def do_POST(self):
	        global n
	        n += 1
	        body = self.rfile.read(int(self.headers["Content-Length"]))
	        alert = json.loads(body)
	        good = n % 5 != 0 and self.headers["Idempotency-Key"] == alert["id"] and self.headers["Content-Type"] == "application/cloudevents+json"
	        if good:
	            with open(sys.argv[2], "a") as f:
	                f.write(self.path + " " + alert["id"] + "\n")
	        self.send_response(204 if good else 500)
	        self.end_headers()
	    def log_message(self, *a):
	        pass
	s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
	with open(sys.argv[1] + ".new", "w") as f:
	    f.write(str(s.server_port))
	os.rename(sys.argv[1] + ".new", sys.argv[1])
	s.serve_forever()
	PY
PIDS[hook]=$!
wait_for 10 '[[ -s $DIR/hook.port ]]' 'the receiver'
: >"$DIR/received"
KAFKA_BOOTSTRAP=$(bootstrap) HOOK=http://127.0.0.1:$(cat "$DIR/hook.port") STATE=$DIR/state
export KAFKA_BOOTSTRAP STATE ALERTS
got() { sed -n "s|^/$1 ||p" "$DIR/received" | sort -u; }
begin() { # NAME COMMAND…: in a session of its own, so that all of it ends
	HOOK=$HOOK/$1 setsid "${@:2}" >>"$DIR/$1.log" 2>&1 &
	PIDS[$1]=$!
}
end() { kill -"$2" -- -"${PIDS[$1]}" 2>/dev/null; wait "${PIDS[$1]}" 2>/dev/null; unset "PIDS[$1]"; }
also_at_exit() { local r; for r in python shell; do [[ -z ${PIDS[$r]:-} ]] || end $r KILL; done; }
begin python "$PYTHON" "$DIR/reader.py"
begin shell bash "$DIR/reader.sh"
start m
ctl gen --events 8000 --accounts 8 --seed 5 --from 2020-01 --to 2020-02 >/dev/null || fail gen
wait_for 90 '(($(got python | wc -l) >= 5 && $(got shell | wc -l) >= 5))' 'the first alerts'
end python KILL
end shell KILL
begin python "$PYTHON" "$DIR/reader.py"
begin shell bash "$DIR/reader.sh"
wait_for 90 'settled 2020-01'
wait_for 30 outbox_empty
ctl_q alerts --format ndjson >"$DIR/all"
jq -r .id "$DIR/all" | sort >"$DIR/ids"
jq -r 'select(.data.kind != "free_quota.warning") | .id' "$DIR/all" | sort >"$DIR/interesting"
(($(wc -l <"$DIR/interesting") > 5)) || fail "only $(wc -l <"$DIR/interesting") alerts"
wait_for 120 'got shell | cmp -s - "$DIR/ids"' 'the shell reader to have delivered all of them'
wait_for 120 'got python | cmp -s - "$DIR/interesting"' 'the Python reader to have delivered what is of interest'
end python TERM
end shell TERM
stop m
