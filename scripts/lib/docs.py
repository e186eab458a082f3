#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes what is written from the tables: man pages (scdoc sources), completions, the journal's catalogue, the template unit.

    docs.py TREE PROGRAMS OUT
    docs.py --readme TREE [--update]     is README's table of symptoms what the tables say? Exit 1, or make it so

TREE is the source tree, PROGRAMS the folder with meterctl (its verbs tell their options by --help), OUT where the files go. Words come
from daemon/tbl/*.def, config/meterd.yaml and config/catalog.yaml (which tests hold to the code) and from the prose in systemd/man/*.scd,
where a line `@@name` stands for a list. It invents nothing: an unknown name is an error.
"""
import re
import subprocess
import sys
from pathlib import Path

ROW = re.compile(r"^([A-Z_]+)\(((?:[^()\"]|\"(?:\\.|[^\"\\])*\"|\([^()]*\))*)\)", re.M)
ARGUMENT = re.compile(r'(?:"(?:\\.|[^"\\])*"\s*)+|[^,\s][^,"]*')


def fail(text):
    sys.exit(f"docs.py: {text}")


def rows(tree, table):
    """The rows of a .def as lists of values: texts joined and unescaped, other words as they are."""
    source = re.sub(r"^\s*//.*", "", (tree / f"daemon/tbl/{table}.def").read_text(), flags=re.M)
    out = []
    for m in ROW.finditer(source):
        row = []
        for a in ARGUMENT.findall(m.group(2)):
            parts = re.findall(r'"((?:\\.|[^"\\])*)"', a)
            row.append(re.sub(r"\\(.)", lambda e: {"n": "\n", "t": "\t"}.get(e.group(1), e.group(1)), "".join(parts)) if parts else a.strip())
        out.append(row)
    return out or fail(f"{table}.def has no rows")


# ---- what the programs say of themselves

def help_of(program, *verb):
    return subprocess.run([program, *verb, "--help"], check=True, capture_output=True, text=True).stdout


def parts_of(text):
    """[(name, how it is written, what it does)] from the list `Parts` of a verb's help: one a line, the words in a column of their own."""
    if "\nParts\n" not in text:
        return []
    lines = text.split("\nParts\n", 1)[1].split("\n\n", 1)[0].splitlines()
    column = re.match(r"  \S+(?: \S+)*  +", lines[0]).end()
    out = []
    for line in lines:
        left, right = line[:column].strip(), line[column:].strip()
        if left:
            out.append([left.split()[0], left, right])
        else:
            out[-1][2] += " " + right
    return [tuple(p) for p in out]


def options_of(program, *verb):
    """[(name, value or None, help)] from --help."""
    text = help_of(program, *verb)
    found = {}
    for line in text.splitlines():
        if not line.startswith("  "):
            continue
        parts = re.split(r"\s{2,}", line.strip())
        if re.fullmatch(r"(--[a-z-]+( [A-Z]+)?\s*){2,}", parts[0]):  # several, nothing between them
            parts = re.split(r"\s+(?=--)", parts[0]) + parts[1:]
        for part in parts:
            m = re.match(r"--([a-z][a-z-]*)(?: ([A-Z][A-Z:=,/…-]*|[a-z]+(?:\|[a-z]+)+|YYYY-MM))?(?: \((.*)\)$| (.*)$|,|$)", part)
            if m:
                found[m.group(1)] = [m.group(2), m.group(3) and f"default {m.group(3)}" or m.group(4) or ""]
                last = m.group(1)
            elif found and not part.startswith("--") and not found[last][1]:
                found[last][1] = part
    found.setdefault("help", [None, "this text"])
    return [(n, v, h) for n, (v, h) in found.items()]


