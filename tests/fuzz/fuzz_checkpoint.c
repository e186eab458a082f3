// SPDX-License-Identifier: Apache-2.0
// A checkpoint file (checkpoint/checkpoint.h) from anywhere. The first byte says how much of it is put right before it is read, so that what lies behind
// the checksum is met too: 0 nothing, 1 the checksum, 2 the records are what follows and are packed under a good head, with a good checksum.
// Whatever the bytes are: refused with a reason, or every record is handed on in order; read again it says the same.
// most: 8192
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "base/digest.h"
#include "checkpoint/inner.h"
#include "fuzz.h"

static const char head[] = "{\"init\":\"i\",\"schema\":3,\"version\":\"1\",\"made\":1,\"shards\":2,\"generation\":1,\"control_next\":2,\"rules\":1,\"settled\":null,"
			   "\"partitions\":[{\"partition\":\"t/0\",\"from\":5,\"window\":1,\"clock\":7}],\"published\":[{\"partition\":\"a/0\",\"offset\":3}]}";

struct told {
	uint64_t n, sum;
};

static enum error_class note(struct told *t, const struct span *texts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		for (size_t k = 0; k < texts[i].n; k++)
			t->sum = t->sum * 31 + (unsigned char)texts[i].p[k];
	t->n++;
	return ERROR_NONE;
}

static enum error_class shard(void *ctx, uint32_t number, struct error *e)
{
	(void)e;
	fuzz_check(number < 65536);
	return note(ctx, NULL, 0);
}

static enum error_class mark(void *ctx, struct span field, struct span value, struct error *e)
{
	(void)e;
	return note(ctx, (struct span[]){ field, value }, 2);
}

static enum error_class field(void *ctx, const struct store_key *k, struct span name, struct span value, struct error *e)
{
	(void)e;
	fuzz_check(k->what != NULL && k->what[0] != '\0');
	return note(ctx, (struct span[]){ name, value }, 2);
}

static enum error_class entry(void *ctx, const struct span *words, uint32_t n, struct error *e)
{
	(void)e;
	fuzz_check(n > 0 && n % 2 == 0 && n <= CHECKPOINT_WORDS);
	return note(ctx, words, n);
}

static enum error_class shard_end(void *ctx, struct error *e)
{
	(void)e;
	return note(ctx, NULL, 0);
}

static void put(FILE *f, struct span s, uint8_t how)
{
	if (how % 3 != 2) {
		fwrite(s.p, 1, s.n, f);
		return;
	}
	size_t most = ZSTD_compressBound(s.n);
	char *packed = xrealloc(NULL, most, 1);
	size_t n = ZSTD_compress(packed, most, s.p, s.n, 1);
	fuzz_check(!ZSTD_isError(n));
	fprintf(f, "meterd-checkpoint %d\n%s\n", CHECKPOINT_FORMAT, head);
	fwrite(packed, 1, n, f);
	free(packed);
}

static enum error_class read_it(const char *path, struct told *t, struct checkpoint_totals *totals)
{
	struct error e = { 0 };
	struct checkpoint_head h = { .settled = MONTH_NONE };
	const struct checkpoint_visitor v = { t, shard, mark, field, entry, shard_end };
	enum error_class c = checkpoint_read(path, &v, &h, totals, &e);
	checkpoint_head_free(&h);
	fuzz_check(c == ERROR_NONE || (c == ERROR_ABORT && e.exit_code == EXIT_CONFIG_ERR && e.text[0] != '\0' && fuzz_printable(e.text)));
	return c;
}

FUZZ(s)
{
	char path[64], *bytes = NULL;
	size_t n = 0;
	uint8_t how = fuzz_byte(&s);
	FILE *f = open_memstream(&bytes, &n);
	put(f, s, how);
	fflush(f);
	if (how % 3 != 0) {
		unsigned char sum[DIGEST_SHA256];
		digest_sha256((struct span){ bytes, n }, sum);
		fwrite(sum, 1, sizeof(sum), f);
	}
	fclose(f);
	int fd = memfd_create("checkpoint", MFD_CLOEXEC);
	fuzz_check(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	free(bytes);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct told one = { 0 }, two = { 0 };
	struct checkpoint_totals x = { 0 }, y = { 0 };
	enum error_class c = read_it(path, &one, &x);
	fuzz_check(read_it(path, &two, &y) == c && one.n == two.n && one.sum == two.sum && x.fields == y.fields && x.entries == y.entries);
	close(fd);
}
