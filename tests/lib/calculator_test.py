#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the calculator itself against the tables of rules, which people worked out by hand, and against the public vectors. Last line:
N passed, N failed."""
import json
import re
import sys
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import yaml

from calculator import Book, Calculator, Months, Pack, Taken, Tariff, Term, cents, deduct, deduct_late, money, read_ms, round_cents

TESTS = Path(__file__).parent.parent
TABLES = TESTS / "table"
results = [0, 0]
HOUR = 3600000


def expect(what, got, wanted):
    results[got != wanted] += 1
    if got != wanted:
        print(f"{what}: got {got!r}, wanted {wanted!r}")


def rows(name):
    for line in (TABLES / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield [c.strip() for c in re.split(r" *\| +", line)]


def tariff(model, bounds, basis, per, package, tiers):
    found = []
    for text in tiers.split():
        m = re.fullmatch(r"(\d+)@([0-9.]+)(?:\+([0-9.]+))?", text)
        found.append({"from": m[1], "price": m[2], "fee": m[3] or "0"})
    return Tariff({"model": model, "bounds": f"{bounds}-inclusive", "tier_basis": basis.split("-")[0], "per": per, "tiers": found,
                   "package": package if package != "0" else 1, "fee_at_zero": "true" if basis.endswith("at-zero") else "false"})


def take(t, quota, packs, calls):
    """free, what packs gave, billable"""
    x = Taken(calls)
    x.free = x.take(quota)
    gave = [x.take(p) for p in packs]
    return x.free, gave, x.billable


def beginnings():
    """Closing begins with the earliest month of what the first close takes in; a month's own calls wait for its own close, whatever was
    open when they came."""
    nov, dec, jan = (Months.parse(f"{y}-{m:02d}") for y, m in ((2019, 11), (2019, 12), (2020, 1)))
    for first, wanted in (({jan: dec}, jan), ({jan: dec, nov: jan}, nov), ({jan: dec, nov: jan + 1}, jan), ({jan: jan, nov: dec}, nov)):
        log = SimpleNamespace(accounts={i: SimpleNamespace(first={m: bucket}) for i, (m, bucket) in enumerate(first.items())})
        expect(f"closing begins, {first}", Calculator.begins(log), wanted)


def ratings():
    plans = {}
    for r in rows("rating.table"):
        if r[0] == "plan":
            plans[r[1]] = tariff(*r[2:])
            continue
        name, quota, packs, calls, rounding, free, gave, billable, tier, exact, charge, slices = r
        t = plans[name]
        got = take(t, int(quota), [int(p) for p in packs.split() if p != "-"], int(calls))
        expect(f"rating {r[:4]}: taken", (got[0], got[1] or [0], got[2]), (int(free), [int(p) for p in gave.split()] if gave != "-" else [0], int(billable)))
        at, amount, parts = t.bill(int(calls), got[2])
        expect(f"rating {r[:4]}: exact", (str(at + 1), money(amount)), (tier, exact))
        if charge != "overflow":
            expect(f"rating {r[:4]}: charge", cents(round_cents(amount, rounding)), charge)
        if t.model != "volume":
            expect(f"rating {r[:4]}: slices", " ".join(f"{i + 1}:{n}:{money(a)}" for i, n, a in parts) or "-", slices)


def freezes():
    plans = {}
    for r in rows("freeze.table"):
        if r[0] == "plan":
            plans[r[1]] = tariff(*r[2:])
            continue
        book = type("Basis", (), {"freeze_basis": r[4]})
        term, x = Term(), Taken(int(r[3]))
        term.list, term.tariff = plans[r[0]], plans[r[1]]
        x.free = x.take(int(r[2]))
        expect(f"freeze {r}", cents(round_cents(Calculator.freeze(book, term, x) * Fraction(r[5]), r[6])), r[7])


def roundings():
    for amount, how, wanted in rows("rounding.table"):
        if wanted != "overflow":
            expect(f"rounding {amount} {how}", cents(round_cents(Fraction(amount), how)).replace("-0.00", "0.00"), wanted)


def numbers(text):
    return [int(n) for n in re.split(r"[ ,]", text)] if text != "-" else []


class Quota:
    def __init__(self, calls):
        self.calls, self.share = calls, None

    def in_month(self, month, activated):
        return self.calls


def pack(i, calls):
    return Pack({"id": f"p{i}", "calls": calls, "services": [], "start": "2020-01-01T00:00:00Z", "expiry": "2021-01-01T00:00:00Z"}, None)


def deductions():
    for r in rows("deduct.table"):
        shared, packs = numbers(r[1]), [pack(i, n) for i, n in enumerate(numbers(r[2]))]
        terms, calls = type("Terms", (), {}), {}
        terms.month, terms.service, terms.sets = 0, {}, {f"s{i}": (Quota(n), []) for i, n in enumerate(shared)}
        for i, text in enumerate(r[3].split()):
            n, quota, of, which = text.split(":")
            t = terms.service[f"v{i}"] = Term()
            t.free, t.shared, t.packs = Quota(int(quota)), f"s{of}" if of != "-" else None, [packs[p] for p in numbers(which)]
            calls[f"v{i}"] = int(n)
        terms.book = type("Order", (), {"services": list(terms.service)})
        left = {p.id: p.calls for p in packs}
        taken = deduct(terms, calls, None, left)
        got = " ".join(f"{x.free}:{x.billable}:" + (",".join(str(dict(x.packs).get(p.id, 0)) for p in terms.service[s].packs) or "-")
                       for s, x in taken.items())
        expect(f"deduct {r[0]}", got, r[4])
        expect(f"deduct {r[0]}: packs", [left[p.id] for p in packs], numbers(r[6]))


def late_deductions():
    for r in rows("deduct_late.table"):
        if r[6] == "overflow":
            continue
        packs = [pack(i, n) for i, n in enumerate(numbers(r[2]))]
        calls, quota, of, which = r[3].split(":")
        free, billable, gave = r[4].split(":")
        term, old, left = Term(), Taken(int(calls)), {p.id: p.calls for p in packs}
        term.shared, term.packs = of if of != "-" else None, [packs[p] for p in numbers(which)]
        old.free, old.billable, old.packs = int(free), int(billable), [(p.id, n) for p, n in zip(term.packs, numbers(gave)) if n]
        x = deduct_late(term, old, int(r[5]), int(quota), numbers(r[1])[int(of)] if of != "-" else 0, left)
        expect(f"late {r[0]}", f"{x.free}:{x.billable}:" + (",".join(str(dict(x.packs).get(p.id, 0)) for p in term.packs) or "-"), r[6])
        expect(f"late {r[0]}: packs", [left[p.id] for p in packs], numbers(r[8]))


# -- whole months: settlement.table

class Scene:
    def __init__(self, text):
        self.text, self.edits, self.offset, self.n = text, [], 0, 0
        self.calc = None

    def begin(self):
        if self.calc is None:
            text = self.text
            for old, new in self.edits:
                text = text.replace(old, new)
            self.book = Book(text, 24 * HOUR)
            self.status = yaml.load(text, Loader=yaml.BaseLoader)["billable_status"]
            self.calc = Calculator("g", 24 * HOUR)
            self.calc.rules(1, None, self.book, 600000)
            self.clock = self.book.months.start[Months.parse("2020-01")]
            self.next = None
        return self.calc

    def said(self, record):
        self.begin().fact(0, self.offset, self.clock, record)
        self.offset += 1

    def calls(self, account, service, month, n):
        calc = self.begin()
        m = Months.parse(month)
        when = self.book.months.start[m] + HOUR
        self.n += 1
        if self.next is None:
            self.next = m
        calc.call(account, [(service, n)], when, self.clock, {"id": str(self.n)})

    def event(self, e):
        """A whole event, decided here by the event's own time; returns its outcome."""
        calc, when = self.begin(), read_ms(e["time"])
        steps = {}
        for item in e.get("items") or [e]:
            n, s = item.get("calls", 1), item["service"]
            if n < 1 or not self.book.begin[s] <= when < self.book.end[s]:
                return "rejected"
            steps[s] = steps.get(s, 0) + n
        codes = [row["codes"] for row in self.status if self.book.instant(row.get("from"), 0) <= when][-1]
        if e.get("status", "ok") not in codes:
            return "not_billable"
        if self.next is None:
            self.next = calc.months.of(when)
        return "late" if calc.call(e["account"], list(steps.items()), when, self.clock, {"id": e["id"]}) else "counted"

    def open(self):
        """The oldest open month in which something may be, when it closes, and until when its bills must be out: before the 4th of the next one, by the zone's own clocks."""
        months = self.begin().months
        m = max(months.first_open(self.clock), self.next)
        next_month = datetime.fromtimestamp(months.start[m + 1] // 1000, months.zone)
        return Months.name(m), months.close[m], int(next_month.replace(day=4).timestamp() * 1000)

    def passes(self, month):
        """The accounts topic as it ends now is what the manifest names."""
        m = Months.parse(month)
        self.clock = self.begin().months.close[m]
        self.calc.call("later", [("crop", 1)], self.book.months.start[m + 1] + HOUR, self.clock, {"id": f"later {month}"})
        for k in range(min(self.next, m), m + 1):
            self.calc.manifest(k, {}, 1, {0: self.offset})
        self.next = m + 1

    def closes(self, month):
        self.calc.end(Months.parse(month))

    def document(self, kind, subject, revision=None):
        found = {"line": self.calc.lines, "bill": self.calc.statements, "end": self.calc.closed}[kind]
        for e in found.values():
            d = e["data"]
            name = {"line": lambda: f"{d['account']}/{d['service']}/{d['period']}", "bill": lambda: f"{d['account']}/{d['period']}",
                    "end": lambda: d["period"]}[kind]()
            if name == subject and (revision is None or d["revision"] == int(revision)):
                return d
        return None


def shown(d, field):
    v = d.get(field)
    if v is None:
        return "nothing"
    if field == "packs":
        return ",".join(f"{p['id']}:{p['calls']}" for p in v)
    if field == "adjusts":
        return f"{v['revision']}/{v['calls']}/{v['charge']}"
    return str(len(v)) if field == "lines" and isinstance(v, list) else str(v)


def settlements():
    scene = case = None
    for r in rows("settlement.table"):
        if r[0] == "case":
            scene, case = Scene((TABLES / "settlement.yaml").read_text(encoding="utf-8")), r[1]
        elif r[0] == "book":
            scene.edits.append((r[1], r[2]))
        elif r[0] == "said":
            scene.said(json.loads(r[1]))
        elif r[0] == "calls":
            scene.calls(*r[1:4], int(r[4]))
        elif r[0] == "event":
            expect(f"{case}: {r[2]}", scene.event(json.loads(r[2])), r[1])
        elif r[0] == "open":
            expect(f"{case}: {r}", scene.open(), (r[1], read_ms(r[2]), read_ms(r[3])))
        elif r[0] == "pass":
            scene.passes(r[1])
        elif r[0] == "close":
            scene.closes(r[1])
        elif r[0] == "none":
            expect(f"{case}: {r[1:]}", scene.document("line", r[1], r[2]), None)
        elif r[0] in ("line", "bill", "end"):
            d = scene.document(r[0], r[1], r[2] if r[0] != "end" else None)
            if d is None:
                expect(f"{case}: {r}", None, "a document")
                continue
            for pair in r[-1].split():
                field, wanted = pair.split("=", 1)
                expect(f"{case}: {r[0]} {r[1]} {field}", shown(d, field), wanted)


# -- public billing cases

def vectors():
    for name in ("price_pages", "public_suites"):
        for v in json.loads((TESTS / "vectors" / f"{name}.json").read_text(encoding="utf-8"))["vectors"]:
            model = v["model"]
            if model not in ("volume", "graduated", "package") or "." in v.get("units", "") or v.get("final_period") is False or v.get("rounding") == "down":
                continue
            if any("." in str(t.get("up_to", t.get("to")) or "") for t in v.get("tiers", [])):
                continue
            low, tiers = 0, []
            for t in v.get("tiers", []):
                tiers.append({"from": low, "price": t.get("price", t.get("unit")), "fee": t.get("flat", t.get("fee", "0"))})
                low = t.get("to", t.get("up_to"))
            row = {"model": model, "per": v.get("per", 1), "bounds": v.get("bounds", "upper-inclusive"), "tier_basis": v.get("tier_basis", "total"),
                   "fee_at_zero": "true" if v.get("zero_usage_bills_flat") else "false"}
            if model == "package":
                row.update(package=v["package_size"], price=v["package_price"])
            else:
                row["tiers"] = tiers
            calls = int(v.get("calls", v.get("units")))
            _, _, billable = take(None, int(v.get("free", v.get("free_units", "0"))), [int(p["calls"]) for p in v.get("packs", [])], calls)
            if "discounts" in v or "minimum" in v or "maximum" in v:
                continue
            exact = Tariff(row).bill(calls, billable)[1]
            wanted = v["expect"].get("exact", v["expect"].get("total"))
            expect(f"vector {v['id']}", exact, Fraction(wanted))


if __name__ == "__main__":
    beginnings()
    ratings()
    freezes()
    roundings()
    deductions()
    late_deductions()
    settlements()
    vectors()
    print(f"{results[0]} passed, {results[1]} failed")
    sys.exit(1 if results[1] else 0)
