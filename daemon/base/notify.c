// SPDX-License-Identifier: Apache-2.0
#include "base/notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"

enum { STATUS_MAX = 400 };

// A line feed in a status would begin another variable.
static void send_status(const char *first, const char *status)
{
	char line[STATUS_MAX];
	int n = 0;
	for (; n < STATUS_MAX - 1 && status[n] != '\0'; n++)
		line[n] = (unsigned char)status[n] < ' ' ? ' ' : status[n];
	line[n] = '\0';
	sd_notifyf(0, "%sSTATUS=%s", first, line);
}

void notify_ready(const char *status)
{
	send_status("READY=1\n", status);
}

void notify_status(const char *status)
{
	send_status("", status);
}

void notify_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_us());
}

void notify_stopping(const char *status)
{
	send_status("STOPPING=1\n", status);
}

void notify_watchdog(void)
{
	sd_notify(0, "WATCHDOG=1");
}

void notify_extend_us(int64_t us)
{
	sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRId64, us);
}

int notify_socket(int *ret_n)
{
	int n = sd_listen_fds(1);
	*ret_n = n > 0 ? n : 0;
	return n > 0 ? SD_LISTEN_FDS_START : -1;
}

int64_t notify_watchdog_interval_us(void)
{
	uint64_t us = 0;
	if (sd_watchdog_enabled(0, &us) <= 0 || us > INT64_MAX)
		return 0;
	return (int64_t)(us / 2);
}
