// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_clock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/rtc.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

void tell_rtc(const struct guest *guest)
{
    struct rtc_time now;
    unsigned long events;
    int fd = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || ioctl(fd, RTC_UIE_ON, 0) != 0 ||
        read(fd, &events, sizeof(events)) != (ssize_t)sizeof(events) ||
        ioctl(fd, RTC_UIE_OFF, 0) != 0 || ioctl(fd, RTC_RD_TIME, &now) != 0) {
        die("rtc0");
    }
    close(fd);
    struct tm tm = {.tm_sec = now.tm_sec,
                    .tm_min = now.tm_min,
                    .tm_hour = now.tm_hour,
                    .tm_mday = now.tm_mday,
                    .tm_mon = now.tm_mon,
                    .tm_year = now.tm_year};
    say(guest, "rtc %lld nonce=%s\n", (long long)timegm(&tm), guest->nonce);
}

void burst(const struct guest *guest, const char *arguments)
{
    char *rest;
    unsigned long number = strtoul(arguments, &rest, 10);
    unsigned long count = strtoul(rest, NULL, 10);
    for (unsigned long i = 0; i < count; i++) {
        say(guest, "clock %lu mono=%" PRIu64 " nonce=%s\n", number, monotonic_ns(), guest->nonce);
        (void)tcdrain(guest->tty);
    }
}
