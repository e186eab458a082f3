#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The independent computation: reads the input topics from their start and works out, from the log, the price book and the
deciding settings alone, what every counter, ledger line, alert, settlement, statement and end of run must be; then compares
with what meterd shows. Shares no code with meterd. Prints every difference; exit 1 when there is any.

    auditor.py --config meterd.yaml --meterctl PROGRAM [--only counters,ledger,alerts,settlements,dlq]

Run it when meterd has drained the topic and published what it has. Money is Decimal, counts are int, never a float.
Refuses (exit 70) what it does not know: other pricing models than volume, packs, contracts, several rules versions.
"""
import argparse
import bisect
import hashlib
import json
import multiprocessing
import re
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, setcontext
from zoneinfo import ZoneInfo

import yaml
from confluent_kafka import Consumer, KafkaError, TopicPartition

setcontext(Context(prec=80))
sys.set_int_max_str_digits(0)  # numbers that nobody reads may have any size
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
FIRST_YEAR, LAST_YEAR = 1999, 2200
NEVER = 1 << 62


def refuse(why):
    print(f"auditor: {why}", file=sys.stderr)
    sys.exit(70)


# -- months: number = (year - FIRST_YEAR) * 12 + month - 1

def to_ms(when):
    return (when - EPOCH) // timedelta(milliseconds=1)


def show_ms(ms):
    return (EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


class Months:
    def __init__(self, zone, grace_ms):
        z = ZoneInfo(zone)
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
        if not m:
            refuse(f"not a month: {text}")
        return (int(m[1]) - FIRST_YEAR) * 12 + int(m[2]) - 1


# -- settings and price book

UNITS = {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000}


def duration(text):
    m = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text)
    if not m:
        refuse(f"not a duration: {text}")
    return int(m[1]) * UNITS[m[2]]


class Settings:
    def __init__(self, path):
        tree = yaml.load(open(path, encoding="utf-8"), Loader=yaml.BaseLoader) or {}

        def get(name, default):
            node = tree
            for part in name.split("."):
                node = node.get(part) if isinstance(node, dict) else None
            return default if node is None else node

        base = path.rsplit("/", 1)[0] if "/" in path else "."
        catalog = get("catalog", "catalog.yaml")
        self.catalog = catalog if catalog.startswith("/") else f"{base}/{catalog}"
        self.bootstrap = get("kafka.bootstrap", "127.0.0.1:9092")
        self.group = get("kafka.group", "meterd")
        inputs = get("topics.input", ["usage.calls"])
        self.inputs = inputs if isinstance(inputs, list) else [inputs]
        self.alerts = get("topics.alerts", "meterd.alerts")
        self.settlements = get("topics.settlements", "meterd.settlements")
        self.control = get("topics.control", "meterd.control")
        self.dlq = get("topics.dlq", "usage.calls.dlq")
        self.max_future = duration(get("event.max_future", "5m"))
        self.dedupe = get("dedupe.enabled", "true") == "true"
        self.bits = int(get("dedupe.generation_bits", "16"))
        self.generations = int(get("dedupe.generations", "240"))
        self.max_age = duration(get("dedupe.max_age", "3d"))
        self.grace = duration(get("close.grace", "24h"))
        self.fields = {k: get("event.fields." + k, k) for k in ("id", "account", "service", "time", "calls", "status", "items")}


def whole(text):
    return int(text.replace("_", ""))


def instant(text, months, default):
    if text is None:
        return default
    if re.fullmatch(r"\d{4}-\d\d", text):
        return months.start[Months.parse(text)]
    ms = rfc3339(text)
    if ms is None:
        refuse(f"not an instant: {text}")
    return ms


class Plan:
    """What a service costs in a month."""

    def __init__(self, prices, free):
        if prices.get("model") != "volume":
            refuse(f"pricing model {prices.get('model')} is not audited")
        self.per = int(prices.get("per", "1"))
        self.upper = prices.get("bounds", "lower-inclusive") == "upper-inclusive"
        self.basis = prices.get("tier_basis", "total")
        tiers = prices.get("tiers") or [{"from": "0", "price": prices["price"]}]
        if any("fee" in t for t in tiers):
            refuse("fees are not audited")
        self.bounds = [whole(t["from"]) for t in tiers]
        self.prices = [Decimal(t["price"]) for t in tiers]
        free = free or {"calls": "0"}
        self.quota = whole(free.get("calls", "0"))
        self.share = None if free.get("warn", "0.8") == "none" else Decimal(free.get("warn", "0.8"))
        self.next = free.get("first_month", "immediate") == "next"

    def tier(self, count):
        find = bisect.bisect_left if self.upper else bisect.bisect_right
        return max(find(self.bounds, count) - 1, 0)

    def bill(self, calls, quota):
        """free, billable, tier, exact"""
        free = min(calls, quota)
        billable = calls - free
        tier = self.tier(calls if self.basis == "total" else billable)
        return free, billable, tier, billable * self.prices[tier] / self.per

    def ladder(self, quota):
        rungs = []
        if quota > 0:
            if self.share is not None and self.share > 0:
                warn = -int(-(self.share * quota) // 1)
                rungs.append((warn, warn, "free_quota.warning", None))
            rungs.append((quota, quota, "free_quota.exhausted", None))
        for i, bound in enumerate(self.bounds):
            if i > 0:
                at = bound + (quota if self.basis == "billable" else 0) + (1 if self.upper else 0)
                rungs.append((at, bound, "tier.crossed", i))
        return sorted(rungs, key=lambda r: r[0])


class Service:
    def __init__(self, row, months):
        self.id = row["id"]
        self.begin = instant(row.get("begin"), months, -NEVER)
        self.end = instant(row.get("end"), months, NEVER)
        self.prices = sorted(((Months.parse(p["from"]), p) for p in row.get("prices") or []), key=lambda p: p[0])
        self.free = sorted(((Months.parse(f["from"]), f) for f in row.get("free") or []), key=lambda f: f[0])
        self.plans = {}

    def plan(self, month):
        """None: a month at price 0."""
        if month not in self.plans:
            prices = [p for m, p in self.prices if m <= month]
            free = [f for m, f in self.free if m <= month]
            known = prices and prices[-1].get("model") != "free"
            self.plans[month] = Plan(prices[-1], free[-1] if free else None) if known else None
        return self.plans[month]

    def lives_in(self, month, months):
        return self.begin < months.start[month + 1] and self.end > months.start[month]


class Catalog:
    def __init__(self, path, grace):
        raw = open(path, "rb").read()
        tree = yaml.load(raw.decode("utf-8"), Loader=yaml.BaseLoader)
        self.sha256 = hashlib.sha256(raw).hexdigest()
        self.version = tree["version"]
        self.currency = tree["currency"]
        self.months = Months(tree["time_zone"], grace)
        self.rounding_name = tree.get("rounding", "half-up")
        self.rounding = {"half-up": ROUND_HALF_UP, "half-even": ROUND_HALF_EVEN, "down": ROUND_DOWN}[self.rounding_name]
        self.freeze_basis = tree.get("freeze_basis", "list")
        self.freeze_ratio = Decimal(tree.get("freeze_ratio", "1"))
        if (tree.get("statements") or {}).get("zero_price", "false") != "false":
            refuse("statements.zero_price is not audited")
        self.services = [Service(row, self.months) for row in tree["services"]]
        self.names = {}  # name -> [(from, until, index)]
        for i, row in enumerate(tree["services"]):
            self.names.setdefault(row["id"], []).append((-NEVER, NEVER, i))
            for a in row.get("aliases") or []:
                a = {"name": a} if isinstance(a, str) else a
                span = (instant(a.get("from"), self.months, -NEVER), instant(a.get("until"), self.months, NEVER), i)
                self.names.setdefault(a["name"], []).append(span)
        self.status = [(instant(s.get("from"), self.months, -NEVER), frozenset(s["codes"])) for s in tree.get("billable_status") or []]
        self.status = sorted(self.status, key=lambda s: s[0]) or [(-NEVER, frozenset(["ok"]))]
        self.owners = {}
        for a in tree.get("accounts") or []:
            span = (instant(a.get("from"), self.months, -NEVER), instant(a.get("until"), self.months, NEVER), a["owner"])
            self.owners.setdefault(a["account"], []).append(span)

    def find(self, name, ms):
        """Index of the service, or None."""
        for begin, until, i in self.names.get(name, ()):
            if begin <= ms < until:
                s = self.services[i]
                return i if s.begin <= ms < s.end else None
        return None

    def billable(self, status, ms):
        codes = frozenset(["ok"])
        for begin, c in self.status:
            if begin <= ms:
                codes = c
        return status in codes

    def owner(self, account, ms):
        for begin, until, owner in self.owners.get(account, ()):
            if begin <= ms < until:
                return owner
        return account

    def round(self, amount):
        return amount.quantize(Decimal("0.01"), rounding=self.rounding)


def money(amount):
    """Without trailing zeros, never with an exponent."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# -- one record

