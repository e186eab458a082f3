// SPDX-License-Identifier: Apache-2.0
// The verbs of meterctl. Each gets its own argv (argv[0] is the verb), returns an exit code (base/error.h), prints data on
// stdout and words on stderr.
#ifndef TOOLS_TOOLS_H
#define TOOLS_TOOLS_H

#define COMMAND(id, verb, synopsis, help) int tool_##id(int argc, char **argv);
#include "tbl/command.def"
#undef COMMAND

#endif
