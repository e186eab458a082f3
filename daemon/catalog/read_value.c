// SPDX-License-Identifier: Apache-2.0
// Values of a price book: text to integers, with words for what is wrong.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "catalog/read.h"

const char *const read_freeze_bases[] = { "list", "billable", "bill", NULL };
const char *const read_pack_orders[] = { "earliest-expiry", "earliest-start", NULL };

const char *pricing_model_text(enum pricing_model m)
{
	check(m <= MODEL_PACKAGE);
	return words_models[m];
}

const char *bounds_text(enum bounds b)
{
	check(b <= BOUNDS_UPPER_INCLUSIVE);
	return words_bounds[b];
}

const char *tier_basis_text(enum tier_basis b)
{
	check(b <= TIER_BY_BILLABLE);
	return words_tier_bases[b];
}

const char *first_month_text(enum first_month f)
{
	check(f <= FIRST_MONTH_NEXT);
	return words_first_months[f];
}

const char *freeze_basis_text(enum freeze_basis b)
{
	check(b <= FREEZE_BILL);
	return read_freeze_bases[b];
}

const char *pack_order_text(enum pack_order o)
{
	check(o <= PACKS_BY_START);
	return read_pack_orders[o];
}

const char *rounding_text(enum rounding r)
{
	check(r <= ROUND_DOWN);
	return words_roundings[r];
}

void read_fault(struct book_reader *r, const struct yaml_node *at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	CLEANUP(freep) char *text = xvasprintf(fmt, ap);
	va_end(ap);
	fault_add(r->faults, r->file, at->line, at->column, "%s", text);
}

void *read_alloc(struct book_reader *r, size_t n, size_t size)
{
	void *p = arena_alloc(&r->book->arena, n * size);
	memset(p, 0, n * size);
	return p;
}

const char *read_keep(struct book_reader *r, struct span s)
{
	char *p = read_alloc(r, s.n + 1, 1);
	memcpy(p, s.p, s.n);
	return p;
}

const struct yaml_node *read_required(struct book_reader *r, const struct yaml_node *map, const char *key, const char *example)
{
	const struct yaml_node *n = yaml_get(map, key);
	if (n == NULL)
		read_fault(r, map, "`%s` is missing: add a line such as `%s: %s`", key, key, example);
	return n;
}

bool read_is_map(struct book_reader *r, const struct yaml_node *n, const char *what)
{
	if (n->kind == YAML_MAP)
		return true;
	read_fault(r, n, "%s must be a map of keys and values: write `key: value` lines, or {key: value, …}", what);
	return false;
}

bool read_is_list(struct book_reader *r, const struct yaml_node *n, const char *what)
{
	if (n->kind == YAML_LIST)
		return true;
	read_fault(r, n, "%s must be a list: begin each item with `- `, or write [ … ]", what);
	return false;
}

bool read_scalar(struct book_reader *r, const struct yaml_node *n, const char *what)
{
	if (n->kind != YAML_SCALAR) {
		read_fault(r, n, "%s must be a single value, not a list or a map", what);
		return false;
	}
	if (n->text.n == 0) {
		read_fault(r, n, "%s has no value: give one, or remove the key", what);
		return false;
	}
	return true;
}

bool read_text(struct book_reader *r, const struct yaml_node *n, const char *what, size_t most, const char **ret)
{
	if (!read_scalar(r, n, what))
		return false;
	if (n->text.n > most) {
		read_fault(r, n, "%s has %zu bytes: at most %zu are allowed", what, n->text.n, most);
		return false;
	}
	for (size_t i = 0; i < n->text.n; i++)
		if ((unsigned char)n->text.p[i] < 0x20 || n->text.p[i] == 0x7f) {
			read_fault(r, n, "%s holds a line break or another control character: remove it", what);
			return false;
		}
	*ret = read_keep(r, n->text);
	return true;
}

bool read_word(struct book_reader *r, const struct yaml_node *n, const char *what, const char *extra, size_t most, const char **ret)
{
	const char *text;
	if (!read_text(r, n, what, most, &text))
		return false;
	for (const char *p = text; *p != '\0'; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
		if (!plain && strchr(extra, *p) == NULL) {
			read_fault(r, n, "%s `%s` holds a character that is not allowed: use letters, digits and %s", what, text, extra);
			return false;
		}
	}
	*ret = text;
	return true;
}

const char *read_nearest(const struct book_reader *r, const char *word, const char *const *words)
{
	return faults_full(r->faults) ? NULL : nearest_word(word, words);
}

// Digits, or digits with underscores between groups of three; `digits` gets them bare.
static bool plain_digits(struct span s, char digits[64], size_t *ret_n)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '_') {
			bool grouped = i > 0 && i % 4 == s.n % 4 && s.n - i >= 4; // of three digits, counted from the right
			if (!grouped)
				return false;
			continue;
		}
		if (s.p[i] < '0' || s.p[i] > '9' || n == 63)
			return false;
		digits[n++] = s.p[i];
	}
	size_t groups = s.n - n;
	if (n == 0 || (groups > 0 && groups != (n - 1) / 3))
		return false;
	*ret_n = n;
	return true;
}

