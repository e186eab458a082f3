// SPDX-License-Identifier: Apache-2.0
// Where slices lie: a folder for each partition, in it files named by the offsets that they hold. A port: the real one is a directory of the
// file system, and the simulator has one in memory that loses, tears and refuses.
//
//	STATE_DIR/dedupe/usage.calls-0/0000000000000065536-0000000000000131072
#ifndef SNAPSHOT_FOLDER_H
#define SNAPSHOT_FOLDER_H

#include <stdint.h>

#include "base/file.h"

struct folder_file {
	int64_t from, to;   // by its name; both -1: a name that none of ours has, such as what a killed process left half-written
	char name[256];
	uint64_t bytes;
	int64_t changed_ms; // wall
};

struct folder;
struct folder_ops {
	// 0 or errno. Whole or not at all, also where the machine dies (file_replace).
	int (*put)(struct folder *f, const char *part, int64_t from, int64_t to, bool (*fill)(void *ctx, struct byte_sink *sink), void *ctx);
	// All files of a partition, in no order; free(*ret). No folder: none.
	int (*list)(struct folder *f, const char *part, struct folder_file **ret, uint32_t *ret_n);
	// The first n bytes into buf; *ret_n says how many there were.
	int (*read)(struct folder *f, const char *part, const struct folder_file *file, char *buf, size_t n, size_t *ret_n);
	int (*drop)(struct folder *f, const char *part, const struct folder_file *file);
	void (*close)(struct folder *f);
};
struct folder {
	const struct folder_ops *ops;
};

// STATE_DIR/dedupe, made when the first slice is put. Nothing is looked at yet.
struct folder *folder_of_state_dir(const char *state_dir);

enum { FOLDER_NAME = 48 };
const char *folder_name(int64_t from, int64_t to, char ret[FOLDER_NAME]);
bool folder_name_read(const char *name, int64_t *ret_from, int64_t *ret_to);

#endif
