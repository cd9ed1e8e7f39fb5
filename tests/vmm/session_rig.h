/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Runs the program vmm, which lies beside the test program, as a user does: with descriptors,
 * signals and an exit status.
 */
#ifndef STASIS_TESTS_VMM_SESSION_RIG_H
#define STASIS_TESTS_VMM_SESSION_RIG_H

#include <stdbool.h>
#include <sys/types.h>

#include "vmm/kvm_guest.h"

/* More than the built-in guest says while a test waits for something else. */
#define SESSION_TEXT_MAX 262144
#define SESSION_ARGS_MAX 16

struct session {
    pid_t pid;
    int in;  /* our end of standard input; -1: closed */
    int out; /* of standard output and error; -1 once the other side has closed them */
    int err;
    char out_text[SESSION_TEXT_MAX];
    size_t out_len;
    char err_text[SESSION_TEXT_MAX];
    size_t err_len;
};

/* What a session begins with; all 0: pipes for the three descriptors, no limit. */
struct session_options {
    const char *args[SESSION_ARGS_MAX];    /* behind the program's name, ended by NULL */
    int in, out;                           /* descriptors to use instead of pipes; 0: pipes */
    bool out_closed;                       /* instead of `out` */
    bool terminal;                         /* `in` is a terminal, and the session's own */
    size_t file_limit;                     /* RLIMIT_FSIZE */
    int (*program)(int argc, char **argv); /* instead of vmm, in a child made by fork alone */
};

/* What main() of vmm does, for a test that links the program's parts. */
int session_main(int argc, char **argv);

void session_start(struct session *session, const struct session_options *options);

/* Reads what there is, waiting at most so long for the first byte. */
void session_pump(struct session *session, int ms);

/* Reads until the text has come, or fails after a generous time. */
void session_wait_out(struct session *session, const char *text);
void session_wait_err(struct session *session, const char *text);

/* Forgets what has been read: a text that is waited for comes after this. */
void session_forget(struct session *session);

void session_type(struct session *session, const char *text);

/* Waits for the end and closes everything. The exit status, or 128 + the signal it died of. */
int session_end(struct session *session);
#define SESSION_RESET 11 /* the guest reset the machine */

/* Runs to the end by itself. */
int session_run(struct session *session, const struct session_options *options);

/* The text must be whole lines of the demo guest, ascending from `first` without a gap and without
 * echo between, all with the same nonce (which is copied out, or compared if it is set). Returns
 * the last one's number. */
unsigned session_check_ticks(const char *text, size_t len, unsigned first, char nonce[33]);
/* Number of the last whole tick line in the output so far, or 0. */
unsigned session_last_tick(const struct session *session);

/* Standard error is exactly one line, which holds the words. */
void session_assert_one_line(const struct session *session, const char *words);

/* A kernel (ELF) that prints the text on the serial port and goes on with `tail`, 64-bit code. */
void session_write_kernel(const char *path, const char *text, const void *tail, size_t len);

/* A folder for one case, and a path in it; removed with all that is in it. */
struct session_folder {
    char path[64];
    char file[96];
};
void session_folder_init(struct session_folder *folder);
void session_folder_fini(struct session_folder *folder);

size_t session_read_file(const char *path, char *bytes, size_t size);

#endif
