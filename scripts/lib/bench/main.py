#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks named, on the Apache Kafka it is given, and writes their results. Called by scripts/bench."""
import argparse
import importlib
import os
import signal
import sys
import time

from parts import words
from report import Report

NAMES = ("drain", "uniform", "alert-latency", "restart", "memory", "growth", "workers", "month-end", "rebuild-live")


class Env:
    """What a run is about: where things lie, and how large it is."""

    def __init__(self, args):
        self.__dict__.update(vars(args))
        self.mock = False  # whether the broker is librdkafka's mock
        self.peers = args.peers.split(",") if args.peers else []

    def scaled(self, n, least=1):
        return max(least, round(n * self.scale))

    def expect(self, what, got, wanted):
        if got != wanted:
            raise RuntimeError(f"{what}: {got} instead of {wanted}")


def main():
    a = argparse.ArgumentParser()
    for name in ("bin", "bootstrap", "jars", "work"):
        a.add_argument(f"--{name}", required=True)
    for name in ("events", "partitions", "rate", "rounds"):
        a.add_argument(f"--{name}", type=int, required=True)
    for name in ("scale", "window-scale"):
        a.add_argument(f"--{name}", type=float, required=True)
    a.add_argument("--peers", default="bare,hincrby,streams")
    a.add_argument("--with", dest="variants", action="append", default=[])
    a.add_argument("--short", action="store_true")
    a.add_argument("--json")
    a.add_argument("names", nargs="+", choices=NAMES)
    env, report = Env(a.parse_args()), Report()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped on the way out
    words(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    for name in env.names:
        began = time.monotonic()
        importlib.import_module(name.replace("-", "_")).run(env, report)
        words(f"  took {time.monotonic() - began:.0f} s")
    if env.json:
        report.write(env.json)


if __name__ == "__main__":
    main()
