// SPDX-License-Identifier: Apache-2.0
// The configuration file: the sample, what is read, what is printed, and the catalogue of faults. With UPDATE=1 in the
// environment the sample and the expected texts are written anew: read the difference before it is committed.
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "settings/row.h"
#include "settings/settings.h"

static char *text_of(void (*print)(const struct settings *, FILE *), const struct settings *s)
{
	char *out = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&out, &n);
	if (print != NULL)
		print(s, to);
	else
		settings_print_sample(to);
	fclose(to);
	return out;
}

static char *printed_faults(const struct faults *f, struct span text)
{
	char *out = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&out, &n);
	faults_print(f, text, to);
	fclose(to);
	return out;
}

static struct settings *parsed(const char *file, const char *text)
{
	struct faults f = { 0 };
	struct settings *s = settings_parse(file, span_of(text), &f);
	CLEANUP(freep) char *why = printed_faults(&f, span_of(text));
	cr_assert(s != NULL, "%s", why);
	faults_free(&f);
	return s;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	cr_assert(f != NULL);
	fputs(text, f);
	cr_assert(fclose(f) == 0);
}

static void update_file(const char *path, const char *text)
{
	if (getenv("UPDATE") != NULL)
		write_file(path, text);
}

Test(settings, sample_is_the_committed_file)
{
	CLEANUP(freep) char *sample = text_of(NULL, NULL);
	update_file(SOURCE_DIR "/config/meterd.yaml", sample);
	CLEANUP(freep) char *file = NULL;
	size_t n = 0;
	struct error e = { 0 };
	cr_assert(file_read(SOURCE_DIR "/config/meterd.yaml", SETTINGS_FILE_MOST, &file, &n, &e) == ERROR_NONE, "%s", e.text);
	cr_expect_str_eq(sample, file, "config/meterd.yaml differs from what settings.def says: run this test with UPDATE=1");
}

// Also with every line taken out of its comment: a default must be a legal value as text.
Test(settings, sample_reads_as_the_defaults)
{
	CLEANUP(freep) char *sample = text_of(NULL, NULL);
	CLEANUP(settings_freep) struct settings *defaults = parsed("/etc/meterd.yaml", ""), *asis = parsed("/etc/meterd.yaml", sample);
	CLEANUP(freep) char *a = text_of(settings_print, defaults), *b = text_of(settings_print, asis);
	cr_expect_str_eq(a, b);
	cr_expect(strstr(a, "# default:") == NULL);
	for (char *p = sample; *p != '\0'; p++) {
		bool comment = *p == '#' && (p[1] == ' ' || p[1] == '\n');
		if (*p == '#' && !comment)
			memmove(p, p + 1, strlen(p));
		p += strcspn(p, "\n#");
		if (comment)
			p += strcspn(p + 1, "\n");
		if (*p == '\0')
			break;
	}
	cr_expect(strstr(sample, "\ninstance: meterd\n") != NULL);
	CLEANUP(settings_freep) struct settings *all = parsed("/etc/meterd.yaml", sample);
	CLEANUP(freep) char *c = text_of(settings_print, all);
	cr_expect_str_eq(a, c);
}

Test(settings, every_row_is_in_the_sample_with_advice)
{
	CLEANUP(freep) char *sample = text_of(NULL, NULL);
	for (int i = 0; i < ROWS; i++) {
		const char *dot = strrchr(rows[i].path, '.');
		CLEANUP(freep) char *line = xasprintf("#%s: ", dot != NULL ? dot + 1 : rows[i].path);
		cr_expect(strstr(sample, line) != NULL, "%s", rows[i].path);
		size_t n = strlen(rows[i].help);
		cr_expect(n > 20 && rows[i].help[n - 1] == '.', "%s: its advice is not a sentence", rows[i].path);
	}
}

