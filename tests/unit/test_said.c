// SPDX-License-Identifier: Apache-2.0
// Alerts in the log: a message id for every kind, no account, and a burst in one line.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "ladder/ladder.h"
#include "outbox/said.h"

// What n alerts at these times leave on stderr.
static char *said(const char *kind, int n, int64_t step_ms)
{
	CLEANUP(freep) char *identity = xasprintf("alert\n100001234567\nimage-tag\n2020-01\n%s\n10000\n", kind);
	FILE *f = tmpfile();
	int kept = dup(STDERR_FILENO);
	dup2(fileno(f), STDERR_FILENO);
	struct said s = { 0 };
	for (int i = 0; i < n; i++)
		said_alert(&s, span_of(identity), "c3b5", 1000000 + i * step_ms);
	said_end(&s);
	said_end(&s);
	dup2(kept, STDERR_FILENO);
	close(kept);
	rewind(f);
	char *text = xcalloc(1, 65536);
	text[fread(text, 1, 65535, f)] = '\0';
	fclose(f);
	return text;
}

static int count(const char *text, const char *what)
{
	int n = 0;
	for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
		n++;
	return n;
}

Test(said, a_line_and_a_message_id_for_every_kind)
{
	const char *seen[ALERT_KINDS];
	for (int k = 0; k < ALERT_KINDS; k++) {
		CLEANUP(freep) char *text = said(alert_kind_text((enum alert_kind)k), 1, 0), *event = NULL;
		CLEANUP(freep) char *want = xasprintf("event=alert_%s id=c3b5 service=image-tag period=2020-01 threshold=10000\n", alert_kind_text((enum alert_kind)k));
		for (char *c = want; *c != ' '; c++)
			*c = *c == '.' ? '_' : *c;
		cr_expect(strstr(text, want) != NULL, "wanted %s in %s", want, text);
		cr_expect(strstr(text, "100001234567") == NULL, "an account in the log: %s", text);
		event = xstrndup(want + strlen("event="), strcspn(want, " ") - strlen("event="));
		seen[k] = log_message_id(event);
		cr_assert_not_null(seen[k], "%s has no message id", event);
		for (int j = 0; j < k; j++)
			cr_expect_str_neq(seen[j], seen[k]);
	}
}

Test(said, a_burst_is_cut_and_counted)
{
	CLEANUP(freep) char *burst = said("tier.crossed", 500, 0), *slow = said("tier.crossed", 50, 100);
	cr_expect_eq(count(burst, "event=alert_tier_crossed"), SAID_A_SECOND);
	cr_expect_eq(count(burst, "event=alerts_passed_over alerts=480\n"), 1, "%s", strstr(burst, "passed"));
	cr_expect_eq(count(slow, "event=alert_tier_crossed"), 50);
	cr_expect_eq(count(slow, "passed_over"), 0);
}
