// SPDX-License-Identifier: Apache-2.0
// The canonical form is one JSON text: members in a fixed order, no blanks, UTF-8 as it is. Its SHA-256 names the version, and it
// is what the control topic carries, so equal rules are equal bytes on every machine.
//
// A member that is unknown, missing or out of range is refused, never passed over: it would decide something that this program
// does not know of, and two instances would count differently.
#include "rules/rules.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"

enum { DECODER = 1 }; // events.md as decode/ implements it; a change of what it accepts needs a new number

static const char *const clock_words[] = { [CLOCK_WALL] = "wall", [CLOCK_RECORDS] = "records" };

static json_t *fields_json(const struct decode_fields *f)
{
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", f->id, "account", f->account, "service", f->service, "time", f->time,
			      "calls", f->calls, "status", f->status, "items", f->items);
	check(j != NULL);
	return j;
}

static json_t *settings_json(const struct rules_settings *s)
{
	json_t *j = json_pack("{s:i, s:s, s:o, s:I, s:b, s:i, s:i, s:I, s:I, s:I}", "decoder", DECODER, "clock", clock_words[s->clock], "fields",
			      fields_json(&s->fields), "max_future_ms", (json_int_t)s->max_future_ms, "dedupe", (int)s->dedupe, "generation_bits",
			      (int)s->generation_bits, "generations", (int)s->generations, "dedupe_max_age_ms", (json_int_t)s->dedupe_max_age_ms,
			      "close_grace_ms", (json_int_t)s->close_grace_ms, "lead_ms", (json_int_t)s->lead_ms);
	check(j != NULL);
	return j;
}

char *rules_to_json(const struct rules *r)
{
	json_t *j = json_pack("{s:o, s:s}", "settings", settings_json(&r->settings), "catalog", r->catalog_text);
	check(j != NULL); // the catalog's parser took UTF-8 only
	char *text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	check(text != NULL);
	return text;
}

static void fields_copy(struct decode_fields *to, const struct decode_fields *from)
{
	*to = (struct decode_fields){
		.id = xstrdup(from->id),
		.account = xstrdup(from->account),
		.service = xstrdup(from->service),
		.time = xstrdup(from->time),
		.calls = xstrdup(from->calls),
		.status = xstrdup(from->status),
		.items = xstrdup(from->items),
	};
}

struct rules *rules_new(const struct rules_settings *s, const char *catalog_name, struct span catalog_text, struct faults *faults)
{
	struct catalog *catalog = catalog_parse(catalog_name, catalog_text, faults);
	if (catalog == NULL)
		return NULL;
	struct rules *r = xcalloc(1, sizeof(*r));
	r->settings = *s;
	fields_copy(&r->settings.fields, &s->fields);
	r->catalog = catalog;
	r->catalog_text = xstrndup(catalog_text.p, catalog_text.n);
	CLEANUP(freep) char *json = rules_to_json(r);
	digest_sha256_text(span_of(json), r->sha256);
	return r;
}

// ---- reading back

static enum error_class refuse(struct error *e, const char *what)
{
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
			 "the control topic holds rules that this version of meterd cannot read (%s): run the version that wrote them, or a newer one", what);
}

static bool between(json_int_t v, json_int_t min, json_int_t max)
{
	return v >= min && v <= max;
}

// Borrows the strings of j.
static enum error_class settings_unpack(json_t *j, struct rules_settings *ret, struct error *e)
{
	json_error_t why;
	struct decode_fields f;
	const char *clock = NULL;
	int decoder = 0, dedupe = 0, bits = 0, generations = 0;
	json_int_t future = 0, age = 0, grace = 0, lead = 0;
	if (json_unpack_ex(j, &why, JSON_STRICT, "{s:i, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s}, s:I, s:b, s:i, s:i, s:I, s:I, s:I}", "decoder",
			   &decoder, "clock", &clock, "fields", "id", &f.id, "account", &f.account, "service", &f.service, "time", &f.time, "calls",
			   &f.calls, "status", &f.status, "items", &f.items, "max_future_ms", &future, "dedupe", &dedupe, "generation_bits", &bits,
			   "generations", &generations, "dedupe_max_age_ms", &age, "close_grace_ms", &grace, "lead_ms", &lead) != 0)
		return refuse(e, why.text);
	enum { DAY = 86400000 };
	bool records = strcmp(clock, clock_words[CLOCK_RECORDS]) == 0;
	if (decoder != DECODER)
		return refuse(e, "another version of the decoder");
	if (!records && strcmp(clock, clock_words[CLOCK_WALL]) != 0)
		return refuse(e, "unknown clock");
	if (!between(bits, 4, 20) || !between(generations, 1, 240) || !between(future, 0, DAY) || !between(age, 0, 30LL * DAY) ||
	    !between(grace, 0, 3LL * DAY - 1) || !between(lead, 0, DAY))
		return refuse(e, "a number is out of range");
	*ret = (struct rules_settings){
		.fields = f,
		.max_future_ms = future,
		.generation_bits = (unsigned)bits,
		.generations = (unsigned)generations,
		.dedupe_max_age_ms = age,
		.dedupe = dedupe != 0,
		.close_grace_ms = grace,
		.clock = records ? CLOCK_RECORDS : CLOCK_WALL,
		.lead_ms = lead,
	};
	return ERROR_NONE;
}

enum error_class rules_from_json(struct span json, struct rules **ret, struct error *e)
{
	json_error_t why;
	json_auto_t *j = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &why);
	if (j == NULL)
		return refuse(e, why.text);
	json_t *settings = NULL;
	const char *catalog = NULL;
	if (json_unpack_ex(j, &why, JSON_STRICT, "{s:o, s:s}", "settings", &settings, "catalog", &catalog) != 0)
		return refuse(e, why.text);
	struct rules_settings s;
	enum error_class cls = settings_unpack(settings, &s, e);
	if (cls != ERROR_NONE)
		return cls;
	struct faults faults = { 0 };
	struct rules *r = rules_new(&s, "catalog", span_of(catalog), &faults);
	if (r == NULL)
		cls = refuse(e, faults.n > 0 ? faults.list[0].text : "its price book");
	faults_free(&faults);
	if (r != NULL)
		*ret = r;
	return cls;
}

void rules_freep(struct rules **r)
{
	if (*r == NULL)
		return;
	struct decode_fields *f = &(*r)->settings.fields;
	char *names[] = { f->id, f->account, f->service, f->time, f->calls, f->status, f->items };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		free(names[i]);
	catalog_freep(&(*r)->catalog);
	free((*r)->catalog_text);
	free(*r);
	*r = NULL;
}
