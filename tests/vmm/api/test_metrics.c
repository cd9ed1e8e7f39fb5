/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Values from who has them, and the names that they have had since 0.1.0. What the two
 * formats make of them: test_metrics_formats.py.
 */
#include "vmm/api/metrics_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

static struct metrics_rig rig;
static struct stasis_error err;
static char *text;

static int tear_down(void **state)
{
    (void)state;
    metrics_rig_fini(&rig);
    free(text);
    text = NULL;
    return 0;
}

static const char *json(void)
{
    size_t len;

    free(text);
    text = NULL;
    assert_int_equal(stasis_metrics_text(&rig.source, STASIS_VMM_METRICS_JSON, &text, &len, &err),
                     0);
    assert_int_equal(strlen(text), len);
    return text;
}

static void assert_holds(const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in %s", part, text);
}

static void names_of_0_1_0_are_kept(void **state)
{
    (void)state;
    metrics_rig_fresh(&rig, 1);
    rig.metrics.loaded_us = 1234;
    rig.machine.threads[0].first_run_us = 1300;
    rig.metrics.freezes_failed = 1;
    rig.metrics.largest_gap_us = 70;
    stasis_metrics_count_freeze(&rig.metrics,
                                &(struct stasis_save_stats){500, 400, 300, UINT64_C(1) << 40,
                                                            .below_bytes = 20, .publish_us = 10},
                                &(struct stasis_freeze_times){1, 2, 50, 0}, 77);
    json();
    assert_holds("{\n  \"uptime_us\": 4000,\n");
    assert_holds("\n  \"loaded_us\": 234,\n  \"first_run_us\": 300,\n"
                 "  \"kvmclock_is_stable\": false,\n");
    assert_holds("\n  \"freezes\": {\n    \"saved\": 1,\n    \"failed\": 1,\n"
                 "    \"largest_guest_gap_us\": 70,\n");
    assert_holds("\n    \"last\": {\n      \"pause_us\": 77,\n      \"file_bytes\": 500,\n"
                 "      \"stored_bytes\": 400,\n      \"compressed_bytes\": 300,\n"
                 "      \"zero_bytes\": 1099511627776,\n"
                 "      \"below_bytes\": 20,\n"
                 "      \"spent_us\": {\n        \"stop\": 1,\n        \"collect\": 2,\n"
                 "        \"write\": 40,\n        \"sync\": 10\n      }\n    }\n  },\n");
}

static void memory_of_0_1_0_is_kept(void **state)
{
    (void)state;
    metrics_rig_full(&rig, 1);
    json();
    assert_holds("\n  \"memory\": {\n    \"mode\": \"lazy\",\n    \"stored_bytes\": 1000003,\n"
                 "    \"populated_bytes\": 2000006,\n    \"verified_bytes\": 3000009,\n"
                 "    \"faults\": 4000012,\n    \"populated_us\": 4999015\n  },\n");
}

static void what_has_not_happened_is_left_out(void **state)
{
    static const char *const absent[] = {"loaded",     "first_run", "stable",
                                         "\"memory\"", "last",      "tsc"};

    (void)state;
    metrics_rig_fresh(&rig, 1);
    json();
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        assert_null(strstr(text, absent[i]));
    assert_holds("\"unhandled_port\": 0");
    assert_holds("\"io\": 0");
}

static void a_thaw_says_whether_the_tsc_is_set(void **state)
{
    (void)state;
    metrics_rig_fresh(&rig, 1);
    rig.metrics.thawed = true;
    json();
    assert_holds("  \"tsc_is_set\": false,\n");
    rig.metrics.tsc_is_set = true;
    json();
    assert_holds("  \"tsc_is_set\": true,\n");
}

/* The first vCPU that runs, whichever it is. */
static void the_guest_runs_when_a_vcpu_does(void **state)
{
    (void)state;
    metrics_rig_fresh(&rig, 3);
    rig.machine.threads[1].first_run_us = 3000;
    rig.machine.threads[2].first_run_us = 2000;
    json();
    assert_holds("\"first_run_us\": 1000,");
}

static void freezes_add_up(void **state)
{
    const struct stasis_save_stats saved = {.file_bytes = 500, .publish_us = 4};
    const struct stasis_freeze_times times = {10, 20, 34, 0};

    (void)state;
    metrics_rig_fresh(&rig, 1);
    for (int i = 0; i < 3; i++)
        stasis_metrics_count_freeze(&rig.metrics, &saved, &times, 70);
    json();
    assert_holds("\"saved\": 3,");
    assert_holds("    \"written_bytes\": 1500,\n    \"spent_us\": {\n      \"stop\": 30,\n"
                 "      \"collect\": 60,\n      \"write\": 90,\n      \"sync\": 12\n    },\n");
}

/* Reasons without a row of their own, and newer ones, are one number. */
static void other_exits_are_counted_together(void **state)
{
    uint64_t *exits;

    (void)state;
    metrics_rig_fresh(&rig, 1);
    exits = rig.machine.vcpus[0].exits;
    exits[STASIS_VCPU_EXIT_io] = 5;
    exits[STASIS_VCPU_EXIT_memory_fault] = 6;
    exits[STASIS_VCPU_EXIT_unknown] = 100;
    exits[STASIS_VCPU_EXIT_xen] = 20;
    exits[STASIS_VCPU_EXIT_REASONS] = 3;
    json();
    assert_holds("\"io\": 5,");
    assert_holds("\"memory_fault\": 6,");
    assert_holds("\"other\": 123\n");
}

/* ---- formats ---- */

static void both_formats_are_written(void **state)
{
    size_t len;

    (void)state;
    metrics_rig_fresh(&rig, 1);
    json();
    assert_memory_equal(text, "{\n", 2);
    free(text);
    text = NULL;
    assert_int_equal(
        stasis_metrics_text(&rig.source, STASIS_VMM_METRICS_OPENMETRICS, &text, &len, &err), 0);
    assert_memory_equal(text, "# TYPE stasis_", 14);
}

#define CASE(function) cmocka_unit_test_teardown(function, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(names_of_0_1_0_are_kept),           CASE(memory_of_0_1_0_is_kept),
        CASE(what_has_not_happened_is_left_out), CASE(a_thaw_says_whether_the_tsc_is_set),
        CASE(the_guest_runs_when_a_vcpu_does),   CASE(freezes_add_up),
        CASE(other_exits_are_counted_together),  CASE(both_formats_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
