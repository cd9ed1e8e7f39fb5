/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * make_snapshot FILE LEVEL FORMAT: saves a snapshot for test_reader.py with the public interface
 * alone, so that no /dev/kvm is needed; to standard output, as a stream, if FILE is "-"; compressed
 * if LEVEL is not 0; in format version FORMAT, "2+" with digests. RAM is as ram_byte() of the test
 * expects it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stasis/bind.h"
#include "stasis/snap.h"
#include "stasis/state.h"

#define LOW_SIZE  (3 * (uint64_t)STASIS_CHUNK_SIZE + 2 * STASIS_PAGE_SIZE)
#define HIGH_GPA  (UINT64_C(1) << 32)
#define HIGH_SIZE (uint64_t)(STASIS_CHUNK_SIZE + STASIS_PAGE_SIZE)

/* A state that no release knows: readers must skip it, and show it by the schema in the file. */
struct future_state {
    int64_t offset;
    uint32_t keys_len;
    uint8_t keys[8];
    int16_t shift;
    int32_t samples[2][2];
    uint16_t *words;
    size_t word_count;
};

static const struct stasis_field future_fields[] = {
    {.id = 1,
     .since = 1,
     .kind = STASIS_KIND_INT,
     .is_signed = true,
     .elem_size = 8,
     .max = 1,
     .offset = offsetof(struct future_state, offset),
     .mask = UINT64_MAX,
     .name = "offset",
     .doc = "where it is, from here"},
    {.id = 2,
     .since = 1,
     .kind = STASIS_KIND_BUF,
     .elem_size = 1,
     .max = 8,
     .offset = offsetof(struct future_state, keys),
     .count_offset = offsetof(struct future_state, keys_len),
     .name = "keys",
     .doc = "what opens it"},
    STASIS_BIND_INT(struct future_state, shift, 3, 1, 0, -1, "how far it is moved"),
    STASIS_BIND_INTS(struct future_state, samples, 4, 1, -1, "what it saw"),
    STASIS_BIND_INTS_PTR(struct future_state, words, word_count, 4, 5, 1, "what it says"),
};

static const struct stasis_schema future_schema = {
    .type = "future.device",
    .version = 3,
    .optional = true,
    .size = sizeof(struct future_state),
    .fields = future_fields,
    .field_count = 5,
    .doc = "a device of tomorrow",
};

/* Chunk 1 of a region is zero, chunk 2 does not compress, the others have pages of both kinds. */
static uint8_t ram_byte(uint64_t address, uint64_t chunk)
{
    uint32_t hash = (uint32_t)address * 2654435761u;

    if (chunk == 2)
        return (uint8_t)((hash ^ hash >> 15) * 739982445u >> 24);
    if (chunk == 1 || address / STASIS_PAGE_SIZE % 3 != 1)
        return 0;
    return (uint8_t)(address * 7 + address / 251);
}

static void fill_ram(uint8_t *ram, uint64_t gpa, uint64_t size)
{
    for (uint64_t at = 0; at < size; at++)
        ram[at] = ram_byte(gpa + at, at / STASIS_CHUNK_SIZE);
}

/* Every record type whose defaults obey its rules. */
static int add_defaults(struct stasis_records *records, struct stasis_error *err)
{
    size_t count = 0;
    const struct stasis_schema *const *all = stasis_schema_all(&count);
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        void *state = calloc(1, all[i]->size);

        if (!state)
            return stasis_fail(err, STASIS_ERR_NOMEM, "a state");
        stasis_state_init(all[i], state);
        if (stasis_state_check(all[i], state, NULL) == 0)
            rc = stasis_records_add(records, all[i], "default", state, err);
        free(state);
    }
    return rc;
}

static int add_board(struct stasis_records *records, struct stasis_error *err)
{
    struct stasis_board_state board;

    stasis_state_init(&stasis_board_schema, &board);
    strcpy(board.name, "caf\xc3\xa9");
    board.ram_count = 2;
    board.ram[0].size = LOW_SIZE;
    board.ram[1].gpa = HIGH_GPA;
    board.ram[1].size = HIGH_SIZE;
    board.devices_count = 1;
    stasis_state_init(&stasis_board_device_schema, &board.devices[0]);
    strcpy(board.devices[0].type, "stasis.serial");
    strcpy(board.devices[0].instance, "com1");
    board.devices[0].base = 0x3f8;
    board.devices[0].size = 8;
    return stasis_records_add(records, &stasis_board_schema, "vm", &board, err);
}

