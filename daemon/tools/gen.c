// SPDX-License-Identifier: Apache-2.0
// meterctl gen: the generator's records to Kafka or to stdout.
//
// Each partition gets its records in order of their stamps; with a fixed time span the log ends with a tick in each partition,
// stamped close(m) of the last month, so that this month can be settled too (design.md, section 9).
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "decode/decode.h"
#include "model/kafka_conf.h"
#include "sink/sink.h"
#include "tools/gen_events.h"
#include "tools/kafka_args.h"
#include "tools/progress.h"
#include "tools/stop.h"
#include "tools/terminal.h"
#include "tools/tools.h"

enum { CATALOG_MOST = 4 * 1024 * 1024 };

struct gen_args {
	struct kafka_args kafka;
	struct gen_options o;
	const char *topic, *from, *to, *zone, *catalog;
	int64_t rate;
	bool to_stdout, dry_run, no_ticks, help;
};

struct gen_run {
	const struct gen_args *a;
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	int32_t partitions;
	int64_t counts[GEN_KINDS], ticks, undelivered;
	bool stopped;
	char why[256];
};

static const char usage[] =
	"usage: meterctl gen [--config FILE | --bootstrap HOST:PORT] [--topic T] [options]\n"
	"  --events N (100000)  --accounts N (300)  --seed S (1)\n"
	"  --from T --to T      record stamps, a month or RFC 3339 (2020-01, 2021-01)\n"
	"  --rate N             live traffic stamped now, N a second, instead of a fixed span; no ticks\n"
	"  --max-calls N        most units a call of the first account bills (10000)\n"
	"  --duplicates N --invalid N --late N --not-billable N --items N --cloudevents N\n"
	"                       parts in a thousand (5, 2, 1, 30, 30, 200)\n"
	"  --catalog FILE       its services and aliases (the price list of 2020)\n"
	"  --zone NAME          of the months (Asia/Shanghai)  --grace DURATION in hours, such as 24h\n"
	"  --no-ticks           do not end the log with a tick in each partition\n"
	"  --stdout             values, one a line, instead of Kafka  --dry-run  only count\n";

// ---- arguments

static bool number(const char *name, const char *text, int64_t low, int64_t high, int64_t *ret)
{
	int64_t v;
	if (span_int64(span_of(text), &v) && v >= low && v <= high) {
		*ret = v;
		return true;
	}
	fprintf(stderr, "meterctl gen: --%s takes an integer from %" PRId64 " to %" PRId64 "\n", name, low, high);
	return false;
}

static bool permille(const char *name, const char *text, int *ret)
{
	int64_t v;
	if (!number(name, text, 0, 1000, &v))
		return false;
	*ret = (int)v;
	return true;
}

static bool hours(const char *text, int64_t *ret_ms)
{
	size_t n = strlen(text);
	int64_t v;
	if (n < 2 || text[n - 1] != 'h' || !span_int64((struct span){ text, n - 1 }, &v) || v < 0 || v > 1000) {
		fprintf(stderr, "meterctl gen: --grace takes hours, such as 24h\n");
		return false;
	}
	*ret_ms = v * 3600000;
	return true;
}

enum { OPT_CONFIG = 1000, OPT_BOOTSTRAP, OPT_TOPIC, OPT_FROM, OPT_TO, OPT_ZONE, OPT_CATALOG, OPT_EVENTS, OPT_ACCOUNTS, OPT_SEED,
       OPT_RATE, OPT_MAX_CALLS, OPT_GRACE, OPT_DUPLICATES, OPT_INVALID, OPT_LATE, OPT_NOT_BILLABLE, OPT_ITEMS, OPT_CLOUDEVENTS,
       OPT_STDOUT, OPT_DRY_RUN, OPT_NO_TICKS, OPT_HELP };

static const struct option options[] = {
	{ "config", 1, NULL, OPT_CONFIG },	 { "bootstrap", 1, NULL, OPT_BOOTSTRAP },
	{ "topic", 1, NULL, OPT_TOPIC },	 { "from", 1, NULL, OPT_FROM },
	{ "to", 1, NULL, OPT_TO },		 { "zone", 1, NULL, OPT_ZONE },
	{ "catalog", 1, NULL, OPT_CATALOG },	 { "events", 1, NULL, OPT_EVENTS },
	{ "accounts", 1, NULL, OPT_ACCOUNTS },	 { "seed", 1, NULL, OPT_SEED },
	{ "rate", 1, NULL, OPT_RATE },		 { "max-calls", 1, NULL, OPT_MAX_CALLS },
	{ "grace", 1, NULL, OPT_GRACE },	 { "duplicates", 1, NULL, OPT_DUPLICATES },
	{ "invalid", 1, NULL, OPT_INVALID },	 { "late", 1, NULL, OPT_LATE },
	{ "not-billable", 1, NULL, OPT_NOT_BILLABLE }, { "items", 1, NULL, OPT_ITEMS },
	{ "cloudevents", 1, NULL, OPT_CLOUDEVENTS }, { "stdout", 0, NULL, OPT_STDOUT },
	{ "dry-run", 0, NULL, OPT_DRY_RUN },	 { "no-ticks", 0, NULL, OPT_NO_TICKS },
	{ "help", 0, NULL, OPT_HELP },		 { NULL, 0, NULL, 0 },
};

