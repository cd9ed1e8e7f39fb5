/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Everything but RAM, for programs: integers are exact (a reader must keep 64 bits), the order of
 * the keys is fixed, and the same file gives the same text whatever its name.
 */
#include "tools/disk.h"
#include "tools/text.h"
#include "tools/virtio.h"

static void put_u64(struct stasis_json *json, const char *key, uint64_t value)
{
    stasis_json_key(json, key);
    stasis_json_u64(json, value);
}

static void put_str(struct stasis_json *json, const char *key, const char *value)
{
    stasis_json_key(json, key);
    stasis_json_str(json, value);
}

static void put_root(struct stasis_json *json, const struct stasis_snap_info *info)
{
    char root[STASIS_TEXT_MAX];

    stasis_text_root(info->root, root);
    put_str(json, "root", root);
    put_str(json, "digest", info->digests ? "sha256" : "none");
}

static void put_parent(struct stasis_json *json, const struct stasis_snap_info *info)
{
    char text[STASIS_TEXT_MAX];

    stasis_text_uuid(info->parent_uuid, text);
    put_str(json, "parent_uuid", text);
    stasis_text_root(info->parent_root, text);
    put_str(json, "parent_root", text);
    stasis_json_key(json, "whole_index");
    stasis_json_bool(json, info->whole);
}

void stasis_inspect_json_header(struct stasis_json *json, const struct stasis_snap_info *info)
{
    const char *arch_name = stasis_text_arch_name(info->arch);
    char uuid[STASIS_TEXT_MAX];

    stasis_text_uuid(info->uuid, uuid);
    stasis_json_key(json, "header");
    stasis_json_object_begin(json);
    put_u64(json, "format_version", info->format_version);
    put_u64(json, "incompatible", info->incompatible);
    put_u64(json, "compatible", info->compatible);
    put_str(json, "producer", info->producer);
    put_u64(json, "arch", info->arch);
    put_str(json, "arch_name", arch_name ? arch_name : "unknown");
    put_str(json, "uuid", uuid);
    put_u64(json, "created_ns", info->created_ns);
    put_u64(json, "file_len", info->file_len);
    put_u64(json, "ram_bytes", info->ram_bytes);
    put_u64(json, "stored_bytes", info->stored_bytes);
    stasis_json_key(json, "streamed");
    stasis_json_bool(json, info->streamed);
    if (info->format_version > 1)
        put_root(json, info);
    if (info->layer)
        put_parent(json, info);
    stasis_json_object_end(json);
}

static void put_notes(struct stasis_json *json, const struct stasis_notes *notes)
{
    stasis_json_key(json, "notes");
    stasis_json_object_begin(json);
    for (size_t i = 0; i < stasis_notes_count(notes); i++)
        put_str(json, stasis_notes_at(notes, i).key, stasis_notes_at(notes, i).value);
    stasis_json_object_end(json);
}

struct tally {
    uint64_t raw;
    uint64_t zlib;
    uint64_t zero;
    uint64_t absent;  /* of a layer: as in the parent */
    uint64_t layered; /* of a layer: with extents */
    uint64_t stored_bytes;
    uint64_t pages; /* that are not zero */
};

/* That chunk, or a run of chunks that are alike. */
static void count_run(struct tally *tally, const struct stasis_snap_chunk *chunk, uint64_t chunks)
{
    tally->raw += chunk->kind == STASIS_CHUNK_RAW;
    tally->zlib += chunk->kind == STASIS_CHUNK_ZLIB;
    tally->zero += chunk->kind == STASIS_CHUNK_ZERO ? chunks : 0;
    tally->absent += chunk->kind == STASIS_CHUNK_ABSENT ? chunks : 0;
    tally->layered += chunk->kind == STASIS_CHUNK_EXTENTS;
    tally->stored_bytes += chunk->stored_len;
    tally->pages += (unsigned)__builtin_popcount(chunk->page_mask);
}

static void put_region(struct stasis_json *json, const struct stasis_snap *snap, uint32_t index)
{
    struct stasis_snap_region region = stasis_snap_region_at(snap, index);
    uint64_t end = index + 1 < stasis_snap_region_count(snap)
                       ? stasis_snap_region_at(snap, index + 1).first_chunk
                       : stasis_snap_chunk_count(snap);
    struct tally tally = {0};
    uint64_t next;

    for (uint64_t i = region.first_chunk; i < end; i = next) {
        struct stasis_snap_chunk chunk = stasis_snap_chunk_at(snap, i);

        next = stasis_snap_run_end(snap, i, end);
        count_run(&tally, &chunk, next - i);
    }
    stasis_json_object_begin(json);
    put_u64(json, "gpa", region.gpa);
    put_u64(json, "size", region.size);
    put_u64(json, "first_chunk", region.first_chunk);
    put_u64(json, "chunks", end - region.first_chunk);
    put_u64(json, "chunks_raw", tally.raw);
    put_u64(json, "chunks_zlib", tally.zlib);
    put_u64(json, "chunks_zero", tally.zero);
    put_u64(json, "chunks_absent", tally.absent);
    if (stasis_snap_info(snap)->layer)
        put_u64(json, "chunks_layered", tally.layered);
    put_u64(json, "stored_bytes", tally.stored_bytes);
    put_u64(json, "pages_not_zero", tally.pages);
    stasis_json_object_end(json);
}

static void put_regions(struct stasis_json *json, const struct stasis_snap *snap)
{
    stasis_json_key(json, "regions");
    stasis_json_array_begin(json);
    for (uint32_t i = 0; i < stasis_snap_region_count(snap); i++)
        put_region(json, snap, i);
    stasis_json_array_end(json);
}

int stasis_inspect_json(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err)
{
    struct stasis_json json;
    struct stasis_snap *snap;
    int rc;

    if (stasis_overlay_is_at(args->operands[0]))
        return stasis_disk_json(args, out, err);
    rc = stasis_inspect_open_any_alone(args, args->operands[0], &snap, err);
    if (rc)
        return rc;
    rc = stasis_inspect_read_notes(snap, err);
    if (rc)
        goto out;
    stasis_json_init(&json, out);
    stasis_json_object_begin(&json);
    stasis_inspect_json_header(&json, stasis_snap_info(snap));
    put_notes(&json, stasis_snap_notes(snap));
    put_regions(&json, snap);
    stasis_json_key(&json, "records");
    rc = stasis_records_json(stasis_snap_records(snap), &json, err);
    if (rc)
        goto out;
    stasis_json_key(&json, "virtio");
    rc = stasis_inspect_virtio_json(&json, stasis_snap_records(snap), err);
    if (rc)
        goto out;
    stasis_json_object_end(&json);
    if (stasis_json_finish(&json))
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "standard output");
out:
    stasis_snap_free(snap);
    return rc;
}
