/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/serial_sink_rig.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* ---- rate ---- */

static void bucket_gives_its_rate_and_no_more(void **state)
{
    struct stasis_bucket bucket = {.rate = 1000, .tokens = 1000, .last_ns = 0};
    uint64_t given = 0;

    (void)state;
    for (uint64_t ns = 0; ns <= 5000000000; ns += 333333) {
        uint64_t n = stasis_bucket_fill(&bucket, ns, 7);

        bucket.tokens -= n;
        given += n;
    }
    assert_in_range(given, 5998, 6000); /* one burst, and five seconds */
}

static void bucket_holds_one_second(void **state)
{
    struct stasis_bucket bucket = {.rate = STASIS_SERIAL_SINK_RATE_MAX, .tokens = 0, .last_ns = 5};

    (void)state;
    assert_int_equal(stasis_bucket_fill(&bucket, 5, 1), 0);
    assert_int_equal(stasis_bucket_fill(&bucket, 4, 1), 0); /* a clock that is behind */
    assert_int_equal(stasis_bucket_fill(&bucket, 1000000004, UINT64_MAX),
                     STASIS_SERIAL_SINK_RATE_MAX - 2);
    assert_int_equal(stasis_bucket_fill(&bucket, UINT64_MAX, UINT64_MAX),
                     STASIS_SERIAL_SINK_RATE_MAX);
}

static void drops_what_exceeds_the_rate(void **state)
{
    struct stasis_serial_sink *out = sink_open(&(struct stasis_serial_sink_options){
        .kind = STASIS_SERIAL_SINK_FILE, .path = sink_path, .rate = 4});
    char line[200];

    (void)state;
    sink_put(out, "abc");
    sink_put(out, "defgh");
    assert_int_equal(out->stats.written, 4);
    assert_int_equal(DROP(out, RATE), 4);
    assert_true(stasis_serial_sink_summary(out, line, sizeof(line)));
    assert_string_equal(line, "serial output: 4 bytes written, 4 dropped (4 over the rate)");
    stasis_serial_sink_close(out);
    sink_file_holds(sink_path, "abcd", 4);
}

static void none_takes_everything(void **state)
{
    struct stasis_serial_sink *out =
        sink_open(&(struct stasis_serial_sink_options){.kind = STASIS_SERIAL_SINK_NONE});
    char line[200];

    (void)state;
    sink_put(out, "abc");
    assert_int_equal(stasis_serial_sink_fd(out), -1);
    assert_false(stasis_serial_sink_summary(out, line, sizeof(line)));
    stasis_serial_sink_close(out);
}

static void sink_that_is_not_started_changes_nothing(void **state)
{
    static const enum stasis_serial_sink_kind kinds[] = {
        STASIS_SERIAL_SINK_FILE, STASIS_SERIAL_SINK_RING, STASIS_SERIAL_SINK_PIPE};
    struct stasis_serial_sink *out;
    int fd;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct stasis_serial_sink_options options = {.kind = kinds[i], .path = sink_path};

        assert_int_equal(stasis_serial_sink_open(&options, &out, NULL), 0);
        stasis_serial_sink_close(out);
        assert_int_not_equal(access(sink_path, F_OK), 0);
        stasis_serial_sink_close(sink_open(&options));
        assert_int_equal(access(sink_path, F_OK), 0);
        unlink(sink_path);
    }
    fd = open(sink_path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "mine", 4), 4);
    close(fd);
    for (size_t i = 0; i < 2; i++) {
        const struct stasis_serial_sink_options options = {.kind = kinds[i], .path = sink_path};

        assert_int_equal(stasis_serial_sink_open(&options, &out, NULL), 0);
        stasis_serial_sink_close(out);
        sink_file_holds(sink_path, "mine", 4);
    }
}

static void a_snapshot_is_no_sink(void **state)
{
    static const char magic[] = "\x89STASIS\nand the rest of it";
    struct stasis_serial_sink_options options = {.path = sink_path};
    struct stasis_serial_sink *out = NULL;
    struct stasis_error err;
    int fd = open(sink_path, O_CREAT | O_WRONLY, 0600);

    (void)state;
    assert_int_equal(write(fd, magic, sizeof(magic)), sizeof(magic));
    close(fd);
    for (int i = 0; i < 4; i++) {
        options.kind = i & 1 ? STASIS_SERIAL_SINK_RING : STASIS_SERIAL_SINK_FILE;
        options.append = i & 2;
        assert_int_equal(stasis_serial_sink_open(&options, &out, &err), STASIS_ERR_ARG);
        assert_non_null(strstr(err.msg, "it is a snapshot"));
        sink_file_holds(sink_path, magic, sizeof(magic));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(bucket_gives_its_rate_and_no_more, sink_remove_file),
        cmocka_unit_test_teardown(bucket_holds_one_second, sink_remove_file),
        cmocka_unit_test_teardown(drops_what_exceeds_the_rate, sink_remove_file),
        cmocka_unit_test_teardown(none_takes_everything, sink_remove_file),
        cmocka_unit_test_teardown(sink_that_is_not_started_changes_nothing, sink_remove_file),
        cmocka_unit_test_teardown(a_snapshot_is_no_sink, sink_remove_file),
    };

    return cmocka_run_group_tests(tests, sink_make_dir, sink_remove_dir);
}
