# SPDX-License-Identifier: Apache-2.0
"""workers: two workers in a process against one, with Apache Kafka and with librdkafka's mock broker, which asks less of the machine.

The workers join first, on a few records. Then the process is stopped (SIGSTOP) while the backlog is written, so that no time of a
rebalance is in the figures and nothing is counted early."""
import copy
import os
import signal
import subprocess
import time

from parts import Meterd, Redis, crc_sum, delete_topics, fill, topics, waited
from report import round_line

WHAT = "a backlog drained by two workers, against one"
OUT = ("meterd.alerts", "meterd.settlements", "meterd.control", "meterd.accounts", "usage.calls.dlq")
MOCK_PARTITIONS = 64  # the mock broker keeps 5 MiB of each, which one with a busy account would pass
FEW = 2000


class Mock:
    def __init__(self, env, runs):
        wanted = [f"{r}.usage.calls:{MOCK_PARTITIONS}" for r in runs] + [f"{r}.{t}:1" for r in runs for t in OUT]
        self.process = subprocess.Popen([f"{env.bin}/meterctl", "broker", *(x for t in wanted for x in ("--topic", t))], stdout=subprocess.PIPE, text=True)
        self.bootstrap = self.process.stdout.readline().strip().removeprefix("KAFKA_BOOTSTRAP=")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def all_run(m, workers, partitions):
    """Each worker says so once a record came to it; then all partitions are held, and none of them by two."""
    log = open(m.log).read()
    return all(f"worker={m.name}-w{w} state=running" in log for w in range(workers)) and len(m.partitions()) == partitions


def join(env, m, topic, workers, partitions):
    made = []
    deadline = time.monotonic() + 300  # the mock broker's group may wait out the session time-out (120 s below) of a member that is none
    while not all_run(m, workers, partitions):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{workers} workers did not join")
        made.append(fill(env, topic, events=FEW, first=FEW * len(made), accounts=env.scaled(100000), how="zipf"))
        time.sleep(1)
    waited(60, "the first records", lambda: m.counted() == FEW * len(made))
    m.stands = FEW * len(made)
    return sum(f["checksum"] for f in made)


def once(env, name, workers, partitions, events, how, **settings):
    topic = f"{name}.usage.calls"
    topics(env, f"{name}.", partitions, ("usage.calls",))
    store = Redis(env.work, name)
    try:
        with Meterd(env, name, store, topic, workers=workers, **{"kafka.session_timeout": "120s"}, **settings) as m:
            m.start()
            sums = join(env, m, topic, workers, partitions)
            m.process.send_signal(signal.SIGSTOP)
            try:
                made = fill(env, topic, events=events, first=m.stands, accounts=env.scaled(100000), how=how)
            finally:
                m.process.send_signal(signal.SIGCONT)
            r = m.drain(m.stands + events)
            m.stop()
            if env.short:
                env.expect(f"{name}: counters", crc_sum(m.counters()), (sums + made["checksum"]) % (1 << 64))
            return r
    finally:
        store.stop()


def alternate(env, report, what, partitions, events, how, names, **settings):
    report.note(f"{what}: {events:,} events, {how}, in {partitions} partitions; {os.cpu_count()} processors for broker, Redis and daemon")
    runs = {w: [] for w in names}
    for n in range(env.rounds):
        for w, rs in runs.items():
            rs.append(once(env, names[w][n], w, partitions, events, how, **settings))
        round_line(n, **{f"{what}, {w} workers": f"{rs[-1]['rate'] / 1e6:.3f} M/s, {rs[-1]['cpu_ns']:.0f} ns CPU, Redis {rs[-1]['redis_cpu_ns']:.0f}"
                         for w, rs in runs.items()})
    report.add(f"workers.{what}", "events/s", [r["rate"] for r in runs[2]], "one worker", [r["rate"] for r in runs[1]])
    report.add(f"workers.{what}.cpu", "ns/event", [r["cpu_ns"] for r in runs[2]], "one worker", [r["cpu_ns"] for r in runs[1]])


def run(env, report):
    def names(broker):
        return {w: [f"{broker}-{w}-{n}" for n in range(env.rounds)] for w in (1, 2)}

    report.begin("workers", WHAT)
    if not env.short:
        alternate(env, report, "kafka", env.partitions, min(env.events, 3000000), "zipf", names("workers"))
    mock = Mock(env, sum(names("mock").values(), []))
    try:
        mocked = copy.copy(env)
        mocked.bootstrap, mocked.mock = mock.bootstrap, True
        alternate(mocked, report, "mock", MOCK_PARTITIONS, min(env.events, 1000000), "uniform", names("mock"), **{"kafka.embedded": True})
    finally:
        mock.stop()