RFC = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII)
ACCOUNT = re.compile(r"[A-Za-z0-9._:@-]{1,64}", re.ASCII)
LOWEST, HIGHEST = to_ms(datetime(2000, 1, 1, tzinfo=timezone.utc)), to_ms(datetime(2199, 12, 31, tzinfo=timezone.utc))
days = {}


def rfc3339(text):
    m = RFC.fullmatch(text)
    if m is None:
        return None
    y, mo, d, h, mi, s, fraction, _, sign, oh, om = m.groups()
    day = days.get((y, mo, d))
    if day is None:
        try:
            day = days[(y, mo, d)] = (datetime(int(y), int(mo), int(d)) - datetime(1970, 1, 1)).days
        except ValueError:
            return None
    h, mi, s = int(h), int(mi), int(s)
    if h > 23 or mi > 59 or s > 59:
        return None
    shift = 0
    if sign:
        oh, om = int(oh), int(om)
        if oh > 23 or om > 59:
            return None
        shift = (oh * 60 + om) * (60000 if sign == "+" else -60000)
    ms = int((fraction + "00")[:3]) if fraction else 0
    return ((day * 24 + h) * 60 + mi) * 60000 + s * 1000 + ms - shift


class Repeated(dict):
    """An object in which a name stands twice."""


def pairs_hook(pairs):
    d = dict(pairs)
    return d if len(d) == len(pairs) else Repeated(d)


class Bad(Exception):
    pass


def no_constant(_):
    raise Bad("constant")


