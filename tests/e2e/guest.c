// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

enum {
    PATTERN_WORDS = 128 * 1024,
};

void die(const char *what)
{
    (void)fprintf(stderr, "guest: %s: %s\n", what, strerror(errno));
    (void)reboot(RB_AUTOBOOT);
    _exit(1);
}

void say(const struct guest *guest, const char *format, ...)
{
    char line[2 * LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    for (int done = 0; done < length;) {
        ssize_t count = write(guest->tty, line + done, (size_t)(length - done));
        if (count < 0 && errno != EINTR) {
            die("write");
        }
        done += count > 0 ? (int)count : 0;
    }
}

void tell_count(const struct guest *guest, const char *what, const char *failed,
                unsigned long count)
{
    say(guest, "%s %s count=%lu nonce=%s\n", what, failed == NULL ? "ok" : failed, count,
        guest->nonce);
}

uint64_t monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void make_nonce(struct guest *guest)
{
    uint8_t bytes[NONCE_BYTES];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        die("getrandom");
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(&guest->nonce[2 * i], 3, "%02x", bytes[i]);
    }
    memcpy(&guest->seed, bytes, sizeof(guest->seed));
}

static uint64_t pattern_word(const struct guest *guest, uint64_t index)
{
    // An odd factor gives each index a word of its own.
    return (guest->seed ^ index) * UINT64_C(0x9e3779b97f4a7c15);
}

void make_pattern(struct guest *guest)
{
    guest->pattern = calloc(PATTERN_WORDS, sizeof(guest->pattern[0]));
    if (guest->pattern == NULL) {
        die("calloc");
    }
    for (uint64_t i = 0; i < PATTERN_WORDS; i++) {
        guest->pattern[i] = pattern_word(guest, i);
    }
}

bool pattern_is_whole(const struct guest *guest)
{
    for (uint64_t i = 0; i < PATTERN_WORDS; i++) {
        if (guest->pattern[i] != pattern_word(guest, i)) {
            return false;
        }
    }
    return true;
}
