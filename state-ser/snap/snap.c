/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The object: made, filled, asked, freed.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "object.h"
#include "stasis/schema_set.h"

struct stasis_snap *stasis_snap_new(uint32_t arch)
{
    struct stasis_snap *snap = calloc(1, sizeof(*snap));

    if (!snap)
        return NULL;
    snap->input.fd = -1;
    snap->header.info.arch = arch;
    snap->records = stasis_records_new();
    snap->notes = stasis_notes_new();
    if (snap->records && snap->notes)
        return snap;
    stasis_snap_free(snap);
    return NULL;
}

struct stasis_snap *stasis_snap_share(struct stasis_snap *snap)
{
    atomic_fetch_add(&snap->sharers, 1);
    return snap;
}

void stasis_snap_free(struct stasis_snap *snap)
{
    if (!snap || atomic_fetch_sub(&snap->sharers, 1) > 0)
        return;
    for (uint32_t n = 0; n < snap->file_count; n++)
        stasis_source_free(snap->files[n]);
    free(snap->files);
    stasis_records_free(snap->records);
    stasis_schema_set_free(snap->schemas);
    stasis_notes_free(snap->notes);
    stasis_index_fini(&snap->index);
    stasis_index_fini(&snap->own);
    stasis_snap_free(snap->lies_on);
    free(snap->dirty);
    free(snap->name);
    free(snap);
}

struct stasis_records *stasis_snap_records(struct stasis_snap *snap)
{
    return snap->records;
}

void stasis_snap_set_records(struct stasis_snap *snap, struct stasis_records *records)
{
    stasis_records_free(snap->records);
    snap->records = records;
}

struct stasis_notes *stasis_snap_notes(struct stasis_snap *snap)
{
    return snap->notes;
}

int stasis_snap_add_ram(struct stasis_snap *snap, uint64_t gpa, const void *host, uint64_t size,
                        struct stasis_error *err)
{
    int rc;

    if (stasis_input_is_open(&snap->input) || !host)
        return stasis_fail(err, STASIS_ERR_ARG, "RAM is added to a snapshot that is being built");
    rc = stasis_index_add(&snap->index, gpa, size, err);
    if (!rc)
        snap->host[snap->index.region_count - 1] = host;
    return rc;
}

const char *stasis_snap_name(const struct stasis_snap *snap)
{
    return snap->name ? snap->name : "the snapshot";
}

const struct stasis_snap_info *stasis_snap_info(const struct stasis_snap *snap)
{
    return &snap->header.info;
}

uint32_t stasis_snap_region_count(const struct stasis_snap *snap)
{
    return snap->index.region_count;
}

struct stasis_snap_region stasis_snap_region_at(const struct stasis_snap *snap, uint32_t index)
{
    assert(index < snap->index.region_count);
    return snap->index.regions[index];
}

uint64_t stasis_snap_chunk_count(const struct stasis_snap *snap)
{
    return snap->index.bytes ? snap->index.chunk_count : 0;
}

struct stasis_snap_chunk stasis_snap_chunk_at(const struct stasis_snap *snap, uint64_t index)
{
    assert(index < stasis_snap_chunk_count(snap));
    return stasis_index_get(&snap->index, index);
}

uint64_t stasis_snap_zero_end(const struct stasis_snap *snap, uint64_t index, uint64_t end)
{
    assert(index <= end && end <= stasis_snap_chunk_count(snap));
    return stasis_index_zero_end(&snap->index, index, end);
}

uint64_t stasis_snap_run_end(const struct stasis_snap *snap, uint64_t index, uint64_t end)
{
    assert(index < end && end <= stasis_snap_chunk_count(snap));
    return stasis_index_run_end(&snap->index, index, end);
}

uint32_t stasis_snap_file_count(const struct stasis_snap *snap)
{
    return snap->file_count;
}

struct stasis_snap_file stasis_snap_file_at(const struct stasis_snap *snap, uint32_t index)
{
    const struct stasis_source *source;
    struct stasis_snap_file file = {0};

    assert(index < snap->file_count);
    source = snap->files[index];
    file.name = source->name;
    file.file_len = source->header.info.file_len;
    memcpy(file.uuid, source->header.info.uuid, STASIS_UUID_SIZE);
    memcpy(file.root, source->header.info.root, STASIS_DIGEST_SIZE);
    return file;
}

uint32_t stasis_snap_unknown_count(const struct stasis_snap *snap)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < snap->header.section_count; i++)
        count += stasis_section_is_unknown(&snap->header.sections[i]);
    return count;
}

struct stasis_snap_section stasis_snap_unknown_at(const struct stasis_snap *snap, uint32_t index)
{
    const struct stasis_section *section = snap->header.sections;

    assert(index < stasis_snap_unknown_count(snap));
    while (!stasis_section_is_unknown(section) || index-- > 0)
        section++;
    return (struct stasis_snap_section){section->type, section->length};
}
