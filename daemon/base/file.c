// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

enum { READ_STEP = 65536 };

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

char *file_beside(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');
	if (name[0] == '/' || slash == NULL)
		return xstrdup(name);
	return xasprintf("%.*s/%s", (int)(slash - file), file, name);
}
