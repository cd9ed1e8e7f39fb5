/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A tool that edits a snapshot: it sets the level of a dimmer. RAM, the other records, and what a
 * newer release may have added are kept as they are stored, and verified on the way.
 *
 *   edit-snapshot FILE new           write a snapshot to edit
 *   edit-snapshot FILE LEVEL         set the level, and count the edits
 *   edit-snapshot FILE               show what is in the file
 */
#include <stasis/bind.h>
#include <stasis/snap.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dimmer {
    uint16_t level;
};

struct edits {
    uint32_t count;
};

static const struct stasis_field dimmer_fields[] = {
    STASIS_BIND_INT(struct dimmer, level, 1, 1, 0, 0x3ff, "level, per mille"),
};
static const struct stasis_field edits_fields[] = {
    STASIS_BIND_INT(struct edits, count, 1, 1, 0, UINT32_MAX, "edits since it was saved"),
};

static const struct stasis_schema dimmer_schema = {.type = "acme.dimmer",
                                                   .version = 1,
                                                   STASIS_BIND_FIELDS(struct dimmer, dimmer_fields),
                                                   .doc = "dimmer"};
/* Optional: a program that does not know it reads the file all the same. */
static const struct stasis_schema edits_schema = {.type = "acme.edits",
                                                  .version = 1,
                                                  .optional = true,
                                                  STASIS_BIND_FIELDS(struct edits, edits_fields),
                                                  .doc = "edits"};

static const struct stasis_schema *const own[] = {&dimmer_schema, &edits_schema};
static const struct stasis_parse_opts known = {
    .size = sizeof(known), .schemas = own, .schema_count = 2};

static int make(const char *path, struct stasis_error *err)
{
    static uint8_t ram[1 << 20] = "what the guest wrote";
    const struct dimmer dimmer = {.level = 500};
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);
    int rc = snap ? 0 : stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");

    if (!rc)
        rc = stasis_records_add(stasis_snap_records(snap), &dimmer_schema, "hall", &dimmer, err);
    if (!rc)
        rc = stasis_snap_add_ram(snap, 0, ram, sizeof(ram), err);
    if (!rc)
        rc = stasis_snap_save(snap, path, NULL, NULL, err);
    stasis_snap_free(snap);
    return rc;
}

/* The record is added by the first edit and replaced by the next. */
static int count_edit(struct stasis_records *records, struct stasis_error *err)
{
    struct edits edits = {0};
    bool there = stasis_records_find(records, edits_schema.type, "0") != SIZE_MAX;
    int rc = there ? stasis_records_get(records, &edits_schema, "0", &edits, err) : 0;

    if (rc)
        return rc;
    edits.count++;
    return there ? stasis_records_replace(records, &edits_schema, "0", &edits, err)
                 : stasis_records_add(records, &edits_schema, "0", &edits, err);
}

static int edit(const char *path, uint16_t level, struct stasis_error *err)
{
    const struct dimmer dimmer = {.level = level};
    struct stasis_snap *snap = NULL;
    int rc = stasis_snap_open(path, &known, &snap, err);

    if (!rc)
        rc =
            stasis_records_replace(stasis_snap_records(snap), &dimmer_schema, "hall", &dimmer, err);
    if (!rc)
        rc = count_edit(stasis_snap_records(snap), err);
    if (!rc)
        rc = stasis_snap_save(snap, path, NULL, NULL, err);
    stasis_snap_free(snap);
    return rc;
}

static int show(const char *path, struct stasis_error *err)
{
    static char ram[1 << 20];
    struct dimmer dimmer;
    struct edits edits = {0};
    struct stasis_snap *snap = NULL;
    int rc = stasis_snap_open(path, &known, &snap, err);

    if (!rc)
        rc = stasis_records_get(stasis_snap_records(snap), &dimmer_schema, "hall", &dimmer, err);
    if (!rc && stasis_records_find(stasis_snap_records(snap), edits_schema.type, "0") != SIZE_MAX)
        rc = stasis_records_get(stasis_snap_records(snap), &edits_schema, "0", &edits, err);
    if (!rc)
        rc = stasis_snap_get_ram(snap, 0, ram, sizeof(ram), NULL, NULL, err);
    if (!rc)
        printf("level %u, %u edits, RAM: %s\n", dimmer.level, edits.count, ram);
    stasis_snap_free(snap);
    return rc;
}

int main(int argc, char **argv)
{
    struct stasis_error err = {0};
    int rc;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: edit-snapshot FILE [new | LEVEL]\n");
        return 2;
    }
    if (argc == 2)
        rc = show(argv[1], &err);
    else if (!strcmp(argv[2], "new"))
        rc = make(argv[1], &err);
    else
        rc = edit(argv[1], (uint16_t)strtoul(argv[2], NULL, 10), &err);
    if (rc)
        fprintf(stderr, "edit-snapshot: %s\n", err.msg);
    return stasis_err_exit_status(rc);
}
