# SPDX-License-Identifier: Apache-2.0
"""month-end: from the first record behind a month's close until its end of run is published; live counting beside it, against the same
backlog when nothing is settled."""
import json
import subprocess
import time

from parts import Meterd, Redis, delete_topics, fill, metric_sum, topics, waited
from report import round_line

WHAT = "a month of many accounts x 7 services settled and published, with a backlog of the next month counted beside"
JANUARY, FEBRUARY = 1578585600000, 1580659200000  # 10 January; 3 February, behind the close: both 00:00 of the price book's zone


def published(m):
    return metric_sum(m.metrics(), "meterd_period_closed_timestamp_seconds")


def backlog(m, store, end, closing):
    """Starts the daemon on a backlog: rate of counting (while the month is open, where it closes), and when it was closed."""
    at, begin = store.positions(), time.monotonic()
    m.start()
    waited(300, "a first commit", lambda: store.positions() > at)
    first, first_n, seconds, rate = time.monotonic(), waited(10, "its status", m.counted), None, None
    deadline = time.monotonic() + 1800
    while time.monotonic() < deadline:
        n, closed, now = m.counted(), published(m), time.monotonic()
        if rate is None and (n >= end or (closing and closed > JANUARY // 1000)) and now > first:
            rate = (n - first_n) / (now - first) if n > first_n else (n - m.stands) / (now - begin)
        if closing and seconds is None and closed > JANUARY // 1000:
            seconds = now - first
        if n >= end and (not closing or seconds is not None):
            m.stands = n
            return rate, seconds
        time.sleep(0.05)
    raise RuntimeError(f"month-end: {n} of {end} events, closed {closed}, after {time.monotonic() - begin:.0f} s")


def one(env, name):
    accounts, events = env.scaled(1000000), env.events // 4
    topic = f"{name}.usage.calls"
    topics(env, f"{name}.", env.partitions, ("usage.calls",))
    store = Redis(env.work, name)
    try:
        with Meterd(env, name + "-meterd", store, topic, **{"dedupe.enabled": False}) as m:
            fill(env, topic, events=accounts * 7, accounts=accounts, how="each", step_us=1000, **{"from": JANUARY})
            m.start().drain(accounts * 7)
            m.stop()
            fill(env, topic, events=events, first=accounts * 7, accounts=accounts, how="uniform", step_us=10, **{"from": FEBRUARY})
            beside, seconds = backlog(m, store, accounts * 7 + events, True)
            lines = metric_sum(m.metrics(), "meterd_outbox_published_total")
            if env.short:
                check(env, m, accounts)
            m.stop()
            fill(env, topic, events=events, first=accounts * 7 + events, accounts=accounts, how="uniform", step_us=10, **{"from": FEBRUARY})
            alone, _ = backlog(m, store, accounts * 7 + 2 * events, False)
            m.stop()
            return {"seconds": seconds, "beside": beside, "alone": alone, "lines": lines, "accounts": accounts}
    finally:
        store.stop()
        delete_topics(env, f"{name}.")


def check(env, m, accounts):
    out = subprocess.run([f"{env.bin}/meterctl", "settlements", "--config", m.path, "--period", "2020-01", "--format", "ndjson"], check=True,
                         stdout=subprocess.PIPE, text=True)
    kinds = [json.loads(line)["type"] for line in out.stdout.splitlines()]
    env.expect("settlements", kinds.count("meterd.settlement.v1"), accounts * 7)
    env.expect("statements", kinds.count("meterd.statement.v1"), accounts)
    env.expect("ends of run", kinds.count("meterd.period.closed.v1"), 1)


def run(env, report):
    report.begin("month-end", WHAT)
    rounds = []
    for n in range(env.rounds):
        rounds.append(one(env, f"month-end-{n}"))
        r = rounds[-1]
        round_line(n, settled=f"{r['lines']:,} documents in {r['seconds']:.1f} s", beside=f"{r['beside']:,.0f} events/s",
                   alone=f"{r['alone']:,.0f} events/s")
    accounts = rounds[0]["accounts"]
    report.note(f"{accounts:,} accounts x 7")
    report.add("month-end.settled", "s", [r["seconds"] for r in rounds], f"3 minutes for 1,000,000 accounts, so {180e-6 * accounts:.4g} s",
               180e-6 * accounts)
    report.add("month-end.beside", "events/s", [r["beside"] for r in rounds], "the same when nothing is settled", [r["alone"] for r in rounds])
