// SPDX-License-Identifier: Apache-2.0
// What goes over the notify socket, word for word, and how often the watchdog wants to hear.
#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"

static int manager(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "meterd-test-notify-%d", getpid());
	socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a.sun_path + 1));
	cr_assert_eq(bind(fd, (struct sockaddr *)&a, n), 0);
	char name[128];
	snprintf(name, sizeof(name), "@%s", a.sun_path + 1);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static const char *heard(int fd, char *buf, size_t size)
{
	ssize_t n = recv(fd, buf, size - 1, MSG_DONTWAIT);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

Test(notify, says_what_it_should)
{
	char b[1000];
	int fd = manager();
	notify_ready("running, 8 partitions");
	cr_assert_str_eq(heard(fd, b, sizeof(b)), "READY=1\nSTATUS=running, 8 partitions");
	notify_status("redis: away\nMAINPID=1");
	cr_assert_str_eq(heard(fd, b, sizeof(b)), "STATUS=redis: away MAINPID=1");
	notify_stopping("finishing");
	cr_assert_str_eq(heard(fd, b, sizeof(b)), "STOPPING=1\nSTATUS=finishing");
	notify_watchdog();
	cr_assert_str_eq(heard(fd, b, sizeof(b)), "WATCHDOG=1");
	notify_reloading();
	cr_assert_eq(strncmp(heard(fd, b, sizeof(b)), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	notify_extend_us(5000000);
	cr_assert_str_eq(heard(fd, b, sizeof(b)), "EXTEND_TIMEOUT_USEC=5000000");
	close(fd);
}

Test(notify, silent_without_a_manager)
{
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	notify_ready("x");
	cr_assert_eq(notify_watchdog_interval_us(), 0);
}

Test(notify, watchdog_interval)
{
	char pid[16];
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("WATCHDOG_USEC", "30000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	cr_assert_eq(notify_watchdog_interval_us(), 15000000);
	setenv("WATCHDOG_PID", "1", 1);
	cr_assert_eq(notify_watchdog_interval_us(), 0, "somebody else's watchdog");
}
