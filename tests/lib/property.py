#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bills and alerts as a property: random price books and versions of them that come mid-run, contracts, packs, activations, sub-accounts
and calls in random order - duplicates, several services in one event, statuses that are not billed, services that have ended or are called
by another name - go through the real meterd (its embedded broker, a Redis of its own) and through auditor.py with calculator.py; every
counter, ledger line, dead letter, alert and document of every month must be equal, field by field. Each world runs with several numbers of
shards and several batch boundaries, and the daemon is stopped or killed in between.

    property.py --build DIR [--seed N] [--runs N] [--keep]     PROPERTY_RUNS=N does the same as --runs

Prints the seed of each world; the same seed is the same world. Last line: N passed, N failed.
"""
import argparse
import concurrent.futures
import copy
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from auditor import Report, Settings, Topics, compare_alerts, compare_counters, compare_dlq, compare_ledger, compare_settlements, read_published, read_share
from calculator import Book, Months, show_ms

MONTHS = ["2020-01", "2020-02", "2020-03", "2020-04"]
PARTITIONS = 2
HOUR, DAY = 3600000, 86400000
GRACE = DAY
TOPICS = str(Path(__file__).resolve().parent.parent.parent / "scripts" / "lib" / "topics.py")


# -- a world

class World:
    """Everything that is random: a price book, and for each month what is said of accounts and which calls come."""

    def __init__(self, seed, at_once):
        self.at_once = at_once  # the daemon finds all months in the log at once: nobody can propose rules in between
        self.seed, self.r = seed, random.Random(seed)
        self.services = [f"s{i}" for i in range(self.r.randint(3, 6))]
        self.accounts = [f"a{i}" for i in range(self.r.randint(6, 12))]
        self.lead = self.r.choice([10, 10, 60, 480])  # minutes
        self.dedupe = self.r.choice(["", "", "generation_bits: 4, generations: 2", "max_age: 30h", "enabled: false"])
        self.tree = self.price_book()
        self.book_texts = [book_text(self.tree, f"random-{seed}-1")]
        self.book = Book(self.book_texts[0], GRACE)
        self.m = self.book.months
        self.first = Months.parse(MONTHS[0])
        self.home = {a: self.r.randrange(PARTITIONS) for a in self.accounts}
        self.things = {}  # (account, kind, id) -> newest version
        self.n = 0
        self.sent = []    # events of accounts that may come again
        self.phases = [self.phase(k) for k in range(len(MONTHS))]

    # a price book
    def price(self, most=9):
        return f"{self.r.randint(1, most * 1000) / 1000:.3f}"

    def tiers(self, package=1):
        bounds = sorted({self.r.randint(1, 300) * package for _ in range(self.r.randint(1, 4))})
        rows = []
        for b in [0, *bounds]:
            row = {"from": b, "price": self.price()}
            if self.r.random() < 0.25:
                row["fee"] = self.price()
            rows.append(row)
        return rows

    def prices(self):
        r = self.r
        model = r.choice(["volume", "volume", "volume", "graduated", "graduated", "flat", "package"])
        row = {"model": model, "bounds": r.choice(["lower-inclusive", "upper-inclusive"]), "tier_basis": r.choice(["total", "billable"])}
        if model == "flat":
            row.update(per=r.choice([1, 10, 1000]), price=self.price())
            del row["bounds"]
        elif model == "package":
            row.update(package=r.choice([1, 7, 10]), price=self.price())
            del row["bounds"]
        else:
            row.update(per=r.choice([1, 10, 100]), tiers=self.tiers())
        if r.random() < 0.2:
            row["fee_at_zero"] = "true"
        return row

    def free(self):
        r = self.r
        return {"calls": r.choice([0, 1, 10, 50, 137, 400]), "warn": r.choice(["0.8", "0.8", "0.5", "0.333", "1", "none"]),
                "first_month": r.choice(["immediate", "immediate", "next"])}

    def dated(self, make):
        rows = [{"from": self.r.choice(["2019-06", "2020-01", "2020-01"]), **make()}]
        if self.r.random() < 0.4:
            rows.append({"from": self.r.choice(MONTHS[1:]), **make()})
        return rows

    def price_book(self):
        r = self.r
        head = {"currency": "CNY", "time_zone": r.choice(["Asia/Shanghai", "Europe/Berlin", "UTC"]),
                "rounding": r.choice(["half-up", "half-even", "down"]), "freeze_basis": r.choice(["list", "list", "billable", "bill"]),
                "freeze_ratio": r.choice(["1", "0.5", "1.2"]), "pack_order": r.choice(["earliest-expiry", "earliest-start"]),
                "statements": {"zero_price": r.choice(["false", "false", "true"])}}
        shared = []
        free_ones = list(self.services)
        r.shuffle(free_ones)
        for i in range(r.randint(0, 2)):
            members = [free_ones.pop() for _ in range(min(len(free_ones), r.randint(2, 3)))]
            if len(members) > 1:
                shared.append({"id": f"q{i}", "services": members, "free": self.dated(self.free)})
        rows = []
        for s in self.services:
            row = {"id": s, "name": s}
            if s not in free_ones or r.random() < 0.9:
                row["prices"] = self.dated(self.prices)
                if len(row["prices"]) > 1 and r.random() < 0.2:
                    k = r.randrange(2)
                    row["prices"][k] = {"from": row["prices"][k]["from"], "model": "free"}
            if s in free_ones and "prices" in row and r.random() < 0.8:
                row["free"] = self.dated(self.free)
            if s != self.services[0] and r.random() < 0.15:
                row["end"] = r.choice(["2020-03-01T00:00:00+08:00", "2020-04"])
                row["successor"] = self.services[0]
            if r.random() < 0.5:
                row["aliases"] = [f"Call{s}"]
            rows.append(row)
        if r.random() < 0.5:
            # one name, of another service from some day on
            a, b = r.sample(range(len(rows)), 2)
            day = r.choice(["2020-02-10T12:00:00+08:00", "2020-03"])
            rows[a].setdefault("aliases", []).append({"name": "Moved", "until": day})
            rows[b].setdefault("aliases", []).append({"name": "Moved", "from": day})
        head["billable_status"] = [{"codes": ["ok"]}, *r.choice([[], [{"from": "2020-02-15T00:00:00+08:00", "codes": ["ok", "partial"]}], [{"from": "2020-03", "codes": ["done", "ok"]}]])]
        owned = [{"account": f"{a}:dev", "owner": a, **r.choice([{}, {"from": "2020-02"}, {"until": "2020-03-05T00:00:00+08:00"}])} for a in self.accounts if r.random() < 0.3]
        return {**head, "accounts": owned, "services": rows, "shared_free": shared}

    def next_book(self, k):
        """Another version of the price book, while month k is open: what costs nothing yet that is settled may change."""
        r, m = self.r, Months.parse(MONTHS[0]) + k
        tree = copy.deepcopy(self.tree)

        def changed(rows, make):
            """From a month that is not settled on, another entry; those behind it may stay."""
            at = Months.parse(r.choice(MONTHS[k:]))
            keep = [x for x in rows if Months.parse(x["from"]) != at and (Months.parse(x["from"]) < at or r.random() < 0.5)]
            return sorted([*keep, {"from": Months.name(at), **make()}], key=lambda x: x["from"])

        for row in tree["services"]:
            if "prices" in row and r.random() < 0.4:
                row["prices"] = changed(row["prices"], self.prices)
            if "free" in row and r.random() < 0.4:
                row["free"] = changed(row["free"], self.free)
        for q in tree["shared_free"]:
            if r.random() < 0.5:
                q["free"] = changed(q["free"], self.free)
        if r.random() < 0.3:
            a = r.choice(self.accounts)
            if all(x["owner"] != a for x in tree["accounts"]):
                tree["accounts"].append({"account": f"{a}:dev", "owner": a})
        if r.random() < 0.3:
            r.choice(tree["services"]).setdefault("aliases", []).append(f"New{k}")
        if r.random() < 0.3:
            tree["billable_status"][-1]["codes"].append(f"code{k}")
        if r.random() < 0.3:
            ending = [row for row in tree["services"][1:] if "end" not in row]
            if ending:
                r.choice(ending)["end"] = Months.name(m + r.choice([1, 2]))
        if r.random() < 0.2:
            tree["pack_order"] = r.choice(["earliest-expiry", "earliest-start"])
        self.tree = tree
        self.book_texts.append(book_text(tree, f"random-{self.seed}-{len(self.book_texts) + 1}"))
        return self.book_texts[-1]

    # what is said
    def said(self, k, low, high):
        r, facts = self.r, []
        for a in self.accounts:
            for _ in range(r.choice([0, 0, 1, 1, 2, 4]) if k == 0 else r.choice([0, 0, 0, 1, 2])):
                facts.append((r.randint(low, high), a))
        return [{"timestamp": t, "key": a, "value": json.dumps(self.fact(a))} for t, a in sorted(facts)]

    def version(self, a, kind, id):
        v = self.things[(a, kind, id)] = self.things.get((a, kind, id), 0) + self.r.randint(1, 2)
        return v

    def fact(self, a):
        r = self.r
        kind = r.choice(["pack", "pack", "pack", "contract", "contract", "activation", "cancel"])
        known = [id for (who, k, id) in self.things if who == a and k == "pack"]
        if kind == "cancel" and known:
            id = r.choice(known)
            return {"type": "pack.cancelled", "account": a, "id": id, "version": self.version(a, "pack", id), "from": r.choice(MONTHS)}
        if kind == "activation":
            id = f"act-{r.randint(1, 2)}"
            month = Months.parse(r.choice(["2019-12", *MONTHS]))
            return {"type": "activation", "account": a, "id": id, "version": self.version(a, "activation", id),
                    "time": show_ms(self.m.start[month] + r.randint(0, 20 * DAY))}
        if kind == "contract":
            id = f"c-{r.randint(1, 3)}"
            f = {"type": "contract", "account": a, "id": id, "version": self.version(a, "contract", id), "from": r.choice(MONTHS),
                 "services": [self.contract_row(s) for s in r.sample(self.services, r.randint(0, 2))]}
            if r.random() < 0.3:
                f["until"] = "2020-05" if f["from"] == MONTHS[-1] else MONTHS[MONTHS.index(f["from"]) + 1]
            return f
        id = f"p-{r.randint(1, 4)}"
        start = self.m.start[self.first + r.choice([-1, 0, 0, 1, 2])] + r.randint(0, 27 * DAY)
        f = {"type": "pack", "account": a, "id": id, "version": self.version(a, "pack", id), "calls": r.choice([1, 20, 60, 150, 500]),
             "services": r.sample(self.services, r.randint(1, min(3, len(self.services)))), "price": "1.00", "start": show_ms(start),
             "expiry": show_ms(start + r.randint(1, 90) * DAY)}
        if r.random() < 0.5:
            f["warn"] = r.choice(["0.5", "1", "none", "0.9"])
        return f

    def contract_row(self, s):
        r, row = self.r, {"service": s}
        what = r.choice(["prices", "free", "both", "basis", "zero"])
        if what in ("prices", "both"):
            row["prices"] = {k: v == "true" if k == "fee_at_zero" else v for k, v in self.prices().items()}
            if r.random() < 0.5:
                row["prices"].pop("tier_basis")
        if what in ("free", "both"):
            row["free"] = self.free()
        if what == "basis":
            row["tier_basis"] = r.choice(["total", "billable"])
        if what == "zero":
            row["prices"] = {"model": "free"}
        return row

    # what is called
    def phase(self, k):
        r, m = self.r, self.first + k
        low = self.m.start[m] if k == 0 else self.m.close[m - 1]
        high = self.m.close[m] - 1
        book = self.next_book(k) if k > 0 and not self.at_once and r.random() < 0.6 else None
        facts = self.said(k, low - DAY if k == 0 else low, high - 2 * HOUR if r.random() < 0.8 else high)
        usage = []
        for a in self.accounts:
            if r.random() < 0.15:
                continue  # a month without calls
            for _ in range(r.randint(1, 12)):
                stamp = r.randint(low, high) if r.random() < 0.7 else r.randint(self.m.start[m + 1], high)
                usage.append((stamp, self.home[a], a, self.event(a, m, stamp)))
        for t, p, a, e in [u for u in usage if u[3] is not None]:
            self.sent.append((t, p, a, e))
            if r.random() < 0.12:  # a repetition: the same again, or the same id with something else
                again = dict(e) if r.random() < 0.7 else {**self.event(a, m, t), "id": e["id"]}
                usage.append((r.choice([t, t, r.randint(t, high)]), p, a, again))
        if self.sent and r.random() < 0.5:  # one of a month ago
            _, p, a, e = r.choice(self.sent)
            usage.append((r.randint(low, high), p, a, dict(e)))
        usage = sorted((u for u in usage if u[3] is not None), key=lambda u: u[0])
        records = [{"partition": p, "timestamp": t, "key": a, "value": json.dumps(e)} for t, p, a, e in usage]
        for p in range(PARTITIONS):  # a record that carries the clock past the close
            when = self.m.close[m]
            alive = [s for s in self.services if self.book.begin[s] <= when < self.book.end[s]] or [self.services[0]]
            e = {"id": f"pass-{p}-{k}", "account": f"pass{p}", "service": r.choice(alive), "calls": r.randint(1, 200), "time": when}
            records.append({"partition": p, "timestamp": self.m.close[m] + (0 if r.random() < 0.5 else r.randint(0, HOUR)), "key": f"pass{p}", "value": json.dumps(e)})
        return facts, records, book, r.randint(0, len(usage))

    def name(self, s):
        """A service by its id, or by another name; seldom one that nobody knows, or that has ended."""
        x = self.r.random()
        if x < 0.02:
            return self.r.choice(["nobody", "Moved", "New1", "New2", *self.services])
        return self.r.choice([s, s, f"Call{s}"]) if x < 0.3 else "Moved" if x < 0.34 else s

    def event(self, a, m, stamp):
        r = self.r
        x = r.random()
        if stamp >= self.m.start[m + 1] and x < 0.4:
            low, high = self.m.start[m + 1], stamp
        elif x < 0.8 or m == self.first:
            low, high = self.m.start[m], min(stamp, self.m.start[m + 1] - 1)
        else:
            late = r.randint(self.first - (1 if r.random() < 0.1 else 0), m - 1)
            low, high = self.m.start[late], self.m.start[late + 1] - 1
        when = r.randint(low, high)
        alive = [s for s in self.services if self.book.begin[s] <= when < self.book.end[s]]
        if not alive:
            return None
        self.n += 1
        e = {"id": f"e{self.n}", "account": a if r.random() < 0.8 else f"{a}:dev", "time": when}
        if r.random() < 0.25:
            e["items"] = [{"service": self.name(r.choice(alive)), "calls": r.randint(1, 60)} for _ in range(r.randint(1, 4))]
        else:
            e.update(service=self.name(r.choice(alive)), calls=r.choice([1, 1, 2, 5, 20, 60, 300]))
        if r.random() < 0.1:
            e["status"] = r.choice(["ok", "error", "partial", "done", "code1", "code2"])
        return e


def plain(value):
    """YAML in flow style without quotes."""
    return json.dumps(value).replace('"', "")


def book_text(tree, version):
    lines = [f"version: {version}", *(f"{k}: {plain(v)}" for k, v in tree.items() if k != "services")]
    return "\n".join([*lines, "services:", *(f"  - {plain(row)}" for row in tree["services"])]) + "\n"


# -- the real parts

def replace(path, text):
    """Whole, whoever reads it meanwhile."""
    with open(f"{path}.new", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(f"{path}.new", path)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(what, condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.01)


class Parts:
    """Broker and Redis of all worlds; each run has its own topics and its own prefix."""

    def __init__(self, build, work, bootstrap, keep):
        self.keep = keep
        self.build, self.work, self.children, self.bootstrap = build, work, [], bootstrap
        self.runs, self.lock = 0, threading.Lock()
        port = free_port()
        self.redis = f"redis://127.0.0.1:{port}/0"
        self.spawn("redis", ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", work,
                             "--maxmemory-policy", "noeviction"])
        wait_until("Redis", lambda: subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True, check=False).stdout == b"PONG\n", 20)

    def spawn(self, name, args):
        log = open(f"{self.work}/{name}.log", "ab")
        child = subprocess.Popen(args, stdout=log, stderr=log)
        self.children.append(child)
        return child

    def end(self):
        for c in self.children:
            c.kill()
            c.wait()


class Run:
    """One world under one set of settings."""

    def __init__(self, parts, world, settings, seed):
        self.reader = self.broker = self.bootstrap = None
        self.parts, self.w, self.r = parts, world, random.Random(seed)
        self.settings = settings
        with parts.lock:
            parts.runs += 1
            self.name = f"run{parts.runs}"
        self.dir = f"{parts.work}/{self.name}"
        os.mkdir(self.dir)
        self.meterd = None
        self.group = f"property-{os.getpid()}-{self.name}"  # no other run of this broker has it
        self.prefix = f"{self.group}."
        self.bootstrap = parts.bootstrap
        if self.bootstrap:
            subprocess.run([sys.executable, TOPICS, "create", self.bootstrap, "--prefix", self.prefix, "--partitions", str(PARTITIONS), "--stamps", "any"], check=True)
        else:
            self.embedded_broker()
        self.input, self.accounts = f"{self.prefix}usage.calls", f"{self.prefix}meterd.accounts"
        self.alerts, self.settlements, self.control = (f"{self.prefix}meterd.{t}" for t in ("alerts", "settlements", "control"))
        self.producer = Producer({"bootstrap.servers": self.bootstrap, "log_level": 0})
        self.reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "property", "enable.auto.commit": False, "log_level": 0})
        self.reader.assign([TopicPartition(self.settlements, p, 0) for p in range(2)])
        self.ends = set()

    def embedded_broker(self):
        topics = {"usage.calls": PARTITIONS, "meterd.alerts": 2, "meterd.settlements": 2, "meterd.control": 1, "meterd.accounts": 1, "usage.calls.dlq": 1}
        wanted = [x for t, n in topics.items() for x in ("--topic", f"{self.prefix}{t}:{n}")]
        self.broker = self.parts.spawn(f"{self.name}/broker", [f"{self.parts.build}/bin/meterctl", "broker", *wanted])
        wait_until("the broker", lambda: "KAFKA_BOOTSTRAP=" in open(f"{self.dir}/broker.log").read(), 20)
        self.bootstrap = open(f"{self.dir}/broker.log").read().split("KAFKA_BOOTSTRAP=")[1].split()[0]

    def done(self):
        if self.reader is not None:
            self.reader.close()
        if self.meterd is not None and self.meterd.poll() is None:
            self.meterd.kill()
            self.meterd.wait()
        if self.broker:
            self.broker.kill()
        elif not self.parts.keep:
            subprocess.run([sys.executable, TOPICS, "delete", self.bootstrap, "--prefix", self.prefix], check=True)

    def config(self, book_text):
        replace(f"{self.dir}/catalog.yaml", book_text)
        replace(f"{self.dir}/meterd.yaml", f"""
