# SPDX-License-Identifier: Apache-2.0
"""rebuild-live: all counters made again beside those in force. How fast, against the drain and a bare consumer; how much later alerts come
meanwhile, under live traffic at a steady rate; how long Redis stands still for the copy that --verify takes. Then the same with kill -9 of the daemon
and of the rebuild at random points, put in force under load, and the auditor's verdict over all of it."""
import json
import random
import subprocess
import threading
import time

from parts import ROOT, Meterd, Redis, consumer, delete_topics, fill, topics, waited, words
from report import round_line

WHAT = "counters made again under live traffic, against the drain, a bare consumer, and alerts without it"
BACKLOG_STEP_US = 100  # between its records' stamps; they end now
TOPIC = "rebuild-live.usage.calls"


def at(xs, part):
    return sorted(xs)[min(len(xs) - 1, int(len(xs) * part))]


class Rebuild:
    """meterctl rebuild in the background; what it says is read as it comes, since that tells when it stood where the live one stands."""

    def __init__(self, env, m, *options):
        self.begun, self.stood, self.said = time.monotonic(), None, []
        self.process = subprocess.Popen([f"{env.bin}/meterctl", "rebuild", "--yes", "--workers", "2", "--config", m.path, *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.said.append(line.rstrip())
            if "stands where the live one stands" in line and self.stood is None:
                self.stood = time.monotonic() - self.begun

    def runs(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        """Its exit code, and what it found to differ."""
        found = self.process.stdout.read()
        code = self.process.wait()
        self.reader.join()
        return code, found

    def done(self):
        code, found = self.end()
        if code != 0 or found:
            raise RuntimeError(f"meterctl rebuild ended with {code}: {' / '.join(self.said[-3:])}\n{found[:2000]}")
        return self


class Stall(threading.Thread):
    """The longest time in which Redis answered nobody."""

    def __init__(self, store):
        super().__init__(daemon=True)
        self.client, self.stop, self.longest = store.client, False, 0.0

    def run(self):
        while not self.stop:
            begun = time.monotonic()
            self.client.ping()
            self.longest = max(self.longest, time.monotonic() - begun)
            time.sleep(0.001)

    def end(self):
        self.stop = True
        self.join()
        return self.longest * 1000


class World:
    def __init__(self, env, m, store):
        self.env, self.m, self.store, self.load, self.alerts, self.from_ms = env, m, store, None, 0, 0

    def ask(self, *verb):
        out = subprocess.run([f"{self.env.bin}/meterctl", *verb, "--format", "ndjson", "--config", self.m.path], check=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        return [json.loads(line) for line in out.stdout.splitlines()]

    def in_force(self):
        return [g["generation"] for g in self.ask("generations") if g["is"] == "in force"][0]

    def drop(self):
        for g in self.ask("generations"):
            if g["is"] == "being made":
                subprocess.run([f"{self.env.bin}/meterctl", "generations", "drop", str(g["generation"]), "--config", self.m.path], check=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def delays(self, samples):
        """In ms, from the produce of a crossing call until its alert can be read."""
        out = subprocess.run([f"{self.env.bin}/bench_alerts", self.env.bootstrap, TOPIC, self.m.prefix + "meterd.alerts", "rebuild-live-bare.meterd.alerts",
                              str(samples), str(self.alerts), str(self.from_ms)], check=True, stdout=subprocess.PIPE, text=True)
        self.alerts += samples + 1
        return json.loads(out.stdout)["alert_ms"]

    def delays_during(self, rebuild, samples, most):
        """As many as come while it counts, at least one set and not much more than `most`: one that is slowed down takes as long as it likes."""
        ms = self.delays(samples)
        while rebuild.runs() and len(ms) < most:
            ms += self.delays(samples)
        return ms

    def give_up(self, rebuild):
        rebuild.kill()
        waited(60, "the end of its claim", lambda: not self.store.client.exists("meterd:{s00}:lease"))

    def start_load(self, first, rate):
        """Its records bear the stamps of their time: how late the daemon is it takes from them."""
        self.from_ms, step_us = time.time_ns() // 1000000, 1000000 // rate
        self.load = subprocess.Popen([f"{self.env.bin}/bench_fill", self.env.bootstrap, TOPIC, f"events={rate * 36000}", f"first={first}", f"rate={rate}",
                                      f"accounts={self.env.scaled(100000)}", "how=zipf", f"from={self.from_ms - first * step_us // 1000}",
                                      f"step_us={step_us}"], stdout=subprocess.DEVNULL)

    def end_load(self):
        if self.load is not None and self.load.poll() is None:
            self.load.kill()
        if self.load is not None:
            self.load.wait()
        self.load = None

    def log_end(self):
        out = subprocess.run(["/usr/bin/python3", f"{ROOT}/scripts/lib/topics.py", "ends", self.env.bootstrap, TOPIC], check=True, stdout=subprocess.PIPE, text=True)
        return int(out.stdout)


def fill_backlog(env):
    """Each counter once, so that there are as many as scale says, then calls as they come."""
    accounts = env.scaled(142857)
    each = min(accounts * 7, env.events // 2)
    stamps = {"from": time.time_ns() // 1000000 - env.events * BACKLOG_STEP_US // 1000, "step_us": BACKLOG_STEP_US}
    fill(env, TOPIC, events=each, accounts=accounts, how="each", **stamps)
    fill(env, TOPIC, events=env.events - each, first=each, accounts=env.scaled(100000), how="zipf", **stamps)
    return each


def under_faults(env, w, seconds):
    """kill -9 of both at random points of the counting, and again while it is put in force; every end of it must be whole."""
    seed = random.randrange(1 << 32)
    dice, kills = random.Random(seed), {"daemon": 0, "rebuild": 0}
    env.note(f"faults by seed {seed}")

    def kill_daemon():
        w.m.kill()
        w.m.start()
        kills["daemon"] += 1

    for _ in range(3):
        r = Rebuild(env, w.m)
        time.sleep(dice.uniform(0.05, 0.5) * seconds)
        if dice.random() < 0.5:
            kill_daemon()
        w.give_up(r)
        kills["rebuild"] += 1
    stall = Stall(w.store)
    r = Rebuild(env, w.m, "--verify")
    waited(1800, "it to stand there", lambda: r.stood is not None or not r.runs())
    stall.start()
    r.done()
    stalled_ms = stall.end()
    words("  " + r.said[-1])
    before, tries = w.in_force(), 0
    while w.in_force() == before:
        if tries == 20:
            raise RuntimeError("it does not come into force: " + " / ".join(r.said[-3:]))
        r = Rebuild(env, w.m, "--verify", "--promote")
        time.sleep(dice.uniform(0, 6))
        kill_daemon()
        if tries < 2 and dice.random() < 0.5 and r.runs():
            time.sleep(dice.uniform(0, 3))
            w.give_up(r)
            kills["rebuild"] += 1
        else:
            code, found = r.end()
            if code not in (0, 69, 75) or found:
                raise RuntimeError(f"meterctl rebuild ended with {code}: {' / '.join(r.said[-3:])}\n{found[:2000]}")
        tries += 1
    kill_daemon()
    return stalled_ms, kills


def verdict(env, w):
    w.end_load()
    end = w.log_end()
    waited(1800, "all of it to be counted", lambda: w.m.counted() >= end)
    waited(120, "the outboxes to be empty", lambda: all(w.store.client.xlen(k) == 0 for k in w.store.client.scan_iter("*:out", count=10000)))
    out = subprocess.run(["/usr/bin/python3", f"{ROOT}/tests/lib/auditor.py", "--config", w.m.path, "--meterctl", f"{env.bin}/meterctl"], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
    if out.returncode != 0:
        raise RuntimeError("the auditor disagrees:\n" + out.stdout[-3000:])
    return out.stdout.splitlines()[-1]


def measure(env, report, w, drain, bare):
    samples = 5 if env.short else 20
    each, rate = w.each, env.rate or (1000 if env.short else round(drain["rate"] / 5))
    quiet = Rebuild(env, w.m).done()
    w.drop()
    report.add("rebuild-live.rate", "records/s", [env.events / quiet.stood], "the drain", [drain["rate"]])
    report.add("rebuild-live.rate.bare", "records/s", [env.events / quiet.stood], "a bare consumer", [bare["messages"] / bare["seconds"]])
    report.note(f"{rate:,} events a second beside; {each:,} counters")
    w.start_load(env.events, rate)
    waited(60, "the load to be counted", lambda: w.m.counted() > env.events + rate)
    before = w.delays(samples * 3)
    sides = {"unthrottled": (), "max-lag-growth": ("--max-lag-growth", str(max(1, rate // 20))), "rate": ("--rate", str(max(1000, rate)))}
    seconds = quiet.stood
    for name, options in sides.items():
        r = Rebuild(env, w.m, *options)
        ms = w.delays_during(r, samples, samples * 5)
        took = f"{r.done().stood:.1f} s" if name == "unthrottled" or not r.runs() else "not awaited"
        if took == "not awaited":
            w.give_up(r)
        w.drop()
        seconds = max(seconds, r.stood) if name == "unthrottled" else seconds
        round_line(0, **{name: f"{took}, alerts p50 {at(ms, 0.5):.1f} ms, p99 {at(ms, 0.99):.1f} ms, {len(ms)} of them"})
        for part_name, part in (("p50", 0.5), ("p99", 0.99)):
            report.add(f"rebuild-live.alert.{name}.{part_name}", "ms", [at(ms, part)], "without a rebuild", [at(before, part)])
    return seconds


def run(env, report):
    report.begin("rebuild-live", WHAT)
    env.note = report.note
    topics(env, "rebuild-live.", env.partitions, ("usage.calls",))
    topics(env, "rebuild-live-bare.", 1, ("meterd.alerts",))
    store, w = Redis(env.work, "rebuild-live"), None
    try:
        each = fill_backlog(env)
        consumer(env, TOPIC)  # fills the page cache
        bare = consumer(env, TOPIC)
        with Meterd(env, "rebuild-live-meterd", store, TOPIC) as m:
            w = World(env, m, store)
            w.each = each
            drain = m.start().drain(env.events)
            seconds = measure(env, report, w, drain, bare)
            stalled_ms, kills = under_faults(env, w, seconds)
            report.add("rebuild-live.redis-stands-still", "ms", [stalled_ms], "its time-out, as the daemon has it (redis.timeout)", 5000)
            report.note(f"put in force after {kills['daemon']} kills of the daemon and {kills['rebuild']} of the rebuild; the auditor: {verdict(env, w)}")
            w.end_load()
    finally:
        if w is not None:
            w.end_load()
        store.stop()
    delete_topics(env, "rebuild-live.")
    delete_topics(env, "rebuild-live-bare.")
