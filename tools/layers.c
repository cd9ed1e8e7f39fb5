/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/layers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/disk.h"

static int no_memory(struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the tree of layers");
}

/* ---- nodes ---- */

int stasis_layers_add(struct stasis_layers *layers, const char *name, struct stasis_error *err)
{
    struct stasis_layers_node *nodes =
        reallocarray(layers->nodes, layers->count + 1, sizeof(*nodes));

    if (!nodes)
        return no_memory(err);
    layers->nodes = nodes;
    nodes[layers->count] =
        (struct stasis_layers_node){.name = strdup(name), .parent = STASIS_LAYERS_NONE};
    return nodes[layers->count++].name ? 0 : no_memory(err);
}

/* The first node of this content that was looked at. */
static size_t find(const struct stasis_layers *layers, const uint8_t *uuid, const uint8_t *root)
{
    for (size_t i = 0; i < layers->count; i++) {
        const struct stasis_snap_info *info = &layers->nodes[i].info;

        if (!memcmp(info->uuid, uuid, STASIS_UUID_SIZE) &&
            !memcmp(info->root, root, STASIS_DIGEST_SIZE))
            return i;
    }
    return STASIS_LAYERS_NONE;
}

/* The node of a file that another one was opened with; which becomes one. */
static int find_or_add(struct stasis_layers *layers, const char *name, const uint8_t *uuid,
                       const uint8_t *root, size_t *ret_node, struct stasis_error *err)
{
    int rc = 0;

    *ret_node = find(layers, uuid, root);
    if (*ret_node != STASIS_LAYERS_NONE)
        return 0;
    rc = stasis_layers_add(layers, name, err);
    if (rc)
        return rc;
    *ret_node = layers->count - 1;
    memcpy(layers->nodes[*ret_node].info.uuid, uuid, STASIS_UUID_SIZE);
    memcpy(layers->nodes[*ret_node].info.root, root, STASIS_DIGEST_SIZE);
    return 0;
}

/* ---- who owes what ---- */

static void count_chunk(const struct stasis_snap *snap, uint64_t chunk,
                        struct stasis_layers_debt *debts)
{
    uint32_t count = stasis_snap_extent_count(snap, chunk);

    for (uint32_t k = 0; k < count; k++) {
        struct stasis_snap_extent extent = stasis_snap_extent_at(snap, chunk, k);

        if (extent.encoding == STASIS_CHUNK_ZERO)
            continue;
        debts[extent.file].bytes += extent.stored_len;
        debts[extent.file].pages += (unsigned)__builtin_popcount(extent.taken_pages);
    }
}

static int count_debts(struct stasis_layers *layers, size_t node, const struct stasis_snap *snap,
                       struct stasis_error *err)
{
    uint32_t files = stasis_snap_file_count(snap);
    uint64_t chunks = stasis_snap_chunk_count(snap);
    struct stasis_layers_debt *debts = calloc(files + 1, sizeof(*debts));
    int rc = 0;

    if (!debts)
        return no_memory(err);
    layers->nodes[node].owes = debts;
    layers->nodes[node].owe_count = files;
    debts[0].file = node;
    for (uint32_t n = 1; n < files && !rc; n++) {
        struct stasis_snap_file file = stasis_snap_file_at(snap, n);

        rc = find_or_add(layers, file.name, file.uuid, file.root, &debts[n].file, err);
    }
    for (uint64_t i = 0; i < chunks && !rc; i = stasis_snap_run_end(snap, i, chunks))
        count_chunk(snap, i, debts);
    return rc;
}

