# SPDX-License-Identifier: Apache-2.0
"""drain: the real daemon works off a backlog; against a bare consumer, a counter an event in Redis, and Kafka Streams."""
import json
import os
import subprocess

from parts import ROOT, Meterd, Redis, consumer, crc_sum, delete_topics, fill, topics, words
from report import round_line

WHAT = "a backlog counted by meterd, dedupe, ledger and thresholds on, Redis with AOF everysec"


def streams(env, topic, name, records, seconds):
    state = f"{env.work}/{name}"
    out = subprocess.run(["java", "-XX:-UsePerfData", "-cp", f"{env.jars}/*", f"-Dlog4j2.configurationFile={ROOT}/tests/kafka/log4j2.properties",
                          f"{ROOT}/tests/bench/PlainCount.java", env.bootstrap, topic, name, state, str(records), str(seconds)],
                         stdout=subprocess.PIPE, stderr=open(f"{env.work}/{name}.log", "w"), text=True)
    if out.returncode != 0:
        words("".join(open(f"{env.work}/{name}.log").readlines()[-20:]))
        raise RuntimeError("PlainCount failed")
    delete_topics(env, name + "-")
    return json.loads(out.stdout.splitlines()[-1])


def hincrby(env, topic, name, seconds):
    store = Redis(env.work, name)
    try:
        before = store.cpu()
        r = consumer(env, topic, "--hincrby", store.port, "use", seconds)
        r["redis_cpu_ns"] = (store.cpu() - before) / r["messages"] * 1e9
        if env.short:
            r["checksum"] = crc_sum((k.decode(), int(v)) for k, v in store.client.hscan_iter("use", count=10000))
        return r
    finally:
        store.stop()


def settings_of(variant):
    pairs = dict(p.split("=") for p in variant.split(",")) if variant else {}
    return {k: int(v) if v.isdigit() else v for k, v in pairs.items()}


def meterd(env, topic, name, total, made, variant=""):
    store = Redis(env.work, name)
    try:
        with Meterd(env, name, store, topic, **settings_of(variant)) as m:
            r = m.start().drain(total)
            m.stop()
            if env.short:
                r["checksum"] = crc_sum(m.counters())
                env.expect(f"{name}: counters", r["checksum"], made["checksum"])
            return r
    finally:
        store.stop()


def per_event(runs):
    return [r["cpu_seconds"] / r["messages"] * 1e9 for r in runs]


def rates(runs):
    return [r["rate"] if "rate" in r else r["messages"] / r["seconds"] for r in runs]


def told(r):
    redis = f" + {r['redis_cpu_ns']:.0f} of Redis" if "redis_cpu_ns" in r else ""
    return f"{rates([r])[0] / 1e6:.3f} M/s, {r['cpu_ns'] if 'cpu_ns' in r else per_event([r])[0]:.0f} ns CPU an event{redis}"


def run(env, report):
    topic = "drain.usage.calls"
    topics(env, "drain.", env.partitions, ("usage.calls",))
    made = fill(env, topic, events=env.events, accounts=env.scaled(100000), how="zipf", duplicates=5 if env.short else 0)
    report.begin("drain", WHAT)
    report.note(f"{made['events']:,} events of {made['bytes'] // made['events']} bytes in {env.partitions} partitions, zipf over "
                f"{env.scaled(100000):,} accounts x 7 services")
    consumer(env, topic)  # fills the page cache
    runs = {p: [] for p in ("bare", "meterd", *env.variants, "hincrby", "streams") if p == "meterd" or p in env.peers or p in env.variants}
    for n in range(env.rounds):
        for p in runs:
            name = f"drain-{env.variants.index(p) if p in env.variants else p}-{n}"
            if p == "bare":
                r = consumer(env, topic)
            elif p == "meterd":
                r = meterd(env, topic, name, made["events"], made)
            elif p in env.variants:
                r = meterd(env, topic, name, made["events"], made, p)
            elif p == "hincrby":
                r = hincrby(env, topic, name, 0 if env.short else 10)
            else:
                r = streams(env, topic, name, made["events"], 240 if env.short else 20)
            if p in env.peers and (env.short or p == "bare"):
                env.expect(f"{name}: events", r["messages"], made["events"])
            if "checksum" in r and p in env.peers and r["messages"] == made["events"]:
                env.expect(f"{name}: counts", int(r["checksum"]), made["checksum_all"])
            runs[p].append(r)
        round_line(n, **{p: told(rs[-1]) for p, rs in runs.items()})
    delete_topics(env, "drain.")
    labels = {"bare": "a bare consumer", "hincrby": "HINCRBY an event", "streams": "Kafka Streams"}
    for p, label in labels.items():
        if p in runs:
            report.add(f"drain.rate.{p}", "events/s", rates(runs["meterd"]), label, rates(runs[p]))
    for p, label in labels.items():
        if p in runs:
            report.add(f"drain.cpu.{p}", "ns/event", [r["cpu_ns"] for r in runs["meterd"]], label, per_event(runs[p]))
    for p in env.variants:
        for what, unit, values in (("rate", "events/s", rates), ("cpu", "ns/event", lambda rs: [r["cpu_ns"] for r in rs]),
                                   ("redis_cpu", "ns/event", lambda rs: [r["redis_cpu_ns"] for r in rs])):
            report.add(f"drain.{what} with {p}", unit, values(runs[p]), "meterd as it is", values(runs["meterd"]))
    if "hincrby" in runs:
        report.add("drain.redis_cpu", "ns/event", [r["redis_cpu_ns"] for r in runs["meterd"]], "Redis under HINCRBY an event",
                   [r["redis_cpu_ns"] for r in runs["hincrby"]])
