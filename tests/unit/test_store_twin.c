// SPDX-License-Identifier: Apache-2.0
// The contract of the store's port once more, against the Redis in memory on which the simulator stands: it answers as a real one does.
#define REDIS_TWIN
#include "test_store.c"

static int64_t still_ms = 1000;

static int64_t now_ms(void)
{
	return still_ms;
}

__attribute__((constructor)) static void stand_still(void)
{
	redis_twin_now_ms = now_ms;
}

static void connection_breaks(void)
{
	struct redis_keys *c = redis_twin_copy();
	redis_twin_restore(c, "");
	redis_twin_copy_free(c);
}

static struct redis_keys *kept;

static void rolled_back(const char *tag)
{
	redis_twin_restore(kept, tag);
}

Test(store, a_twin_goes_back_as_a_whole_or_by_shards)
{
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 1);
	step_call(s, 3, NULL, false);
	kept = redis_twin_copy();
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	cr_assert_eq(total(), 3);
	rolled_back("{s00}");
	cr_assert_eq(total(), 3, "another shard's");
	rolled_back("{s01}");
	cr_assert_eq(total(), -1);
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	cr_assert_eq(total(), 3);
	rolled_back("");
	cr_assert_eq(total(), -1);
	redis_twin_copy_free(kept);
	free(s);
}

Test(store, a_held_request_arrives_as_it_was_sent)
{
	struct redis_held *held = NULL;
	struct commit_result r;
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 1);
	step_call(s, 3, NULL, false);
	redis_twin_hold(&held);
	store->ops->commit_send(store, &s->c);
	redis_twin_hold(NULL);
	cr_assert(store->ops->commit_receive(store, 0, &r));
	cr_assert_eq(r.status, COMMIT_UNKNOWN);
	cr_assert_eq(total(), -1);
	free(s);
	redis_twin_arrive(held);
	cr_assert_eq(total(), 3);
	cr_assert_eq(claim_as("tok2").next, 1);
}

Test(store, a_lease_ends)
{
	struct error e = { 0 };
	char *other = NULL;
	cr_assert_eq(store->ops->lease(store, LEASE_GENERATIONS, "me", 5000, &other, &e), ERROR_NONE);
	still_ms += 5000;
	cr_assert_eq(store->ops->lease(store, LEASE_GENERATIONS, "you", 5000, &other, &e), ERROR_NONE);
	cr_assert_null(other);
}

static int before_cut; // how many commits yet come between the list of keys and the step that copies them
static struct store *counting;

static void count_before_cut(void)
{
	struct store *had = store;
	if (before_cut-- <= 0)
		return;
	store = counting;
	one_late_call(before_cut);
	store = had;
}

static struct store *other_store(void)
{
	struct store *s = open_store();
	s->ops->identity(s, "init1", 1);
	return s;
}

Test(store, what_comes_between_the_list_and_the_copy_is_in_the_copy)
{
	struct error e = { 0 };
	struct store_months m = { 0 };
	claim_as("tok1");
	counting = other_store();
	before_cut = 1;
	redis_twin_before_cut = count_before_cut;
	cr_assert_eq(store->ops->cut_copy(store, 1, 1, 7, &e), ERROR_NONE, "%s", e.text);
	redis_twin_before_cut = NULL;
	cr_assert_eq(before_cut, -1, "listed again");
	store->ops->identity(store, "init1", 7);
	struct store_positions at = { 0 };
	cr_assert_eq(store->ops->positions(store, 1, &at, &e), ERROR_NONE, "%s", e.text);
	cr_assert(at.n == 1 && at.list[0].at.next == 1);
	store_positions_free(&at);
	cr_assert_eq(store->ops->months(store, 1, &m, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(m.n, 1);
	store_months_free(&m);
	struct arena arena = { 0 };
	struct span field = SPAN_LIT("a/image-tag"), got;
	struct store_key late = { "late", JAN, JAN + 1 };
	cr_assert_eq(store->ops->get_key(store, 1, &late, &field, 1, &arena, &got, &e), ERROR_NONE, "%s", e.text);
	cr_assert(span_is(got, "2"));
	arena_free(&arena);
	counting->ops->close(counting);
}

static bool seen_once(void *ctx, struct span field, struct span value)
{
	int64_t i = -1;
	(void)value;
	cr_assert(span_int64((struct span){ field.p + 1, field.n - 11 }, &i) && i >= 0 && i < 100, "%.*s", (int)field.n, field.p);
	((int *)ctx)[i]++;
	return true;
}

Test(store, a_scan_in_pieces_meets_each_field_once_in_any_order)
{
	char account[16];
	for (redis_twin_order = 0; redis_twin_order < 20; redis_twin_order++) {
		int seen[100] = { 0 };
		redis_twin_clear();
		struct error e = { 0 };
		cr_assert_eq(store->ops->create(store, 1, "init1", &e), ERROR_NONE);
		cr_assert_eq(store->ops->register_rules(store, 1, 1, &e), ERROR_NONE);
		claim_as("tok1");
		for (int i = 0; i < 100; i++) {
			struct step *s = step_make("tok1", i, i + 1);
			step_call(s, 1, NULL, false);
			snprintf(account, sizeof(account), "a%d", i);
			s->delta[0].account = span_of(account);
			cr_assert_eq(step_send(s).status, COMMIT_DONE);
			free(s);
		}
		cr_assert_eq(store->ops->scan_counters(store, 1, JAN, MONTH_NONE, seen_once, seen, &e), ERROR_NONE, "%s", e.text);
		for (int i = 0; i < 100; i++)
			cr_assert_eq(seen[i], 1, "%d", i);
	}
}
