// SPDX-License-Identifier: Apache-2.0
// One version of the rules: the price book and every setting that decides something, whole. Immutable. What is in force
// stands in the control topic; files on disk are proposals (design.md, section 6).
//
// Lies between catalog and model: it may use decode, dedupe, catalog, period.
#ifndef RULES_RULES_H
#define RULES_RULES_H

#include "base/error.h"
#include "base/fault.h"
#include "catalog/catalog.h"
#include "decode/decode.h"

enum clock_mode { CLOCK_WALL, CLOCK_RECORDS };

struct rules_settings {
	struct decode_fields fields;
	int64_t max_future_ms;        // event.max_future
	unsigned generation_bits, generations; // dedupe.*
	int64_t dedupe_max_age_ms;
	bool dedupe;                  // dedupe.enabled
	int64_t close_grace_ms;       // close.grace
	enum clock_mode clock;
	int64_t lead_ms;              // rules.lead
};

struct rules {
	struct rules_settings settings;
	struct catalog *catalog;
	char *catalog_text;           // the file, byte for byte
	char sha256[65];              // over settings and catalog text
};

// Takes copies. Faults are those of the price book.
struct rules *rules_new(const struct rules_settings *s, const char *catalog_name, struct span catalog_text, struct faults *faults);
// JSON object {"settings":{…},"catalog":"…"}, canonical; what a control record carries. Free it.
char *rules_to_json(const struct rules *r);
enum error_class rules_from_json(struct span json, struct rules **ret, struct error *e);
void rules_freep(struct rules **r);

// close(m) = period end + close.grace
static inline int64_t rules_close_ms(const struct rules *r, int month)
{
	return period_end_ms(catalog_zone(r->catalog), month) + r->settings.close_grace_ms;
}

#endif
