// SPDX-License-Identifier: Apache-2.0
// Inside the room: the table of settings, and how a value is read and written. A value of a row lies at `offset` in struct settings.
#ifndef SETTINGS_ROW_H
#define SETTINGS_ROW_H

#include "base/yaml.h"
#include "settings/settings.h"

enum row_type { ROW_TEXT, ROW_PATH, ROW_SECRET_FILE, ROW_INT, ROW_DURATION, ROW_BYTES, ROW_BOOL, ROW_LIST, ROW_CHOICE };

enum { // a number for every row
#define SETTING(path, member, ...) ROW_OF_##member,
#include "tbl/settings.def"
#undef SETTING
	ROWS
};

struct row {
	const char *path; // "kafka.bootstrap"
	enum row_type type;
	size_t offset;
	const char *fallback; // the default as it would stand in the file
	int64_t min, max;
	bool reloadable, decides;
	const char *help;
};
extern const struct row rows[ROWS];

// The words of a CHOICE, NULL-terminated; at most ROW_WORDS.
enum { ROW_WORDS = 8 };
void row_words(const struct row *row, const char *ret[ROW_WORDS + 1]);
const char *row_word(const struct row *row, int value);

// "less than 72h" is a maximum of 72h - 1ms.
static inline bool row_excludes_end(const struct row *row)
{
	return row->type == ROW_DURATION && (row->max + 1) % 3600000 == 0;
}

// One file being read: where every setting stands in it, for cross-checks.
struct reading {
	const char *file;
	struct faults *faults;
	const struct yaml_node *at[ROWS]; // NULL: not in the file
	struct settings *s;
};
// Sets the member of *r->s from the node, or adds a fault.
void value_read(struct reading *r, const struct row *row, const struct yaml_node *node);
// The member as it would stand in a file; for lists in flow form.
void value_print(const struct settings *s, const struct row *row, FILE *to);
void value_free(struct settings *s, const struct row *row);
static inline void *value_at(const struct settings *s, const struct row *row)
{
	return (char *)(uintptr_t)s + row->offset;
}

enum { AMOUNT_TEXT = 32 };
const char *duration_text(int64_t ms, char buf[AMOUNT_TEXT]);
const char *bytes_text(int64_t bytes, char buf[AMOUNT_TEXT]);

// What no single row can say. Adds faults.
void cross_check(struct reading *r);

#endif
