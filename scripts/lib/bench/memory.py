# SPDX-License-Identifier: Apache-2.0
"""memory: what the daemon holds for an id that it remembers and for a counter in use, and whether it grows while it runs."""
from parts import Meterd, Redis, delete_topics, fill, metric_sum, topics, waited
from report import median, round_line

WHAT = "resident memory of the daemon"


def window_bits(env):
    """A whole window of 240 generations fits into half of the events of each partition."""
    bits = 4
    while bits < 16 and 240 << (bits + 1) <= env.events // env.partitions // 2:
        bits += 1
    return bits


def ids(env, name):
    """Bytes a remembered id: the tables' own figure, once the window is full and moves on."""
    bits, topic = window_bits(env), f"{name}.usage.calls"
    topics(env, f"{name}.", env.partitions, ("usage.calls",))
    made = fill(env, topic, events=env.events, accounts=1000, how="uniform", step_us=1000)
    store = Redis(env.work, name)
    try:
        with Meterd(env, name + "-meterd", store, topic, **{"dedupe.generation_bits": bits}) as m:
            m.start().drain(made["events"])
            held = waited(10, "the windows' size", lambda: metric_sum(m.metrics(), "meterd_dedupe_bytes"))
            return held / (env.partitions * (240 << bits)), env.partitions * (240 << bits)
    finally:
        store.stop()
        delete_topics(env, f"{name}.")


def counters(env, name, n):
    """Resident memory after a backlog over n counters, without a window of duplicates, and with little prefetched: what Kafka's client
    holds of a backlog varies by more than what is looked for."""
    topic = f"{name}.usage.calls"
    topics(env, f"{name}.", env.partitions, ("usage.calls",))
    made = fill(env, topic, events=env.events, accounts=max(1, n // 7), how="each", step_us=1000)
    store = Redis(env.work, name)
    try:
        with Meterd(env, name + "-meterd", store, topic, **{"dedupe.enabled": False, "kafka.queued_max": "1MiB"}) as m:
            m.start().drain(made["events"])
            return m.memory(), store.client.info("memory")["used_memory"]
    finally:
        store.stop()
        delete_topics(env, f"{name}.")


def soak(env):
    """Resident memory while the same load goes on: at the first third, when windows and buffers are full, and at the end."""
    seconds, rate = (3, 2000) if env.short else (90, 20000)
    topics(env, "soak.", env.partitions, ("usage.calls",))
    store = Redis(env.work, "soak")
    try:
        with Meterd(env, "soak-meterd", store, "soak.usage.calls", **{"dedupe.generation_bits": 4 if env.short else 8}) as m:
            m.start()
            early, late, done = [], [], 0
            for part in range(9):
                made = fill(env, "soak.usage.calls", events=seconds * rate // 9, first=done, rate=rate, accounts=1000, how="zipf")
                done += made["events"]
                if part in (2, 3):
                    early.append(m.memory())
                if part in (7, 8):
                    late.append(m.memory())
            m.drain(done)
            return early, late, done
    finally:
        store.stop()
        delete_topics(env, "soak.")


def run(env, report):
    report.begin("memory", WHAT)
    per_id, per_counter, per_stored = [], [], []
    few, many = (7, 7000) if env.short else (env.scaled(1001, 7), min(env.scaled(700000, 14000), env.events // 7 * 7))
    for n in range(env.rounds):
        bytes_an_id, remembered = ids(env, f"memory-ids-{n}")
        a, stored_a = counters(env, f"memory-few-{n}", few)
        b, stored_b = counters(env, f"memory-many-{n}", many)
        per_id.append(bytes_an_id)
        per_counter.append(max(0.0, (b - a) / (many - few)))
        per_stored.append((stored_b - stored_a) / (many - few))
        round_line(n, id=f"{per_id[-1]:.2f} bytes", counter=f"{per_counter[-1]:.1f} bytes, {per_stored[-1]:.1f} in Redis")
    report.note(f"{remembered:,} ids remembered; {few:,} and {many:,} counters, {env.events:,} events each; "
                f"{median(per_stored):.0f} bytes a counter in Redis")
    report.add("memory.id", "bytes", per_id, "a bare 128-bit hash", 16)
    report.add("memory.counter", "bytes", per_counter, "the goal of 64 bytes", 64)
    early, late, events = soak(env)
    report.note(f"soak: {events:,} events at a steady rate")
    report.add("memory.soak", "bytes", late, "the first third of the same run", early)
