// SPDX-License-Identifier: Apache-2.0
// A person who corrects closed months: asks what bills would be without a producer, a partition, with other status codes, in a range, and says what
// comes out, as `meterctl replay --apply-as-adjustment` does (daemon/replay); reads the answer for a while, in which months are closed and others
// correct, too; may die at each call. And records that somebody wrote by hand, of which many do not fit.
#include "account/account.h"
#include "base/check.h"
#include "base/fault.h"
#include "journal/json.h"
#include "replay/replay.h"
#include "sim.h"

enum { READS_MOST = 40 };

// ---- asking
struct question {
	struct range range;
	struct replay_options o;
	char account[8], partition[32];
	const char *billable[2], *producer, *partitions[1];
};

static void draw_range(struct range *r)
{
	int64_t first_ms = sim->log[0].stamp_ms, span = sim->stamp_ms - first_ms + 1;
	switch (sim_below(4)) {
	case 0:
		r->from = (struct bound){ .kind = BOUND_TIME, .value = first_ms + (int64_t)sim_below((uint64_t)span) };
		break;
	case 1:
		r->to = (struct bound){ .kind = BOUND_TIME, .value = first_ms + 1 + (int64_t)sim_below((uint64_t)span) };
		break;
	case 2:
		r->from = (struct bound){ .kind = BOUND_OFFSET, .value = (int64_t)sim_below(20) };
		break;
	default:
		break;
	}
}

static void draw_question(struct question *q)
{
	static const char *const codes[] = { "ok", "error" };
	struct replay_options *o = &q->o;
	draw_range(&q->range);
	switch (sim_below(4)) {
	case 0:
		snprintf(q->partition, sizeof(q->partition), "usage.calls/%d", (int)sim_below((uint64_t)sim_partitions()));
		q->partitions[0] = q->partition;
		o->n_partitions = 1;
		break;
	case 1:
		q->producer = sim_chance(0.7) ? SIM_PRODUCER : "";
		o->n_producers = 1;
		break;
	case 2:
		q->billable[0] = codes[sim_below(2)];
		q->billable[1] = codes[1];
		o->n_billable = 1 + (uint32_t)sim_below(2);
		break;
	default: // what would be, as it is: takes back what was corrected before
		break;
	}
	if (sim_chance(0.3)) {
		snprintf(q->account, sizeof(q->account), "a%d", (int)sim_below(SIM_ACCOUNTS));
		o->account = q->account;
	}
	o->undo = sim_chance(0.5);
}

// What a person would be told, and could do something about, is nothing wrong.
static bool failed(const char *what, enum error_class c, const struct error *e)
{
	sim_say("person: %s: %d %s", what, c, c != ERROR_NONE ? e->text : "");
	bool told = c == ERROR_ABORT && (e->exit_code == EXIT_LATER || e->exit_code == EXIT_USAGE_ERR || e->exit_code == EXIT_CONFIG_ERR);
	if (c != ERROR_NONE && c != ERROR_RETRY && !told)
		sim_wrong("%s: %s", what, e->text);
	return c != ERROR_NONE;
}

static int code_bits(const struct question *q)
{
	int bits = 0;
	for (uint32_t i = 0; i < q->o.n_billable; i++)
		bits |= strcmp(q->billable[i], "ok") == 0 ? 1 : 2;
	return bits;
}

// For the audit.
static void note(const struct question *q, const char *id)
{
	const struct range *r = &q->range;
	if (sim->n_questions == SIM_QUESTIONS_MOST)
		return;
	struct sim_question *x = &sim->questions[sim->n_questions++];
	*x = (struct sim_question){ .account = q->account[0] == 'a' ? q->account[1] - '0' : -1, .partition = q->o.n_partitions > 0 ? q->partition[12] - '0' : -1,
				    .producer = q->o.n_producers == 0 ? -1 : q->producer[0] != '\0', .codes = (unsigned)code_bits(q),
				    .from_ms = r->from.kind == BOUND_TIME ? r->from.value : INT64_MIN, .to_ms = r->to.kind == BOUND_TIME ? r->to.value : INT64_MAX,
				    .from_offset = r->from.kind == BOUND_OFFSET ? r->from.value : 0, .undo = q->o.undo };
	snprintf(x->id, sizeof(x->id), "%s", id);
	sim_say("question %s: account %d, without partition %d, producer %d, codes %u, %lld..%lld, from offset %lld%s", id, x->account, x->partition,
		x->producer, x->codes, (long long)x->from_ms, (long long)x->to_ms, (long long)x->from_offset, x->undo ? ", undo" : "");
}