parse_json = json.JSONDecoder(object_pairs_hook=pairs_hook, parse_constant=no_constant).decode


def too_deep(value, limit):
    if not isinstance(value, (dict, list)):
        return False
    level = [value]
    for _ in range(limit):
        level = [v for node in level for v in (node.values() if isinstance(node, dict) else node) if isinstance(v, (dict, list))]
        if not level:
            return False
    return True


def text_bytes(v, least, most):
    """Length-checked string of a field that is read."""
    if type(v) is not str:
        raise Bad("type")
    try:
        n = len(v.encode("utf-8"))
    except UnicodeEncodeError:
        raise Bad("surrogate") from None
    if not least <= n <= most:
        raise Bad("length")
    return v


def ce_headers(headers):
    """ce_ headers by name; Bad for a repeated or null one."""
    found = {}
    for name, value in headers:
        if name.startswith("ce_"):
            if name in found or value is None:
                raise Bad("ce header")
            found[name] = value
    return found


def attribute(found, name, least=1, most=NEVER):
    value = found.get(name)
    if not value:
        raise Bad("ce attribute")
    try:
        return text_bytes(value.decode("utf-8"), least, most)
    except UnicodeDecodeError:
        raise Bad("utf-8") from None


class Decoder:
    def __init__(self, settings, catalog):
        self.f = settings.fields
        self.catalog = catalog

    def time_of(self, v, text_only=False):
        if type(v) is str:
            ms = rfc3339(v)
        elif type(v) is int and not text_only:
            ms = v
        else:
            ms = None
        if ms is None or not LOWEST <= ms < HIGHEST:
            raise Bad("time")
        return ms

    def calls_of(self, v):
        if type(v) is not int or not 1 <= v <= 1000000000:
            raise Bad("calls")
        return v

    def body(self, value):
        """The event's object."""
        try:
            text = value.decode("utf-8")
            if text.startswith("\ufeff"):
                raise Bad("bom")
            o = parse_json(text)
        except (ValueError, RecursionError):
            raise Bad("json") from None
        if not isinstance(o, dict) or type(o) is Repeated:
            raise Bad("object")
        if value.count(b"{") + value.count(b"[") > 64 and too_deep(o, 64):
            raise Bad("depth")
        return o

    def decode(self, value, headers):
        """(source, id), owner-to-be, service pairs, status, time; Bad where it is not understood."""
        if not value:
            raise Bad("empty")
        content, found = b"", {}
        if headers:
            for name, v in headers:
                if name == "content-type" and v:
                    content = v.lower()
            found = ce_headers(headers)
            if content.startswith(b"application/cloudevents-batch"):
                raise Bad("batch")
        o = self.body(value)
        structured = content.startswith(b"application/cloudevents+json")
        if structured or ("ce_specversion" not in found and "specversion" in o):
            return self.structured(o)
        if "ce_specversion" in found:
            return self.binary(o, found)
        f = self.f
        if f["id"] not in o:
            raise Bad("missing")
        key = text_bytes(o[f["id"]], 1, 128)
        if f["time"] not in o:
            raise Bad("missing")
        return (key, *self.fields(o), self.time_of(o[f["time"]]))

    def structured(self, o):
        if o.get("specversion") != "1.0":
            raise Bad("specversion")
        id = text_bytes(o.get("id"), 1, 128)
        source = text_bytes(o.get("source"), 1, NEVER)
        text_bytes(o.get("type"), 1, NEVER)
        data = o.get("data")
        if not isinstance(data, dict) or type(data) is Repeated:
            raise Bad("data")
        return ((source, id), *self.fields(data), self.ce_time(o.get("time"), "time" in o, data))

    def binary(self, data, found):
        if attribute(found, "ce_specversion") != "1.0":
            raise Bad("specversion")
        id, source = attribute(found, "ce_id", 1, 128), attribute(found, "ce_source")
        attribute(found, "ce_type")
        when = attribute(found, "ce_time") if "ce_time" in found else None
        return ((source, id), *self.fields(data), self.ce_time(when, "ce_time" in found, data))

    def ce_time(self, when, present, data):
        if present:
            return self.time_of(when, text_only=True)
        if self.f["time"] not in data:
            raise Bad("missing")
        return self.time_of(data[self.f["time"]])

    def fields(self, o):
        f = self.f
        account = o.get(f["account"])
        if type(account) is not str or not ACCOUNT.fullmatch(account):
            raise Bad("account")
        status = "ok"
        if f["status"] in o:
            status = text_bytes(o[f["status"]], 1, 64)
        if f["items"] in o:
            return account, self.items(o), status
        return account, [self.step(o)], status

    def step(self, o):
        f = self.f
        service = o.get(f["service"])
        if type(service) is not str or not 1 <= len(service) <= 128:
            raise Bad("service")
        return service, self.calls_of(o[f["calls"]]) if f["calls"] in o else 1

    def items(self, o):
        f = self.f
        items = o[f["items"]]
        if f["service"] in o or f["calls"] in o or type(items) is not list or not 1 <= len(items) <= 64:
            raise Bad("items")
        steps = []
        for item in items:
            if not isinstance(item, dict) or type(item) is Repeated:
                raise Bad("item")
            steps.append(self.step(item))
        return steps


# -- the log

