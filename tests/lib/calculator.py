#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What calls cost: an independent calculator, slow and obvious, written from the rules of billing and from the README alone. Shares no
code and no idea with meterd's: fractions instead of 128-bit integers, every sum made anew instead of kept.

Goes in: versions of the price book with the record clock from which each holds, records of the accounts topic, and calls in the order
of the log. Comes out: counters, alerts at the exact call, settlements with what packs gave, adjustments, statements, ends of run.

    calc = Calculator(group="meterd", grace_ms=86400000)
    calc.rules(1, None, Book(text), lead_ms=600000)
    calc.fact(partition, offset, stamp_ms, {"type": "pack", …})
    calc.call(account, [(service, calls)], when_ms, clock_ms, {"id": …, "topic": …, "partition": …, "offset": …})
    calc.manifest(month, cuts, version, {accounts partition: offset})   # before the calls: a record behind a close knows what was settled
    calc.end(month)                  # nothing more comes; the last month that is closed

Months are numbers (Months.parse); times are milliseconds; money is Fraction. Of one account all calls lie in one partition.
"""
import bisect
import hashlib
import json
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import yaml

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
FIRST_YEAR, LAST_YEAR = 1999, 2200
NEVER = 1 << 62
CORRECTED_MOST = 10 ** 12  # yuan: of a line, of its calls in any tier of the prices that a correction brings, and of all lines of a correction together


class Unknown(Exception):
    """Something that these rules do not cover: no figure rather than a guess."""


# -- time: a month is (year - FIRST_YEAR) * 12 + month - 1

def to_ms(when):
    return (when - EPOCH) // timedelta(milliseconds=1)


def show_ms(ms):
    return (EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def read_ms(text):
    return to_ms(datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text)))


class Months:
    def __init__(self, zone, grace_ms):
        self.zone = z = ZoneInfo(zone)
        n = (LAST_YEAR - FIRST_YEAR) * 12
        self.start = [to_ms(datetime(FIRST_YEAR + i // 12, i % 12 + 1, 1, tzinfo=z)) for i in range(n + 1)]
        self.close = [s + grace_ms for s in self.start[1:]]

    def of(self, ms):
        return bisect.bisect_right(self.start, ms) - 1

    def first_open(self, clock):
        """The first month whose close lies after the clock."""
        return bisect.bisect_right(self.close, clock)

    @staticmethod
    def name(m):
        return f"{FIRST_YEAR + m // 12}-{m % 12 + 1:02d}"

    @staticmethod
    def parse(text):
        m = re.fullmatch(r"(\d{4})-(\d\d)", text)
        if not m or not 1 <= int(m[2]) <= 12:
            raise Unknown(f"not a month: {text}")
        return (int(m[1]) - FIRST_YEAR) * 12 + int(m[2]) - 1


# -- numbers

def whole(text):
    return int(str(text).replace("_", ""))


def money(amount):
    """A fraction as a decimal without trailing zeros, never with an exponent."""
    sign, amount = "-" if amount < 0 else "", abs(amount)
    digits = 0
    while (amount * 10 ** digits).denominator != 1:
        digits += 1
        if digits > 40:
            raise Unknown(f"{amount} has no end")
    text = str((amount * 10 ** digits).numerator).rjust(digits + 1, "0")
    return sign + (f"{text[:-digits]}.{text[-digits:]}" if digits else text)


def cents(amount):
    """A whole number of cents as text."""
    n = amount * 100
    if n.denominator != 1:
        raise Unknown(f"{amount} is not rounded")
    n = n.numerator
    return f"{'-' if n < 0 else ''}{abs(n) // 100}.{abs(n) % 100:02d}"


def round_cents(amount, how):
    """Rule 13."""
    low = (abs(amount) * 100).numerator // (abs(amount) * 100).denominator
    rest = abs(amount) * 100 - low
    half = Fraction(1, 2)
    if how == "half-up" and rest >= half:
        low += 1
    elif how == "half-even" and (rest > half or (rest == half and low % 2 == 1)):
        low += 1
    elif how not in ("half-up", "half-even", "down"):
        raise Unknown(f"rounding {how}")
    return Fraction(low if amount >= 0 else -low, 100)


def ceil(x):
    return -(-x.numerator // x.denominator)


# -- what one service costs

class Tariff:
    """Prices of one service: rules 1 to 4."""

    def __init__(self, row):
        self.model = row["model"]
        if self.model not in ("volume", "graduated", "flat", "package"):
            raise Unknown(f"pricing model {self.model}")
        self.per = whole(row.get("per", 1))
        self.package = whole(row.get("package", 1))
        self.upper = row.get("bounds", "lower-inclusive") == "upper-inclusive"
        self.basis = row.get("tier_basis", "total")
        self.fee_at_zero = str(row.get("fee_at_zero", "false")).lower() == "true"
        tiers = row["tiers"] if "tiers" in row else [{"from": 0, "price": row["price"], "fee": row.get("fee", "0")}]
        self.bounds = [whole(t["from"]) for t in tiers]
        self.prices = [Fraction(str(t["price"])) for t in tiers]
        self.fees = [Fraction(str(t.get("fee", "0"))) for t in tiers]

    def with_basis(self, basis):
        twin = object.__new__(Tariff)
        twin.__dict__.update(self.__dict__, basis=basis)
        return twin

    def picks(self, calls, billable):
        return calls if self.basis == "total" else billable

    def tier(self, count):
        """The tier that holds the count: the last one whose beginning it has reached, or with upper-inclusive bounds passed."""
        found = 0
        for i, bound in enumerate(self.bounds):
            if count > bound or (count == bound and not self.upper):
                found = i
        return found

    def units(self, calls):
        """What is multiplied by the price: calls pro rata, or blocks that were started."""
        return Fraction(ceil(Fraction(calls, self.package))) if self.model == "package" else Fraction(calls, self.per)

    def fee(self, i, count):
        """Due once the count reaches the tier; a count of 0 reaches none, unless the price book says so."""
        return self.fees[i] if count > 0 or self.fee_at_zero else Fraction(0)

    def bill(self, calls, billable):
        """(tier, exact, slices) of a month of `calls`, of which `billable` are neither free nor covered by packs."""
        count = self.picks(calls, billable)
        reached = self.tier(count)
        if self.model == "graduated":
            # the calls of the month in a row: free ones first, then those of packs, then billable ones
            begin, end = (calls - billable, calls) if self.basis == "total" else (0, billable)
            slices = []
            for i, low in enumerate(self.bounds):
                high = self.bounds[i + 1] if i + 1 < len(self.bounds) else NEVER
                n = max(0, min(end, high) - max(begin, low))
                fee = self.fee(i, count) if i <= reached else Fraction(0)
                if n > 0 or fee:
                    slices.append((i, n, self.units(n) * self.prices[i] + fee))
        else:
            fee = self.fee(reached, count)
            n = billable if self.model != "package" else self.units(billable).numerator
            slices = [(reached, n, self.units(billable) * self.prices[reached] + fee)] if n > 0 or fee else []
        return reached, sum((s[2] for s in slices), Fraction(0)), slices


class Free:
    """Free calls a month: rule 5."""

    def __init__(self, row):
        row = row or {}
        self.calls = whole(row.get("calls", 0))
        warn = str(row.get("warn", "0.8"))
        self.share = None if warn == "none" else Fraction(warn)
        self.next = row.get("first_month", "immediate") == "next"

    def in_month(self, month, activated):
        return 0 if self.next and activated == month else self.calls


NO_FREE = Free(None)


def in_force(rows, month):
    """Of dated rows the last one that has begun."""
    found = None
    for row in sorted(rows or [], key=lambda r: Months.parse(r["from"])):
        if Months.parse(row["from"]) <= month:
            found = row
    return found


class Book:
    """One version of the price book."""

    def __init__(self, text, grace_ms=86400000):
        raw = text if isinstance(text, bytes) else text.encode("utf-8")
        tree = yaml.load(raw.decode("utf-8"), Loader=yaml.BaseLoader)
        self.sha256 = hashlib.sha256(raw).hexdigest()
        self.version, self.currency = tree["version"], tree["currency"]
        self.months = Months(tree["time_zone"], grace_ms)
        self.rounding = tree.get("rounding", "half-up")
        self.freeze_basis = tree.get("freeze_basis", "list")
        self.freeze_ratio = Fraction(tree.get("freeze_ratio", "1"))
        self.pack_order = tree.get("pack_order", "earliest-expiry")
        self.zero_price = (tree.get("statements") or {}).get("zero_price", "false") == "true"
        self.rows = {row["id"]: row for row in tree["services"]}
        self.services = [row["id"] for row in tree["services"]]  # the order of the price book
        self.place = {s: i for i, s in enumerate(self.services)}
        self.begin = {s: self.instant(r.get("begin"), -NEVER) for s, r in self.rows.items()}
        self.end = {s: self.instant(r.get("end"), NEVER) for s, r in self.rows.items()}
        self.sets = [(s["id"], list(s["services"]), s.get("free")) for s in tree.get("shared_free") or []]
        self.tariffs, self.frees = {}, {}

    def instant(self, text, default):
        if text is None:
            return default
        return self.months.start[Months.parse(text)] if re.fullmatch(r"\d{4}-\d\d", text) else read_ms(text)

    def tariff(self, service, month):
        """None: a month at price 0."""
        if (service, month) not in self.tariffs:
            row = in_force(self.rows[service].get("prices"), month)
            self.tariffs[(service, month)] = None if row is None or row.get("model") == "free" else Tariff(row)
        return self.tariffs[(service, month)]

    def free(self, service, month):
        if (service, month) not in self.frees:
            row = in_force(self.rows[service].get("free"), month)
            self.frees[(service, month)] = Free(row) if row else NO_FREE
        return self.frees[(service, month)]

    def lives_in(self, service, month):
        return self.begin[service] < self.months.start[month + 1] and self.end[service] > self.months.start[month]


# -- what was said of an account

class Said:
    """Records of the accounts topic about one account; asked as of a moment."""

    def __init__(self):
        self.records = []  # (clock, partition, offset, stamp, record)

    def add(self, clock, partition, offset, stamp, record):
        self.records.append((clock, partition, offset, stamp, record))
        self.records.sort(key=lambda r: r[:3])

    def visible(self, stamp, cuts):
        return [r for r in self.records if r[3] <= stamp and (cuts is None or r[2] < cuts.get(r[1], 0))]

    def pack_versions(self, cuts):
        """Each that ever held."""
        newest = {}
        for _, _, _, _, r in self.visible(NEVER, cuts):
            if r["type"] in ("pack", "pack.cancelled") and r["version"] > newest.get(r["id"], 0 if r["type"] == "pack" else NEVER):
                newest[r["id"]] = r["version"]
                if r["type"] == "pack":
                    yield r

    def as_of(self, stamp=NEVER, cuts=None):
        """What the visible records make: the newest version of each thing. (activations, contracts in log order, packs)"""
        things = {}  # (kind, id) -> [version, position, record that holds, cancelled from, newest record]
        for position, (_, _, _, _, r) in enumerate(self.visible(stamp, cuts)):
            kind = "pack" if r["type"] == "pack.cancelled" else r["type"]
            old = things.get((kind, r["id"]))
            if old is not None and r["version"] <= old[0]:
                continue  # a repeat, another under the same version, or stale
            if r["type"] == "pack.cancelled":
                if old is None:
                    continue  # of a pack that is not known
                things[(kind, r["id"])] = [r["version"], old[1], old[2], Months.parse(r["from"])]
            else:
                things[(kind, r["id"])] = [r["version"], position, r, None]
        activations = [t[2] for (kind, _), t in things.items() if kind == "activation"]
        contracts = [t[2] for (kind, _), t in sorted(things.items(), key=lambda t: t[1][1]) if kind == "contract"]
        packs = [Pack(t[2], t[3]) for (kind, _), t in things.items() if kind == "pack"]
        return activations, contracts, packs


class Pack:
    def __init__(self, record, cancelled):
        self.id, self.calls, self.services = record["id"], record["calls"], record["services"]
        self.start, self.expiry, self.cancelled = read_ms(record["start"]), read_ms(record["expiry"]), cancelled
        warn = str(record.get("warn", "0.8"))
        self.share = None if warn == "none" else Fraction(warn)

    def covers(self, service, month, months):
        if service not in self.services or (self.cancelled is not None and month >= self.cancelled):
            return False
        return self.start < months.start[month + 1] and self.expiry > months.start[month]

    def order(self, book):
        return (self.expiry if book.pack_order == "earliest-expiry" else self.start, self.id.encode())


NOBODY = Said()


class Term:
    """What holds for one service, account and month."""

    def __init__(self):
        self.tariff = self.list = self.contract = self.shared = None
        self.free, self.packs = NO_FREE, []


class Terms:
    """Price book, contracts and packs put together for one account and month."""

    def __init__(self, book, said, month):
        self.book, self.month = book, month
        activations, contracts, packs = said
        self.activated = min((book.months.of(read_ms(a["time"])) for a in activations), default=NEVER)
        self.packs = sorted(packs, key=lambda p: p.order(book))
        self.service = {s: Term() for s in book.services}
        self.sets = {}  # shared free calls: id -> (Free, services that take part)
        for s, t in self.service.items():
            t.list = t.tariff = book.tariff(s, month)
            t.free = book.free(s, month)
        for id, members, rows in book.sets:
            row = in_force(rows, month)
            if row is not None:
                self.sets[id] = (Free(row), [])
                for s in members:
                    self.service[s].shared, self.service[s].free = id, NO_FREE
        for c in contracts:
            if Months.parse(c["from"]) <= month < (Months.parse(c["until"]) if "until" in c else NEVER):
                for row in c["services"]:
                    if row["service"] in self.service:
                        self.contract(row, f"{c['id']}/{c['version']}")
        for s in book.services:
            t = self.service[s]
            if t.tariff is None:  # at price 0 nothing is taken from anything
                t.free, t.shared, t.packs = NO_FREE, None, []
                continue
            if t.shared is not None:
                self.sets[t.shared][1].append(s)
            t.packs = [p for p in self.packs if p.covers(s, month, book.months)]

    def contract(self, row, name):
        """Of several that name the service the one accepted last decides it, whole."""
        s = row["service"]
        t = self.service[s]
        t.tariff, t.contract = t.list, name
        t.free = self.book.free(s, self.month)
        t.shared = next((id for id, (_, _) in self.sets.items() if s in next(m for i, m, _ in self.book.sets if i == id)), None)
        if t.shared is not None:
            t.free = NO_FREE
        if "prices" in row:
            t.tariff = None if row["prices"]["model"] == "free" else Tariff({"tier_basis": "total", **row["prices"]})
        if "tier_basis" in row and t.tariff is not None:
            t.tariff = t.tariff.with_basis(row["tier_basis"])
        if "free" in row:
            t.free, t.shared = Free(row["free"]), None

    def active(self, by_calls):
        return min(self.activated, by_calls)


# -- who takes what

class Taken:
    def __init__(self, calls):
        self.calls, self.free, self.billable, self.packs = calls, 0, calls, []  # packs: [(id, calls)] in order of deduction
        self.corrected = None  # of a line that was corrected: the id of the correction, and the prices that it brought, if any
        self.prices = None

    def take(self, n):
        n = min(self.billable, n)
        self.billable -= n
        return n


def deduct(terms, calls, activated, left):
    """One month: services in the order of the price book, each its own free calls, then the shared ones, then packs in order. `left`: what
    packs still hold, by id; is moved on. Returns service -> Taken."""
    pools = {id: free.in_month(terms.month, activated) for id, (free, _) in terms.sets.items()}
    taken = {}
    for s in terms.book.services:
        t, x = terms.service[s], Taken(calls.get(s, 0))
        x.free = x.take(t.free.in_month(terms.month, activated))
        if t.shared is not None:
            n = x.take(pools[t.shared])
            pools[t.shared] -= n
            x.free += n
        for p in t.packs:
            n = x.take(left.get(p.id, 0))
            left[p.id] = left.get(p.id, 0) - n
            if n > 0:
                x.packs.append((p.id, n))
        taken[s] = x
    return taken


def deduct_late(term, old, more, quota_now, pool_left, left):
    """A settled month once more with late calls. What packs gave stays, what was charged is not covered later; free calls are counted anew
    over what no pack covered. quota_now: own free calls; pool_left: what is left of the shared ones in that month."""
    x = Taken(old.calls + more)
    gave = dict(old.packs)
    for n in gave.values():
        x.take(n)
    x.free = x.take(quota_now if term.shared is None else old.free + pool_left)
    may_take = max(0, x.billable - old.billable)
    for p in term.packs:
        n = min(may_take, left.get(p.id, 0))
        x.take(n)
        may_take -= n
        left[p.id] = left.get(p.id, 0) - n
        gave[p.id] = gave.get(p.id, 0) + n
    order = [p.id for p in term.packs]
    x.packs = [(id, gave[id]) for id in sorted(gave, key=lambda id: order.index(id) if id in order else len(order)) if gave[id] > 0]
    return x


# -- documents

def identify(parts):
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def envelope(identity, group, type, subject, when, data):
    return {"specversion": "1.0", "id": identify(identity), "source": f"/meterd/{group}", "type": type, "subject": subject,
            "time": when, "data": data}


class Rung:
    """A quantity and the count at which it raises an alert."""

    def __init__(self, kind, of, month, name, at, bound, tier=None, pack=None):
        self.kind, self.of, self.month, self.name, self.at, self.bound, self.tier, self.pack = kind, of, month, name, at, bound, tier, pack
        self.void = False  # free calls that do not hold in the month of activation: reached in it, they are never told


class Account:
    def __init__(self):
        self.said = Said()
        self.corrections = []  # (clock, partition, offset, record)
        self.calls = {}     # (service, month) -> counted calls
        self.late = {}      # (service, month, bucket) -> late calls
        self.first = {}     # month -> smallest bucket of its calls: the month of the close that takes them in
        self.fired = set()
        self.looked = None  # the record clock up to which changes were looked at
        self.settled = None # the newest month that is settled
        self.documents = {} # closing month -> (own lines, adjustments, their difference)
        self.lines, self.statements = {}, {}
        self.deducted = {}  # pack -> calls, by all settlements and adjustments so far
        self.frozen = {}    # service -> what the last settlement froze
        self.newest = {}    # (month) -> {service: (Taken, line envelope)}
        self.revision = {}  # month -> of its newest statement


class Version:
    def __init__(self, number, effective, book, lead_ms):
        self.number, self.effective, self.book, self.lead = number, effective, book, lead_ms


class Calculator:
    def __init__(self, group, grace_ms):
        self.group, self.grace = group, grace_ms
        self.versions = []
        self.accounts = {}
        self.alerts, self.closed = {}, {}
        self.manifests = {}  # month -> (version, cuts of the accounts topic)
        self.corrects = set() # months whose manifest says that there are corrections
        self.clocks = {}     # of partitions of the accounts topic
        self.simple = {}
        self.terms_kept = {}

    @property
    def lines(self):
        return {id: e for a in self.accounts.values() for id, e in a.lines.items()}

    @property
    def statements(self):
        return {id: e for a in self.accounts.values() for id, e in a.statements.items()}

    # ---- what is known
    def rules(self, number, effective, book, lead_ms):
        self.versions.append(Version(number, -NEVER if effective is None else effective, book, lead_ms))
        self.versions.sort(key=lambda v: v.number)
        self.months = book.months

    def fact(self, partition, offset, stamp, record):
        self.clocks[partition] = max(self.clocks.get(partition, -NEVER), stamp)
        a = self.account(record["account"])
        if record["type"] == "correction":
            a.corrections.append((self.clocks[partition], partition, offset, record))
            a.corrections.sort(key=lambda c: c[:3])
        else:
            a.said.add(self.clocks[partition], partition, offset, stamp, record)

    def account(self, name):
        return self.accounts.setdefault(name, Account())

    def version_at(self, clock):
        found = self.versions[0]
        for v in self.versions:
            if v.effective <= clock:
                found = v
        return found

    # ---- alerts
    def terms_at(self, account, month, clock):
        """As alerts see it at a record clock. A month that is closed stays as it was known then."""
        a = self.accounts[account]
        clock_then = min(clock, self.months.close[month] - 1)
        v, then = self.version_at(clock), self.version_at(clock_then)
        stamp = clock_then - then.lead
        seen = sum(1 for r in a.said.records if r[3] <= stamp)
        key = (account if a.said.records else None, v.number, month, seen)
        if key not in self.terms_kept:
            self.terms_kept[key] = Terms(v.book, a.said.as_of(stamp), month)
        return self.terms_kept[key]

    def by_calls(self, a, known=NEVER):
        """The month that calls activated, as far as known when the month `known` closes."""
        return min((m for m, bucket in a.first.items() if bucket <= known), default=NEVER)

    def rungs_of_month(self, terms, activated):
        rungs = []
        m = terms.month

        def quota(free, name, of):
            n = free.calls
            if n > 0 and free.share:
                at = ceil(free.share * n)
                rungs.append(Rung("free_quota.warning", of, m, name, at, at))
            if n > 0:
                rungs.append(Rung("free_quota.exhausted", of, m, name, n, n))
            for rung in rungs[len(rungs) - (n > 0) - bool(n > 0 and free.share):]:
                rung.void = free.in_month(m, activated) == 0

        for s in terms.book.services:
            t = terms.service[s]
            if t.tariff is None:
                continue
            quota(t.free, s, "calls")
            for i, bound in enumerate(t.tariff.bounds):
                if i > 0:
                    of = "calls" if t.tariff.basis == "total" else "billable"
                    rungs.append(Rung("tier.crossed", of, m, s, bound + (1 if t.tariff.upper else 0), bound, tier=i))
        for id, (free, members) in terms.sets.items():
            if members:
                quota(free, id, "shared")
        return rungs

    def look(self, account, clock):
        """Every bound of the account and where its quantity stands: [(rung, value)]; month -> (terms, Taken by service, month of activation);
        what is taken of each pack. Counted calls alone take; a month that is closed at this record clock took by the terms that it had."""
        a = self.accounts[account]
        used = {m for _, m in a.calls}
        if not used:
            return [], {}, {}
        packs, left, result, seen, taken_of = {}, {}, [], {}, {}
        for m in range(self.months.first_open(clock), self.months.of(clock) + 2):
            for t in self.terms_at(account, m, clock).service.values():
                packs.update((p.id, p) for p in t.packs) # what gives in no open month alerts no more
        for m in range(min(used), max(used) + 1):
            terms = self.terms_at(account, m, clock)
            for p in terms.packs:
                left[p.id] = max(0, p.calls - taken_of.get(p.id, 0))
            calls = {s: n for (s, month), n in a.calls.items() if month == m}
            activated = terms.active(self.by_calls(a, m))
            taken = deduct(terms, calls, activated, left)
            for x in taken.values():
                for id, n in x.packs:
                    taken_of[id] = taken_of.get(id, 0) + n
            seen[m] = (terms, taken, activated)
            if self.months.close[m] <= clock:
                continue
            for r in self.rungs_of_month(terms, activated):
                value = {"calls": lambda: taken[r.name].calls, "billable": lambda: taken[r.name].billable,
                         "shared": lambda: sum(taken[s].calls for s in terms.sets[r.name][1])}[r.of]()
                result.append((r, value))
        for id, p in packs.items():
            name = p.services[0] if len(p.services) == 1 else id
            if p.share:
                at = ceil(p.share * p.calls)
                result.append((Rung("pack.warning", "pack", None, name, at, at, pack=p), taken_of.get(id, 0)))
            result.append((Rung("pack.exhausted", "pack", None, name, p.calls, p.calls, pack=p), taken_of.get(id, 0)))
        return result, seen, taken_of

    def shares(self, account, service, month, clock):
        """Does the service share anything, or was anything said of the account?"""
        if self.accounts[account].said.records:
            return True
        v = self.version_at(clock)
        return len(self.versions) > 1 or any(service in members for _, members, _ in v.book.sets)

    def call(self, account, steps, when, clock, call):
        """One accepted event: steps [(service, calls)] in order of first mention. Returns whether it is late."""
        a = self.account(account)
        month, bucket = self.months.of(when), self.months.first_open(clock)
        late = bucket > month
        if a.said.records or len(self.versions) > 1:
            self.changes(account, clock)
        self.settle_up_to(account, bucket - 1)
        a.first[month] = min(a.first.get(month, NEVER), bucket)
        for service, n in steps:
            if late:
                a.late[(service, month, bucket)] = a.late.get((service, month, bucket), 0) + n
            elif self.shares(account, service, month, clock):
                self.step(account, service, month, n, when, clock, call)
            else:
                self.simple_step(account, service, month, n, when, clock, call)
        return late

    def simple_step(self, account, service, month, n, when, clock, call):
        """Nothing is shared: each rung is a count of this service's calls."""
        a = self.accounts[account]
        before = a.calls.get((service, month), 0)
        a.calls[(service, month)] = after = before + n
        terms = self.terms_at(account, month, clock)
        activated = terms.active(self.by_calls(a))
        key = (id(terms), service, activated == month)
        if key not in self.simple:
            quota = terms.service[service].free.in_month(month, activated)
            self.simple[key] = sorted(((r.at + (quota if r.of == "billable" else 0), r) for r in self.rungs_of_month(terms, activated)
                                       if r.name == service), key=lambda x: x[0])
        for at, r in self.simple[key]:
            if at > after:
                break
            if before < at and r.void:
                a.fired.add(self.once(r))
            elif before < at:
                taken = [deduct(terms, {service: x}, activated, {})[service] for x in (before, after)]
                self.alert(account, clock, r, terms, activated, taken, (before, after), (0, 0), when, {**call, "calls": n}, month)

    def step(self, account, service, month, n, when, clock, call):
        a = self.accounts[account]
        a.calls.setdefault((service, month), 0)
        before, seen_before, used_before = self.look(account, clock)
        a.calls[(service, month)] += n
        after, seen_after, used_after = self.look(account, clock)
        stood = {(r.kind, r.month, r.name, r.at, r.bound, r.pack and r.pack.id): value for r, value in before}
        for r, value in after:
            was = stood.get((r.kind, r.month, r.name, r.at, r.bound, r.pack and r.pack.id), 0)
            if was < r.at <= value and r.void:
                a.fired.add(self.once(r))
            elif was < r.at <= value:
                m = month if r.pack else r.month
                terms, taken, activated = seen_after[m]
                old = seen_before[m][1]
                who = service if r.pack else r.name
                if r.of == "shared":
                    pair, counts = None, tuple(sum(x[s].calls for s in terms.sets[r.name][1]) for x in (old, taken))
                else:
                    pair = (old[who], taken[who])
                    counts = (pair[0].calls, pair[1].calls)
                used = (used_before.get(r.pack.id, 0), used_after.get(r.pack.id, 0)) if r.pack else (0, 0)
                self.alert(account, clock, r, terms, activated, pair, counts, used, when, {**call, "calls": n}, m)

    def alert(self, account, clock, r, terms, activated, taken, counts, used, when, call, month, cause=None):
        period = Months.name(month)
        identity = ("alert", account, r.name, period, r.kind, str(r.bound), r.pack.id if r.pack else "")
        if self.once(r) in self.accounts[account].fired:
            return
        self.accounts[account].fired.add(self.once(r))
        data = {"kind": r.kind, "account": account, "service": r.name, "period": period, "threshold": r.bound,
                "calls_before": counts[0], "calls_after": counts[1], "catalog": terms.book.version,
                "call": None if cause else {**call, "time": show_ms(when)}}
        if cause:
            data["cause"] = cause
        if r.kind == "tier.crossed":
            t = terms.service[r.name].tariff
            bills = [money(t.bill(x.calls, x.billable)[1]) for x in taken]
            data.update(from_tier=r.tier, to_tier=r.tier + 1, unit_price_from=money(t.prices[r.tier - 1]), unit_price_to=money(t.prices[r.tier]),
                        per=t.per, currency=terms.book.currency, bill_before=bills[0], bill_after=bills[1])
        elif r.pack:
            data.update(pack=r.pack.id, pack_calls=r.pack.calls, left=max(0, r.pack.calls - used[1]), used_before=used[0], used_after=used[1])
            if r.kind == "pack.warning":
                data["share"] = money(r.pack.share)
            if len(r.pack.services) > 1:
                data["services"] = r.pack.services
        else:
            free = terms.sets[r.name][0] if r.of == "shared" else terms.service[r.name].free
            quota = free.in_month(month, activated)
            data["quota"] = quota
            if r.kind == "free_quota.warning":
                data.update(share=money(free.share), left=max(0, quota - counts[1]))
            if r.of == "shared":
                data["services"] = terms.sets[r.name][1]
        e = envelope(identity, self.group, f"meterd.{r.kind}.v1", f"{account}/{r.name}/{period}", show_ms(when), data)
        self.alerts[e["id"]] = e

    @staticmethod
    def once(r):
        """What is raised once: a pack's bounds are of its life, the others of a month."""
        return (r.name, r.kind, r.bound, r.pack.id if r.pack else r.month)

    # ---- alerts that a change made due
    def turns(self, account, since, until):
        """Record clocks in (since, until] at which other rules or facts take effect for the account."""
        times = {v.effective for v in self.versions if since < v.effective <= until}
        for r in self.accounts[account].said.records:
            for v in self.versions:
                t = r[3] + v.lead
                if since < t <= until and self.version_at(t) is v:
                    times.add(t)
        return sorted(times)

    def cause(self, account, t):
        """The change in words: the last thing said of the account, or the rules where they came after it."""
        v, last, things = self.version_at(t), None, {}
        for r in self.accounts[account].said.records:
            kind = r[4]["type"].split(".")[0]
            thing = things.setdefault((kind, r[4]["id"]), [])
            if r[4]["version"] > max((x[4]["version"] for x in thing), default=0) and (thing or not r[4]["type"].endswith("cancelled")):
                thing.append(r)  # not refused
        for records in things.values():
            for r in records:
                if r[3] + v.lead <= t and (last is None or r[3] >= last[3]):
                    last = r
        if last is not None and last[3] + v.lead > v.effective:
            return f"{last[4]['type'].split('.')[0]} {last[4]['id']}, version {last[4]['version']}"
        return f"price book {v.book.version}, rules version {v.number}"

    def changes(self, account, clock):
        """Every change up to a record clock; the calls before it are counted."""
        a = self.accounts[account]
        for t in self.turns(account, -NEVER if a.looked is None else a.looked, clock):
            rungs, seen, used = self.look(account, t)
            for r, value in rungs:
                if value >= r.at and r.void:
                    a.fired.add(self.once(r))
                elif value >= r.at:
                    self.due(account, t, r, seen, used)
        a.looked = clock if a.looked is None else max(a.looked, clock)

    def due(self, account, t, r, seen, used):
        """Without a call. A pack's stands in the month that it begins in, with the calls then of the services that it covers."""
        m = self.months.of(r.pack.start) if r.pack else r.month
        terms, taken, activated = seen.get(m, (self.terms_at(account, m, t), {}, None))
        pair, u = None, used.get(r.pack.id, 0) if r.pack else 0
        if r.pack:
            n = sum(x.calls for s, x in taken.items() if any(p.id == r.pack.id for p in terms.service[s].packs))
        elif r.of == "shared":
            n = sum(taken[s].calls for s in terms.sets[r.name][1])
        else:
            pair, n = (taken[r.name], taken[r.name]), taken[r.name].calls
        self.alert(account, t, r, terms, activated, pair, (n, n), (u, u), t, None, m, cause=self.cause(account, t))

    # ---- bills
    def manifest(self, month, cuts, version=None, facts=None, corrects=True):
        """A month's end. cuts: what `cutoffs` says; version: of the rules; facts: partition -> first offset of the accounts topic that does not
        belong any more (None: all). corrects: it says that there are corrections among them."""
        self.corrects.discard(month)
        if corrects:
            self.corrects.add(month)
        v = next(v for v in self.versions if v.number == version) if version is not None else self.version_at(self.months.close[month])
        self.manifests[month] = (v, facts, cuts)

    def settle_up_to(self, name, month):
        """Settles the account's months that are closed: it is known by now what belongs to them."""
        a = self.accounts[name]
        for m in sorted(self.manifests):
            if m <= month and (a.settled is None or m > a.settled):
                a.settled = m
                count, difference = self.adjust(name, m)
                a.documents[m] = (self.settle(name, m), count, difference)

    def begins(self):
        """The first month that is closed: of the calls that the earliest close takes in, the earliest month."""
        return min((max(bucket, m), m) for a in self.accounts.values() for m, bucket in a.first.items())[1]  # a month's own calls wait for its own close

    def end(self, month, clock=None):
        """Nothing more comes, and months up to this one are closed: their ends of run."""
        for name, a in self.accounts.items():
            if clock is not None and a.calls and (a.said.records or len(self.versions) > 1):
                self.changes(name, clock)
            self.settle_up_to(name, month)
        for m in sorted(self.manifests):
            if m <= month:
                self.end_of_run(m)

    def end_of_run(self, month):
        book, period = self.manifests[month][0].book, Months.name(month)
        sums, count, people, adjustments, difference = [Fraction(0)] * 3, 0, 0, 0, Fraction(0)
        for a in self.accounts.values():
            lines, n, d = a.documents.get(month, ([], 0, Fraction(0)))
            adjustments, difference = adjustments + n, difference + d
            count, people = count + len(lines), people + bool(lines)
            sums = [total + sum((Fraction(e["data"][f]) for e in lines), Fraction(0)) for total, f in zip(sums, ("charge", "unfreeze", "freeze"))]
        data = {"period": period, "accounts": people, "lines": count, "charge": cents(sums[0]), "unfreeze": cents(sums[1]), "freeze": cents(sums[2]),
                "currency": book.currency, "adjustments": adjustments, "difference": cents(difference)}
        e = envelope(("closed", period), self.group, "meterd.period.closed.v1", None, show_ms(self.months.start[month + 1]), data)
        self.closed[e["id"]] = e

    def terms_of_bill(self, a, v, facts, month):
        if a.said.records:
            return Terms(v.book, a.said.as_of(NEVER, facts), month)
        key = ("bill", v.number, month)
        if key not in self.terms_kept:
            self.terms_kept[key] = Terms(v.book, a.said.as_of(NEVER, facts), month)
        return self.terms_kept[key]

    # ---- several partitions, several processes
    def merge(self, other):
        """Another calculator's accounts and alerts. Returns the accounts that both have calls of."""
        both = set()
        self.alerts.update(other.alerts)
        for name, b in other.accounts.items():
            a = self.accounts.get(name)
            if a is None or not a.first:
                self.accounts[name] = b
            elif b.first:
                both.add(name)
                for mine, theirs in ((a.calls, b.calls), (a.late, b.late)):
                    for k, n in theirs.items():
                        mine[k] = mine.get(k, 0) + n
                for m, bucket in b.first.items():
                    a.first[m] = min(a.first.get(m, NEVER), bucket)
        return both

    def begin_again(self, name):
        """An account whose calls lie in several partitions: its bills follow from the totals. Which alerts are due does too where it shares
        nothing; which call each has, the log does not say. Returns whether its alerts are known."""
        old, self.accounts[name] = self.accounts[name], Account()
        a = self.accounts[name]
        a.said, a.late, a.first, a.corrections = old.said, old.late, old.first, old.corrections
        self.alerts = {id: e for id, e in self.alerts.items() if e["data"]["account"] != name}
        shares = any(self.shares(name, s, m, self.months.close[m] - 1) for s, m in old.calls)
        for (s, m), n in old.calls.items():
            if shares:
                a.calls[(s, m)] = n
            else:
                self.simple_step(name, s, m, n, 0, self.months.close[m] - 1, {})
        return not shares

    def balances(self, name, terms):
        a = self.accounts[name]
        return {p.id: max(0, p.calls - a.deducted.get(p.id, 0)) for p in terms.packs}

    def note_deductions(self, name, before, after):
        a = self.accounts[name]
        for id, n in after:
            a.deducted[id] = a.deducted.get(id, 0) + n - dict(before).get(id, 0)

    def settle(self, name, month):
        """The month's own lines of one account: unfreeze, charge, freeze (rule 10)."""
        v, facts, cuts = self.manifests[month]
        a, book, end = self.accounts[name], v.book, show_ms(self.months.start[month + 1])
        calls = {s: n for (s, m), n in a.calls.items() if m == month}
        released, a.frozen = a.frozen, {}
        if not calls and not released:
            return []
        terms = self.terms_of_bill(a, v, facts, month)
        taken = deduct(terms, calls, terms.active(self.by_calls(a, month)), self.balances(name, terms))
        lines = []
        for s in book.services:
            t, x, back = terms.service[s], taken[s], released.get(s, Fraction(0))
            self.note_deductions(name, [], x.packs)
            priced = t.tariff is not None or book.zero_price
            if not back and not (x.calls > 0 and priced):
                continue
            frost = Fraction(0)
            if t.tariff is not None and x.calls > 0 and book.lives_in(s, month + 1):
                frost = round_cents(self.freeze(book, t, x) * book.freeze_ratio, book.rounding)
            if frost:
                a.frozen[s] = frost
            line = self.line(name, s, month, book, t, x, cuts)
            line.update(unfreeze=cents(back), freeze=cents(frost))
            e = envelope(("settlement", name, s, line["period"], "0"), self.group, "meterd.settlement.v1", f"{name}/{s}/{line['period']}", end, line)
            a.lines[e["id"]] = e
            a.newest.setdefault(month, {})[s] = (x, e)
            lines.append(e)
        if lines:
            self.statement(name, month, 0, lines, end, book)
        return lines

    @staticmethod
    def freeze(book, t, x):
        if book.freeze_basis == "bill":
            return t.tariff.bill(x.calls, x.billable)[1]
        if t.list is None:
            return Fraction(0)
        price = t.list.prices[t.list.tier(t.list.picks(x.calls, x.billable))]
        return t.list.units(x.calls if book.freeze_basis == "list" else x.billable) * price

    @staticmethod
    def line(name, s, month, book, t, x, cuts):
        tariff, rounding = Calculator.priced_by(t, x, book)
        tariff = tariff or Tariff({"model": "volume", "per": 1000, "price": "0"})
        tier, exact, slices = tariff.bill(x.calls, x.billable) if x.calls > 0 else (0, Fraction(0), [])  # an unfreeze only: charge 0.00
        line = {"account": name, "service": s, "period": Months.name(month), "revision": 0, "catalog": book.version, "catalog_sha256": book.sha256,
                "calls": x.calls, "free": x.free, "packs": [{"id": id, "calls": n} for id, n in x.packs], "billable": x.billable, "per": tariff.per,
                "exact": money(exact), "charge": cents(round_cents(exact, rounding)), "currency": book.currency, "unfreeze": "0.00",
                "freeze": "0.00", "rounding": rounding, "tier_basis": tariff.basis, "cutoffs": cuts, "adjusts": None}
        if tariff.model == "volume":
            line.update(tier=tier + 1, unit_price=money(tariff.prices[tier]))
        else:
            line["slices"] = [{"tier": i + 1, "calls": n, "unit_price": money(tariff.prices[i]), "amount": money(amount)} for i, n, amount in slices]
        if x.prices:
            line["prices"] = x.prices
        return line

    @staticmethod
    def priced_by(t, x, book):
        """What the calls of a line cost, and how that is rounded: as a correction said, or else as the month does. No tariff: price 0."""
        if not x.prices or x.prices["model"] == "free":
            return (None if x.prices else t.tariff), book.rounding
        return Tariff({"tier_basis": "total", **x.prices}), x.prices["rounding"]

    def statement(self, name, month, revision, lines, end, book):
        sums = [sum((Fraction(e["data"][f]) for e in lines), Fraction(0)) for f in ("charge", "unfreeze", "freeze")]
        period = Months.name(month)
        data = {"account": name, "period": period, "revision": revision, "lines": sorted(e["id"] for e in lines), "charge": cents(sums[0]),
                "unfreeze": cents(sums[1]), "freeze": cents(sums[2]), "currency": book.currency}
        e = envelope(("statement", name, period, str(revision)), self.group, "meterd.statement.v1", None, end, data)
        self.accounts[name].statements[e["id"]] = e
        self.accounts[name].revision[month] = revision

    def corrections_of(self, name, closing):
        """Records that this close is the first to cover; of one id the first that is covered."""
        before = max((m for m in self.manifests if m < closing and m in self.corrects), default=None)
        if closing not in self.corrects:
            return []

        def covered(month):
            found, facts = {}, self.manifests[month][1] if month is not None else {}
            for c in self.accounts[name].corrections:
                if facts is None or c[2] < facts.get(c[1], 0):
                    found.setdefault(c[3]["id"], c)
            return found

        known = covered(before)
        return [c[3] for id, c in covered(closing).items() if id not in known]

    def fits(self, name, closing, record):
        """Was it worked out from the close before, is every line what the record expects, and do packs hold what they would give?"""
        a, moved, most, difference = self.accounts[name], {}, {}, Fraction(0)
        if record["after"] != Months.name(closing - 1):
            return False
        for row in record["lines"]:
            month, s, was = Months.parse(row["period"]), row["service"], row.get("was")
            if month >= closing or month not in self.manifests or s not in self.manifests[month][0].book.services:
                return False
            x, e = a.newest.get(month, {}).get(s, (None, None))
            if (was is None) != (x is None):
                return False
            if was is not None:
                stands = {"revision": e["data"]["revision"], "calls": x.calls, "free": x.free, "billable": x.billable, "charge": e["data"]["charge"]}
                if stands != {f: was[f] for f in stands} or not self.same_prices(x.prices, was.get("prices")) or dict(x.packs) != {p["id"]: p["calls"] for p in was["packs"]}:
                    return False
            v, facts, _ = self.manifests[month]
            for p in self.terms_of_bill(a, v, facts, month).packs:
                if any(p.covers(t, month, self.months) for t in p.services):
                    most[p.id] = max(most.get(p.id, 0), p.calls)
            to = row["becomes"]
            new = Taken(to["calls"])
            new.free, new.billable, new.packs, new.prices = to["free"], to["billable"], [], to.get("prices")
            t = self.terms_of_bill(a, v, facts, month).service[s]
            if self.line(name, s, month, v.book, t, new, self.manifests[closing][2])["charge"] != to["charge"]:
                return False
            moves = Fraction(to["charge"]) - Fraction(was["charge"] if was else 0)
            difference += moves
            sums = [Fraction(to["charge"]), moves, difference]
            if new.prices and new.prices["model"] != "free":
                tariff, rounding = self.priced_by(t, new, v.book)
                sums += [round_cents(tariff.units(new.calls) * price + fee, rounding) for price, fee in zip(tariff.prices, tariff.fees)]
            if any(abs(x) > CORRECTED_MOST for x in sums):
                return False
            for sign, side in ((-1, was), (1, to)):
                for p in side["packs"] if side else ():
                    moved[p["id"]] = moved.get(p["id"], 0) + sign * p["calls"]
        for version in a.said.pack_versions(self.manifests[closing][1]):
            if version["id"] in most:
                most[version["id"]] = max(most[version["id"]], version["calls"])
        return all(a.deducted.get(id, 0) + n >= 0 and (n <= 0 or a.deducted.get(id, 0) + n <= most.get(id, 0)) for id, n in moved.items())

    @staticmethod
    def same_prices(a, b):
        """As they are written may differ: 2.4 and 2.40."""
        if not a or not b or "free" in (a["model"], b["model"]):
            return (a and a["model"]) == (b and b["model"])
        x, y = (Tariff({"tier_basis": "total", **p}) for p in (a, b))
        return x.__dict__ == y.__dict__ and a["rounding"] == b["rounding"]

    def correct(self, name, closing):
        """Closed months as the first correction that can be made says: month -> (lines, difference)."""
        a, made = self.accounts[name], {}
        for record in self.corrections_of(name, closing):
            if made:
                break
            for row in record["lines"] if self.fits(name, closing, record) else ():
                month, s, to = Months.parse(row["period"]), row["service"], row["becomes"]
                v, facts, _ = self.manifests[month]
                newest = a.newest.setdefault(month, {})
                old, before = newest.get(s, (Taken(0), None))
                x = Taken(to["calls"])
                x.free, x.billable, x.packs = to["free"], to["billable"], [(p["id"], p["calls"]) for p in to["packs"]]
                x.corrected, x.prices = record["id"], to.get("prices")
                self.note_deductions(name, [], [(id, -n) for id, n in old.packs])
                self.note_deductions(name, [], x.packs)
                line = self.line(name, s, month, v.book, self.terms_of_bill(a, v, facts, month).service[s], x, self.manifests[closing][2])
                line["correction"] = record["id"]
                d = self.revise(name, month, s, x, line, before, newest)
                n, sum = made.get(month, (0, Fraction(0)))
                made[month] = n + 1, sum + d
        return made

    def revise(self, name, month, s, x, line, before, newest):
        """The line as the next revision. Returns the difference."""
        was = before["data"] if before else {"revision": 0, "calls": 0, "charge": "0.00"}
        d = Fraction(line["charge"]) - Fraction(was["charge"])
        line.update(revision=was["revision"] + 1, adjusts={f: was[f] for f in ("revision", "calls", "charge")}, difference=cents(d))
        e = envelope(("settlement", name, s, line["period"], str(line["revision"])), self.group, "meterd.settlement.v1",
                     f"{name}/{s}/{line['period']}", show_ms(self.months.start[month + 1]), line)
        self.accounts[name].lines[e["id"]] = e
        newest[s] = (x, e)
        return d

    def adjust(self, name, closing):
        """Corrections, then late calls of earlier months that came while `closing` was the first open one (rule 12), months ascending."""
        a, count, difference = self.accounts[name], 0, Fraction(0)
        corrected = self.correct(name, closing)
        for month in sorted({m for (_, m, bucket) in a.late if bucket == closing} | corrected.keys()):
            more = {s: n for (s, m, bucket), n in a.late.items() if m == month and bucket == closing}
            n, d = self.adjust_month(name, month, closing, more, *corrected.get(month, (0, Fraction(0))))
            count, difference = count + n, difference + d
        return count, difference

    def adjust_month(self, name, month, closing, more, count, difference):
        a, cuts = self.accounts[name], self.manifests[closing][2]
        v, facts, _ = self.manifests.get(month, self.manifests[closing])
        book, end = v.book, show_ms(self.months.start[month + 1])
        terms = self.terms_of_bill(a, v, facts, month)
        activated = terms.active(self.by_calls(a, closing))
        newest = a.newest.setdefault(month, {})
        left = self.balances(name, terms)
        for s in book.services:
            if s not in more:
                continue
            t = terms.service[s]
            old, before = newest.get(s, (Taken(0), None))
            if self.priced_by(t, old, book)[0] is None and not book.zero_price:
                continue
            pool, own = 0, t.free.in_month(month, activated)
            if t.shared is not None:
                free, members = terms.sets[t.shared]
                pool = max(0, free.in_month(month, activated) - sum(newest[m][0].free for m in members if m in newest))
            if old.corrected is not None:  # what was corrected stays: no more free calls where some had to be paid, and none fewer
                pool, own = (pool, max(own, old.free)) if old.free == old.calls else (0, old.free)
            x = deduct_late(t, old, more[s], own, pool, left)
            self.note_deductions(name, old.packs, x.packs)
            x.corrected, x.prices = old.corrected, old.prices
            line = self.line(name, s, month, book, t, x, cuts)
            if old.corrected is not None:
                line["corrected"] = old.corrected
            count, difference = count + 1, difference + self.revise(name, month, s, x, line, before, newest)
        if count:
            self.statement(name, month, a.revision.get(month, 0) + 1, [e for _, e in newest.values()], end, book)
        return count, difference