static bool take_number_option(struct gen_args *a, int opt, const char *name, const char *v)
{
	int64_t seed;
	switch (opt) {
	case OPT_EVENTS: return number(name, v, 1, INT64_C(1000000000000), &a->o.events);
	case OPT_ACCOUNTS: return number(name, v, 1, 10000000, &a->o.accounts);
	case OPT_RATE: return number(name, v, 1, 10000000, &a->rate);
	case OPT_MAX_CALLS: return number(name, v, 1, 1000000000, &a->o.max_calls);
	case OPT_GRACE: return hours(v, &a->o.grace_ms);
	case OPT_DUPLICATES: return permille(name, v, &a->o.duplicates);
	case OPT_INVALID: return permille(name, v, &a->o.invalid);
	case OPT_LATE: return permille(name, v, &a->o.late);
	case OPT_NOT_BILLABLE: return permille(name, v, &a->o.not_billable);
	case OPT_ITEMS: return permille(name, v, &a->o.items);
	case OPT_CLOUDEVENTS: return permille(name, v, &a->o.cloudevents);
	case OPT_SEED:
		if (!number(name, v, 0, INT64_MAX, &seed))
			return false;
		a->o.seed = (uint64_t)seed;
		return true;
	default: return false;
	}
}

static bool take_option(struct gen_args *a, int opt, const char *name, const char *v)
{
	switch (opt) {
	case OPT_CONFIG: a->kafka.config = v; return true;
	case OPT_BOOTSTRAP: a->kafka.bootstrap = v; return true;
	case OPT_TOPIC: a->topic = v; return true;
	case OPT_FROM: a->from = v; return true;
	case OPT_TO: a->to = v; return true;
	case OPT_ZONE: a->zone = v; return true;
	case OPT_CATALOG: a->catalog = v; return true;
	case OPT_STDOUT: a->to_stdout = true; return true;
	case OPT_DRY_RUN: a->dry_run = true; return true;
	case OPT_NO_TICKS: a->no_ticks = true; return true;
	case OPT_HELP: a->help = true; return true;
	default: return take_number_option(a, opt, name, v);
	}
}

static bool parse_args(struct gen_args *a, int argc, char **argv)
{
	int index = 0, opt;
	optind = 1;
	while ((opt = getopt_long(argc, argv, "", options, &index)) != -1)
		if (opt == '?' || !take_option(a, opt, options[index].name, optarg))
			return false;
	if (optind < argc)
		fprintf(stderr, "meterctl gen: %s is not understood\n", argv[optind]);
	return optind == argc;
}

static bool parse_span(struct gen_args *a)
{
	const struct zone *z = a->o.zone;
	int64_t from, to;
	if (!tool_parse_time(z, a->from, &from) || !tool_parse_time(z, a->to, &to) || from >= to ||
	    period_month(z, from) == MONTH_NONE || period_month(z, to - 1) == MONTH_NONE) {
		fprintf(stderr, "meterctl gen: --from and --to take a month (2020-01) or an RFC 3339 time, the first below the second\n");
		return false;
	}
	a->o.from_ms = from;
	a->o.to_ms = to;
	return true;
}

static int load_catalog(const char *file, struct catalog **ret)
{
	CLEANUP(freep) char *text = NULL;
	size_t n = 0;
	struct error e = { 0 };
	if (file_read(file, CATALOG_MOST, &text, &n, &e) != ERROR_NONE) {
		fprintf(stderr, "meterctl gen: %s: %s\n", file, e.text);
		return EXIT_CONFIG_ERR;
	}
	struct faults faults = { 0 };
	*ret = catalog_parse(file, (struct span){ text, n }, &faults);
	if (*ret == NULL)
		faults_print(&faults, (struct span){ text, n }, stderr);
	faults_free(&faults);
	return *ret != NULL ? EXIT_DONE : EXIT_CONFIG_ERR;
}

// ---- Kafka

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct gen_run *r = opaque;
	(void)rk;
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	if (r->undelivered++ == 0)
		snprintf(r->why, sizeof(r->why), "%s", rd_kafka_err2str(m->err));
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	(void)rk;
	(void)err;
	(void)opaque;
	fprintf(stderr, "meterctl gen: %s\n", reason);
}

