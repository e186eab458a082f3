// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/span.h"

enum metric_type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM };
static const struct row {
	const char *name, *labels, *help;
	enum metric_type type;
	int64_t scale;
} rows[METRIC_COUNT] = {
#define METRIC(id, name_, type_, labels_, scale_, help_)                                                                           \
	[METRIC_##id] = { .name = name_, .labels = labels_, .help = help_, .type = TYPE_##type_, .scale = scale_ },
#include "tbl/metric.def"
#undef METRIC
};

void histogram_add(struct histogram *h, int64_t us)
{
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		h->at_most[i] += us <= (int64_t)HISTOGRAM_FIRST_US << i;
	h->total++;
	h->sum_us += us > 0 ? (uint64_t)us : 0;
}

void histogram_sum(struct histogram *into, const struct histogram *h)
{
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->at_most[i] += h->at_most[i];
	into->total += h->total;
	into->sum_us += h->sum_us;
}

const char *metric_name(enum metric id)
{
	check(id < METRIC_COUNT);
	return rows[id].name;
}

void metric_begin(struct metrics *m, enum metric id)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	check(id < METRIC_COUNT && !m->begun[id]);
	m->begun[id] = true;
	m->now = id;
	fprintf(m->to, "# HELP %s ", rows[id].name);
	for (const char *c = rows[id].help; *c != '\0'; c++)
		fputs(*c == '\\' ? "\\\\" : (char[]){ *c, '\0' }, m->to);
	fprintf(m->to, "\n# TYPE %s %s\n", rows[id].name, types[rows[id].type]);
}

// `value` of units of which `scale` make one: 1234 by 1000 is 1.234. Exact, no floats.
static void print_scaled(FILE *to, int64_t value, int64_t scale)
{
	int digits = 0;
	for (int64_t s = scale; s > 1; s /= 10)
		digits++;
	uint64_t size = value < 0 ? -(uint64_t)value : (uint64_t)value, whole = size / (uint64_t)scale, rest = size % (uint64_t)scale;
	fprintf(to, "%s%" PRIu64, value < 0 ? "-" : "", whole);
	if (rest == 0)
		return;
	char text[24];
	int n = snprintf(text, sizeof(text), "%0*" PRIu64, digits, rest);
	while (text[n - 1] == '0')
		text[--n] = '\0';
	fprintf(to, ".%s", text);
}

static void print_labels(FILE *to, const char *names, const char *const *values)
{
	const char *before = "{";
	for (int i = 0; *names != '\0'; i++) {
		size_t n = strcspn(names, ",");
		fprintf(to, "%s%.*s=\"", before, (int)n, names);
		for (const char *c = values[i]; *c != '\0'; c++) {
			if (*c == '\\' || *c == '"')
				fputc('\\', to);
			fputs(*c == '\n' ? "\\n" : (char[]){ *c, '\0' }, to);
		}
		fputc('"', to);
		before = ",";
		names += n + (names[n] == ',');
	}
	if (*before == ',')
		fputc('}', to);
}

void metric_value(struct metrics *m, const char *const *labels, int64_t value)
{
	const struct row *row = &rows[m->now];
	check(m->begun[m->now] && row->type != TYPE_HISTOGRAM);
	check((labels != NULL) == (row->labels[0] != '\0'));
	fputs(row->name, m->to);
	print_labels(m->to, row->labels, labels);
	fputc(' ', m->to);
	print_scaled(m->to, value, row->scale);
	fputc('\n', m->to);
}

void metric_histogram(struct metrics *m, const struct histogram *h)
{
	const struct row *row = &rows[m->now];
	check(m->begun[m->now] && row->type == TYPE_HISTOGRAM);
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		fprintf(m->to, "%s_bucket{le=\"", row->name);
		print_scaled(m->to, (int64_t)HISTOGRAM_FIRST_US << i, row->scale);
		fprintf(m->to, "\"} %" PRIu64 "\n", h->at_most[i]);
	}
	fprintf(m->to, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum ", row->name, h->total, row->name);
	print_scaled(m->to, (int64_t)h->sum_us, row->scale);
	fprintf(m->to, "\n%s_count %" PRIu64 "\n", row->name, h->total);
}

// ---- process_*

static bool read_file(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return false;
	size_t n = fread(buf, 1, size - 1, f);
	fclose(f);
	buf[n] = '\0';
	return n > 0;
}

// Field `wanted` of /proc/self/stat, from 1. Fields are counted from behind the last ')', since the name may hold anything.
static bool stat_field(const char *text, int wanted, int64_t *ret)
{
	const char *at = strrchr(text, ')');
	for (int field = 2; at != NULL && field < wanted; field++)
		at = strchr(at + 1, ' ');
	if (at == NULL)
		return false;
	return span_int64((struct span){ at + 1, strcspn(at + 1, " \n") }, ret);
}

// The line stands behind one a processor, which may be long.
static bool boot_time_s(int64_t *ret)
{
	FILE *f = fopen("/proc/stat", "re");
	char *line = NULL;
	size_t size = 0;
	bool found = false;
	while (f != NULL && !found && getline(&line, &size, f) >= 0)
		found = strncmp(line, "btime ", 6) == 0 && span_int64((struct span){ line + 6, strcspn(line + 6, "\n") }, ret);
	free(line);
	if (f != NULL)
		fclose(f);
	return found;
}

static int64_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int64_t n = -3; // ".", ".." and the folder itself
	if (d == NULL)
		return -1;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void one(struct metrics *m, enum metric id, int64_t value)
{
	metric_begin(m, id);
	metric_value(m, NULL, value);
}

void metrics_process(struct metrics *m)
{
	char stat[4096];
	int64_t tick = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE), user, system, start, boot, v;
	if (read_file("/proc/self/stat", stat, sizeof(stat))) {
		if (stat_field(stat, 14, &user) && stat_field(stat, 15, &system))
			one(m, METRIC_PROCESS_CPU, (user + system) * 1000 / tick);
		if (stat_field(stat, 22, &start) && boot_time_s(&boot))
			one(m, METRIC_PROCESS_START, boot * 1000 + start * 1000 / tick);
		if (stat_field(stat, 24, &v))
			one(m, METRIC_PROCESS_RESIDENT, v * page);
		if (stat_field(stat, 23, &v))
			one(m, METRIC_PROCESS_VIRTUAL, v);
	}
	if ((v = count_fds()) >= 0)
		one(m, METRIC_PROCESS_FDS, v);
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= INT64_MAX)
		one(m, METRIC_PROCESS_MAX_FDS, (int64_t)limit.rlim_cur);
}
