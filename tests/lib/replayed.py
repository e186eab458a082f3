#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What would have been, worked out a second time: replayed.py --config F [what is otherwise] < `meterctl replay --format ndjson`.

Reads the log twice by the auditor's own rules (auditor.py, calculator.py: fractions, nothing shared with meterd), once as it is and once
otherwise, and compares how the two differ with what meterd says: every bill of a settled month with its figures, every counter of an open
one, every alert by its id. Accounts keep to one partition. Exit 1 with the differences.

With --corrections, records of the accounts topic come in: those that --apply-as-adjustment wrote, one a line. They must be the differences of the
months that are closed, line by line, and nothing else. What was corrected before is part of the log as it is, and not of the other one."""
import argparse
import json
import os
import pickle
import sys
from fractions import Fraction

from auditor import Bad, Catalog, Decoder, Log, Settings, Topics, read_input
from calculator import NEVER, Book, Calculator, Months, Taken, Term, Terms, Version, cents, in_force


class PricedAs(Catalog):
    """A price book in which every month costs what `month` costs."""

    def __init__(self, raw, grace, month):
        super().__init__(raw, grace)
        self.as_month = month
        rows = [(id, members, in_force(rows, month)) for id, members, rows in self.sets]
        self.sets = [(id, members, [{**row, "from": "1999-01"}] if row else []) for id, members, row in rows]

    def tariff(self, service, month):
        return super().tariff(service, self.as_month)

    def free(self, service, month):
        return super().free(service, self.as_month)


class Otherwise(Calculator):
    """Months in `priced` by another price book, for bills and alerts."""

    def begin(self, books, priced):
        self.books, self.priced = {v.number: Version(v.number, NEVER, books[v.number], v.lead) for v in self.versions}, priced
        for month, (v, facts, cuts) in list(self.manifests.items()):
            if month in priced:
                self.manifests[month] = (self.books[v.number], facts, cuts)
        self.terms_kept = {}

    def terms_at(self, account, month, clock):
        if month not in self.priced:
            return super().terms_at(account, month, clock)
        clock = min(clock, self.months.close[month] - 1)
        v, said = self.books[self.version_at(clock).number], self.accounts[account].said
        seen = sum(1 for r in said.records if r[3] <= clock - v.lead)
        key = ("otherwise", account if said.records else None, month, seen, v.number)
        if key not in self.terms_kept:
            self.terms_kept[key] = Terms(v.book, said.as_of(clock - v.lead), month)
        return self.terms_kept[key]

    def terms_of_bill(self, a, v, facts, month):
        return Terms(v.book, a.said.as_of(NEVER, facts), month)


class WhatIf(Log):
    def __init__(self, settings, topics, args):
        super().__init__(settings, topics)
        self.args, self.other, self.left_out = args, {}, 0
        for a in self.calc.accounts.values() if not args.as_is else ():
            a.corrections = []
        if not args.catalog and not args.prices_of:
            return
        self.calc.__class__ = Otherwise
        books = {}
        for number, _, raw, _ in topics.versions:
            raw = open(args.catalog, "rb").read() if args.catalog else topics.versions[-1][2]
            books[number] = PricedAs(raw, settings.grace, Months.parse(args.prices_of)) if args.prices_of else Catalog(raw, settings.grace)
            if args.catalog:
                self.other[number] = Decoder(settings, Catalog(raw, settings.grace))
        self.calc.begin(books, range(Months.parse(args.first), Months.parse(args.last) + 1))

    def within(self, part, offset, stamp):
        low, high = self.args.offsets.get(part.number, (-1, -1)) if self.args.offsets else (0, NEVER)
        return self.args.from_ms <= stamp < self.args.to_ms and low <= offset < high

    def record(self, part, offset, stamp, value, headers):
        args, within = self.args, self.within(part, offset, stamp)
        if stamp > part.clock:
            self.advance(part, offset, stamp)
        if headers and not value and any(n == "__meterd.tick" for n, _ in headers):
            return
        number = self.calc.version_at(part.clock).number
        decoder = self.other.get(number, self.decoders[number]) if within else self.decoders[number]
        try:
            key, account, steps, status, when = self.understand(decoder, stamp, value, headers)
        except Bad:
            return
        source, id = key if isinstance(key, tuple) else (b"", key)
        if within and (part.name in args.exclude_partition or (source if isinstance(source, str) else source.decode()) in args.exclude_producer):
            self.left_out += 1
            return
        if self.duplicate(part, offset, key):
            return
        if status_text(status) not in args.billable if within and args.billable else not decoder.catalog.billable(status, when):
            return
        call = {"id": id, "source": source, "topic": part.topic, "partition": part.number, "offset": offset}
        self.calc.call(decoder.catalog.owner(account, when), steps, when, part.clock, call)


def status_text(status):
    return status.decode() if isinstance(status, bytes) else status


def run(config, args):
    settings = Settings(config)
    topics = Topics(settings)
    log = WhatIf(settings, topics, args)
    for topic in settings.inputs:
        read_input(log, topic, topics, (0, 1))
    log.end()
    return log


def figures(log):
    """(account, service, period) -> calls, late, then of settled ones free, billable, charge, unfreeze, freeze."""
    rows, settled = {}, set()
    for name, a in log.calc.accounts.items():
        for (service, month), n in a.calls.items():
            rows[(name, service, Months.name(month))] = [n, 0]
        for (service, month, _), n in a.late.items():
            row = rows.setdefault((name, service, Months.name(month)), [0, 0])
            row[0], row[1] = row[0] + n, row[1] + n
    newest, first = {}, {}
    for e in log.calc.lines.values():
        d = e["data"]
        key = (d["account"], d["service"], d["period"])
        settled.add(d["period"])
        if d["revision"] == 0:
            first[key] = d
        if key not in newest or d["revision"] > newest[key]["revision"]:
            newest[key] = d
    for key, d in newest.items():
        f = first.get(key, {"unfreeze": "0.00", "freeze": "0.00"})
        rows.setdefault(key, [0, 0]).extend([d["free"], d["billable"], d["charge"], f["unfreeze"], f["freeze"]])
    return rows, settled


def as_it_is(args, nothing):
    """The log does not grow between questions: its figures may be kept."""
    if args.kept and os.path.exists(args.kept):
        with open(args.kept, "rb") as f:
            return pickle.load(f)
    log = run(args.config, nothing)
    found = (*figures(log), log.calc.alerts)
    if args.kept:
        with open(args.kept, "wb") as f:
            pickle.dump(found, f)
    return found


def newest_lines(log):
    newest = {}
    for e in log.calc.lines.values():
        d = e["data"]
        key = (d["account"], d["period"], d["service"])
        if key not in newest or d["revision"] > newest[key]["revision"]:
            newest[key] = d
    return newest


def prices(tariff, rounding):
    """All that decides what calls cost, however it is written; None: price 0."""
    return (tariff.__dict__, rounding) if tariff else None


def prices_of(log, account, period, service, line=None):
    """Of a month's own; of a line that was corrected, those that it was corrected to."""
    month = Months.parse(period)
    v, facts, _ = log.calc.manifests[month]
    if service not in v.book.services:
        return "sold by nobody"
    term = log.calc.terms_of_bill(log.calc.account(account), v, facts, month).service[service]
    x = Taken(0)
    x.prices = line and line.get("prices")
    return prices(*Calculator.priced_by(term, x, v.book))


