#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The alert rules and the dashboard: rules are well-formed and tested one by one, a rule that never fires is noticed, and whatever they ask
Prometheus for is a metric and a label of daemon/tbl/metric.def. Exit 0, or 1 with what is wrong."""
import copy
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES, TESTS, DASHBOARD = ROOT / "config/alerts.yaml", ROOT / "tests/monitoring/alerts_test.yaml", ROOT / "config/dashboard.json"
GIVEN = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate", "severity", "job", "instance"}}  # Prometheus' own
TARGET = {"job", "instance", "le"}  # labels of a scrape, and of a histogram
WORDS = {"by", "on", "unless", "and", "or", "group_left", "ignoring", "without", "bool", "offset", "inf", "nan"}
faults = []


def metrics():
    """name as it is scraped -> its labels"""
    out = {}
    for m in re.finditer(r'^METRIC\(\w+, "(\w+)", (\w+), "([\w,]*)"', (ROOT / "daemon/tbl/metric.def").read_text(), re.M):
        name, kind, labels = m.group(1), m.group(2), set(filter(None, m.group(3).split(",")))
        for suffix in ("_bucket", "_sum", "_count") if kind == "HISTOGRAM" else ("",):
            out[name + suffix] = labels
    return out


def check_query(where, query, known):
    """Names that no function call and no label follow are metrics; labels stand in braces and behind by/on/without."""
    query = re.sub(r"\[[^\]]*\]", "", re.sub(r"\$__\w+|\$\w+", "5m", query))
    bare = re.sub(r'"[^"]*"', '""', query)
    groups = [g for g in re.findall(r"\b(?:by|on|without|ignoring|group_left)\s*\(([^)]*)\)", bare)]
    rest = re.sub(r"\b(?:by|on|without|ignoring|group_left)\s*\([^)]*\)", " ", bare)
    asked = set()
    for name, braces in re.findall(r"\b([a-zA-Z_:][\w:]*)\b(?!\s*\()\s*(\{[^}]*\})?", re.sub(r"\{([^}]*)\}", lambda m: "{" + m.group(1) + "}", rest)):
        if name in WORDS or re.fullmatch(r"[smhdwy]|le|e\d*", name):
            continue
        if name in [label for b in re.findall(r"\{([^}]*)\}", rest) for label in re.findall(r"(\w+)\s*[=!]", b)]:
            continue
        if name not in known:
            faults.append(f"{where}: there is no metric {name}")
            continue
        asked.add(name)
        for label in re.findall(r"(\w+)\s*[=!]", braces):
            if label not in known[name] | TARGET:
                faults.append(f"{where}: {name} has no label {label}")
    labels = set().union(*(known[n] for n in asked)) | TARGET if asked else TARGET
    for label in re.findall(r"\w+", " ".join(groups)):
        if label not in labels:
            faults.append(f"{where}: none of its metrics has the label {label}")
    if not asked:
        faults.append(f"{where}: asks for no metric")


def promtool(directory):
    return subprocess.run(["promtool", "test", "rules", "alerts_test.yaml"], cwd=directory, capture_output=True, text=True)


def run_with(rules, tests):
    with tempfile.TemporaryDirectory() as d:
        Path(d, "alerts.yaml").write_text(yaml.safe_dump(rules, sort_keys=False))
        Path(d, "alerts_test.yaml").write_text(yaml.safe_dump(tests, sort_keys=False))
        return promtool(d)


def check_rules(known):
    said = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True)
    if said.returncode:
        faults.append(said.stdout + said.stderr)
        return 0
    rules, tests = yaml.safe_load(RULES.read_text()), yaml.safe_load(TESTS.read_text())
    said = run_with(rules, tests)
    if said.returncode:
        faults.append(said.stdout + said.stderr)
    by_name = {t["name"]: t for t in tests["tests"]}
    all_rules = [r for g in rules["groups"] for r in g["rules"]]
    for rule in all_rules:
        name = rule["alert"]
        check_query(name, rule["expr"], known)
        if not {"summary", "action"} <= rule["annotations"].keys() or rule["labels"]["severity"] not in ("page", "ticket"):
            faults.append(f"{name}: needs a severity, a summary, and an action: what to do")
        if name not in by_name:
            faults.append(f"{name} has no test")
            continue
    # The tests must fail where the rules never fire, and where they always do.
    for what, expr in (("never", "vector(1) > 2"), ("always", "vector(1)")):
        changed = copy.deepcopy(rules)
        for g in changed["groups"]:
            for r in g["rules"]:
                r["expr"] = expr
        said = run_with(changed, tests)
        for name in by_name:
            if not re.search(rf'alertname=\\*"{name}\\*"', said.stdout + said.stderr):
                faults.append(f"{name}: its test passes also where the rule fires {what}")
    for name in by_name.keys() - {r["alert"] for r in all_rules}:
        faults.append(f"a test of {name}, which is no rule")
    return len(all_rules)


def check_dashboard(known):
    board, n, ids, missing = json.loads(DASHBOARD.read_text()), 0, set(), set(known) - set(GIVEN)
    for panel in board["panels"]:
        if panel["id"] in ids:
            faults.append(f"dashboard: id {panel['id']} twice")
        ids.add(panel["id"])
        for target in panel.get("targets", []):
            n += 1
            check_query(f"dashboard, {panel['title']}", target["expr"], known)
            missing -= set(re.findall(r"\w+", target["expr"]))
        if panel["type"] != "row" and not panel.get("description"):
            faults.append(f"dashboard, {panel['title']}: says nothing of what to think")
    for name in sorted(missing):
        if name.startswith("meterd_") and not name.endswith(("_sum", "_count")):
            faults.append(f"dashboard: {name} is nowhere to be seen")
    # Their form is judged by promtool, as recording rules.
    exprs = [re.sub(r"\$__rate_interval", "5m", t["expr"]) for p in board["panels"] for t in p.get("targets", [])]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        yaml.safe_dump({"groups": [{"name": "d", "rules": [{"record": f"q:{i}", "expr": e} for i, e in enumerate(exprs)]}]}, f)
        f.flush()
        said = subprocess.run(["promtool", "check", "rules", "--lint=none", f.name], capture_output=True, text=True)
    if said.returncode:
        faults.append(said.stdout + said.stderr)
    return n


def check_the_check(known):
    """It must see what is wrong."""
    before = len(faults)
    for query in ("meterd_redy == 0", 'meterd_ready{topic="x"}', "sum by (topic) (meterd_ready)", "sum(rate(meterd_commit_duration_seconds[5m]))", "1 > 2"):
        n = len(faults)
        check_query("itself", query, known)
        if len(faults) == n:
            faults.insert(0, f"check.py does not see what is wrong with {query}")
            return
    del faults[before:]


def main():
    known = {**metrics(), **GIVEN}
    check_the_check(known)
    rules, queries = check_rules(known), check_dashboard(known)
    for f in faults:
        print("FAIL", f)
    if not faults:
        print(f"ok {rules} alert rules, each tested; {queries} dashboard queries on metrics that exist")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
