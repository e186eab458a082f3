// SPDX-License-Identifier: Apache-2.0
#include "replay/range.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static const char HOW[] = "write a month (2020-03) or a day (2020-03-05), an RFC 3339 time (2020-03-05T10:00:00+08:00), how long ago (-36h; s, m, h, d), an "
			  "offset (812) or offsets of partitions (3=812,4=900)";

static bool whole_number(struct span s, int64_t *ret)
{
	return s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9' && span_int64(s, ret);
}

// "-36h", "90s"
static bool ago_parse(struct span s, int64_t *ret)
{
	static const char units[] = "smhd";
	static const int64_t unit_ms[] = { 1000, 60 * 1000, 3600 * 1000, 86400 * 1000 };
	if (s.n > 0 && s.p[0] == '-')
		s = (struct span){ s.p + 1, s.n - 1 };
	const char *unit = s.n > 1 && s.p[s.n - 1] != '\0' ? strchr(units, s.p[s.n - 1]) : NULL;
	int64_t v;
	if (unit == NULL || !whole_number((struct span){ s.p, s.n - 1 }, &v) || v > 1000000000)
		return false;
	*ret = v * unit_ms[unit - units];
	return true;
}

static bool day_parse(struct span s, int64_t *ret)
{
	char rfc[40];
	if (s.n != 10)
		return false;
	snprintf(rfc, sizeof(rfc), "%.10sT00:00:00Z", s.p);
	return time_parse_rfc3339(span_of(rfc), ret);
}

// What may stand in @t1:t2 as well.
static bool time_parse(struct span s, struct bound *ret)
{
	int month = MONTH_NONE;
	*ret = (struct bound){ .kind = BOUND_NONE };
	if (s.n == 0)
		return true;
	if (month_parse(s, &month))
		*ret = (struct bound){ .kind = BOUND_MONTH, .value = month };
	else if (day_parse(s, &ret->value))
		ret->kind = BOUND_DAY;
	else if (ago_parse(s, &ret->value))
		ret->kind = BOUND_AGO;
	else if (time_parse_rfc3339(s, &ret->value))
		ret->kind = BOUND_TIME;
	return ret->kind != BOUND_NONE;
}

// ---- offsets
// "3=812", "usage.calls/3=812"
static bool one_offset(struct span s, struct bound_offset *ret)
{
	const char *equals = memchr(s.p, '=', s.n), *slash = NULL;
	int64_t partition = 0;
	if (equals == NULL)
		return false;
	struct span name = { s.p, (size_t)(equals - s.p) };
	for (size_t i = 0; i < name.n; i++)
		slash = name.p[i] == '/' ? &name.p[i] : slash;
	*ret = (struct bound_offset){ 0 };
	if (slash != NULL) {
		ret->topic = (struct span){ name.p, (size_t)(slash - name.p) };
		name = (struct span){ slash + 1, (size_t)(name.p + name.n - slash - 1) };
		if (ret->topic.n == 0)
			return false;
	}
	if (!whole_number(name, &partition) || partition > INT32_MAX)
		return false;
	ret->partition = (int32_t)partition;
	return whole_number((struct span){ equals + 1, (size_t)(s.p + s.n - equals - 1) }, &ret->offset);
}

static bool offsets_parse(struct span s, struct bound *ret)
{
	struct bound b = { .kind = BOUND_OFFSETS };
	while (s.p != NULL) {
		const char *comma = memchr(s.p, ',', s.n);
		struct span one = { s.p, comma != NULL ? (size_t)(comma - s.p) : s.n };
		b.list = xrealloc(b.list, b.n + 1, sizeof(*b.list));
		if (!one_offset(one, &b.list[b.n])) {
			free(b.list);
			return false;
		}
		b.n++;
		s = comma != NULL ? (struct span){ comma + 1, (size_t)(s.p + s.n - comma - 1) } : (struct span){ NULL, 0 };
	}
	*ret = b;
	return true;
}

bool bound_parse(const char *word, struct bound *ret, char why[RANGE_WHY])
{
	struct span s = span_of(word);
	*ret = (struct bound){ .kind = BOUND_NONE };
	if (strcmp(word, "beginning") == 0 || strcmp(word, "end") == 0)
		return true;
	if (strcmp(word, "now") == 0) {
		ret->kind = BOUND_AGO;
		return true;
	}
	if (s.n > 0 && (time_parse(s, ret) || offsets_parse(s, ret)))
		return true;
	if (s.n > 0 && whole_number(s, &ret->value)) {
		ret->kind = BOUND_OFFSET;
		return true;
	}
	snprintf(why, RANGE_WHY, "\"%.60s\" is neither a time nor an offset: %s", word, HOW);
	return false;
}

bool range_parse(const char *word, struct range *ret, char why[RANGE_WHY])
{
	struct span s = span_of(word);
	if (s.n < 2 || s.p[0] != '@') {
		snprintf(why, RANGE_WHY, "\"%.60s\" is no range: write @FROM:TO, such as @2020-03:2020-04 or @-36h:", word);
		return false;
	}
	// Times hold colons themselves: the one that parts them has a time, or nothing, on both sides.
	for (size_t i = 1; i < s.n; i++)
		if (s.p[i] == ':' && time_parse((struct span){ s.p + 1, i - 1 }, &ret->from) &&
		    time_parse((struct span){ s.p + i + 1, s.n - i - 1 }, &ret->to))
			return true;
	*ret = (struct range){ 0 };
	snprintf(why, RANGE_WHY, "\"%.60s\" is no range: on both sides of a colon there must be a time or nothing, such as @2020-03:2020-04 or @-36h:", word);
	return false;
}

void range_free(struct range *r)
{
	free(r->from.list);
	free(r->to.list);
	*r = (struct range){ 0 };
}

bool range_asks_now(const struct range *r)
{
	return r->from.kind == BOUND_AGO || r->to.kind == BOUND_AGO;
}

// ---- resolved
// How far the zone's clocks are ahead of UTC at that moment.
static int64_t zone_ahead_ms(const struct zone *z, int64_t at_ms)
{
	char text[TIME_TEXT];
	int64_t local_ms = at_ms;
	time_local_text(z, at_ms, text);
	text[23] = 'Z'; // what stands before the offset: "2020-01-15T08:30:00.123"
	text[24] = '\0';
	return time_parse_rfc3339(span_of(text), &local_ms) ? local_ms - at_ms : 0;
}

int64_t bound_ms(const struct bound *b, const struct zone *z, int64_t now_ms)
{
	switch (b->kind) {
	case BOUND_TIME:
		return b->value;
	case BOUND_MONTH:
		return period_start_ms(z, (int)b->value);
	case BOUND_DAY: {
		int64_t near_ms = b->value - zone_ahead_ms(z, b->value);
		return b->value - zone_ahead_ms(z, near_ms); // its own offset, also on a day when clocks change
	}
	case BOUND_AGO:
		return now_ms - b->value;
	default:
		return TIME_NONE;
	}
}

int64_t bound_offset(const struct bound *b, const char *topic, int32_t partition, bool *ret_other)
{
	*ret_other = false;
	if (b->kind == BOUND_OFFSET)
		return b->value;
	for (uint32_t i = 0; i < b->n; i++)
		if (b->list[i].partition == partition && (b->list[i].topic.n == 0 || span_is(b->list[i].topic, topic)))
			return b->list[i].offset;
	*ret_other = b->kind == BOUND_OFFSETS;
	return -1;
}
