/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A small file that has 4 TiB of RAM, of which all but a page is zero: who counts its chunks one by
 * one takes seconds.
 */
#include "tests/tools/rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "state-ser/snap/le.h"

#define LOW    UINT64_C(0x10000)
#define HIGH   ((UINT64_C(1) << 42) - LOW)
#define CHUNKS (UINT64_C(1) << 26)

#define LIMIT_US 500000 /* of a processor; one by one took 4 s at least */

static struct run run;

static uint64_t used_us(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_CHILDREN, &usage), 0);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* The second range grows from one chunk to nearly all. */
static int make_file(void **state)
{
    struct built built;
    struct image image;
    uint8_t *index;

    if (setup_folder(state))
        return -1;
    built_init(&built);
    built_add(&built, 0, LOW);
    built_add(&built, UINT64_C(1) << 20, LOW);
    built.ram[0][5] = 1;
    image = image_of(&built);
    index = image.bytes + section_offset(image_section(&image, STASIS_SECTION_INDEX));
    stasis_le64_put(index + 16 + 16 + 8, HIGH);
    stasis_le64_put(image.bytes + STASIS_HDR_RAM_BYTES, LOW + HIGH);
    image_reseal(&image);
    write_file(in_folder("a.snap"), image.bytes, image.len);
    image_fini(&image);
    built_fini(&built);
    return 0;
}

static void run_quickly(const char *command, const char *text)
{
    uint64_t before = used_us(), used;

    run_inspect(&run, NULL, command, in_folder("a.snap"), NULL);
    used = used_us() - before;
    assert_ended(&run, 0, NULL);
    assert_has(run.out, text);
    print_message("%s: %u ms\n", command, (unsigned)(used / 1000));
    if (used > LIMIT_US)
        fail_msg("%s took %u ms", command, (unsigned)(used / 1000));
}

static void chunks_are_counted_by_runs(void **state)
{
    (void)state;
    run_quickly("info", "64 KiB stored, 3.9 TiB zero");
    run_quickly("json", "\"chunks_zero\": 67108863,");
    run_quickly("layers", "a.snap");
    run_quickly("verify", "index (chunks 67108864), data (chunks stored 1, bytes 65536)");
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_counted_by_runs),
    };

    return cmocka_run_group_tests(tests, make_file, teardown);
}
