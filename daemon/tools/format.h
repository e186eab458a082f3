// SPDX-License-Identifier: Apache-2.0
// In which form a verb prints its data: `--format table|json|ndjson|csv`.
#ifndef TOOLS_FORMAT_H
#define TOOLS_FORMAT_H

enum output_format { FORMAT_TABLE, FORMAT_JSON, FORMAT_NDJSON, FORMAT_CSV };

#endif
