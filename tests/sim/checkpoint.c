// SPDX-License-Identifier: Apache-2.0
// Checkpoints, and a Redis that loses all: what the instances' keepers and persons write goes into a state directory of each instance, on a real file
// system; what was lost comes back by the checks at the start of an instance, or by a person's `restore`. Files are damaged, cut off, and forged: whole
// and well-formed, with other counters, but of another state, of a generation that is not in force, or of decisions that were never made. Whoever
// takes one of these has other counters in the end.
#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "checkpoint/inner.h"
#include "rebuild/restore.h"
#include "redis.h"
#include "sim.h"

long __real_getpid(void);
long __wrap_getpid(void);

// Leases tell who holds them by it: a process that comes again is another one.
long __wrap_getpid(void)
{
	return sim != NULL && sim->running != NULL ? sim->running->pid : __real_getpid();
}

// ---- the file system
static const char *root(void)
{
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	return remove(path);
}

void sim_folder_remove(long pid)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/meterd-sim-%010ld", root(), pid);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void sim_folder_open(void)
{
	snprintf(sim->folder, sizeof(sim->folder), "%s/meterd-sim-%010ld", root(), __real_getpid());
	sim_folder_close();
	check(mkdir(sim->folder, 0700) == 0);
}

void sim_folder_close(void)
{
	sim_folder_remove(__real_getpid());
}

// ---- writing
static struct checkpoint_options options_of(const struct sim_instance *x)
{
	return (struct checkpoint_options){ .port = sim->ports->sink, .store_open = sim->ports->store_open, .kafka = &sim->kafka.o, .store = sim->store_options,
					    .state_dir = settings_state_dir(x->settings), .keep = 2, .pause_ms = 50 };
}

// The host of one of the instances: of the one that closes months as its keeper does after a month's end.
void sim_checkpoint_write(struct sim_instance *x)
{
	struct error e = { 0 };
	struct office_status office = { .closer.closed_month = MONTH_NONE };
	const struct sim_instance *of = &sim->instances[sim_below(SIM_INSTANCES)];
	struct checkpoint_options o = options_of(of);
	struct checkpoint_file f = { 0 };
	bool new = true;
	uint32_t losses = sim_person_losses();
	uint64_t harm = sim->coverage->events[EVENT_FORGE];
	(void)x;
	if (of->alive)
		office_status(of->office, &office);
	enum error_class c = office.in_charge && office.closer.closed_month != MONTH_NONE && sim_chance(0.7) ?
			     checkpoint_of_month(&o, office.closer.closed_month, &f, &new, &e) : checkpoint_make(&o, &f.path, &e);
	sim->coverage->checkpoints += c == ERROR_NONE && new;
	bool own = harm == sim->coverage->events[EVENT_FORGE]; // it was not harmed before its maker came back
	if (c == ERROR_NONE && new && own && checkpoint_verify(f.path, NULL, NULL, &e) != ERROR_NONE)
		sim_wrong("a checkpoint just written: %s", e.text);
	sim_person_failed("checkpoint", c, &e, losses);
	free(f.path);
	checkpoint_head_free(&f.head);
}

// ---- what lies there
enum { FILES_MOST = 32 };

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int files(char list[FILES_MOST][200])
{
	int n = 0;
	for (int i = 0; i < SIM_INSTANCES; i++) {
		char path[120];
		snprintf(path, sizeof(path), "%s/i%d/checkpoints", sim->folder, i);
		DIR *d = opendir(path);
		for (struct dirent *x; d != NULL && n < FILES_MOST && (x = readdir(d)) != NULL;)
			if (strlen(x->d_name) > 11 && strcmp(x->d_name + strlen(x->d_name) - 11, ".checkpoint") == 0)
				snprintf(list[n++], 200, "%s/%.70s", path, x->d_name);
		if (d != NULL)
			closedir(d);
	}
	qsort(list, (size_t)n, sizeof(list[0]), by_text); // a file system has an order of its own
	return n;
}

