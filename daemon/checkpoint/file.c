// SPDX-License-Identifier: Apache-2.0
// The form of a file: lines in front, records in between, the checksum behind. A record is its letter, how many texts, and each with its length;
// numbers are LEB128. The bytes are a stranger's until the checksum is right, and every length is checked all the same.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/check.h"
#include "base/digest.h"
#include "checkpoint/inner.h"

enum { STEP = 65536, LEVEL = 3, HEAD_MOST = 4 << 20, TEXT_MOST = 64 << 20 };
static const char magic[] = "meterd-checkpoint ";

// ---- writing
struct checkpoint_writer {
	struct byte_sink *to;
	struct digest *digest;
	ZSTD_CCtx *z;
	bool failed;
	size_t n;
	char in[STEP], out[STEP];
};

static bool write_on(struct checkpoint_writer *w, const void *p, size_t n)
{
	digest_add(w->digest, (struct span){ p, n });
	w->failed = w->failed || !w->to->write(w->to, p, n);
	return !w->failed;
}

static bool compress(struct checkpoint_writer *w, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = { w->in, w->n, 0 };
	size_t left;
	do {
		ZSTD_outBuffer out = { w->out, STEP, 0 };
		left = ZSTD_compressStream2(w->z, &out, &in, how);
		if (ZSTD_isError(left))
			out_of_memory(1, STEP); // it has no other reason here
		if (out.pos > 0 && !write_on(w, w->out, out.pos))
			return false;
	} while (in.pos < in.size || (how == ZSTD_e_end && left > 0));
	w->n = 0;
	return true;
}

static bool put_bytes(struct checkpoint_writer *w, const char *p, size_t n)
{
	while (n > 0) {
		size_t some = STEP - w->n < n ? STEP - w->n : n;
		memcpy(w->in + w->n, p, some);
		w->n += some;
		p += some;
		n -= some;
		if (w->n == STEP && !compress(w, ZSTD_e_continue))
			return false;
	}
	return true;
}

static bool put_number(struct checkpoint_writer *w, uint64_t v)
{
	char bytes[10];
	size_t n = 0;
	do {
		bytes[n++] = (char)((v & 127) | (v > 127 ? 128 : 0));
		v >>= 7;
	} while (v > 0);
	return put_bytes(w, bytes, n);
}

struct checkpoint_writer *checkpoint_writer_new(struct byte_sink *to, const struct checkpoint_head *h)
{
	struct checkpoint_writer *w = xcalloc(1, sizeof(*w));
	CLEANUP(freep) char *head = checkpoint_head_text(h);
	CLEANUP(freep) char *lines = xasprintf("%s%d\n%s\n", magic, CHECKPOINT_FORMAT, head);
	w->to = to;
	w->digest = digest_new();
	w->z = ZSTD_createCCtx();
	if (w->z == NULL)
		out_of_memory(1, STEP);
	ZSTD_CCtx_setParameter(w->z, ZSTD_c_compressionLevel, LEVEL);
	write_on(w, lines, strlen(lines));
	return w;
}

void checkpoint_writer_freep(struct checkpoint_writer **at)
{
	struct checkpoint_writer *w = *at;
	if (w == NULL)
		return;
	if (w->digest != NULL)
		digest_freep(&w->digest);
	ZSTD_freeCCtx(w->z);
	free(w);
	*at = NULL;
}

bool checkpoint_put(struct checkpoint_writer *w, enum checkpoint_record r, const struct span *texts, uint32_t n)
{
	char letter = (char)r;
	bool good = !w->failed && put_bytes(w, &letter, 1) && put_number(w, n);
	for (uint32_t i = 0; i < n && good; i++)
		good = put_number(w, texts[i].n) && put_bytes(w, texts[i].p, texts[i].n);
	return good;
}

bool checkpoint_writer_end(struct checkpoint_writer *w)
{
	unsigned char sum[DIGEST_SHA256];
	if (w->failed || !compress(w, ZSTD_e_end))
		return false;
	digest_end(&w->digest, sum);
	return w->to->write(w->to, sum, sizeof(sum));
}

