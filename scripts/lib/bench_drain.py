#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/bench drain: how fast meterd works off a backlog, against a consumer that does nothing with what it reads.

One topic, filled once. Then in alternation: the bare consumer reads all of it; meterd, with new topics of its own and an empty
Redis, counts all of it. meterd's time runs from the first count seen in /metrics to the last; what was already counted at the
first look is left out of its rate, so start-up and joining the group are in neither. Every round checks that meterd counted
every record.
"""
import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

POLL_S = 0.05
DEADLINE_S = 900


def words(*text):
    print(*text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def topics(args, prefix, partitions):
    subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), "topics.py"), "create", args.bootstrap, "--prefix", prefix,
                    "--partitions", str(partitions), "--stamps", "any"], check=True)


def fill(args):
    topics(args, "bench.", args.partitions)
    words(f"filling {args.events} events into {args.partitions} partitions")
    subprocess.run([f"{args.bin}/meterctl", "gen", "--bootstrap", args.bootstrap, "--topic", "bench.usage.calls", "--events",
                    str(args.events), "--accounts", "10000", "--from", "2020-01", "--to", "2020-02"], check=True)


def bare(args):
    out = subprocess.run([f"{args.bin}/bare_consumer", args.bootstrap, "bench.usage.calls"], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def config(args, n, port):
    path = f"{args.work}/bench-{n}.yaml"
    state = f"{args.work}/state-{n}"
    os.makedirs(state)
    with open(path, "w") as f:
        f.write(f"""instance: bench
catalog: {args.catalog}
state_dir: {state}
clock: records
kafka:
  bootstrap: {args.bootstrap}
  group: bench-{n}
topics:
  input: [bench.usage.calls]
  alerts: r{n}.meterd.alerts
  settlements: r{n}.meterd.settlements
  control: r{n}.meterd.control
  accounts: r{n}.meterd.accounts
  dlq: r{n}.usage.calls.dlq
redis:
  url: {args.redis}
  prefix: "r{n}:"
http:
  listen: 127.0.0.1:{port}
""")
    return path


def counted(port):
    """Events counted so far, whatever their outcome; None while nothing answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as r:
            text = r.read().decode()
    except OSError:
        return None
    return sum(int(float(m)) for m in re.findall(r"^meterd_events_total\{[^}]*\} (\S+)$", text, re.M))


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(p, port, total):
    first = first_n = last_n = None
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if p.poll() is not None:
            sys.exit(f"bench_drain: meterd ended by itself with {p.returncode}; its log: see above")
        n = counted(port)
        now = time.monotonic()
        if n:
            if first is None:
                first, first_n = now, n
            if n >= total:
                return {"messages": n, "seconds": now - first, "rate": (n - first_n) / max(now - first, 1e-9), "cpu_seconds": cpu_seconds(p.pid)}
            last_n = n
        time.sleep(POLL_S)
    sys.exit(f"bench_drain: {last_n} of {total} after {DEADLINE_S} s")


def drain(args, n, total):
    topics(args, f"r{n}.", 1)
    port = free_port()
    path = config(args, n, port)
    subprocess.run([f"{args.bin}/meterctl", "init", "--config", path], check=True, stdout=subprocess.DEVNULL)
    log = f"{args.work}/meterd-{n}.log"
    with open(log, "w") as f:
        p = subprocess.Popen([f"{args.bin}/meterd", "--config", path], stdout=f, stderr=f)
    try:
        return watch(p, port, total)
    except SystemExit:
        words("".join(open(log).readlines()[-20:]))
        raise
    finally:
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(30)
            except subprocess.TimeoutExpired:
                p.kill()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bin", "bootstrap", "redis", "catalog", "work"):
        a.add_argument(f"--{name}", required=True)
    for name in ("events", "partitions", "rounds"):
        a.add_argument(f"--{name}", type=int, required=True)
    a.add_argument("--json")
    args = a.parse_args()
    fill(args)
    total = bare(args)["messages"]  # also warms the page cache
    bares, drains = [], []
    for n in range(args.rounds):
        b = bare(args)
        b["rate"] = b["messages"] / b["seconds"]
        d = drain(args, n, total)
        bares.append(b)
        drains.append(d)
        words(f"round {n + 1}: bare {b['rate'] / 1e6:.3f} M/s, {b['cpu_seconds'] / b['messages'] * 1e9:.0f} ns CPU; "
              f"meterd {d['rate'] / 1e6:.3f} M/s, {d['cpu_seconds'] / d['messages'] * 1e9:.0f} ns CPU")
    value, against = (statistics.median(x["rate"] for x in xs) for xs in (drains, bares))
    result = {"name": "drain", "value": round(value), "unit": "events/s", "against": round(against), "ratio": round(value / against, 4),
              "messages": total, "partitions": args.partitions, "bare": bares, "meterd": drains}
    print(json.dumps({k: result[k] for k in ("name", "value", "unit", "against", "ratio")}))
    if args.json:
        with open(args.json, "w") as f:
            json.dump([result], f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
