// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

enum { READ_STEP = 65536, PASSWORD_FILE_MOST = 4096 };

static void fd_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static enum error_class refuse(struct error *e, int why)
{
	const char *advice = why == ENOENT || why == ENOTDIR ? "check the path" :
			     why == EACCES || why == EPERM  ? "give the user that meterd runs as the right to read it" :
			     why == EISDIR		    ? "name the file, not its folder" :
							      "look at the file system";
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "cannot be read (%s): %s", strerror(why), advice);
}

enum error_class file_read(const char *path, size_t most, char **ret, size_t *ret_n, struct error *e)
{
	CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return refuse(e, errno);
	CLEANUP(freep) char *buf = NULL;
	size_t n = 0;
	for (ssize_t got = 1; got != 0; n += (size_t)got) {
		buf = xrealloc(buf, n + READ_STEP + 1, 1);
		got = TEMP_FAILURE_RETRY(read(fd, buf + n, READ_STEP));
		if (got < 0)
			return refuse(e, errno);
		if (n + (size_t)got > most)
			return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "longer than the %zu bytes that are read: is this the right file?", most);
	}
	buf[n] = '\0';
	*ret = TAKE_PTR(buf);
	*ret_n = n;
	return ERROR_NONE;
}

struct file_sink {
	struct byte_sink sink;
	int fd, why;
};

static bool write_all(struct byte_sink *sink, const void *p, size_t n)
{
	struct file_sink *f = (struct file_sink *)sink;
	for (const char *from = p; n > 0;) {
		ssize_t put = TEMP_FAILURE_RETRY(write(f->fd, from, n));
		if (put <= 0) {
			f->why = put < 0 ? errno : ENOSPC;
			return false;
		}
		from += put;
		n -= (size_t)put;
	}
	return true;
}

static int sync_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	CLEANUP(freep) char *folder = slash == NULL ? xstrdup(".") : xstrndup(path, slash > path ? (size_t)(slash - path) : 1);
	CLEANUP(fd_closep) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && fsync(fd) == 0 ? 0 : errno;
}

// The file is at its new place, or gone.
static int fill_and_rename(int *fd, const char *beside, const char *path, bool (*fill)(void *ctx, struct byte_sink *to), void *ctx)
{
	struct file_sink to = { .sink.write = write_all, .fd = *fd };
	if (!fill(ctx, &to.sink))
		return to.why != 0 ? to.why : ECANCELED;
	if (fsync(*fd) != 0)
		return errno;
	int closed = close(*fd); // may tell of what could not be written
	*fd = -1;
	return closed == 0 && rename(beside, path) == 0 ? 0 : errno;
}

int file_replace(const char *path, bool (*fill)(void *ctx, struct byte_sink *to), void *ctx)
{
	CLEANUP(freep) char *beside = xasprintf("%s.XXXXXX", path);
	CLEANUP(fd_closep) int fd = mkostemp(beside, O_CLOEXEC);
	if (fd < 0)
		return errno;
	int why = fill_and_rename(&fd, beside, path, fill, ctx);
	if (why != 0)
		unlink(beside);
	return why != 0 ? why : sync_folder_of(path);
}

enum error_class file_read_password(const char *setting, const char *path, char **ret, struct error *e)
{
	char *text = NULL;
	size_t n = 0;
	struct error why = { 0 };
	if (file_read(path, PASSWORD_FILE_MOST, &text, &n, &why) != ERROR_NONE)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s %s: %s", setting, path, why.text);
	check(text != NULL);
	text[strcspn(text, "\r\n")] = '\0';
	if (text[0] != '\0') {
		*ret = text;
		return ERROR_NONE;
	}
	free(text);
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s %s: its first line is empty: write the password there", setting, path);
}

char *file_beside(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');
	if (name[0] == '/' || slash == NULL)
		return xstrdup(name);
	return xasprintf("%.*s/%s", (int)(slash - file), file, name);
}
