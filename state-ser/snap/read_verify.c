/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * All that opening a file leaves unchecked: stored RAM, sections that this release skips, and the
 * bytes that nothing owns.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "chunk.h"
#include "io.h"
#include "object.h"
#include "pool.h"
#include "stasis/bytes.h"

struct verify {
    const struct stasis_snap *snap;
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
};

/* How often who waits is asked whether to go on, where no RAM is counted. */
#define ASK_BYTES  (1u << 20)
#define ASK_CHUNKS 4096u

static int cancelled(const struct stasis_snap *snap, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_CANCELLED, "%s: verifying was cancelled", snap->name);
}

/* Before RAM. */
static int ask(const struct verify *verify, struct stasis_error *err)
{
    if (!verify->progress || verify->progress(verify->ctx, 0, verify->snap->index.ram_bytes))
        return 0;
    return cancelled(verify->snap, err);
}

int stasis_snap_check_page_mask(const struct stasis_snap *snap, uint64_t i, const uint8_t *bytes,
                                struct stasis_error *err)
{
    struct stasis_snap_chunk chunk = stasis_index_get(&snap->index, i);

    /* The index refuses an empty mask, so a chunk that is all zero fails here too. */
    if (stasis_chunk_page_mask(bytes, chunk.size) == chunk.page_mask)
        return 0;
    return stasis_snap_chunk_damaged(snap, i, "its page mask is wrong", err);
}

static int verify_chunks(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err)
{
    const struct verify *verify = ctx;
    const struct stasis_snap *snap = verify->snap;
    uint8_t *buf;
    int rc = 0;

    buf = malloc(STASIS_CHUNK_SIZE);
    if (!buf)
        return stasis_fail(err, STASIS_ERR_NOMEM, "%s: no memory to verify RAM", snap->name);
    for (uint64_t i = first; i < end && !rc; i++) {
        if (!stasis_index_get(&snap->index, i).stored_len)
            continue;
        rc = stasis_snap_read_chunks(snap, i, i + 1, buf, err);
        if (!rc)
            rc = stasis_snap_check_page_mask(snap, i, buf, err);
    }
    free(buf);
    return rc;
}

/* A small file may have terabytes of zeros. */
static uint64_t skip_zeros(void *ctx, uint64_t next)
{
    const struct verify *verify = ctx;

    return stasis_index_zero_end(&verify->snap->index, next, verify->snap->index.chunk_count);
}

/* What is read at a time on the way from `pos` to `end`. */
static size_t piece(uint64_t pos, uint64_t end)
{
    return end - pos < STASIS_PAGE_SIZE ? (size_t)(end - pos) : STASIS_PAGE_SIZE;
}

static int read_piece(const struct stasis_snap *snap, uint64_t pos, uint8_t *ret_bytes, size_t len,
                      struct stasis_error *err)
{
    ssize_t n = stasis_input_read(&snap->input, ret_bytes, len, pos);

    if (n < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ, "%s: reading at %" PRIu64 " (%s)",
                                 snap->name, pos, stasis_input_remedy(&snap->input));
    if ((size_t)n < len)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "%s: the file has become shorter", snap->name);
    return 0;
}

static int read_zeros(const struct verify *verify, uint64_t pos, uint64_t end,
                      struct stasis_error *err)
{
    const struct stasis_snap *snap = verify->snap;
    uint8_t buf[STASIS_PAGE_SIZE];
    uint64_t asked = pos;

    while (pos < end) {
        size_t len = piece(pos, end);
        int rc = read_piece(snap, pos, buf, len, err);

        if (!rc && pos - asked >= ASK_BYTES) {
            rc = ask(verify, err);
            asked = pos;
        }
        if (rc)
            return rc;
        if (!stasis_is_zero(buf, len))
            return stasis_fail(err, STASIS_ERR_CORRUPT,
                               "%s: bytes from %" PRIu64 " belong to nothing and are not zero",
                               snap->name, pos);
        pos += len;
    }
    return 0;
}

/* Holes need not be read; what does not tell them is read in full. */
static int check_gap(const struct verify *verify, uint64_t pos, uint64_t end,
                     struct stasis_error *err)
{
    const struct stasis_snap *snap = verify->snap;

    while (pos < end) {
        uint64_t data = pos;
        uint64_t hole = end;
        int rc;

        if (stasis_io_seek(snap->input.fd, pos, SEEK_DATA, &data)) {
            if (errno == ENXIO)
                return 0; /* no data up to the end of the file */
            data = pos;
        }
        if (data >= end)
            return 0;
        if (stasis_io_seek(snap->input.fd, data, SEEK_HOLE, &hole) || hole > end)
            hole = end;
        rc = read_zeros(verify, data, hole, err);
        if (rc)
            return rc;
        pos = hole;
    }
    return 0;
}

/* The gaps of the data section: before and between its chunks. Behind the last one there is none:
 * it ends the section (index_parse.c). */