static void say(const struct question *q, struct replay *r)
{
	struct error e = { 0 };
	const struct replay_corrections *c = replay_corrections(r);
	sim->coverage->known += c->known;
	sim->coverage->tied += c->tied > 0;
	if (c->n == 0 || c->known || c->tied > 0)
		return;
	note(q, c->id);
	for (uint64_t n = sim->quiet || sim_chance(0.5) ? 0 : sim_below(READS_MOST); n > 0; n--)
		sim_world_goes_on();
	if (!failed("say corrections", replay_say(r, &e), &e))
		sim->coverage->said++;
}

void sim_correct(struct sim_instance *x)
{
	struct question q = { .o = { .port = sim->ports->sink, .kafka = &sim->kafka.o, .timeout_ms = 1000, .prices_of = MONTH_NONE, .correct = true,
				     .now_ms = sim->stamp_ms, .reason = "simulated" } };
	struct replay *r = NULL;
	struct faults faults = { 0 };
	struct error e = { 0 };
	(void)x;
	if (sim->n_log == 0)
		return;
	draw_question(&q);
	q.o.range = &q.range;
	q.o.billable = q.billable;
	q.o.producers = &q.producer;
	q.o.partitions = q.partitions;
	if (failed("replay", replay_run(&q.o, &faults, &r, &e), &e))
		return;
	sim->coverage->asked++;
	say(&q, r);
	replay_freep(&r);
}

// ---- by hand
static const char *text_of(const json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));
	return s != NULL ? s : "";
}

static int64_t number_of(const json_t *j, const char *name)
{
	return json_integer_value(json_object_get(j, name));
}

// The n-th document of a line; NULL: there are fewer.
static json_t *document(uint64_t n)
{
	int t = fake_topic(&sim->kafka, "meterd.settlements");
	for (int32_t p = 0; p < sim->kafka.topics[t].partitions; p++)
		for (size_t i = 0; i < sim->kafka.topics[t].parts[p].n; i++) {
			const struct fake_message *m = &sim->kafka.topics[t].parts[p].list[i];
			if (strstr(m->value, "\"meterd.settlement.v1\"") == NULL || n-- > 0)
				continue;
			json_t *j = json_loadb(m->value, m->value_n, 0, NULL), *data = json_incref(json_object_get(j, "data"));
			json_decref(j);
			return data;
		}
	return NULL;
}

static uint64_t documents(void)
{
	return (uint64_t)fake_count(&sim->kafka, "meterd.settlements", "\"meterd.settlement.v1\"");
}

// The newest one of the same line.
static json_t *newest(json_t *data)
{
	CLEANUP(freep) char *subject = xasprintf("\"subject\":\"%s/%s/%s\"", text_of(data, "account"), text_of(data, "service"), text_of(data, "period"));
	int t = fake_topic(&sim->kafka, "meterd.settlements");
	for (int32_t p = 0; p < sim->kafka.topics[t].partitions; p++)
		for (size_t i = 0; i < sim->kafka.topics[t].parts[p].n; i++) {
			const struct fake_message *m = &sim->kafka.topics[t].parts[p].list[i];
			if (strstr(m->value, subject) == NULL || strstr(m->value, "\"meterd.settlement.v1\"") == NULL)
				continue;
			json_t *j = json_loadb(m->value, m->value_n, 0, NULL), *other = json_object_get(j, "data");
			if (number_of(other, "revision") > number_of(data, "revision")) {
				json_incref(other);
				json_decref(data);
				data = other;
			}
			json_decref(j);
		}
	return data;
}

static int last_closed(void)
{
	const struct fake_log *l = fake_log(&sim->kafka, "meterd.control", 0);
	int month = MONTH_NONE;
	for (size_t i = 0; i < l->n; i++) {
		if (strstr(l->list[i].value, "\"type\":\"manifest\"") == NULL)
			continue;
		json_t *j = json_loadb(l->list[i].value, l->list[i].value_n, 0, NULL);
		check(month_parse(span_of(text_of(j, "period")), &month));
		json_decref(j);
	}
	return month;
}

static json_t *side_of(const json_t *data, bool with_revision)
{
	json_t *j = json_object();
	if (with_revision)
		json_put(j, "revision", json_integer(number_of(data, "revision")));
	json_put(j, "calls", json_integer(number_of(data, "calls")));
	json_put(j, "free", json_integer(number_of(data, "free")));
	json_put(j, "packs", json_deep_copy(json_object_get(data, "packs")));
	json_put(j, "billable", json_integer(number_of(data, "billable")));
	json_put(j, "charge", json_string(text_of(data, "charge")));
	if (with_revision && json_object_get(data, "prices") != NULL)
		json_put(j, "prices", json_deep_copy(json_object_get(data, "prices")));
	return j;
}

static void add(json_t *side, const char *name, int64_t more)
{
	json_object_set_new(side, name, json_integer(number_of(side, name) + more));
}

