// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// What the parts of the Linux guest of the end-to-end runs share: the guest, and how it speaks.
#ifndef STASIS_TESTS_GUEST_H
#define STASIS_TESTS_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NONCE_BYTES = 16,
    LINE_BYTES = 256,
};

struct guest {
    int tty;
    int timer;
    uint64_t beat;
    char nonce[2 * NONCE_BYTES + 1];
    uint64_t seed;
    uint64_t *pattern;
    char line[LINE_BYTES]; // of input
    size_t line_length;
    bool hears_button;
};

// Init must not die: a panic in the guest's log names the line of the kernel, not ours.
void die(const char *what);

__attribute__((format(printf, 2, 3))) void say(const struct guest *guest, const char *format, ...);

// "<what> ok|<what has failed> count=N nonce=<hex>"; failed NULL: nothing.
void tell_count(const struct guest *guest, const char *what, const char *failed,
                unsigned long count);

uint64_t monotonic_ns(void);

// What it is known by: a nonce, and a pattern in 1 MiB of RAM.
void make_nonce(struct guest *guest);
void make_pattern(struct guest *guest);
bool pattern_is_whole(const struct guest *guest);

#endif
