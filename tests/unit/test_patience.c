// SPDX-License-Identifier: Apache-2.0
// How long a batch may gather: the interval where nobody is late, more of it in a backlog, and never more than four of them.
#include <criterion/criterion.h>

#include "pipeline/patience.h"

Test(patience, who_is_not_late_sends_when_the_interval_is_over)
{
	cr_assert_eq(patience_us(500000, 0), 500000);
	cr_assert_eq(patience_us(500000, 3999), 500000);
	cr_assert_eq(patience_us(20000, 100), 20000);
}

Test(patience, an_eighth_of_how_late_it_is)
{
	cr_assert_eq(patience_us(500000, 4000), 500000);
	cr_assert_eq(patience_us(500000, 8000), 1000000);
	cr_assert_eq(patience_us(500000, 12000), 1500000);
}

Test(patience, four_intervals_at_the_most)
{
	cr_assert_eq(patience_us(500000, 16000), 2000000);
	cr_assert_eq(patience_us(500000, INT64_C(200) * 365 * 86400 * 1000), 2000000);
	cr_assert_eq(patience_us(60000000, INT64_C(200) * 365 * 86400 * 1000), 240000000);
}

Test(patience, an_alert_waits_only_where_it_is_late_already)
{
	cr_assert_eq(patience_alert_us(0), 0);
	cr_assert_eq(patience_alert_us(8), 1000);
	cr_assert_eq(patience_alert_us(8000), 1000000);
}
