/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Lines out of a stream of bytes, and the descriptors that came with each. Memory does not grow:
 * a line that is too long is reported once and skipped to its end.
 *
 * Descriptors belong to the line that holds the last byte which the kernel returned with them. So
 * a client sends a line and its descriptors by one sendmsg(2).
 */
#ifndef STASIS_VMM_CONTROL_LINE_H
#define STASIS_VMM_CONTROL_LINE_H

#include "vmm/control/descriptors.h"

/* With its newline. Requests are short; answers are not limited by this. */
#define STASIS_CONTROL_LINE_MAX 65536

/* Zero at first. Private. */
struct stasis_control_lines {
    char bytes[STASIS_CONTROL_LINE_MAX + 1];
    size_t start, len; /* what is not taken yet: from start to len */
    bool skipping;     /* to the end of a line that was too long */
    struct stasis_control_fds fds;
    size_t fds_end;                 /* behind the byte that the descriptors belong to */
    struct stasis_control_fds more; /* that came while the line of `fds` was incomplete */
    size_t more_end;
};

/* Ended by a zero, without its newline; until the next call of a function here. */
struct stasis_control_line {
    char *text;
    size_t len;
    bool too_long;                 /* there is no text */
    struct stasis_control_fds fds; /* the caller's to close */
};

/* Reads once, without waiting. Returns what read(2) does. Only when next() has returned false. */
ssize_t stasis_control_lines_receive(struct stasis_control_lines *lines, int fd);

/* False: there is no whole line. */
bool stasis_control_lines_next(struct stasis_control_lines *lines,
                               struct stasis_control_line *ret_line);
/* Whether next() has bytes to work on. Then call it until it returns false, before receive(). */
bool stasis_control_lines_has_next(const struct stasis_control_lines *lines);

void stasis_control_lines_fini(struct stasis_control_lines *lines);

#endif
