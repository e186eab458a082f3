# SPDX-License-Identifier: Apache-2.0
# A private Apache Kafka from its jars: one node, or three, on free loopback ports, all of it in one directory DIR:
#   DIR/kafka-N/{server.properties,log,data}, DIR/kafka-N.pid, DIR/kafka.bootstrap
# A broker killed with -9 is started again on the same ports and data. Needs common.sh.

KAFKA_VERSION=4.3.1
KAFKA_JARS=$CACHE/kafka-$KAFKA_VERSION

# Fetches the jars once. The directory appears whole or not at all.
kafka_jars() {
	[[ -d $KAFKA_JARS ]] && return
	say "fetching Apache Kafka $KAFKA_VERSION (130 MB, once) into $KAFKA_JARS"
	mkdir -p "$CACHE"
	local tmp
	tmp=$(mktemp -d "$CACHE/kafka-fetch.XXXXXX") || return 1
	if ! mvn -q -B -f "$ROOT/tests/kafka/pom.xml" dependency:copy-dependencies -DoutputDirectory="$tmp/jars" >"$tmp/log" 2>&1; then
		tail -n 20 "$tmp/log" >&2
		rm -rf "$tmp"
		die "maven could not fetch Apache Kafka"
	fi
	mv -T "$tmp/jars" "$KAFKA_JARS" 2>/dev/null || [[ -d $KAFKA_JARS ]] || die "cannot write $KAFKA_JARS"
	rm -rf "$tmp"
}

# A tool of Kafka's own: kafka_tool org.apache.kafka.tools.ConsoleProducer …
kafka_tool() {
	java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp "$KAFKA_JARS/*" \
		-Dlog4j2.configurationFile="$ROOT/tests/kafka/log4j2.properties" "$@"
}

kafka_properties() { # dir node nodes port control-port voters
	local few=$(($3 < 3 ? $3 : 3))
	cat <<-P
	process.roles=broker,controller
	node.id=$2
	controller.quorum.voters=$6
	listeners=PLAINTEXT://127.0.0.1:$4,CONTROLLER://127.0.0.1:$5
	advertised.listeners=PLAINTEXT://127.0.0.1:$4
	listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
	controller.listener.names=CONTROLLER
	log.dirs=$1/kafka-$2/data
	default.replication.factor=$few
	min.insync.replicas=$(((few + 1) / 2))
	offsets.topic.replication.factor=$few
	transaction.state.log.replication.factor=$few
	transaction.state.log.min.isr=$(((few + 1) / 2))
	share.coordinator.state.topic.replication.factor=$few
	share.coordinator.state.topic.min.isr=1
	offsets.topic.num.partitions=4
	transaction.state.log.num.partitions=4
	group.initial.rebalance.delay.ms=0
	group.min.session.timeout.ms=1000
	auto.create.topics.enable=false
	# a topic stamped 2020 would otherwise be empty after two minutes
	log.retention.ms=-1
	log.segment.bytes=134217728
	num.network.threads=2
	num.io.threads=4
	P
}

# kafka_up DIR [NODES]: formats and starts; returns when every node answers.
kafka_up() {
	local dir=$1 nodes=${2:-1} ports voters= boot= n id
	kafka_jars
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	read -ra ports <<<"$(free_ports $((2 * nodes)))"
	for ((n = 1; n <= nodes; n++)); do
		voters+=${voters:+,}$n@127.0.0.1:${ports[2 * n - 1]}
		boot+=${boot:+,}127.0.0.1:${ports[2 * n - 2]}
	done
	id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | head -c 22)
	for ((n = 1; n <= nodes; n++)); do
		mkdir -p "$dir/kafka-$n"
		kafka_properties "$dir" "$n" "$nodes" "${ports[2 * n - 2]}" "${ports[2 * n - 1]}" "$voters" >"$dir/kafka-$n/server.properties"
		kafka_tool kafka.tools.StorageTool format -t "$id" -c "$dir/kafka-$n/server.properties" >"$dir/kafka-$n/log" 2>&1 ||
			{ tail -n 20 "$dir/kafka-$n/log" >&2; die "Kafka's storage cannot be formatted in $dir"; }
	done
	echo "$boot" >"$dir/kafka.bootstrap"
	for ((n = 1; n <= nodes; n++)); do kafka_start "$dir" "$n"; done
	kafka_wait "$dir"
}

# Starts node N on its ports and data, not waiting.
kafka_start() {
	local dir=$1 n=${2:-1}
	[[ -z $(process_pid "$dir/kafka-$n.pid") ]] || return 0
	# shellcheck disable=SC2086
	process_start "$dir/kafka-$n.pid" "$dir/kafka-$n/log" env LC_ALL=C java ${KAFKA_JVM:--Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1} \
		-XX:-UsePerfData -cp "$KAFKA_JARS/*" -Dlog4j2.configurationFile="$ROOT/tests/kafka/log4j2.properties" \
		kafka.Kafka "$dir/kafka-$n/server.properties"
}
# Until the cluster names all of its running nodes (or a process is gone: that is shown at once).
kafka_wait() {
	local dir=$1 n pids=() log
	for n in "$dir"/kafka-*.pid; do
		[[ -n $(process_pid "$n") ]] && pids+=("$n")
	done
	if ! "$PYTHON" "$LIB/topics.py" wait "$(cat "$dir/kafka.bootstrap")" "${#pids[@]}" "${pids[@]}"; then
		for log in "$dir"/kafka-*/log; do say "--- end of $log"; tail -n 20 "$log" >&2; done
		die "Apache Kafka did not come up in $dir"
	fi
}
kafka_kill9() { process_kill9 "$1/kafka-${2:-1}.pid"; }
kafka_restart() { kafka_start "$1" "${2:-1}" && kafka_wait "$1"; }
kafka_down() {
	local pid
	for pid in "$1"/kafka-*.pid; do
		[[ -f $pid ]] || continue
		process_kill9 "$pid" # nothing in it is needed any more, and TERM takes two seconds
		rm -f "$pid"
	done
}
