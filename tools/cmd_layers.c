/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which snapshot or disk lies on which, how long each is, and what it takes from the others.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/layers.h"
#include "tools/svg.h"
#include "tools/text.h"

enum { OPTION_JSON, OPTION_SVG };

enum { INDENT_MAX = 20 };

/* ---- text ---- */

/* What it is called beside the others. */
static const char *short_name(const struct stasis_layers *layers, size_t node)
{
    const char *slash = strrchr(layers->nodes[node].name, '/');

    return slash ? slash + 1 : layers->nodes[node].name;
}

static void put_debts(const struct stasis_layers *layers, const struct stasis_layers_node *node,
                      FILE *out)
{
    for (size_t n = 0; n < node->owe_count; n++) {
        char size[STASIS_TEXT_MAX];

        if (n && !node->owes[n].pages)
            continue;
        stasis_text_size(node->owes[n].pages * STASIS_PAGE_SIZE, size);
        fprintf(out, "%s%s in ", n ? ", " : node->is_disk ? "; disk: " : "; memory: ", size);
        stasis_text_put(out, n ? short_name(layers, node->owes[n].file) : "itself");
    }
    fputc('\n', out);
}

static void put_parent(const struct stasis_layers *layers, const struct stasis_layers_node *node,
                       FILE *out)
{
    char uuid[STASIS_TEXT_MAX];

    if (!node->info.layer) {
        fputs(node->is_disk ? " on an image" : "", out);
        return;
    }
    fputs(" on ", out);
    stasis_text_uuid(node->info.parent_uuid, uuid);
    stasis_text_put(out,
                    node->parent == STASIS_LAYERS_NONE ? uuid : short_name(layers, node->parent));
    fputs(node->info.whole ? ", whole index" : "", out);
}

static void put_node(const struct stasis_layers *layers, const struct stasis_layers_node *node,
                     FILE *out)
{
    unsigned depth = node->depth < INDENT_MAX ? node->depth : INDENT_MAX;
    char size[STASIS_TEXT_MAX];

    stasis_text_size(node->info.file_len, size);
    fprintf(out, "%*s%s", (int)(2 * depth), "", depth ? "- " : "");
    stasis_text_put(out, node->name);
    fprintf(out, ": %s", size);
    put_parent(layers, node, out);
    if (!node->lacks) {
        put_debts(layers, node, out);
        return;
    }
    fputs("; incomplete: ", out);
    stasis_text_put(out, node->lacks);
    fputc('\n', out);
}

static void put_text(const struct stasis_layers *layers, FILE *out)
{
    uint64_t bytes = 0;
    char size[STASIS_TEXT_MAX];

    for (size_t i = 0; i < layers->count; i++) {
        put_node(layers, &layers->nodes[layers->order[i]], out);
        bytes += layers->nodes[i].info.file_len;
    }
    stasis_text_size(bytes, size);
    fprintf(out, "%zu file%s, %s\n", layers->count, layers->count == 1 ? "" : "s", size);
}

/* ---- JSON ---- */

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

static void put_name(struct stasis_json *json, const char *prefix, const uint8_t *uuid,
                     const uint8_t *root)
{
    char key[STASIS_TEXT_MAX], text[STASIS_TEXT_MAX];

    snprintf(key, sizeof(key), "%suuid", prefix);
    stasis_text_uuid(uuid, text);
    put_str(json, key, text);
    snprintf(key, sizeof(key), "%sroot", prefix);
    stasis_text_root(root, text);
    put_str(json, key, text);
}

static void put_json_debts(struct stasis_json *json, const struct stasis_layers *layers,
                           const struct stasis_layers_node *node)
{
    stasis_json_key(json, node->is_disk ? "disk" : "memory");
    stasis_json_array_begin(json);
    for (size_t n = 0; n < node->owe_count; n++) {
        stasis_json_object_begin(json);
        put_str(json, "file", layers->nodes[node->owes[n].file].name);
        put_u64(json, "bytes", node->owes[n].bytes);
        put_u64(json, "pages", node->owes[n].pages);
        stasis_json_object_end(json);
    }
    stasis_json_array_end(json);
}

static void put_json_node(struct stasis_json *json, const struct stasis_layers *layers,
                          const struct stasis_layers_node *node)
{
    stasis_json_object_begin(json);
    put_str(json, "file", node->name);
    put_name(json, "", node->info.uuid, node->info.root);
    put_u64(json, "created_ns", node->info.created_ns);
    put_u64(json, "file_len", node->info.file_len);
    put_u64(json, "stored_bytes", node->info.stored_bytes);
    if (node->info.layer) {
        put_name(json, "parent_", node->info.parent_uuid, node->info.parent_root);
        if (!node->is_disk) {
            stasis_json_key(json, "whole_index");
            stasis_json_bool(json, node->info.whole);
        }
    }
    if (node->parent != STASIS_LAYERS_NONE)
        put_str(json, "parent", layers->nodes[node->parent].name);
    if (node->lacks)
        put_str(json, "lacks", node->lacks);
    else
        put_json_debts(json, layers, node);
    stasis_json_object_end(json);
}

static int put_json(const struct stasis_layers *layers, FILE *out, struct stasis_error *err)
{
    struct stasis_json json;

    stasis_json_init(&json, out);
    stasis_json_array_begin(&json);
    for (size_t i = 0; i < layers->count; i++)
        put_json_node(&json, layers, &layers->nodes[layers->order[i]]);
    stasis_json_array_end(&json);
    return stasis_json_finish(&json) ? stasis_fail_errno(err, STASIS_ERR_WRITE, "standard output")
                                     : 0;
}

/* ---- the command ---- */

static void draw(const void *layers, FILE *out)
{
    stasis_layers_svg(layers, out);
}

static int check_names(const struct stasis_inspect_args *args, struct stasis_error *err)
{
    for (size_t i = 0; i < args->operand_count; i++)
        if (!stasis_inspect_opens_twice(args->operands[i]))
            return stasis_fail(err, STASIS_ERR_ARG,
                               "layers: %s: files are read twice; name one that is no pipe",
                               args->operands[i]);
    return 0;
}

int stasis_inspect_layers(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err)
{
    struct stasis_layers layers = {.count = 0};
    int rc = check_names(args, err);

    if (!rc)
        rc = stasis_layers_collect(args, &layers, err);
    if (!rc && args->values[OPTION_SVG])
        rc = stasis_svg_write(args->outputs, args->values[OPTION_SVG], draw, &layers, err);
    if (!rc && args->values[OPTION_JSON])
        rc = put_json(&layers, out, err);
    else if (!rc)
        put_text(&layers, out);
    stasis_layers_fini(&layers);
    return rc;
}