class Partition:
    def __init__(self, topic, number, first):
        self.topic, self.number, self.first = topic, number, first
        self.name = f"{topic}/{number}"
        self.clock = -NEVER
        self.cuts = {}  # month -> first offset with clock >= close
        self.seen = {}
        self.ledger = dict.fromkeys(("consumed", "counted", "duplicate", "late", "rejected", "not_billable", "control"), 0)


class Log:
    """Everything that follows from the log."""

    def __init__(self, settings, catalog):
        self.s, self.c, self.m = settings, catalog, catalog.months
        self.decoder = Decoder(settings, catalog)
        self.parts = {}
        self.counters = {}  # (account, service index, month) -> calls
        self.late = {}
        self.buckets = {}   # late calls by (account, service index, month, month with which they are adjusted)
        self.active = {}    # account -> {month: smallest bucket}
        self.alerts = {}
        self.rejected = {}  # (topic, partition, offset) -> value
        self.home = {}      # account -> partition it was seen in
        self.spread = set()
        self.ladders = {}

    def record(self, part, offset, stamp, value, headers):
        ledger = part.ledger
        ledger["consumed"] += 1
        if stamp > part.clock:
            self.advance(part, offset, stamp)
        if headers and not value and any(n == "__meterd.tick" for n, _ in headers):
            ledger["control"] += 1
            return
        try:
            key, account, steps, status, when = self.decoder.decode(value, headers)
            steps = self.services(steps, when)
            if when > stamp + self.s.max_future:
                raise Bad("future")
        except Bad:
            ledger["rejected"] += 1
            self.rejected[(part.topic, part.number, offset)] = value
            return
        if self.duplicate(part, offset, key):
            ledger["duplicate"] += 1
            return
        if not self.c.billable(status, when):
            ledger["not_billable"] += 1
            return
        month = self.m.of(when)
        account = self.c.owner(account, when)
        bucket = self.m.first_open(part.clock)
        late = bucket > month
        ledger["late" if late else "counted"] += 1
        months = self.active.setdefault(account, {})
        months[month] = min(months.get(month, NEVER), bucket)
        if self.home.setdefault(account, part) is not part:
            self.spread.add(account)
        for service, calls in steps:
            k = (account, service, month)
            if late:
                self.late[k] = self.late.get(k, 0) + calls
                self.buckets[(*k, bucket)] = self.buckets.get((*k, bucket), 0) + calls
            else:
                before = self.counters.get(k, 0)
                self.counters[k] = before + calls
                self.cross(k, before, before + calls, part, offset, key, when, calls, months)

    def advance(self, part, offset, stamp):
        """A record that carries the clock on; notes the cuts it makes."""
        old, part.clock = part.clock, stamp
        first = self.m.first_open(old) if old > -NEVER else 0
        for month in range(first, self.m.first_open(stamp)):
            part.cuts[month] = offset

    def services(self, steps, when):
        """[(index, calls)], one for each service in order of first mention."""
        merged = {}
        for name, calls in steps:
            i = self.c.find(name, when)
            if i is None:
                raise Bad("service")
            merged[i] = merged.get(i, 0) + calls
        return list(merged.items())

    def duplicate(self, part, offset, key):
        if not self.s.dedupe:
            return False
        last = part.seen.get(key)
        part.seen[key] = (offset, part.clock)
        if last is None:
            return False
        low = ((offset >> self.s.bits) - self.s.generations) << self.s.bits
        return last[0] >= low and last[1] >= part.clock - self.s.max_age

    def cross(self, k, before, after, part, offset, key, when, calls, months):
        account, service, month = k
        plan = self.c.services[service].plan(month)
        if plan is None:
            return
        quota = 0 if plan.next and min(months) == month else plan.quota
        where = (service, month, quota)
        ladder = self.ladders.get(where)
        if ladder is None:
            ladder = self.ladders[where] = plan.ladder(quota)
        for at, bound, kind, tier in ladder:
            if at > after:
                break
            if at <= before:
                continue
            self.alert(k, plan, quota, bound, kind, tier, before, after, part, offset, key, when, calls)

    def alert(self, k, plan, quota, bound, kind, tier, before, after, part, offset, key, when, calls):
        account, service, month = k
        name, period = self.c.services[service].id, self.m.name(month)
        source, id = key if isinstance(key, tuple) else (None, key)
        data = {"kind": kind, "account": account, "service": name, "period": period, "threshold": bound,
                "calls_before": before, "calls_after": after, "catalog": self.c.version,
                "call": {"id": id, "source": source, "time": show_ms(when), "calls": calls, "topic": part.topic,
                         "partition": part.number, "offset": offset}}
        if kind == "tier.crossed":
            data.update(from_tier=tier, to_tier=tier + 1, unit_price_from=money(plan.prices[tier - 1]),
                        unit_price_to=money(plan.prices[tier]), per=plan.per, currency=self.c.currency,
                        bill_before=money(plan.bill(before, quota)[3]), bill_after=money(plan.bill(after, quota)[3]))
        else:
            data["quota"] = quota
            if kind == "free_quota.warning":
                data.update(share=money(plan.share), left=max(0, quota - after))
        identity = ("alert", account, name, period, kind, str(bound), "")
        self.alerts.setdefault(identify(identity), envelope(identity, self.s.group, f"meterd.{kind}.v1",
                                                            f"{account}/{name}/{period}", show_ms(when), data))


    def merge(self, other):
        for name in ("parts", "alerts", "rejected"):
            getattr(self, name).update(getattr(other, name))
        for name in ("counters", "late", "buckets"):
            mine = getattr(self, name)
            for k, v in getattr(other, name).items():
                mine[k] = mine.get(k, 0) + v
        for account, months in other.active.items():
            mine = self.active.setdefault(account, {})
            for m, bucket in months.items():
                mine[m] = min(mine.get(m, NEVER), bucket)
        self.spread |= other.spread | (self.home.keys() & other.home.keys())
        self.home.update(other.home)

    def spread_alerts(self):
        """Accounts in several partitions: which alerts are due follows from the totals; which call, the log does not say."""
        for k, total in self.counters.items():
            plan = self.c.services[k[1]].plan(k[2]) if k[0] in self.spread else None
            if plan is not None:
                part = next(iter(self.parts.values()))
                self.cross(k, 0, total, part, 0, "", 0, total, self.active[k[0]])


