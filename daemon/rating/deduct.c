// SPDX-License-Identifier: Apache-2.0
// Free calls and packs. No sum here can overflow: each is a part of calls, or of what was left.
#include "rating/deduct.h"

#include "base/check.h"

static int64_t take(int64_t *left, int64_t wanted)
{
	check(*left >= 0 && wanted >= 0);
	int64_t got = *left < wanted ? *left : wanted;
	*left -= got;
	return got;
}

static void check_service(const struct deduct_service *s)
{
	check(s->calls >= 0 && s->quota >= 0);
	check(s->shared < 0 || s->quota == 0);
}

// `rest` calls that no quota covers. What remains is returned.
static int64_t take_packs(struct deduct_service *s, int64_t rest, int64_t *pack_left)
{
	for (uint32_t i = 0; i < s->n_packs && rest > 0; i++) {
		int64_t got = take(&pack_left[s->packs[i]], rest);
		s->pack_calls[i] += got;
		rest -= got;
	}
	return rest;
}

void deduct_month(struct deduct_service *services, uint32_t n, int64_t *shared_left, int64_t *pack_left)
{
	for (struct deduct_service *s = services; s < services + n; s++) {
		check_service(s);
		int64_t own = s->quota;
		s->free = take(s->shared >= 0 ? &shared_left[s->shared] : &own, s->calls);
		for (uint32_t i = 0; i < s->n_packs; i++)
			s->pack_calls[i] = 0;
		s->billable = take_packs(s, s->calls - s->free, pack_left);
	}
}

static int64_t given_by_packs(const struct deduct_service *s)
{
	int64_t given = 0;
	for (uint32_t i = 0; i < s->n_packs; i++) {
		check(s->pack_calls[i] >= 0 && s->pack_calls[i] <= s->calls - given);
		given += s->pack_calls[i];
	}
	return given;
}

bool deduct_late(struct deduct_service *s, int64_t more, int64_t *shared_left, int64_t *pack_left)
{
	check_service(s);
	check(more >= 0);
	int64_t given = given_by_packs(s), calls;
	check(s->free >= 0 && s->billable >= 0 && s->free <= s->calls - given && s->billable == s->calls - given - s->free);
	if (__builtin_add_overflow(s->calls, more, &calls))
		return false;
	int64_t open = calls - given; // for free calls, and for the bill
	if (s->shared >= 0)
		s->free += take(&shared_left[s->shared], open - s->free);
	else
		s->free = s->quota < open ? s->quota : open;
	int64_t billable = open - s->free;
	if (billable > s->billable)
		billable = s->billable + take_packs(s, billable - s->billable, pack_left);
	s->calls = calls;
	s->billable = billable;
	return true;
}