bool sim_checkpoint_pick(char path[], size_t size)
{
	char list[FILES_MOST][200];
	int n = files(list);
	if (n > 0)
		snprintf(path, size, "%s", list[sim_below((uint64_t)n)]);
	return n > 0;
}

// ---- forgeries: all is written again, and every counter is another one
struct copying {
	const char *from;
	struct checkpoint_head head;
	struct checkpoint_writer *w;
	struct store_key key;
	uint64_t marks, fields, entries;
	bool good;
};

static enum error_class put_numbers(struct copying *c, enum checkpoint_record r, const uint64_t *list, uint32_t n)
{
	char text[3][24];
	struct span words[3];
	for (uint32_t i = 0; i < n; i++) {
		snprintf(text[i], sizeof(text[i]), "%llu", (unsigned long long)list[i]);
		words[i] = span_of(text[i]);
	}
	c->good = c->good && checkpoint_put(c->w, r, words, n);
	return ERROR_NONE;
}

static enum error_class copy_shard(void *ctx, uint32_t shard, struct error *e)
{
	struct copying *c = ctx;
	uint64_t number = shard;
	(void)e;
	c->key = (struct store_key){ 0 };
	c->marks = c->fields = c->entries = 0;
	return put_numbers(c, CHECKPOINT_SHARD, &number, 1);
}

static enum error_class copy_mark(void *ctx, struct span field, struct span value, struct error *e)
{
	struct copying *c = ctx;
	(void)e;
	c->marks++;
	c->good = c->good && checkpoint_put(c->w, CHECKPOINT_MARK, (struct span[]){ field, value }, 2);
	return ERROR_NONE;
}

static enum error_class copy_field(void *ctx, const struct store_key *k, struct span field, struct span value, struct error *e)
{
	struct copying *c = ctx;
	char month[MONTH_TEXT] = "", adjust[MONTH_TEXT] = "", other[24];
	int64_t n = 0;
	(void)e;
	if (c->key.what == NULL || strcmp(c->key.what, k->what) != 0 || c->key.month != k->month || c->key.adjust_month != k->adjust_month) {
		if (k->month != MONTH_NONE)
			month_text(k->month, month);
		if (k->adjust_month != MONTH_NONE)
			month_text(k->adjust_month, adjust);
		c->good = c->good && checkpoint_put(c->w, CHECKPOINT_KEY, (struct span[]){ span_of(k->what), span_of(month), span_of(adjust) }, 3);
		c->key = *k;
	}
	if (strcmp(k->what, "use") == 0 && span_int64(value, &n)) {
		snprintf(other, sizeof(other), "%lld", (long long)n + 100000);
		value = span_of(other);
	}
	c->fields++;
	c->good = c->good && checkpoint_put(c->w, CHECKPOINT_FIELD, (struct span[]){ field, value }, 2);
	return ERROR_NONE;
}

static enum error_class copy_entry(void *ctx, const struct span *words, uint32_t n, struct error *e)
{
	struct copying *c = ctx;
	(void)e;
	c->entries++;
	c->good = c->good && checkpoint_put(c->w, CHECKPOINT_ENTRY, words, n);
	return ERROR_NONE;
}

static enum error_class copy_end(void *ctx, struct error *e)
{
	struct copying *c = ctx;
	(void)e;
	return put_numbers(c, CHECKPOINT_SHARD_END, (uint64_t[]){ c->marks, c->fields, c->entries }, 3);
}

static bool copy_all(void *ctx, struct byte_sink *to)
{
	struct copying *c = ctx;
	const struct checkpoint_visitor v = { c, copy_shard, copy_mark, copy_field, copy_entry, copy_end };
	uint64_t shards = c->head.shards;
	c->w = checkpoint_writer_new(to, &c->head);
	c->good = true;
	bool read = checkpoint_read(c->from, &v, NULL, NULL, NULL) == ERROR_NONE;
	put_numbers(c, CHECKPOINT_END, &shards, 1);
	bool good = read && c->good && checkpoint_writer_end(c->w);
	checkpoint_writer_freep(&c->w);
	return good;
}

