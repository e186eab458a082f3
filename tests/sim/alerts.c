// SPDX-License-Identifier: Apache-2.0
// What alerts must be there, and which call each must name.
//
// Of an account whose calls all lie in one partition the log says both. Where they lie in several, which call crosses depends on which partition was
// counted first: it is one that carries the counter over the bound, and it is told once. That an alert is raised at all depends on it only
// where what the account may use was changed meanwhile, or where it may have become active with the calls in question: such alerts may be there.
#include "audit.h"
#include "base/check.h"

// ---- what accounts in several partitions must, and may, have raised
static void expect(struct cell *c, const char *kind, int64_t threshold, bool unsure)
{
	if (threshold <= 0 || c->calls < threshold)
		return;
	for (int i = 0; i < c->n_rungs; i++)
		if (strcmp(c->rungs[i].kind, kind) == 0 && c->rungs[i].threshold == threshold) {
			c->rungs[i].unsure = c->rungs[i].unsure && unsure;
			return;
		}
	check(c->n_rungs < RUNGS);
	c->rungs[c->n_rungs++] = (struct crossing){ .kind = kind, .threshold = threshold, .any_call = true, .unsure = unsure };
}

static void expect_quota(struct cell *c, int64_t quota, int64_t warning, bool unsure)
{
	expect(c, "free_quota.warning", warning, unsure);
	expect(c, "free_quota.exhausted", quota, unsure);
}

static int64_t tag_quota(int account, int month, int64_t stamp_ms)
{
	const struct sim_fact *contract = said_contract(account, month, (struct audit_said){ .stamp_ms = stamp_ms });
	return contract != NULL && contract->quota >= 0 ? contract->quota : 50;
}

// A month that is closed was looked at by what was said last before its close. Of an open one that is not certain yet.
static void expect_tag(struct cell *c, int account, int month)
{
	int64_t before_close_ms = audit_month_start(month + 1) + sim->rules->settings.close_grace_ms - 1 - sim->rules->settings.lead_ms;
	int64_t quota = tag_quota(account, month, INT64_MIN);
	bool changes = false;
	for (uint32_t i = 0; i < sim->n_facts; i++) {
		const struct sim_fact *f = &sim->facts[i];
		if (f->account != account || f->what != SAYS_CONTRACT || f->stamp_ms > before_close_ms)
			continue;
		int64_t then = tag_quota(account, month, f->stamp_ms);
		changes = changes || then != quota;
		expect_quota(c, then, then * 8 / 10, true);
	}
	expect_quota(c, quota, quota * 8 / 10, changes);
	if (month <= audit->last) {
		quota = tag_quota(account, month, before_close_ms);
		expect_quota(c, quota, quota * 8 / 10, false);
	}
	expect(c, "tier.crossed", 100, false);
	expect(c, "tier.crossed", 400, false);
}

static void expect_next(struct cell *c, int account, int month)
{
	int said = said_active(account, (struct audit_said){ .stamp_ms = INT64_MAX }), active = audit->active[account];
	if (said < month || active < month)
		expect_quota(c, 30, 15, audit->unsure[account][month]);
	expect(c, "tier.crossed", 80, false);
}

static void expect_spread(int account)
{
	for (int m = 0; m < MONTHS; m++) {
		expect_tag(&audit->cells[account][TAG][m], account, m);
		expect(&audit->cells[account][CROP][m], "tier.crossed", 60, false);
		expect_next(&audit->cells[account][NEXT][m], account, m);
	}
}

bool sim_alert_unsure(struct span identity)
{
	int account = -1;
	char service[8] = "";
	CLEANUP(freep) char *text = xstrndup(identity.p, identity.n);
	return sscanf(text, "alert\na%d\n%7[a-z]", &account, service) == 2 && sim_is_spread(account) &&
	       ((sim->says && account < SIM_ACCOUNTS_SAID) || strcmp(service, "next") == 0);
}

// ---- what was published
static bool is_call(const json_t *call, int account, int month)
{
	char id[32];
	const struct sim_record *e = audit_record((int32_t)audit_number(call, "partition"), audit_number(call, "offset"));
	if (e == NULL || e->account != account || audit_month(e->time_ms) != month)
		return false;
	snprintf(id, sizeof(id), "e%d", e->id);
	return strcmp(audit_text(call, "id"), id) == 0 && audit_number(call, "calls") == e->calls;
}