instance: {self.name}
catalog: catalog.yaml
state_dir: {self.dir}
clock: records
workers: {self.settings['workers']}
kafka: {{bootstrap: "{self.bootstrap}", embedded: {"false" if self.parts.bootstrap else "true"}, group: "{self.group}", session_timeout: 6s}}
topics: {{input: ["{self.input}"], alerts: "{self.alerts}", settlements: "{self.settlements}", control: "{self.control}", accounts: "{self.accounts}", dlq: "{self.prefix}usage.calls.dlq"}}
redis: {{url: "{self.parts.redis}", prefix: "{self.name}:", shards: {self.settings['shards']}}}
flush: {{idle_advance: 100ms, max_interval: {self.settings['max_interval']}, max_events: {self.settings['max_events']}, max_deltas: {self.settings['max_deltas']}}}
rules: {{lead: {self.w.lead}m}}
dedupe: {{{self.w.dedupe}}}
http: {{listen: ""}}
""")

    def start(self):
        self.meterd = self.parts.spawn(f"{self.name}/meterd", [f"{self.parts.build}/bin/meterd", "--config", f"{self.dir}/meterd.yaml"])

    def stop(self, how):
        self.meterd.send_signal(how)
        code = self.meterd.wait(30)
        self.parts.children.remove(self.meterd)
        if how == signal.SIGTERM and code != 0:
            raise RuntimeError(f"meterd ended with {code}: see {self.dir}/meterd.log")

    def produce(self, topic, records):
        failed = []
        for r in records:
            args = {k: r[k] for k in ("partition", "timestamp", "key") if k in r}
            self.producer.produce(topic, r["value"], on_delivery=lambda e, _: failed.append(e) if e else None, **args)
        if self.producer.flush(30) or failed:
            raise RuntimeError(f"not produced: {failed[:1]}")

    def settled(self, month):
        if self.meterd.poll() is not None:
            raise RuntimeError(f"meterd ended with {self.meterd.returncode}: see {self.dir}/meterd.log")
        for m in self.reader.consume(500, 0.05):
            if m.error() is None:
                e = json.loads(m.value())
                if e["type"] == "meterd.period.closed.v1":
                    self.ends.add(e["data"]["period"])
            elif m.error().code() != KafkaError._PARTITION_EOF:
                raise RuntimeError(m.error().str())
        return month in self.ends

    def go(self):
        self.config(self.w.book_texts[0])
        init = subprocess.run([f"{self.parts.build}/bin/meterctl", "init", "--config", f"{self.dir}/meterd.yaml"], check=False, capture_output=True, text=True)
        if init.returncode:
            raise RuntimeError(f"meterctl init ended with {init.returncode}: {init.stderr}")
        phases = self.w.phases if self.settings["phases"] else [(sum((p[0] for p in self.w.phases), []), sum((p[1] for p in self.w.phases), []), None, 0)]
        for k, (facts, usage, book, split) in enumerate(phases):
            self.produce(self.accounts, facts)
            if book is None:
                split = len(usage)
            self.produce(self.input, usage[:split])
            self.start()
            if book is not None:
                self.apply(book)
                self.produce(self.input, usage[split:])
            month = MONTHS[k] if self.settings["phases"] else MONTHS[-1]
            if self.settings["kill"]:
                time.sleep(self.r.random() * 0.3)  # any moment will do: this is where it is killed, not what is waited for
                self.stop(signal.SIGKILL)
                self.start()
            wait_until(f"the end of {month}", lambda: self.settled(month))
            self.stop(self.r.choice([signal.SIGTERM, signal.SIGKILL]))

    def apply(self, book):
        """Other rules, decided before anything more comes."""
        self.config(book)
        code = subprocess.run([f"{self.parts.build}/bin/meterctl", "rules", "apply", "--timeout", "60", "--config", f"{self.dir}/meterd.yaml"], check=False,
                              capture_output=True, text=True)
        if code.returncode:
            raise RuntimeError(f"meterctl rules apply ended with {code.returncode}: {code.stderr}")

    # ---- against the calculator
    def compare(self, out):
        config = f"{self.dir}/meterd.yaml"
        log = read_share((config, (0, 1)))
        log.end()
        if log.spread:
            raise RuntimeError(f"{sorted(log.spread)} in several partitions: the world is wrong")
        calc, settings, topics = log.calc, Settings(config), Topics(Settings(config))
        wanted = [Months.name(m) for m in range(calc.begins(), Months.parse(MONTHS[-1]) + 1)]
        if sorted(topics.manifests) != wanted:
            raise RuntimeError(f"manifests of {sorted(topics.manifests)}, not of {wanted}")
        report, ctl = Report(out=out), argparse.Namespace(meterctl=f"{self.parts.build}/bin/meterctl", config=config)
        compare_counters(report, log, ctl)
        compare_ledger(report, log, ctl)
        compare_dlq(report, log)
        got, twice = read_published(self, self.alerts)
        compare_alerts(report, calc, got, twice)
        compare_settlements(report, calc, settings, topics.manifests)
        records = {k: sum(part.ledger[k] for part in log.parts.values()) for k in ("duplicate", "late", "rejected", "not_billable")}
        by_change = sum(e["data"]["call"] is None for e in calc.alerts.values())
        return report.differences, (f"{len(calc.alerts) - by_change} alerts of calls, {by_change} of changes, {len(calc.lines)} lines, {len(topics.versions)} versions, "
                                    f"{', '.join(f'{n} {k}' for k, n in records.items())}")


SETTINGS = [
    {"shards": 16, "workers": 1, "max_interval": "500ms", "max_events": 524288, "max_deltas": 4096, "phases": True, "kill": False},
    {"shards": 1, "workers": 1, "max_interval": "1ms", "max_events": 1, "max_deltas": 1, "phases": True, "kill": True},
    {"shards": 3, "workers": 2, "max_interval": "20ms", "max_events": 7, "max_deltas": 3, "phases": False, "kill": False},
]


def one(parts, seed, which):
    """One world: (differences, what to say)."""
    settings = SETTINGS[which]
    out = io.StringIO()
    run = None
    began = time.monotonic()
    try:
        run = Run(parts, World(seed, not settings["phases"]), settings, seed)
        run.go()
        real = time.monotonic()
        differences, words = run.compare(out)
        print(f"seed {seed}, settings {which}: {words}, {real - began:.1f} + {time.monotonic() - real:.1f} s; {differences or 'no'} differences", file=out)
    except (RuntimeError, TimeoutError, SystemExit, subprocess.SubprocessError) as e:
        print(f"seed {seed}, settings {which}: {e}", file=out)
        differences = 1
    finally:
        if run is not None:
            run.done()
    return differences, out.getvalue()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--seed", type=int, default=1, help="of the first world; the others follow")
    p.add_argument("--runs", type=int, default=int(os.environ.get("PROPERTY_RUNS", "8")))
    p.add_argument("--settings", type=int, help="only this set of settings")
    p.add_argument("--jobs", type=int, default=4, help="worlds at a time: most of it is waiting")
    p.add_argument("--bootstrap", default=os.environ.get("KAFKA_BOOTSTRAP"), help="a real Kafka; without it the embedded broker")
    p.add_argument("--keep", action="store_true", help="keep logs, configurations and topics")
    args = p.parse_args()
    work = tempfile.mkdtemp(prefix="property-")
    parts = Parts(args.build, work, args.bootstrap, args.keep)
    good = bad = 0
    try:
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            seeds = range(args.seed, args.seed + args.runs)
            kinds = [args.settings if args.settings is not None else s % len(SETTINGS) for s in seeds]
            for differences, words in pool.map(one, [parts] * args.runs, seeds, kinds):
                print(words, end="", flush=True)
                good, bad = good + (not differences), bad + bool(differences)
    finally:
        parts.end()
        if args.keep:
            print(f"kept: {work}")
        else:
            shutil.rmtree(work)
    print(f"{good} passed, {bad} failed")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
