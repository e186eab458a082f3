#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A state as files: what lies in topics and in Redis, one JSON object a line, and back again.

    kept_state.py save BOOTSTRAP PREFIX TOPIC…         records of these topics (PREFIX is left out of their names), read committed
    kept_state.py save-redis URL                       keys of Redis, each with its type and fields
    kept_state.py restore BOOTSTRAP PREFIX URL         from standard input, into topics that exist and are empty, and an empty Redis

Bytes are written as Latin-1, one character a byte. Records come back at the offsets that they had where the topic had no gaps; where
transactions left some, in their order."""
import json
import sys

import redis
from confluent_kafka import Consumer, Producer, TopicPartition

READ = {"hash": lambda r, k: {n.decode("latin-1"): v.decode("latin-1") for n, v in sorted(r.hgetall(k).items())},
        "stream": lambda r, k: [[i.decode(), {n.decode("latin-1"): v.decode("latin-1") for n, v in f.items()}] for i, f in r.xrange(k)],
        "string": lambda r, k: r.get(k).decode("latin-1"), "list": lambda r, k: [v.decode("latin-1") for v in r.lrange(k, 0, -1)]}


def text(b):
    return None if b is None else b.decode("latin-1")


def raw(t):
    return None if t is None else t.encode("latin-1")


def put(**row):
    print(json.dumps({k: v for k, v in row.items() if v is not None}))


def save(bootstrap, prefix, topics):
    c = Consumer({"bootstrap.servers": bootstrap, "group.id": "kept", "enable.auto.commit": False, "isolation.level": "read_committed",
                  "enable.partition.eof": True, "auto.offset.reset": "earliest"})
    for topic in topics:
        parts = c.list_topics(prefix + topic, timeout=20).topics[prefix + topic].partitions
        for p in sorted(parts):
            c.assign([TopicPartition(prefix + topic, p, 0)])
            while True:
                m = c.poll(30)
                if m is None:
                    sys.exit(f"{topic}/{p}: no answer")
                if m.error():  # the only one that is an answer here: the end of the partition
                    break
                put(topic=topic, partition=p, offset=m.offset(), timestamp=m.timestamp()[1], key=text(m.key()), value=text(m.value()),
                    headers=[[n, text(v)] for n, v in m.headers()] if m.headers() else None)
    c.close()


def save_redis(url):
    r = redis.Redis.from_url(url)
    for key in sorted(r.keys()):
        kind = r.type(key).decode()
        put(key=key.decode("latin-1"), type=kind, is_=READ[kind](r, key))


def restore(bootstrap, prefix, url):
    r = redis.Redis.from_url(url)
    p = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    wrong = []

    def done(e, m):
        if e is not None:
            wrong.append(str(e))

    for line in sys.stdin:
        row = json.loads(line)
        if "topic" in row:
            p.produce(prefix + row["topic"], partition=row["partition"], timestamp=row["timestamp"], key=raw(row.get("key")),
                      value=raw(row.get("value")), headers=[(n, raw(v)) for n, v in row.get("headers", [])], on_delivery=done)
            p.poll(0)
            continue
        key, value = raw(row["key"]), row["is_"]
        if row["type"] == "hash":
            r.hset(key, mapping={raw(n): raw(v) for n, v in value.items()})
        elif row["type"] == "stream":
            for i, fields in value:
                r.xadd(key, {raw(n): raw(v) for n, v in fields.items()}, id=i)
        elif row["type"] == "list":
            r.rpush(key, *map(raw, value))
        else:
            r.set(key, raw(value))
    if p.flush(60) or wrong:
        sys.exit(f"records that were not taken: {wrong[:3]}")


if __name__ == "__main__":
    verb, args = sys.argv[1], sys.argv[2:]
    if verb == "save":
        save(args[0], args[1], args[2:])
    elif verb == "save-redis":
        save_redis(args[0])
    else:
        restore(*args)
