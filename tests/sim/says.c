// SPDX-License-Identifier: Apache-2.0
// What changes while calls come in: new versions of the rules are proposed, accounts get activations, contracts and packs, a partition
// is added. Whatever is said of an account is with all instances long before rules.lead is over, as in real life.
#include "base/check.h"
#include "base/file.h"
#include "journal/json.h"
#include "sim.h"

static const int64_t day_ms = 86400000;
static char *proposals[SIM_BOOKS]; // requests, the same for all runs of a process

static struct rules *rules_of(int book, unsigned generations, int64_t max_age_ms)
{
	static char *texts[SIM_BOOKS];
	static size_t sizes[SIM_BOOKS];
	static const char *const files[SIM_BOOKS] = { "book.yaml", "book-2.yaml", "book-3.yaml" };
	struct error e = { 0 };
	struct faults f = { 0 };
	struct rules_settings s = { .fields = { (char *)"id", (char *)"account", (char *)"service", (char *)"time", (char *)"calls", (char *)"status",
				    (char *)"items" }, .max_future_ms = book == 1 ? 60000 : 300000, .generation_bits = 4,
				    .generations = generations, .dedupe_max_age_ms = max_age_ms, .dedupe = true,
				    .close_grace_ms = day_ms, .clock = CLOCK_RECORDS, .lead_ms = 600000 };
	for (int i = 0; i < SIM_BOOKS && texts[i] == NULL; i++) {
		CLEANUP(freep) char *path = xasprintf("%s/tests/sim/%s", SOURCE_DIR, files[i]);
		check(file_read(path, 1 << 20, &texts[i], &sizes[i], &e) == ERROR_NONE);
	}
	struct rules *r = rules_new(&s, files[book], (struct span){ texts[book], sizes[book] }, &f);
	check(r != NULL);
	return r;
}

// Before any process is forked: whatever becomes of the files while seeds run.
void sim_says_load(void)
{
	CLEANUP(rules_freep) struct rules *r = rules_of(0, 2, day_ms);
	check(r != NULL);
}

void sim_says_open(void)
{
	unsigned generations = 2 + (unsigned)sim_below(6);
	int64_t max_age_ms = (int64_t)(2 + sim_below(20)) * day_ms;
	sim->proposes = sim_chance(0.5);
	sim->says = sim_chance(0.5);
	sim->grows_at = sim_chance(0.5) ? 1 + (uint32_t)sim_below(200) : 0;
	for (int i = 0; i < SIM_BOOKS; i++) {
		CLEANUP(rules_freep) struct rules *r = rules_of(i, generations, max_age_ms);
		CLEANUP(freep) char *text = rules_to_json(r);
		free(proposals[i]);
		proposals[i] = xasprintf("{\"kind\":\"rules\",\"rules\":%s}", text);
		if (i == 0)
			sim->rules = TAKE_PTR(r);
	}
}

// ---- accounts
void sim_facts_hand(struct sim_instance *to)
{
	for (int32_t p = 0; p < 2; p++) {
		const struct fake_log *l = fake_log(&sim->kafka, "meterd.accounts", p);
		for (; to->facts_next[p] < l->n; to->facts_next[p]++) {
			const struct fake_message *m = &l->list[to->facts_next[p]];
			facts_take(to->facts, &(struct topic_record){ p, { .offset = m->offset, .timestamp_ms = m->timestamp_ms,
				.value = { m->value, m->value_n } } });
		}
	}
}

static int64_t so_far(const struct sim_fact *f)
{
	int64_t n = 0;
	for (uint32_t i = 0; i < sim->n_facts; i++) {
		const struct sim_fact *x = &sim->facts[i];
		n += x->account == f->account && x->what == f->what && (f->what != SAYS_CANCELLED || x->pack == f->pack);
	}
	return n;
}

static char *contract_text(const struct sim_fact *f)
{
	char from[MONTH_TEXT], until[MONTH_TEXT];
	CLEANUP(freep) char *end = f->until != MONTH_NONE ? xasprintf(",\"until\":\"%s\"", month_text(f->until, until)) : xstrdup("");
	CLEANUP(freep) char *free_calls = f->quota >= 0 ? xasprintf(",\"free\":{\"calls\":%lld,\"warn\":\"0.8\"}", (long long)f->quota) : xstrdup("");
	return xasprintf("{\"type\":\"contract\",\"account\":\"a%d\",\"id\":\"c\",\"version\":%lld,\"from\":\"%s\"%s,\"services\":[{\"service\":\"tag\","
			 "\"prices\":{\"model\":\"volume\",\"per\":1000,\"bounds\":\"lower-inclusive\",\"tier_basis\":\"total\",\"tiers\":["
			 "{\"from\":0,\"price\":\"2100\"},{\"from\":100,\"price\":\"1900\"},{\"from\":400,\"price\":\"1700\"}]}%s}]}", f->account,
			 (long long)so_far(f) + 1, month_text(f->from, from), end, free_calls);
}

