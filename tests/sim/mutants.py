#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Deliberate defects of the protocol, each of which the simulator must find: mutants.py [--seeds N] [NAME…]

Some defects are not in the list because another step of the protocol makes them harmless, which the simulator showed: tokens that are not
compared or not renewed, a refused or unknown commit taken for done, an applied one sent again (the stored offset is compared: the next commit
finds that it does not follow, and everything starts over); partitions that are lost and flushed all the same (their token is another one); an alert that is not remembered (the relay's read-back drops it); a closer that
does not wait for the slowest partition (the shard refuses the close). Slices on disk that were recorded before
newer rules were known, and are believed: not met in 1,000 seeds (tests/unit/test_snapshots.c has it). What a generation had not published and
leaves behind: the one that is made again raises the same (tests/unit/test_store.c has it). Packs that cover what was charged: nothing of a pack is
left where something was charged, unless a correction gave it back (tests/unit/test_deduct.c has it).

The seed that finds a defect is one of the tree that it was looked for in: a call more or less in a product's path, and chance goes another way. So a
seed in mutants.found may have moved; that there is one is what counts. A defect of the list that is not there was not run to its end yet, or not
met in 200 seeds.

Works under build/mutants, on what build/ holds. Prints a line each: the seed that finds it, or that none of N did; the last line is
`N passed, N failed`. tests/sim/mutants.found keeps the seeds."""
import pathlib
import re
import shutil
import subprocess
import sys

LUA, STEP, FLUSH, PART = "daemon/store/meterd.lua", "daemon/pipeline/step.c", "daemon/pipeline/flush.c", "daemon/pipeline/part.c"
ASSIGN, RELAY, DEDUPE, CLOSER = "daemon/pipeline/assign.c", "daemon/outbox/relay.c", "daemon/dedupe/dedupe.c", "daemon/closing/closer.c"
PROPOSE = "daemon/closing/propose.c"
BOX, MAKE, RESTORE, HEAD, FOLDER = ("daemon/letters/box.c", "daemon/checkpoint/make.c", "daemon/checkpoint/restore.c", "daemon/checkpoint/head.c",
                                    "daemon/checkpoint/folder.c")
CORRECT = "daemon/closing/correct.c"
DECIDE, COURSE, WORKER, LOOK = "daemon/decide/decide.c", "daemon/decide/course.c", "daemon/pipeline/worker.c", "daemon/closing/look.c"
# name, what goes wrong with it, file, text, what stands in its place
MUTANTS = [
    ("offset-not-compared", "a commit behind or ahead of the stored offset is applied", LUA, "if next ~= part.from then", "if false then"),
    ("claim-forgets-token", "the instance before goes on counting", LUA,
     "redis.call('HSET', keys[2], args[i], reply[2 + (i - 4) / 2] .. ' ' .. args[3])", "redis.call('HSETNX', keys[2], args[i], reply[2 + (i - 4) / 2] .. ' ' .. args[3])"),
    ("rung-above-not-at", "the call that reaches a bound raises nothing", LUA, "if total >= at then", "if total > at then"),
    ("crossing-excludes-bound", "a total that ends at the bound crosses nothing", LUA, "\t\tif rung.at > new then\n\t\t\tbreak", "\t\tif rung.at >= new then\n\t\t\tbreak"),
    ("passed-rung-forgotten", "an alert of the month of activation comes later, by chance", LUA, "redis.call('HSETNX', rung[1], rung[2], '0')", "local _ = rung"),
    ("ledger-beside-the-step", "the ledger does not move with the counters", LUA,
     "redis.call('HINCRBY', KEYS[3], part.name .. '/consumed', text(counts[1]))", "-- elsewhere"),
    ("late-into-the-month", "late calls go into a month that is closed", DECIDE, "read->month < c->open_month ? OUTCOME_LATE", "read->month < c->open_month - 1 ? OUTCOME_LATE"),
    ("cut-off-by-one", "the record at the close still belongs to the month before", COURSE, "if (first || timestamp_ms >= c->next_close_ms)", "if (first || timestamp_ms > c->next_close_ms)"),
    ("clock-of-last-record", "a month opens again with an older stamp", "daemon/decide/course.h",
     "(c->clock_ms != TIME_NONE && timestamp_ms <= c->clock_ms)", "(c->clock_ms != TIME_NONE && timestamp_ms == c->clock_ms)"),
    ("dead-letters-not-awaited", "the offset passes a rejected record that is nowhere", FLUSH, "while (w->open_rejects && w->dlq->ops->pending(w->dlq, 50) > 0) {", "while (false) {"),
    ("window-not-read-back", "after a restart nothing is known of duplicates", ASSIGN, "\tif (begin >= low) {\n\t\tp->read_from = begin;", "\tif (begin >= low) {\n\t\tbegin = p->start;\n\t\tp->read_from = begin;"),
    ("window-by-offset", "the window begins inside a generation, and differs after a restart", DEDUPE, "int64_t start = generation_start(o, offset);", "int64_t start = generation_start(o, offset) + (offset & 15);"),
    ("duplicates-read-again", "an event that is read again is its own duplicate", DEDUPE, "\tif (offset != d->fresh)\n\t\treturn list_holds(d, offset);", "\tif (offset != d->fresh)\n\t\treturn list_holds(d, offset) || offset >= 0;"),
    ("shards-joined-from-start", "what a shard has had is sent to it again", STEP, "\tif (r->offset < p->shards[shard].start)\n\t\treturn;\n\tif (d->outcome", "\tif (false)\n\t\treturn;\n\tif (d->outcome"),
    ("consumed-twice", "records are entered again for a shard that was ahead", STEP, "\t\t\tp->shards[s].consumed_sent = p->consumed + 1;", "\t\t\tp->shards[s].consumed_sent = p->shards[s].consumed_sent;"),
    ("published-not-read-back", "what was published before a death is published again", RELAY, "enum relay_status s = read_back(r, earlier(r->covered_ms, oldest_ms), e);", "enum relay_status s = RELAY_DONE;\n\tr->covered_ms = TIME_NONE;\n\t(void)oldest_ms;\n\t(void)earlier;"),
    ("acknowledged-first", "an alert is taken off before Kafka has it", RELAY, "\tenum relay_status s = publish(r, m, r->send.n, e);", "\tenum relay_status s = acknowledge(r, &r->send, e);\n\tif (s == RELAY_DONE)\n\t\ts = publish(r, m, r->send.n, e);"),
    ("unknown-end-is-success", "a transaction whose end is not known is taken for published", RELAY, "\tif (s == TXN_DONE)\n\t\treturn RELAY_DONE;", "\tif (s == TXN_DONE || s == TXN_UNKNOWN)\n\t\treturn RELAY_DONE;"),
    ("settled-twice", "an account is settled again by the next closer", LUA, "if not have[2 * i - 1] and not have[2 * i] then", "if true then"),
    ("freeze-forgotten", "what a month froze is not kept for the next", LUA, "\t\tif line[4] ~= '0' then", "\t\tif false then"),
    ("no-split-at-activation", "calls are weighed by an activation that came after them", "daemon/aggregate/aggregate.c", "if (b->ordered[i]->month > month && span_eq", "if (false && span_eq"),
    ("adrift-reads-on", "after a conflict records are counted that no shard will get", WORKER, "\tif (w->adrift)\n\t\treturn; // read again", "\tif (false)\n\t\treturn; // read again"),
    ("rollback-not-noticed", "a Redis that went back while nothing was sent is not asked", FLUSH, "\t\tif (!same)\n\t\t\tworker_trouble", "\t\tif (false)\n\t\t\tworker_trouble"),
    ("marks-missing", "the clock at the window's begin is unknown after a restart", LUA, "\t\tredis.call('HSET', KEYS[7], marks[k], marks[k + 1])", "\t\tredis.call('HDEL', KEYS[7], marks[k])"),
    ("version-not-compared", "a commit goes through that was made without knowing of newer rules", LUA, "tonumber(registered) > tonumber(ARGV[3])", "false"),
    ("rules-at-once", "rules take effect behind what some shard has counted", PROPOSE, "clock_later(clock_max_ms, s->lead_ms) : 0;", "clock_max_ms - 20 * s->lead_ms * 144 : 0;"),
    ("rules-before-alerts", "after a rollback rules take effect before calls that were told", PROPOSE, "*ret_may = *ret_may && l.parts[i].next_max >= relay_reach(o->relay, j->parts[i].name);", "(void)j;"),
    ("admission-clock-ignored", "a partition that appears opens months again that are closed", ASSIGN, ".start = { jp->offset, jp->clock_ms, -1, 0 }", ".start = { jp->offset, TIME_NONE, -1, 0 }"),
    ("fact-without-lead", "what is said of an account holds before everybody knows", "daemon/plans/plans.c", "TIME_NONE : clock_ms - lead_of(rules);", "TIME_NONE : clock_ms + lead_of(rules) * 0 - 30 * 86400000LL;"),
    ("facts-beyond-the-manifest", "a contract that came after the close changes the bill of a closed month", "daemon/closing/frame.c", ".with_cuts = true", ".with_cuts = false"),
    ("bills-by-newest-rules", "an adjustment is priced by rules that its month was not settled with", "daemon/closing/frame.c", "journal_rules_version(j, by->rules_version)->rules,", "(by->rules_version > 0 ? j->rules[j->n_rules - 1].rules : NULL),"),
    ("window-kept-over-new-rules", "what a worker remembered under rules that newer ones reach into goes on deciding", ASSIGN,
     " ||\n\t\t    journal_rules_at(w->journal, dedupe_clock(k->dedupe))->version > k->rules)", ")"),
    ("new-connection-unasked", "a Redis that went back and forgot newer rules takes commits that were made without them", "daemon/store/commit.c",
     "return connected && (s->informed == 0 || s->informed == s->sessions);", "return connected;"),
    ("journal-not-asked", "after a lost connection nobody looks whether there are newer rules", FLUSH, "if (session == w->session)\n", "w->session = session;\n\tw->store->ops->informed(w->store, session);\n\tif (true)\n"),
    ("one-shard-put-in-force", "a generation comes into force in one shard only", PROPOSE,
     "	for (uint32_t shard = 0; shard < shards && cls == ERROR_NONE; shard++)\n		cls = s->ops->adopt(s, shard, j->generation_at, e);",
     "	for (uint32_t shard = 0; shard < 1 && shards > 0 && cls == ERROR_NONE; shard++)\n		cls = s->ops->adopt(s, shard, j->generation_at, e);"),
    ("made-not-aligned", "what is made again is held against a copy that stands elsewhere", "daemon/rebuild/rebuild.c",
     "c = commit_all(r, target, live.next, e);", "c = commit_all(r, target, NULL, e);"),
    ("copy-not-watched", "a Redis that goes back while generations are compared makes them differ", "daemon/rebuild/compare.c",
     "if (both[i]->ops->session(both[i]) != sessions[i])", "if (sessions[i] == UINT64_MAX)"),
    ("pack-told-elsewhere", "of a pack's alert that a later month told the month before is asked", "daemon/rebuild/compare.c",
     "if (!is_out(c, field) && !is_out_in_another_month(c, field))", "if (!is_out(c, field) && (is_out_in_another_month(c, field) || true))"),
    ("old-copy-in-the-way", "a copy that was left keeps its number from the next generation", "daemon/rebuild/rebuild.c",
     "	if (c == ERROR_NONE)\n		c = rebuild_drop_copy(r->store, r->journal->shards, r->generation, e);\n", ""),
    ("what-was-in-force-is-made", "a shard that went back has a generation that was in force made again", "daemon/rebuild/rebuild.c",
     "GENERATION_BUILDING && g.list[i].number > r->journal->generation_greatest;", "GENERATION_BUILDING;"),
    ("late-with-the-month-before", "an adjustment comes with the wrong month's close", "daemon/closing/gather.c", "if (months.list[i].adjust_month == month)", "if (months.list[i].adjust_month == month + 1)"),
    ("given-back-unfenced", "two hands give the same records back", BOX,
     "enum error_class c = only_tell ? ERROR_NONE : port->txn_open(o->kafka, id, TIMEOUT_MS, &sink, e);\n\tif (c == ERROR_NONE)\n\t\tc = letters_box_read(o, &b, e);",
     "enum error_class c = letters_box_read(o, &b, e);\n\tif (c == ERROR_NONE && !only_tell)\n\t\tc = port->txn_open(o->kafka, id, TIMEOUT_MS, &sink, e);"),
    ("given-back-unmarked", "what was given back is given back again", BOX, "return sink->ops->publish(sink, m, 2 * n, e);", "return sink->ops->publish(sink, m, n, e);"),
    ("marks-first", "a death between the mark and the record loses the record", BOX, "return sink->ops->publish(sink, m, 2 * n, e);",
     "enum txn_status s = sink->ops->publish(sink, m + n, n, e);\n\treturn s == TXN_DONE ? sink->ops->publish(sink, m, n, e) : s;"),
    ("given-back-with-another-stamp", "what was late counts in the open month", BOX, ".timestamp_ms = l->timestamp_ms > 0 ? l->timestamp_ms : 0 }", ".timestamp_ms = 0 }"),
    ("given-back-counts-again", "a record that counted although there is a letter of it counts again when it is given back", DECIDE,
     "if (seen || (r->n_headers > 0 && was_taken(d, c, r)))", "if (seen || (r->n_headers > 1000000 && was_taken(d, c, r)))"),
    ("letter-without-its-rules", "whether it counted in its first place is asked of the rules in force now", DECIDE,
     "const struct journal_rules *then = journal_rules_at(d->journal, clock_ms);", "const struct journal_rules *then = c->rules;"),
    ("checkpoint-of-another-state", "counters of another init are put back", HEAD, "if (strcmp(h->init_id, j->init_id) != 0)", "if (h->init_id[0] == '\\0')"),
    ("checkpoint-of-another-generation", "counters of a generation that is not in force are put in its place", FOLDER,
     "if (f->head.generation == j->generation)", "if (f->head.generation > 0 || f->head.generation == j->generation)"),
    ("checkpoint-ahead-of-decisions", "counters are put back that go with decisions which the control topic does not hold", HEAD,
     "if (h->control_next > j->next_offset || ", "if ("),
    ("outbox-not-put-back", "alerts that were not published when the checkpoint was written are lost", RESTORE,
     "return c == ERROR_NONE ? t->r->store->ops->put_entry(t->r->store, t->shard, words, n, e) : c;", "return words != NULL && n > 0 ? c : ERROR_NONE;"),
    ("marks-not-put-back", "which months are closed is forgotten", RESTORE, "return t->skip ? ERROR_NONE : gather(t, field, value, e);",
     "return t->skip || field.n > 0 ? ERROR_NONE : gather(t, field, value, e);"),
    ("half-is-whole", "a shard that is being put back is not taken for lost", "daemon/pipeline/checks.c",
     "return !st->exists || st->lacks_generation || st->restoring;", "return !st->exists || st->lacks_generation;"),
    ("put-back-over-all", "shards that lost nothing are put back, too", RESTORE, "t->skip = t->r->wanted != NULL && !t->r->wanted[shard];", "t->skip = false;"),
    ("checkpoint-copy-not-watched", "a Redis that goes back while a shard is written out makes a file of two courses of events", MAKE,
     "\tif (m->cls == ERROR_NONE && !m->sink_failed)\n\t\tm->cls = copy_kept(m, print);\n", "\t(void)copy_kept;\n"),
    ("copied-without-a-key", "a month that came between the list of keys and the copy is not in the copy, which stands at the offsets behind it", LUA,
     "\tif unlisted then", "\tif unlisted and false then"),
    ("newest-checkpoint-dropped", "where the clock was set back the checkpoint just written goes", MAKE, "strcmp(f->path, written) != 0 &&\n\t\t    ++kept", "written != NULL &&\n\t\t    ++kept"),
    ("goal-of-before", "what is made again is counted beyond what the generation in force holds, since Redis went back: newer rules are dated into it",
     "daemon/rebuild/lane.c", "if (next < wanted(l, k, shard)) {", "if (next < 0 && next < wanted(l, k, shard)) {"),
    ("copy-left-in-the-way", "restore meets the copy that a verification left", "daemon/rebuild/restore.c",
     "\tif (cls == ERROR_NONE)\n\t\tcls = rebuild_drop_copy(s, j->shards, r->generation, e);\n", ""),
    ("weighed-by-its-own-clock", "calls of a partition that lags are weighed by what a change ended that the counters were looked at for", STEP,
     "\tif (!account_is_mixed(w, account))\n\t\treturn p->course.clock_ms;", "\tif (!account_is_mixed(w, account) || p != NULL)\n\t\treturn p->course.clock_ms;"),
    ("correction-of-another-close", "a correction is made that was worked out before another month was closed", CORRECT,
     "if (k->fact->after_month != k->f->manifest->month - 1)", "if (k->fact->after_month > k->f->manifest->month)"),
    ("correction-does-not-stand", "a correction is made of a bill that is another one by now", CORRECT,
     "if (!stands(settled_line_of(m->lines, m->n_lines, service), &c->was))", "if (!stands(settled_line_of(m->lines, m->n_lines, service), &c->was) && k->n > 1000)"),
    ("two-corrections-with-a-close", "two corrections of an account are made, of which neither knew the other", CORRECT, "	if (another)\n", "	if (another && k->n > 1000)\n"),
    ("packs-beyond-what-they-hold", "a correction lets a pack give more than it holds, or less than nothing", CORRECT, "return moves_fit(k) ? NULL :", "return moves_fit(k) || true ? NULL :"),
    ("packs-not-given-back", "what a correction moved of a pack is not known afterwards", CORRECT, "	move_packs(k, b);\n", "	(void)move_packs;\n	(void)b;\n"),
    ("correction-forgotten-by-late-calls", "late calls undo what a correction said of the charge", "daemon/closing/adjust.c", "line_price(&l, before->prices, x.terms->plan);", "line_price(&l, NULL, x.terms->plan);"),
    ("free-calls-given-again", "late calls of a corrected line take free calls that the correction did not give", "daemon/closing/adjust.c", "	if (before->corrected.n > 0)\n		keep", "	if (before->corrected.n > 0 && before->calls < 0)\n		keep"),
    ("correction-makes-no-revision", "what a correction made has the number of what it corrected", CORRECT, "l.revision = before.revision >= 0 ? before.revision + 1 : 1;", "l.revision = before.revision >= 0 ? before.revision : 1;"),
    ("half-an-answer", "of an answer about several accounts some are said", "daemon/replay/say.c", "if (sink->ops->publish(sink, list, c->n, &why) == TXN_DONE)",
     "if (sink->ops->publish(sink, list, 1, &why) == TXN_DONE && (c->n == 1 || sink->ops->publish(sink, list + 1, c->n - 1, &why) == TXN_DONE))"),
    ("left-out-is-remembered", "a copy of a call that is left out does not count, since that one is known", "daemon/replay/log.c", "decide_record(&s->decider, &c, NULL, rec, d); // who",
     "decide_record(&s->decider, &c, set, rec, d); // who"),
    ("others-corrections-undone", "a question about one account takes back what corrections billed others", CORRECT,
     "(s->account.p != NULL && !span_eq(a->name, s->account))", "(s->account.n > 1000)"),
    ("undone-unasked", "a question takes back an earlier correction that it has nothing to do with", "daemon/replay/bills.c", "if (!asked && !r->o.undo) {", "if (!asked && !r->o.undo && b == NULL) {"),
    ("late-where-it-was-not-billable", "calls that another question makes billable count in the month that they came in", "daemon/replay/log.c",
     "d->month < d->course.open_month ? OUTCOME_LATE : OUTCOME_COUNTED;", "d->month < 0 ? OUTCOME_LATE : OUTCOME_COUNTED;"),
]


def out(*words, **options):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


class Tree:
    """The simulator as it is built, and what is needed to make it again with one file changed: only what that file is in is compiled anew, and linked
    in front of the libraries, whose own objects are then not asked for."""

    def __init__(self, root):
        self.root, self.build, self.work = root, root / "build", root / "build/mutants"
        configured = (self.build / "build.ninja").exists() or out("cmake", "-S", root, "-B", self.build, "-G", "Ninja").returncode == 0
        made = out("ninja", "-C", self.build, "simulate") if configured else None
        if made is None or made.returncode != 0:
            sys.exit(f"the simulator does not build: {made.stdout[-2000:] if made else 'cmake fails'}")
        commands = out("ninja", "-C", self.build, "-t", "commands", "simulate").stdout.splitlines()
        self.link = commands[-1].removeprefix(": && ").removesuffix(" && :")
        self.compile = {}  # object: command
        for command in commands:
            m = re.search(r" -o (\S+\.o) -c ", command)
            if m:
                self.compile[m[1]] = command.removeprefix("ccache ")
        self.deps, at = {}, None  # object: all that it is made of
        for line in out("ninja", "-C", self.build, "-t", "deps").stdout.splitlines():
            if line.startswith("    "):
                self.deps[at].add(str((self.build / line.strip()).resolve()))
            elif line:
                at = line.split(":")[0]
                self.deps[at] = set()

    def changed(self, file, text):
        """A simulator with this file's text, and words where there is none."""
        shutil.rmtree(self.work, ignore_errors=True)
        path, there = self.work / file, str(self.root / file)
        path.parent.mkdir(parents=True)
        path.write_text(text)
        if path.suffix == ".lua":
            header = self.work / "generated/store/meterd_lua.h"
            header.parent.mkdir(parents=True)
            r = out("cmake", f"-DIN={path}", f"-DOUT={header}", "-DNAMED=meterd", "-P", self.root / "scripts/lib/embed.cmake")
            if r.returncode != 0:
                return r.stdout
            there = str(self.build / "generated/store/meterd_lua.h")
        objects = []
        for n, (name, command) in enumerate((o, c) for o, c in self.compile.items() if there in self.deps.get(o, ())):
            objects.append(str(self.work / f"{n}.o"))
            command = command.replace(f" -o {name} -c {there}", f" -o {name} -c {path}")
            first = f" -Wno-error -I{self.work / 'daemon'} -I{self.work / 'generated'} -I{self.root / 'daemon'} "
            r = out("sh", "-c", command.replace(f" -o {name} ", f" -o {objects[-1]} ").replace(" -D", first + "-D", 1), cwd=self.build)
            if r.returncode != 0:
                return r.stdout[-2000:]
        if not objects:
            return f"nothing is made of {file}"
        r = out("sh", "-c", self.link.replace(" -o bin/simulate ", f" {' '.join(objects)} -o {self.work / 'simulate'} ", 1), cwd=self.build)
        return r.stdout[-2000:] if r.returncode != 0 else None


def simulate(program, seeds):
    r = subprocess.run([program, "--quick", "--seeds", f"1..{seeds}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    m = re.search(r"^seed (\d+) fails", r.stdout, re.M)
    return int(m.group(1)) if m else None


def main():
    args = sys.argv[1:]
    seeds = 2000
    if args and args[0] == "--seeds":
        seeds = int(args[1])
        args = args[2:]
    tree, passed, failed, found = Tree(pathlib.Path(__file__).resolve().parents[2]), 0, 0, {}
    for name, why, file, text, instead in MUTANTS:
        if args and name not in args:
            continue
        source = (tree.root / file).read_text()
        if source.count(text) != 1:
            print(f"FAILED {name}: its text stands {source.count(text)} times in {file}", flush=True)
            failed += 1
            continue
        trouble = tree.changed(file, source.replace(text, instead))
        seed = None if trouble else simulate(tree.work / "simulate", seeds)
        if seed is None:
            print(f"FAILED {name}: {'does not build: ' + trouble if trouble else f'none of {seeds} seeds finds that {why}'}", flush=True)
            failed += 1
        else:
            print(f"ok     {name}: seed {seed} ({why})", flush=True)
            passed += 1
            found[name] = seed
    if not args:
        lines = [f"{name} {found[name]}\n" for name, *_ in MUTANTS if name in found]
        (tree.root / "tests/sim/mutants.found").write_text("".join(lines))
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
