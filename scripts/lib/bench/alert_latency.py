# SPDX-License-Identifier: Apache-2.0
"""alert-latency: from the produce of a crossing call to its alert at a read_committed reader, under half of the load that a drain
reaches; against a bare transaction with one record, under the same load and read by the same reader. The load bears the stamps of its
time: how late the daemon is it takes from them."""
import json
import subprocess
import time

from parts import Meterd, Redis, delete_topics, fill, metric_sum, topics, waited, words
from report import round_line

WHAT = "produce of the crossing call -> alert readable (read_committed), at half of the drain's rate, against a bare transaction"


def at(xs, part):
    return sorted(xs)[min(len(xs) - 1, int(len(xs) * part))]


def half_of_a_drain(env, topic):
    topics(env, "latency-warm.", env.partitions, ("usage.calls",))
    warm = "latency-warm.usage.calls"
    made = fill(env, warm, events=env.events // 4, accounts=env.scaled(100000), how="zipf")
    store = Redis(env.work, "latency-warm")
    try:
        with Meterd(env, "latency-warm-meterd", store, warm) as m:
            return m.start().drain(made["events"])["rate"] / 2
    finally:
        store.stop()
        delete_topics(env, "latency-warm.")


def run(env, report):
    samples = 10 if env.short else 100
    report.begin("alert-latency", WHAT)
    rate = env.rate or (2000 if env.short else round(half_of_a_drain(env, "latency.usage.calls")))
    report.note(f"{rate:,} events a second beside, {samples} alerts and {samples} transactions a round, one after the other")
    topics(env, "latency.", env.partitions, ("usage.calls",))
    topics(env, "latency-bare.", 1, ("meterd.alerts",))
    store, load = Redis(env.work, "latency"), None
    rounds = []
    from_ms = time.time_ns() // 1000000
    try:
        with Meterd(env, "latency-meterd", store, "latency.usage.calls") as m:
            m.start()
            load = subprocess.Popen([f"{env.bin}/bench_fill", env.bootstrap, "latency.usage.calls", f"events={rate * 3600}", f"rate={rate}",
                                     f"accounts={env.scaled(100000)}", "how=zipf", f"from={from_ms}", f"step_us={1000000 // rate}"],
                                    stdout=subprocess.DEVNULL)
            waited(300, "the load to be counted as it comes", lambda: m.counted() > 5 * rate and metric_sum(m.metrics(), "meterd_consumer_lag_messages") < rate / 10)
            for n in range(env.rounds):
                out = subprocess.run([f"{env.bin}/bench_alerts", env.bootstrap, "latency.usage.calls", m.prefix + "meterd.alerts",
                                      "latency-bare.meterd.alerts", str(samples), str(n * 100000), str(from_ms)], check=True,
                                     stdout=subprocess.PIPE, text=True)
                rounds.append(json.loads(out.stdout))
                env.expect("alerts", [len(x) for x in rounds[-1].values()], [samples, samples])
                if load.poll() is not None:
                    raise RuntimeError("the load ended")
                round_line(n, **{k: f"p50 {at(v, 0.5):.1f} ms, p99 {at(v, 0.99):.1f} ms" for k, v in rounds[-1].items()})
            load.kill()
            load.wait()
            words(f"  {m.counted():,} events counted beside")
    finally:
        if load and load.poll() is None:
            load.kill()
        store.stop()
    delete_topics(env, "latency.")
    delete_topics(env, "latency-bare.")
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        report.add(f"alert-latency.{name}", "ms", [at(r["alert_ms"], part) for r in rounds], "a bare transaction", [at(r["bare_ms"], part) for r in rounds])