static char *pack_text(const struct sim_fact *f)
{
	static const char *const covers[] = { "", "\"tag\"", "\"crop\"", "\"tag\",\"crop\"" };
	char start[TIME_TEXT], expiry[TIME_TEXT];
	return xasprintf("{\"type\":\"pack\",\"account\":\"a%d\",\"id\":\"p%d\",\"version\":1,\"services\":[%s],\"calls\":%lld,\"price\":\"10.00\","
			 "\"start\":\"%s\",\"expiry\":\"%s\"}", f->account, f->pack, covers[f->services], (long long)f->calls,
			 time_text(f->start_ms, start), time_text(f->expiry_ms, expiry));
}

static char *fact_text(const struct sim_fact *f)
{
	char at[TIME_TEXT];
	switch (f->what) {
	case SAYS_ACTIVATION:
		return xasprintf("{\"type\":\"activation\",\"account\":\"a%d\",\"id\":\"act%lld\",\"version\":1,\"time\":\"%s\"}", f->account,
				 (long long)so_far(f), time_text(f->time_ms, at));
	case SAYS_CONTRACT:
		return contract_text(f);
	case SAYS_PACK:
		return pack_text(f);
	case SAYS_CANCELLED:
		return xasprintf("{\"type\":\"pack.cancelled\",\"account\":\"a%d\",\"id\":\"p%d\",\"version\":2,\"from\":\"%s\"}", f->account, f->pack,
				 month_text(f->from, at));
	}
	return NULL;
}

// False where there is no such thing to say.
static bool fact_draw(struct sim_fact *f)
{
	int month = period_month(catalog_zone(sim->rules->catalog), sim->stamp_ms), packs;
	*f = (struct sim_fact){ .what = (enum sim_saying)sim_below(4), .account = (int)sim_below(SIM_ACCOUNTS_SAID), .stamp_ms = sim->stamp_ms, .quota = -1 };
	f->partition = f->account % 2;
	f->time_ms = sim->stamp_ms - (int64_t)sim_below(90 * (uint64_t)day_ms);
	f->from = month - 1 + (int)sim_below(3);
	f->until = sim_chance(0.5) ? f->from + 1 + (int)sim_below(2) : MONTH_NONE;
	if (sim_chance(0.5))
		f->quota = 10 * (int64_t)sim_below(9);
	f->services = 1 + (unsigned)sim_below(3);
	f->calls = 20 + (int64_t)sim_below(150);
	f->start_ms = sim->stamp_ms - (int64_t)sim_below(40 * (uint64_t)day_ms);
	f->expiry_ms = f->start_ms + (10 + (int64_t)sim_below(90)) * day_ms;
	packs = (int)so_far(&(struct sim_fact){ .what = SAYS_PACK, .account = f->account });
	if (f->what == SAYS_PACK) {
		f->pack = packs;
		return packs < SIM_PACKS;
	}
	if (f->what == SAYS_CANCELLED) {
		f->pack = packs > 0 ? (int)sim_below((uint64_t)packs) : 0;
		return packs > 0 && so_far(f) == 0;
	}
	return f->what != SAYS_CONTRACT || f->from >= 2020 * 12; // before it nothing has a price
}

// rules.lead passes before the clock goes on: meanwhile everybody reads it.
static void say_fact(void)
{
	struct sim_fact f;
	if (sim->n_facts == SIM_FACTS_MOST || !fact_draw(&f))
		return;
	CLEANUP(freep) char *text = fact_text(&f);
	f.offset = fake_log(&sim->kafka, "meterd.accounts", f.partition)->high;
	fake_event(&sim->kafka, "meterd.accounts", f.partition, f.stamp_ms, text);
	sim->facts[sim->n_facts++] = f;
	sim->mono_us += sim->rules->settings.lead_ms * 1000;
	sim->coverage->events[EVENT_SAY]++;
}

// ---- what may happen beside each call
static void propose(void)
{
	struct error e = { 0 };
	check(sim->plain->ops->request_put(sim->plain, span_of(proposals[sim_below(SIM_BOOKS)]), &e) == ERROR_NONE);
	sim->coverage->events[EVENT_PROPOSE]++;
}

void sim_says_something(void)
{
	if (sim->grows_at > 0 && sim->n_log >= sim->grows_at && sim_partitions() < SIM_PARTITIONS_MOST) {
		sim->kafka.topics[0].partitions++;
		sim_group_changed();
		sim->coverage->events[EVENT_GROW]++;
	}
	if (sim->says && sim_chance(0.08))
		say_fact();
	if (sim->corrects && sim_chance(0.05))
		sim_correct_by_hand();
	if (sim->proposes && sim_chance(0.03))
		propose();
}
