/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The content of a snapshot. In a file: header, state, index, data; RAM first, so that all else is
 * known when it is written. In a stream: header, data, index, state, trailer.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "compress.h"
#include "io.h"
#include "output.h"
#include "ram_internal.h"
#include "sha256.h"
#include "write_layer.h"

#define IN_FLIGHT (UINT64_C(16) << 20) /* about what may be on its way to the disk */

static int append(struct stasis_snap_target *target, const void *bytes, size_t len)
{
    target->pos += len;
    return target->storage ? stasis_storage_append(target->storage, bytes, len)
                           : stasis_io_write(target->fd, bytes, len);
}

int stasis_writer_put(struct stasis_snap_target *target, const void *bytes, size_t len,
                      uint64_t offset, struct stasis_error *err)
{
    static const uint8_t zeros[STASIS_PAGE_SIZE];
    int rc = 0;

    if (!target->streamed) {
        rc = stasis_io_pwrite(target->fd, bytes, len, offset);
    } else {
        while (!rc && target->pos < offset) {
            uint64_t gap = offset - target->pos;
            size_t step = gap < sizeof(zeros) ? (size_t)gap : sizeof(zeros);

            rc = append(target, zeros, step);
        }
        if (!rc)
            rc = append(target, bytes, len);
    }
    return rc ? stasis_fail_errno(err, STASIS_ERR_WRITE, "writing %zu bytes at %" PRIu64, len,
                                  offset)
              : 0;
}

/* Ranges are written about in their order, by all threads. The disk may take any time: who can be
 * cancelled waits so that it can be given up. */
int stasis_writer_push(struct stasis_writer *w, uint64_t start, uint64_t end,
                       struct stasis_error *err)
{
    const struct stasis_watch watch = {stasis_writer_keeps_on, w};
    uint64_t behind = start > 2 * IN_FLIGHT ? start - 2 * IN_FLIGHT : 0;

    if (w->target->streamed || w->opts.no_sync || start >= end)
        return 0;
    stasis_io_start_sync(w->target->fd, start, end - start);
    if (start <= IN_FLIGHT)
        return 0;
    return stasis_output_wait_sync(w->target->fd, behind, start - IN_FLIGHT - behind,
                                   w->opts.progress ? &watch : NULL, err);
}

const uint8_t *stasis_writer_chunk(const struct stasis_writer *w, uint64_t i)
{
    uint32_t r = stasis_index_region_of(&w->index, i);

    return w->snap->host[r] + (i - w->index.regions[r].first_chunk) * STASIS_CHUNK_SIZE;
}

/* Takes the checksums of a run of raw chunks and returns its length. */
static uint64_t sum_run(struct stasis_writer *w, uint64_t first, uint64_t end)
{
    uint64_t len = 0;

    for (uint64_t i = first; i < end; i++) {
        struct stasis_snap_chunk chunk = stasis_index_get(&w->index, i);

        chunk.crc = stasis_crc32(stasis_writer_chunk(w, i), chunk.size);
        stasis_writer_digest(w, i, stasis_writer_chunk(w, i), chunk.size);
        stasis_index_put(&w->index, i, &chunk);
        len += chunk.size;
    }
    return len;
}

/* Writes a range, each run in it with one call, straight from guest memory. The checksum is taken
 * just before, while the bytes are on their way through the cache. */
static int write_chunks(struct stasis_writer *w, const struct stasis_range *range,
                        struct stasis_error *err)
{
    uint64_t first = range->first;
    uint64_t start = 0;
    uint64_t end = 0;
    int rc = 0;

    while (first < range->end && !rc) {
        struct stasis_snap_chunk chunk = stasis_index_get(&w->index, first);
        uint64_t stop = stasis_index_run(&w->index, first, range->end);

        if (chunk.kind == STASIS_CHUNK_RAW)
            rc = stasis_writer_check(w, err);
        if (chunk.kind == STASIS_CHUNK_RAW && !rc) {
            uint64_t len = sum_run(w, first, stop);

            rc =
                stasis_writer_put(w->target, stasis_writer_chunk(w, first), len, chunk.offset, err);
            start = end ? start : chunk.offset;
            end = chunk.offset + len;
        }
        first = stop;
    }
    return rc ? rc : stasis_writer_push(w, start, end, err);
}

static int write_header(struct stasis_writer *w, uint64_t offset, struct stasis_error *err)
{
    uint8_t bytes[STASIS_HEADER_LEN];

    stasis_header_encode(&w->header, bytes);
    return stasis_writer_put(w->target, bytes, sizeof(bytes), offset, err);
}

