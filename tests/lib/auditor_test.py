#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the auditor itself against the tables of events and of prices, which people wrote. Last line: N passed, N failed."""
import re
import sys
from decimal import Decimal
from pathlib import Path

import auditor

TABLES = Path(__file__).parent.parent / "table"
results = [0, 0]


def expect(what, got, wanted):
    results[got != wanted] += 1
    if got != wanted:
        print(f"{what}: got {got!r}, wanted {wanted!r}")


def unescape(text):
    """tests/lib/event_case.h: ~XX a byte, ~(N*text~) repetition."""
    text = re.sub(r"~\((\d+)\*(.*?)~\)", lambda m: m[2] * int(m[1]), text)
    return re.sub(rb"~([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode())


def rows(name):
    for line in (TABLES / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield [c.strip() for c in re.split(r" +\| +", line)]


class AnyService:
    fields = {k: k for k in ("id", "account", "service", "time", "calls", "status", "items")}


def headers_of(text):
    if text == "-":
        return []
    pairs = [h.split("=", 1) for h in re.split(r"; *", text) if h]
    return [(unescape(p[0]).decode(), unescape(p[1]) if len(p) == 2 else None) for p in pairs]


def events():
    decoder = auditor.Decoder(AnyService, None)
    for name, headers, value, result in (r for r in rows("events.table") if len(r) == 4):
        if result.startswith("control"):
            continue
        raw = None if value == "~null" else b"" if value == "~empty" else unescape(value)
        try:
            got = decoder.decode(raw, headers_of(headers))
        except auditor.Bad as e:
            expect(f"event `{name}` ({e})", "rejected", "accepted" if result.startswith("accepted") else "rejected")
            continue
        expect(f"event `{name}`", "accepted", "accepted" if result.startswith("accepted") else "rejected")
        m = re.search(r" time=(\S+)", result)
        if m:
            expect(f"event `{name}`, time", auditor.show_ms(got[4]), m[1])


def times():
    for text, wanted in rows("time.table"):
        ms = auditor.rfc3339(text)
        expect(f"time {text}", "no" if ms is None or ms < 0 else auditor.show_ms(ms), wanted)


def prices():
    """pricing.md, section 3."""
    tiers = [{"from": f, "price": p} for f, p in (("0", "2.5"), ("1_000_000", "2.2"), ("3_000_000", "2"), ("15_000_000", "1.5"))]
    for calls, total, billable in (("10000", "0", "0"), ("10001", "0.0025", "0.0025"), ("999999", "2474.9975", "2474.9975"),
                                   ("1000000", "2178", "2475"), ("1005000", "2189", "2487.5"), ("1010000", "2200", "2200"),
                                   ("3005000", "5990", "6589"), ("15010000", "22500", "22500")):
        for basis, wanted in (("total", total), ("billable", billable)):
            plan = auditor.Plan({"model": "volume", "per": "1000", "tier_basis": basis, "tiers": tiers}, {"calls": "10000"})
            expect(f"{calls} calls by {basis}", auditor.money(plan.bill(int(calls), 10000)[3]), wanted)
    plan = auditor.Plan({"model": "volume", "per": "1", "tier_basis": "billable", "bounds": "upper-inclusive",
                         "tiers": [{"from": "0", "price": "0.0011"}, {"from": "3_000_000", "price": "0.0009"}]}, {"calls": "10000"})
    expect("legacy at its bound", plan.bill(3010000, 10000)[2:], (0, Decimal("3300")))
    expect("legacy beyond its bound", plan.bill(3010001, 10000)[2:], (1, Decimal("2700.0009")))
    expect("legacy ladder", [(r[0], r[1]) for r in plan.ladder(10000)], [(8000, 8000), (10000, 10000), (3010001, 3000000)])


if __name__ == "__main__":
    events()
    times()
    prices()
    print(f"{results[0]} passed, {results[1]} failed")
    sys.exit(1 if results[1] else 0)
