/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/control/line.h"

#include <string.h>

static size_t less(size_t from, size_t what)
{
    return from > what ? from - what : 0;
}

/* Moves the incomplete line to the start of the buffer. */
static void compact(struct stasis_control_lines *lines)
{
    size_t gone = lines->start;

    memmove(lines->bytes, lines->bytes + gone, lines->len - gone);
    lines->len -= gone;
    lines->start = 0;
    lines->fds_end = less(lines->fds_end, gone);
    lines->more_end = less(lines->more_end, gone);
}

/* A line of which a part with descriptors has come may be followed, in what comes next, by a line
 * with descriptors of its own; not by two. */
static void keep(struct stasis_control_lines *lines, struct stasis_control_fds *fds)
{
    bool first = !lines->fds.count && !lines->fds.lost;

    if (!fds->count && !fds->lost)
        return;
    stasis_control_fds_move(first ? &lines->fds : &lines->more, fds);
    if (first)
        lines->fds_end = lines->len;
    else
        lines->more_end = lines->len;
}

/* What has come of a line that is too long is dropped; `skipping` says that there was some. */
static void drop_part(struct stasis_control_lines *lines)
{
    lines->len = 0;
    stasis_control_lines_fini(lines);
}

ssize_t stasis_control_lines_receive(struct stasis_control_lines *lines, int fd)
{
    struct stasis_control_fds fds = {.count = 0};
    ssize_t got;

    compact(lines);
    if (lines->skipping)
        drop_part(lines);
    got = stasis_control_receive(fd, lines->bytes + lines->len,
                                 STASIS_CONTROL_LINE_MAX - lines->len, &fds);
    if (got > 0)
        lines->len += (size_t)got;
    keep(lines, &fds);
    return got;
}

static char *find_end(const struct stasis_control_lines *lines)
{
    return memchr(lines->bytes + lines->start, '\n', lines->len - lines->start);
}

static bool is_full(const struct stasis_control_lines *lines)
{
    return lines->len - lines->start == STASIS_CONTROL_LINE_MAX;
}

bool stasis_control_lines_has_next(const struct stasis_control_lines *lines)
{
    return find_end(lines) || (is_full(lines) && !lines->skipping);
}

/* Descriptors of what ends at `end`. */
static void take_fds(struct stasis_control_lines *lines, size_t end,
                     struct stasis_control_fds *ret_fds)
{
    if (lines->fds_end <= end)
        stasis_control_fds_move(ret_fds, &lines->fds);
    if (lines->more_end <= end)
        stasis_control_fds_move(ret_fds, &lines->more);
    if (!lines->fds.count && !lines->fds.lost) {
        stasis_control_fds_move(&lines->fds, &lines->more);
        lines->fds_end = lines->more_end;
    }
}

/* Passes over the rest of a line that was reported. False: its end has not come. */
static bool skip(struct stasis_control_lines *lines)
{
    struct stasis_control_fds fds = {.count = 0};
    const char *end = find_end(lines);

    if (!end)
        return false;
    lines->start = (size_t)(end + 1 - lines->bytes);
    take_fds(lines, lines->start, &fds);
    stasis_control_fds_close(&fds);
    lines->skipping = false;
    return true;
}

bool stasis_control_lines_next(struct stasis_control_lines *lines,
                               struct stasis_control_line *ret_line)
{
    char *end;

    if (lines->skipping && !skip(lines))
        return false;
    end = find_end(lines);
    if (!end && !is_full(lines))
        return false;
    *ret_line = (struct stasis_control_line){.text = lines->bytes + lines->start, .too_long = !end};
    if (!end) {
        lines->skipping = true;
        return true;
    }
    *end = '\0';
    ret_line->len = (size_t)(end - ret_line->text);
    lines->start += ret_line->len + 1;
    take_fds(lines, lines->start, &ret_line->fds);
    return true;
}

void stasis_control_lines_fini(struct stasis_control_lines *lines)
{
    stasis_control_fds_close(&lines->fds);
    stasis_control_fds_close(&lines->more);
}
