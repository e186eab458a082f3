// SPDX-License-Identifier: Apache-2.0
// Preloaded into a program: it is killed where its Kafka client is in the course of a transaction, or stopped there, once, where KILLED_BY is STOP.
// KILLED_AT is the number of a request of Kafka's protocol (0 records, 22 a producer's id, 24 a partition joins the transaction, 26 its end) and where:
// `26-` before it is sent, `26+` when it is out, `26!` when the answer is in. The client sends each request with one sendmsg: four bytes of length,
// two of number.
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static atomic_int asked_on = -1; // the socket whose answer is waited for
static atomic_bool done;

static int request_of(const struct msghdr *m)
{
	unsigned char head[6];
	size_t n = 0;
	for (size_t i = 0; i < m->msg_iovlen && n < sizeof(head); i++) {
		size_t part = m->msg_iov[i].iov_len < sizeof(head) - n ? m->msg_iov[i].iov_len : sizeof(head) - n;
		memcpy(head + n, m->msg_iov[i].iov_base, part);
		n += part;
	}
	return n == sizeof(head) ? head[4] << 8 | head[5] : -1;
}

static void die(void)
{
	const char *by = getenv("KILLED_BY");
	if (!atomic_exchange(&done, true))
		raise(by != NULL && strcmp(by, "STOP") == 0 ? SIGSTOP : SIGKILL);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	static ssize_t (*real)(int, const struct msghdr *, int);
	if (real == NULL)
		real = (ssize_t (*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT, "sendmsg");
	const char *at = getenv("KILLED_AT");
	char *where = NULL;
	int wanted = at != NULL ? (int)strtol(at, &where, 10) : -1;
	if (wanted < 0 || request_of(m) != wanted)
		return real(fd, m, flags);
	if (*where == '-')
		die();
	ssize_t n = real(fd, m, flags);
	if (*where == '+')
		die();
	atomic_store(&asked_on, fd);
	return n;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	static ssize_t (*real)(int, struct msghdr *, int);
	if (real == NULL)
		real = (ssize_t (*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg");
	ssize_t n = real(fd, m, flags);
	if (n > 0 && atomic_load(&asked_on) == fd)
		die();
	return n;
}
