/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/serial_sink_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- file ---- */

static void file_ends_at_its_limit(void **state)
{
    struct stasis_serial_sink_options options = {
        .kind = STASIS_SERIAL_SINK_FILE, .path = sink_path, .limit = 5};
    struct stasis_serial_sink *out;
    struct stat st;

    (void)state;
    umask(0);
    out = sink_open(&options);
    umask(022);
    sink_put(out, "abc");
    sink_put(out, "defg");
    sink_put(out, "h");
    assert_int_equal(out->stats.written, 5);
    assert_int_equal(DROP(out, LIMIT), 3);
    stasis_serial_sink_close(out);
    sink_file_holds(sink_path, "abcde", 5);
    assert_int_equal(stat(sink_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void file_starts_empty_or_goes_on(void **state)
{
    struct stasis_serial_sink_options options = {
        .kind = STASIS_SERIAL_SINK_FILE, .path = sink_path, .limit = 8};
    struct stasis_serial_sink *out = sink_open(&options);

    (void)state;
    sink_put(out, "before");
    stasis_serial_sink_close(out);
    options.append = true;
    out = sink_open(&options);
    sink_put(out, "after");
    assert_int_equal(DROP(out, LIMIT), 3);
    stasis_serial_sink_close(out);
    sink_file_holds(sink_path, "beforeaf", 8);
    options.limit = 7; /* it holds more than it may */
    out = sink_open(&options);
    sink_put(out, "x");
    assert_int_equal(DROP(out, LIMIT), 1);
    stasis_serial_sink_close(out);
    sink_file_holds(sink_path, "beforeaf", 8);
    options.append = false;
    out = sink_open(&options);
    sink_put(out, "new");
    stasis_serial_sink_close(out);
    sink_file_holds(sink_path, "new", 3);
}

static void file_survives_a_size_limit_of_the_process(void **state)
{
    struct stasis_serial_sink_options options = {.kind = STASIS_SERIAL_SINK_FILE,
                                                 .path = sink_path};
    struct stasis_serial_sink *out = sink_open(&options);
    struct rlimit before;
    struct rlimit small;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 2;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    sink_put(out, "abc");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(out->stats.written, 2);
    assert_int_equal(DROP(out, ERROR), 1);
    assert_int_equal(out->stats.last_errno, EFBIG);
    sink_put(out, "d"); /* there is room again: goes on where the file ends */
    stasis_serial_sink_close(out);
    sink_file_holds(sink_path, "abd", 3);
}

static void refuses_what_is_not_a_regular_file(void **state)
{
    struct stasis_serial_sink_options options = {.kind = STASIS_SERIAL_SINK_FILE,
                                                 .path = sink_path};
    struct stasis_serial_sink *out = NULL;
    struct stasis_error err;

    (void)state;
    assert_int_equal(mkfifo(sink_path, 0600), 0);
    assert_int_equal(stasis_serial_sink_open(&options, &out, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "not a regular file"));
    options.kind = STASIS_SERIAL_SINK_RING;
    assert_int_equal(stasis_serial_sink_open(&options, &out, &err), STASIS_ERR_ARG);
    options.path = "/nowhere/x";
    assert_int_equal(stasis_serial_sink_open(&options, &out, &err), STASIS_ERR_WRITE);
    options.path = sink_dir;
    assert_int_equal(stasis_serial_sink_open(&options, &out, &err), STASIS_ERR_ARG);
    assert_null(out);
}

/* ---- ring ---- */

/* Reads a ring file as ring.h describes it. */
static size_t read_ring(char *ret_text, uint64_t expected_size)
{
    char file[4096] = "";
    uint64_t size;
    uint64_t total;
    int fd = open(sink_path, O_RDONLY);
    ssize_t n = read(fd, file, sizeof(file));
    const char *data = file + STASIS_RING_HEADER_LEN;
    size_t len = 0;

    close(fd);
    assert_memory_equal(file, "STASIS-RING 1\nsize ", 19);
    assert_memory_equal(file + 39, "\ntotal ", 7);
    size = strtoull(file + 19, NULL, 10);
    total = strtoull(file + 46, NULL, 10);
    assert_int_equal(file[STASIS_RING_HEADER_LEN - 1], '\n');
    assert_int_equal(size, expected_size);
    assert_int_equal(n, STASIS_RING_HEADER_LEN + size);
    for (uint64_t i = total > size ? total - size : 0; i < total; i++)
        ret_text[len++] = data[i % size];
    ret_text[len] = '\0';
    return len;
}

static void ring_holds_the_last_bytes(void **state)
{
    static const char stream[] = "0123456789abcdefghijklmnopqrstuvwxyz";

    (void)state;
    for (size_t piece = 1; piece < sizeof(stream); piece++) {
        struct stasis_serial_sink *out = sink_open(&(struct stasis_serial_sink_options){
            .kind = STASIS_SERIAL_SINK_RING, .path = sink_path, .size = 8});
        char text[16];

        assert_int_equal(read_ring(text, 8), 0);
        for (size_t at = 0; at + piece < sizeof(stream); at += piece) {
            size_t end = at + piece;
            size_t start = end > 8 ? end - 8 : 0;

            assert_int_equal(stasis_serial_sink_write(out, stream + at, piece), piece);
            assert_int_equal(read_ring(text, 8), end - start);
            assert_memory_equal(text, stream + start, end - start);
        }
        stasis_serial_sink_close(out);
    }
}

static void ring_goes_on_or_starts_anew(void **state)
{
    struct stasis_serial_sink_options options = {
        .kind = STASIS_SERIAL_SINK_RING, .path = sink_path, .size = 8};
    struct stasis_serial_sink *out = sink_open(&options);
    char text[16];

    (void)state;
    sink_put(out, "0123456789");
    stasis_serial_sink_close(out);
    options.append = true;
    out = sink_open(&options);
    sink_put(out, "ab");
    stasis_serial_sink_close(out);
    assert_int_equal(read_ring(text, 8), 8);
    assert_string_equal(text, "456789ab");
    options.size = 9; /* another size: another ring */
    out = sink_open(&options);
    sink_put(out, "cd");
    stasis_serial_sink_close(out);
    assert_int_equal(read_ring(text, 9), 2);
    options.append = false;
    out = sink_open(&options);
    stasis_serial_sink_close(out);
    assert_int_equal(read_ring(text, 9), 0);
}

/* Any byte of the header that is not as we write it makes it a file of somebody else's. */
static void ring_believes_only_its_own_header(void **state)
{
    struct stasis_serial_sink_options options = {
        .kind = STASIS_SERIAL_SINK_RING, .path = sink_path, .size = 8};

    (void)state;
    for (off_t at = 0; at < STASIS_RING_HEADER_LEN; at++) {
        struct stasis_serial_sink *out = sink_open(&options);
        char text[16];
        int fd;

        sink_put(out, "0123456789");
        stasis_serial_sink_close(out);
        fd = open(sink_path, O_WRONLY);
        assert_int_equal(pwrite(fd, "~", 1, at), 1);
        close(fd);
        options.append = true;
        out = sink_open(&options);
        stasis_serial_sink_close(out);
        options.append = false;
        assert_int_equal(read_ring(text, 8), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(file_ends_at_its_limit, sink_remove_file),
        cmocka_unit_test_teardown(file_starts_empty_or_goes_on, sink_remove_file),
        cmocka_unit_test_teardown(file_survives_a_size_limit_of_the_process, sink_remove_file),
        cmocka_unit_test_teardown(refuses_what_is_not_a_regular_file, sink_remove_file),
        cmocka_unit_test_teardown(ring_holds_the_last_bytes, sink_remove_file),
        cmocka_unit_test_teardown(ring_goes_on_or_starts_anew, sink_remove_file),
        cmocka_unit_test_teardown(ring_believes_only_its_own_header, sink_remove_file),
    };

    return cmocka_run_group_tests(tests, sink_make_dir, sink_remove_dir);
}
