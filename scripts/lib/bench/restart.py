# SPDX-License-Identifier: Apache-2.0
"""restart: kill -9 -> first new commit, with full windows of duplicates; against reading the windows back with a bare consumer."""
import math
import subprocess
import time

from parts import Meterd, Redis, consumer, crc_sum, delete_topics, fill, topics, waited
from report import round_line

WHAT = "kill -9 -> first new commit, with full windows of duplicates"
PARTITIONS, GENERATIONS = 8, 240


def run(env, report):
    bits = max(4, min(16, 16 + math.floor(math.log2(env.window_scale))))
    window = GENERATIONS << bits
    total = PARTITIONS * window * 11 // 10  # keys do not fall evenly: full in every partition
    report.begin("restart", WHAT)
    report.note(f"{window:,} ids a partition x {PARTITIONS}; filled by {total:,} events")
    topics(env, "restart.", PARTITIONS, ("usage.calls",))
    topic = "restart.usage.calls"
    # 1 ms apart: all of the window lies within dedupe.max_age
    made = fill(env, topic, events=total, accounts=env.scaled(100000), how="uniform", step_us=1000)
    store, load = Redis(env.work, "restart"), None
    restarts, reads = [], []
    try:
        with Meterd(env, "restart-meterd", store, topic, **{"dedupe.generation_bits": bits}) as m:
            m.start().drain(total)
            if env.short:
                m.stop()
                env.expect("restart: counters", crc_sum(m.counters()), made["checksum"])
                m.start()
            load = subprocess.Popen([f"{env.bin}/bench_fill", env.bootstrap, topic, f"first={total}", "events=100000000", "rate=1000",
                                     "step_us=1000", f"accounts={env.scaled(100000)}", "how=uniform"], stdout=subprocess.DEVNULL)
            for n in range(env.rounds):
                began = time.monotonic()
                consumer(env, topic)
                reads.append(time.monotonic() - began)
                at = store.positions()
                waited(60, "the load to be counted", lambda: store.positions() > at)
                m.kill()
                at, begin = store.positions(), time.monotonic()
                m.start()
                waited(1800, "a first commit", lambda: store.positions() > at)
                restarts.append(time.monotonic() - begin)
                round_line(n, restart=f"{restarts[-1]:.2f} s", read=f"{reads[-1]:.2f} s")
            load.kill()
            load.wait()
    finally:
        if load and load.poll() is None:
            load.kill()
        store.stop()
    delete_topics(env, "restart.")
    report.add("restart.first_commit", "s", restarts, "a bare consumer reading the windows back", reads)