// ---- reading
struct reader {
	const char *path;
	int fd;
	uint64_t left;            // of the file, its checksum apart
	ZSTD_DCtx *z;
	ZSTD_inBuffer in;
	size_t at, n;             // of what was unpacked
	bool ended;
	char packed[STEP], plain[STEP];
};

static void reader_close(struct reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	ZSTD_freeDCtx(r->z);
}

static enum error_class damaged(const struct reader *r, struct error *e, const char *what)
{
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "checkpoint %s is damaged (%s): nothing was taken from it. Take another one (`meterctl checkpoint list`) "
			 "and look at the disk", r->path, what);
}

static enum error_class read_some(struct reader *r, void *p, size_t most, size_t *ret, struct error *e)
{
	ssize_t got = TEMP_FAILURE_RETRY(read(r->fd, p, most));
	if (got < 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "checkpoint %s cannot be read (%s): look at the disk", r->path, strerror(errno));
	*ret = (size_t)got;
	return ERROR_NONE;
}

// Both lines in front: *ret_text is the head's JSON. Leaves the file behind them.
static enum error_class read_lines(struct reader *r, char **ret_text, struct error *e)
{
	size_t n = 0, got = 1;
	CLEANUP(freep) char *text = NULL;
	const char *first = NULL, *second = NULL;
	while (second == NULL && got > 0 && n < HEAD_MOST) {
		text = xrealloc(text, n + STEP + 1, 1);
		enum error_class c = read_some(r, text + n, STEP, &got, e);
		if (c != ERROR_NONE)
			return c;
		n += got;
		first = memchr(text, '\n', n);
		second = first != NULL ? memchr(first + 1, '\n', n - (size_t)(first + 1 - text)) : NULL;
	}
	int64_t format = 0;
	size_t m = sizeof(magic) - 1;
	if (first == NULL || memcmp(text, magic, m) != 0 || !span_int64((struct span){ text + m, (size_t)(first - text) - m }, &format))
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s is no checkpoint of meterd: name a file that `meterctl checkpoint` wrote", r->path);
	if (format != CHECKPOINT_FORMAT)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "checkpoint %s has form %lld, this program reads form %d: it was written by %s version of meterd. "
				 "Read it with that version, or take another one", r->path, (long long)format, CHECKPOINT_FORMAT,
				 format > CHECKPOINT_FORMAT ? "a newer" : "an older");
	if (second == NULL)
		return damaged(r, e, "its head has no end");
	off_t behind = second + 1 - text;
	if (lseek(r->fd, behind, SEEK_SET) != behind)
		return damaged(r, e, "it cannot be read twice");
	*ret_text = xstrndup(first + 1, (size_t)(second - first - 1));
	return ERROR_NONE;
}

static enum error_class other_schema(const struct reader *r, const char *text, struct error *e)
{
	long long schema = 0;
	const char *at = strstr(text, "\"schema\":");
	if (at == NULL || sscanf(at, "\"schema\":%lld", &schema) != 1 || (schema >= CHECKPOINT_SCHEMA_OLDEST && schema <= CHECKPOINT_SCHEMA))
		return ERROR_NONE;
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "checkpoint %s holds counters in the form of schema %lld, this program has schema %d: it was written by %s "
			 "version of meterd. Put it back with that version and start this one after it, or take another one", r->path, schema,
			 CHECKPOINT_SCHEMA, schema > CHECKPOINT_SCHEMA ? "a newer" : "an older");
}

