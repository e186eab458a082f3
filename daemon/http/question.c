// SPDX-License-Identifier: Apache-2.0
#include "http/question.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "period/period.h"

enum { ACCOUNT_MOST = 64, SERVICE_MOST = 128, ECHO = 40 };

static const char *const names[QUESTION_FIELDS] = { "account", "service", "period", "calls", "cursor", "after" };

struct reading {
	struct question *q;
	unsigned may;
	char *why;              // empty: nothing is wrong yet
};

// What a client sent, as far as it may be said again.
static const char *plain(struct span s, char buf[ECHO + 1])
{
	size_t n = s.n < ECHO ? s.n : ECHO;
	for (size_t i = 0; i < n; i++)
		buf[i] = s.p[i] > ' ' && s.p[i] < 0x7f ? s.p[i] : '?';
	buf[n] = '\0';
	return buf;
}

// As the decoder takes accounts and services (events.md); a service may also be written with what is not among its letters: there is none.
static bool is_name(struct span s, size_t most)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && (s.p[i] == '\0' || strchr("._:@-", s.p[i]) == NULL))
			return false;
	return s.n > 0 && s.n <= most;
}

static bool name_is_one(const char *what, struct span given, int most, char why[QUESTION_WHY])
{
	char text[ECHO + 1];
	if (is_name(given, (size_t)most))
		return true;
	snprintf(why, QUESTION_WHY, "%s=%s is no name: 1 to %d letters, digits and . _ : @ -", what, plain(given, text), most);
	return false;
}

bool question_account(struct span account, char why[QUESTION_WHY])
{
	return name_is_one("account", account, ACCOUNT_MOST, why);
}

bool question_period(struct span period, int *ret, char why[QUESTION_WHY])
{
	char text[ECHO + 1];
	if (month_parse(period, ret))
		return true;
	snprintf(why, QUESTION_WHY, "period=%s is no month: write it as 2020-01", plain(period, text));
	return false;
}

static bool read_field(struct reading *r, enum question_field field, struct span given)
{
	char text[ECHO + 1];
	switch (field) {
	case QUESTION_ACCOUNT:
		return question_account(given, r->why);
	case QUESTION_SERVICE:
		return name_is_one("service", given, SERVICE_MOST, r->why);
	case QUESTION_PERIOD:
		return question_period(given, &r->q->month, r->why);
	case QUESTION_CALLS:
		if (span_int64(given, &r->q->calls) && r->q->calls >= 0)
			return true;
		snprintf(r->why, QUESTION_WHY, "calls=%s is no number of calls: write a whole number from 0", plain(given, text));
		return false;
	default:
		check(field == QUESTION_CURSOR || field == QUESTION_AFTER);
		if (places_parse(given, &r->q->place))
			return true;
		snprintf(r->why, QUESTION_WHY, "%s=%s is no place: take it from an answer before", names[field], plain(given, text));
		return false;
	}
}

static void say_unknown(struct reading *r, struct span name)
{
	char text[ECHO + 1];
	int n = snprintf(r->why, QUESTION_WHY, "the parameter %s is unknown: there %s ", plain(name, text),
			 r->may == 0 ? "is none" : __builtin_popcount(r->may) == 1 ? "is" : "are");
	unsigned left = r->may;
	for (int f = 0; f < QUESTION_FIELDS; f++) {
		if (!(left & QUESTION_MAY(f)))
			continue;
		left &= ~QUESTION_MAY(f);
		n += snprintf(r->why + n, (size_t)(QUESTION_WHY - n), "%s%s", names[f], left == 0 ? "" : __builtin_popcount(left) == 1 ? " and " : ", ");
	}
}

static enum MHD_Result take(void *ctx, enum MHD_ValueKind kind, const char *key, size_t key_n, const char *value, size_t value_n)
{
	struct reading *r = ctx;
	struct span name = { key, key_n }, given = { value, value != NULL ? value_n : 0 };
	char text[ECHO + 1];
	int f = 0;
	(void)kind;
	while (f < QUESTION_FIELDS && (!(r->may & QUESTION_MAY(f)) || !span_is(name, names[f])))
		f++;
	if (f == QUESTION_FIELDS)
		say_unknown(r, name);
	else if (r->q->text[f] != NULL)
		snprintf(r->why, QUESTION_WHY, "the parameter %s is given twice", plain(name, text));
	else if (read_field(r, (enum question_field)f, given))
		r->q->text[f] = value;
	return r->why[0] == '\0' ? MHD_YES : MHD_NO;
}

bool question_read(struct MHD_Connection *c, unsigned may, struct question *ret, char why[QUESTION_WHY])
{
	struct reading r = { .q = ret, .may = may, .why = why };
	*ret = (struct question){ .month = MONTH_NONE };
	why[0] = '\0';
	MHD_get_connection_values_n(c, MHD_GET_ARGUMENT_KIND, take, &r);
	return why[0] == '\0';
}

void question_free(struct question *q)
{
	places_free(&q->place);
}
