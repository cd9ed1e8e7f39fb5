/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Everything, exactly. Names of files are left out: the same snapshots give the same text.
 */
#include "tools/diff.h"
#include "tools/text.h"
#include "tools/virtio.h"

static void put_str(struct stasis_json *json, const char *key, const char *value)
{
    stasis_json_key(json, key);
    stasis_json_str(json, value);
}

static void put_u64(struct stasis_json *json, const char *key, uint64_t value)
{
    stasis_json_key(json, key);
    stasis_json_u64(json, value);
}

static const char *name_of(enum stasis_diff_where where)
{
    static const char *const names[] = {"both", "a", "b"};

    return names[where];
}

/* A record that no schema describes is shown as the bytes of its map. */
static void put_side(struct stasis_json *json, const char *key, const struct stasis_record *record,
                     bool described)
{
    if (!record->type)
        return;
    stasis_json_key(json, key);
    stasis_json_object_begin(json);
    put_u64(json, "version", record->version);
    stasis_json_key(json, "known");
    stasis_json_bool(json, record->schema && !record->embedded);
    if (!described) {
        stasis_json_key(json, "msgpack");
        stasis_json_hex(json, record->fields, record->fields_len);
    }
    stasis_json_object_end(json);
}

static void record_begin(void *ctx, const struct stasis_diff_record *record)
{
    struct stasis_diff_json *diff = ctx;
    struct stasis_json *json = &diff->json;
    const struct stasis_record *any = record->where == STASIS_DIFF_ONLY_B ? &record->b : &record->a;
    bool described = stasis_diff_is_described(record);

    diff->type = any->type;
    stasis_json_object_begin(json);
    put_str(json, "type", any->type);
    put_str(json, "instance", any->instance);
    put_str(json, "in", name_of(record->where));
    put_side(json, "a", &record->a, described);
    put_side(json, "b", &record->b, described);
    stasis_json_key(json, "fields");
    stasis_json_array_begin(json);
}

/* What is not there has no key. */
static void field(void *ctx, const char *path, const struct stasis_scalar *a,
                  const struct stasis_scalar *b)
{
    struct stasis_diff_json *diff = ctx;
    struct stasis_json *json = &diff->json;
    const char *rest, *queue = stasis_inspect_virtio_queue_of(diff->type, path, &rest);

    stasis_json_object_begin(json);
    put_str(json, "path", path);
    if (queue)
        put_str(json, "queue", queue);
    if (a) {
        stasis_json_key(json, "a");
        stasis_scalar_put_json(a, json);
    }
    if (b) {
        stasis_json_key(json, "b");
        stasis_scalar_put_json(b, json);
    }
    stasis_json_object_end(json);
}

static void record_end(void *ctx)
{
    struct stasis_json *json = &((struct stasis_diff_json *)ctx)->json;

    stasis_json_array_end(json);
    stasis_json_object_end(json);
}

static void range(void *ctx, uint64_t gpa, uint64_t size, enum stasis_diff_where where)
{
    struct stasis_json *json = &((struct stasis_diff_json *)ctx)->json;

    stasis_json_object_begin(json);
    put_u64(json, "gpa", gpa);
    put_u64(json, "pages", size / STASIS_PAGE_SIZE);
    put_str(json, "in", name_of(where));
    stasis_json_object_end(json);
}

static void note(void *ctx, const char *key, const char *a, const char *b)
{
    struct stasis_json *json = &((struct stasis_diff_json *)ctx)->json;

    stasis_json_object_begin(json);
    put_str(json, "key", key);
    if (a)
        put_str(json, "a", a);
    if (b)
        put_str(json, "b", b);
    stasis_json_object_end(json);
}

void stasis_diff_json_init(struct stasis_diff_json *diff, FILE *out,
                           struct stasis_diff_out *ret_out)
{
    stasis_json_init(&diff->json, out);
    *ret_out =
        (struct stasis_diff_out){record_begin, field, record_end, range, note, diff, NULL, NULL};
}

static void put_info(struct stasis_json *json, const char *key, const struct stasis_snap_info *info)
{
    char uuid[STASIS_TEXT_MAX];

    stasis_text_uuid(info->uuid, uuid);
    stasis_json_key(json, key);
    stasis_json_object_begin(json);
    put_str(json, "producer", info->producer);
    put_u64(json, "arch", info->arch);
    put_str(json, "uuid", uuid);
    stasis_json_object_end(json);
}

void stasis_diff_json_header(struct stasis_json *json, const struct stasis_snap_info *a,
                             const struct stasis_snap_info *b)
{
    put_info(json, "a", a);
    put_info(json, "b", b);
}