static int count_disk_debts(struct stasis_layers *layers, size_t node,
                            const struct stasis_overlay *overlay, struct stasis_error *err)
{
    uint32_t files = stasis_overlay_about(overlay).files;
    struct stasis_layers_debt *debts = calloc(files + 1, sizeof(*debts));
    int rc = 0;

    if (!debts)
        return no_memory(err);
    layers->nodes[node].owes = debts;
    layers->nodes[node].owe_count = files;
    for (uint32_t n = 0; n < files && !rc; n++) {
        struct stasis_overlay_file file = stasis_overlay_file_at(overlay, n);

        debts[n].file = node;
        debts[n].pages = file.pages;
        debts[n].bytes = file.pages * STASIS_PAGE_SIZE;
        if (n)
            rc = find_or_add(layers, file.name, file.info->uuid, file.info->root, &debts[n].file,
                             err);
    }
    return rc;
}

/* What keeps its RAM from being read is shown, and no error. */
static int note_lack(struct stasis_layers_node *node, int rc, struct stasis_error *err)
{
    if (rc == STASIS_ERR_NOMEM)
        return rc;
    node->lacks = strdup(err->msg);
    return node->lacks ? 0 : no_memory(err);
}

/* What the file says of itself. */
static int look(const struct stasis_inspect_args *args, struct stasis_layers *layers, size_t node,
                struct stasis_error *err)
{
    struct stasis_snap *snap = NULL;
    struct stasis_overlay *overlay = NULL;
    struct stasis_layers_node *at = &layers->nodes[node];
    int rc;

    at->is_disk = stasis_overlay_is_at(at->name);
    rc = at->is_disk ? stasis_disk_open(args, at->name, true, &overlay, err)
                     : stasis_inspect_open_alone(args, at->name, &snap, err);
    if (rc)
        return at->is_named ? rc : note_lack(at, rc, err);
    at->info = at->is_disk ? *stasis_overlay_file_at(overlay, 0).info : *stasis_snap_info(snap);
    stasis_overlay_free(overlay);
    stasis_snap_free(snap);
    return 0;
}

static int look_below_disk(const struct stasis_inspect_args *args, struct stasis_layers *layers,
                           size_t node, struct stasis_error *err)
{
    struct stasis_overlay *overlay = NULL;
    int rc = stasis_disk_open(args, layers->nodes[node].name, false, &overlay, err);

    if (rc)
        return note_lack(&layers->nodes[node], rc, err);
    rc = count_disk_debts(layers, node, overlay, err);
    stasis_overlay_free(overlay);
    return rc;
}

/* With all that it lies on: where its RAM is. */
static int look_below(const struct stasis_inspect_args *args, struct stasis_layers *layers,
                      size_t node, struct stasis_error *err)
{
    struct stasis_snap *snap = NULL;
    int rc = 0;

    if (layers->nodes[node].lacks)
        return 0;
    if (layers->nodes[node].is_disk)
        return look_below_disk(args, layers, node, err);
    rc = stasis_inspect_open_tolerant(args, layers->nodes[node].name, &snap, err);
    if (rc)
        return note_lack(&layers->nodes[node], rc, err);
    rc = count_debts(layers, node, snap, err);
    stasis_snap_free(snap);
    return rc;
}

/* ---- the tree ---- */

static void find_parents(struct stasis_layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) {
        struct stasis_layers_node *node = &layers->nodes[i];

        if (!node->info.layer)
            continue;
        node->parent = find(layers, node->info.parent_uuid, node->info.parent_root);
        if (node->parent != STASIS_LAYERS_NONE)
            layers->nodes[node->parent].children++;
    }
}