class Facts:
    def __init__(self, tree, programs):
        self.tree = tree
        self.verbs = [(verb, synopsis, words, options_of(programs / "meterctl", verb)) for _, verb, synopsis, words in rows(tree, "command")]
        self.parts = {verb: parts_of(help_of(programs / "meterctl", verb)) for verb, _, _, _ in self.verbs}
        self.daemon = options_of(programs / "meterd")
        self.version = subprocess.run([programs / "meterd", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
        self.kinds = [r[1] for r in rows(tree, "alert")]


# ---- man pages

def esc(text):
    return re.sub(r"^(?=[#\[|`.\-])", r"\\", re.sub(r"([\\*_])", r"\\\1", text))


def item(name, text):
    return f"*{esc(name)}*\n\t{esc(text)}\n"


def settings(facts):
    """The sample file, which has every setting once: comment, then the line."""
    out, comment, path, seen = [], [], [], 0
    for line in facts.tree.joinpath("config/meterd.yaml").read_text().splitlines()[6:]:
        body = line.strip()
        m = re.match(r"^( *)(#?)([a-z_]+):(.*)$", line)
        if m:
            depth = len(m.group(1)) // 2
            path = path[:depth] + [m.group(3)]
            if comment:
                when = comment.pop() if len(comment) > 1 else ""
                out.append(f"*{esc('.'.join(path))}* (default {esc(m.group(4).strip())})\n\t{esc(' '.join(comment))}\n\n\t{esc(when)}\n")
                seen += 1
            comment = []
        elif body.startswith("#"):
            comment.append(body[1:].strip())
    if seen != len(rows(facts.tree, "settings")):
        fail(f"config/meterd.yaml shows {seen} settings, settings.def has {len(rows(facts.tree, 'settings'))}")
    return "\n".join(out)


def verbs(facts):
    out = []
    for verb, synopsis, words, options in facts.verbs:
        out.append(f"## {verb}\n\n*{verb}* {esc(synopsis)}\n\n{esc(words)}\n")
        out += [f"*{esc(written)}*\n\t{esc(text)}\n" for _, written, text in facts.parts[verb]]
        names = []  # of one text, which stands at the last of them
        for name, value, text in options:
            if name not in ("help", "config", "format"):
                names.append(f"*--{name}*{' ' + esc(value) if value else ''}")
                if text:
                    out.append(f"{', '.join(names)}\n\t{esc(text)}\n")
                    names = []
        if names:
            fail(f"the options {', '.join(names)} of {verb} have no text")
    return "\n".join(out)


def price_book(facts):
    text = facts.tree.joinpath("config/catalog.yaml").read_text()
    begin, end = text.index("# How to write what"), text.index("  - id:", text.index("\nservices:") + 1)
    second = text.find("  - id:", end + 1)
    return "```\n" + text[begin:second].rstrip() + "\n```\n"


def meaning(tree, table, row):
    """What the row of another table says of itself."""
    name, text = {"log": (0, 3), "metric": (1, 5), "outcome": (1, 2)}[table]
    found = [r[text] for r in rows(tree, table) if r[name] == row] or fail(f"symptom.def: {table}.def has no row {row}")
    text = re.sub("@METERD_[A-Z_]+@", "…", found[0].removeprefix("@METERD_WHY@ "))
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def symptoms(tree):
    """[(seen, meaning, command)], whose commands are verbs that there are."""
    verbs = {r[1] for r in rows(tree, "command")}
    out = []
    for table, row, seen, command in rows(tree, "symptom"):
        first = command.split()
        if first[0] == "meterctl" and first[1] not in verbs:
            fail(f"symptom.def: there is no verb {first[1]}")
        out.append((seen, meaning(tree, table, row), command))
    return out


README_MARKS = ("<!-- made from daemon/tbl/symptom.def: scripts/lib/docs.py --readme . --update -->\n", "<!-- end of what is made -->\n")


def readme(tree, update):
    file = tree / "README.md"
    text = file.read_text()
    head, rest = text.split(README_MARKS[0])
    tail = rest.split(README_MARKS[1])[1]
    table = "| what you see | what it means | first |\n| --- | --- | --- |\n" + "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in (seen, words, f"`{command}`")) + " |\n" for seen, words, command in symptoms(tree))
    made = head + README_MARKS[0] + table + README_MARKS[1] + tail
    if made != text and not update:
        fail("README.md's table of symptoms is not what the tables say: scripts/lib/docs.py --readme . --update")
    file.write_text(made)


LISTS = {
    "settings": settings,
    "verbs": verbs,
    "price_book": price_book,
    "daemon_options": lambda f: "\n".join(f"*--{n}*{' ' + esc(v) if v else ''}\n\t{esc(h or ('print the version' if n == 'version' else 'this text'))}\n"
                                          for n, v, h in f.daemon),
    "metrics": lambda f: "\n".join(f"*{esc(r[1])}*{'{' + esc(r[3]) + '}' if r[3] else ''} ({r[2].lower()})\n\t{esc(r[5])}\n"
                                   for r in rows(f.tree, "metric")),
    "log": lambda f: "\n".join(f"*{esc(r[0])}* ({r[1]})\n\t{esc(r[2])}. {esc(re.sub('@METERD_([A-Z_]+)@', lambda m: m.group(1).lower(), r[3]))}\n"
                               for r in rows(f.tree, "log")),
    "alerts": lambda f: "\n".join(item(r[1], r[2]) for r in rows(f.tree, "alert")),
    "symptoms": lambda f: "\n".join(f"{esc(seen.replace('`', ''))}\n\t{esc(words)}\n\n\t*{esc(command)}*\n" for seen, words, command in symptoms(f.tree)),
    "outcomes": lambda f: "\n".join(item(r[1], r[2]) for r in rows(f.tree, "outcome")),
    "rejects": lambda f: "\n".join(item(r[2], f"{r[3][:1].upper()}{r[3][1:]}. {r[4]}") for r in rows(f.tree, "reject")),
    "account_faults": lambda f: "\n".join(item(r[1], f"{r[2][:1].upper()}{r[2][1:]}. {r[3]}") for r in rows(f.tree, "account_fault")),
}


def pages(facts, out):
    for source in sorted(facts.tree.glob("systemd/man/*.scd")):
        text = source.read_text()
        text = re.sub(r"^; SPDX.*\n", "", text, flags=re.M)
        text = re.sub(r"^@@(\w+)$", lambda m: LISTS.get(m.group(1), lambda _: fail(f"{source.name}: no list {m.group(1)}"))(facts), text, flags=re.M)
        text = text.replace("@VERSION@", facts.version)
        section = re.search(r"\((\d)\)", text.split("\n", 1)[0]).group(1)
        text = re.sub(r"\n{3,}", "\n\n", text)
        made = subprocess.run(["scdoc"], input=text, capture_output=True, text=True)
        if made.returncode != 0:
            line = int((re.search(r"at (\d+):", made.stderr) or [0, 1])[1])
            fail(f"{source.name}: {made.stderr.strip()}: {text.splitlines()[line - 1]}")
        (out / f"{source.stem}").write_text(made.stdout)
        if not source.stem.endswith(f".{section}"):
            fail(f"{source.name}: the first line says section {section}")


# ---- completions

def value_kind(verb, name, value):
    if not value:
        return None
    if name == "kind" and verb == "alerts":
        return "kinds"
    if "|" in value:
        return value.split("|")
    return "files" if value == "FILE" else "any"


def takes_files(facts, verb, synopsis):
    return any("FILE" in written for _, written, _ in facts.parts[verb]) or bool(re.search(r"(?<![A-Za-z] )\bFILE\b…?\]?$|^FILE$", synopsis))


def bash(facts, out):
    lines = ["# SPDX-License-Identifier: Apache-2.0", "# Completion of meterctl and meterd for bash; made from the tables of their verbs and options.",
             "_meterctl()", "{", "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]:-} words= files=",
             "\tCOMPREPLY=()", "\tif ((COMP_CWORD == 1)); then",
             f"\t\tCOMPREPLY=($(compgen -W '{' '.join(v[0] for v in facts.verbs)} help --help --version' -- \"$cur\"))", "\t\treturn", "\tfi",
             "\tcase $verb:$prev in"]
    for verb, synopsis, _, options in facts.verbs:
        for name, value, _ in options:
            kind = value_kind(verb, name, value)
            if kind == "files":
                lines.append(f"\t{verb}:--{name}) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;")
            elif kind == "any":
                lines.append(f"\t{verb}:--{name}) return ;;")
            elif kind:
                words = facts.kinds if kind == "kinds" else kind
                lines.append(f"\t{verb}:--{name}) COMPREPLY=($(compgen -W '{' '.join(words)}' -- \"$cur\")); return ;;")
    lines += ["\tesac", "\tif ((COMP_CWORD == 2)) && [[ $cur != -* ]]; then", "\t\tcase $verb in"]
    lines += [f"\t\t{verb}) COMPREPLY=($(compgen -W '{' '.join(p[0] for p in parts)}' -- \"$cur\")); return ;;" for verb, parts in facts.parts.items() if parts]
    lines += ["\t\tesac", "\tfi", "\tcase $verb in", f"\thelp) words='{' '.join(v[0] for v in facts.verbs)}' ;;"]
    for verb, synopsis, _, options in facts.verbs:
        lines.append(f"\t{verb}) words='{' '.join('--' + o[0] for o in options)}'{' files=1' if takes_files(facts, verb, synopsis) else ''} ;;")
    lines += ["\tesac", "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))",
              "\t[[ -z $files || $cur == -* ]] || COMPREPLY+=($(compgen -f -- \"$cur\"))", "}",
              "complete -o filenames -F _meterctl meterctl", ""]
    (out / "meterctl.bash").write_text("\n".join(lines))
    (out / "meterd.bash").write_text("\n".join([
        "# SPDX-License-Identifier: Apache-2.0", "# Completion of meterd for bash; made from its own --help.", "_meterd()", "{",
        "\tlocal cur=${COMP_WORDS[COMP_CWORD]}", "\tif [[ ${COMP_WORDS[COMP_CWORD-1]} == --config ]]; then",
        "\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))", "\telse",
        f"\t\tCOMPREPLY=($(compgen -W '{' '.join('--' + o[0] for o in facts.daemon)}' -- \"$cur\"))", "\tfi", "}",
        "complete -o filenames -F _meterd meterd", ""]))


def zsh_text(text):
    return text.replace("'", "").replace("\\", "").replace("[", "(").replace("]", ")").replace(":", "\\:").replace("`", "")


def zsh_option(verb, facts, option):
    name, value, text = option
    kind = value_kind(verb, name, value)
    spec = f"--{name}[{zsh_text(text)}]"
    if kind == "files":
        spec += ":file:_files"
    elif kind == "any":
        spec += f":{zsh_text(value)}:"
    elif kind:
        spec += f":{name}:({' '.join(facts.kinds if kind == 'kinds' else kind)})"
    return f"'{spec}'"


def zsh_parts(parts):
    return f" '1:part:({' '.join(p[0] for p in parts)})'" if parts else ""


def first_sentence(text):
    return re.split(r"\. |; |: |\.$", text)[0]


def zsh(facts, out):
    lines = ["#compdef meterctl", "# SPDX-License-Identifier: Apache-2.0", "# Completion of meterctl for zsh; made from the table of its verbs and their options.",
             "local -a verbs", "verbs=("]
    lines += [f"\t'{verb}:{zsh_text(first_sentence(words))}'" for verb, _, words, _ in facts.verbs]
    lines += ["\t'help:the options of a verb'", ")", "if ((CURRENT == 2)); then", "\t_describe verb verbs", "\treturn", "fi", "local verb=$words[2]",
              "shift words", "((CURRENT--))", "case $verb in", "help) _describe verb verbs ;;"]
    for verb, synopsis, _, options in facts.verbs:
        lines.append(f"{verb}) _arguments {' '.join(zsh_option(verb, facts, o) for o in options)}{zsh_parts(facts.parts[verb])}{' ' + chr(39) + '*:file:_files' + chr(39) if takes_files(facts, verb, synopsis) else ''} ;;")
    (out / "_meterctl").write_text("\n".join(lines + ["esac", ""]))
    (out / "_meterd").write_text("\n".join(["#compdef meterd", "# SPDX-License-Identifier: Apache-2.0", "# Completion of meterd for zsh; made from its own --help.",
                                            "_arguments " + " ".join(zsh_option("", facts, o) for o in facts.daemon), ""]))


def fish_text(text):
    return text.replace("\\", "\\\\").replace("'", "\\'")


def fish_option(program, verb, facts, option):
    name, value, text = option
    kind = value_kind(verb, name, value)
    line = f"complete -c {program} {f'-n {chr(39)}__fish_seen_subcommand_from {verb}{chr(39)} ' if verb else ''}-l {name} -d '{fish_text(text)}'"
    if kind == "files":
        return line + " -r -F"
    if kind == "any":
        return line + " -x"
    return line + (f" -x -a '{' '.join(facts.kinds if kind == 'kinds' else kind)}'" if kind else "")


def fish(facts, out):
    names = " ".join(v[0] for v in facts.verbs)
    lines = ["# SPDX-License-Identifier: Apache-2.0", "# Completion of meterctl for fish; made from the table of its verbs and their options.", "complete -c meterctl -f"]
    for verb, synopsis, words, options in facts.verbs:
        lines.append(f"complete -c meterctl -n 'not __fish_seen_subcommand_from {names} help' -a {verb} -d '{fish_text(first_sentence(words))}'")
        lines += [fish_option("meterctl", verb, facts, o) for o in options]
        seen = " ".join(p[0] for p in facts.parts[verb])
        lines += [f"complete -c meterctl -n '__fish_seen_subcommand_from {verb}; and not __fish_seen_subcommand_from {seen}' -a {name} -d '{fish_text(first_sentence(text))}'"
                  for name, _, text in facts.parts[verb]]
        if takes_files(facts, verb, synopsis):
            lines.append(f"complete -c meterctl -n '__fish_seen_subcommand_from {verb}' -F")
    lines += [f"complete -c meterctl -n 'not __fish_seen_subcommand_from {names} help' -a help -d 'the options of a verb'",
              f"complete -c meterctl -n '__fish_seen_subcommand_from help' -a '{names}'", ""]
    (out / "meterctl.fish").write_text("\n".join(lines))
    (out / "meterd.fish").write_text("\n".join(["# SPDX-License-Identifier: Apache-2.0", "# Completion of meterd for fish; made from its own --help.",
                                                "complete -c meterd -f"] + [fish_option("meterd", "", facts, o) for o in facts.daemon] + [""]))


# ---- journal and units

def wrap(text, width=78):
    out, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            out.append(line)
            line = ""
        line += (" " if line else "") + word
    return "\n".join(out + [line])


def catalogue(facts, out):
    parts = ["# SPDX-License-Identifier: Apache-2.0", "# What `journalctl -x` says below meterd's lines; made from the table of its log events.", ""]
    for _, ident, subject, text in rows(facts.tree, "log"):
        parts += [f"-- {ident}", f"Subject: {subject}", "Defined-By: meterd", "Documentation: man:meterd(8)", "", wrap(text), ""]
    (out / "meterd.catalog").write_text("\n".join(parts))


def template(facts, out):
    """meterd@NAME reads /etc/meterd/NAME.yaml, and everything of its own bears the name."""
    text = facts.tree.joinpath("systemd/meterd.service").read_text()
    changes = [
        ("/etc/meterd/meterd.yaml", "/etc/meterd/%i.yaml"), ("StateDirectory=meterd\n", "StateDirectory=meterd/%i\n"),
        ("redis-password:meterd.redis-password", "redis-password:meterd-%i.redis-password"),
        ("kafka-password:meterd.kafka-password", "kafka-password:meterd-%i.kafka-password"),
        ("/etc/credstore/meterd.redis-password", "/etc/credstore/meterd-NAME.redis-password"),
        ("/run/credentials/meterd.service/", "/run/credentials/meterd@NAME.service/"),
        ("Description=Usage metering:", "Description=Usage metering (%i):"), ("systemctl edit meterd", "systemctl edit meterd@NAME"),
    ]
    head, body = text.split("[Unit]\n", 1)
    for old, new in changes:
        if old not in head + body:
            fail(f"meterd.service has no {old!r} any more")
        head, body = head.replace(old, new), body.replace(old, new)
    (out / "meterd@.service").write_text(
        "# SPDX-License-Identifier: Apache-2.0\n# Several instances on one machine: meterd@NAME reads /etc/meterd/NAME.yaml, where `instance`, `state_dir` and\n"
        "# `http.listen` must be its own. Made from meterd.service.\n[Unit]\n" + body)


def main():
    if sys.argv[1:2] == ["--readme"] and len(sys.argv) in (3, 4):
        readme(Path(sys.argv[2]), sys.argv[3:] == ["--update"])
        return
    if len(sys.argv) != 4:
        fail("docs.py TREE PROGRAMS OUT")
    facts, out = Facts(Path(sys.argv[1]), Path(sys.argv[2])), Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    for make in (pages, bash, zsh, fish, catalogue, template):
        make(facts, out)


if __name__ == "__main__":
    main()
