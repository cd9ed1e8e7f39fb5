/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Standard input as the guest's keyboard. A terminal is put into raw mode, and restored when the
 * process ends for any reason except SIGKILL; the escape keys (Ctrl-A x, s, c, h) become commands.
 * The bytes of anything else pass unchanged.
 *
 * Threads: one thread; stasis_terminal_restore() also from any signal handler.
 */
#ifndef STASIS_VMM_TERMINAL_H
#define STASIS_VMM_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stasis/error.h"

#define STASIS_KEYS_ESCAPE 0x01 /* Ctrl-A */

enum stasis_keys_command {
    STASIS_KEYS_NONE = 0,
    STASIS_KEYS_QUIT,     /* Ctrl-A x: end the VM */
    STASIS_KEYS_SNAPSHOT, /* Ctrl-A s: freeze it */
    STASIS_KEYS_HELP,     /* Ctrl-A h: print stasis_keys_help */
    STASIS_KEYS_CANCEL,   /* Ctrl-A c: cancel the freeze in progress */
};

/* Three commands are kept once; freezes are counted between, before and after them. */
#define STASIS_KEYS_RUNS_MAX 7

/* Commands in the order in which they were given, equal ones in a row as one run. Zero is empty.
 * There is always room: none is lost, however many come. */
struct stasis_keys_queue {
    struct {
        enum stasis_keys_command command;
        size_t times;
    } runs[STASIS_KEYS_RUNS_MAX];
    size_t len; /* of runs */
};

/* Appends a command. The help and the end of the VM, once asked for, are not asked for again; the
 * newest request to cancel stands for those before it, since one calls off whatever is under way.
 */
void stasis_keys_queue_put(struct stasis_keys_queue *queue, enum stasis_keys_command command);

/* Takes the oldest command, or STASIS_KEYS_NONE. */
enum stasis_keys_command stasis_keys_queue_take(struct stasis_keys_queue *queue);

/* Takes out all commands of one sort, and leaves the others as they are. True: there was one. */
bool stasis_keys_queue_remove(struct stasis_keys_queue *queue, enum stasis_keys_command command);

/* Lines about the escape keys, for standard error; each ends in a newline. And one that says the
 * least, without. */
extern const char stasis_keys_help[];
extern const char stasis_keys_hint[];

/* ---- terminal mode: one terminal per process ---- */

/* If fd is a terminal, makes it raw (no echo, no signals by keys; output processing stays) and
 * sees to it that it is restored: at exit(); by every signal that ends a process, real-time ones
 * included, where its action is the default (a handler, SIG_IGN or a blocked signal is left to its
 * owner, who then calls exit() or stasis_terminal_restore()); by faults on any thread that does not
 * block them (stasis/fault_signals.h), which go on to what handled them before; and around SIGTSTP
 * and SIGCONT. Call it after the
 * program's own signal set-up. Not a terminal: 0, nothing changed. STASIS_ERR_IO. */
STASIS_MUST_CHECK int stasis_terminal_raw(int fd, struct stasis_error *err);

/* Restores the terminal, and gives the signals back to who had them before. */
void stasis_terminal_close(void);

/* Puts the terminal back as stasis_terminal_raw() found it. Async-signal-safe, idempotent. */
void stasis_terminal_restore(void);

/* ---- escape keys ---- */

struct stasis_keys_filter {
    bool escaped; /* the last byte was Ctrl-A: kept across calls */
};

/* Filters len bytes of `bytes` in place and returns how many are for the guest (at most len); puts
 * what was asked for into *commands. Ctrl-A Ctrl-A and Ctrl-A a give one Ctrl-A; Ctrl-A with any
 * other key gives nothing. */
size_t stasis_keys_filter(struct stasis_keys_filter *filter, uint8_t *bytes, size_t len,
                          struct stasis_keys_queue *commands);

/* ---- reading ---- */

#define STASIS_KEYS_HELD_MAX 65536

struct stasis_keys_input {
    int fd;
    bool is_terminal; /* escape keys are active */
    struct stasis_keys_filter filter;
    size_t held_len; /* bytes typed that the guest had no room for yet */
    uint8_t *held;   /* STASIS_KEYS_HELD_MAX, once anything was typed */
};

void stasis_keys_input_init(struct stasis_keys_input *input, int fd);
void stasis_keys_input_fini(struct stasis_keys_input *input);

/* Gives the guest up to `room` bytes (what the device can take now), without blocking: *ret_len
 * bytes, which can be 0, and appends to *commands what was asked for. Call it when the descriptor
 * is readable and again when the device has got room. Returns true when more may come: then arm the
 * descriptor, but with no room left only if it is a terminal; false at end of file, hang-up or
 * error: watch it no more (bytes may still be held), the guest continues.
 *
 * From a terminal all is read at once, so that Ctrl-A x works when the guest takes nothing; what
 * has no room waits here, up to STASIS_KEYS_HELD_MAX bytes; further keys, and all if there is no
 * memory for them, are dropped. Anything else is read only as far as there is room, and its writer
 * waits. */
bool stasis_keys_read(struct stasis_keys_input *input, uint8_t *bytes, size_t room, size_t *ret_len,
                      struct stasis_keys_queue *commands);

#endif
