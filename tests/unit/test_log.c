// SPDX-License-Identifier: Apache-2.0
// Lines of the log as journal fields, and the ids of their events.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"

static void expect_fields(const char *pairs, const char *wanted)
{
	struct iovec iov[4];
	char buf[512], got[512] = "";
	int n = log_fields(pairs, buf, sizeof(buf), iov, 4);
	for (int i = 0; i < n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.*s|", (int)iov[i].iov_len, (const char *)iov[i].iov_base);
	cr_expect_str_eq(got, wanted, "%s: got %s", pairs, got);
}

Test(log, fields)
{
	expect_fields("", "");
	expect_fields("exit=0", "METERD_EXIT=0|");
	expect_fields("retry_ms=100 why=\"no answer\" w0=x", "METERD_RETRY_MS=100|METERD_WHY=no answer|METERD_W0=x|");
	expect_fields("why=\"a \\\"b\\\" \\\\ c\" then=\"\"", "METERD_WHY=a \"b\" \\ c|METERD_THEN=|");
	expect_fields("why=\"cut off", "METERD_WHY=cut off|");
	expect_fields("why=\"ends with \\", "METERD_WHY=ends with \\|");
	expect_fields("why=a=b no pair", "METERD_WHY=a=b|");
	expect_fields("a=1 b=2 c=3 d=4 e=5", "METERD_A=1|METERD_B=2|METERD_C=3|METERD_D=4|");
	expect_fields("Why=x", "");
}

// No room: whole fields that fit, nothing behind the end.
Test(log, fields_that_do_not_fit)
{
	struct iovec iov[4];
	char buf[41];
	memset(buf, '#', sizeof(buf));
	int n = log_fields("a=1 b=22222222222222222222222", buf, 40, iov, 4);
	cr_expect_eq(n, 1);
	cr_expect_eq(buf[40], '#');
}

Test(log, ids)
{
	static const char *const ids[] = {
#define LOG(event, id, ...) id,
#include "tbl/log.def"
#undef LOG
	};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		cr_expect_eq(strlen(ids[i]), 32);
		cr_expect_eq(strspn(ids[i], "0123456789abcdef"), 32);
		for (size_t j = 0; j < i; j++)
			cr_expect_str_neq(ids[i], ids[j]);
	}
	cr_expect_not_null(log_message_id("stopped"));
	cr_expect_null(log_message_id("no_such_event"));
}
