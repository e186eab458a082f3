// SPDX-License-Identifier: Apache-2.0
#include "snapshot/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

struct directory {
	struct folder port;
	char *state_dir;
};

enum { DIGITS = 19 };

const char *folder_name(int64_t from, int64_t to, char ret[FOLDER_NAME])
{
	snprintf(ret, FOLDER_NAME, "%0*" PRId64 "-%0*" PRId64, DIGITS, from, DIGITS, to);
	return ret;
}

// Exactly so many digits; more than an offset can be is none.
static bool digits(const char *p, int64_t *ret)
{
	int64_t v = 0;
	for (int i = 0; i < DIGITS; i++)
		if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, p[i] - '0', &v))
			return false;
	*ret = v;
	return true;
}

bool folder_name_read(const char *name, int64_t *ret_from, int64_t *ret_to)
{
	int64_t from, to;
	if (strlen(name) != 2 * DIGITS + 1 || name[DIGITS] != '-' || !digits(name, &from) || !digits(name + DIGITS + 1, &to) || to <= from)
		return false;
	*ret_from = from;
	*ret_to = to;
	return true;
}

// The folder of a partition; usage.calls/0 is usage.calls-0. Kafka allows no slash in a topic's name. Free it.
static char *path_of(const struct folder *f, const char *part)
{
	const char *slash = strrchr(part, '/');
	check(slash != NULL && strchr(part, '/') == slash);
	return xasprintf("%s/dedupe/%.*s-%s", ((const struct directory *)f)->state_dir, (int)(slash - part), part, slash + 1);
}

static int make_folders(const struct folder *f, const char *path)
{
	const char *state_dir = ((const struct directory *)f)->state_dir;
	CLEANUP(freep) char *dedupe = xasprintf("%s/dedupe", state_dir);
	const char *const all[] = { state_dir, dedupe, path };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (mkdir(all[i], 0700) != 0 && errno != EEXIST)
			return errno;
	return 0;
}

static int dir_put(struct folder *f, const char *part, int64_t from, int64_t to, bool (*fill)(void *ctx, struct byte_sink *sink), void *ctx)
{
	char name[FOLDER_NAME];
	CLEANUP(freep) char *path = path_of(f, part);
	CLEANUP(freep) char *file = xasprintf("%s/%s", path, folder_name(from, to, name));
	int why = file_replace(file, fill, ctx);
	if (why != ENOENT)
		return why;
	why = make_folders(f, path); // the first one, or somebody deleted it all
	return why == 0 ? file_replace(file, fill, ctx) : why;
}

static bool look_at(int dir, const char *name, struct folder_file *ret)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return false;
	*ret = (struct folder_file){ .from = -1, .to = -1, .bytes = (uint64_t)st.st_size,
				     .changed_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000 };
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	folder_name_read(name, &ret->from, &ret->to);
	return true;
}

static void dir_closep(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

static int dir_list(struct folder *f, const char *part, struct folder_file **ret, uint32_t *ret_n)
{
	CLEANUP(freep) char *path = path_of(f, part);
	CLEANUP(dir_closep) DIR *d = opendir(path);
	CLEANUP(freep) struct folder_file *list = NULL;
	uint32_t n = 0, size = 0;
	if (d == NULL && errno != ENOENT)
		return errno;
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		if (n == size) {
			size = size * 2 + 64;
			list = xrealloc(list, size, sizeof(*list));
		}
		n += look_at(dirfd(d), e->d_name, &list[n]);
	}
	*ret = TAKE_PTR(list);
	*ret_n = n;
	return 0;
}

static void fd_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int dir_read(struct folder *f, const char *part, const struct folder_file *file, char *buf, size_t n, size_t *ret_n)
{
	CLEANUP(freep) char *folder = path_of(f, part);
	CLEANUP(freep) char *path = xasprintf("%s/%s", folder, file->name);
	CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno;
	size_t have = 0;
	while (have < n) {
		ssize_t got = TEMP_FAILURE_RETRY(read(fd, buf + have, n - have));
		if (got < 0)
			return errno;
		if (got == 0)
			break;
		have += (size_t)got;
	}
	*ret_n = have;
	return 0;
}

static int dir_drop(struct folder *f, const char *part, const struct folder_file *file)
{
	CLEANUP(freep) char *folder = path_of(f, part);
	CLEANUP(freep) char *path = xasprintf("%s/%s", folder, file->name);
	return unlink(path) == 0 ? 0 : errno;
}

static void dir_close(struct folder *f)
{
	free(((struct directory *)f)->state_dir);
	free(f);
}

struct folder *folder_of_state_dir(const char *state_dir)
{
	static const struct folder_ops ops = { dir_put, dir_list, dir_read, dir_drop, dir_close };
	struct directory *d = xcalloc(1, sizeof(*d));
	d->port.ops = &ops;
	d->state_dir = xstrdup(state_dir);
	return &d->port;
}
