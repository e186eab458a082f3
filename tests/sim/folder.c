// SPDX-License-Identifier: Apache-2.0
// Twin of the state directory: one disk for each instance, in memory, which outlives its process. It fills up, fails behind a write that was
// done, dies in the middle of one (what is there then is a half-written file beside the others, or, worse than a file system should, under the
// final name), cannot be read; and as a whole it is deleted, put back to an older copy, changed in a byte, cut off, forged, mixed up between
// partitions. It must not write wrong bytes and say that all is well: that is for the checksums, whose turn is EVENT_DISK.
#include <errno.h>

#include "base/check.h"
#include "dedupe/inner.h"
#include "sim.h"

enum { FILES_MOST = 256, FILE_MOST = 1 << 16 };

struct sim_file {
	char part[32];
	struct folder_file f;
	char *bytes; // never freed while older copies may hold it
};
struct sim_files {
	uint32_t n;
	struct sim_file list[FILES_MOST];
};
struct sim_disk {
	struct folder port; // first
	struct sim_files now, old;
};

static struct sim_file *find(struct sim_disk *d, const char *part, const char *name)
{
	for (uint32_t i = 0; i < d->now.n; i++)
		if (strcmp(d->now.list[i].part, part) == 0 && strcmp(d->now.list[i].f.name, name) == 0)
			return &d->now.list[i];
	return NULL;
}

static void place(struct sim_disk *d, const char *part, const char *name, const char *bytes, size_t n)
{
	struct sim_file *file = find(d, part, name);
	if (file == NULL) {
		check(d->now.n < FILES_MOST);
		file = &d->now.list[d->now.n++];
	}
	*file = (struct sim_file){ .f = { .from = -1, .to = -1, .bytes = n }, .bytes = xrealloc(NULL, n + 1, 1) };
	snprintf(file->part, sizeof(file->part), "%s", part);
	snprintf(file->f.name, sizeof(file->f.name), "%s", name);
	folder_name_read(name, &file->f.from, &file->f.to);
	memcpy(file->bytes, bytes, n);
}

struct sink {
	struct byte_sink port;
	size_t n;
	char bytes[FILE_MOST];
};

static bool take(struct byte_sink *to, const void *p, size_t n)
{
	struct sink *s = (struct sink *)to;
	check(FILE_MOST - s->n >= n);
	memcpy(s->bytes + s->n, p, n);
	s->n += n;
	return true;
}

static int disk_put(struct folder *f, const char *part, int64_t from, int64_t to, bool (*fill)(void *ctx, struct byte_sink *sink), void *ctx)
{
	static struct sink s;
	struct sim_disk *d = (struct sim_disk *)f;
	char name[FOLDER_NAME];
	s.port.write = take;
	s.n = 0;
	check(fill(ctx, &s.port));
	enum fate fate = sim_fate(STEP_SLICE_WRITE, (1u << FATE_LOST) | (1u << FATE_REPLY_LOST) | (1u << FATE_TORN) | (1u << FATE_DIES_BEFORE) |
						    (1u << FATE_DIES_AFTER));
	if (fate == FATE_LOST)
		return ENOSPC;
	folder_name(from, to, name);
	if (fate == FATE_TORN) {
		place(d, part, sim_below(2) == 0 ? "half" : name, s.bytes, (size_t)sim_below(s.n));
		sim_die_after(FATE_DIES_AFTER);
	}
	place(d, part, name, s.bytes, s.n);
	sim_die_after(fate);
	return fate == FATE_REPLY_LOST ? EIO : 0;
}

static int disk_list(struct folder *f, const char *part, struct folder_file **ret, uint32_t *ret_n)
{
	struct sim_disk *d = (struct sim_disk *)f;
	*ret = xcalloc(FILES_MOST, sizeof(**ret));
	*ret_n = 0;
	for (uint32_t i = 0; i < d->now.n; i++)
		if (strcmp(d->now.list[i].part, part) == 0)
			(*ret)[(*ret_n)++] = d->now.list[i].f;
	return 0;
}