static enum error_class open_file(struct reader *r, const char *path, struct checkpoint_head *ret, struct error *e)
{
	struct stat st = { 0 };
	CLEANUP(freep) char *text = NULL;
	*r = (struct reader){ .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC) };
	if (r->fd < 0 || fstat(r->fd, &st) != 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "checkpoint %s cannot be opened (%s): check the path; `meterctl checkpoint list` names them all",
				 path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s is no file: name one that `meterctl checkpoint list` names", path);
	enum error_class c = read_lines(r, &text, e);
	if (c == ERROR_NONE)
		c = other_schema(r, text, e);
	if (c != ERROR_NONE)
		return c;
	off_t at = lseek(r->fd, 0, SEEK_CUR);
	if (at < 0 || st.st_size < at + DIGEST_SHA256 || !checkpoint_head_parse(span_of(text), ret))
		return damaged(r, e, st.st_size < at + DIGEST_SHA256 ? "it is cut off" : "its head cannot be read");
	r->left = (uint64_t)(st.st_size - at - DIGEST_SHA256);
	return ERROR_NONE;
}

enum error_class checkpoint_head_read(const char *path, struct checkpoint_head *ret, struct error *e)
{
	CLEANUP(freep) struct reader *r = xcalloc(1, sizeof(*r));
	enum error_class c = open_file(r, path, ret, e);
	reader_close(r);
	return c;
}

static enum error_class check_sum(struct reader *r, struct error *e)
{
	unsigned char sum[DIGEST_SHA256], have[DIGEST_SHA256];
	off_t at = lseek(r->fd, 0, SEEK_CUR);
	size_t got = 1;
	struct digest *d = digest_new();
	enum error_class c = lseek(r->fd, 0, SEEK_SET) == 0 ? ERROR_NONE : damaged(r, e, "it cannot be read twice");
	for (uint64_t left = r->left + (uint64_t)at; left > 0 && got > 0 && c == ERROR_NONE; left -= got) {
		c = read_some(r, r->packed, left < STEP ? (size_t)left : STEP, &got, e);
		digest_add(d, (struct span){ r->packed, got });
	}
	digest_end(&d, sum);
	if (c == ERROR_NONE)
		c = read_some(r, have, sizeof(have), &got, e);
	if (c == ERROR_NONE && (got != sizeof(have) || memcmp(have, sum, sizeof(sum)) != 0))
		c = damaged(r, e, "its checksum is wrong");
	if (c == ERROR_NONE && lseek(r->fd, at, SEEK_SET) != at)
		c = damaged(r, e, "it cannot be read twice");
	return c;
}

// The next n bytes of what was packed.
static enum error_class take(struct reader *r, char *p, size_t n, struct error *e)
{
	while (n > 0) {
		if (r->at == r->n) {
			size_t got = 0;
			if (r->in.pos == r->in.size) {
				enum error_class c = read_some(r, r->packed, r->left < STEP ? (size_t)r->left : STEP, &got, e);
				if (c != ERROR_NONE)
					return c;
				r->left -= got;
				r->in = (ZSTD_inBuffer){ r->packed, got, 0 };
			}
			ZSTD_outBuffer out = { r->plain, STEP, 0 };
			size_t more = ZSTD_decompressStream(r->z, &out, &r->in);
			if (ZSTD_isError(more) || (out.pos == 0 && r->in.pos == r->in.size && r->left == 0))
				return damaged(r, e, "its records cannot be unpacked");
			r->at = 0;
			r->n = out.pos;
			continue;
		}
		size_t some = r->n - r->at < n ? r->n - r->at : n;
		memcpy(p, r->plain + r->at, some);
		r->at += some;
		p += some;
		n -= some;
	}
	return ERROR_NONE;
}

static enum error_class take_number(struct reader *r, uint64_t most, uint64_t *ret, struct error *e)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 63; shift += 7) {
		char byte;
		enum error_class c = take(r, &byte, 1, e);
		if (c != ERROR_NONE)
			return c;
		v |= (uint64_t)(byte & 127) << shift;
		if ((byte & 128) == 0) {
			*ret = v;
			return v <= most ? ERROR_NONE : damaged(r, e, "a length in it is too large");
		}
	}
	return damaged(r, e, "a number in it has no end");
}

struct record_read {
	char letter;
	uint32_t n;
	struct span texts[CHECKPOINT_WORDS];
};

