// SPDX-License-Identifier: Apache-2.0
// The configuration file: one row of tbl/settings.def gives the struct field, the parser, --print-config, the sample file and the
// man page. Unknown keys, duplicate keys, wrong units and values out of range are faults, all reported at once.
//
// No secret ever stands in the file or in this struct: passwords lie in files of their own, and only the view for the store reads
// them.
#ifndef SETTINGS_SETTINGS_H
#define SETTINGS_SETTINGS_H

#include <stdio.h>

#include "base/fault.h"
#include "base/log.h"
#include "model/kafka_options.h"
#include "rules/rules.h"
#include "store/store.h"

enum on_state_loss { ON_STATE_LOSS_HALT, ON_STATE_LOSS_REBUILD };
enum short_log { SHORT_LOG_HALT, SHORT_LOG_COUNT };

// SETTING(path, member, TYPE, default text, min, max, reloadable, decides, help)
// TYPE: TEXT char*, PATH char* (relative to the file's folder), SECRET_FILE char* (path of a file that holds it), INT int64_t,
// DURATION int64_t ms ("250ms", "5s", "10m", "24h", "3d"; a unit is required), BYTES int64_t ("512KiB"), BOOL bool,
// LIST char** (NULL-terminated), CHOICE int (a value of choice.def: enum clock_mode, on_state_loss, short_log, log_level).
struct settings {
#define SETTING(path, member, type, ...) SETTING_C_##type member;
#define SETTING_C_TEXT char *
#define SETTING_C_PATH char *
#define SETTING_C_SECRET_FILE char *
#define SETTING_C_INT int64_t
#define SETTING_C_DURATION int64_t
#define SETTING_C_BYTES int64_t
#define SETTING_C_BOOL bool
#define SETTING_C_LIST char **
#define SETTING_C_CHOICE int
#include "tbl/settings.def"
#undef SETTING
	char *file;     // as given
	char *password; // content of redis.password_file once settings_store was called; NULL: none
};

enum { SETTINGS_FILE_MOST = 4 * 1024 * 1024 };

// NULL when there are faults. Defaults fill what the file leaves out. Cross-checks are done too (grace under 72 h, dedupe.max_age
// against it, names of groups and topics, addresses, …).
struct settings *settings_parse(const char *file, struct span text, struct faults *faults);
// Reads the file; a missing or unreadable one is a fault. *ret_text is set to the content also when there are faults, for
// faults_print; NULL when it could not be read. Free it.
struct settings *settings_load(const char *file, struct faults *faults, char **ret_text, size_t *ret_n);
// The price book that a faulty file names, as far as that can be told, so that it can be checked too; NULL when it cannot. Free it.
char *settings_catalog_path(const char *file, struct span text);
void settings_freep(struct settings **s);
// Every setting with its value and, where it differs, the default beside it; as YAML that gives the same settings wherever it is
// stored.
void settings_print(const struct settings *s, FILE *to);
// The sample file: every option with its paragraph of advice, commented out where it is the default.
void settings_print_sample(FILE *to);

// What a reload makes of a new file. Lists of names, "workers, redis.url"; empty: none. Free them with settings_changes_free.
struct settings_changes {
	char *taken;   // reloadable: settings_adopt takes them over
	char *restart; // in force after a restart
	char *rules;   // part of the rules: the file only proposes them
};
void settings_compare(const struct settings *now, const struct settings *next, struct settings_changes *ret);
// Takes over what is reloadable (numbers, durations, sizes, flags and choices only). Threads may read meanwhile, with SETTING_NOW.
void settings_adopt(struct settings *now, const struct settings *next);
void settings_changes_free(struct settings_changes *c);
// A setting that a reload may change under the reader.
#define SETTING_NOW(s, member) __atomic_load_n(&(s)->member, __ATOMIC_RELAXED)

// Views for the rooms that take options. They borrow from s.
void settings_kafka(const struct settings *s, struct kafka_options *ret);
// state_dir; where it is left at `.` under systemd, the unit's StateDirectory.
const char *settings_state_dir(const struct settings *s);
// Reads the password file; ERROR_ABORT 78 when it cannot.
enum error_class settings_store(struct settings *s, struct store_options *ret, struct error *e);
void settings_rules(const struct settings *s, struct rules_settings *ret);

#endif
