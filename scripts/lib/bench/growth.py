# SPDX-License-Identifier: Apache-2.0
"""growth: what an event costs, and how long a start takes, with more counters, more partitions, longer ladders."""
from parts import ROOT, Meterd, Redis, delete_topics, fill, topics
from report import round_line

WHAT = "CPU an event (daemon and Redis) and start-up, as counters, partitions and tiers become more"
SERVICES = ("image-tag", "product-recognition", "vehicle-recognition", "image-quality", "image-crop", "celebrity-recognition",
            "product-recognition-wechat")


class Grown:
    """A daemon's topic and Redis with N counters in it, from one event each."""

    def __init__(self, env, accounts):
        self.env, self.accounts, self.n, self.done = env, accounts, accounts * 7, 0
        self.name = f"growth-{self.n}"
        self.topic = self.name + ".usage.calls"
        topics(env, self.name + ".", env.partitions, ("usage.calls",))
        self.redis = Redis(env.work, self.name)
        # without a window of duplicates: a start would read it back, and another bench is about that
        self.meterd = Meterd(env, self.name + "-meterd", self.redis, self.topic, **{"dedupe.enabled": False})
        self.load(events=self.n, accounts=accounts, how="each")
        self.meterd.start().drain(self.done)
        self.meterd.stop()

    def load(self, **options):
        made = fill(self.env, self.topic, first=self.done, step_us=1000, **options)
        self.done += made["events"]
        return made["events"]

    def slice(self, accounts):
        """A backlog over so many of the accounts: CPU an event, and from the start of the process to the first record read."""
        self.load(events=self.env.events // 3, accounts=accounts, how="uniform")
        r = self.meterd.start().drain(self.done)
        self.meterd.stop()
        return {"cpu_ns": r["cpu_ns"] + r["redis_cpu_ns"], "start_s": r["first_s"]}

    def close(self):
        self.meterd.__exit__(None)
        self.redis.stop()
        delete_topics(self.env, self.name + ".")


def counters(env, report):
    sizes = (10, 1000) if env.short else [env.scaled(n, 10) for n in (10000 // 7, 100000 // 7, 1000000 // 7, 10000000 // 7)]
    grown = [Grown(env, a) for a in sizes]
    all_of_them, few = {g.n: [] for g in grown}, {g.n: [] for g in grown}
    for n in range(env.rounds):
        for g in grown:
            all_of_them[g.n].append(g.slice(g.accounts))
            few[g.n].append(g.slice(sizes[0]))
        round_line(n, **{f"{g.n:,} counters": f"{all_of_them[g.n][-1]['cpu_ns']:.0f} ns (some of them: {few[g.n][-1]['cpu_ns']:.0f} ns), "
                         f"start {few[g.n][-1]['start_s']:.2f} s" for g in grown})
    if env.short:
        for g in grown:
            env.expect(f"{g.name}: counters", sum(1 for _ in g.meterd.counters()), g.n)
    for g in grown:
        g.close()
    least = grown[0].n
    for g in grown[1:]:
        for what, runs in (("all", all_of_them), ("some", few)):
            report.add(f"growth.counters.{g.n}.{what}", "ns/event", [r["cpu_ns"] for r in runs[g.n]], f"{least:,} counters",
                       [r["cpu_ns"] for r in runs[least]])
        report.add(f"growth.start.{g.n}", "s", [r["start_s"] for r in few[g.n]], f"{least:,} counters", [r["start_s"] for r in few[least]])


def drained(env, name, topic, events, **settings):
    store = Redis(env.work, name)
    try:
        with Meterd(env, name, store, topic, **settings) as m:
            r = m.start().drain(events)
            return r["cpu_ns"] + r["redis_cpu_ns"]
    finally:
        store.stop()


def alternate(env, report, what, sides):
    """sides: label -> function of a round's name."""
    runs = {label: [] for label in sides}
    for n in range(env.rounds):
        for label, side in sides.items():
            runs[label].append(side(f"growth-{what}-{label}-{n}"))
        round_line(n, **{f"{label} {what}": f"{rs[-1]:.0f} ns" for label, rs in runs.items()})
    first, *others = runs
    for label in others:
        report.add(f"growth.{what}.{label}", "ns/event", runs[label], f"{first} {what}", runs[first])


def partitions(env, report):
    sides = {}
    for n in (4, 32) if env.short else (4, 32, 256):
        prefix = f"growth-{n}-partitions."
        topics(env, prefix, n, ("usage.calls",))
        made = fill(env, prefix + "usage.calls", events=env.events // 4, accounts=env.scaled(100000), how="zipf")
        sides[n] = lambda name, topic=prefix + "usage.calls", events=made["events"]: drained(env, name, topic, events)
    alternate(env, report, "partitions", sides)
    for n in sides:
        delete_topics(env, f"growth-{n}-partitions.")


def price_book(env, tiers):
    path = f"{env.work}/tiers-{tiers}.yaml"
    head = open(f"{ROOT}/config/catalog.yaml").read().split("\ngroups:")[0]
    with open(path, "w") as f:
        f.write(head + "\ngroups:\n  - {id: all, name: all}\nservices:\n")
        for s in SERVICES:
            f.write(f"  - id: {s}\n    name: {s}\n    group: all\n    prices:\n      - from: 2020-01\n        model: volume\n        per: 1000\n"
                    "        bounds: lower-inclusive\n        tier_basis: total\n        tiers:\n")
            for t in range(tiers):
                f.write(f"          - {{from: {t * 1000}, price: 2}}\n")
    return path


def tiers(env, report):
    topics(env, "growth-tiers.", env.partitions, ("usage.calls",))
    topic = "growth-tiers.usage.calls"
    made = fill(env, topic, events=env.events // 4, accounts=env.scaled(100000), how="zipf")
    sides = {n: lambda name, n=n: drained(env, name, topic, made["events"], catalog=price_book(env, n)) for n in ((1, 1000) if env.short else (1, 10, 1000))}
    alternate(env, report, "tiers", sides)
    delete_topics(env, "growth-tiers.")


def run(env, report):
    report.begin("growth", WHAT)
    counters(env, report)
    partitions(env, report)
    tiers(env, report)
