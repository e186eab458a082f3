#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Topics for sandbox and scenarios, without starting a JVM for each question.

    topics.py wait BOOTSTRAP NODES PIDFILE…      until that many brokers answer; 1 when a process of the pid files is gone
    topics.py create BOOTSTRAP [--prefix P] [--partitions N] [--replication R] [--stamps create|append|any] [--without TOPIC]… [--only TOPIC]…
    topics.py delete BOOTSTRAP --prefix P
    topics.py ends BOOTSTRAP TOPIC…              end offset summed over partitions, read committed, one number a topic
"""
import argparse
import os
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

QUIET = {"log_level": 0, "socket.timeout.ms": 10000}
STAMPS = {
    # trustworthy by wall clock: nothing further ahead than an hour, well below close.grace
    "create": {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": "3600000"},
    "append": {"message.timestamp.type": "LogAppendTime"},
    # whatever producers say, years ahead too: what older brokers allow by default
    "any": {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": "9223372036854775807"},
}


def alive(pidfile):
    try:
        pid, at = open(pidfile).read().split()
        stat = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
        return stat[0] not in "ZX" and stat[19] == at
    except (OSError, ValueError):
        return False


def wait(bootstrap, nodes, pidfiles):
    admin = AdminClient({"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 200, **QUIET})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not all(map(alive, pidfiles)):
            return "a broker's process is gone"
        try:
            if len(admin.list_topics(timeout=0.5).brokers) >= nodes:
                return None
        except KafkaException:
            pass
    return "no answer within 60 s"


def finish(futures, passes=()):
    for name, future in futures.items():
        try:
            future.result()
        except KafkaException as e:
            if e.args[0].code() not in passes:
                sys.exit(f"topics.py: {name}: {e.args[0].str()}")


def create(args):
    def topic(name, partitions, **config):
        config = {k.replace("_", "."): v for k, v in config.items()}
        return NewTopic(args.prefix + name, num_partitions=partitions, replication_factor=args.replication, config=config)

    keep = {"retention_ms": "-1", "cleanup_policy": "delete"}
    topics = [
        topic("usage.calls", args.partitions, retention_ms="-1", **STAMPS[args.stamps]),
        topic("meterd.alerts", args.out_partitions, **keep),
        topic("meterd.settlements", args.out_partitions, **keep),
        topic("meterd.control", 1, **keep),
        topic("meterd.accounts", 1, **keep),
        topic("usage.calls.dlq", args.out_partitions, max_message_bytes="20000000", **keep),
    ]
    admin = AdminClient({"bootstrap.servers": args.bootstrap, **QUIET})
    without = {args.prefix + n for n in args.without}
    only = {args.prefix + n for n in args.only}
    wanted = [t for t in topics if t.topic not in without and (not only or t.topic in only)]
    there = admin.list_topics(timeout=10).topics
    for t in wanted:
        if t.topic in there:
            sys.exit(f"topics.py: {t.topic} exists already: delete it, or give another --prefix")
    # A request whose answer came too late is sent again, by the client or by the broker to its controller, and then
    # finds the topics of its first try.
    finish(admin.create_topics(wanted, operation_timeout=30, request_timeout=60), {KafkaError.TOPIC_ALREADY_EXISTS})
    # Known to the cluster is not yet led: a leader answers for its offsets.
    c = Consumer({"bootstrap.servers": args.bootstrap, "group.id": "topics", **QUIET})
    left = {(t.topic, p) for t in wanted for p in range(t.num_partitions)}
    deadline = time.monotonic() + 30
    while left:
        for name, p in sorted(left):
            try:
                c.get_watermark_offsets(TopicPartition(name, p), timeout=5)
                left.discard((name, p))
            except KafkaException:
                pass
        if time.monotonic() > deadline:
            sys.exit(f"topics.py: the topics were created, but {sorted(left)[:3]} … have no leader after 30 s")
    c.close()


def delete(args):
    admin = AdminClient({"bootstrap.servers": args.bootstrap, **QUIET})
    names = [n for n in admin.list_topics(timeout=10).topics if n.startswith(args.prefix) and args.prefix]
    if names:
        finish(admin.delete_topics(names, operation_timeout=30))


def ends(args):
    c = Consumer({"bootstrap.servers": args.bootstrap, "group.id": "topics", "isolation.level": "read_committed", **QUIET})
    for name in args.topic:
        partitions = c.list_topics(name, timeout=10).topics[name].partitions
        print(sum(c.get_watermark_offsets(TopicPartition(name, p), timeout=10)[1] for p in partitions))
    c.close()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="verb", required=True)
    q = sub.add_parser("wait")
    q.add_argument("bootstrap")
    q.add_argument("nodes", type=int)
    q.add_argument("pidfile", nargs="*")
    q = sub.add_parser("create")
    q.add_argument("bootstrap")
    q.add_argument("--prefix", default="")
    q.add_argument("--partitions", type=int, default=8)
    q.add_argument("--out-partitions", type=int, default=2)
    q.add_argument("--replication", type=int, default=1)
    q.add_argument("--stamps", choices=STAMPS, default="create")
    q.add_argument("--without", action="append", default=[])
    q.add_argument("--only", action="append", default=[])
    q = sub.add_parser("delete")
    q.add_argument("bootstrap")
    q.add_argument("--prefix", required=True)
    q = sub.add_parser("ends")
    q.add_argument("bootstrap")
    q.add_argument("topic", nargs="+")
    args = p.parse_args()
    if args.verb == "wait":
        why = wait(args.bootstrap, args.nodes, args.pidfile)
        if why:
            sys.exit(f"topics.py: Apache Kafka at {args.bootstrap}: {why}")
    else:
        {"create": create, "delete": delete, "ends": ends}[args.verb](args)


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C")
    main()
