/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Runs snapshot-inspect as a process and keeps what it says.
 */
#ifndef STASIS_TESTS_TOOLS_RIG_H
#define STASIS_TESTS_TOOLS_RIG_H

#include "support/cmocka_all.h"

#include "tests/state-ser/snap/fixture.h"

struct run {
    int status; /* 128 + signal if one ended it */
    char *out;  /* standard output and error, with a NUL behind */
    size_t out_len;
    char *err;
};

struct setup {
    int in;  /* descriptor for standard input; 0: nothing to read */
    int out; /* for standard output; 0: captured; -1: closed */
    bool ignore_sigpipe;
};

/* The program: it lies beside the test. */
const char *inspect_path(void);

/* Runs it with the arguments up to NULL, after the program's name. Frees what *run held. */
void run_inspect(struct run *run, const struct setup *setup, ...) __attribute__((sentinel));
void run_fini(struct run *run);

/* Runs any program, its path first. */
void run_program(struct run *run, const struct setup *setup, const char *const *argv);

/* Runs snapshot-inspect on a terminal of its own, and returns its exit status and what the terminal
 * got. Arguments as for run_inspect(). */
int run_on_terminal(char *ret_text, size_t size, ...) __attribute__((sentinel));

/* Fails unless it ended with this status; and said one line on stderr that holds `text`, and
 * nothing if text is NULL. */
void assert_ended(const struct run *run, int status, const char *text);
void assert_has(const char *all, const char *text);

/* A file in a folder of the test's own; the path is valid until the next call but one. */
const char *in_folder(const char *name);
void write_file(const char *path, const void *bytes, size_t len);
int setup_folder(void **state);
int teardown_folder(void **state);

/* Adds a record to a snapshot. */
void add_state(struct built *built, const struct stasis_schema *schema, const char *instance,
               const void *state);

/* A snapshot as vmm makes them: a board of three devices, one vCPU in 64-bit mode. */
void built_machine(struct built *built);
void save_to(struct built *built, const char *path);

#endif
