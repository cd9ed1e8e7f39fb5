/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Records to an older release, and up again. With the loss allowed it always comes to something
 * that the older release reads, unless the board asks for more vCPUs than that runs.
 */
#include "fuzz.h"

#include <string.h>

#include "stasis/migrate.h"
#include "tests/state-ser/ser/gauge.h"
#include "tests/state-ser/ser/timer.h"

static const struct stasis_release_record rows[TIMER_VERSIONS][3] = {
    {{"stasis.board", 1, 0}, {"test.gauge", 1, 0}, {"test.timer", 1, 1}},
    {{"stasis.board", 1, 0}, {"test.gauge", 2, 0}, {"test.timer", 2, 1}},
    {{"stasis.board", 1, 0}, {"test.gauge", 2, 0}, {"test.timer", 3, 2}}};
/* Of a future that has a version this program does not know. */
static const struct stasis_release_record future_rows[] = {{"test.timer", 4, 3}};
static const struct stasis_release future = {"4.0.0", 4, future_rows, 1};
static const struct stasis_release seeded[TIMER_VERSIONS] = {
    {"1.0.0", 1, rows[0], 3}, {"2.0.0", 2, rows[1], 3}, {"3.0.0", 4, rows[2], 3}};

static void count_drop(void *ctx, const char *what)
{
    FUZZ_ASSERT(what[0]);
    ++*(unsigned *)ctx;
}

/* The bytes as the program of that version reads them. */
static void read_as(const struct stasis_records *set, int version)
{
    const struct stasis_schema *const schemas[] = {timer_schemas[version - 1], &gauge_schema};
    const struct stasis_parse_opts opts = {
        .size = sizeof(opts), .schemas = schemas, .schema_count = 2};
    struct stasis_records *read = NULL;
    uint8_t *bytes;
    size_t len;

    FUZZ_ASSERT(!stasis_records_encode(set, &bytes, &len, NULL));
    FUZZ_ASSERT(!stasis_records_parse(bytes, len, &opts, &read, NULL));
    stasis_records_free(read);
    free(bytes);
}

static void convert(const struct stasis_records *set, const struct stasis_release *release,
                    int version)
{
    unsigned drops = 0;
    const struct stasis_convert_opts opts = {
        .size = sizeof(opts), .allow_drop = true, .dropped = count_drop, .ctx = &drops};
    struct stasis_records *strict = NULL, *lossy = NULL;
    struct stasis_error err = {0};
    int rc = stasis_records_convert(set, release, NULL, &strict, &err);
    int rc_lossy = stasis_records_convert(set, release, &opts, &lossy, NULL);

    const struct stasis_convert_opts silent = {.size = sizeof(silent), .allow_drop = true};
    const struct stasis_convert_opts wrong = {.size = 1};
    struct stasis_records *quiet = NULL;

    FUZZ_ASSERT(stasis_records_convert(set, release, &wrong, &quiet, NULL) == STASIS_ERR_ARG);
    FUZZ_ASSERT(stasis_records_convert(set, release, &silent, &quiet, NULL) == rc_lossy);
    stasis_records_free(quiet);
    FUZZ_ASSERT(!rc || (rc == STASIS_ERR_VERSION && err.msg[0]));
    FUZZ_ASSERT(rc || (!rc_lossy && !drops));
    if (!rc_lossy && version)
        read_as(lossy, version);
    stasis_records_free(strict);
    stasis_records_free(lossy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const struct stasis_schema *const schemas[] = {timer_schemas[TIMER_VERSIONS - 1],
                                                   &gauge_schema};
    const struct stasis_parse_opts known = {.size = sizeof(known),
                                            .schemas = schemas,
                                            .schema_count = 2,
                                            .tolerant = len && bytes[0] & 1};
    struct stasis_records *set = NULL;
    size_t count;
    const struct stasis_release *all = stasis_release_all(&count);
    uint8_t *copy;

    if (!len)
        return 0;
    copy = fuzz_copy(bytes + 1, len - 1);
    if (!stasis_records_parse(copy, len - 1, &known, &set, NULL)) {
        for (size_t i = 0; i < count; i++)
            convert(set, &all[i], 0);
        for (int i = 0; i < TIMER_VERSIONS; i++)
            convert(set, &seeded[i], i + 1);
        convert(set, &future, 0);
    }
    stasis_records_free(set);
    free(copy);
    return 0;
}
