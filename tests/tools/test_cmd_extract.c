/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct run run;
static struct built built;

static void extract(const char *gpa, const char *len)
{
    run_inspect(&run, NULL, "extract", in_folder("a.snap"), "--gpa", gpa, "--len", len, NULL);
}

/* built_small(): 8 KiB at 0, and raw, zero, raw from 1 MiB on. */
static void ranges(void **state)
{
    static const struct {
        const char *gpa, *len;
        size_t region, at, size;
    } rows[] = {
        {"0", "8K", 0, 0, 8192},
        {"0x1001", "1", 0, 0x1001, 1},
        {"1M", "192K", 1, 0, 3 * STASIS_CHUNK_SIZE},
        {"1048577", "0x1fffe", 1, 1, 0x1fffe},
        {"0x110000", "64K", 1, STASIS_CHUNK_SIZE, STASIS_CHUNK_SIZE},
        {"0x12ffff", "1", 1, 3 * STASIS_CHUNK_SIZE - 1, 1},
        {"0x10ffff", "3", 1, STASIS_CHUNK_SIZE - 1, 3},
        {"5", "0", 0, 5, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct image image;

        extract(rows[i].gpa, rows[i].len);
        assert_ended(&run, 0, NULL);
        assert_int_equal(run.out_len, rows[i].size);
        assert_memory_equal(run.out, built.ram[rows[i].region] + rows[i].at, rows[i].size);
        run_inspect(&run, NULL, "extract", in_folder("a.snap"), "--gpa", rows[i].gpa, "--len",
                    rows[i].len, "-o", in_folder("out"), NULL);
        assert_ended(&run, 0, NULL);
        image = image_read(in_folder("out"));
        assert_int_equal(image.len, rows[i].size);
        assert_memory_equal(image.bytes, built.ram[rows[i].region] + rows[i].at, rows[i].size);
        image_fini(&image);
        unlink(in_folder("out"));
    }
}

static void progress_on_a_terminal(void **state)
{
    struct built large;
    char text[4096];

    (void)state;
    built_large(&large);
    save_to(&large, in_folder("large.snap"));
    assert_int_equal(run_on_terminal(text, sizeof(text), "extract", in_folder("large.snap"),
                                     "--gpa", "0x301000", "--len", "5M", "-o", in_folder("out"),
                                     NULL),
                     0);
    assert_has(text, "\rcopying RAM: ");
    assert_has(text, " of 5 MiB (100 %)");
    assert_has(text, "                \r");
    unlink(in_folder("out"));
    built_fini(&large);
}

/* Nothing is written, however much is asked for. */
static void ranges_that_are_not_ram(void **state)
{
    static const struct {
        const char *gpa, *len, *text;
    } rows[] = {
        {"0", "8193", "no RAM at guest address 0x2000"},
        {"0x2000", "1", "no RAM at guest address 0x2000"},
        {"1M", "193K", "no RAM at guest address 0x130000"},
        {"0xffffffffffffffff", "1", "no RAM at guest address 0xffffffffffffffff"},
        {"0xffffffffffffffff", "0xffffffffffffffff", "no RAM at guest address 0xffff"},
        {"0", "0xffffffffffffffff", "no RAM at guest address 0x2000"},
        {"1M", "0xffffffffffffffff", "no RAM at guest address 0x130000"},
        {"zero", "1", "--gpa: zero is not a number"},
        {"0", "-1", "--len: -1 is not a number"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        extract(rows[i].gpa, rows[i].len);
        assert_ended(&run, 2, rows[i].text);
        assert_int_equal(run.out_len, 0);
    }
    run_inspect(&run, NULL, "extract", in_folder("a.snap"), "--gpa", "0", NULL);
    assert_ended(&run, 2, "--len is missing");
    run_inspect(&run, NULL, "extract", in_folder("a.snap"), "--len", "1", NULL);
    assert_ended(&run, 2, "--gpa is missing");
    run_inspect(&run, NULL, "extract", in_folder("a.snap"), "--gpa", "0", "--len", "1", "-o", NULL);
    assert_ended(&run, 2, "--output needs a value");
}

static void ranges_across_regions_that_touch(void **state)
{
    struct built touching;

    (void)state;
    built_init(&touching);
    built_add(&touching, 0, 0x3000);
    built_add(&touching, 0x3000, 0x2000);
    fill_random(touching.ram[0], 0x3000, 1);
    fill_random(touching.ram[1], 0x2000, 2);
    save_to(&touching, in_folder("touching.snap"));
    run_inspect(&run, NULL, "extract", in_folder("touching.snap"), "--gpa", "0x2fff", "--len", "2",
                NULL);
    assert_ended(&run, 0, NULL);
    assert_int_equal(run.out_len, 2);
    assert_int_equal((uint8_t)run.out[0], touching.ram[0][0x2fff]);
    assert_int_equal((uint8_t)run.out[1], touching.ram[1][0]);
    built_fini(&touching);
}

/* Not a byte of a damaged chunk goes out, and no file appears. */
static void damaged_chunks(void **state)
{
    struct image image = image_read(in_folder("a.snap"));

    (void)state;
    image.bytes[image.len - 1] ^= 1;
    write_file(in_folder("bad.snap"), image.bytes, image.len);
    image_fini(&image);
    run_inspect(&run, NULL, "extract", in_folder("bad.snap"), "--gpa", "1M", "--len", "192K", NULL);
    assert_ended(&run, 3, "chunk 3, guest address 0x120000");
    assert_int_equal(run.out_len, 2 * STASIS_CHUNK_SIZE);
    run_inspect(&run, NULL, "extract", in_folder("bad.snap"), "--gpa", "1M", "--len", "192K", "-o",
                in_folder("out"), NULL);
    assert_ended(&run, 3, "chunk 3");
    assert_int_not_equal(access(in_folder("out"), F_OK), 0);
    run_inspect(&run, NULL, "extract", in_folder("bad.snap"), "--gpa", "1M", "--len", "128K", NULL);
    assert_ended(&run, 0, NULL);
}

/* Runs it on a terminal of its own. */
static int on_a_terminal(const char *force, char *text, size_t size)
{
    size_t used = 0;
    int master;
    int status;
    ssize_t n;
    pid_t pid = forkpty(&master, NULL, NULL, NULL);

    assert_true(pid >= 0);
    if (!pid) {
        execl(inspect_path(), inspect_path(), "extract", in_folder("a.snap"), "--gpa", "0", "--len",
              "16", force, (char *)NULL);
        _exit(126);
    }
    while (used < size - 1 && (n = read(master, text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(master);
    return WEXITSTATUS(status);
}

static void a_terminal_is_spared(void **state)
{
    char text[1024];

    (void)state;
    assert_int_equal(on_a_terminal(NULL, text, sizeof(text)), 2);
    assert_has(text, "standard output is a terminal");
    assert_int_equal(on_a_terminal("--force", text, sizeof(text)), 0);
    assert_null(strstr(text, "copying RAM")); /* nor is progress among the guest's bytes */
}

static void a_full_disk(void **state)
{
    struct setup setup = {.out = open("/dev/full", O_WRONLY)};

    (void)state;
    run_inspect(&run, &setup, "extract", in_folder("a.snap"), "--gpa", "0", "--len", "8K", NULL);
    assert_ended(&run, 7, "standard output: No space left on device");
    close(setup.out);
}

static int setup(void **state)
{
    setup_folder(state);
    built_small(&built);
    save_to(&built, in_folder("a.snap"));
    return 0;
}

static int teardown(void **state)
{
    built_fini(&built);
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),
        cmocka_unit_test(progress_on_a_terminal),
        cmocka_unit_test(ranges_that_are_not_ram),
        cmocka_unit_test(ranges_across_regions_that_touch),
        cmocka_unit_test(damaged_chunks),
        cmocka_unit_test(a_terminal_is_spared),
        cmocka_unit_test(a_full_disk),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