def identify(parts):
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def envelope(identity, group, type, subject, when, data):
    return {"specversion": "1.0", "id": identify(identity), "source": f"/meterd/{group}", "type": type, "subject": subject,
            "time": when, "data": data}


# -- bills

class Books:
    """Settlements, statements and ends of run of all months that the log closes."""

    def __init__(self, log):
        self.log, self.c, self.m = log, log.c, log.m
        self.lines, self.statements, self.closed = {}, {}, {}
        self.frozen = {}  # (account, service) -> what the last settlement froze
        self.newest = {}  # (account, month) -> {service index: newest line}
        self.revision = {}  # (account, month) -> of its newest statement
        seen = [k[2] for k in (*log.counters, *log.late)]
        parts = log.parts.values()
        if not seen or not all(p.clock > -NEVER for p in parts):
            return
        by_month = {}
        for (account, service, month), calls in log.counters.items():
            by_month.setdefault(month, {})[(account, service)] = calls
        for month in range(min(seen), self.m.first_open(min(p.clock for p in parts))):
            self.close(month, by_month.get(month, {}))

    def close(self, month, calls):
        period, end = self.m.name(month), show_ms(self.m.start[month + 1])
        cuts = {p.name: p.cuts[month] for p in self.log.parts.values()}
        by_account = {}
        unfreeze, self.frozen = self.frozen, {}
        for k in sorted({*calls, *unfreeze}):
            line = self.line(k, month, calls.get(k, 0), unfreeze.get(k, Decimal(0)), cuts)
            if line is not None:
                identity = ("settlement", k[0], line["service"], period, "0")
                e = envelope(identity, self.log.s.group, "meterd.settlement.v1", f"{k[0]}/{line['service']}/{period}", end, line)
                self.lines[e["id"]] = e
                by_account.setdefault(k[0], []).append(e)
                self.newest.setdefault((k[0], month), {})[k[1]] = e
                self.revision[(k[0], month)] = 0
        total = dict.fromkeys(("charge", "unfreeze", "freeze"), Decimal(0))
        for account, lines in by_account.items():
            sums = {f: sum((Decimal(e["data"][f]) for e in lines), Decimal(0)) for f in total}
            for f in total:
                total[f] += sums[f]
            data = {"account": account, "period": period, "revision": 0, "currency": self.c.currency,
                    "lines": sorted(e["id"] for e in lines), **{f: f"{v:.2f}" for f, v in sums.items()}}
            identity = ("statement", account, period, "0")
            e = envelope(identity, self.log.s.group, "meterd.statement.v1", None, end, data)
            self.statements[e["id"]] = e
        data = {"period": period, "accounts": len(by_account), "lines": sum(map(len, by_account.values())),
                **{f: f"{v:.2f}" for f, v in total.items()}, **self.adjust(month, cuts)}
        e = envelope(("closed", period), self.log.s.group, "meterd.period.closed.v1", None, end, data)
        self.closed[e["id"]] = e

    def adjust(self, bucket, cuts):
        """Late calls of earlier months that are adjusted with this one: each corrected as a whole, then a statement of the next revision."""
        count, difference, touched = 0, Decimal(0), set()
        for (account, index, month, _), more in sorted((k, v) for k, v in self.log.buckets.items() if k[3] == bucket):
            service = self.c.services[index]
            plan = service.plan(month)
            if plan is None:
                continue
            before = self.newest.get((account, month), {}).get(index)
            old = before["data"] if before else {"revision": 0, "calls": 0, "charge": "0.00"}
            line = self.line((account, index), month, old["calls"] + more, Decimal(0), cuts, bucket)
            change = Decimal(line["charge"]) - Decimal(old["charge"])
            line.update(revision=old["revision"] + 1, adjusts={f: old[f] for f in ("revision", "calls", "charge")}, difference=f"{change:.2f}")
            period = self.m.name(month)
            e = envelope(("settlement", account, service.id, period, str(line["revision"])), self.log.s.group, "meterd.settlement.v1",
                         f"{account}/{service.id}/{period}", show_ms(self.m.start[month + 1]), line)
            self.lines[e["id"]] = self.newest.setdefault((account, month), {})[index] = e
            count, difference = count + 1, difference + change
            touched.add((account, month))
        for account, month in touched:
            lines = self.newest[(account, month)].values()
            self.revision[(account, month)] = revision = self.revision.get((account, month), 0) + 1
            sums = {f: f"{sum((Decimal(e['data'][f]) for e in lines), Decimal(0)):.2f}" for f in ("charge", "unfreeze", "freeze")}
            data = {"account": account, "period": self.m.name(month), "revision": revision, "currency": self.c.currency,
                    "lines": sorted(e["id"] for e in lines), **sums}
            e = envelope(("statement", account, self.m.name(month), str(revision)), self.log.s.group, "meterd.statement.v1", None,
                         show_ms(self.m.start[month + 1]), data)
            self.statements[e["id"]] = e
        return {"adjustments": count, "difference": f"{difference:.2f}"}

    def line(self, k, month, calls, unfreeze, cuts, known=None):
        """known: the month whose close this is, where it is not `month`'s own: then nothing is frozen."""
        account, index = k
        service = self.c.services[index]
        plan = service.plan(month)
        if plan is None and unfreeze == 0:
            return None
        if calls == 0 and unfreeze == 0:
            return None
        if plan is None:
            refuse(f"{service.id} has no price in a month that must unfreeze")
        months = self.log.active.get(account, {})
        first = min((m for m, bucket in months.items() if bucket <= (month if known is None else known)), default=None)
        quota = 0 if plan.next and first == month else plan.quota
        free, billable, tier, exact = plan.bill(calls, quota)
        freeze = Decimal(0)
        if known is None and service.lives_in(month + 1, self.m):
            basis = {"list": lambda: calls * plan.prices[tier] / plan.per, "billable": lambda: billable * plan.prices[tier] / plan.per,
                     "bill": lambda: exact}[self.c.freeze_basis]()
            freeze = self.c.round(basis * self.c.freeze_ratio)
        if freeze:
            self.frozen[k] = freeze
        return {"account": account, "service": service.id, "period": self.m.name(month), "revision": 0, "catalog": self.c.version,
                "catalog_sha256": self.c.sha256, "calls": calls, "free": free, "packs": [], "billable": billable, "tier": tier + 1,
                "unit_price": money(plan.prices[tier]), "per": plan.per, "exact": money(exact), "charge": f"{self.c.round(exact):.2f}",
                "currency": self.c.currency, "unfreeze": f"{unfreeze:.2f}", "freeze": f"{freeze:.2f}",
                "rounding": self.c.rounding_name, "tier_basis": plan.basis, "cutoffs": cuts, "adjusts": None}


