# SPDX-License-Identifier: Apache-2.0
"""What benchmarks are made of: a Redis of its own, topics, fills, the daemon, and figures read from outside of it (/proc, /metrics,
Redis). Nothing here judges a speed; what is checked is that everything was counted, once."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zlib

import redis

LIB = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(LIB))
POLL_S = 0.05
DEADLINE_S = 1800


def words(*text):
    print(*text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    """User and system time of a process, of all threads that it has and had: its CPU clock (clock_getcpuclockid(3)), in ns unlike /proc."""
    return time.clock_gettime(~pid << 3 | 2)


def memory_bytes(pid, what="VmRSS"):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(what + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(what)


def waited(seconds, what, condition):
    """The first truth of condition(); an error when it never comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        got = condition()
        if got:
            return got
        time.sleep(0.005)
    raise RuntimeError(f"waited {seconds} s for {what}")


class Redis:
    """As in production: AOF every second, never evicting. Fresh for each run, so that no run inherits memory or a file of another."""

    def __init__(self, work, name):
        self.dir = f"{work}/redis-{name}"
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        self.port = free_port()
        self.start()

    def start(self):
        options = {"bind": "127.0.0.1", "port": self.port, "dir": self.dir, "save": "", "appendonly": "yes", "appendfsync": "everysec",
                   "auto-aof-rewrite-percentage": 0, "maxmemory-policy": "noeviction", "logfile": f"{self.dir}/log"}
        args = [a for k, v in options.items() for a in (f"--{k}", str(v))]
        self.process = subprocess.Popen(["redis-server", *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = redis.Redis(port=self.port)
        waited(300, "Redis", self.answers)

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError("redis-server ended: " + open(f"{self.dir}/log").read()[-1000:])
        try:
            return self.client.ping()
        except redis.exceptions.RedisError:
            return False

    def cpu(self):
        return cpu_seconds(self.process.pid)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def positions(self):
        """Sum of the offsets that the shards stand at: grows with every commit."""
        keys = sorted(self.client.scan_iter("*:off", count=10000))
        return sum(int(v.split()[0]) for k in keys for v in self.client.hvals(k))

    def stop(self):
        self.client.close()
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def topics(env, prefix, partitions, only=()):
    if env.mock:
        return  # the mock broker has its topics from its start
    subprocess.run([sys.executable, f"{LIB}/topics.py", "create", env.bootstrap, "--prefix", prefix, "--partitions", str(partitions),
                    "--stamps", "any", *(x for o in only for x in ("--only", o))], check=True)


def delete_topics(env, prefix):
    if env.mock:
        return
    subprocess.run([sys.executable, f"{LIB}/topics.py", "delete", env.bootstrap, "--prefix", prefix], check=True)


def fill(env, topic, **options):
    out = subprocess.run([f"{env.bin}/bench_fill", env.bootstrap, topic, *(f"{k}={v}" for k, v in options.items())], check=True,
                         stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout)


def consumer(env, topic, *options):
    out = subprocess.run([f"{env.bin}/bench_consumer", env.bootstrap, topic, *map(str, options)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout)


def crc_sum(pairs):
    """The checksum of bench_fill over ("account/service", calls)."""
    return sum(zlib.crc32(k.encode()) * n for k, n in pairs) % (1 << 64)


class Meterd:
    """The daemon on `redis`, reading `topic`, everything else its own under a prefix. A context: stopped and its topics gone at the end."""

    def __init__(self, env, name, store, topic, **settings):
        self.env, self.name, self.redis, self.process = env, name, store, None
        self.stands = 0  # where the last drain ended
        self.prefix = name + "."
        self.port = free_port()
        self.path, self.log = f"{env.work}/{name}.yaml", f"{env.work}/{name}.log"
        self.state = f"{env.work}/state-{name}"
        os.makedirs(self.state)
        topics(env, self.prefix, 1, ("meterd.alerts", "meterd.settlements", "meterd.control", "meterd.accounts", "usage.calls.dlq"))
        pairs = {"instance": name, "catalog": f"{ROOT}/config/catalog.yaml", "state_dir": self.state, "clock": "records",
                 "kafka.bootstrap": env.bootstrap, "kafka.group": name, "topics.input": [topic], "redis.url": store.url,
                 "http.listen": f"127.0.0.1:{self.port}"}
        pairs.update({"topics." + k: self.prefix + v for k, v in
                      (("alerts", "meterd.alerts"), ("settlements", "meterd.settlements"), ("control", "meterd.control"),
                       ("accounts", "meterd.accounts"), ("dlq", "usage.calls.dlq"))})
        pairs.update(settings)
        with open(self.path, "w") as f:
            write_yaml(f, tree_of(pairs), "")
        subprocess.run([f"{env.bin}/meterctl", "init", "--config", self.path], check=True, stdout=subprocess.DEVNULL)

    def start(self):
        with open(self.log, "a") as f:
            self.process = subprocess.Popen([f"{self.env.bin}/meterd", "--config", self.path], stdout=f, stderr=f)
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None and os.path.exists(self.log):
            words("".join(open(self.log).readlines()[-20:]))
        self.stop()
        delete_topics(self.env, self.prefix)

    def stop(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"meterd ended by itself with {self.process.returncode}")

    def get(self, path):
        """What the daemon says of itself; empty while nothing answers."""
        self.alive()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as r:
                return r.read().decode()
        except OSError:
            return ""

    def metrics(self):
        return self.get("/metrics")

    def partitions(self):
        """Where each partition that some worker holds stands."""
        text = self.get("/api/v1/status")
        return [p["next"] for p in json.loads(text)["partitions"]] if text else []

    def counted(self):
        """Events of the topic's beginning that were taken in, whatever their outcome. (The counts in /metrics begin again where a
        partition moves to another worker.)"""
        return sum(self.partitions())

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def memory(self, what="VmRSS"):
        return memory_bytes(self.process.pid, what)

    def drain(self, total):
        """Until the first `total` records of the topic are counted. Rate and CPU run from the first count seen: start-up and joining the group are in neither
        (but in both where everything was counted by then: a short run, whose figures say nothing)."""
        first, begin = None, (self.stands, time.monotonic(), self.cpu(), self.redis.cpu())
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            n = self.counted()
            now, cpu, store = time.monotonic(), self.cpu(), self.redis.cpu()
            if n > self.stands and first is None:
                first = (n, now, cpu, store)
            if n > total:
                raise RuntimeError(f"{n} records counted of {total}")
            if n == total:
                first_s = first[1] - begin[1]
                first, self.stands = begin if n == first[0] else first, n
                events = n - first[0]
                return {"messages": n, "seconds": now - first[1], "rate": events / (now - first[1]), "cpu_ns": (cpu - first[2]) / events * 1e9,
                        "redis_cpu_ns": (store - first[3]) / events * 1e9, "first_s": first_s}
            time.sleep(POLL_S)
        raise RuntimeError(f"{n} of {total} after {DEADLINE_S} s")

    def counters(self):
        """("account/service", calls) of every counter."""
        out = subprocess.run([f"{self.env.bin}/meterctl", "counters", "--config", self.path], check=True, stdout=subprocess.PIPE, text=True)
        for line in out.stdout.splitlines():
            c = json.loads(line)
            yield f"{c['account']}/{c['service']}", c["calls"] + c["late"]


def metric_sum(text, name):
    return sum(int(float(m)) for m in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.M))


def tree_of(pairs):
    tree = {}
    for path, value in pairs.items():
        *up, leaf = path.split(".")
        node = tree
        for u in up:
            node = node.setdefault(u, {})
        node[leaf] = value
    return tree


def write_yaml(f, node, indent):
    for k, v in node.items():
        if isinstance(v, dict):
            f.write(f"{indent}{k}:\n")
            write_yaml(f, v, indent + "  ")
        else:
            bare = isinstance(v, str) and re.fullmatch(r"\d+(ms|s|m|h|d|KiB|MiB)", v)  # they take no quotes
            f.write(f"{indent}{k}: {v if bare else json.dumps(v)}\n")
