#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the auditor itself against the tables of events and of prices, which people wrote. Last line: N passed, N failed."""
import re
import sys
from pathlib import Path

import auditor
from calculator import show_ms

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
            expect(f"event `{name}`, time", show_ms(got[4]), m[1])


def times():
    for text, wanted in rows("time.table"):
        ms = auditor.rfc3339(text)
        expect(f"time {text}", "no" if ms is None or ms < 0 else show_ms(ms), wanted)


if __name__ == "__main__":
    events()
    times()
    print(f"{results[0]} passed, {results[1]} failed")
    sys.exit(1 if results[1] else 0)
