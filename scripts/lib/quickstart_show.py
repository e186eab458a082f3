# SPDX-License-Identifier: Apache-2.0
"""What scripts/quickstart shows of the topics: alerts by kind, months, one settlement worth explaining. Reads ndjson files."""
import json
import sys
from collections import Counter
from decimal import Decimal


def read(name):
    with open(name, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.endswith("\n")]


def kind_of(event):
    return event["type"].removeprefix("meterd.").removesuffix(".v1")


def show_alert(a):
    d = a["data"]
    call = d["call"]
    print(f"\n  {kind_of(a)}: {d['account']} {d['service']} {d['period']}: {d['calls_before']:,} -> {d['calls_after']:,} calls, "
          f"bound {d['threshold']:,}")
    print(f"    at the call {call['id']} of {call['time']} ({call['topic']}/{call['partition']} offset {call['offset']})")
    if "bill_before" in d:
        print(f"    tier {d['from_tier']} -> {d['to_tier']}, {d['unit_price_from']} -> {d['unit_price_to']} per {d['per']:,}; "
              f"bill {d['bill_before']} -> {d['bill_after']} {d['currency']}")


def first_alerts():
    """The first alert of each kind, as it comes through standard input."""
    seen = set()
    for line in sys.stdin:
        kind = kind_of(json.loads(line))
        if kind not in seen:
            seen.add(kind)
            show_alert(json.loads(line))
            sys.stdout.flush()


def alerts(name):
    by_kind = Counter(kind_of(a) for a in read(name))
    print()
    for kind in sorted(by_kind):
        print(f"  {by_kind[kind]:5} {kind}")


def settlements(folder):
    """Writes the months and the settlement to be explained as files of the folder; prints the account that pays most in December."""
    by_kind = {}
    for s in read(f"{folder}/settlements"):
        by_kind.setdefault(kind_of(s), []).append(s)
    with open(f"{folder}/months", "w", encoding="utf-8") as f:
        print("  period   accounts   lines        charge      unfreeze        freeze", file=f)
        for e in sorted(by_kind["period.closed"], key=lambda e: e["data"]["period"]):
            d = e["data"]
            print(f"  {d['period']} {d['accounts']:10} {d['lines']:7} {d['charge']:>13} {d['unfreeze']:>13} {d['freeze']:>13} "
                  f"{d['currency']}", file=f)
    dearest = max((s for s in by_kind["settlement"] if s["data"].get("tier", 1) > 1), key=lambda s: Decimal(s["data"]["charge"]))
    with open(f"{folder}/settlement.json", "w", encoding="utf-8") as f:
        json.dump(dearest, f, ensure_ascii=False)
    with open(f"{folder}/settlement.data", "w", encoding="utf-8") as f:
        print(json.dumps(dearest["data"], ensure_ascii=False), file=f)
    december = [s["data"] for s in by_kind["statement"] if s["data"]["period"] == "2020-12"]
    print(max(december, key=lambda d: Decimal(d["charge"]))["account"])


if __name__ == "__main__":
    {"first_alerts": first_alerts, "alerts": alerts, "settlements": settlements}[sys.argv[1]](*sys.argv[2:])