static int check_data_gaps(const struct verify *verify, const struct stasis_section *data,
                           struct stasis_error *err)
{
    const struct stasis_snap *snap = verify->snap;
    const struct stasis_index *index = stasis_snap_own_index(snap);
    uint64_t pos = data->offset;
    uint64_t end = index->chunk_count;
    uint64_t done = 0;

    for (uint64_t i = stasis_index_zero_end(index, 0, end); i < end;
         i = stasis_index_zero_end(index, i + 1, end)) {
        struct stasis_index_extents extents;
        int rc = done++ % ASK_CHUNKS ? 0 : ask(verify, err);

        stasis_index_get_extents(index, i, &extents);
        for (unsigned k = 0; k < extents.count && !rc; k++)
            if (!extents.list[k].file && extents.list[k].stored_len) {
                rc = check_gap(verify, pos, extents.list[k].offset, err);
                pos = extents.list[k].offset + extents.list[k].stored_len;
            }
        if (rc)
            return rc;
    }
    return 0;
}

int stasis_snap_walk_section(const struct stasis_snap *snap, const struct stasis_section *section,
                             int (*visit)(void *ctx, const uint8_t *bytes, size_t len, uint64_t at,
                                          struct stasis_error *err),
                             void *ctx, struct stasis_error *err)
{
    uint8_t buf[STASIS_PAGE_SIZE];
    uint64_t end = section->offset + section->length;
    uint64_t pos = section->offset;
    uint32_t crc = 0;

    while (pos < end) {
        size_t len = piece(pos, end);
        int rc = read_piece(snap, pos, buf, len, err);

        if (!rc && visit)
            rc = visit(ctx, buf, len, pos - section->offset, err);
        if (rc)
            return rc;
        crc = stasis_crc32_more(crc, buf, len);
        pos += len;
    }
    if (crc != section->crc)
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "%s: the section of type %" PRIu32 " is damaged (CRC)", snap->name,
                           section->type);
    return 0;
}

/* Of a section that is read and not parsed. */
static int ask_in_section(void *ctx, const uint8_t *bytes, size_t len, uint64_t at,
                          struct stasis_error *err)
{
    (void)bytes, (void)len;
    return at % ASK_BYTES ? 0 : ask(ctx, err);
}

static int check_sections(struct verify *verify, struct stasis_error *err)
{
    const struct stasis_snap *snap = verify->snap;
    uint64_t pos = STASIS_HEADER_LEN;
    int rc = 0;

    for (uint32_t i = 0; i < snap->header.section_count && !rc; i++) {
        const struct stasis_section *section = &snap->header.sections[i];

        rc = check_gap(verify, pos, section->offset, err);
        if (!rc && section->type == STASIS_SECTION_DATA)
            rc = check_data_gaps(verify, section, err);
        if (!rc && section->type > STASIS_SECTION_DATA) /* not parsed, but undamaged */
            rc = stasis_snap_walk_section(snap, section, ask_in_section, verify, err);
        pos = section->offset + section->length;
    }
    return rc;
}

/* What is for display only obeys its rules too. */
static int check_shown(struct stasis_snap *snap, struct stasis_error *err)
{
    struct stasis_notes *notes = NULL;
    int rc = stasis_snap_read_schemas(snap, err);

    if (!rc && stasis_header_section(&snap->header, STASIS_SECTION_NOTES))
        rc = stasis_snap_parse_notes(snap, &notes, err);
    stasis_notes_free(notes);
    return rc;
}

static bool report(void *ctx, uint64_t done)
{
    const struct verify *verify = ctx;
    uint64_t total = verify->snap->index.ram_bytes;
    uint64_t bytes = done * STASIS_CHUNK_SIZE;

    return verify->progress(verify->ctx, bytes < total ? bytes : total, total);
}

int stasis_snap_verify(struct stasis_snap *snap, unsigned threads,
                       bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                       struct stasis_error *err)
{
    struct verify verify = {.snap = snap, .progress = progress, .ctx = ctx};
    struct stasis_pool_job job = {
        .count = snap->index.chunk_count,
        .batch = STASIS_BATCH_CHUNKS,
        .threads = threads,
        .work = verify_chunks,
        .skip = skip_zeros,
        .progress = progress ? report : NULL,
        .ctx = &verify,
    };
    int rc;

    if (!stasis_input_is_open(&snap->input))
        return stasis_fail(err, STASIS_ERR_ARG, "only an opened snapshot can be verified");
    rc = stasis_snap_check_ram(snap, err);
    if (rc)
        return rc;
    rc = check_sections(&verify, err);
    if (!rc)
        rc = check_shown(snap, err);
    if (!rc && snap->opened.format_version > 1)
        rc = stasis_snap_check_roots(snap, err);
    if (rc)
        return rc;
    rc = stasis_pool_run(&job, err);
    return rc == STASIS_ERR_CANCELLED ? cancelled(snap, err) : rc;
}