static int write_section(struct stasis_writer *w, struct stasis_section *section, const void *bytes,
                         struct stasis_error *err)
{
    section->crc = stasis_crc32(bytes, section->length);
    return stasis_writer_put(w->target, bytes, section->length, section->offset, err);
}

static int set_length(struct stasis_writer *w, struct stasis_error *err)
{
    uint64_t len = w->header.info.file_len;
    int rc = stasis_file_check_len(len, w->index.ram_bytes, stasis_index_form_of(&w->header.info),
                                   STASIS_ERR_FULL, err);

    if (rc)
        return rc;
    if (!w->target->streamed && stasis_io_truncate(w->target->fd, len))
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "growing the file to %" PRIu64 " bytes",
                                 len);
    return 0;
}

/* As it is: all offsets are known at once. A stream takes one chunk after the other. */
static int write_raw(struct stasis_writer *w, struct stasis_error *err)
{
    uint64_t start = w->parts[2].offset;
    bool layer = stasis_writer_is_layer(w);
    unsigned threads = w->target->streamed ? 1 : w->opts.threads;
    const struct stasis_list list = stasis_layer_list(w);
    int rc;

    stasis_writer_lay_out_back(w, layer ? stasis_layer_place(w, start)
                                        : stasis_writer_lay_out_chunks(w, start));
    rc = set_length(w, err);
    if (rc)
        return rc;
    if (layer)
        return stasis_writer_run_list(w, &list, threads, STASIS_SHARE_WRITE,
                                      stasis_layer_write_range, err);
    return stasis_writer_run(w, threads, STASIS_SHARE_WRITE,
                             stasis_writer_is_opened(w) ? stasis_writer_copy_chunks : write_chunks,
                             err);
}

static int write_packed(struct stasis_writer *w, struct stasis_error *err)
{
    const struct stasis_list list = stasis_layer_list(w);
    int rc;

    stasis_compression_init(w);
    if (stasis_writer_is_layer(w))
        rc = stasis_writer_run_list(w, &list, w->opts.threads, STASIS_SHARE_WRITE,
                                    stasis_layer_pack_range, err);
    else
        rc =
            stasis_writer_run(w, w->opts.threads, STASIS_SHARE_WRITE, stasis_compression_work, err);
    stasis_writer_lay_out_back(w, w->pack.pos);
    stasis_compression_fini(w);
    return rc ? rc : set_length(w, err);
}

static int write_ram(struct stasis_writer *w, struct stasis_error *err)
{
    return w->opts.zlib_level ? write_packed(w, err) : write_raw(w, err);
}

#define DATA  2 /* of the parts; in a file it is the last section, of a stream the first */
#define NOTES 4 /* the one that may be missing */

static uint32_t list_kept(struct stasis_writer *w, uint32_t count)
{
    for (uint32_t i = 0; i < w->kept_count; i++)
        w->header.sections[count++] = w->kept[i].section;
    return count;
}

/* In the order of their places. */
static void list_sections(struct stasis_writer *w, const unsigned order[STASIS_WRITER_PARTS])
{
    uint32_t count = 0;

    for (unsigned i = 0; i < STASIS_WRITER_PARTS; i++) {
        if (!w->target->streamed && order[i] == DATA)
            count = list_kept(w, count);
        if (order[i] != NOTES || w->notes)
            w->header.sections[count++] = w->parts[order[i]];
    }
    w->header.section_count = w->target->streamed ? list_kept(w, count) : count;
}

/* What a machine can be restored without. */
static int write_optional(struct stasis_writer *w, struct stasis_error *err)
{
    int rc = write_section(w, &w->parts[3], w->schema, err);

    if (!rc && w->notes)
        rc = write_section(w, &w->parts[NOTES], w->notes, err);
    return rc ? rc : stasis_writer_copy_kept(w, err);
}

/* The header last: without it nothing else counts. */
static int write_file(struct stasis_writer *w, struct stasis_error *err)
{
    int rc = write_ram(w, err);

    if (!rc)
        rc = write_section(w, &w->parts[0], w->state, err);
    if (!rc)
        rc = stasis_writer_put_index(w, err);
    if (!rc)
        rc = write_optional(w, err);
    if (rc)
        return rc;
    list_sections(w, (const unsigned[]){0, 1, 3, NOTES, 2});
    return write_header(w, 0, err);
}

