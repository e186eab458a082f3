// SPDX-License-Identifier: Apache-2.0
// What the service manager hears (sd_notify). Without one (no $NOTIFY_SOCKET) every call does nothing.
//
// @thread any; $NOTIFY_SOCKET stays in the environment, so call from threads only after start.
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include <stdint.h>

void notify_ready(const char *status);     // READY=1: started, or done reloading
void notify_status(const char *status);    // the line that `systemctl status` shows; control characters become blanks
void notify_reloading(void);               // RELOADING=1 with the time, which systemd 253 and later wants; end it with notify_ready
void notify_stopping(const char *status);
void notify_watchdog(void);                // alive, and getting on (the caller has looked)
void notify_extend_us(int64_t us);         // this start or stop takes up to so much longer

// How often notify_watchdog must be called at the latest, half of WatchdogSec; 0: no watchdog.
int64_t notify_watchdog_interval_us(void);

// The first socket that the service manager passed for this process (socket activation); -1: none. *ret_n: how many it passed. The
// environment is left without them, for children.
int notify_socket(int *ret_n);

#endif
