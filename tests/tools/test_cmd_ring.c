/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADER_LEN 128

static struct run run;

/* A ring of this size to which `total` bytes of `all` were written, as a file. */
static struct image ring_of(const char *all, uint64_t total, uint64_t size)
{
    struct image ring = {calloc(1, HEADER_LEN + size + 1), HEADER_LEN + size};
    int used;

    assert_non_null(ring.bytes);
    used = sprintf((char *)ring.bytes, "STASIS-RING 1\nsize %020" PRIu64 "\ntotal %020" PRIu64 "\n",
                   size, total);
    memset(ring.bytes + used, ' ', HEADER_LEN - 1 - (size_t)used);
    ring.bytes[HEADER_LEN - 1] = '\n';
    for (uint64_t i = 0; i < total; i++)
        ring.bytes[HEADER_LEN + i % size] = (uint8_t)all[i];
    return ring;
}

static void ring_file(const char *all, uint64_t size)
{
    struct image ring = ring_of(all, strlen(all), size);

    write_file(in_folder("r"), ring.bytes, ring.len);
    image_fini(&ring);
}

static void in_order(void **state)
{
    static const struct {
        const char *all;
        uint64_t size;
        const char *expected;
    } rows[] = {
        {"", 8, ""},
        {"abc", 8, "abc"},
        {"abcdefgh", 8, "abcdefgh"},
        {"abcdefghi", 8, "bcdefghi"},
        {"0123456789abcdef", 8, "89abcdef"},
        {"hello", 1, "o"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ring_file(rows[i].all, rows[i].size);
        run_inspect(&run, NULL, "ring", in_folder("r"), NULL);
        assert_ended(&run, 0, NULL);
        assert_string_equal(run.out, rows[i].expected);
    }
}

/* Larger than any buffer, wrapped around, and with every byte there is. */
static void large(void **state)
{
    const size_t size = 200003;
    const size_t total = 2 * size + 77777;
    char *all = malloc(total + 1);
    struct image ring;

    (void)state;
    assert_non_null(all);
    for (size_t i = 0; i < total; i++)
        all[i] = (char)(i * 131 + i / 251);
    ring = ring_of(all, total, size);
    write_file(in_folder("r"), ring.bytes, ring.len);
    run_inspect(&run, NULL, "ring", in_folder("r"), NULL);
    assert_ended(&run, 0, NULL);
    assert_int_equal(run.out_len, size);
    assert_memory_equal(run.out, all + total - size, size);
    image_fini(&ring);
    free(all);
}

static void standard_input(void **state)
{
    struct image ring = ring_of("0123456789", 10, 8);
    struct setup setup = {0};
    int child;

    (void)state;
    write_file(in_folder("r"), ring.bytes, ring.len);
    setup.in = open(in_folder("r"), O_RDONLY);
    run_inspect(&run, &setup, "ring", "-", NULL);
    assert_string_equal(run.out, "23456789");
    close(setup.in);
    setup.in = image_pipe(&ring, &child);
    run_inspect(&run, &setup, "ring", "-", NULL);
    assert_ended(&run, 0, NULL);
    assert_string_equal(run.out, "23456789");
    close(setup.in);
    child_wait(child);
    setenv("TMPDIR", "/nonexistent", 1);
    setup.in = image_pipe(&ring, &child);
    run_inspect(&run, &setup, "ring", "-", NULL);
    unsetenv("TMPDIR");
    assert_ended(&run, 7, "in /nonexistent (set TMPDIR to a folder with room)");
    close(setup.in);
    child_wait(child);
    for (int change = -1; change <= 1; change += 2) {
        image_resize(&ring, HEADER_LEN + 8);
        image_resize(&ring, (size_t)(HEADER_LEN + 8 + change));
        setup.in = image_pipe(&ring, &child);
        run_inspect(&run, &setup, "ring", "-", NULL);
        assert_ended(&run, 3, "standard input: truncated, or longer than its header says");
        close(setup.in);
        child_wait(child);
    }
    image_fini(&ring);
}

static void not_rings(void **state)
{
    struct image ring = ring_of("abc", 3, 8);

    (void)state;
    run_inspect(&run, NULL, "ring", in_folder("none"), NULL);
    assert_ended(&run, 2, "/none: No such file or directory; check the name");
    run_inspect(&run, NULL, "ring", in_folder(""), NULL);
    assert_ended(&run, 2, "it is a folder; name a ring file");
    write_file(in_folder("r"), "", 0);
    run_inspect(&run, NULL, "ring", in_folder("r"), NULL);
    assert_ended(&run, 3, "/r: not a ring file of vmm --serial out=ring:FILE");
    /* Any change to the header but to the digits of total is found. */
    for (size_t i = 0; i < HEADER_LEN; i++) {
        bool total = i >= 46 && i < 66;

        ring.bytes[i] ^= 1;
        write_file(in_folder("r"), ring.bytes, ring.len);
        run_inspect(&run, NULL, "ring", in_folder("r"), NULL);
        if (!total)
            assert_ended(&run, 3, "/r: ");
        ring.bytes[i] ^= 1;
    }
    write_file(in_folder("r"), ring.bytes, ring.len - 1);
    run_inspect(&run, NULL, "ring", in_folder("r"), NULL);
    assert_ended(&run, 3, "/r: truncated, or longer than its header says");
    image_fini(&ring);
}

static void impossible_numbers(void **state)
{
    static const char *const sizes[] = {"00000000000000000000", "18446744073709551615",
                                        "99999999999999999999", "-0000000000000000001",
                                        "00001099511627777000"};
    struct image ring = ring_of("abc", 3, 8);

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memcpy(ring.bytes + 19, sizes[i], 20);
        write_file(in_folder("r"), ring.bytes, ring.len);
        run_inspect(&run, NULL, "ring", in_folder("r"), NULL);
        assert_ended(&run, 3, "/r: ");
        assert_string_equal(run.out, "");
    }
    image_fini(&ring);
}

/* What appears on a terminal; a terminal turns \n into \r\n. */
static void on_terminal(const char *option, char *ret_text, size_t size)
{
    size_t used = 0;
    int master;
    int status;
    ssize_t n;
    pid_t pid = forkpty(&master, NULL, NULL, NULL);

    assert_true(pid >= 0);
    if (!pid) {
        execl(inspect_path(), inspect_path(), "ring", in_folder("r"), option, (char *)NULL);
        _exit(126);
    }
    while (used < size - 1 && (n = read(master, ret_text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    ret_text[used] = '\0';
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(master);
}

static void terminals_are_protected(void **state)
{
    char text[256];

    (void)state;
    ring_file("old\x1b[31mred\xc2\x9b\n\xe2\x82\xac", 14);
    run_inspect(&run, NULL, "ring", in_folder("r"), NULL);
    assert_string_equal(run.out, "\x1b[31mred\xc2\x9b\n\xe2\x82\xac");
    on_terminal(NULL, text, sizeof(text));
    assert_string_equal(text, "\\x1b[31mred\\xc2\\x9b\r\n\xe2\x82\xac");
    on_terminal("--raw", text, sizeof(text));
    assert_string_equal(text, "\x1b[31mred\xc2\x9b\r\n\xe2\x82\xac");
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),           cmocka_unit_test(large),
        cmocka_unit_test(standard_input),     cmocka_unit_test(not_rings),
        cmocka_unit_test(impossible_numbers), cmocka_unit_test(terminals_are_protected),
    };

    return cmocka_run_group_tests(tests, setup_folder, teardown);
}
