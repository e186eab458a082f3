// SPDX-License-Identifier: Apache-2.0
// The control topic: records, one a line. A record that is refused ends the program (78) with words; one that is taken can be written
// again and read back into the same view.
// most: 8192
#include "fuzz.h"
#include "journal/journal.h"

static void check_view(const struct journal *j)
{
	fuzz_check(j->init_id[0] != '\0' && j->shards >= 1 && j->shards <= 65536 && j->generation == 1);
	for (uint32_t i = 0; i < j->n_parts; i++)
		fuzz_check(journal_part(j, span_of(j->parts[i].name)) == &j->parts[i] && j->parts[i].offset >= 0);
	for (uint32_t i = 0; i < j->n_rules; i++)
		fuzz_check(j->rules[i].version == i + 1 && journal_rules_version(j, i + 1) == &j->rules[i]);
	for (uint32_t i = 0; i < j->n_manifests; i++)
		fuzz_check(journal_manifest(j, j->manifests[i].month) == &j->manifests[i] && j->manifests[i].calls >= 0);
}

static void add(struct journal *j, const char *text)
{
	struct error e = { 0 };
	fuzz_check(journal_apply(j, j->next_offset, span_of(text), &e) == ERROR_NONE);
}

// All partitions by an init and an admission, rules and manifests as they are.
static void check_again(const struct journal *j)
{
	CLEANUP(journal_freep) struct journal *k = journal_new();
	CLEANUP(freep) char *init = journal_init_record(j->init_id, j->shards, j->parts, 0);
	CLEANUP(freep) char *admit = journal_admit_record(j->parts, j->n_parts);
	add(k, init);
	add(k, admit);
	for (uint32_t i = 0; i < j->n_rules; i++) {
		CLEANUP(freep) char *rules = journal_rules_record(j->rules[i].version, j->rules[i].effective_ms, j->rules[i].rules);
		add(k, rules);
		fuzz_check(strcmp(k->rules[i].rules->sha256, j->rules[i].rules->sha256) == 0);
	}
	for (uint32_t i = 0; i < j->n_manifests; i++) {
		CLEANUP(freep) char *manifest = journal_manifest_record(&j->manifests[i]);
		add(k, manifest);
		fuzz_check(k->manifests[i].n_cuts == j->manifests[i].n_cuts && k->manifests[i].month == j->manifests[i].month);
	}
	check_view(k);
	fuzz_check(k->n_parts == j->n_parts);
	for (uint32_t i = 0; i < j->n_parts; i++)
		fuzz_check(k->parts[i].offset == j->parts[i].offset && k->parts[i].clock_ms == j->parts[i].clock_ms);
}

FUZZ(s)
{
	CLEANUP(journal_freep) struct journal *j = journal_new();
	enum error_class c = ERROR_NONE;
	for (int64_t offset = 0; s.n > 0 && c == ERROR_NONE; offset++) {
		struct error e = { 0 };
		c = journal_apply(j, offset, fuzz_until(&s, '\n'), &e);
		fuzz_check((c == ERROR_NONE) == (e.text[0] == '\0'));
		fuzz_check(c == ERROR_NONE || (c == ERROR_ABORT && e.exit_code == EXIT_CONFIG_ERR && fuzz_printable(e.text)));
	}
	if (c != ERROR_NONE || j->init_id[0] == '\0')
		return;
	check_view(j);
	check_again(j);
}
