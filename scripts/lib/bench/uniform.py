# SPDX-License-Identifier: Apache-2.0
"""uniform: every event another counter, the worst case for gathering; against the same function calls made by nobody but a sender."""
import json
import os
import subprocess

from parts import Meterd, Redis, consumer, crc_sum, delete_topics, fill, topics
from report import round_line

WHAT = "a backlog uniform over many counters, against bare calls of the same Redis function, with the same words in the same order"
WINDOW = 32  # calls under way: two flushes of 16 shards, as in the daemon


class Recorder:
    """Stands between the daemon and Redis, and keeps what was said."""

    def __init__(self, env, store):
        self.file = f"{env.work}/wire"
        self.process = subprocess.Popen([f"{env.bin}/bench_wire", "record", str(store.port), self.file], stdout=subprocess.PIPE, text=True)
        self.url = f"redis://127.0.0.1:{int(self.process.stdout.readline())}/0"

    def stop(self):
        self.process.terminate()
        if self.process.wait(60) != 0:
            raise RuntimeError("bench_wire record failed")


def use_keys(store):
    return [k for k in store.client.scan_iter("*:use:*", count=10000)]


def held(store):
    return sum(store.client.hlen(k) for k in use_keys(store))


def checksum(store):
    return crc_sum((k.decode(), int(v)) for key in use_keys(store) for k, v in store.client.hscan_iter(key, count=10000))


def live(env, name, topic, made, url=None):
    """One run of the daemon; through the recorder where there is one."""
    store = Redis(env.work, name)
    recorder = Recorder(env, store) if url else None
    try:
        with Meterd(env, name, store, topic, **({"redis.url": recorder.url} if recorder else {})) as m:
            r = m.start().drain(made["events"])
            # told at once, while commits may still be under way: the last word is Redis'
            m.stop()
            r["counters"] = held(store)
            if env.short:
                env.expect(f"{name}: counters", checksum(store), made["checksum"])
        return r
    finally:
        if recorder:
            recorder.stop()
        store.stop()


def bare(env, name, counters, made):
    store = Redis(env.work, name)
    try:
        before = store.cpu()
        out = subprocess.run([f"{env.bin}/bench_wire", "replay", str(store.port), f"{env.work}/wire", str(WINDOW)], check=True,
                             stdout=subprocess.PIPE, text=True)
        r = json.loads(out.stdout)
        r["rate"] = made["events"] / r["seconds"]
        r["redis_cpu_ns"] = (store.cpu() - before) / made["events"] * 1e9
        env.expect(f"{name}: counters", held(store), counters)
        if env.short:
            env.expect(f"{name}: counts", checksum(store), made["checksum"])
        return r
    finally:
        store.stop()


def run(env, report):
    topic, accounts = "uniform.usage.calls", env.scaled(1000000)
    topics(env, "uniform.", env.partitions, ("usage.calls",))
    made = fill(env, topic, events=env.events, accounts=accounts, how="uniform")
    report.begin("uniform", WHAT)
    consumer(env, topic)
    first = live(env, "uniform-record", topic, made, url=True)
    report.note(f"{made['events']:,} events over {accounts:,} accounts x 7 services: {first['counters']:,} counters; "
                f"{os.path.getsize(env.work + '/wire') / made['events']:.0f} bytes an event on the wire")
    lives, bares = [], []
    for n in range(env.rounds):
        lives.append(live(env, f"uniform-{n}", topic, made))
        bares.append(bare(env, f"uniform-bare-{n}", first["counters"], made))
        round_line(n, meterd=f"{lives[-1]['rate'] / 1e6:.3f} M/s, {lives[-1]['cpu_ns']:.0f} + {lives[-1]['redis_cpu_ns']:.0f} ns CPU",
                   bare=f"{bares[-1]['rate'] / 1e6:.3f} M/s, Redis {bares[-1]['redis_cpu_ns']:.0f} ns CPU")
    os.remove(f"{env.work}/wire")
    delete_topics(env, "uniform.")
    report.add("uniform.rate", "events/s", [r["rate"] for r in lives], "bare calls of the same function", [r["rate"] for r in bares])
    report.add("uniform.redis_cpu", "ns/event", [r["redis_cpu_ns"] for r in lives], "bare calls of the same function",
               [r["redis_cpu_ns"] for r in bares])
