/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "timer_releases.h"

#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>

static const struct stasis_release_record rows[TIMER_VERSIONS][1] = {
    {{"test.timer", 1, 1}}, {{"test.timer", 2, 1}}, {{"test.timer", 3, 2}}};
const struct stasis_release timer_releases[TIMER_VERSIONS] = {
    {"1.0.0", 1, rows[0], 1}, {"2.0.0", 1, rows[1], 1}, {"3.0.0", 2, rows[2], 1}};
const struct stasis_release timer_no_release = {"0.9.0", 1, NULL, 0};

struct stasis_records *timer_set_of(int version, const void *state)
{
    struct stasis_records *set = stasis_records_new();

    assert_int_equal(stasis_records_add(set, timer_schemas[version - 1], "t", state, NULL), 0);
    return set;
}

void timer_assert_same(const struct stasis_records *a, const struct stasis_records *b)
{
    uint8_t *x, *y;
    size_t x_len, y_len;

    assert_int_equal(stasis_records_encode(a, &x, &x_len, NULL), 0);
    assert_int_equal(stasis_records_encode(b, &y, &y_len, NULL), 0);
    assert_int_equal(x_len, y_len);
    assert_memory_equal(x, y, x_len);
    free(x);
    free(y);
}

void timer_count_drop(void *ctx, const char *what)
{
    struct timer_drops *drops = ctx;

    drops->count++;
    snprintf(drops->last, sizeof(drops->last), "%s", what);
}