static const char *const everything =
	"instance: m-1\nworkers: 3\ncatalog: books/prices.yaml\nstate_dir: /var/lib/meterd\nclock: records\n"
	"kafka:\n  bootstrap: k1:9092,[::1]:9093\n  group: g.1\n  session_timeout: 45s\n  fetch_max_bytes: 2000B\n  queued_max: 1MiB\n  embedded: true\n"
	"topics:\n  input: [a, \"b\"]\n  alerts: al\n  settlements: se\n  control: co\n  accounts: ac\n  dlq: dl\n"
	"redis:\n  url: unix:///run/r.sock?db=3\n  user: u\n  password_file: pw\n  prefix: \"x-\"\n  timeout: 2500ms\n  shards: 256\n"
	"event:\n  fields:\n    id: i\n    account: \"the \\\"uid\\\"\"\n    service: s\n    time: t\n    calls: c\n    status: st\n    items: it\n  max_future: 0s\n"
	"dedupe:\n  enabled: false\n  generation_bits: 4\n  generations: 1\n  max_age: 1h\nclose:\n  grace: 259199999ms\nrules:\n  lead: 1m\n"
	"flush:\n  max_interval: 1ms\n  max_events: 10\n  max_deltas: 10\n  idle_advance: 60s\nhttp:\n  listen: \"[::1]:0\"\nlog:\n  level: error\n";

Test(settings, values_and_views)
{
	CLEANUP(settings_freep) struct settings *s = parsed("/etc/meterd/m.yaml", everything);
	struct kafka_options k;
	settings_kafka(s, &k);
	cr_expect_str_eq(k.bootstrap, "k1:9092,[::1]:9093");
	cr_expect_str_eq(k.group, "g.1");
	cr_expect(strcmp(k.input_topics[0], "a") == 0 && strcmp(k.input_topics[1], "b") == 0 && k.input_topics[2] == NULL);
	cr_expect_str_eq(k.alerts_topic, "al");
	cr_expect_str_eq(k.settlements_topic, "se");
	cr_expect_str_eq(k.control_topic, "co");
	cr_expect_str_eq(k.accounts_topic, "ac");
	cr_expect_str_eq(k.dlq_topic, "dl");
	cr_expect(k.session_timeout_ms == 45000 && k.fetch_max_bytes == 2000 && k.queued_max_kbytes == 1024 && k.embedded);
	struct rules_settings r;
	settings_rules(s, &r);
	cr_expect_str_eq(r.fields.id, "i");
	cr_expect_str_eq(r.fields.account, "the \"uid\"");
	cr_expect_str_eq(r.fields.service, "s");
	cr_expect_str_eq(r.fields.time, "t");
	cr_expect_str_eq(r.fields.calls, "c");
	cr_expect_str_eq(r.fields.status, "st");
	cr_expect_str_eq(r.fields.items, "it");
	cr_expect(r.max_future_ms == 0 && !r.dedupe && r.generation_bits == 4 && r.generations == 1 && r.dedupe_max_age_ms == 3600000);
	cr_expect(r.close_grace_ms == 259199999 && r.clock == CLOCK_RECORDS && r.lead_ms == 60000);
	cr_expect(s->workers == 3 && s->flush_idle_advance == 60000 && s->log_level == LVL_ERROR && s->on_state_loss == ON_STATE_LOSS_HALT);
	cr_expect_str_eq(s->catalog, "/etc/meterd/books/prices.yaml");
	cr_expect_str_eq(s->state_dir, "/var/lib/meterd");
	cr_expect_str_eq(s->redis_password_file, "/etc/meterd/pw");
}

Test(settings, printed_settings_read_back_the_same_anywhere)
{
	CLEANUP(settings_freep) struct settings *s = parsed("conf/m.yaml", everything);
	CLEANUP(freep) char *first = text_of(settings_print, s);
	CLEANUP(settings_freep) struct settings *again = parsed("/elsewhere/m.yaml", first);
	CLEANUP(freep) char *second = text_of(settings_print, again);
	const char *a = strchr(first, '\n'), *b = strchr(second, '\n'); // the first line names the file
	cr_assert(a != NULL && b != NULL);
	cr_expect_str_eq(again->catalog + strlen(again->catalog) - strlen("/conf/books/prices.yaml"), "/conf/books/prices.yaml");
	for (int i = 0; i < ROWS; i++) {
		const char *dot = strrchr(rows[i].path, '.');
		CLEANUP(freep) char *line = xasprintf("%s: ", dot != NULL ? dot + 1 : rows[i].path);
		cr_expect(strstr(first, line) != NULL, "%s", rows[i].path);
	}
	cr_expect(strstr(first, "workers: 3  # default: 1\n") != NULL);
	cr_expect_str_eq(a, b);
}

static char *scratch(void)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/meterd-test-XXXXXX", tmp != NULL ? tmp : P_tmpdir);
	cr_assert(mkdtemp(dir) != NULL);
	return dir;
}

