/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A struct with members of each kind that can be bound: signed integers, arrays of arrays, structs
 * in arrays, and pointers with counts, to integers, bytes and structs. What is read has its own
 * memory for what a pointer leads to.
 */
#include <stasis/bind.h>
#include <stasis/ser.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct axis {
    int8_t sign;
    int64_t zero;
};

static const struct stasis_field axis_fields[] = {
    /* A mask of -1 permits every value. */
    STASIS_BIND_INT(struct axis, sign, 1, 1, 1, -1, "direction, 1 or -1"),
    STASIS_BIND_INT(struct axis, zero, 2, 1, 0, -1, "where it begins, nanometers"),
};
static const struct stasis_schema axis_schema = {
    .type = "acme.axis", .version = 1, STASIS_BIND_FIELDS(struct axis, axis_fields), .doc = "axis"};

struct plotter {
    int16_t pen; /* below 0: it is up */
    int32_t origin[2][3];
    struct axis axes[2][2];
    int64_t *path; /* nanometers */
    uint32_t path_count;
    uint8_t *text;
    size_t text_len;
    struct axis *tools;
    uint8_t tool_count;
};

static const struct stasis_field plotter_fields[] = {
    STASIS_BIND_INT(struct plotter, pen, 1, 1, 0, -1, "height of the pen, micrometers"),
    STASIS_BIND_INTS(struct plotter, origin, 2, 1, -1, "origins of two sheets"),
    STASIS_BIND_STRUCTS(struct plotter, axes, struct axis, 3, 1, axis_schema,
                        "two axes of two arms"),
    /* The number is the greatest count that a reader takes. */
    STASIS_BIND_INTS_PTR(struct plotter, path, path_count, 1000, 4, 1, "where the pen goes next"),
    STASIS_BIND_BUF_PTR(struct plotter, text, text_len, 4096, 5, 1, 1, "what it writes"),
    STASIS_BIND_LIST_PTR(struct plotter, tools, tool_count, 16, 6, 1, axis_schema, "other tools"),
};
static const struct stasis_schema plotter_schema = {
    .type = "acme.plotter",
    .version = 1,
    STASIS_BIND_FIELDS(struct plotter, plotter_fields),
    .doc = "plotter"};
static const struct stasis_schema *const own[] = {&plotter_schema};
static const struct stasis_parse_opts known = {
    .size = sizeof(known), .schemas = own, .schema_count = 1};

static int encode(const struct plotter *plotter, uint8_t **ret_bytes, size_t *ret_len,
                  struct stasis_error *err)
{
    struct stasis_records *set = stasis_records_new();
    int rc = set ? stasis_records_add(set, &plotter_schema, "0", plotter, err)
                 : stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");

    if (!rc)
        rc = stasis_records_encode(set, ret_bytes, ret_len, err);
    stasis_records_free(set);
    return rc;
}

/* *ret_plotter is the caller's to free by stasis_state_fini(). */
static int decode(const uint8_t *bytes, size_t len, struct plotter *ret_plotter,
                  struct stasis_error *err)
{
    struct stasis_records *set = NULL;
    int rc = stasis_records_parse(bytes, len, &known, &set, err);

    if (!rc)
        rc = stasis_records_get(set, &plotter_schema, "0", ret_plotter, err);
    stasis_records_free(set);
    return rc;
}

static void show(const struct plotter *plotter)
{
    printf("pen %d, origin %" PRId32 ", axis %d from %" PRId64 "\n", plotter->pen,
           plotter->origin[1][2], plotter->axes[1][0].sign, plotter->axes[1][0].zero);
    printf("goes to %" PRId64 ", writes %.*s, %u tools, the last from %" PRId64 "\n",
           plotter->path[plotter->path_count - 1], (int)plotter->text_len,
           (const char *)plotter->text, plotter->tool_count,
           plotter->tools[plotter->tool_count - 1].zero);
}

int main(void)
{
    int64_t path[] = {INT64_MIN, -7};
    uint8_t text[] = "hello";
    struct axis tools[] = {{1, 5}, {-1, -9}};
    const struct plotter saved = {.pen = -3,
                                  .origin = {{1, 2, 3}, {4, 5, -6}},
                                  .axes = {{{1, 0}, {1, 10}}, {{-1, -20}, {1, 30}}},
                                  .path = path,
                                  .path_count = 2,
                                  .text = text,
                                  .text_len = 5,
                                  .tools = tools,
                                  .tool_count = 2};
    struct plotter live;
    struct stasis_error err = {0};
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = stasis_schema_check(&plotter_schema, &err); /* once, in a test of yours */

    if (!rc)
        rc = encode(&saved, &bytes, &len, &err);
    if (!rc)
        rc = decode(bytes, len, &live, &err);
    free(bytes);
    if (rc) {
        fprintf(stderr, "own-members: %s\n", err.msg);
        return stasis_err_exit_status(rc);
    }
    show(&live);
    stasis_state_fini(&plotter_schema, &live);
    return 0;
}
