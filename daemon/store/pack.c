// SPDX-License-Identifier: Apache-2.0
// MessagePack, the few forms that the functions read; and the words of a command.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/redis.h"

static char *pack_room(struct pack *b, size_t n)
{
	if (b->n + n > b->size) {
		b->size = (b->n + n) * 2;
		b->p = xrealloc(b->p, b->size, 1);
	}
	char *at = b->p + b->n;
	b->n += n;
	return at;
}

static void pack_big_endian(char *at, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		at[i] = (char)(v >> (8 * (bytes - 1 - i)));
}

static void pack_head(struct pack *b, unsigned char tag, uint64_t v, int bytes)
{
	char *at = pack_room(b, 1 + (size_t)bytes);
	at[0] = (char)tag;
	pack_big_endian(at + 1, v, bytes);
}

void pack_array(struct pack *b, uint32_t n)
{
	pack_head(b, 0xdd, n, 4);
}

void pack_int(struct pack *b, int64_t v)
{
	if (v >= 0 && v < 128)
		*pack_room(b, 1) = (char)v;
	else if (v >= 0 && v <= UINT32_MAX)
		pack_head(b, 0xce, (uint64_t)v, 4);
	else
		pack_head(b, 0xd3, (uint64_t)v, 8);
}

void pack_u32(struct pack *b, uint32_t v)
{
	pack_big_endian(pack_room(b, 4), v, 4);
}

void pack_text(struct pack *b, struct span s)
{
	if (s.p == NULL) {
		*pack_room(b, 1) = (char)0xc2; // false: a nil would end a Lua list
		return;
	}
	check(s.n <= UINT32_MAX);
	pack_head(b, 0xdb, s.n, 4);
	memcpy(pack_room(b, s.n), s.p, s.n);
}

void pack_number_text(struct pack *b, int64_t v)
{
	char text[SPAN_INT64];
	pack_text(b, span_of_int64(v, text));
}

size_t pack_text_begin(struct pack *b)
{
	pack_head(b, 0xdb, 0, 4);
	return b->n;
}

void pack_bytes(struct pack *b, struct span s)
{
	memcpy(pack_room(b, s.n), s.p, s.n);
}

void pack_text_end(struct pack *b, size_t begin)
{
	check(b->n - begin <= UINT32_MAX);
	pack_big_endian(b->p + begin - 4, b->n - begin, 4);
}

void pack_free(struct pack *b)
{
	free(b->p);
	*b = (struct pack){ 0 };
}

void command_reset(struct command *c)
{
	arena_reset(&c->arena);
	c->n = 0;
	c->scratch.n = 0;
}

void command_span(struct command *c, struct span s)
{
	if (c->n == c->size) {
		c->size = c->size * 2 + 64;
		c->word = xrealloc(c->word, (size_t)c->size, sizeof(*c->word));
		c->length = xrealloc(c->length, (size_t)c->size, sizeof(*c->length));
	}
	c->word[c->n] = s.p != NULL ? s.p : "";
	c->length[c->n++] = s.n;
}

void command_text(struct command *c, const char *z)
{
	command_span(c, span_of(z));
}

void command_format(struct command *c, const char *fmt, ...)
{
	char buf[1024];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	check(n >= 0 && (size_t)n < sizeof(buf));
	command_span(c, arena_copy(&c->arena, (struct span){ buf, (size_t)n }));
}

void command_int(struct command *c, int64_t v)
{
	command_format(c, "%lld", (long long)v);
}

void command_pack(struct command *c)
{
	command_span(c, arena_copy(&c->arena, (struct span){ c->scratch.p, c->scratch.n }));
	c->scratch.n = 0;
}

void command_free(struct command *c)
{
	arena_free(&c->arena);
	pack_free(&c->scratch);
	free(c->word);
	free(c->length);
}