static enum error_class open_producer(struct gen_run *r, struct error *e)
{
	const struct kafka_options *o = &r->a->kafka.o;
	const struct kafka_pair pairs[] = {
		{ "enable.idempotence", o->embedded ? "false" : "true" },
		{ "partitioner", "murmur2_random" },
		{ "compression.type", "lz4" },
		{ "delivery.report.only.error", "true" },
		{ "linger.ms", r->a->rate > 0 ? "5" : "50" },
		{ "batch.num.messages", "5000" },
		{ "queue.buffering.max.messages", "30000" },
		{ NULL, NULL },
	};
	rd_kafka_conf_t *conf = NULL;
	char why[512];
	if (kafka_conf_make(o, pairs, &conf, e) != ERROR_NONE)
		return e->cls;
	rd_kafka_conf_set_opaque(conf, r);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	r->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (r->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the producer cannot be made: %s", why);
	}
	const char *name = r->a->topic != NULL ? r->a->topic : o->input_topics[0];
	r->topic = rd_kafka_topic_new(r->rk, name, NULL);
	struct topic_info info;
	struct kafka_options plain = *o;
	plain.embedded = true; // only the number of partitions is asked for
	if (topic_describe(&plain, name, 10000, &info, e) != ERROR_NONE)
		return e->cls;
	if (!info.exists)
		return error_set(e, ERROR_ABORT, EXIT_LATER, "topic %s does not exist; create it first", name);
	r->partitions = info.partitions;
	return ERROR_NONE;
}

static void close_producer(struct gen_run *r)
{
	if (r->topic != NULL)
		rd_kafka_topic_destroy(r->topic);
	if (r->rk != NULL)
		rd_kafka_destroy(r->rk);
}

static rd_kafka_headers_t *headers_of(const struct gen_record *rec)
{
	if (rec->n_headers == 0)
		return NULL;
	rd_kafka_headers_t *h = rd_kafka_headers_new(rec->n_headers);
	for (uint32_t i = 0; i < rec->n_headers; i++)
		rd_kafka_header_add(h, rec->headers[i].name.p, (ssize_t)rec->headers[i].name.n, rec->headers[i].value.p,
				    (ssize_t)rec->headers[i].value.n);
	return h;
}

static rd_kafka_resp_err_t produce(struct gen_run *r, int32_t partition, const struct gen_record *rec)
{
	rd_kafka_headers_t *h = headers_of(rec);
	rd_kafka_vu_t vu[] = {
		{ .vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = r->topic },
		{ .vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition },
		{ .vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY },
		{ .vtype = RD_KAFKA_VTYPE_KEY, .u.mem = { (void *)(uintptr_t)rec->key.p, rec->key.n } },
		{ .vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = { (void *)(uintptr_t)rec->value.p, rec->value.n } },
		{ .vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = rec->timestamp_ms },
		{ .vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = h },
	};
	rd_kafka_error_t *e = rd_kafka_produceva(r->rk, vu, h != NULL ? 7 : 6);
	if (e == NULL)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	rd_kafka_resp_err_t err = rd_kafka_error_code(e);
	rd_kafka_error_destroy(e);
	if (h != NULL)
		rd_kafka_headers_destroy(h);
	return err;
}

static enum error_class deliver(struct gen_run *r, int32_t partition, const struct gen_record *rec, struct error *e)
{
	for (;;) {
		rd_kafka_resp_err_t err = produce(r, partition, rec);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			return ERROR_NONE;
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			return error_set(e, ERROR_RETRY, 0, "Kafka does not take the events: %s", rd_kafka_err2str(err));
		rd_kafka_poll(r->rk, 100);
		if (r->undelivered > 0)
			return error_set(e, ERROR_RETRY, 0, "events were not delivered: %s", r->why);
	}
}

static enum error_class send_ticks(struct gen_run *r, struct error *e)
{
	const struct zone *z = r->a->o.zone;
	int64_t stamp = period_end_ms(z, period_month(z, r->a->o.to_ms - 1)) + r->a->o.grace_ms;
	struct gen_record tick = { .timestamp_ms = stamp, .n_headers = 1 };
	tick.headers[0] = (struct header){ SPAN_LIT(TICK_HEADER), SPAN_LIT("gen") };
	enum error_class c = ERROR_NONE;
	for (int32_t p = 0; p < r->partitions && c == ERROR_NONE; p++, r->ticks++)
		c = deliver(r, p, &tick, e);
	return c;
}

// ---- the run

static void wait_for_turn(const struct gen_run *r, int64_t start_us, int64_t i)
{
	int64_t due_us = start_us + (int64_t)((unsigned __int128)i * 1000000 / (uint64_t)r->a->rate);
	int64_t early_us = due_us - clock_mono_us();
	if (r->rk != NULL)
		rd_kafka_poll(r->rk, 0);
	if (early_us > 1000)
		clock_sleep_ms(early_us / 1000);
}