static enum error_class take_record(struct reader *r, struct arena *a, struct record_read *ret, struct error *e)
{
	uint64_t n = 0, length = 0;
	arena_reset(a);
	enum error_class c = take(r, &ret->letter, 1, e);
	if (c == ERROR_NONE)
		c = take_number(r, CHECKPOINT_WORDS, &n, e);
	ret->n = (uint32_t)n;
	for (uint32_t i = 0; i < ret->n && c == ERROR_NONE; i++) {
		c = take_number(r, TEXT_MOST, &length, e);
		char *p = c == ERROR_NONE ? arena_alloc(a, (size_t)length + 1) : NULL;
		if (c == ERROR_NONE)
			c = take(r, p, (size_t)length, e);
		ret->texts[i] = (struct span){ p, (size_t)length };
	}
	return c;
}

// ---- records in order
struct visit {
	struct reader *r;
	const struct checkpoint_visitor *v;
	struct checkpoint_head *head;
	struct record_read record;
	uint32_t shards;          // begun
	bool in_shard, has_key;
	uint64_t marks, fields, entries; // of the shard
	struct store_key key;
	struct checkpoint_totals *totals;
};

// The names that a store knows; what it hands out must outlive the record.
static const char *known_key(struct span what)
{
	static const char *const known[] = { "off", "act", "led", "cut", "clk", "pk", "lk", "use", "late", "fired", "set", "frz" };
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_is(what, known[i]))
			return known[i];
	return NULL;
}

static bool month_of(struct span text, int *ret)
{
	*ret = MONTH_NONE;
	return text.n == 0 || month_parse(text, ret);
}

static bool number_is(struct span text, uint64_t want)
{
	int64_t n = 0;
	return span_int64(text, &n) && n >= 0 && (uint64_t)n == want;
}

static enum error_class visit_shard(struct visit *t, struct error *e)
{
	const struct record_read *r = &t->record;
	if (t->in_shard || r->n != 1 || t->shards >= t->head->shards || !number_is(r->texts[0], t->shards))
		return damaged(t->r, e, "its shards are out of order");
	t->in_shard = true;
	t->has_key = false;
	t->marks = t->fields = t->entries = 0;
	uint32_t shard = t->shards++;
	return t->v->shard != NULL ? t->v->shard(t->v->ctx, shard, e) : ERROR_NONE;
}

static enum error_class visit_key(struct visit *t, struct error *e)
{
	const struct record_read *r = &t->record;
	t->key.what = r->n == 3 ? known_key(r->texts[0]) : NULL;
	t->has_key = t->key.what != NULL && month_of(r->texts[1], &t->key.month) && month_of(r->texts[2], &t->key.adjust_month);
	return t->has_key && t->entries == 0 ? ERROR_NONE : damaged(t->r, e, "a key of it is not known");
}

// "next clock …" of a partition
static enum error_class visit_position(struct visit *t, struct span value, struct error *e)
{
	struct span next, rest, clock, more;
	int64_t ms = 0;
	if (!span_cut(value, ' ', &next, &rest))
		return damaged(t->r, e, "a position of it is none");
	clock = span_cut(rest, ' ', &clock, &more) ? clock : rest;
	if (span_is(clock, "-"))
		return ERROR_NONE;
	if (!span_int64(clock, &ms))
		return damaged(t->r, e, "a position of it is none");
	t->head->furthest_ms = ms > t->head->furthest_ms ? ms : t->head->furthest_ms;
	return ERROR_NONE;
}

static enum error_class visit_pair(struct visit *t, struct error *e)
{
	const struct record_read *r = &t->record;
	bool mark = r->letter == CHECKPOINT_MARK;
	if (r->n != 2 || (mark ? t->has_key : !t->has_key || t->entries > 0))
		return damaged(t->r, e, "a field of it stands in the wrong place");
	*(mark ? &t->marks : &t->fields) += 1;
	t->totals->fields++;
	if (mark)
		return t->v->mark != NULL ? t->v->mark(t->v->ctx, r->texts[0], r->texts[1], e) : ERROR_NONE;
	enum error_class c = strcmp(t->key.what, "off") == 0 ? visit_position(t, r->texts[1], e) : ERROR_NONE;
	return c == ERROR_NONE && t->v->field != NULL ? t->v->field(t->v->ctx, &t->key, r->texts[0], r->texts[1], e) : c;
}