static int add_serial(struct stasis_records *records, struct stasis_error *err)
{
    struct stasis_serial_state serial;

    stasis_state_init(&stasis_serial_schema, &serial);
    serial.fcr = 0xc1;
    serial.rx_fifo_len = 64;
    for (uint8_t i = 0; i < 64; i++)
        serial.rx_fifo[i] = (uint8_t)(i * 5);
    serial.rx_breaks = UINT64_C(1) << 63 | 2;
    return stasis_records_add(records, &stasis_serial_schema, "com1", &serial, err);
}

static int add_vcpu(struct stasis_records *records, struct stasis_error *err)
{
    static struct stasis_x86_msrs_state msrs; /* large */
    struct stasis_x86_xsave_state xsave;
    int rc;

    stasis_state_init(&stasis_x86_msrs_schema, &msrs);
    msrs.msrs_count = 300; /* an array 16 */
    for (uint32_t i = 0; i < msrs.msrs_count; i++) {
        msrs.msrs[i].index = i * i;
        msrs.msrs[i].value = UINT64_C(1) << (i % 64);
    }
    stasis_state_init(&stasis_x86_xsave_schema, &xsave);
    xsave.xstate_bv = 1 | 1 << 6;
    xsave.st_len = sizeof xsave.st;
    xsave.zmm_high_len = sizeof xsave.zmm_high; /* a bin 16 */
    for (uint32_t i = 0; i < xsave.zmm_high_len; i++)
        xsave.zmm_high[i] = (uint8_t)(i * 3);
    rc = stasis_records_add(records, &stasis_x86_msrs_schema, "cpu0", &msrs, err);
    return rc ? rc : stasis_records_add(records, &stasis_x86_xsave_schema, "cpu0", &xsave, err);
}

static int add_future(struct stasis_records *records, struct stasis_error *err)
{
    uint16_t words[] = {UINT16_MAX, 0};
    struct future_state future = {.offset = INT64_MIN,
                                  .keys_len = 3,
                                  .keys = {1, 2, 0xff},
                                  .shift = INT16_MIN,
                                  .samples = {{-1, INT32_MIN}, {INT32_MAX, 1}},
                                  .words = words,
                                  .word_count = 2};

    return stasis_records_add(records, &future_schema, "flux", &future, err);
}

static int add_ram(struct stasis_snap *snap, uint8_t *low, uint8_t *high, struct stasis_error *err)
{
    int rc;

    fill_ram(low, 0, LOW_SIZE);
    fill_ram(high, HIGH_GPA, HIGH_SIZE);
    rc = stasis_snap_add_ram(snap, 0, low, LOW_SIZE, err);
    return rc ? rc : stasis_snap_add_ram(snap, HIGH_GPA, high, HIGH_SIZE, err);
}

static int add_records(struct stasis_records *records, struct stasis_error *err)
{
    int (*const steps[])(struct stasis_records *, struct stasis_error *) = {
        add_defaults, add_board, add_serial, add_vcpu, add_future};
    int rc = 0;

    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && rc == 0; i++)
        rc = steps[i](records, err);
    return rc;
}

static int add_notes(struct stasis_notes *notes, struct stasis_error *err)
{
    int rc = stasis_notes_set(notes, "image", "debian-12", err);

    if (!rc)
        rc = stasis_notes_set(notes, "owner", "J\xc3\xb6rg \xe2\x80\x8b", err);
    return rc ? rc : stasis_notes_set(notes, "ticket", "", err);
}

static int save(struct stasis_snap *snap, const char *path, const char *level, const char *format,
                struct stasis_error *err)
{
    struct stasis_save_opts opts = {.size = sizeof opts,
                                    .zlib_level = (unsigned)strtoul(level, NULL, 10),
                                    .format_version = (uint32_t)strtoul(format, NULL, 10),
                                    .digests = strchr(format, '+') != NULL};

    if (strcmp(path, "-") == 0)
        return stasis_snap_save_stream(snap, STDOUT_FILENO, &opts, NULL, err);
    return stasis_snap_save(snap, path, &opts, NULL, err);
}

int main(int argc, char **argv)
{
    static uint8_t low[LOW_SIZE], high[HIGH_SIZE];
    struct stasis_error err = {0};
    struct stasis_snap *snap = argc == 4 ? stasis_snap_new(STASIS_ARCH_X86_64) : NULL;
    int rc = STASIS_ERR_ARG;

    if (!snap)
        goto out;
    rc = add_records(stasis_snap_records(snap), &err);
    if (rc == 0)
        rc = add_notes(stasis_snap_notes(snap), &err);
    if (rc == 0)
        rc = add_ram(snap, low, high, &err);
    if (rc == 0)
        rc = save(snap, argv[1], argv[2], argv[3], &err);
out:
    if (rc)
        fprintf(stderr, "make_snapshot FILE LEVEL FORMAT: %s: %s\n", stasis_err_str(rc), err.msg);
    stasis_snap_free(snap);
    return stasis_err_exit_status(rc);
}