static int write_stream(struct stasis_writer *w, struct stasis_error *err)
{
    int rc = write_header(w, 0, err);

    if (!rc)
        rc = write_ram(w, err);
    if (!rc)
        rc = stasis_writer_put_index(w, err);
    if (!rc)
        rc = write_section(w, &w->parts[0], w->state, err);
    if (!rc)
        rc = write_optional(w, err);
    if (rc)
        return rc;
    list_sections(w, (const unsigned[]){2, 1, 0, 3, NOTES});
    return write_header(w, w->header.info.file_len - STASIS_HEADER_LEN, err);
}

static void count_chunks(const struct stasis_writer *w, struct stasis_save_stats *stats)
{
    const struct stasis_index *index = &w->index;

    for (uint64_t i = stasis_writer_stored(index, 0); i < index->chunk_count;
         i = stasis_writer_stored(index, i + 1)) {
        struct stasis_snap_chunk chunk = stasis_index_get(index, i);

        stats->zero_bytes -= chunk.size;
        stats->compressed_bytes += chunk.kind == STASIS_CHUNK_ZLIB ? chunk.stored_len : 0;
    }
}

static struct stasis_save_stats count(const struct stasis_writer *w)
{
    struct stasis_save_stats stats = {.file_bytes = w->header.info.file_len,
                                      .stored_bytes = w->header.info.stored_bytes,
                                      .zero_bytes = w->index.ram_bytes,
                                      .index_bytes = w->parts[1].length};

    if (stasis_writer_is_layer(w))
        stasis_layer_count(w, &stats);
    else
        count_chunks(w, &stats);
    return stats;
}

/* What only the file knows: the schemas of records that this program does not, and notes. */
static int read_optional(struct stasis_snap *snap, struct stasis_error *err)
{
    int rc = stasis_snap_read_schemas(snap, err);

    return rc || stasis_notes_count(snap->notes) ? rc : stasis_snap_read_notes(snap, err);
}

/* Whether nothing but dirty pages is looked at. */
static bool is_told_all(const struct stasis_snap *snap)
{
    bool is = snap->lies_on && snap->dirty;

    for (uint32_t r = 0; is && r < snap->index.region_count; r++)
        is = snap->dirty[r];
    return is;
}

/* A layer needs nothing of what is still to be loaded. Where the file is mapped, what was changed
 * is a copy of what may not have been verified. */
static int complete_ram(struct stasis_snap *snap, const struct stasis_save_opts *opts,
                        struct stasis_error *err)
{
    struct stasis_ram *source = snap->ram_source;
    int rc = stasis_ram_hold_while(source, opts->progress, opts->ctx, err);

    if (rc)
        return rc;
    if (is_told_all(snap) && stasis_ram_mode(source) == STASIS_RAM_LAZY &&
        !stasis_ram_is_complete(source))
        return stasis_ram_fill_dirty(source, snap->dirty, err);
    return stasis_ram_finish_held(source, opts->threads, opts->progress, opts->ctx, err);
}

int stasis_snap_write(struct stasis_snap *snap, struct stasis_snap_target *target,
                      const struct stasis_save_opts *opts, struct stasis_snap_written *ret_written,
                      struct stasis_error *err)
{
    struct stasis_writer w = {
        .snap = snap, .target = target, .opts = *opts, .saver = pthread_self()};
    struct stasis_ram *source = snap->ram_source;
    int rc = 0;

    /* Before the first byte: what is written is believed. */
    if (source)
        rc = complete_ram(snap, opts, err);
    if (!rc && stasis_writer_is_opened(&w))
        rc = read_optional(snap, err);
    if (!rc)
        rc = stasis_writer_prepare(&w, err);
    if (!rc)
        rc = target->streamed ? write_stream(&w, err) : write_file(&w, err);
    if (!rc)
        *ret_written = (struct stasis_snap_written){.header = w.header, .stats = count(&w)};
    free(w.state);
    free(w.schema);
    free(w.notes);
    free(w.digests);
    stasis_layer_fini(&w.layer);
    stasis_index_fini(&w.index);
    if (source)
        stasis_ram_release(source);
    return rc;
}

void stasis_snap_saved(struct stasis_snap *snap, const struct stasis_snap_written *written,
                       struct stasis_save_stats *ret_stats)
{
    snap->header.info = written->header.info; /* the sections are those that are read */
    if (ret_stats)
        *ret_stats = written->stats;
}