def said_prices(side, own):
    """A side of a line as it is said: figures, and prices where they are not those of the month."""
    if side is None:
        return None
    x = Taken(0)
    x.prices = side.get("prices")
    found = prices(*Calculator.priced_by(Term(), x, Book.__new__(Book))) if x.prices and x.prices["model"] != "free" else None
    return {k: v for k, v in side.items() if k != "prices"}, found if x.prices else own


def compare_corrections(before, after, records):
    x, y, wanted, got = newest_lines(before), newest_lines(after), {}, {}
    none = {"calls": 0, "free": 0, "packs": [], "billable": 0, "charge": "0.00"}
    for key in x.keys() | y.keys():
        if Months.parse(key[1]) not in before.calc.manifests:
            continue
        was, becomes = ({f: d[f] for f in none} for d in (x.get(key, none), y.get(key, none)))
        costs = [prices_of(before, *key), prices_of(before, *key, x.get(key)), prices_of(after, *key)]
        costs[2] = costs[0] if costs[2] == "sold by nobody" else costs[2]
        if was != becomes or ("prices" in x.get(key, none) and costs[1] != costs[2]):
            wanted[key] = (({"revision": x[key]["revision"], **was}, costs[1]) if key in x else None, (becomes, costs[2]))
    for r in records:
        for row in r["lines"]:
            own = prices_of(before, r["account"], row["period"], row["service"])
            got[(r["account"], row["period"], row["service"])] = (said_prices(row.get("was"), own), said_prices(row["becomes"], own))
            for side in (row.get("was") or {}, row["becomes"]):
                if "prices" in side and said_prices(side, None)[1] == own:
                    got[(r["account"], "prices said once more", "")] = side
    wrong = [f"{k}: said {got.get(k)}, computed {wanted.get(k)}" for k in sorted(wanted.keys() | got.keys()) if wanted.get(k) != got.get(k)]
    if {r["after"] for r in records} - {Months.name(max(before.calc.manifests))}:
        wrong.append("records name another month than the one that was closed last")
    if len({r["id"] for r in records}) > 1 or len({r["account"] for r in records}) != len(records):
        wrong.append("records of one application have one id, and each account has one")
    difference = sum((Fraction(b["charge"]) - Fraction((w[0] if w else none)["charge"]) for w, (b, _) in wanted.values()), Fraction(0))
    for line in wrong[:25]:
        print(f"replayed: {line}")
    print(f"replayed: {len(records)} records, {len(got)} lines, difference {cents(difference)}, {after.left_out} left out; {len(wrong) or 'no'} differences")
    return 1 if wrong or not wanted else 0


