#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""drained.py [--whole | --cut] BOOTSTRAP TOPIC < audit lines: exit 0 when the ledger's `consumed` equals the records in each partition.

Records, not offsets: transaction markers take offsets too. So where the numbers differ, the partition's tail is read back; with --whole
all of it, for long runs with many ticks; with --cut the topic was counted from offset 0, and retention took its first part since."""
import json
import sys

from confluent_kafka import Consumer, TopicPartition


def main():
    whole, cut = sys.argv[1] == "--whole", sys.argv[1] == "--cut"
    bootstrap, topic = sys.argv[-2:]
    rows = [json.loads(line) for line in sys.stdin if line.strip()]
    consumed = {r["partition"]: r["consumed"] for r in rows if r["topic"] == topic}
    c = Consumer({"bootstrap.servers": bootstrap, "group.id": "drained", "isolation.level": "read_committed",
                  "enable.partition.eof": True, "log_level": 3})
    partitions = c.list_topics(topic, timeout=10).topics[topic].partitions
    for p in partitions:
        low, high = c.get_watermark_offsets(TopicPartition(topic, p), timeout=10)
        gaps = high - (0 if cut else low) - consumed.get(p, 0)
        if gaps == 0:
            continue
        # Each tick of meterd costs a marker: few. More than that is simply lag.
        if gaps < 0 or (gaps > 64 and not whole) or markers(c, topic, p, low if whole else max(low, high - 4096), high) < gaps:
            sys.exit(1)
    c.close()


def markers(c, topic, partition, start, end):
    """Offsets of [start, end) without a record."""
    c.assign([TopicPartition(topic, partition, start)])
    seen = 0
    while True:
        m = c.poll(10)
        if m is None or m.error():
            break
        seen += 1
        if m.offset() >= end - 1:
            break
    return end - start - seen


if __name__ == "__main__":
    main()
