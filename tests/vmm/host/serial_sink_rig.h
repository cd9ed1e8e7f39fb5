/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the tests of serial sinks share: a folder of their own, and a standard output to play with.
 */
#ifndef STASIS_TESTS_VMM_SERIAL_SINK_RIG_H
#define STASIS_TESTS_VMM_SERIAL_SINK_RIG_H

#include "support/cmocka_all.h"

#include "vmm/host/serial_sink_internal.h"

#define SINK_HANG_SECONDS 300
#define DROP(out, why)    ((out)->stats.dropped[STASIS_SERIAL_SINK_DROP_##why])

extern char sink_dir[];
extern char sink_path[64]; /* of a file to come, in it */
extern int sink_saved_stdout;

/* For the group: the folder. */
int sink_make_dir(void **state);
int sink_remove_dir(void **state);
/* Behind each test: standard output is the test program's again. */
int sink_remove_file(void **state);

/* Opens and starts a sink. */
struct stasis_serial_sink *sink_open(const struct stasis_serial_sink_options *options);

/* Opens a stdio sink on fd, which is closed. */
struct stasis_serial_sink *sink_open_stdio(int fd);

void sink_put(struct stasis_serial_sink *out, const char *text);

/* Fills the sink until it is busy; returns bytes taken. */
size_t sink_fill(struct stasis_serial_sink *out, size_t piece);

void sink_file_holds(const char *name, const void *bytes, size_t len);

#endif