static int disk_read(struct folder *f, const char *part, const struct folder_file *file, char *buf, size_t n, size_t *ret_n)
{
	struct sim_file *x = find((struct sim_disk *)f, part, file->name);
	enum fate fate = sim_fate(STEP_SLICE_READ, (1u << FATE_LOST) | (1u << FATE_DIES_BEFORE) | (1u << FATE_DIES_AFTER));
	if (fate == FATE_LOST || x == NULL)
		return EIO;
	*ret_n = x->f.bytes < n ? x->f.bytes : n;
	memcpy(buf, x->bytes, *ret_n);
	sim_die_after(fate);
	return 0;
}

static void drop(struct sim_disk *d, const struct sim_file *x)
{
	d->now.list[x - d->now.list] = d->now.list[--d->now.n];
}

static int disk_drop(struct folder *f, const char *part, const struct folder_file *file)
{
	struct sim_disk *d = (struct sim_disk *)f;
	struct sim_file *x = find(d, part, file->name);
	if (x == NULL)
		return ENOENT;
	drop(d, x);
	return 0;
}

static void disk_close(struct folder *f)
{
	(void)f; // the disk stays
}

struct folder *sim_folder(struct sim_instance *of)
{
	static const struct folder_ops ops = { disk_put, disk_list, disk_read, disk_drop, disk_close };
	if (of->disk == NULL)
		of->disk = xcalloc(1, sizeof(*of->disk));
	of->disk->port.ops = &ops;
	return &of->disk->port;
}

void sim_disk_copied(struct sim_instance *of)
{
	if (of->disk != NULL)
		of->disk->old = of->disk->now;
}

static char *own_bytes(struct sim_file *x)
{
	char *copy = xrealloc(NULL, x->f.bytes + 1, 1);
	memcpy(copy, x->bytes, x->f.bytes);
	return x->bytes = copy;
}

// The newest slice of a partition becomes one of another log that was counted under the same init: well-formed, without half of its
// entries, and with another record behind it.
static void forge(struct sim_disk *d, struct sim_file *x)
{
	static struct sink s;
	struct slice was;
	struct slice_writer w;
	char why[SLICE_WHY], part[32];
	for (uint32_t i = 0; i < d->now.n; i++)
		if (strcmp(d->now.list[i].part, x->part) == 0 && d->now.list[i].f.to > x->f.to)
			x = &d->now.list[i];
	snprintf(part, sizeof(part), "%s", x->part);
	struct slice_place at = slice_place(SPAN_LIT("sim"), span_of(part));
	if (!slice_read((struct span){ x->bytes, x->f.bytes }, at, &was, why))
		return;
	struct span entries = was.entries;
	was.n = was.n / 2;
	was.next.offset += (int64_t)sim_below(3);
	was.next.print++;
	s.port.write = take;
	s.n = 0;
	slice_begin(&w, &s.port, &at, &was);
	slice_bytes(&w, entries.p, was.n * SLICE_ENTRY);
	check(slice_end(&w));
	place(d, part, x->f.name, s.bytes, s.n);
}

void sim_disk_harmed(struct sim_instance *of)
{
	struct sim_disk *d = of->disk;
	uint64_t what = sim_below(8);
	if (d == NULL || d->now.n == 0)
		return;
	struct sim_file *x = &d->now.list[sim_below(d->now.n)], *y = &d->now.list[sim_below(d->now.n)];
	char *bytes = x->bytes;
	switch (what) {
	case 0:
		d->now.n = 0;
		break;
	case 1:
		d->now = d->old;
		break;
	case 2:
		drop(d, x);
		break;
	case 3:
		if (x->f.bytes > 0)
			own_bytes(x)[sim_below(x->f.bytes)] ^= (char)(1 << sim_below(8));
		break;
	case 4:
		x->f.bytes = sim_below(x->f.bytes + 1);
		break;
	case 5:
	case 6:
		forge(d, x);
		break;
	default: // of another partition, or other offsets
		x->bytes = y->bytes;
		y->bytes = bytes;
		what = x->f.bytes;
		x->f.bytes = y->f.bytes;
		y->f.bytes = what;
		break;
	}
}