Test(settings, password_comes_from_a_file)
{
	CLEANUP(freep) char *dir = scratch();
	CLEANUP(freep) char *config = xasprintf("%s/m.yaml", dir), *secret = xasprintf("%s/pw", dir);
	CLEANUP(settings_freep) struct settings *s = parsed(config, "redis:\n  user: u\n  password_file: pw\n  timeout: 2s\n");
	struct store_options o;
	struct error e = { 0 };
	cr_expect(settings_store(s, &o, &e) == ERROR_ABORT && e.exit_code == EXIT_CONFIG_ERR);
	CLEANUP(freep) char *text = xasprintf("redis.password_file %s: cannot be read (No such file or directory): check the path", secret);
	cr_expect_str_eq(e.text, text);
	write_file(secret, "\nhunter2\n");
	e = (struct error){ 0 };
	cr_expect(settings_store(s, &o, &e) == ERROR_ABORT);
	cr_expect(strstr(e.text, "first line is empty") != NULL);
	write_file(secret, "hunter2\r\nsecond line\n");
	e = (struct error){ 0 };
	cr_assert(settings_store(s, &o, &e) == ERROR_NONE);
	cr_expect_str_eq(o.password, "hunter2");
	cr_expect_str_eq(o.user, "u");
	cr_expect(o.timeout_ms == 2000 && o.shards == 16);
	cr_expect_str_eq(o.prefix, "meterd:");
	CLEANUP(freep) char *shown = text_of(settings_print, s);
	cr_expect(strstr(shown, "hunter2") == NULL);
	unlink(secret);
	rmdir(dir);
}

Test(settings, no_user_and_no_password)
{
	CLEANUP(settings_freep) struct settings *s = parsed("m.yaml", "");
	struct store_options o;
	struct error e = { 0 };
	cr_assert(settings_store(s, &o, &e) == ERROR_NONE);
	cr_expect(o.user == NULL && o.password == NULL);
	cr_expect_str_eq(s->catalog, "catalog.yaml");
}

// Where the build has no TLS to Redis, the settings are refused, not the first connection.
Test(settings, redis_over_tls)
{
	const char *text = "redis:\n  url: rediss://redis.example:6380/2\n  tls_ca_file: ca.pem\n  tls_cert_file: own.pem\n  tls_key_file: /keys/own.pem\n";
	struct faults f = { 0 };
	CLEANUP(settings_freep) struct settings *s = settings_parse("conf/m.yaml", (struct span){ text, strlen(text) }, &f);
	if (!store_redis_tls()) {
		cr_assert(s == NULL && f.n == 1);
		cr_expect_str_eq(f.list[0].text, "redis.url: " STORE_NO_TLS);
	} else {
		cr_assert(s != NULL && f.n == 0);
		struct store_options o;
		struct error e = { 0 };
		cr_assert(settings_store(s, &o, &e) == ERROR_NONE);
		cr_expect_str_eq(o.ca_file, "conf/ca.pem");
		cr_expect_str_eq(o.cert_file, "conf/own.pem");
		cr_expect_str_eq(o.key_file, "/keys/own.pem");
	}
	faults_free(&f);
}

static void load_refused(const char *path, const char *why)
{
	struct faults f = { 0 };
	char *text = (char *)"untouched";
	size_t n = 1;
	cr_expect(settings_load(path, &f, &text, &n) == NULL && n == 0);
	cr_assert(f.n == 1);
	cr_expect_str_eq(f.list[0].file, path);
	cr_expect_str_eq(f.list[0].text, why);
	cr_expect(text == NULL);
	faults_free(&f);
}

Test(settings, files_that_cannot_be_read)
{
	CLEANUP(freep) char *dir = scratch();
	CLEANUP(freep) char *path = xasprintf("%s/m.yaml", dir);
	load_refused(path, "cannot be read (No such file or directory): check the path");
	load_refused(dir, "cannot be read (Is a directory): name the file, not its folder");
	write_file(path, "workers: 1\n");
	CLEANUP(freep) char *below = xasprintf("%s/m.yaml/x", dir);
	load_refused(below, "cannot be read (Not a directory): check the path");
	cr_assert(chmod(path, 0) == 0);
	if (geteuid() == 0) { // root reads everything
		cr_assert(chmod(dir, 0755) == 0 && seteuid(65534) == 0);
		load_refused(path, "cannot be read (Permission denied): give the user that meterd runs as the right to read it");
		cr_assert(seteuid(0) == 0);
	} else {
		load_refused(path, "cannot be read (Permission denied): give the user that meterd runs as the right to read it");
	}
	cr_assert(chmod(path, 0600) == 0 && truncate(path, SETTINGS_FILE_MOST + 1) == 0);
	load_refused(path, "longer than the 4194304 bytes that are read: is this the right file?");
	unlink(path);
	rmdir(dir);
}