static void check_any_call(const struct cell *c, const struct crossing *x, const json_t *data, int account, int month)
{
	const json_t *call = json_object_get(data, "call");
	int64_t before = audit_number(data, "calls_before"), after = audit_number(data, "calls_after");
	bool by_call = !json_is_null(call);
	if (x->seen > 1 || after > c->calls || after < x->threshold ||
	    (by_call && (before >= x->threshold || after - before != audit_number(call, "calls") || !is_call(call, account, month))))
		wrong("%s of a%d in month %d at %lld: seen %d times, %lld -> %lld by %s", x->kind, account, month, (long long)x->threshold, x->seen,
		      (long long)before, (long long)after, by_call ? audit_text(call, "id") : "a change");
}

static void check_crossing(const struct crossing *x, const json_t *data, const char *account, int service)
{
	const json_t *call = json_object_get(data, "call");
	const struct sim_record *e = audit_record(x->partition, x->offset);
	char id[32];
	snprintf(id, sizeof(id), "e%d", e->id);
	if (x->seen > 1 || audit_number(data, "calls_before") != x->before || audit_number(data, "calls_after") != x->after || strcmp(audit_text(call, "id"), id) != 0)
		wrong("%s of %s/%s at %lld: seen %d times, %lld -> %lld by %s, the log says %lld -> %lld by %s", x->kind, account, audit_services[service],
		      (long long)x->threshold, x->seen, (long long)audit_number(data, "calls_before"), (long long)audit_number(data, "calls_after"),
		      audit_text(call, "id"), (long long)x->before, (long long)x->after, id);
}

static void check_alert(const json_t *j)
{
	const json_t *data = json_object_get(j, "data");
	const char *type = audit_text(j, "type"), *account = audit_text(data, "account");
	int a = account[0] == 'a' ? account[1] - '0' : -1;
	if (strncmp(type, "meterd.pack.", 12) == 0 || (json_is_null(json_object_get(data, "call")) && !sim_is_spread(a)))
		return; // of packs, and those that no call caused: not audited
	int s = audit_service(audit_text(data, "service")), month = audit_month_text(audit_text(data, "period"));
	if (s < 0 || a < 0 || a >= SIM_ACCOUNTS || account[2] != '\0' || month < 0 || month >= MONTHS)
		return wrong("an alert about nothing: %s %s", type, account);
	struct cell *c = &audit->cells[a][s][month];
	for (int i = 0; i < c->n_rungs; i++) {
		struct crossing *x = &c->rungs[i];
		char name[64];
		snprintf(name, sizeof(name), "meterd.%s.v1", x->kind);
		if (strcmp(type, name) != 0 || audit_number(data, "threshold") != x->threshold)
			continue;
		x->seen++;
		if (x->any_call)
			check_any_call(c, x, data, a, month);
		else
			check_crossing(x, data, account, s);
		return;
	}
	wrong("%s of %s/%s in month %d at %lld must not be there", type, account, audit_services[s], month, (long long)audit_number(data, "threshold"));
}

static void check_seen(int account, int service, int month, const struct crossing *x)
{
	sim->coverage->alerts += x->seen > 0;
	sim->coverage->any_call += x->seen > 0 && x->any_call;
	if (x->seen == 0 && !x->unsure)
		wrong("%s of a%d/%s in month %d at %lld is missing", x->kind, account, audit_services[service], month, (long long)x->threshold);
}

void audit_alerts(void)
{
	for (int a = 0; a < SIM_ACCOUNTS; a++)
		if (sim_is_spread(a))
			expect_spread(a);
	audit_each("meterd.alerts", check_alert);
	for (int a = 0; a < SIM_ACCOUNTS; a++)
		for (int s = 0; s < SERVICES; s++)
			for (int m = 0; m < MONTHS; m++)
				for (int i = 0; i < audit->cells[a][s][m].n_rungs; i++)
					check_seen(a, s, m, &audit->cells[a][s][m].rungs[i]);
}
