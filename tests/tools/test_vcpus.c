/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The order of vCPUs, and how much work it is to walk them.
 */
#include "tests/tools/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/state.h"
#include "tools/vcpus.h"

static size_t looked_at; /* records */

struct stasis_record __real_stasis_records_at(const struct stasis_records *set, size_t index);
struct stasis_record __wrap_stasis_records_at(const struct stasis_records *set, size_t index);
struct stasis_record __wrap_stasis_records_at(const struct stasis_records *set, size_t index)
{
    looked_at++;
    return __real_stasis_records_at(set, index);
}

static struct stasis_records *vcpus(size_t count)
{
    struct stasis_records *records = stasis_records_new();
    struct stasis_x86_regs_state regs;
    char name[32];

    assert_non_null(records);
    stasis_state_init(&stasis_x86_regs_schema, &regs);
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "cpu%zu", i);
        assert_int_equal(stasis_records_add(records, &stasis_x86_regs_schema, name, &regs, NULL),
                         0);
    }
    return records;
}

static void names_are_counted_upwards(void **state)
{
    struct stasis_records *records = vcpus(1012);
    const char *name = NULL;

    (void)state;
    for (size_t i = 0; i < 1012; i++) {
        char expected[32];

        snprintf(expected, sizeof(expected), "cpu%zu", i);
        name = stasis_vcpus_next(records, name);
        assert_non_null(name);
        assert_string_equal(name, expected);
    }
    assert_null(stasis_vcpus_next(records, name));
    stasis_records_free(records);
}

static void no_vcpus_have_no_names(void **state)
{
    struct stasis_records *records = stasis_records_new();

    (void)state;
    assert_null(stasis_vcpus_next(records, NULL));
    stasis_records_free(records);
}

/* Twice for each of four lengths, where a walk for each vCPU would be 16 million. */
static void many_vcpus_are_little_work(void **state)
{
    struct stasis_records *records = vcpus(STASIS_RECORDS_MAX);
    const char *name = NULL;
    size_t count = 0;

    (void)state;
    looked_at = 0;
    while ((name = stasis_vcpus_next(records, name)))
        count++;
    assert_int_equal(count, STASIS_RECORDS_MAX);
    assert_in_range(looked_at, STASIS_RECORDS_MAX, 10 * STASIS_RECORDS_MAX);
    stasis_records_free(records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_counted_upwards),
        cmocka_unit_test(no_vcpus_have_no_names),
        cmocka_unit_test(many_vcpus_are_little_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
