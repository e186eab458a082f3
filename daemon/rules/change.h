// SPDX-License-Identifier: Apache-2.0
// May one version of the rules follow another? Pure. What decides how the log is cut up (clock, grace, zone, the window of duplicates)
// cannot change under counters that stand; services never vanish; what is settled keeps its price.
#ifndef RULES_CHANGE_H
#define RULES_CHANGE_H

#include "rules/rules.h"

// settled: newest month with a manifest; MONTH_NONE: none. Faults (with no place in a file) say what is in the way and what to do.
// True where `to` may follow.
bool rules_may_follow(const struct rules *from, const struct rules *to, int settled, struct faults *faults);
// Does the price of some call differ in that month: plan, quota, shared free calls? Services that only `b` has do not count.
bool catalogs_price_alike(const struct catalog *a, const struct catalog *b, uint32_t service_of_a, int month);

#endif
