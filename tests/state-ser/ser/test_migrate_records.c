/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Records, devices and vCPUs that a release lacks, on a state that has a history (timer.h).
 */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/bind.h"
#include "stasis/migrate.h"
#include "stasis/state.h"
#include "timer.h"
#include "timer_releases.h"

static void test_a_record_the_release_lacks(void **unused)
{
    struct stasis_timer1_state state;
    struct stasis_records *set, *down = NULL;
    struct timer_drops drops = {0};
    struct stasis_convert_opts opts = {
        .size = sizeof(opts), .allow_drop = true, .dropped = timer_count_drop, .ctx = &drops};
    struct stasis_error err = {0};

    (void)unused;
    stasis_state_init(timer_schemas[0], &state);
    set = timer_set_of(1, &state);
    assert_int_equal(stasis_records_convert(set, &timer_no_release, NULL, &down, NULL), 0);
    assert_int_equal(stasis_records_count(down), 0);
    stasis_records_free(set);
    stasis_records_free(down);
    down = NULL;
    state.flags = 2;
    set = timer_set_of(1, &state);
    assert_int_equal(stasis_records_convert(set, &timer_no_release, NULL, &down, &err),
                     STASIS_ERR_VERSION);
    assert_non_null(strstr(err.msg, "field flags is 0x2, not its default 0x1; release 0.9.0"));
    assert_int_equal(stasis_records_convert(set, &timer_no_release, &opts, &down, NULL), 0);
    assert_int_equal(stasis_records_count(down), 0);
    assert_int_equal(drops.count, 1);
    stasis_records_free(set);
    stasis_records_free(down);
}

static struct stasis_records *set_with_board(uint32_t vcpus, uint32_t behaviour)
{
    struct stasis_board_state board;
    struct stasis_timer3_state timer;
    struct stasis_records *set;

    stasis_state_init(timer_schemas[2], &timer);
    set = timer_set_of(3, &timer);
    stasis_state_init(&stasis_board_schema, &board);
    board.vcpus = vcpus;
    board.ram_count = 1;
    board.ram[0].size = 0x1000;
    board.devices_count = 1;
    board.devices[0] = (struct stasis_board_device_state){
        .type = "test.timer", .instance = "t", .version = behaviour, .size = 8, .gsi = 5};
    assert_int_equal(stasis_records_add(set, &stasis_board_schema, "vm", &board, NULL), 0);
    return set;
}

static void test_devices_and_vcpus_the_release_lacks(void **unused)
{
    static const struct stasis_release_record known[] = {{"stasis.board", 1, 0},
                                                         {"test.timer", 3, 1}};
    const struct stasis_release release = {"2.5.0", 1, known, 2};
    struct stasis_records *set = set_with_board(1, 1), *down = NULL;
    struct timer_drops drops = {0};
    struct stasis_convert_opts opts = {
        .size = sizeof(opts), .allow_drop = true, .dropped = timer_count_drop, .ctx = &drops};
    struct stasis_board_state board;
    struct stasis_error err = {0};

    (void)unused;
    assert_int_equal(stasis_records_convert(set, &release, NULL, &down, &err), 0);
    timer_assert_same(set, down);
    stasis_records_free(set);
    stasis_records_free(down);
    down = NULL;

    set = set_with_board(1, 2); /* behaves as no 2.5.0 does */
    assert_int_equal(stasis_records_convert(set, &release, NULL, &down, &err), STASIS_ERR_VERSION);
    assert_non_null(strstr(err.msg,
                           "record stasis.board vm: device test.timer t, behaviour 2; "
                           "release 2.5.0 cannot represent that: start the guest on the board "
                           "of that release, or allow it"));
    assert_int_equal(stasis_records_convert(set, &release, &opts, &down, NULL), 0);
    assert_int_equal(drops.count, 1);
    assert_int_equal(stasis_records_count(down), 1); /* the board, without it */
    assert_int_equal(stasis_records_get(down, &stasis_board_schema, "vm", &board, NULL), 0);
    assert_int_equal(board.devices_count, 0);
    stasis_records_free(set);
    stasis_records_free(down);
    down = NULL;

    set = set_with_board(2, 1);
    assert_int_equal(stasis_records_convert(set, &release, &opts, &down, &err), STASIS_ERR_VERSION);
    assert_string_equal(err.msg, "the board has 2 vCPUs, release 2.5.0 runs at most 1; use a later "
                                 "release as the target, or a guest with fewer vCPUs");
    stasis_records_free(set);
}

