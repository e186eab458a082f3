// SPDX-License-Identifier: Apache-2.0
// meterctl account: the command line of its parts, and its manual.
#include "tools/account.h"

#include <stdlib.h>

#include "base/check.h"
#include "rules/rules.h"
#include "tools/frontend.h"
#include "tools/tools.h"

enum { READ_TIMEOUT_MS = 30000 };

static const char manual[] =
	"\nParts\n"
	"  activate ACCOUNT --time T        the account is active from this moment on, also before its first call\n"
	"  contract [FILE]                  a contract, as JSON in FILE or on standard input; `type` and `version` may be left out\n"
	"  pack ACCOUNT ID …                a prepaid pack: --services A,B --calls N --price P --start T --expiry T [--warn SHARE]\n"
	"  cancel ACCOUNT ID --from YYYY-MM the pack is deducted no more from this month on; a new version of the pack undoes it\n"
	"  check [FILE…]                    judges events, one a line: accepted, or rejected with code and what to do. Exit 1 when one was\n"
	"  list [ACCOUNT]                   reads the topic: what holds, and what was refused and why; of a correction whether a close made it,\n"
	"                                   passed it over (and why), or it waits for one\n"
	"\n"
	"The first four produce one event to the accounts topic, keyed by account, and print it once all replicas have it; --dry-run prints only.\n"
	"The version is the newest that is known, plus 1; two people who change the same thing at once get the same version, and the second is\n"
	"refused: `account list` shows it. What the topic would refuse is not produced (exit 1).\n"
	"\n"
	"Events (README, Contracts and packs, says what each field does)\n"
	"  {\"type\":\"activation\",\"account\":\"100\",\"id\":\"act-1\",\"version\":1,\"time\":\"2019-12-03T08:00:00+08:00\"}\n"
	"  {\"type\":\"contract\",\"account\":\"100\",\"id\":\"c-1\",\"version\":1,\"from\":\"2020-04\",\"until\":\"2021-04\",\"services\":[{\"service\":\"image-tag\",\n"
	"    \"prices\":{\"model\":\"volume\",\"per\":1000,\"tiers\":[{\"from\":0,\"price\":\"2.1\"},{\"from\":1000000,\"price\":\"1.9\"}]},\n"
	"    \"free\":{\"calls\":20000}}]}\n"
	"  {\"type\":\"pack\",\"account\":\"100\",\"id\":\"p-1\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":1000000,\"price\":\"2000.00\",\"warn\":\"0.8\",\n"
	"    \"start\":\"2020-03-15T00:00:00+08:00\",\"expiry\":\"2021-03-15T00:00:00+08:00\"}\n"
	"  {\"type\":\"pack.cancelled\",\"account\":\"100\",\"id\":\"p-1\",\"version\":2,\"from\":\"2020-06\"}\n"
	"  {\"type\":\"correction\",…}: `meterctl replay --apply-as-adjustment` makes them, and `account list` shows them\n";

static void account_tool_close(struct account_tool *t)
{
	rules_freep(&t->rules);
	kafka_args_close(&t->kafka);
	options_close(&t->options);
}

int account_open(struct account_tool *t)
{
	bool asked = t->options.config != options_default_config() || getenv("METERD_CONFIG") != NULL;
	t->kafka.bootstrap = t->bootstrap;
	t->kafka.config = asked || t->bootstrap == NULL ? t->options.config : NULL;
	int code = kafka_args_open(&t->kafka, t->options.verb);
	if (code == EXIT_DONE && t->kafka.settings != NULL)
		code = frontend_rules(t->kafka.settings, &t->rules);
	return code == EXIT_DONE ? OPTIONS_GO_ON : code;
}

const char *account_kind_text(const struct account_fact *f)
{
	static const char *const words[] = { "activation", "contract", "pack", "correction" };
	return f->cancels ? "pack.cancelled" : words[f->kind];
}

struct topic_reading {
	struct account_book *book;
	account_refused_fn *refused;
	void *ctx;
};

static void tell_refused(struct topic_reading *x, const struct topic_record *r, const struct account_fault *fault)
{
	CLEANUP(arena_free) struct arena arena = { 0 };
	struct account_fact unused;
	struct account_fault again;
	struct span account = { NULL, 0 };
	account_read(r->r.value, &arena, &account, &unused, &again);
	x->refused(x->ctx, account, r, fault);
}

static bool on_record(void *ctx, const struct topic_record *r)
{
	struct topic_reading *x = ctx;
	struct account_fault fault;
	enum account_applied how = account_book_apply(x->book, r->partition, r->r.offset, r->r.timestamp_ms, r->r.value, &fault);
	if (how == ACCOUNT_REFUSED && x->refused != NULL)
		tell_refused(x, r, &fault);
	return true;
}

int account_read_topic(struct account_tool *t, struct account_book *book, account_refused_fn *refused, void *ctx)
{
	struct topic_reading x = { book, refused, ctx };
	struct error e = { 0 };
	if (topic_read_back(&t->kafka.o, t->kafka.o.accounts_topic, TIME_NONE, READ_TIMEOUT_MS, on_record, &x, &e) == ERROR_NONE)
		return OPTIONS_GO_ON;
	return tool_fail(t->options.verb, &e);
}