// tests/table/config_faults: each NAME.yaml is refused with exactly the text of NAME.expected.
Test(settings, catalogue_of_faults)
{
	const char *dir = SOURCE_DIR "/tests/table/config_faults";
	DIR *d = opendir(dir);
	cr_assert(d != NULL);
	int cases = 0;
	for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
		size_t n = strlen(entry->d_name);
		if (n < 6 || strcmp(entry->d_name + n - 5, ".yaml") != 0)
			continue;
		CLEANUP(freep) char *path = xasprintf("%s/%s", dir, entry->d_name), *other = xasprintf("%s/%.*s.expected", dir, (int)(n - 5), entry->d_name);
		CLEANUP(freep) char *text = NULL, *expected = NULL;
		size_t text_n = 0, expected_n = 0;
		struct error e = { 0 };
		cr_assert(file_read(path, SETTINGS_FILE_MOST, &text, &text_n, &e) == ERROR_NONE, "%s: %s", path, e.text);
		struct faults f = { 0 };
		cr_expect(settings_parse(entry->d_name, (struct span){ text, text_n }, &f) == NULL, "%s is accepted", entry->d_name);
		CLEANUP(freep) char *got = printed_faults(&f, (struct span){ text, text_n });
		update_file(other, got);
		cr_assert(file_read(other, SETTINGS_FILE_MOST, &expected, &expected_n, &e) == ERROR_NONE, "%s: %s", other, e.text);
		cr_expect_str_eq(got, expected, "%s", entry->d_name);
		cr_expect(expected_n > 0);
		faults_free(&f);
		cases++;
	}
	closedir(d);
	cr_expect(cases >= 100, "only %d cases", cases);
}

// ---- reload

static void expect_changes(const char *before, const char *after, const char *taken, const char *restart, const char *rules)
{
	struct settings_changes c;
	CLEANUP(settings_freep) struct settings *a = parsed("a.yaml", before);
	CLEANUP(settings_freep) struct settings *b = parsed("a.yaml", after);
	settings_compare(a, b, &c);
	cr_expect_str_eq(c.taken, taken, "taken: %s", c.taken);
	cr_expect_str_eq(c.restart, restart, "restart: %s", c.restart);
	cr_expect_str_eq(c.rules, rules, "rules: %s", c.rules);
	settings_changes_free(&c);
	settings_adopt(a, b);
	settings_compare(a, b, &c);
	cr_expect_str_eq(c.taken, "");
	cr_expect_str_eq(c.restart, restart);
	cr_expect_str_eq(c.rules, rules);
	settings_changes_free(&c);
}

Test(settings, reload)
{
	expect_changes("", "", "", "", "");
	expect_changes("workers: 1\n", "flush: {max_interval: 500ms}\n", "", "", "");
	expect_changes("", "flush: {max_interval: 1s, max_events: 1000, max_deltas: 20, idle_advance: 1s}\nlog: {level: debug}\n",
		       "flush.max_interval, flush.max_events, flush.max_deltas, flush.idle_advance, log.level", "", "");
	expect_changes("workers: 2\n", "redis: {url: \"redis://127.0.0.1:7000/0\"}\nclose: {grace: 2h}\nlog: {level: error}\n", "log.level",
		       "workers, redis.url", "close.grace");
	expect_changes("topics: {input: [a]}\n", "topics: {input: [a, b]}\ncatalog: other.yaml\n", "", "topics.input", "catalog");
}

// What is stored in one piece only: a text would need an owner for the old one.
Test(settings, reloadable_rows_are_numbers)
{
	for (int i = 0; i < ROWS; i++)
		if (rows[i].reloadable && !rows[i].decides)
			cr_expect(rows[i].type == ROW_INT || rows[i].type == ROW_DURATION || rows[i].type == ROW_BYTES || rows[i].type == ROW_BOOL ||
					  rows[i].type == ROW_CHOICE,
				  "%s", rows[i].path);
}
