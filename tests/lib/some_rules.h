// SPDX-License-Identifier: Apache-2.0
// The price book of config/ under the settings of a test.
#ifndef SOME_RULES_H
#define SOME_RULES_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "rules/rules.h"

static inline struct rules_settings some_settings(enum clock_mode clock)
{
	return (struct rules_settings){ .fields = { "id", "account", "service", "time", "calls", "status", "items" },
		.max_future_ms = 300000, .generation_bits = 16, .generations = 240, .dedupe_max_age_ms = 259200000, .dedupe = true,
		.close_grace_ms = 86400000, .clock = clock, .lead_ms = 600000 };
}

// A price book with `from` replaced by `to`, everywhere; NULL: as it is. `path` from the source directory.
static inline struct rules *rules_of_book(const char *path, enum clock_mode clock, const char *from, const char *to)
{
	CLEANUP(freep) char *text = NULL, *whole = xasprintf(SOURCE_DIR "/%s", path);
	size_t n = 0;
	struct error e = { 0 };
	struct faults f = { 0 };
	struct rules_settings s = some_settings(clock);
	cr_assert(file_read(whole, 1 << 22, &text, &n, &e) == ERROR_NONE, "%s", e.text);
	CLEANUP(freep) char *edited = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&edited, &size);
	const char *p = text;
	for (const char *at; from != NULL && (at = strstr(p, from)) != NULL; p = at + strlen(from))
		fprintf(out, "%.*s%s", (int)(at - p), p, to);
	fprintf(out, "%s", p);
	fclose(out);
	struct rules *r = rules_new(&s, "catalog.yaml", span_of(edited), &f);
	cr_assert(r != NULL, "%s:%d: %s", f.n > 0 ? f.list[0].file : "", f.n > 0 ? f.list[0].line : 0, f.n > 0 ? f.list[0].text : "");
	return r;
}

// The price book of config/.
static inline struct rules *some_rules(enum clock_mode clock, const char *from, const char *to)
{
	return rules_of_book("config/catalog.yaml", clock, from, to);
}

#endif
