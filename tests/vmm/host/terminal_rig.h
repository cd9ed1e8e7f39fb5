/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A terminal of the test's own, and children that make it raw.
 */
#ifndef STASIS_TESTS_VMM_TERMINAL_RIG_H
#define STASIS_TESTS_VMM_TERMINAL_RIG_H

#include "support/cmocka_all.h"

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

#define TERMINAL_HANG_SECONDS 300

struct terminal {
    int master;
    int slave;
    struct termios found;
};

struct terminal terminal_open(void);
void terminal_close(const struct terminal *terminal);

struct termios terminal_mode(int fd);
bool terminal_is_raw(int fd);
bool terminal_same_mode(const struct termios *a, const struct termios *b);
/* Of a child that has an alarm. */
void terminal_wait_raw(int fd);

/* Forks. In the child faults have their default action, not the test program's or a sanitizer's. */
pid_t terminal_fork_bare(void);

/* Starts a child with a raw terminal, its own session's if it is to `control` it, that then waits
 * for a signal or does `then`. */
pid_t terminal_start_raw(const struct terminal *terminal, bool control, void (*then)(void));

/* Waits for the end: its wait status. */
int terminal_end_of(pid_t child);

/* It ends by that very signal, with the terminal as it was found. */
void terminal_assert_restored(const struct terminal *terminal, pid_t child, int number);

#endif
