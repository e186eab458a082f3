# SPDX-License-Identifier: Apache-2.0
# A private Redis in DIR/redis on a free loopback port: AOF every second, never evicting. Killed with -9 it starts again on the
# same port and data; its AOF can be cut off or set back, which is how a rollback looks. Needs common.sh.

# redis_up DIR [OPTION VALUE]…: options as in redis.conf, after the defaults (so they win).
redis_up() {
	local dir=$1 port
	shift
	mkdir -p "$dir/redis"
	dir=$(cd "$dir" && pwd)
	port=$(free_ports 1)
	{
		cat <<-C
		bind 127.0.0.1
		port $port
		dir $dir/redis
		save ""
		appendonly yes
		appendfsync everysec
		auto-aof-rewrite-percentage 0
		maxmemory-policy noeviction
		logfile $dir/redis/log
		C
		while (($#)); do printf '%s %s\n' "$1" "$2"; shift 2; done
	} >"$dir/redis/redis.conf"
	echo "$port" >"$dir/redis.port"
	redis_start "$dir"
}
redis_do() { local dir=$1; shift; redis-cli -h 127.0.0.1 -p "$(cat "$dir/redis.port")" "$@"; }
redis_url() { echo "redis://127.0.0.1:$(cat "$1/redis.port")/0"; }
redis_answers() { [[ $(redis_do "$1" ping 2>/dev/null) == PONG ]] || process_gone "$1/redis.pid"; }
redis_start() {
	local dir=$1
	[[ -z $(process_pid "$dir/redis.pid") ]] || return 0
	process_start "$dir/redis.pid" "$dir/redis/log" redis-server "$dir/redis/redis.conf"
	if ! wait_until 20 redis_answers "$dir" || process_gone "$dir/redis.pid"; then
		say "--- end of $dir/redis/log"
		tail -n 20 "$dir/redis/log" >&2
		die "Redis did not come up in $dir"
	fi
}
redis_kill9() { process_kill9 "$1/redis.pid"; }
redis_restart() { redis_start "$1"; }
redis_down() { process_kill9 "$1/redis.pid"; rm -f "$1/redis.pid"; }

# The append-only file that grows. Only while Redis is down.
redis_aof() { ls "$1"/redis/appendonlydir/*.incr.aof | tail -n 1; }
redis_aof_size() { stat -c %s "$(redis_aof "$1")"; }
# Cuts the AOF off so that KEEP bytes remain: rounded down to a whole command by Redis' own tool.
redis_aof_cut() {
	local aof
	process_gone "$1/redis.pid" || die "redis_aof_cut: Redis still runs"
	aof=$(redis_aof "$1")
	truncate -s "$2" "$aof"
	redis-check-aof --fix "$aof" <<<y >>"$1/redis/log" 2>&1 || die "redis-check-aof could not mend $aof"
}
# Copies of the whole data directory, and back.
redis_save() { rm -rf "$1/redis.saved"; cp -a "$1/redis/appendonlydir" "$1/redis.saved"; }
redis_restore() {
	process_gone "$1/redis.pid" || die "redis_restore: Redis still runs"
	rm -rf "$1/redis/appendonlydir"
	cp -a "$1/redis.saved" "$1/redis/appendonlydir"
}