FIELDS = ("calls", "late", "free", "billable", "charge", "unfreeze", "freeze")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--config", required=True)
    p.add_argument("--catalog")
    p.add_argument("--prices-of")
    p.add_argument("--first", default="2000-01", help="months first to last are priced otherwise")
    p.add_argument("--last", default="2199-12")
    p.add_argument("--from-ms", type=int, default=-NEVER)
    p.add_argument("--to-ms", type=int, default=NEVER)
    p.add_argument("--offsets", type=lambda t: {int(k): tuple(v) for k, v in json.loads(t).items()}, default={}, help='{"0": [from, to]}')
    for many in ("--billable", "--exclude-producer", "--exclude-partition"):
        p.add_argument(many, action="append", default=[])
    p.add_argument("--kept", help="file for the figures of the log as it is")
    p.add_argument("--corrections", action="store_true")
    p.set_defaults(as_is=False)
    args = p.parse_args()
    nothing = argparse.Namespace(catalog=None, prices_of=None, from_ms=-NEVER, to_ms=NEVER, offsets={}, billable=[], exclude_producer=[], exclude_partition=[],
                                 as_is=True)
    if args.corrections:
        sys.exit(compare_corrections(run(args.config, nothing), run(args.config, args), [json.loads(line) for line in sys.stdin if line.strip()]))
    before, after = as_it_is(args, nothing), run(args.config, args)
    (x, settled, alerts_before), (y, _) = before, figures(after)
    got = [json.loads(line) for line in sys.stdin if line.strip()]
    wrong, difference = [], Fraction(0)

    bills = {(r["account"], r["service"], r["period"]): r for r in got if r["finding"] == "bill"}
    for key in sorted(x.keys() | y.keys() | bills.keys()):
        a, b, r = x.get(key, [0, 0]), y.get(key, [0, 0]), bills.get(key)
        if key[2] not in settled:
            a, b = a[:2], b[:2]
        else:
            a, b = a + [None] * (7 - len(a)), b + [None] * (7 - len(b))
            moved = Fraction(b[4] or 0) - Fraction(a[4] or 0)
            difference += moved
            said = cents(moved) if a[4] or b[4] else None  # a month at price 0 has no line
            if r and r["difference"] != said:
                wrong.append(f"{key}: difference {r['difference']}, computed {said}")
        if r and r["state"] != ("settled" if key[2] in settled else "open"):
            wrong.append(f"{key}: {r['state']}")
        if a != b and not r:
            wrong.append(f"{key}: no row; computed {a} and {b}")
        if r and a == b and key[2] in settled:
            wrong.append(f"{key}: a row, and nothing differs: {r}")
        for i, field in enumerate(FIELDS[:len(a)] if r else ()):
            if [r[f"{field}_before"], r[f"{field}_after"]] != [a[i], b[i]]:
                wrong.append(f"{key} {field}: {r[f'{field}_before']} and {r[f'{field}_after']}, computed {a[i]} and {b[i]}")

    wanted = {id: "alert not raised" for id in alerts_before.keys() - after.calc.alerts.keys()}
    wanted.update((id, "alert raised") for id in after.calc.alerts.keys() - alerts_before.keys())
    alerts = {r["id"]: r["finding"] for r in got if r["finding"] != "bill"}
    for id in wanted.keys() | alerts.keys():
        if wanted.get(id) != alerts.get(id):
            e = alerts_before.get(id) or after.calc.alerts.get(id) or next(r for r in got if r["id"] == id)
            wrong.append(f"alert {id}: {alerts.get(id)}, computed {wanted.get(id)}: {e.get('subject', e)} {e.get('type', '')}")
    for line in wrong[:25]:
        print(f"replayed: {line}")
    print(f"replayed: {len(bills)} bills, {len(alerts)} alerts, {after.left_out} left out, settled months {cents(difference)}; {len(wrong) or 'no'} differences")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
