#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A log for what-if questions, for produce.py: replay_log.py N. January to the first week of April 2020, three partitions, an account in one of
them; flat events and two gates that send CloudEvents, of which /gate/b sends far too much in one hour of March; codes ok, partial and failed;
repeats, late calls, and names that no price book knows. The same bytes each time."""
import json
import random
import sys
from datetime import datetime, timedelta, timezone

EAST = timezone(timedelta(hours=8))


def ms(*when):
    return int(datetime(*when, tzinfo=EAST).timestamp() * 1000)


def text(at):
    return datetime.fromtimestamp(at / 1000, EAST).isoformat(timespec="milliseconds")


def main():
    count, dice = int(sys.argv[1]), random.Random(6)
    begin, end = ms(2020, 1, 1, 1), ms(2020, 4, 6)
    faulty = (ms(2020, 3, 5, 10), ms(2020, 3, 5, 11))
    stamps = sorted(dice.randrange(begin, end) for _ in range(count)) + [end + p for p in range(3)]
    stamps = sorted(stamps + [dice.randrange(*faulty) for _ in range(count // 20)])
    services = ["tag", "tag", "tag", "crop", "steps", "pool-a", "pool-b", "next", "beta", "Tagging", "old", "unheard-of"]
    sent = []
    for i, stamp in enumerate(stamps):
        in_hour = faulty[0] <= stamp < faulty[1]
        partition = i % 3 if stamp < end else stamp - end
        account = f"a-{partition + 3 * dice.randrange(4)}"
        back = dice.randrange(60000)
        if ms(2020, 3, 3) < stamp < ms(2020, 4, 1) and dice.random() < 0.03:
            back += dice.randrange(33, 60) * 86400000  # of January or February, both closed
        data = {"account": account, "service": dice.choice(services), "calls": dice.choice([1, 70, 900, 4000]),
                "status": dice.choice(["ok"] * 8 + ["partial", "failed"])}
        gate = "/gate/b" if in_hour else dice.choice([None, None, "/gate/a", "/gate/b"])
        when = text(max(stamp - back, begin - 3600000))
        event = {"id": f"e{i}", "time": when, **data} if gate is None else {
            "specversion": "1.0", "type": "call", "source": gate, "id": f"e{i}", "time": when, "data": data}
        if sent and dice.random() < 0.03:
            event, account, partition = sent[-1]  # once more: its own time, its own partition
        sent = [(event, account, partition)]
        print(json.dumps({"partition": partition, "timestamp": stamp, "key": account, "value": event}))


if __name__ == "__main__":
    main()