# -- reading topics

def read_topic(bootstrap, topic, handle, starts=None, share=(0, 1)):
    """Every committed record up to the ends now, of the partitions that leave share[0] on division by share[1]:
    handle(partition, offset, stamp, value, headers)."""
    c = Consumer({"bootstrap.servers": bootstrap, "group.id": "auditor", "isolation.level": "read_committed", "log_level": 3,
                  "enable.partition.eof": True, "enable.auto.commit": False, "fetch.message.max.bytes": 524288,
                  "queued.max.messages.kbytes": 65536, "check.crcs": True})
    partitions = sorted(c.list_topics(topic, timeout=20).topics[topic].partitions)
    if not partitions:
        refuse(f"no topic {topic}")
    partitions = [p for p in partitions if p % share[1] == share[0]]
    lows = {}
    for p in partitions:
        low, _ = c.get_watermark_offsets(TopicPartition(topic, p), timeout=20)
        lows[p] = max(low, (starts or {}).get((topic, p), low))
    c.assign([TopicPartition(topic, p, lows[p]) for p in partitions])
    handle_start = getattr(handle, "start", None)
    if handle_start:
        handle_start(topic, lows)
    left = set(partitions)
    moved = time.monotonic()
    while left:
        messages = c.consume(2000, 0.1)
        if messages:
            moved = time.monotonic()
        elif time.monotonic() > moved + 30:
            refuse(f"{topic}: nothing more came within 30 s, although partitions {sorted(left)} have no end yet")
        for m in messages:
            e = m.error()
            if e is None:
                handle(m.partition(), m.offset(), m.timestamp()[1], m.value(), m.headers())
            elif e.code() == KafkaError._PARTITION_EOF:
                # A transaction may be committed before its markers are written: until then the end is not the end.
                if m.offset() >= c.get_watermark_offsets(TopicPartition(topic, m.partition()), cached=True)[1]:
                    left.discard(m.partition())
            else:
                refuse(f"{topic}: {e.str()}")
    c.close()


def read_input(log, topic, starts, share):
    parts = {}

    def handle(p, offset, stamp, value, headers):
        log.record(parts[p], offset, stamp, value, headers)

    def start(_, lows):
        for p, low in lows.items():
            parts[p] = log.parts[f"{topic}/{p}"] = Partition(topic, p, low)

    handle.start = start
    read_topic(log.s.bootstrap, topic, handle, starts, share)


def read_share(args):
    """A share of the partitions, in a process of its own: they meet in no counter where an account keeps to its partition."""
    config, share = args
    settings = Settings(config)
    log = Log(settings, Catalog(settings.catalog, settings.grace))
    starts, _ = read_starts(settings)
    for topic in settings.inputs:
        read_input(log, topic, starts, share)
    for part in log.parts.values():
        part.seen = {}
    return log