static void put_pack(json_t *side, int64_t calls)
{
	json_t *pack = json_object();
	char id[8];
	snprintf(id, sizeof(id), "p%d", (int)sim_below(SIM_PACKS));
	json_put(pack, "id", json_string(id));
	json_put(pack, "calls", json_integer(calls));
	check(json_array_append_new(json_object_get(side, "packs"), pack) == 0);
	add(side, "calls", calls);
}

// What packs gave is to be paid.
static void give_back(json_t *side)
{
	const json_t *pack, *packs = json_object_get(side, "packs");
	size_t i;
	json_array_foreach(packs, i, pack)
		add(side, "billable", number_of(pack, "calls"));
	json_object_set_new(side, "packs", json_array());
}

// Mostly as its calls are priced then: by a price that comes with it.
static void put_charge(json_t *side, bool priced)
{
	char charge[MONEY_TEXT], price[24];
	int64_t yuan = 1 + (int64_t)sim_below(4), fen = 0;
	bool fits = !__builtin_mul_overflow(number_of(side, "billable"), yuan * 100, &fen) && sim_chance(0.95);
	if (!fits || !priced)
		fen = sim_chance(0.1) ? 99999999999999 : sim_chance(0.3) ? 0 : (int64_t)sim_below(60000);
	json_object_set_new(side, "charge", json_string(money_fen_text(fen, charge)));
	if (!priced)
		return;
	snprintf(price, sizeof(price), "%d", (int)yuan);
	json_put(side, "prices", json_pack("{s:s,s:i,s:s,s:s,s:[{s:i,s:s}],s:s}", "model", "volume", "per", 1, "bounds", "lower-inclusive", "tier_basis", "total",
		"tiers", "from", 0, "price", price, "rounding", "half-up"));
}

// Into something else that adds up, nearly always.
static void change(json_t *side)
{
	int64_t n = 1 + (int64_t)sim_below(60);
	switch (sim_below(8)) {
	case 0:
		add(side, "free", n);
		add(side, "calls", n);
		break;
	case 1:
		n = n < number_of(side, "billable") ? n : number_of(side, "billable");
		add(side, "free", n);
		add(side, "billable", -n);
		break;
	case 2:
		if (json_array_size(json_object_get(side, "packs")) == 0)
			put_pack(side, n);
		break;
	case 3:
		give_back(side);
		break;
	case 4:
		n = (int64_t)1 << (30 + sim_below(23));
		add(side, "billable", n);
		add(side, "calls", n);
		break;
	case 5:
		add(side, "calls", 1);
		break;
	default:
		add(side, "billable", n);
		add(side, "calls", n);
		break;
	}
}

static json_t *line_of(const json_t *data)
{
	json_t *line = json_object(), *was = side_of(data, true), *becomes = side_of(data, false);
	bool other = sim_chance(0.1);
	change(becomes);
	if (other || !sim_chance(0.1)) // free calls and packs alone change no charge
		put_charge(becomes, !other && sim_chance(0.9));
	if (sim_chance(0.1))
		add(was, sim_chance(0.5) ? "revision" : "free", 1);
	json_put(line, "period", json_string(text_of(data, "period")));
	json_put(line, "service", json_string(other ? sim_chance(0.5) ? "nothing" : "beta" : text_of(data, "service")));
	if (!sim_chance(other ? 0.8 : 0.1))
		json_object_set(line, "was", was);
	json_decref(was);
	json_put(line, "becomes", becomes);
	return line;
}

static void append(const char *account, const char *value)
{
	int32_t partition = sim_chance(0.7) ? (account[1] - '0' + 1) % 2 : account[1] % 2;
	fake_event(&sim->kafka, "meterd.accounts", partition, sim->stamp_ms - (int64_t)sim_below(3) * 60000, value);
	if (sim_chance(0.1))
		fake_event(&sim->kafka, "meterd.accounts", partition, sim->stamp_ms, value);
	sim->coverage->events[EVENT_BY_HAND]++;
}

void sim_correct_by_hand(void)
{
	uint64_t n = documents();
	int after = last_closed();
	char month[MONTH_TEXT], id[24];
	if (n == 0 || after == MONTH_NONE)
		return;
	json_t *data = newest(document(sim_below(n))), *record = json_object(), *lines = json_array();
	if (sim_chance(0.1))
		after += sim_chance(0.5) ? 1 : -1;
	snprintf(id, sizeof(id), "hand%u", (unsigned)sim->by_hand++);
	json_put(record, "type", json_string("correction"));
	json_put(record, "account", json_string(text_of(data, "account")));
	json_put(record, "id", json_string(id));
	json_put(record, "version", json_integer(1));
	json_put(record, "after", json_string(month_text(after, month)));
	json_put(record, "reason", json_string("by hand"));
	json_put(record, "question", json_object());
	json_put(record, "lines", lines);
	check(json_array_append_new(lines, line_of(data)) == 0);
	CLEANUP(freep) char *text = json_compact(record);
	append(text_of(data, "account"), text);
	json_decref(record);
	json_decref(data);
}
