/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a snapshot file says about itself. The guest has a RISC-V CPU. With a given UUID and time,
 * equal machines give equal files. Notes tell what a file is for. Release 3.1 of an emulator meets
 * a file of release 4.0, and its user is told which program to get. A load shows its progress and
 * can be cancelled.
 */
#include <stasis/bind.h>
#include <stasis/snap.h>

#define RISCV 243 /* EM_RISCV of <elf.h> */

struct board {
    uint32_t leds;
};
static char ram[64 << 20];

static const struct stasis_field board_fields[] = {
    STASIS_BIND_INT(struct board, leds, 1, 1, 0, 0xff, "which LEDs are on"),
};
static const struct stasis_schema board_schema = {
    .type = "acme.board",
    .version = 1,
    STASIS_BIND_FIELDS(struct board, board_fields),
    .doc = "a board",
};
/* As release 4.0 has it. */
static const struct stasis_schema newer_board_schema = {
    .type = "acme.board",
    .version = 2,
    STASIS_BIND_FIELDS(struct board, board_fields),
    .doc = "a board",
};
static const struct stasis_schema *const own[] = {&board_schema};
static const struct stasis_parse_opts parse_opts = {
    .size = sizeof(parse_opts), .schemas = own, .schema_count = 1};

static int save(const struct stasis_schema *schema, const char *producer, const char *path,
                struct stasis_error *err)
{
    /* A UUID of your own: here one that says which board it is of, and which LEDs are on. */
    static const uint8_t uuid[STASIS_UUID_SIZE] = {'a', 'c', 'm', 'e', 5};
    static const uint64_t created_ns = UINT64_C(1700000000000000000);
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .producer = producer, .uuid = uuid, .created_ns = &created_ns};
    const struct board board = {.leds = 5};
    struct stasis_snap *snap = stasis_snap_new(RISCV);
    int rc = snap ? stasis_records_add(stasis_snap_records(snap), schema, "main", &board, err)
                  : stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");

    if (!rc)
        rc = stasis_snap_add_ram(snap, 0, ram, sizeof(ram), err);
    if (!rc)
        rc = stasis_notes_set(stasis_snap_notes(snap), "image", "blinker-2", err);
    if (!rc)
        rc = stasis_snap_save(snap, path, &opts, NULL, err);
    stasis_snap_free(snap);
    return rc;
}

static void show(const char *path)
{
    struct stasis_error err;
    struct stasis_snap *snap;

    if (stasis_snap_open(path, &parse_opts, &snap, &err)) {
        printf("refused: %s\n", err.msg);
        return;
    }
    printf("%s is by %s, of a %s board\n", path, stasis_snap_info(snap)->producer,
           stasis_snap_info(snap)->arch == RISCV ? "RISC-V" : "foreign");
    if (stasis_snap_read_notes(snap, &err)) /* damaged: the machine can be had all the same */
        printf("without notes: %s\n", err.msg);
    for (size_t i = 0; i < stasis_notes_count(stasis_snap_notes(snap)); i++) {
        struct stasis_note note = stasis_notes_at(stasis_snap_notes(snap), i);

        printf("  %s: %s\n", note.key, note.value);
    }
    stasis_snap_free(snap);
}

/* A user who waits for no more than a third. */
static bool progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    return done < total / 3;
}

static int load(const char *path, struct stasis_error *err)
{
    struct stasis_snap *snap;
    int rc = stasis_snap_open(path, &parse_opts, &snap, err);

    if (rc)
        return rc;
    rc = stasis_snap_load_ram(snap, 0, ram, 1, progress, NULL, err); /* by one thread */
    if (rc == STASIS_ERR_CANCELLED) { /* ram is neither the old one nor the new one: once more */
        printf("%s\n", err->msg);
        rc = stasis_snap_get_ram(snap, 0, ram, sizeof(ram), NULL, NULL, err);
    }
    stasis_snap_free(snap);
    return rc;
}

int main(void)
{
    struct stasis_error err = {.msg = "other memory than was saved"};

    ram[sizeof(ram) - 1] = '!';
    if (save(&board_schema, "acme-emu 3.1", "own.snap", &err) ||
        save(&board_schema, "acme-emu 3.1", "again.snap", &err) ||
        save(&newer_board_schema, "acme-emu 4.0", "newer.snap", &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    show("own.snap"); /* and again.snap is the same, byte by byte */
    show("newer.snap");
    ram[sizeof(ram) - 1] = '?';
    if (load("own.snap", &err) || ram[sizeof(ram) - 1] != '!') {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    return 0;
}
