/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct run run;
static struct built built;

static int set_up(void **state)
{
    built_machine(&built);
    return setup_folder(state);
}

static int tear_down(void **state)
{
    built_fini(&built);
    run_fini(&run);
    return teardown_folder(state);
}

static void migrate(const char *from, const char *to)
{
    run_inspect(&run, NULL, "migrate", "--to", "0.1.0", in_folder(from), in_folder(to), NULL);
}

static void open_file(const char *name, struct stasis_snap **ret_snap)
{
    struct stasis_error err;

    assert_int_equal(stasis_snap_open(in_folder(name), NULL, ret_snap, &err), 0);
}

/* All but the identity of the file. */
static void assert_same_guest(const char *a, const char *b)
{
    struct stasis_snap *x, *y;
    uint8_t *x_bytes, *y_bytes;
    size_t x_len, y_len;

    open_file(a, &x);
    open_file(b, &y);
    assert_int_equal(stasis_records_pack(stasis_snap_records(x), &x_bytes, &x_len, NULL), 0);
    assert_int_equal(stasis_records_pack(stasis_snap_records(y), &y_bytes, &y_len, NULL), 0);
    assert_int_equal(x_len, y_len);
    assert_memory_equal(x_bytes, y_bytes, x_len);
    assert_int_equal(stasis_snap_chunk_count(x), stasis_snap_chunk_count(y));
    for (uint64_t i = 0; i < stasis_snap_chunk_count(x); i++) {
        static uint8_t left[STASIS_CHUNK_SIZE], right[STASIS_CHUNK_SIZE];
        uint32_t size = stasis_snap_chunk_at(x, i).size;

        assert_int_equal(stasis_snap_read_chunk(x, i, left, NULL), 0);
        assert_int_equal(stasis_snap_read_chunk(y, i, right, NULL), 0);
        assert_memory_equal(left, right, size);
        assert_int_equal(stasis_snap_chunk_at(x, i).kind, stasis_snap_chunk_at(y, i).kind);
    }
    free(x_bytes);
    free(y_bytes);
    stasis_snap_free(x);
    stasis_snap_free(y);
}

static void the_guest_stays_the_same(void **state)
{
    struct stat st;

    (void)state;
    save_to(&built, in_folder("a.snap"));
    migrate("a.snap", "b.snap");
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "b.snap: ");
    assert_same_guest("a.snap", "b.snap");
    assert_int_equal(stat(in_folder("b.snap"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    migrate("a.snap", "a.snap"); /* onto itself */
    assert_ended(&run, 0, NULL);
    assert_same_guest("a.snap", "b.snap");
}

static void a_compressed_file_stays_one(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = 1};

    (void)state;
    assert_int_equal(stasis_snap_save(built.snap, in_folder("z.snap"), &opts, NULL, NULL), 0);
    migrate("z.snap", "y.snap");
    assert_ended(&run, 0, NULL);
    assert_same_guest("z.snap", "y.snap");
}

static void what_the_release_lacks(void **state)
{
    static const char lost[] = "record stasis.board vm: device stasis.serial com1, behaviour 2";
    struct stasis_board_state board;
    struct stasis_records *records = stasis_snap_records(built.snap);
    struct stasis_records *changed = stasis_records_new();
    struct stasis_snap *snap;

    (void)state;
    for (size_t i = 0; i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);
        void *copy = malloc(record.schema->size);

        assert_int_equal(stasis_records_get(records, record.schema, record.instance, copy, NULL),
                         0);
        if (record.schema == &stasis_board_schema) {
            memcpy(&board, copy, sizeof(board));
            board.devices[0].version = 2;
            memcpy(copy, &board, sizeof(board));
        }
        assert_int_equal(stasis_records_add(changed, record.schema, record.instance, copy, NULL),
                         0);
        free(copy);
    }
    stasis_snap_set_records(built.snap, changed);
    save_to(&built, in_folder("n.snap"));
    migrate("n.snap", "o.snap");
    assert_ended(&run, 4, lost);
    assert_int_equal(access(in_folder("o.snap"), F_OK), -1);
    run_inspect(&run, NULL, "migrate", "--allow-loss", "--to", "0.1.0", in_folder("n.snap"),
                in_folder("o.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, lost);
    open_file("o.snap", &snap);
    assert_int_equal(
        stasis_records_get(stasis_snap_records(snap), &stasis_board_schema, NULL, &board, NULL), 0);
    assert_true(stasis_records_find(stasis_snap_records(snap), "stasis.serial", NULL) == SIZE_MAX);
    assert_int_equal(board.devices_count, 2);
    stasis_snap_free(snap);
}

static void bad_calls(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "migrate", in_folder("a.snap"), in_folder("b.snap"), NULL);
    assert_ended(&run, 2, "--to: missing");
    run_inspect(&run, NULL, "migrate", "--to", "9.9.9", in_folder("a.snap"), in_folder("b.snap"),
                NULL);
    assert_ended(&run, 2, "9.9.9 is not a release that this one knows: give 0.1.0");
    run_inspect(&run, NULL, "migrate", "--to", "0.1.0", in_folder("a.snap"), NULL);
    assert_ended(&run, 2, "usage: snapshot-inspect migrate IN OUT");
    migrate("none.snap", "b.snap");
    assert_ended(&run, 2, "none.snap");
}

/* Damage is found before anything is written, and the old file stays. */
static void a_damaged_file(void **state)
{
    struct stasis_snap *snap;
    struct stasis_snap_chunk chunk;
    uint64_t i = 0;
    char byte;
    int fd;

    (void)state;
    migrate("a.snap", "keep.snap");
    assert_ended(&run, 0, NULL);
    open_file("a.snap", &snap);
    while (stasis_snap_chunk_at(snap, i).kind != STASIS_CHUNK_RAW)
        i++;
    chunk = stasis_snap_chunk_at(snap, i);
    stasis_snap_free(snap);
    fd = open(in_folder("a.snap"), O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, (off_t)chunk.offset), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)chunk.offset), 1);
    close(fd);
    migrate("a.snap", "keep.snap");
    assert_ended(&run, 3, "chunk");
    open_file("keep.snap", &snap);
    assert_int_equal(stasis_snap_verify(snap, 1, NULL, NULL, NULL), 0);
    stasis_snap_free(snap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_guest_stays_the_same),    cmocka_unit_test(bad_calls),
        cmocka_unit_test(a_compressed_file_stays_one), cmocka_unit_test(a_damaged_file),
        cmocka_unit_test(what_the_release_lacks),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
