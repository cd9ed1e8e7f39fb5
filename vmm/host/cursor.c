/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/cursor.h"

#include <sys/stat.h>
#include <unistd.h>

void stasis_cursor_init(struct stasis_cursor *cursor)
{
    struct stat out;
    struct stat err;

    cursor->shared = !fstat(STDOUT_FILENO, &out) && !fstat(STDERR_FILENO, &err) &&
                     out.st_dev == err.st_dev && out.st_ino == err.st_ino;
    cursor->inside_line = false;
}

/* A carriage return alone leaves the cursor on a line that a message would overwrite. */
void stasis_cursor_printed(struct stasis_cursor *cursor, const uint8_t *bytes, size_t len)
{
    while (len && bytes[len - 1] == '\r')
        len--;
    if (len)
        atomic_store_explicit(&cursor->inside_line, bytes[len - 1] != '\n', memory_order_relaxed);
}

bool stasis_cursor_leave_line(struct stasis_cursor *cursor)
{
    return cursor->shared && atomic_exchange(&cursor->inside_line, false);
}
