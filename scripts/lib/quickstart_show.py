# SPDX-License-Identifier: Apache-2.0
"""What scripts/quickstart shows of the topics: alerts by kind, months, one settlement worth explaining. Reads ndjson files."""
import json
import sys
from decimal import Decimal


def read(name):
    with open(name, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.endswith("\n")]


def kind_of(event):
    return event["type"].removeprefix("meterd.").removesuffix(".v1")


def alerts(name):
    by_kind = {}
    for a in read(name):
        by_kind.setdefault(kind_of(a), []).append(a)
    for kind in sorted(by_kind):
        print(f"  {len(by_kind[kind]):5} {kind}")
    for kind in sorted(by_kind):
        d = by_kind[kind][0]["data"]
        call = d["call"]
        print(f"\n  {kind}: {d['account']} {d['service']} {d['period']}: {d['calls_before']:,} -> {d['calls_after']:,} calls, bound {d['threshold']:,}")
        print(f"    at the call {call['id']} of {call['time']} ({call['topic']}/{call['partition']} offset {call['offset']})")
        if "bill_before" in d:
            print(f"    tier {d['from_tier']} -> {d['to_tier']}, {d['unit_price_from']} -> {d['unit_price_to']} per {d['per']:,}; "
                  f"bill {d['bill_before']} -> {d['bill_after']} {d['currency']}")


def largest(name):
    statements = [s["data"] for s in read(name) if kind_of(s) == "statement" and s["data"]["period"] == "2020-12"]
    print(max(statements, key=lambda d: Decimal(d["charge"]))["account"])


def months(name):
    print("  period   accounts   lines        charge      unfreeze        freeze")
    for e in read(name):
        if kind_of(e) == "period.closed":
            d = e["data"]
            print(f"  {d['period']} {d['accounts']:10} {d['lines']:7} {d['charge']:>13} {d['unfreeze']:>13} {d['freeze']:>13} {d['currency']}")


def settlement(name):
    lines = [s for s in read(name) if kind_of(s) == "settlement" and s["data"].get("tier", 1) > 1]
    print(json.dumps(max(lines, key=lambda s: Decimal(s["data"]["charge"])), ensure_ascii=False))


if __name__ == "__main__":
    {"alerts": alerts, "largest": largest, "months": months, "settlement": settlement}[sys.argv[1]](sys.argv[2])
