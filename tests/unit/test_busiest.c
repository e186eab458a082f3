// SPDX-License-Identifier: Apache-2.0
// The accounts with the most calls, against exact counts: who must be among them is, and no number is further off than it says.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregate/busiest.h"
#include "base/check.h"

enum { ACCOUNTS = 5000 };

static void add(struct busiest *t, int account, int64_t calls)
{
	char name[16];
	snprintf(name, sizeof(name), "a%d", account);
	busiest_add(t, span_of(name), calls);
}

static int number(const struct busiest_account *a)
{
	return atoi(a->account + 1);
}

Test(busiest, few_accounts_are_exact_and_in_order)
{
	CLEANUP(busiest_freep) struct busiest *t = busiest_new(0);
	struct busiest_account list[BUSIEST_SHOWN];
	int64_t since;
	cr_assert_eq(busiest_list(t, list, &since), 0);
	for (int round = 0; round < 3; round++)
		for (int i = 1; i <= 30; i++)
			add(t, i, i);
	cr_assert_eq(busiest_list(t, list, &since), BUSIEST_SHOWN);
	for (int i = 0; i < BUSIEST_SHOWN; i++) {
		cr_expect_eq(number(&list[i]), 30 - i);
		cr_expect_eq(list[i].calls, 3 * (30 - i));
		cr_expect_eq(list[i].over, 0);
	}
}

// A few large ones among thousands of small ones, whatever the order.
Test(busiest, many_accounts_within_the_error_that_is_told)
{
	CLEANUP(busiest_freep) struct busiest *t = busiest_new(0);
	static int64_t exact[ACCOUNTS];
	struct busiest_account list[BUSIEST_SHOWN];
	int64_t since, total = 0;
	unsigned x = 7;
	for (int i = 0; i < 400000; i++) {
		x = x * 1664525 + 1013904223;
		int account = (int)((x >> 8) % 100 < 40 ? (x >> 16) % 10 : 10 + (x >> 12) % (ACCOUNTS - 10));
		int64_t calls = 1 + (x >> 28);
		add(t, account, calls);
		exact[account] += calls;
		total += calls;
		if (i == 200000)
			busiest_turn(t, BUSIEST_WINDOW_US);
	}
	uint32_t n = busiest_list(t, list, &since);
	cr_assert_eq(n, BUSIEST_SHOWN);
	cr_expect_eq(since, 0);
	int large = 0;
	for (uint32_t i = 0; i < n; i++) {
		cr_expect(list[i].calls >= exact[number(&list[i])] && list[i].calls - list[i].over <= exact[number(&list[i])], "%s: %ld, over %ld, truly %ld",
			  list[i].account, (long)list[i].calls, (long)list[i].over, (long)exact[number(&list[i])]);
		large += number(&list[i]) < 10;
		cr_expect(i == 0 || list[i - 1].calls >= list[i].calls);
	}
	for (int i = 0; i < 10; i++)
		cr_assert_gt(exact[i], 2 * total / BUSIEST_SLOTS);
	cr_expect_eq(large, 10, "only %d of the 10 largest are there", large);
}

Test(busiest, what_is_old_is_forgotten)
{
	CLEANUP(busiest_freep) struct busiest *t = busiest_new(5);
	struct busiest_account list[BUSIEST_SHOWN];
	int64_t since;
	add(t, 1, 100);
	busiest_turn(t, 5 + BUSIEST_WINDOW_US - 1);
	add(t, 1, 1);
	busiest_turn(t, 5 + BUSIEST_WINDOW_US);
	add(t, 2, 10);
	cr_assert_eq(busiest_list(t, list, &since), 2);
	cr_expect_eq(list[0].calls, 101);
	cr_expect_eq(since, 5);
	busiest_turn(t, 5 + 2 * BUSIEST_WINDOW_US);
	cr_assert_eq(busiest_list(t, list, &since), 1);
	cr_expect_str_eq(list[0].account, "a2");
	cr_expect_eq(since, 5 + BUSIEST_WINDOW_US);
}
