// SPDX-License-Identifier: Apache-2.0
// The configuration. What is refused says why; what is accepted, printed and read again is the same configuration.
// seeds: tests/table/config_faults config
// most: 12000
#include "fuzz.h"
#include "settings/settings.h"

static char *printed(const struct settings *s)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);
	settings_print(s, to);
	fclose(to);
	return text;
}

static void check_faults(const struct faults *f, struct span text)
{
	CLEANUP(freep) char *shown = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&shown, &n);
	fuzz_check(f->n > 0);
	for (size_t i = 0; i < f->n; i++)
		fuzz_check(f->list[i].text[0] != '\0' && fuzz_printable(f->list[i].text));
	faults_print(f, text, to);
	fclose(to);
	fuzz_check(n > 0);
}

FUZZ(s)
{
	struct faults faults = { 0 };
	free(settings_catalog_path("/etc/meterd/meterd.yaml", s));
	CLEANUP(settings_freep) struct settings *a = settings_parse("/etc/meterd/meterd.yaml", s, &faults);
	if (a == NULL) {
		check_faults(&faults, s);
		faults_free(&faults);
		return;
	}
	fuzz_check(faults.n == 0);
	struct kafka_options kafka;
	struct rules_settings rules;
	settings_kafka(a, &kafka);
	settings_rules(a, &rules);
	CLEANUP(freep) char *first = printed(a);
	CLEANUP(settings_freep) struct settings *b = settings_parse("/etc/meterd/meterd.yaml", span_of(first), &faults);
	fuzz_check(b != NULL && faults.n == 0);
	CLEANUP(freep) char *second = printed(b);
	fuzz_check(strcmp(first, second) == 0);
}
