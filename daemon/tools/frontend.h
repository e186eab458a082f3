// SPDX-License-Identifier: Apache-2.0
// What meterd and meterctl do with a configuration before anything runs: load it with the price book it names, check both, print
// it. Faults go to stderr, all of them, with their lines.
#ifndef TOOLS_FRONTEND_H
#define TOOLS_FRONTEND_H

#include "settings/settings.h"

enum { FRONTEND_CATALOG_MOST = 4 * 1024 * 1024 };

// Exit codes: 0 (*ret is set), or 78 with the faults on stderr.
int frontend_settings(const char *file, struct settings **ret);
// The rules that these files propose: settings and price book.
int frontend_rules(const struct settings *s, struct rules **ret);

// The same for those who want the faults too: they are printed and stay in *f. NULL where there are some.
struct settings *frontend_load(const char *file, struct faults *f);
struct rules *frontend_load_rules(const struct settings *s, struct faults *f);

// meterd --check-config: all faults of the file, of the price book it names and of the password file; 0 or 78.
int frontend_check(const char *file);
// meterd --print-config: on stdout; 0 or 78.
int frontend_print(const char *file);

#endif
