/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Finds the line that a Linux kernel panics with in what a guest prints (--on-crash panic_text=on).
 * The text has to begin a line, or to follow a prompt at its beginning ("host:~# ", "login: "),
 * with or without time stamps before it ("[    1.234567] ", "[    T1] "): a log that quotes a panic
 * of another machine does so behind something else, mostly.
 *
 * Threads: one user at a time (the serial port's lock).
 */
#ifndef STASIS_VMM_PANIC_TEXT_H
#define STASIS_VMM_PANIC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STASIS_PANIC_TEXT "Kernel panic - not syncing"

/* Private; begins as zeros, at the beginning of a line. */
struct stasis_panic_text {
    uint8_t line[96]; /* its beginning */
    size_t len;       /* bytes of it so far */
};

/* Takes the next bytes of the stream. Whether the text was complete in one of them. */
bool stasis_panic_text_feed(struct stasis_panic_text *panic, const void *bytes, size_t len);

#endif
