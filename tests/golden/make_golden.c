/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * make_golden FILE LEVEL: every record type with its defaults, with random values, and with the
 * ends of its ranges; RAM of every kind of chunk. Used once for each release, by make.sh.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/field.h"
#include "stasis/snap.h"
#include "stasis/state.h"
#include "tests/state-ser/ser/random_state.h"

#define RANDOM_STATES 3
#define RAM_SIZE      (4 * (size_t)STASIS_CHUNK_SIZE + STASIS_PAGE_SIZE)

/* A board of this release: it runs one vCPU, and has devices that it knows. */
static void tame_board(struct stasis_board_state *board)
{
    board->vcpus = 1;
    for (uint32_t i = 0; i < board->devices_count; i++) {
        struct stasis_board_device_state *device = &board->devices[i];

        memset(device->type, 0, sizeof(device->type));
        memset(device->instance, 0, sizeof(device->instance));
        snprintf(device->type, sizeof(device->type), "stasis.serial");
        snprintf(device->instance, sizeof(device->instance), "com%u", i);
        device->version = 1;
    }
}

static int add(struct stasis_records *records, const struct stasis_schema *schema,
               const char *instance, void *state, struct stasis_error *err)
{
    if (schema == &stasis_board_schema)
        tame_board(state);
    if (stasis_state_check(schema, state, NULL))
        return 0; /* a rule between fields is against it */
    return stasis_records_add(records, schema, instance, state, err);
}

/* One field at a time goes to the end of its range. */
static int add_ends(struct stasis_records *records, const struct stasis_schema *schema, void *state,
                    struct stasis_error *err)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];
        char instance[STASIS_TYPE_MAX + 1];

        if (field->kind != STASIS_KIND_INT)
            continue;
        stasis_state_init(schema, state);
        stasis_field_set_int(field, state, 0, field->mask);
        snprintf(instance, sizeof(instance), "end%u", i + 1);
        rc = add(records, schema, instance, state, err);
    }
    return rc;
}

static int add_type(struct stasis_records *records, const struct stasis_schema *schema,
                    uint64_t *seed, struct stasis_error *err)
{
    void *state = calloc(1, schema->size);
    int rc = state ? 0 : stasis_fail(err, STASIS_ERR_NOMEM, "a state");

    if (!rc) {
        stasis_state_init(schema, state);
        rc = add(records, schema, "default", state, err);
    }
    for (int i = 0; !rc && i < RANDOM_STATES; i++) {
        char instance[] = "random0";

        instance[sizeof(instance) - 2] = (char)('0' + i);
        random_state(seed, schema, state);
        rc = add(records, schema, instance, state, err);
    }
    if (!rc)
        rc = add_ends(records, schema, state, err);
    free(state);
    return rc;
}

/* Text, zeros, noise, one page alone, and a short chunk. */
static void fill(uint8_t *ram, uint64_t *seed)
{
    for (size_t i = 0; i < STASIS_CHUNK_SIZE; i++) {
        ram[i] = (uint8_t)("golden "[i % 7]);
        ram[2 * STASIS_CHUNK_SIZE + i] = (uint8_t)random_u64(seed);
    }
    memset(ram + 3 * STASIS_CHUNK_SIZE + 5 * STASIS_PAGE_SIZE, 0xa5, STASIS_PAGE_SIZE);
    ram[RAM_SIZE - 1] = 1;
}

int main(int argc, char **argv)
{
    static uint8_t ram[RAM_SIZE];
    struct stasis_error err = {0};
    struct stasis_snap *snap = argc == 3 ? stasis_snap_new(STASIS_ARCH_X86_64) : NULL;
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .zlib_level = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0};
    uint64_t seed = 20261127;
    size_t count;
    const struct stasis_schema *const *all = stasis_schema_all(&count);
    int rc = snap ? 0 : stasis_fail(&err, STASIS_ERR_ARG, "usage: make_golden FILE LEVEL");

    for (size_t i = 0; !rc && i < count; i++)
        rc = add_type(stasis_snap_records(snap), all[i], &seed, &err);
    fill(ram, &seed);
    if (!rc)
        rc = stasis_snap_add_ram(snap, 0x100000, ram, sizeof(ram), &err);
    if (!rc)
        rc = stasis_snap_save(snap, argv[1], &opts, NULL, &err);
    if (rc)
        fprintf(stderr, "make_golden: %s\n", err.msg);
    stasis_snap_free(snap);
    return stasis_err_exit_status(rc);
}
