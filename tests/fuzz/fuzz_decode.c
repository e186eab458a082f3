// SPDX-License-Identifier: Apache-2.0
// The event decoder against jansson: the same texts are valid, the same events accepted, with the same fields. The first byte says in
// which of the three forms the rest is read; a text that begins with '{' is read in all of them.
// seeds: tests/corpus/events
// most: 1024
#include "decode_reference.h"
#include "fuzz.h"

FUZZ(s)
{
	static struct decode_scratch scratch;
	static struct tally tally;
	static struct text t;
	if (s.n < 1 || s.n > 1024)
		return;
	bool all = s.p[0] == '{';
	enum mode only = (enum mode)((uint8_t)s.p[0] % 3);
	if (!all)
		fuzz_byte(&s);
	for (enum mode mode = FLAT; mode <= BINARY; mode++) {
		if (!all && mode != only)
			continue;
		memcpy(t.p, s.p, s.n);
		t.n = s.n;
		compare(&t, mode, &scratch, &tally);
	}
}