static int by_parent_and_time(const void *a, const void *b)
{
    const struct stasis_layers_node *x = *(const struct stasis_layers_node *const *)a;
    const struct stasis_layers_node *y = *(const struct stasis_layers_node *const *)b;

    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    if (x->info.created_ns != y->info.created_ns)
        return x->info.created_ns < y->info.created_ns ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Where the children of a node begin in the sorted list. */
static size_t first_child(struct stasis_layers_node *const *sorted, size_t count, size_t parent)
{
    size_t low = 0;

    while (low < count) {
        size_t middle = low + (count - low) / 2;

        if (sorted[middle]->parent < parent)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

struct drawing {
    struct stasis_layers *layers;
    struct stasis_layers_node **sorted;
    size_t *stack; /* nodes to be drawn next, the last one first */
    size_t top;
    size_t drawn;
};

/* The last child first, so that the first one is on top. */
static void push_children(struct drawing *drawing, size_t parent)
{
    struct stasis_layers *layers = drawing->layers;
    const struct stasis_layers_node *node = &layers->nodes[parent];
    size_t first = first_child(drawing->sorted, layers->count, parent);

    for (size_t i = first + node->children; i > first; i--) {
        struct stasis_layers_node *child = drawing->sorted[i - 1];

        if (child->drawn) /* a circle, in files that somebody made */
            continue;
        child->drawn = true;
        child->depth = node->depth + (node->children > 1 || !node->info.layer);
        drawing->stack[drawing->top++] = (size_t)(child - layers->nodes);
    }
}

static void draw_from(struct drawing *drawing, struct stasis_layers_node *start)
{
    if (start->drawn)
        return;
    start->drawn = true;
    drawing->stack[drawing->top++] = (size_t)(start - drawing->layers->nodes);
    while (drawing->top) {
        size_t node = drawing->stack[--drawing->top];

        drawing->layers->order[drawing->drawn++] = node;
        push_children(drawing, node);
    }
}

static int put_in_order(struct stasis_layers *layers, struct stasis_error *err)
{
    size_t count = layers->count;
    struct drawing drawing = {.layers = layers,
                              .sorted = calloc(count + 1, sizeof(void *)),
                              .stack = calloc(count + 1, sizeof(*drawing.stack))};
    int rc = 0;

    layers->order = calloc(count + 1, sizeof(*layers->order));
    if (layers->order && drawing.sorted && drawing.stack) {
        for (size_t i = 0; i < count; i++)
            drawing.sorted[i] = &layers->nodes[i];
        qsort(drawing.sorted, count, sizeof(void *), by_parent_and_time);
        for (size_t i = first_child(drawing.sorted, count, STASIS_LAYERS_NONE); i < count; i++)
            draw_from(&drawing, drawing.sorted[i]);
        for (size_t i = 0; i < count; i++)
            draw_from(&drawing, drawing.sorted[i]);
    } else {
        rc = no_memory(err);
    }
    free(drawing.sorted);
    free(drawing.stack);
    return rc;
}

static int add_operand(struct stasis_layers *layers, const char *name, struct stasis_error *err)
{
    struct stat st;
    int rc;

    if (!stat(name, &st) && S_ISDIR(st.st_mode))
        return stasis_layers_add_folder(layers, name, err);
    rc = stasis_layers_add(layers, name, err);
    if (!rc)
        layers->nodes[layers->count - 1].is_named = true;
    return rc;
}

int stasis_layers_collect(const struct stasis_inspect_args *args, struct stasis_layers *ret_layers,
                          struct stasis_error *err)
{
    size_t named;
    int rc = 0;

    *ret_layers = (struct stasis_layers){.count = 0};
    for (size_t i = 0; i < args->operand_count && !rc; i++)
        rc = add_operand(ret_layers, args->operands[i], err);
    named = ret_layers->count;
    for (size_t i = 0; i < named && !rc; i++)
        rc = look(args, ret_layers, i, err);
    /* What they lie on, and is none of them, is added behind. */
    for (size_t i = 0; i < ret_layers->count && !rc; i++) {
        if (i >= named)
            rc = look(args, ret_layers, i, err);
        if (!rc)
            rc = look_below(args, ret_layers, i, err);
    }
    if (rc)
        return rc;
    find_parents(ret_layers);
    return put_in_order(ret_layers, err);
}

void stasis_layers_fini(struct stasis_layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) {
        free(layers->nodes[i].name);
        free(layers->nodes[i].owes);
        free(layers->nodes[i].lacks);
    }
    free(layers->nodes);
    free(layers->order);
}
