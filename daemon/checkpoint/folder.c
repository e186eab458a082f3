// SPDX-License-Identifier: Apache-2.0
// Which checkpoints there are, and which of them a state can go on from.
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "checkpoint/inner.h"

static const char ending[] = ".checkpoint";

static bool is_name(const char *name)
{
	size_t n = strlen(name), m = sizeof(ending) - 1;
	return n > m && strcmp(name + n - m, ending) == 0;
}

// The newest first; those that cannot be read last, by name.
static int newest_first(const void *a, const void *b)
{
	const struct checkpoint_file *x = a, *y = b;
	bool bad_x = x->wrong.cls != ERROR_NONE, bad_y = y->wrong.cls != ERROR_NONE;
	if (bad_x != bad_y)
		return bad_x - bad_y;
	int c = bad_x ? 0 : (x->head.made_ms < y->head.made_ms) - (x->head.made_ms > y->head.made_ms);
	return c != 0 ? c : strcmp(y->path, x->path);
}

static void look_at(struct checkpoint_list *l, const char *folder, const char *name)
{
	struct stat st = { 0 };
	l->files = xrealloc(l->files, l->n + 1, sizeof(*l->files));
	struct checkpoint_file *f = &l->files[l->n++];
	*f = (struct checkpoint_file){ .path = xasprintf("%s/%s", folder, name), .head.settled = MONTH_NONE };
	if (stat(f->path, &st) == 0)
		f->bytes = (uint64_t)st.st_size;
	checkpoint_head_read(f->path, &f->head, &f->wrong);
}

enum error_class checkpoint_list(const char *state_dir, struct checkpoint_list *ret, struct error *e)
{
	struct checkpoint_list l = { 0 };
	CLEANUP(freep) char *folder = xasprintf("%s/checkpoints", state_dir);
	DIR *d = opendir(folder);
	if (d == NULL && errno != ENOENT)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s cannot be read (%s): give the user that meterd runs as the right to read it", folder,
				 strerror(errno));
	for (struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;)
		if (is_name(entry->d_name))
			look_at(&l, folder, entry->d_name);
	if (d != NULL)
		closedir(d);
	if (l.n > 0)
		qsort(l.files, l.n, sizeof(*l.files), newest_first);
	*ret = l;
	return ERROR_NONE;
}

// "NAME.checkpoint.XXXXXX", as file_replace writes it beside its place.
static bool is_beside(const char *name)
{
	const char *at = strstr(name, ".checkpoint.");
	return at != NULL && strlen(at) == sizeof(".checkpoint.XXXXXX") - 1;
}

void checkpoint_sweep(const char *state_dir)
{
	CLEANUP(freep) char *folder = xasprintf("%s/checkpoints", state_dir);
	DIR *d = opendir(folder);
	for (struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;) {
		CLEANUP(freep) char *path = xasprintf("%s/%s", folder, entry->d_name);
		struct checkpoint_head h = { .settled = MONTH_NONE };
		if (is_beside(entry->d_name) && checkpoint_verify(path, &h, NULL, NULL) == ERROR_ABORT)
			unlink(path);
		checkpoint_head_free(&h);
	}
	if (d != NULL)
		closedir(d);
}

void checkpoint_list_free(struct checkpoint_list *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		free(l->files[i].path);
		checkpoint_head_free(&l->files[i].head);
	}
	free(l->files);
	*l = (struct checkpoint_list){ 0 };
}

// Counters of a generation that was given up for another one may be what it was given up for.
static enum error_class is_in_force(const struct checkpoint_file *f, const struct journal *j, struct error *e)
{
	if (f->head.generation == j->generation)
		return ERROR_NONE;
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "checkpoint %s is of generation %lld, which is not in force any more; `meterctl restore` takes it all the same",
			 f->path, (long long)f->head.generation);
}

// Read through, whatever is asked of it: its sum, its form, and where its shards stand, which its head tells of the slowest only.
struct standing {
	const char *path;
	const struct journal *j;
	const int64_t *upto;
};

static enum error_class stands_before(void *ctx, const struct store_key *k, struct span field, struct span value, struct error *e)
{
	const struct standing *s = ctx;
	const struct journal_part *p = strcmp(k->what, "off") == 0 ? journal_part(s->j, field) : NULL;
	struct span word, rest;
	int64_t next = 0;
	if (s->upto == NULL || p == NULL)
		return ERROR_NONE;
	if (!span_cut(value, ' ', &word, &rest) || !span_int64(word, &next))
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "checkpoint %s is damaged (a position of it is none): take another one", s->path);
	if (next > s->upto[p - s->j->parts])
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "checkpoint %s stands at offset %lld of %s, and is to stand at %lld at the most",
				 s->path, (long long)next, p->name, (long long)s->upto[p - s->j->parts]);
	return ERROR_NONE;
}

static enum error_class read_through(const char *path, const struct journal *j, const int64_t *upto, struct error *e)
{
	struct checkpoint_head whole = { .settled = MONTH_NONE };
	struct standing s = { path, j, upto };
	const struct checkpoint_visitor v = { .ctx = &s, .field = stands_before };
	enum error_class c = checkpoint_read(path, &v, &whole, NULL, e);
	if (c == ERROR_NONE)
		c = checkpoint_fits(&whole, j, e);
	checkpoint_head_free(&whole);
	return c;
}

static enum error_class is_usable(const struct checkpoint_file *f, const struct journal *j, const struct sink_port *port,
				  const struct kafka_options *k, const struct checkpoint_wish *w, struct error *e)
{
	if (f->wrong.cls != ERROR_NONE)
		return error_set(e, f->wrong.cls, f->wrong.exit_code, "%s", f->wrong.text);
	enum error_class c = checkpoint_fits(&f->head, j, e);
	if (c == ERROR_NONE)
		c = is_in_force(f, j, e);
	if (c == ERROR_NONE) // before Kafka is asked about topics that a damaged head names
		c = read_through(f->path, j, w->upto, e);
	return c == ERROR_NONE ? checkpoint_reached(&f->head, port, k, w->published, e) : c;
}

enum error_class checkpoint_usable(const char *path, const struct journal *j, const struct sink_port *port, const struct kafka_options *k, struct error *e)
{
	struct checkpoint_head h = { .settled = MONTH_NONE };
	enum error_class c = checkpoint_verify(path, &h, NULL, e);
	if (c == ERROR_NONE)
		c = checkpoint_fits(&h, j, e);
	if (c == ERROR_NONE)
		c = checkpoint_reached(&h, port, k, false, e);
	checkpoint_head_free(&h);
	return c;
}

enum error_class checkpoint_newest(const char *state_dir, const struct journal *j, const struct sink_port *port, const struct kafka_options *k,
				   const struct checkpoint_wish *w, char **ret_path, struct error *e)
{
	struct checkpoint_list l = { 0 };
	struct error first = { 0 };
	enum error_class c = checkpoint_list(state_dir, &l, e);
	if (c != ERROR_NONE)
		return c;
	c = ERROR_ABORT;
	for (uint32_t i = 0; i < l.n && c == ERROR_ABORT; i++) {
		c = is_usable(&l.files[i], j, port, k, w, &first); // the first one's reason stays
		if (c == ERROR_NONE)
			*ret_path = xstrdup(l.files[i].path);
	}
	checkpoint_list_free(&l);
	if (c == ERROR_NONE)
		return c;
	if (c == ERROR_RETRY)
		return error_set(e, c, 0, "%s", first.text);
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s/checkpoints holds no checkpoint to go on from%s%s", state_dir, first.text[0] != '\0' ? ": " : "",
			 first.text);
}
