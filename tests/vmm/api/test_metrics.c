/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/metrics.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/cmocka_all.h"

static char path[] = "/tmp/stasis-metrics-XXXXXX";

static int setup(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    close(fd);
    return fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static int write_to(const struct stasis_metrics *metrics, const char *to, struct stasis_error *err)
{
    const struct stasis_output_opts opts = {.size = sizeof(opts), .kind = STASIS_OUTPUT_ANY};
    struct stasis_output *output = NULL;
    int rc = stasis_output_open(NULL, to, &opts, &output, err);

    if (!rc)
        rc = stasis_metrics_write(metrics, NULL, output, err);
    stasis_output_close(output);
    return rc;
}

/* What is in the file, as one string. */
static const char *written(const struct stasis_metrics *metrics)
{
    static char text[4096];
    struct stasis_error err = {0};
    FILE *file;

    if (write_to(metrics, path, &err))
        fail_msg("%s", err.msg);
    file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void times_count_from_the_start(void **state)
{
    const struct stasis_metrics metrics = {.start_us = 1000,
                                           .loaded_us = 1234,
                                           .first_run_us = 1300,
                                           .clock_is_stable = true,
                                           .freezes = 2,
                                           .freezes_failed = 1,
                                           .saved = {500, 400, 300, UINT64_C(1) << 40},
                                           .pause_us = 77,
                                           .largest_gap_us = 70};

    (void)state;
    assert_string_equal(written(&metrics), "{\n"
                                           "  \"loaded_us\": 234,\n"
                                           "  \"first_run_us\": 300,\n"
                                           "  \"kvmclock_is_stable\": true,\n"
                                           "  \"freezes\": {\n"
                                           "    \"saved\": 2,\n"
                                           "    \"failed\": 1,\n"
                                           "    \"largest_guest_gap_us\": 70,\n"
                                           "    \"last\": {\n"
                                           "      \"pause_us\": 77,\n"
                                           "      \"file_bytes\": 500,\n"
                                           "      \"stored_bytes\": 400,\n"
                                           "      \"compressed_bytes\": 300,\n"
                                           "      \"zero_bytes\": 1099511627776\n"
                                           "    }\n"
                                           "  }\n"
                                           "}\n");
}

static void times_that_never_came_are_left_out(void **state)
{
    const struct stasis_metrics metrics = {.start_us = 1000};
    const char *text = written(&metrics);

    (void)state;
    assert_null(strstr(text, "_instruction_"));
    assert_null(strstr(text, "loaded"));
    assert_null(strstr(text, "stable"));
    assert_null(strstr(text, "last"));
}

static void a_thaw_says_whether_the_tsc_is_set(void **state)
{
    struct stasis_metrics metrics = {.start_us = 1000};

    (void)state;
    assert_null(strstr(written(&metrics), "tsc_is_set"));
    metrics.thawed = true;
    assert_non_null(strstr(written(&metrics), "  \"tsc_is_set\": false,\n"));
    metrics.tsc_is_set = true;
    assert_non_null(strstr(written(&metrics), "  \"tsc_is_set\": true,\n"));
}

static void a_place_that_takes_nothing_is_named(void **state)
{
    const struct stasis_metrics metrics = {.start_us = 1};
    struct stasis_error err = {0};

    (void)state;
    assert_int_equal(write_to(&metrics, "/dev/full", &err), STASIS_ERR_WRITE);
    assert_non_null(strstr(err.msg, "--metrics /dev/full: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_count_from_the_start),
        cmocka_unit_test(times_that_never_came_are_left_out),
        cmocka_unit_test(a_thaw_says_whether_the_tsc_is_set),
        cmocka_unit_test(a_place_that_takes_nothing_is_named),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
