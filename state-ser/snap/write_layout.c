/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Where everything goes in a file and in a stream.
 */
#include "ram_io.h"
#include "write.h"

/* A run that holds a whole huge page of guest RAM starts at an offset congruent to its address, so
 * that it can be mapped with huge pages; what that skips in a file is a hole. */
static uint64_t run_offset(uint64_t pos, uint64_t gpa, uint64_t gpa_end)
{
    bool pays = stasis_round_up(gpa, STASIS_HUGE_PAGE) + STASIS_HUGE_PAGE <= gpa_end;

    return pays ? pos + (gpa - pos) % STASIS_HUGE_PAGE : pos;
}

/* Number behind the last of the raw chunks that follow chunk i in its region. */
static uint64_t raw_end(const struct stasis_index *index, uint64_t i)
{
    uint64_t end = stasis_index_region_end(index, i);

    while (i < end && stasis_index_get(index, i).kind == STASIS_CHUNK_RAW)
        i++;
    return i;
}

uint64_t stasis_writer_stored(const struct stasis_index *index, uint64_t i)
{
    return stasis_index_zero_end(index, i, index->chunk_count);
}

static bool is_packed(const struct stasis_writer *w)
{
    return w->header.info.incompatible & STASIS_FEATURE_ZLIB;
}

uint64_t stasis_writer_lay_out_chunks(struct stasis_writer *w, uint64_t pos)
{
    struct stasis_index *index = &w->index;
    uint64_t run_end = 0;

    for (uint64_t i = stasis_writer_stored(index, 0); i < index->chunk_count;
         i = stasis_writer_stored(index, i + 1)) {
        struct stasis_snap_chunk chunk = stasis_index_get(index, i);

        if (chunk.kind == STASIS_CHUNK_RAW && i >= run_end) {
            struct stasis_snap_chunk last;

            run_end = raw_end(index, i);
            last = stasis_index_get(index, run_end - 1);
            if (!w->target->streamed && !is_packed(w)) /* else no hole, or not mapped */
                pos = run_offset(pos, chunk.gpa, last.gpa + last.size);
        }
        if (chunk.kind == STASIS_CHUNK_RAW)
            pos = stasis_round_up(pos, STASIS_PAGE_SIZE);
        chunk.offset = pos;
        stasis_index_put(index, i, &chunk);
        pos += chunk.stored_len;
        w->header.info.stored_bytes += chunk.stored_len;
    }
    return pos;
}

void stasis_writer_lay_out_front(struct stasis_writer *w)
{
    struct stasis_section *state = &w->parts[0];
    struct stasis_section *index = &w->parts[1];
    struct stasis_section *data = &w->parts[2];
    struct stasis_section *schema = &w->parts[3];
    struct stasis_section *notes = &w->parts[4];

    *state = (struct stasis_section){.type = STASIS_SECTION_STATE, .length = w->state_len};
    *index =
        (struct stasis_section){.type = STASIS_SECTION_INDEX, .length = stasis_writer_index_len(w)};
    *data = (struct stasis_section){.type = STASIS_SECTION_DATA, .offset = STASIS_PAGE_SIZE};
    *schema = (struct stasis_section){
        .type = STASIS_SECTION_SCHEMA, .flags = STASIS_SECTION_OPTIONAL, .length = w->schema_len};
    *notes = (struct stasis_section){
        .type = STASIS_SECTION_NOTES, .flags = STASIS_SECTION_OPTIONAL, .length = w->notes_len};
    if (w->target->streamed)
        return;
    state->offset = STASIS_HEADER_LEN;
    index->offset = stasis_round_up(state->offset + state->length, 8);
    schema->offset = index->offset + index->length;
    notes->offset = schema->offset + schema->length;
    data->offset = stasis_round_up(stasis_writer_place_kept(w, notes->offset + notes->length),
                                   STASIS_PAGE_SIZE);
}

void stasis_writer_lay_out_back(struct stasis_writer *w, uint64_t data_end)
{
    struct stasis_section *state = &w->parts[0];
    struct stasis_section *index = &w->parts[1];
    struct stasis_section *data = &w->parts[2];
    struct stasis_section *schema = &w->parts[3];
    struct stasis_section *notes = &w->parts[4];

    data->length = data_end - data->offset;
    w->header.info.file_len = data_end;
    if (!w->target->streamed)
        return;
    index->offset = data_end;
    state->offset = index->offset + index->length;
    schema->offset = state->offset + state->length;
    notes->offset = schema->offset + schema->length;
    w->header.info.file_len =
        stasis_writer_place_kept(w, notes->offset + notes->length) + STASIS_HEADER_LEN;
}
