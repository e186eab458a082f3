// SPDX-License-Identifier: Apache-2.0
// Progress of a verb that takes long, on stderr. For the first two seconds nothing; then on a terminal a line that is written over,
//
//	records read  [########------------]  43 %  1,234,567 of 2,870,000  213,000/s  8 s left
//
// and elsewhere a plain line every ten seconds, for the log of who runs it at night. The rate is that of the last five to ten seconds.
//
// Where the work has partitions, those that have most left stand below it, and at the end of the plain line:
//
//	  usage.calls/3   41,267 of 180,000, 138,733 left
//	  and 12 more, 1,200,000 left
//
//	CLEANUP(progress_end) struct progress p;
//	progress_begin(&p, "rebuild", "records read");
//	… progress_show(&p, read, all) as often as you like: it is a look at the clock …
//
// Lines of the verb's own that go to the same terminal meanwhile come after a progress_clear.
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct progress_part {  // a partition: its offsets, where the work stands and where it is to come to
	const char *name;
	int64_t at, end;
};
struct progress_mark {
	int64_t at_us;
	uint64_t done;
};
struct progress {
	FILE *to;
	bool terminal, shown; // shown: it is there, and must go before anything else is written
	const char *verb, *what;
	int64_t begun_us, shown_us;
	uint64_t done, all;
	const struct progress_part *parts; // during a call
	uint32_t n_parts;
	bool said; // a plain line was
	struct progress_mark old, young; // the rate is taken from `old`
};

// `what`: plural and done, such as "records read". Both texts are borrowed.
void progress_begin(struct progress *p, const char *verb, const char *what);
void progress_show(struct progress *p, uint64_t done, uint64_t all); // all 0: nobody knows how many there are
void progress_show_parts(struct progress *p, uint64_t done, uint64_t all, const struct progress_part *parts, uint32_t n);
void progress_clear(struct progress *p);                             // takes all of it away; the next progress_show writes it again
void progress_end(struct progress *p);                               // likewise for good; without a terminal a last line, where one was before

// The same at a given time, to `to`; `terminal`: as if it were one.
void progress_begin_at(struct progress *p, FILE *to, bool terminal, const char *verb, const char *what, int64_t now_us);
void progress_show_at(struct progress *p, uint64_t done, uint64_t all, const struct progress_part *parts, uint32_t n, int64_t now_us);
void progress_end_at(struct progress *p, int64_t now_us);
// The first line without its end, at most `columns` wide; returns buf.
const char *progress_text(const struct progress *p, int64_t now_us, int columns, char *buf, size_t size);

#endif
