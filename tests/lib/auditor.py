#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The independent computation: reads the input topics from their start and works out, from the log, the price book and the
deciding settings alone, what every counter, ledger line, alert, settlement, statement and end of run must be; then compares
with what meterd shows. Shares no code with meterd. Prints every difference; exit 1 when there is any.

    auditor.py --config meterd.yaml --meterctl PROGRAM [--only counters,ledger,alerts,settlements,dlq] [--kept FOLDER]

What a record is, is decided here; what it costs and which alerts it raises, in calculator.py. The price book is the file that the
configuration names; where the control topic has several versions, theirs, and the file must be the newest.
Run it when meterd has drained the topic and published what it has.
"""
import argparse
import hashlib
import json
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import time
from datetime import datetime, timezone

import yaml
from confluent_kafka import Consumer, KafkaError, TopicPartition

from calculator import NEVER, Book, Calculator, Months, identify, to_ms

sys.set_int_max_str_digits(0)  # numbers that nobody reads may have any size


def refuse(why):
    print(f"auditor: {why}", file=sys.stderr)
    sys.exit(70)


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
        self.accounts = get("topics.accounts", "meterd.accounts")
        self.dlq = get("topics.dlq", "usage.calls.dlq")
        self.max_future = duration(get("event.max_future", "5m"))
        self.dedupe = get("dedupe.enabled", "true") == "true"
        self.bits = int(get("dedupe.generation_bits", "16"))
        self.generations = int(get("dedupe.generations", "240"))
        self.max_age = duration(get("dedupe.max_age", "3d"))
        self.grace = duration(get("close.grace", "24h"))
        self.fields = {k: get("event.fields." + k, k) for k in ("id", "account", "service", "time", "calls", "status", "items")}


class Catalog(Book):
    """What names mean, beside what they cost."""

    def __init__(self, raw, grace):
        super().__init__(raw, grace)
        tree = yaml.load(raw.decode("utf-8"), Loader=yaml.BaseLoader)
        self.names = {}  # name -> [(from, until, service)]
        for row in tree["services"]:
            self.names.setdefault(row["id"], []).append((-NEVER, NEVER, row["id"]))
            for a in row.get("aliases") or []:
                a = {"name": a} if isinstance(a, str) else a
                span = (self.instant(a.get("from"), -NEVER), self.instant(a.get("until"), NEVER), row["id"])
                self.names.setdefault(a["name"], []).append(span)
        self.status = [(self.instant(s.get("from"), -NEVER), frozenset(s["codes"])) for s in tree.get("billable_status") or []]
        self.status = sorted(self.status, key=lambda s: s[0]) or [(-NEVER, frozenset(["ok"]))]
        self.owners = {}
        for a in tree.get("accounts") or []:
            span = (self.instant(a.get("from"), -NEVER), self.instant(a.get("until"), NEVER), a["owner"])
            self.owners.setdefault(a["account"], []).append(span)

    def find(self, name, ms):
        """The service, or None."""
        for begin, until, s in self.names.get(name, ()):
            if begin <= ms < until:
                return s if self.begin[s] <= ms < self.end[s] else None
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
    def __init__(self, topic, number, first, clock):
        self.topic, self.number, self.first = topic, number, first
        self.name = f"{topic}/{number}"
        self.clock = clock
        self.cuts = {}  # month -> first offset with clock >= close
        self.seen = {}
        self.ledger = dict.fromkeys(("consumed", "counted", "duplicate", "late", "rejected", "not_billable", "control"), 0)


class Log:
    """Everything that follows from the log."""

    def __init__(self, settings, topics):
        self.s = settings
        self.calc = Calculator(settings.group, settings.grace)
        self.decoders = {}
        for number, effective, raw, lead in topics.versions:
            catalog = Catalog(raw, settings.grace)
            self.decoders[number] = Decoder(settings, catalog)
            self.calc.rules(number, effective, catalog, lead)
        self.m = self.calc.months
        for fact in topics.facts:
            self.calc.fact(*fact)
        for period, (_, record) in topics.manifests.items():  # `cutoffs` follow when all partitions are read
            cuts = {int(name.rsplit("/", 1)[1]): offset for name, offset in record.get("accounts", {}).items()}
            self.calc.manifest(Months.parse(period), Months.parse(period), record["rules_version"], cuts, record.get("corrections", False))
        self.admitted = topics.admitted
        self.parts = {}
        self.rejected = {}  # (topic, partition, offset) -> value
        self.differ = {}    # the same, of what only other versions of the rules reject
        self.home = {}      # account -> partition it was seen in
        self.spread = set()

    def record(self, part, offset, stamp, value, headers):
        ledger = part.ledger
        ledger["consumed"] += 1
        if stamp > part.clock:
            self.advance(part, offset, stamp)
        if headers and not value and any(n == "__meterd.tick" for n, _ in headers):
            ledger["control"] += 1
            return
        decoder = self.decoders[self.calc.version_at(part.clock).number]
        if len(self.decoders) > 1:
            for other in self.decoders.values():
                try:
                    self.understand(other, stamp, value, headers)
                except Bad:
                    self.differ[(part.topic, part.number, offset)] = value
        try:
            key, account, steps, status, when = self.understand(decoder, stamp, value, headers)
        except Bad:
            ledger["rejected"] += 1
            self.rejected[(part.topic, part.number, offset)] = value
            return
        if self.duplicate(part, offset, key):
            ledger["duplicate"] += 1
            return
        if not decoder.catalog.billable(status, when):
            ledger["not_billable"] += 1
            return
        account = decoder.catalog.owner(account, when)
        if self.home.setdefault(account, part) is not part:
            self.spread.add(account)
        source, id = key if isinstance(key, tuple) else (None, key)
        call = {"id": id, "source": source, "topic": part.topic, "partition": part.number, "offset": offset}
        late = self.calc.call(account, steps, when, part.clock, call)
        ledger["late" if late else "counted"] += 1

    def understand(self, decoder, stamp, value, headers):
        key, account, steps, status, when = decoder.decode(value, headers)
        steps = self.services(decoder.catalog, steps, when)
        if when > stamp + self.s.max_future:
            raise Bad("future")
        return key, account, steps, status, when

    def advance(self, part, offset, stamp):
        """A record that carries the clock on; notes the cuts it makes."""
        old, part.clock = part.clock, stamp
        first = self.m.first_open(old) if old > -NEVER else 0
        for month in range(first, self.m.first_open(stamp)):
            part.cuts[month] = offset

    @staticmethod
    def services(catalog, steps, when):
        """[(service, calls)], one for each service in order of first mention."""
        merged = {}
        for name, calls in steps:
            i = catalog.find(name, when)
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

    def merge(self, other):
        for name in ("parts", "rejected", "differ"):
            getattr(self, name).update(getattr(other, name))
        self.spread |= other.spread | self.calc.merge(other.calc)

    def end(self):
        """All is read: accounts in several partitions again from their totals, then the months that are closed."""
        self.unknown = {name for name in self.spread if not self.calc.begin_again(name)}
        clocks = [p.clock for p in self.parts.values()]
        if not any(a.first for a in self.calc.accounts.values()) or min(clocks) == -NEVER:
            self.calc.manifests = {}
            return
        wanted = range(self.calc.begins(), self.m.first_open(min(clocks)))
        for month in [m for m in self.calc.manifests if m not in wanted]:
            del self.calc.manifests[month]
        for month in wanted:
            if month not in self.calc.manifests:
                self.calc.manifest(month, month)
        self.calc.end(max(wanted, default=0), min(clocks))
        of = {month: self.admitted.get(Months.name(month), self.parts) for month in wanted}  # partitions that came later have no part in it
        cuts = {month: {p.name: p.cuts[month] for p in self.parts.values() if p.name in of[month]} for month in wanted}
        for e in self.calc.lines.values():
            e["data"]["cutoffs"] = cuts[e["data"]["cutoffs"]]


# -- reading topics

def read_topic(bootstrap, topic, handle, starts=None, share=(0, 1), optional=False):
    """Every committed record up to the ends now, of the partitions that leave share[0] on division by share[1]:
    handle(partition, offset, stamp, value, headers)."""
    c = Consumer({"bootstrap.servers": bootstrap, "group.id": "auditor", "isolation.level": "read_committed", "log_level": 3,
                  "enable.partition.eof": True, "enable.auto.commit": False, "fetch.message.max.bytes": 524288,
                  "queued.max.messages.kbytes": 65536, "check.crcs": True})
    partitions = sorted(c.list_topics(topic, timeout=20).topics[topic].partitions)
    if not partitions and optional:
        return
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


def read_input(log, topic, topics, share, kept=None):
    parts, records = {}, {}

    def handle(p, offset, stamp, value, headers):
        log.record(parts[p], offset, stamp, value, headers)
        if kept:
            records[p].append((offset, stamp, value, headers))

    def start(_, lows):
        for p, low in lows.items():
            before = []
            if kept and os.path.exists(f"{kept}/{topic}-{p}"):
                with open(f"{kept}/{topic}-{p}", "rb") as f:
                    before = [r for r in pickle.load(f) if r[0] < low]
            records[p] = []
            first = min([low] + [topics.starts.get((topic, p), low)] if before else [low])
            parts[p] = log.parts[f"{topic}/{p}"] = Partition(topic, p, first, topics.clocks.get((topic, p), -NEVER))
            for r in before:
                handle(p, *r)

    handle.start = start
    read_topic(log.s.bootstrap, topic, handle, topics.starts, share)
    for p, list_of in records.items() if kept else ():
        os.makedirs(kept, exist_ok=True)
        with open(f"{kept}/{topic}-{p}", "wb") as f:
            pickle.dump(list_of, f)


def read_share(args):
    """A share of the partitions, in a process of its own: they meet in no counter where an account keeps to its partition."""
    config, share, *kept = args
    settings = Settings(config)
    topics = Topics(settings)
    log = Log(settings, topics)
    for topic in settings.inputs:
        read_input(log, topic, topics, share, *kept)
    for part in log.parts.values():
        part.seen = {}
    log.calc.simple = {}
    return log


def read_log(config, jobs, kept):
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        first, *rest = pool.map(read_share, [(config, (j, jobs), kept) for j in range(jobs)], chunksize=1)
    for log in rest:
        first.merge(log)
    first.end()
    return first


class Topics:
    """What was decided and said: rules, start offsets and manifests of the control topic; records of the accounts topic."""

    def __init__(self, settings):
        self.starts, self.clocks, self.manifests, self.admitted, self.facts, rules = {}, {}, {}, {}, [], []

        def control(_, __, ___, value, ____):
            record = json.loads(value)
            for p in record.get("parts") or []:
                self.starts[(p["topic"], p["partition"])] = p["offset"]
                if p.get("clock") is not None:  # a partition that came later begins behind the months that were closed by then
                    self.clocks[(p["topic"], p["partition"])] = rfc3339(p["clock"])
            if record.get("type") == "manifest":
                self.manifests[record["period"]] = (hashlib.sha256(value).hexdigest(), record)
                self.admitted[record["period"]] = {f"{topic}/{p}" for topic, p in self.starts}
            elif record.get("type") == "rules":
                rules.append(record)

        def account(partition, offset, stamp, value, _):
            try:
                record = json.loads(value)
                if record["type"] == "correction" and not (record["after"] and all(set(row) <= {"period", "service", "was", "becomes"} for row in record["lines"])):
                    return
                if record["type"] in ("correction", "activation", "contract", "pack", "pack.cancelled") and type(record["version"]) is int and record["id"]:
                    self.facts.append((partition, offset, stamp, record))
            except (ValueError, KeyError, TypeError):
                pass  # refused: what exactly is, is not audited

        read_topic(settings.bootstrap, settings.control, control)
        read_topic(settings.bootstrap, settings.accounts, account, optional=True)
        with open(settings.catalog, "rb") as f:
            book = f.read()
        effective = [None if r["effective"] is None else rfc3339(r["effective"]) for r in rules]
        self.versions = [(r["version"], e, r["rules"]["catalog"].encode(), r["rules"]["settings"]["lead_ms"]) for r, e in zip(rules, effective)]
        if len(self.versions) <= 1:
            lead = self.versions[0][3] if self.versions else 600000
            self.versions = [(1, None, book, lead)]
        elif self.versions[-1][2] != book:
            refuse("the price book of the configuration is not the newest that is in the control topic")


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


def compare_alerts(report, calc, got, twice, skip=lambda e: False):
    """Field by field, those that a change made due too. Of an account whose calls lie in several partitions the log does not say which
    calls came before a change."""
    def unknown(e):
        name = e["data"]["account"]
        return name in report.spread and (len(calc.versions) > 1 or calc.accounts[name].said.records)

    report.events("alert", *({id: e for id, e in x.items() if not unknown(e)} for x in (calc.alerts, got)), twice, skip)


def ctl(args, verb, *more):
    run = subprocess.run([args.meterctl, verb, "--config", args.config, "--format", "ndjson", *more], stdout=subprocess.PIPE, check=False)
    if run.returncode not in (0, 1):
        refuse(f"meterctl {verb} ended with {run.returncode}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def compare_counters(report, log, args):
    wanted = {}
    for name, a in log.calc.accounts.items():
        for (service, month), n in a.calls.items():
            wanted[(name, service, Months.name(month))] = (n, 0)
        for (service, month, _), n in a.late.items():
            k = (name, service, Months.name(month))
            calls, late = wanted.get(k, (0, 0))
            wanted[k] = (calls, late + n)
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
    # A letter is out before the commit: where the commit is refused since other rules were decided meanwhile, the record is read again by those.
    got = {at: value for at, value in got.items() if at in log.rejected or at not in log.differ}
    for at in log.rejected.keys() ^ got.keys():
        report.say(f"dead letter of {at}: {'missing' if at in log.rejected else 'not due'}")
    for at in log.rejected.keys() & got.keys():
        if (log.rejected[at] or b"") != (got[at] or b""):
            report.say(f"dead letter of {at}: not byte for byte")
    return len(got)


def compare_settlements(report, calc, settings, manifests):
    got, twice = read_published(settings, settings.settlements)
    for e in got.values():
        if "lines" in e["data"] and isinstance(e["data"]["lines"], list):
            e["data"]["lines"].sort()
    wanted = {**calc.lines, **calc.statements, **calc.closed}
    report.events("settlement", wanted, got, twice)
    for id, e in calc.closed.items():
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
    p.add_argument("--kept", help="folder in which input records are kept, and from which those come that retention took meanwhile")
    args = p.parse_args()
    only = set(args.only.split(","))
    began = time.monotonic()
    settings = Settings(args.config)
    log = read_log(args.config, args.jobs, args.kept)
    calc = log.calc
    report = Report(log.spread)
    counters = compare_counters(report, log, args) if "counters" in only else 0
    if "ledger" in only:
        compare_ledger(report, log, args)
    if "alerts" in only:
        got, twice = read_published(settings, settings.alerts)
        got = {id: e for id, e in got.items() if e["data"]["account"] not in log.unknown}
        compare_alerts(report, calc, got, twice, skip=lambda e: e["data"]["account"] in log.spread)
    if "settlements" in only:
        compare_settlements(report, calc, settings, Topics(settings).manifests)
    letters = compare_dlq(report, log) if "dlq" in only else 0
    records = {k: sum(part.ledger[k] for part in log.parts.values()) for k in next(iter(log.parts.values())).ledger}
    print(f"auditor: {', '.join(f'{v} {k}' for k, v in records.items())}; {counters} counters, {len(calc.alerts)} alerts "
          f"({len(log.spread)} accounts in several partitions), {len(calc.lines)} lines, {len(calc.statements)} statements, "
          f"{len(calc.closed)} months, {letters} dead letters; {time.monotonic() - began:.1f} s; "
          f"{report.differences or 'no'} differences")
    sys.exit(1 if report.differences else 0)


if __name__ == "__main__":
    main()