bool read_quantity(struct book_reader *r, const struct yaml_node *n, const char *what, int64_t least, int64_t *ret)
{
	char digits[64];
	size_t len;
	int64_t v;
	if (!read_scalar(r, n, what))
		return false;
	if (n->quoted) {
		read_fault(r, n, "%s is a text: remove the quotes", what);
		return false;
	}
	if (!plain_digits(n->text, digits, &len)) {
		const char *how = n->text.p[0] == '-' ? "calls are never negative: " :
			strpbrk(n->text.p, ".,eE") != NULL ? "calls are counted whole: " : "";
		read_fault(r, n, "%s `%.40s` is not a whole number: %swrite digits only, such as 1000000 or 1_000_000", what, n->text.p, how);
		return false;
	}
	if (len > 1 && digits[0] == '0') {
		read_fault(r, n, "%s `%.40s` begins with a zero: remove it", what, n->text.p);
		return false;
	}
	if (!span_int64((struct span){ digits, len }, &v)) {
		read_fault(r, n, "%s `%.40s` is too large: at most 9223372036854775807", what, n->text.p);
		return false;
	}
	if (v < least) {
		read_fault(r, n, "%s must be at least %lld", what, (long long)least);
		return false;
	}
	*ret = v;
	return true;
}

bool read_price(struct book_reader *r, const struct yaml_node *n, const char *what, int64_t *ret_micro)
{
	if (!read_scalar(r, n, what))
		return false;
	if (money_parse_price(n->text, ret_micro))
		return true;
	char text[PRICE_FLAW_TEXT];
	read_fault(r, n, "%s", price_text_flaw(what, n->text, PRICE_MOST, text));
	return false;
}

bool read_bool(struct book_reader *r, const struct yaml_node *n, const char *what, bool *ret)
{
	if (!read_scalar(r, n, what))
		return false;
	if (n->quoted || (!span_is(n->text, "true") && !span_is(n->text, "false"))) {
		read_fault(r, n, "%s is `%.40s`: write true or false", what, n->text.p);
		return false;
	}
	*ret = span_is(n->text, "true");
	return true;
}

static void choice_fault(struct book_reader *r, const struct yaml_node *n, const char *what, const char *const *words)
{
	char all[200] = "";
	size_t at = 0;
	for (int i = 0; words[i] != NULL; i++) {
		int len = snprintf(all + at, sizeof(all) - at, "%s%s", i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ", words[i]);
		check(len >= 0 && (size_t)len < sizeof(all) - at);
		at += (size_t)len;
	}
	const char *near = nearest_word(n->text.p, words);
	if (near != NULL)
		read_fault(r, n, "%s `%.40s` is unknown: did you mean `%s`? It is one of %s", what, n->text.p, near, all);
	else
		read_fault(r, n, "%s `%.40s` is unknown: use %s", what, n->text.p, all);
}

bool read_choice(struct book_reader *r, const struct yaml_node *n, const char *what, const char *const *words, int *ret)
{
	if (!read_scalar(r, n, what))
		return false;
	for (int i = 0; words[i] != NULL; i++)
		if (span_is(n->text, words[i])) {
			*ret = i;
			return true;
		}
	choice_fault(r, n, what, words);
	return false;
}

// --- time ---------------------------------------------------------------------------------------------------------------

// "2020-04-15"
static bool date_month(struct span s, int *ret_month)
{
	int64_t ms;
	char full[32];
	if (s.n != 10)
		return false;
	snprintf(full, sizeof(full), "%.10sT00:00:00Z", s.p);
	return time_parse_rfc3339(span_of(full), &ms) && month_parse((struct span){ s.p, 7 }, ret_month);
}

static void inside_month_fault(struct book_reader *r, const struct yaml_node *n, const char *what, int month)
{
	char a[MONTH_TEXT], b[MONTH_TEXT], ta[TIME_TEXT], tb[TIME_TEXT];
	read_fault(r, n, "%s `%.40s` lies inside a month: prices and free calls change at the beginning of a month in %s only; the nearest are "
		   "%s (%s) and %s (%s)", what, n->text.p, zone_name(r->book->zone), month_text(month, a),
		   time_text(period_start_ms(r->book->zone, month), ta), month_text(month + 1, b),
		   time_text(period_end_ms(r->book->zone, month), tb));
}

bool read_month(struct book_reader *r, const struct yaml_node *n, const char *what, int *ret)
{
	int64_t ms;
	int month;
	if (!read_scalar(r, n, what))
		return false;
	if (month_parse(n->text, ret))
		return true;
	bool instant = time_parse_rfc3339(n->text, &ms);
	month = instant ? period_month(r->book->zone, ms) : MONTH_NONE;
	if (month != MONTH_NONE && period_start_ms(r->book->zone, month) == ms) {
		*ret = month;
		return true;
	}
	if (date_month(n->text, &month) && span_is((struct span){ n->text.p + 8, 2 }, "01")) {
		read_fault(r, n, "%s `%.40s` is a date: write the month, `%.7s`", what, n->text.p, n->text.p);
		return false;
	}
	if (month != MONTH_NONE)
		inside_month_fault(r, n, what, month);
	else
		read_fault(r, n, "%s `%.40s` is not a month: write it such as 2020-04 (2000-01 to 2199-12)", what, n->text.p);
	return false;
}

bool read_instant(struct book_reader *r, const struct yaml_node *n, const char *what, int64_t *ret)
{
	int month;
	if (!read_scalar(r, n, what))
		return false;
	if (time_parse_rfc3339(n->text, ret))
		return true;
	if (month_parse(n->text, &month)) {
		*ret = period_start_ms(r->book->zone, month);
		return true;
	}
	const char *how = date_month(n->text, &month) ? "a date says neither hour nor offset: " : "";
	read_fault(r, n, "%s `%.40s` is not an instant: %swrite a month such as 2020-05 for its beginning, or 2020-05-01T00:00:00+08:00",
		   what, n->text.p, how);
	return false;
}
