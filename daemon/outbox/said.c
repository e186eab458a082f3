// SPDX-License-Identifier: Apache-2.0
#include "outbox/said.h"

#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "ladder/ladder.h"

enum { PART_SERVICE = 2, PART_PERIOD, PART_KIND, PART_BOUND, PARTS };

static void split(struct span s, struct span parts[PARTS])
{
	for (int i = 0; i < PARTS; i++) {
		const char *end = s.n > 0 ? memchr(s.p, '\n', s.n) : NULL;
		size_t n = end != NULL ? (size_t)(end - s.p) : s.n;
		parts[i] = (struct span){ s.p, n };
		n += end != NULL;
		s = (struct span){ s.p + n, s.n - n };
	}
}

static enum alert_kind kind_of(struct span text)
{
	int k = 0;
	while (k < ALERT_KINDS && !span_is(text, alert_kind_text((enum alert_kind)k)))
		k++;
	check(k < ALERT_KINDS);
	return (enum alert_kind)k;
}

void said_alert(struct said *s, struct span identity, const char *id, int64_t now_ms)
{
	struct span p[PARTS] = { 0 };
	if (now_ms / 1000 != s->second) {
		s->second = now_ms / 1000;
		s->n = 0;
	}
	if (s->n == SAID_A_SECOND) {
		s->passed_over++;
		return;
	}
	s->n++;
	split(identity, p);
	enum alert_kind k = kind_of(p[PART_KIND]);
	log_line(LVL_INFO, k == ALERT_QUOTA_WARNING ? "alert_free_quota_warning" : k == ALERT_QUOTA_EXHAUSTED ? "alert_free_quota_exhausted" :
		 k == ALERT_TIER_CROSSED ? "alert_tier_crossed" : k == ALERT_PACK_WARNING ? "alert_pack_warning" : "alert_pack_exhausted",
		 "id=%s service=%.*s period=%.*s threshold=%.*s", id, (int)p[PART_SERVICE].n, p[PART_SERVICE].p, (int)p[PART_PERIOD].n,
		 p[PART_PERIOD].p, (int)p[PART_BOUND].n, p[PART_BOUND].p);
}

void said_end(struct said *s)
{
	if (s->passed_over > 0)
		log_line(LVL_INFO, "alerts_passed_over", "alerts=%u", s->passed_over);
	s->passed_over = 0;
}
