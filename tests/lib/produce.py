#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes records with their own time stamps, keys and headers: produce.py BOOTSTRAP TOPIC < records, one JSON object a line:
{"partition":0,"timestamp":1579048200123,"key":"…","value":"…","value_hex":"…","headers":[["name","value"],…]}; a header's value may be {"hex":"…"}.
Without partition the key decides, like Java's producer does. Ends with an error unless every record was acknowledged."""
import json
import sys

from confluent_kafka import Producer

failures = []


def done(err, _):
    if err is not None:
        failures.append(err.str())


def main():
    bootstrap, topic = sys.argv[1:3]
    p = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "enable.idempotence": True,
                  "queue.buffering.max.messages": 1000000, "log_level": 3, "message.max.bytes": 20000000})
    for line in sys.stdin:
        r = json.loads(line)
        value = bytes.fromhex(r["value_hex"]) if "value_hex" in r else r.get("value")
        if isinstance(value, (dict, list)):
            value = json.dumps(value, ensure_ascii=False)
        args = {"value": value, "on_delivery": done}
        if r.get("key") is not None:
            args["key"] = r["key"]
        for k in ("partition", "timestamp"):
            if k in r:
                args[k] = r[k]
        if r.get("headers"):
            args["headers"] = [(n, bytes.fromhex(v["hex"]) if isinstance(v, dict) else v) for n, v in r["headers"]]
        while True:
            try:
                p.produce(topic, **args)
                break
            except BufferError:
                p.poll(0.5)
        p.poll(0)
    left = p.flush(60)
    if left or failures:
        sys.exit(f"produce.py: {left} not acknowledged, {len(failures)} refused: {failures[:3]}")


if __name__ == "__main__":
    main()
