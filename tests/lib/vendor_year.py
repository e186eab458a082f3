#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A vendor's year: 2020 with everything that happens to a price list and its customers. Writes what tests/lib/produce.py takes.

    vendor_year.py accounts|usage PARTITIONS      records of the accounts topic, of the usage topic

Usage: calls of thirty accounts in every month, the last day's in the grace of its close too, and late calls of earlier months in every
month. Accounts: packs bought in the middle of the year, one of them cancelled, contracts from several months on, activations. Always the
same year. The price book beside it is vendor_year.yaml.
"""
import json
import random
import sys
import zlib
from datetime import datetime, timedelta, timezone

ZONE = timezone(timedelta(hours=8))
SERVICES = ["image-tag", "image-crop", "image-quality", "celebrity-recognition", "vehicle-recognition", "image-enhance", "image-tag-legacy"]
ACCOUNTS = [f"{600000000000 + i}" for i in range(30)]
DAY = 86400000


def start(month):
    return int(datetime(2020 + month // 12, month % 12 + 1, 1, tzinfo=ZONE).timestamp() * 1000)


def close(month):
    return start(month + 1) + DAY


def name(month):
    return f"{2020 + month // 12}-{month % 12 + 1:02d}"


def text(ms):
    return datetime.fromtimestamp(ms / 1000, ZONE).isoformat(timespec="seconds")


def accounts():
    r = random.Random(7)
    facts = []

    def say(stamp, record):
        facts.append({"timestamp": stamp, "key": record["account"], "value": json.dumps(record)})

    for i, a in enumerate(ACCOUNTS):
        if i % 5 == 0:
            say(start(0) - 20 * DAY, {"type": "activation", "account": a, "id": "act-1", "version": 1, "time": text(start(0) - 20 * DAY)})
        if i % 3 == 0:
            begin = start(r.randint(4, 7)) + r.randint(0, 25) * DAY
            say(begin - 3 * DAY, {"type": "pack", "account": a, "id": "p-1", "version": 1, "services": ["image-tag"], "calls": 1500000, "price": "2000.00",
                                  "start": text(begin), "expiry": text(begin + 120 * DAY)})
        if i % 6 == 0:
            begin = start(6)
            say(begin - DAY, {"type": "pack", "account": a, "id": "p-2", "version": 1, "services": ["image-crop", "image-quality", "image-tag"],
                              "calls": 800000, "price": "900.00", "start": text(begin), "expiry": text(begin + 90 * DAY), "warn": "0.5"})
        if i % 12 == 0:
            say(start(7) + 5 * DAY, {"type": "pack.cancelled", "account": a, "id": "p-2", "version": 2, "from": name(8)})
        if i % 4 == 1:
            month = r.randint(2, 9)
            say(start(month) - 10 * DAY, {"type": "contract", "account": a, "id": "c-1", "version": 1, "from": name(month), "services": [
                {"service": "image-tag", "prices": {"model": "volume", "per": 1000, "tiers": [{"from": 0, "price": "2.1"}, {"from": 1000000, "price": "1.9", "fee": "10"}]},
                 "free": {"calls": 20000}}, {"service": "image-quality", "tier_basis": "billable"}]})
        if i % 8 == 1:
            say(start(10) - 2 * DAY, {"type": "contract", "account": a, "id": "c-1", "version": 2, "from": name(3), "until": name(11), "services": [
                {"service": "image-tag", "prices": {"model": "graduated", "per": 1000, "tiers": [{"from": 0, "price": "2"}, {"from": 500000, "price": "1.5"}]}}]})
    return sorted(facts, key=lambda f: f["timestamp"])


def usage(partitions):
    r = random.Random(2020)
    records, n = [], 0

    def call(a, stamp, when, service, calls):
        nonlocal n
        n += 1
        e = {"id": f"y{n}", "account": a, "service": service, "calls": calls, "time": when}
        records.append((stamp, zlib.crc32(a.encode()) % partitions, a, e))

    def service_at(when):
        return r.choice(SERVICES if when < start(4) else SERVICES[:-1])

    for month in range(12):
        for a in ACCOUNTS:
            for _ in range(r.randint(3, 9)):
                when = r.randint(start(month), start(month + 1) - 1)
                delay = r.choice([0, 1000, 3600000]) if r.random() < 0.9 else DAY // 2
                call(a, when + delay, when, service_at(when), r.choice([1, 700, 9000, 40000, 600000, 1300000]))
            if month > 0 and r.random() < 0.3:
                of = r.randint(max(0, month - 3), month - 1)
                when = r.randint(start(of), start(of + 1) - 1)
                call(a, r.randint(close(month - 1), start(month + 1)), when, service_at(when), r.choice([5, 12000, 300000]))
    records.sort(key=lambda x: x[0])
    for p in range(partitions):  # the last month closes as well
        records.append((close(11), p, "pass", {"id": f"pass{p}", "account": f"pass{p}", "service": "image-tag", "calls": 1, "time": close(11)}))
    return [{"timestamp": t, "partition": p, "key": a, "value": json.dumps(e)} for t, p, a, e in records]


if __name__ == "__main__":
    for line in accounts() if sys.argv[1] == "accounts" else usage(int(sys.argv[2])):
        print(json.dumps(line))