def read_log(config, jobs):
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        first, *rest = pool.map(read_share, [(config, (j, jobs)) for j in range(jobs)], chunksize=1)
    for log in rest:
        first.merge(log)
    first.spread_alerts()
    return first


def read_starts(settings):
    """Start offsets out of the control topic's init and admit records; and the hashes of manifests."""
    starts, manifests = {}, {}

    def handle(_, __, ___, value, ____):
        record = json.loads(value)
        for p in record.get("parts") or record.get("partitions") or []:
            starts[(p["topic"], p["partition"])] = p["offset"]
        if record.get("type") == "manifest":
            manifests[record.get("month") or record.get("period")] = (hashlib.sha256(value).hexdigest(), record)

    read_topic(settings.bootstrap, settings.control, handle)
    return starts, manifests


def read_published(settings, topic):
    """id -> event; ids that came twice."""
    events, twice = {}, []

    def handle(_, offset, __, value, headers):
        e = json.loads(value)
        if e["id"] in events:
            twice.append(e["id"])
        events[e["id"]] = e
        if dict(headers or ()).get("content-type") != b"application/cloudevents+json":
            twice.append(f"{e['id']} has no content-type header")

    read_topic(settings.bootstrap, topic, handle)
    return events, twice


# -- comparing

class Report:
    MOST = 25

    def __init__(self, spread=(), out=sys.stdout):
        self.differences, self.out = 0, out
        self.spread = spread  # accounts whose calls lie in several partitions

    def say(self, what):
        self.differences += 1
        if self.differences <= self.MOST:
            print(f"differs: {what}", file=self.out)

    def fields(self, where, wanted, got):
        for k, v in wanted.items():
            if v is None and k == "subject":
                continue
            have = got.get(k, "(missing)")
            if k == "lines" and isinstance(have, list):
                have = sorted(have)
            if isinstance(v, dict) and isinstance(have, dict):
                self.fields(f"{where}.{k}", v, have)
                if k == "cutoffs" and len(v) != len(have):
                    self.say(f"{where}.cutoffs: {have}, computed {v}")
            elif have != v or type(have) is not type(v):
                self.say(f"{where}.{k}: meterd {have!r}, computed {v!r}")

    def events(self, what, wanted, got, twice, skip=lambda e: False):
        for id in twice:
            self.say(f"{what}: published twice: {id}")
        for id in wanted.keys() - got.keys():
            self.say(f"{what}: never published: {wanted[id]['subject'] or wanted[id]['data']} {wanted[id]['type']}")
        for id in got.keys() - wanted.keys():
            self.say(f"{what}: not due: {json.dumps(got[id], ensure_ascii=False)}")
        for id in wanted.keys() & got.keys():
            if not skip(wanted[id]):
                self.fields(f"{what} {wanted[id]['subject'] or wanted[id]['data'].get('account', '')}/{wanted[id]['data']['period']} "
                            f"{wanted[id]['type']}", wanted[id], got[id])


def alert_key(e):
    d = e["data"]
    return (d["account"], d["service"], d["kind"], d["threshold"], d.get("pack", d["period"]))


def compare_alerts(report, calc, got, twice, skip=lambda e: False):
    """Alerts of calls are equal field by field. One that a change made due comes once, for one of the changes that can have made it due;
    where a later change took it back before anybody had to look, it may come or not."""
    due, changed = calc.without_call(), {}
    uncertain = {name for name, a in calc.accounts.items() if a.uncertain}

    def open_question(e):
        return e["data"]["account"] in uncertain and e["data"]["kind"] in ("pack.warning", "pack.exhausted", "tier.crossed")

    # Free calls that hold only since a call of an earlier month came: told with a call where both came in one batch, or later, or not.
    loose = {key for key, x in due.items() if x.times is None}
    got = {id: e for id, e in got.items() if not open_question(e) and alert_key(e) not in loose}
    due = {key: x for key, x in due.items() if not (key[0] in uncertain and not key[2].startswith("free_quota"))}
    for id in [id for id, e in got.items() if e["data"]["call"] is None]:
        e = got.pop(id)
        d = e["data"]
        key = alert_key(e)
        if key in changed:
            report.say(f"alert by a change: raised twice: {json.dumps(e, ensure_ascii=False)}")
        changed[key] = e
        if key not in due:
            report.say(f"alert by a change: not due: {json.dumps(e, ensure_ascii=False)}")
            continue
        where = f"alert by a change {e['subject']} {e['type']}"
        if identify(("alert", d["account"], d["service"], d["period"], d["kind"], str(d["threshold"]), d.get("pack", ""))) != id:
            report.say(f"{where}: id {id} is not that of what it says")
        if not d.get("cause") or e["time"] not in due[key].times or d["period"] not in due[key].periods:
            report.say(f"{where}: {e['time']}, {d['period']}, {d.get('cause')!r}; computed {sorted(due[key].times)}, {sorted(due[key].periods)}")
        for f in ("catalog", "quota", "share", "pack_calls", "services", "from_tier", "to_tier", "unit_price_from", "unit_price_to", "per", "currency"):
            if due[key].data.get(f) != d.get(f) and len(due[key].times) == 1:
                report.say(f"{where}.{f}: meterd {d.get(f)!r}, computed {due[key].data.get(f)!r}")
    for key in sorted(k for k, x in due.items() if x.must and k not in changed and k not in loose and k[0] not in report.spread):
        report.say(f"alert by a change: never published: {key}, due {sorted(due[key].times)}")
    wanted = {id: e for id, e in calc.alerts.items() if not open_question(e) and alert_key(e) not in loose and (id in got or alert_key(e) not in changed)}
    report.events("alert", wanted, got, twice, skip)