// The newest of all, by what it says of itself.
static void forge(const char *path, uint64_t what)
{
	static const char *const names[] = { "foreign", "gone", "never" };
	struct copying c = { .from = path, .head.settled = MONTH_NONE };
	CLEANUP(freep) char *to = xasprintf("%.*s-%s.checkpoint", (int)(strlen(path) - 11), path, names[what]);
	if (strstr(path, "-foreign") != NULL || strstr(path, "-gone") != NULL || strstr(path, "-never") != NULL ||
	    checkpoint_verify(path, &c.head, NULL, NULL) != ERROR_NONE)
		return;
	c.head.made_ms += 1000000000000;
	if (what == 0)
		snprintf(c.head.init_id, sizeof(c.head.init_id), "mis");
	else if (what == 1)
		c.head.generation += 1000000; // one that is not in force, and never will be
	else
		c.head.control_next += 1000;
	check(file_replace(to, copy_all, &c) == 0);
	checkpoint_head_free(&c.head);
}

static void damage(const char *path, bool cut)
{
	char *text = NULL;
	size_t n = 0;
	struct error e = { 0 };
	check(file_read(path, 1 << 24, &text, &n, &e) == ERROR_NONE);
	FILE *f = fopen(path, "we");
	check(f != NULL);
	if (n > 0 && !cut)
		text[sim_below(n)] ^= (char)(1 << sim_below(8));
	fwrite(text, 1, cut ? (size_t)sim_below(n + 1) : n, f);
	fclose(f);
	free(text);
}

void sim_checkpoint_forge(void)
{
	char path[200];
	uint64_t what = sim_below(6);
	if (!sim_checkpoint_pick(path, sizeof(path)))
		return;
	sim_say("%s: %llu", path, (unsigned long long)what);
	if (what == 0)
		unlink(path);
	else if (what <= 2)
		damage(path, what == 1);
	else
		forge(path, what - 3);
}

// ---- losing all, and getting it back
void sim_lose(int shard)
{
	char tag[16] = "";
	if (shard >= 0)
		snprintf(tag, sizeof(tag), "{s%02d}", shard);
	redis_twin_lose(tag);
	sim_snapshots_drop();
	sim->losses++;
}

// What must be refused is.
static bool refused_well(const char *path, enum error_class c, const struct error *e)
{
	bool must = strstr(path, "-foreign") != NULL || strstr(path, "-never") != NULL;
	if (must && c == ERROR_NONE)
		sim_wrong("restore takes %s", path);
	bool refused = c == ERROR_ABORT && e->exit_code == EXIT_CONFIG_ERR;
	sim->coverage->refused += refused;
	return refused;
}

void sim_checkpoint_restore(struct sim_instance *x)
{
	char path[200];
	struct error e = { 0 };
	struct restore *r = NULL;
	uint32_t losses = sim_person_losses();
	(void)x;
	if (!sim_checkpoint_pick(path, sizeof(path)))
		return;
	const struct restore_options o = { .ports = sim->ports, .kafka = &sim->kafka.o, .store = sim->store_options, .path = path };
	enum error_class c = restore_open(&o, &r, &e);
	sim_say("restore %s: %d %s", path, c, e.text);
	bool beside = c == ERROR_NONE && restore_plan(r).n_lost == 0;
	if (refused_well(path, c, &e))
		return;
	if (beside && (!sim->generations || strstr(path, "-gone") != NULL)) { // nobody would go on from it; or `rebuild --verify` would have to find it
		restore_freep(&r);
		return;
	}
	if (c == ERROR_NONE)
		c = restore_run(r, &e);
	sim->coverage->put_back += c == ERROR_NONE && !beside;
	sim->coverage->put_beside += c == ERROR_NONE && beside;
	sim_person_failed("restore", c, &e, losses);
	if (r != NULL)
		restore_freep(&r);
}
