#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The catalogue of bad events, through the real programs: every row of tests/table/events.table that is rejected, and every one of
events_refused.table.

    bad_events.py records                             for produce.py, in the order of the catalogue
    bad_events.py letters < frames of the DLQ         compares code, message, stage and value of each; frames as `letters_format` says
    bad_events.py check METERCTL CATALOG FOLDER       the same by `meterctl check-event`, with the byte position

Prints how many events were compared; ends with 1 and every difference."""
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TABLES = os.path.join(HERE, "..", "table")
DEFS = os.path.join(HERE, "..", "..", "daemon", "tbl", "reject.def")
LEAST = 100
letters_format = r"%S %T\n%s\n%h\x1e"


def unescape(text):
    text = re.sub(r"~\((\d+)\*(.*?)~\)", lambda m: m[2] * int(m[1]), text)
    out = b""
    for i, piece in enumerate(re.split(r"~([0-9A-F]{2})", text)):
        out += bytes.fromhex(piece) if i % 2 else piece.encode()
    return out


def stages():
    with open(DEFS, encoding="utf-8") as f:
        return {code: stage for stage, code in re.findall(r'^REJECT\(\w+, "(\w+)", "(\w+)"', f.read(), re.M)}


class Row:
    def __init__(self, name, headers, stamp, value, result):
        self.name, self.stamp = name, stamp
        self.headers = []
        for h in headers.split("; ") if headers != "-" else []:
            n, equal, v = h.partition("=")
            self.headers.append((unescape(n).decode(), unescape(v) if equal else None))
        self.header_text = b"; ".join(unescape(h) for h in headers.split("; ")) if headers != "-" else b""
        self.value = None if value == "~null" else b"" if value == "~empty" else unescape(value)
        m = re.fullmatch(r"(\w+)(?: @(\d+))?(?: (.*?)(?: \((.*)\))?)?", unescape(result).decode())
        self.code, self.at, self.message, self.detail = m.groups()
        self.text = self.message and self.message + (f": {self.detail}" if self.detail is not None else "")


def rows():
    out = []
    for file, columns in (("events.table", 4), ("events_refused.table", 5)):
        with open(os.path.join(TABLES, file), encoding="utf-8") as f:
            for line in f:
                line = line.rstrip("\n")
                if not line or line.startswith("#"):
                    continue
                cells = line.split(" | ")
                cells[columns - 2:] = [" | ".join(cells[columns - 2:-1]), cells[-1]]
                if columns == 4:
                    if re.match(r"accepted|control", cells[3]):
                        continue
                    cells.insert(2, "1579048200123")
                assert len(cells) == 5, line
                out.append(Row(cells[0], cells[1], int(cells[2]), cells[3], cells[4]))
    assert len(out) >= LEAST, f"only {len(out)} rows"
    return out


def records():
    for r in rows():
        record = {"partition": 0, "timestamp": r.stamp,
                  "headers": [[n, v if v is None else {"hex": v.hex()}] for n, v in r.headers]}
        if r.value is not None:
            record["value_hex"] = r.value.hex()
        print(json.dumps(record))


OWN = re.compile(rb"__meterd\.errors\.topic=([^,]*),__meterd\.errors\.partition=(\d+),__meterd\.errors\.offset=(\d+),"
                 rb"__meterd\.errors\.timestamp=(\d+),__meterd\.errors\.clock=(?:\d+|-),__meterd\.errors\.stage=(\w+),"
                 rb"__meterd\.errors\.code=(\w+),"
                 rb"__meterd\.errors\.message=(.*?)(?:,__meterd\.errors\.truncated=(\d+))?(?:,__meterd\.errors\.stripped=(.*))?",
                 re.DOTALL)


def frames(data):
    while data:
        head, data = data.split(b"\n", 1)
        size = int(head.split()[0])
        n = max(size, 0)
        value, data = data[:n], data[n + 1:]
        headers, data = data.split(b"\x1e", 1)
        at = headers.rindex(b"__meterd.errors.topic=")
        yield (None if size < 0 else value), OWN.fullmatch(headers, at)


def letters():
    wrong, found, stage_of = [], {}, stages()
    catalogue = rows()
    for value, own in frames(sys.stdin.buffer.read()):
        offset = int(own[3])
        if offset in found:
            wrong.append(f"offset {offset} comes twice")
        found[offset] = (value, own)
    compared = 0
    for offset, r in enumerate(catalogue):
        if (r.code == "accepted") != (offset not in found):
            wrong.append(f"{r.name}: {'is' if r.code == 'accepted' else 'is not'} in the dead-letter topic")
        if offset not in found:
            continue
        value, own = found.pop(offset)
        got = (own[6].decode(), own[7].decode(), own[5].decode(), int(own[4]), value)
        want = (r.code, r.text, stage_of[r.code], r.stamp, r.value)
        compared += 1
        if got != want:
            wrong.append(f"{r.name}:\n  got    {got}\n  wanted {want}")
    wrong += [f"offset {o} is no event of the catalogue" for o in found]
    missing = set(stage_of) - {r.code for r in catalogue}
    if missing:
        wrong.append(f"no event in the catalogue for {sorted(missing)}")
    end(wrong, compared)


def check(meterctl, catalog, folder):
    os.makedirs(folder)
    wrong, groups, compared = [], {}, 0
    for i, r in enumerate(rows()):
        if r.value is None or b"\0" in r.header_text:
            continue  # a file cannot say that there is no value, nor an argument hold a NUL
        path = os.path.join(folder, str(i))
        with open(path, "wb") as f:
            f.write(r.value)
        groups.setdefault(r.header_text, []).append((path, r))
    for header_text, group in groups.items():
        arguments = [meterctl, "check-event", "--whole", "--catalog", catalog, "--format", "ndjson"]
        arguments += [b"--headers", header_text] if header_text else []
        run = subprocess.run(arguments + [path for path, _ in group], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        bad = sum(r.at is not None for _, r in group)
        if run.returncode != (1 if bad else 0) or len(lines) != len(group) or \
                not run.stderr.decode().endswith(f"{len(group)} checked, {bad} rejected\n"):
            wrong.append(f"headers {header_text}: exit {run.returncode}, {len(lines)} of {len(group)} lines: {run.stderr.decode()}")
            continue
        for (_, r), got in zip(group, lines):
            if r.at is None:  # refused only by its record's stamp, or good
                got, want = got["outcome"], "accepted"
            else:
                got = tuple(got[k] for k in ("outcome", "code", "position", "message", "detail"))
                want = ("rejected", r.code, int(r.at), r.message, r.detail)
                compared += 1
            if got != want:
                wrong.append(f"{r.name}:\n  got    {got}\n  wanted {want}")
    end(wrong, compared)


def end(wrong, compared):
    print("\n".join(wrong + [f"{compared} bad events compared"]))
    sys.exit(1 if wrong or compared < LEAST else 0)


if __name__ == "__main__":
    {"records": records, "letters": letters, "check": check}[sys.argv[1]](*sys.argv[2:])
