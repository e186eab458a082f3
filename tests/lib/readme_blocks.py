#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""README as a test reads it: what order it answers in, that what it names exists, and which of its blocks is run where.

    readme_blocks.py TREE TABLE OUT        every block of README has its row in TABLE; writes the walk's commands and files into OUT
    readme_blocks.py TREE --block BEGIN    prints the block that begins so, for a test that runs it
    readme_blocks.py TREE --names PROGRAMS the verbs, options, files and scripts that README names in its sentences are there

A block is what is indented by four blanks or stands between fences. TABLE has a row a block: `HOW | how it begins | …` (its lines with ` / `
between them), with HOW
    walk                  its lines are run in README's order, in one shell
    last                  the same, behind all others
    file NAME             it is what the walk finds in the file NAME
    shown NAME            it is a document that was published; OUT/NAME is a pattern for it, where … stands for anything
    picture               a drawing
    elsewhere | FILE | WORDS | why not here     FILE runs it, which has WORDS
A block without a row, or a row without its block, is an error: nobody adds a command that nothing runs.
"""
import re
import sys
from pathlib import Path

ORDER = ["Two commands", "Five minutes by hand", "Run it for real", "How to read an alert", "Proving a bill", "Making the counters again", "How fast it is",
         "When things go wrong", "What lies where"]


def fail(text):
    sys.exit(f"README: {text}")


def lines_of(tree):
    """[(line, in a fence, is a fence)]"""
    out, fenced = [], False
    for line in (tree / "README.md").read_text().splitlines():
        edge = line.startswith("```")
        out.append((line, fenced and not edge, edge))
        fenced ^= edge
    return out


def blocks(tree):
    """The blocks in order, each a list of its lines. Empty lines inside belong to it."""
    out, open_, gap, item = [], False, 0, False
    for line, fenced, edge in lines_of(tree):
        indented = line.startswith("    ") and not item
        item = line.startswith("- ") or (item and (line.startswith("  ") or not line))  # the second paragraph of a list's item is no block
        if edge:
            open_, gap = False, 0
        elif fenced or indented:
            text = line if fenced else line[4:]
            if open_:
                out[-1] += [""] * gap + [text]
            else:
                out.append([text])
            open_, gap = True, 0
        elif line:
            open_, gap = False, 0
        else:
            gap += 1
    return out


def rows(table):
    for line in table.read_text().splitlines():
        if line and not line.startswith("#"):
            yield [cell.strip() for cell in re.split(r" \| ", line)]


def pattern(lines):
    """What is shown, as a pattern for the document itself: blanks do not count, … is anything."""
    bare = re.sub(r"(?<=[,:{])\s+|\s+(?=[}])", "", " ".join(line.strip() for line in lines))
    return ".*".join(re.escape(part) for part in re.sub(r" …,|…,", "…", bare).split("…"))


def sort_out(tree, table, out):
    left = {" / ".join(text).lstrip(): text for text in blocks(tree)}
    order = list(left)
    walk, last = {}, {}
    for how, begin, *rest in rows(table):
        found = [whole for whole in order if whole.startswith(begin)]
        if len(found) != 1:
            fail(f"{len(found)} blocks begin with {begin!r}: its row in {table.name} wants one")
        text = left.pop(found[0], None) or fail(f"{table.name} has two rows for {begin!r}")
        kind, _, name = how.partition(" ")
        if kind in ("walk", "last") and not name:
            (walk if kind == "walk" else last)[order.index(found[0])] = text
        elif kind == "file":
            (out / name).write_text("\n".join(text) + "\n")
        elif kind == "shown":
            (out / name).write_text(pattern(text) + "\n")
        elif kind == "elsewhere" and len(rest) == 3:
            if rest[1] not in (tree / rest[0]).read_text():
                fail(f"{begin!r} is not run by {rest[0]}: it has no {rest[1]!r}")
        elif how != "picture":
            fail(f"{table.name}: {how!r} is no way to run a block")
    if left:
        fail(f"nothing runs these blocks, {table.name} has no row for them: {[whole[:60] for whole in left]}")
    (out / "commands").write_text("\n\n".join("\n".join(text) for part in (walk, last) for _, text in sorted(part.items())) + "\n")


def in_order(tree):
    heads = [line[3:] for line, fenced, _ in lines_of(tree) if line.startswith("## ") and not fenced]
    places = [heads.index(h) if h in heads else fail(f"there is no section {h!r}") for h in ORDER]
    if places != sorted(places):
        fail(f"its sections do not come in the order {ORDER}")


def names(tree, programs):
    """What stands between backquotes in sentences and tables, and can be looked up."""
    sys.path.insert(0, str(tree / "scripts/lib"))
    from docs import Facts
    facts = Facts(tree, programs)
    options = {verb: {name for name, _, _ in known} for verb, _, _, known in facts.verbs}
    options["help"] = {"help"}
    looked = 0
    for line, fenced, edge in lines_of(tree):
        for quoted in [] if fenced or edge or line.startswith("    ") else re.findall(r"`([^`]+)`", line):
            words = quoted.split()
            if words[0] == "meterctl" and len(words) > 1 and not words[1].startswith("-"):
                if words[1] not in options:
                    fail(f"`{quoted}`: there is no verb {words[1]}")
                for option in re.findall(r"(?<!\S)--([a-z][a-z-]*)", quoted):
                    if option not in options[words[1]]:
                        fail(f"`{quoted}`: {words[1]} has no --{option}")
                looked += 1
            elif re.fullmatch(r"(scripts|tests|daemon|config|systemd)/[a-z0-9_./-]*", words[0]):
                if not (tree / words[0]).exists():
                    fail(f"`{quoted}`: there is no {words[0]}")
                looked += 1
    if looked < 30:
        fail(f"only {looked} names were found to look up")


def main():
    tree = Path(sys.argv[1])
    if sys.argv[2:3] == ["--block"]:
        found = [text for text in blocks(tree) if text[0].startswith(sys.argv[3])]
        print("\n".join(found[0]) if len(found) == 1 else fail(f"{len(found)} blocks begin with {sys.argv[3]!r}"))
    elif sys.argv[2:3] == ["--names"]:
        names(tree, Path(sys.argv[3]))
    else:
        in_order(tree)
        sort_out(tree, Path(sys.argv[2]), Path(sys.argv[3]))


if __name__ == "__main__":
    main()
