/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Records of a type this release does not know (optional ones): checked for canonical form so that
 * they too have one spelling, and shown by field id. A loop with a small stack of its own, because
 * here the input decides the nesting.
 */
#include "encoding.h"

#include <inttypes.h>

#include "stasis/field.h"

struct level {
    bool is_map;
    uint32_t left;    /* elements or pairs still to come */
    uint64_t last_id; /* ids start at 1 */
};

struct walk {
    struct stasis_reader *reader;
    struct stasis_json *json; /* may be NULL */
    unsigned depth;
    struct level levels[STASIS_UNKNOWN_DEPTH_MAX];
};

static void open_level(struct walk *walk, bool is_map)
{
    struct level *level = &walk->levels[walk->depth];

    if (walk->depth == STASIS_UNKNOWN_DEPTH_MAX) {
        stasis_reader_refuse(walk->reader, "nested too deeply");
        return;
    }
    level->is_map = is_map;
    level->last_id = 0;
    level->left = is_map ? stasis_reader_map(walk->reader) : stasis_reader_array(walk->reader);
    walk->depth++;
    if (walk->json)
        (is_map ? stasis_json_object_begin : stasis_json_array_begin)(walk->json);
}

static void close_level(struct walk *walk)
{
    walk->depth--;
    if (walk->json)
        (walk->levels[walk->depth].is_map ? stasis_json_object_end
                                          : stasis_json_array_end)(walk->json);
}

static void walk_id(struct walk *walk, struct level *level)
{
    uint64_t id = stasis_reader_uint(walk->reader);
    char key[21];

    if (id <= level->last_id)
        stasis_reader_refuse(walk->reader, "field ids are not ascending from 1");
    level->last_id = id;
    if (walk->json) {
        snprintf(key, sizeof(key), "%" PRIu64, id);
        stasis_json_key(walk->json, key);
    }
}

static void walk_str(struct walk *walk)
{
    const char *str;
    size_t len = stasis_reader_str(walk->reader, &str);

    if (!stasis_utf8_valid(str, len))
        stasis_reader_refuse(walk->reader, "a string is not UTF-8, or has control characters");
    else if (walk->json)
        stasis_json_strn(walk->json, str, len);
}

static void walk_bin(struct walk *walk)
{
    const uint8_t *bytes;
    size_t len = stasis_reader_bin(walk->reader, &bytes);

    if (walk->json)
        stasis_json_hex(walk->json, bytes, len);
}

static void walk_value(struct walk *walk)
{
    uint64_t number;

    switch (stasis_reader_peek(walk->reader)) {
    case STASIS_WIRE_UINT:
        number = stasis_reader_uint(walk->reader);
        if (walk->json)
            stasis_json_u64(walk->json, number);
        break;
    case STASIS_WIRE_NEGATIVE:
        number = (uint64_t)stasis_reader_int(walk->reader);
        if (walk->json)
            stasis_json_i64(walk->json, (int64_t)number);
        break;
    case STASIS_WIRE_STR:
        walk_str(walk);
        break;
    case STASIS_WIRE_BIN:
        walk_bin(walk);
        break;
    case STASIS_WIRE_ARRAY:
        open_level(walk, false);
        break;
    case STASIS_WIRE_MAP:
        open_level(walk, true);
        break;
    case STASIS_WIRE_OTHER:
        stasis_reader_refuse(walk->reader, "of a type that the format does not have");
        break;
    case STASIS_WIRE_END:
        stasis_reader_refuse(walk->reader, "cut off");
        break;
    }
}

void stasis_unknown_walk(struct stasis_reader *reader, struct stasis_json *json)
{
    struct walk walk = {.reader = reader, .json = json};

    open_level(&walk, true);
    while (walk.depth && !reader->fault) {
        struct level *level = &walk.levels[walk.depth - 1];

        if (!level->left) {
            close_level(&walk);
            continue;
        }
        level->left--;
        if (level->is_map)
            walk_id(&walk, level);
        walk_value(&walk);
    }
}
