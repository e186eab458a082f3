// SPDX-License-Identifier: Apache-2.0
#include "http/question.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum { ACCOUNT_MOST = 64, SERVICE_MOST = 128, ECHO = 40 };

struct reading {
	struct usage_question *q;
	const char *period;
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

static const char **place_of(struct reading *r, struct span key)
{
	return span_is(key, "account") ? &r->q->account : span_is(key, "service") ? &r->q->service : span_is(key, "period") ? &r->period : NULL;
}

static enum MHD_Result take(void *ctx, enum MHD_ValueKind kind, const char *key, size_t key_n, const char *value, size_t value_n)
{
	struct reading *r = ctx;
	struct span name = { key, key_n }, given = { value, value != NULL ? value_n : 0 };
	const char **to = place_of(r, name);
	char text[ECHO + 1];
	(void)kind;
	if (to == NULL)
		snprintf(r->why, QUESTION_WHY, "the parameter %s is unknown: there are account, service and period", plain(name, text));
	else if (*to != NULL)
		snprintf(r->why, QUESTION_WHY, "the parameter %s is given twice", plain(name, text));
	else if (to == &r->period && !month_parse(given, &r->q->month))
		snprintf(r->why, QUESTION_WHY, "period=%s is no month: write it as 2020-01", plain(given, text));
	else if (to != &r->period && !is_name(given, to == &r->q->account ? ACCOUNT_MOST : SERVICE_MOST))
		snprintf(r->why, QUESTION_WHY, "%s=%s is no name: 1 to %d letters, digits and . _ : @ -", plain(name, (char[ECHO + 1]){ 0 }), plain(given, text),
			 to == &r->q->account ? ACCOUNT_MOST : SERVICE_MOST);
	else
		*to = value;
	return r->why[0] == '\0' ? MHD_YES : MHD_NO;
}

bool question_read(struct MHD_Connection *c, struct usage_question *ret, char why[QUESTION_WHY])
{
	struct reading r = { .q = ret, .why = why };
	*ret = (struct usage_question){ .month = MONTH_NONE };
	why[0] = '\0';
	MHD_get_connection_values_n(c, MHD_GET_ARGUMENT_KIND, take, &r);
	if (why[0] == '\0' && ret->account == NULL)
		snprintf(why, QUESTION_WHY, "the parameter account is missing: /api/v1/usage?account=ID, and if wanted &service=ID&period=YYYY-MM");
	return why[0] == '\0';
}