static size_t note_unknown(const struct catalog *c, struct span name, char *buf, size_t size, size_t at)
{
	uint32_t service;
	if (catalog_find_id(c, name, &service) || at >= size)
		return at;
	const char *before = at > 0 ? ", " : "";
	if (catalog_find(c, name, 0, &service) != SERVICE_UNKNOWN)
		return at + (size_t)snprintf(buf + at, size - at, "%s`%.*s` is an alias of `%s`", before, (int)name.n, name.p, catalog_service_id(c, service));
	return at + (size_t)snprintf(buf + at, size - at, "%s`%.*s` is not in the price book", before, (int)name.n, name.p);
}

const char *account_unknown_services(const struct account_tool *t, const struct account_fact *f, char *buf, size_t size)
{
	size_t at = 0;
	buf[0] = '\0';
	if (t->rules == NULL)
		return buf;
	for (uint32_t i = 0; i < f->n_services; i++)
		at = note_unknown(t->rules->catalog, f->services[i].service, buf, size, at);
	for (uint32_t i = 0; i < f->n_pack_services; i++)
		at = note_unknown(t->rules->catalog, f->pack_services[i], buf, size, at);
	return buf;
}

// --- the parts ----------------------------------------------------------------------------------------------------------

static const struct part {
	const char *name;
	int least, most; // words behind it; most -1: any
	bool writes;
} PARTS[] = { { "activate", 1, 1, true }, { "contract", 0, 1, true }, { "pack", 2, 2, true }, { "cancel", 2, 2, true },
	      { "check", 0, -1, false }, { "list", 0, 1, false } };

static int run_part(struct account_tool *t, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
		const struct part *p = &PARTS[i];
		if (strcmp(p->name, name) != 0)
			continue;
		if (t->n_words < p->least)
			return options_usage(&t->options, "%s: %d argument%s missing", name, p->least - t->n_words,
					     p->least - t->n_words == 1 ? " is" : "s are");
		if (p->most >= 0 && t->n_words > p->most)
			return options_usage(&t->options, "%s: \"%s\" is one argument too many", name, t->words[p->most]);
		if (p->writes)
			return account_write(t, name);
		return strcmp(name, "check") == 0 ? account_check(t) : account_list(t);
	}
	const char *names[ARRAY_LEN(PARTS) + 1] = { NULL };
	for (size_t i = 0; i < ARRAY_LEN(PARTS); i++)
		names[i] = PARTS[i].name;
	return options_word(&t->options, "part", name, names);
}

int tool_account(int argc, char **argv)
{
	CLEANUP(account_tool_close) struct account_tool t = { .options.verb = argv[0], .calls = -1, .version = -1 };
	CLEANUP(freep) const char **words = xcalloc((size_t)argc + 1, sizeof(*words));
	const struct option_row rows[] = {
		{ "time", OPTION_TEXT, &t.time, "T", "activate: RFC 3339 with offset, such as 2019-12-03T08:00:00+08:00" },
		{ "id", OPTION_TEXT, &t.id, "ID", "activate: its name (activation)" },
		{ "services", OPTION_TEXT, &t.services, "A,B,…", "pack: ids of the services that share it" },
		{ "calls", OPTION_INT, &t.calls, "N", "pack: how many it holds" },
		{ "price", OPTION_TEXT, &t.price, "P", "pack: what was paid for it; kept, not charged" },
		{ "start", OPTION_TEXT, &t.start, "T", "pack: valid in every month that [start, expiry) touches" },
		{ "expiry", OPTION_TEXT, &t.expiry, "T", "pack: exclusive" },
		{ "warn", OPTION_TEXT, &t.warn, "SHARE", "pack: raises pack.warning (0.8); none: no warning" },
		{ "from", OPTION_TEXT, &t.from, "YYYY-MM", "cancel: the first month without it" },
		{ "version", OPTION_INT, &t.version, "N", "instead of the newest that is known, plus 1" },
		{ "dry-run", OPTION_FLAG, &t.dry_run, NULL, "print the event, produce nothing; with --version Kafka is not asked" },
		{ "log", OPTION_FLAG, &t.as_log, NULL, "check: the lines are the whole topic in its order; judge versions and cancellations too" },
		{ "bootstrap", OPTION_TEXT, &t.bootstrap, "HOST:PORT", "Kafka, where there is no configuration" },
	};
	bool help = false;
	int code = options_parse(&t.options, argc, argv, rows, ARRAY_LEN(rows), words, 1, argc);
	for (int i = 1; i < argc; i++)
		help = help || strcmp(argv[i], "--help") == 0;
	if (code == EXIT_DONE && help)
		fputs(manual, stdout);
	if (code != OPTIONS_GO_ON)
		return code;
	t.words = words + 1;
	t.n_words = t.options.n_words - 1;
	return run_part(&t, words[0]);
}