/* Whatever may be dropped: a guest on another CPU would be another guest. */
static void test_cpu_models_the_release_lacks(void **unused)
{
    static const struct stasis_release_record known[] = {{"stasis.board", 1, 0},
                                                         {"test.timer", 3, 1}};
    struct stasis_release release = {"2.5.0", 1, known, 2, "0.1.0"};
    const struct stasis_convert_opts opts = {.size = sizeof(opts), .allow_drop = true};
    struct stasis_records *set = set_with_board(1, 1), *down = NULL;
    struct stasis_error err = {0};

    (void)unused;
    assert_int_equal(stasis_records_convert(set, &release, NULL, &down, &err), 0);
    stasis_records_free(down);
    release.cpu_models = "0.0.9";
    assert_int_equal(stasis_records_convert(set, &release, &opts, &down, &err), STASIS_ERR_VERSION);
    assert_string_equal(err.msg,
                        "the board has the CPU model host, which release 2.5.0 does not know; "
                        "use a later release as the target, or a guest with another model");
    stasis_records_free(set);
}

static void test_unknown_records(void **unused)
{
    static const uint8_t optional[] = "\x91\x95\xa5x.new\xa1"
                                      "a\x01\x01\x81\x01\x05";
    static const uint8_t mandatory[] = "\x91\x95\xa5x.new\xa1"
                                       "a\x01\x00\x81\x01\x05";
    const struct stasis_parse_opts tolerant = {.size = sizeof(tolerant), .tolerant = true};
    struct stasis_records *set = NULL, *down = NULL;
    struct stasis_error err = {0};

    (void)unused;
    assert_int_equal(stasis_records_parse(optional, sizeof(optional) - 1, NULL, &set, NULL), 0);
    assert_int_equal(stasis_records_convert(set, &timer_no_release, NULL, &down, NULL), 0);
    timer_assert_same(set, down);
    stasis_records_free(set);
    stasis_records_free(down);
    down = NULL;
    assert_int_equal(stasis_records_parse(mandatory, sizeof(mandatory) - 1, &tolerant, &set, NULL),
                     0);
    assert_int_equal(stasis_records_convert(set, &timer_no_release, NULL, &down, &err),
                     STASIS_ERR_VERSION);
    assert_null(down);
    stasis_records_free(set);
}

static void test_a_release_newer_than_the_type(void **unused)
{
    struct stasis_timer1_state state;
    struct stasis_records *set, *out = NULL;
    struct stasis_error err = {0};

    (void)unused;
    stasis_state_init(timer_schemas[0], &state);
    set = timer_set_of(1, &state);
    assert_int_equal(stasis_records_convert(set, &timer_releases[2], NULL, &out, &err),
                     STASIS_ERR_VERSION);
    assert_string_equal(err.msg, "release 3.0.0 writes version 3 of test.timer, this one up to 1");
    stasis_records_free(set);
}

/* Version 2 dropped an array, so each record is 8 KiB longer in version 1. */
struct shrunk {
    uint8_t table[8192];
    uint8_t level;
};

static void test_a_conversion_that_lengthens_beyond_the_section(void **unused)
{
    static const struct stasis_field fields[] = {
        STASIS_BIND_INTS(struct shrunk, table, 1, STASIS_REMOVED(1, 2), 0xff, "table"),
        STASIS_BIND_INT(struct shrunk, level, 2, 1, 0, 0xff, "level"),
    };
    static const struct stasis_schema schema = {
        .type = "shrunk", .version = 2, STASIS_BIND_FIELDS(struct shrunk, fields), .doc = "shrunk"};
    static const struct stasis_release_record row = {"shrunk", 1, 0};
    static const struct stasis_release release = {"1.0.0", 1, &row, 1};
    static const struct shrunk state;
    struct stasis_records *set = stasis_records_new(), *out = NULL;
    struct stasis_error err = {0};
    uint8_t *bytes = NULL;
    size_t len = 7;
    char name[16];

    (void)unused;
    for (unsigned i = 0; i < STASIS_STATE_MAX / sizeof(state.table); i++) {
        snprintf(name, sizeof(name), "%u", i);
        assert_int_equal(stasis_records_add(set, &schema, name, &state, NULL), 0);
    }
    assert_int_equal(stasis_records_encode(set, &bytes, &len, NULL), 0);
    free(bytes);
    assert_int_equal(stasis_records_convert(set, &release, NULL, &out, NULL), 0);
    bytes = NULL;
    len = 7;
    assert_int_equal(stasis_records_encode(out, &bytes, &len, &err), STASIS_ERR_FULL);
    assert_string_equal(err.msg, "more than 16777216 bytes of state");
    assert_null(bytes);
    assert_int_equal(len, 7);
    stasis_records_free(out);
    stasis_records_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_the_release_lacks),
        cmocka_unit_test(test_devices_and_vcpus_the_release_lacks),
        cmocka_unit_test(test_cpu_models_the_release_lacks),
        cmocka_unit_test(test_unknown_records),
        cmocka_unit_test(test_a_release_newer_than_the_type),
        cmocka_unit_test(test_a_conversion_that_lengthens_beyond_the_section),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