def ctl(args, verb, *more):
    run = subprocess.run([args.meterctl, verb, "--config", args.config, "--format", "ndjson", *more], stdout=subprocess.PIPE, check=False)
    if run.returncode not in (0, 1):
        refuse(f"meterctl {verb} ended with {run.returncode}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def compare_counters(report, log, args):
    wanted = {}
    for k in {*log.counters, *log.late}:
        wanted[(k[0], log.c.services[k[1]].id, log.m.name(k[2]))] = (log.counters.get(k, 0), log.late.get(k, 0))
    rows = ctl(args, "counters")
    keys = [(r["account"], r["service"], r["period"]) for r in rows]
    if keys != sorted(keys) or len(set(keys)) != len(keys):
        report.say("counters are not sorted by account, service and period, or repeat")
    got = {k: (r["calls"], r["late"]) for k, r in zip(keys, rows)}
    for k in sorted(wanted.keys() | got.keys()):
        if wanted.get(k, (0, 0)) != got.get(k):
            report.say(f"counter {'/'.join(k)}: meterd {got.get(k)}, computed {wanted.get(k)} (calls, late)")
    return len(wanted)


def compare_ledger(report, log, args):
    got = {f"{r['topic']}/{r['partition']}": r for r in ctl(args, "audit")}
    for name, part in log.parts.items():
        row = got.pop(name, None)
        if row is None:
            if part.ledger["consumed"]:
                report.say(f"ledger {name}: no row")
            continue
        report.fields(f"ledger {name}", {**part.ledger, "difference": 0}, row)
    for name in got:
        report.say(f"ledger {name}: a row for a partition that is not there")


def compare_dlq(report, log):
    got = {}

    def handle(_, __, ___, value, headers):
        h = {k: (v or b"").decode() for k, v in headers or ()}
        at = (h.get("__meterd.errors.topic"), int(h.get("__meterd.errors.partition", -1)), int(h.get("__meterd.errors.offset", -1)))
        got[at] = value
        if not h.get("__meterd.errors.code") or not h.get("__meterd.errors.stage") or not h.get("__meterd.errors.message"):
            report.say(f"dead letter of {at}: no reason")

    read_topic(log.s.bootstrap, log.s.dlq, handle)
    for at in log.rejected.keys() ^ got.keys():
        report.say(f"dead letter of {at}: {'missing' if at in log.rejected else 'not due'}")
    for at in log.rejected.keys() & got.keys():
        if (log.rejected[at] or b"") != (got[at] or b""):
            report.say(f"dead letter of {at}: not byte for byte")
    return len(got)


def compare_settlements(report, books, settings, manifests):
    got, twice = read_published(settings, settings.settlements)
    for e in got.values():
        if "lines" in e["data"] and isinstance(e["data"]["lines"], list):
            e["data"]["lines"].sort()
    wanted = {**books.lines, **books.statements, **books.closed}
    report.events("settlement", wanted, got, twice)
    for id, e in books.closed.items():
        hash, record = manifests.get(e["data"]["period"], (None, None))
        if hash is None:
            report.say(f"manifest of {e['data']['period']}: not in the control topic")
        elif id in got and hash not in json.dumps(got[id]["data"]):
            report.say(f"end of {e['data']['period']}: does not carry the manifest's hash {hash}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--config", required=True)
    p.add_argument("--meterctl", default="meterctl")
    p.add_argument("--only", default="counters,ledger,alerts,settlements,dlq")
    p.add_argument("--jobs", type=int, default=2, help="processes that read partitions")
    args = p.parse_args()
    only = set(args.only.split(","))
    began = time.monotonic()
    settings = Settings(args.config)
    log = read_log(args.config, args.jobs)
    _, manifests = read_starts(settings)
    books = Books(log)
    report = Report()
    counters = compare_counters(report, log, args) if "counters" in only else 0
    if "ledger" in only:
        compare_ledger(report, log, args)
    if "alerts" in only:
        got, twice = read_published(settings, settings.alerts)
        report.events("alert", log.alerts, got, twice, skip=lambda e: e["data"]["account"] in log.spread)
    if "settlements" in only:
        compare_settlements(report, books, settings, manifests)
    letters = compare_dlq(report, log) if "dlq" in only else 0
    records = {k: sum(part.ledger[k] for part in log.parts.values()) for k in next(iter(log.parts.values())).ledger}
    print(f"auditor: {', '.join(f'{v} {k}' for k, v in records.items())}; {counters} counters, {len(log.alerts)} alerts "
          f"({len(log.spread)} accounts in several partitions), {len(books.lines)} lines, {len(books.statements)} statements, "
          f"{len(books.closed)} months, {letters} dead letters; {time.monotonic() - began:.1f} s; "
          f"{report.differences or 'no'} differences")
    sys.exit(1 if report.differences else 0)


if __name__ == "__main__":
    main()