static enum error_class visit_entry(struct visit *t, struct error *e)
{
	const struct record_read *r = &t->record;
	if (r->n == 0 || r->n % 2 != 0)
		return damaged(t->r, e, "an outbox entry of it is none");
	t->entries++;
	t->totals->entries++;
	return t->v->entry != NULL ? t->v->entry(t->v->ctx, r->texts, r->n, e) : ERROR_NONE;
}

static enum error_class visit_shard_end(struct visit *t, struct error *e)
{
	const struct record_read *r = &t->record;
	if (r->n != 3 || !number_is(r->texts[0], t->marks) || !number_is(r->texts[1], t->fields) || !number_is(r->texts[2], t->entries))
		return damaged(t->r, e, "a shard of it is not whole");
	t->in_shard = false;
	return t->v->shard_end != NULL ? t->v->shard_end(t->v->ctx, e) : ERROR_NONE;
}

static enum error_class visit_record(struct visit *t, struct error *e)
{
	char letter = t->record.letter;
	if (letter != CHECKPOINT_SHARD && letter != CHECKPOINT_END && !t->in_shard)
		return damaged(t->r, e, "a record of it belongs to no shard");
	switch (letter) {
	case CHECKPOINT_SHARD:
		return visit_shard(t, e);
	case CHECKPOINT_KEY:
		return visit_key(t, e);
	case CHECKPOINT_MARK:
	case CHECKPOINT_FIELD:
		return visit_pair(t, e);
	case CHECKPOINT_ENTRY:
		return visit_entry(t, e);
	case CHECKPOINT_SHARD_END:
		return visit_shard_end(t, e);
	case CHECKPOINT_END:
		return !t->in_shard && t->shards == t->head->shards && t->record.n == 1 && number_is(t->record.texts[0], t->shards) ? ERROR_NONE :
			damaged(t->r, e, "shards of it are missing");
	default:
		return damaged(t->r, e, "a record of it is not known");
	}
}

static enum error_class visit_all(struct reader *r, const struct checkpoint_visitor *v, struct checkpoint_head *h, struct checkpoint_totals *totals,
				  struct error *e)
{
	h->furthest_ms = TIME_NONE;
	CLEANUP(arena_free) struct arena arena = { 0 };
	struct visit t = { .r = r, .v = v, .head = h, .totals = totals };
	enum error_class c = ERROR_NONE;
	r->z = ZSTD_createDCtx();
	if (r->z == NULL)
		out_of_memory(1, STEP);
	do {
		c = take_record(r, &arena, &t.record, e);
		if (c == ERROR_NONE)
			c = visit_record(&t, e);
	} while (c == ERROR_NONE && t.record.letter != CHECKPOINT_END);
	return c;
}

enum error_class checkpoint_read(const char *path, const struct checkpoint_visitor *v, struct checkpoint_head *ret, struct checkpoint_totals *ret_totals,
				 struct error *e)
{
	struct checkpoint_head h = { .settled = MONTH_NONE };
	struct checkpoint_totals totals = { 0 };
	CLEANUP(freep) struct reader *r = xcalloc(1, sizeof(*r));
	enum error_class c = open_file(r, path, &h, e);
	totals.bytes = r->left;
	if (c == ERROR_NONE)
		c = check_sum(r, e);
	if (c == ERROR_NONE)
		c = visit_all(r, v, &h, &totals, e);
	reader_close(r);
	if (c != ERROR_NONE || ret == NULL)
		checkpoint_head_free(&h);
	else
		*ret = h;
	if (c == ERROR_NONE && ret_totals != NULL)
		*ret_totals = totals;
	return c;
}

enum error_class checkpoint_verify(const char *path, struct checkpoint_head *ret, struct checkpoint_totals *ret_totals, struct error *e)
{
	const struct checkpoint_visitor nobody = { 0 };
	return checkpoint_read(path, &nobody, ret, ret_totals, e);
}