static enum error_class run(struct gen_run *r, struct gen *g, struct error *e)
{
	const struct gen_args *a = r->a;
	int64_t start_us = clock_mono_us();
	enum error_class c = ERROR_NONE;
	struct gen_record rec;
	CLEANUP(progress_end) struct progress shown;
	progress_begin(&shown, "gen", "events made");
	bool on_screen = a->to_stdout && terminal_is(stdout); // they go by before one's eyes
	for (int64_t i = 0; i < a->o.events && c == ERROR_NONE && !r->stopped; i++) {
		if (a->rate > 0)
			wait_for_turn(r, start_us, i);
		gen_next(g, a->rate > 0 ? clock_wall_ms() : TIME_NONE, &rec);
		r->counts[rec.kind]++;
		if (r->rk != NULL)
			c = deliver(r, RD_KAFKA_PARTITION_UA, &rec, e);
		else if (a->to_stdout && (fwrite(rec.value.p, 1, rec.value.n, stdout) < rec.value.n || putchar('\n') == EOF))
			c = error_set(e, ERROR_ABORT, EXIT_LATER, "stdout cannot be written");
		if ((i & 0xfff) == 0 || a->rate > 0)
			r->stopped = stop_wait(0);
		if ((i & 0xfff) == 0 && r->rk != NULL)
			rd_kafka_poll(r->rk, 0);
		if (((i & 0xfff) == 0 || a->rate > 0) && !on_screen)
			progress_show(&shown, (uint64_t)i, (uint64_t)a->o.events);
	}
	if (c == ERROR_NONE && r->rk != NULL && a->rate == 0 && !a->no_ticks && !r->stopped)
		c = send_ticks(r, e);
	while (r->rk != NULL && rd_kafka_outq_len(r->rk) > 0 && r->undelivered == 0)
		rd_kafka_poll(r->rk, 100);
	if (c == ERROR_NONE && r->undelivered > 0)
		c = error_set(e, ERROR_RETRY, 0, "%" PRId64 " events were not delivered: %s", r->undelivered, r->why);
	return c;
}

static void summary(const struct gen_run *r, int64_t took_us)
{
	int64_t n = 0;
	for (int k = 0; k < GEN_KINDS; k++)
		n += r->counts[k];
	fprintf(stderr, "%" PRId64 " events in %" PRId64 " ms:", n, took_us / 1000);
	for (int k = 0; k < GEN_KINDS; k++)
		fprintf(stderr, " %s %" PRId64, gen_kind_text((enum gen_kind)k), r->counts[k]);
	fprintf(stderr, "; ticks %" PRId64 "\n", r->ticks);
}

static int generate(struct gen_args *a)
{
	struct gen_run r = { .a = a };
	struct error e = { 0 };
	enum error_class c = a->to_stdout || a->dry_run ? ERROR_NONE : open_producer(&r, &e);
	int64_t start_us = clock_mono_us();
	if (c == ERROR_NONE) {
		CLEANUP(gen_freep) struct gen *g = gen_open(&a->o);
		c = run(&r, g, &e);
		summary(&r, clock_mono_us() - start_us);
	}
	close_producer(&r);
	return c == ERROR_NONE ? EXIT_DONE : tool_fail("gen", &e);
}

static int with_zone(struct gen_args *a)
{
	CLEANUP(zone_freep) struct zone *z = NULL;
	CLEANUP(catalog_freep) struct catalog *catalog = NULL;
	struct error e = { 0 };
	if (zone_open(a->zone, &z, &e) != ERROR_NONE)
		return tool_fail("gen", &e);
	a->o.zone = z;
	a->o.no_headers = a->to_stdout;
	if (!parse_span(a))
		return EXIT_USAGE_ERR;
	int code = a->catalog != NULL ? load_catalog(a->catalog, &catalog) : EXIT_DONE;
	a->o.catalog = catalog;
	return code != EXIT_DONE ? code : generate(a);
}

int tool_gen(int argc, char **argv)
{
	struct gen_args a = { .o = { .events = 100000, .accounts = 300, .max_calls = 10000, .seed = 1, .grace_ms = 24 * 3600000,
				     .duplicates = 5, .invalid = 2, .late = 1, .cloudevents = 200, .not_billable = 30,
				     .items = 30 },
			      .from = "2020-01", .to = "2021-01", .zone = "Asia/Shanghai" };
	if (!parse_args(&a, argc, argv) || a.help) {
		fputs(usage, a.help ? stdout : stderr);
		return a.help ? EXIT_DONE : EXIT_USAGE_ERR;
	}
	stop_block();
	int code = kafka_args_open(&a.kafka, "gen");
	if (code == EXIT_DONE)
		code = with_zone(&a);
	kafka_args_close(&a.kafka);
	return code;
}
