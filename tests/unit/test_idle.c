// SPDX-License-Identifier: Apache-2.0
// Is there nothing, or is it not delivered? A partition is suspected only where records were seen behind the place at which its worker stands.
#include <criterion/criterion.h>
#include <stdio.h>

#include "pipeline/idle.h"

enum { SECOND = 1000000 };

static struct worker_part_status part(int32_t partition, int64_t next, int64_t end, int64_t at_end)
{
	struct worker_part_status p = { .topic = "t", .partition = partition, .next = next, .end = end, .at_end = at_end };
	return p;
}

static void note(struct idle *i, struct worker_part_status p)
{
	struct worker_status w = { .n_parts = 1, .parts = &p };
	idle_note(i, &w);
	idle_sweep(i);
}

static struct idle_part asked(struct idle *i, int64_t end, int64_t at)
{
	struct idle_part p = { 0 };
	cr_assert(idle_pick(i, &p));
	idle_answer(i, &p, end, at);
	return p;
}

Test(idle, records_behind_it_and_no_move)
{
	struct idle i = { 0 };
	struct worker_part_status p = part(0, 100, 100, 100);
	note(&i, p);
	asked(&i, 101, 5 * SECOND);
	cr_expect_not(idle_suspected(&i, &p, 64 * SECOND, 60 * SECOND));
	note(&i, p);
	asked(&i, 300, 20 * SECOND);
	cr_expect(idle_suspected(&i, &p, 65 * SECOND, 60 * SECOND), "since the first answer, not the last");
	idle_free(&i);
}

Test(idle, it_moved)
{
	struct idle i = { 0 };
	note(&i, part(0, 100, 100, 100));
	asked(&i, 200, 0 + 1);
	struct worker_part_status p = part(0, 101, 200, 100);
	cr_expect_not(idle_suspected(&i, &p, 100 * SECOND, 60 * SECOND), "before it is noted too");
	note(&i, p);
	cr_expect_not(idle_suspected(&i, &p, 100 * SECOND, 60 * SECOND));
	idle_free(&i);
}

Test(idle, markers_are_no_records)
{
	struct idle i = { 0 };
	struct worker_part_status p = part(0, 99, 100, 100); // offset 99 holds a marker: the reader stands behind it
	note(&i, p);
	asked(&i, 100, 1);
	cr_expect_not(idle_suspected(&i, &p, 100 * SECOND, 60 * SECOND));
	idle_free(&i);
}

Test(idle, an_answer_that_takes_it_back)
{
	struct idle i = { 0 };
	struct worker_part_status p = part(0, 100, 100, 100);
	note(&i, p);
	asked(&i, 101, 1);
	asked(&i, 100, 2);
	cr_expect_not(idle_suspected(&i, &p, 100 * SECOND, 60 * SECOND));
	idle_free(&i);
}

Test(idle, an_answer_that_comes_late)
{
	struct idle i = { 0 };
	struct idle_part before = { 0 };
	note(&i, part(0, 100, 100, 100));
	cr_assert(idle_pick(&i, &before));
	struct worker_part_status p = part(0, 150, 150, 150);
	note(&i, p);
	idle_answer(&i, &before, 160, 1);
	cr_expect_not(idle_suspected(&i, &p, 100 * SECOND, 60 * SECOND));
	idle_free(&i);
}

Test(idle, all_are_asked_and_halted_or_lost_ones_are_not)
{
	struct idle i = { 0 };
	struct worker_part_status parts[4] = { part(0, 1, 1, 1), part(1, 1, 9, 1), part(2, 1, 1, 1), part(3, 1, 1, 1) };
	struct worker_status w = { .n_parts = 4, .parts = parts };
	struct idle_part p;
	int seen[4] = { 0 };
	snprintf(parts[3].halted, sizeof(parts[3].halted), "why");
	cr_expect_not(idle_pick(&i, &p));
	idle_note(&i, &w);
	idle_sweep(&i);
	for (int k = 0; k < 12; k++) {
		cr_assert(idle_pick(&i, &p));
		seen[p.partition]++;
	}
	cr_expect(seen[0] > 0 && seen[2] > 0 && seen[3] == 0 && seen[1] >= 6, "%d %d %d %d", seen[0], seen[1], seen[2], seen[3]);
	idle_answer(&i, &(struct idle_part){ .topic = "t", .partition = 1, .next = 1, .at_end = 1 }, 9, 1);
	cr_expect(idle_suspected(&i, &parts[1], 100 * SECOND, 60 * SECOND));
	w.n_parts = 1; // the others went to another instance
	idle_note(&i, &w);
	idle_sweep(&i);
	cr_expect_not(idle_suspected(&i, &parts[1], 100 * SECOND, 60 * SECOND));
	idle_free(&i);
}
