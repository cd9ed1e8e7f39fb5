/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/diff.h"

static struct stasis_diff_counts counts;
static char *told;
static size_t told_len;

static void tell(void *ctx, uint64_t gpa, uint64_t size, enum stasis_diff_where where)
{
    static const char names[] = {'=', 'a', 'b'};

    fprintf(ctx, "%" PRIx64 "+%" PRIx64 " %c\n", gpa, size, names[where]);
}

/* Ranges line by line: gpa, size in hex, and = (both have it), a or b. */
static void assert_ranges(const struct stasis_snap *a, const struct stasis_snap *b,
                          const char *expected)
{
    struct stasis_diff_out out = {.range = tell};
    struct stasis_error err;
    FILE *file;

    free(told);
    told = NULL;
    file = open_memstream(&told, &told_len);
    assert_non_null(file);
    out.ctx = file;
    counts = (struct stasis_diff_counts){0};
    if (stasis_diff_ram(a, b, &out, &counts, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(fclose(file), 0);
    assert_string_equal(told, expected);
}

static struct stasis_snap *reopen(struct built *built)
{
    struct image image = image_of(built);
    struct stasis_snap *snap = image_reopen(&image);

    image_fini(&image);
    return snap;
}

/* Snapshots of one region each. */
static struct stasis_snap *one_region(uint64_t gpa, size_t size, size_t filled_from)
{
    struct stasis_snap *snap;
    struct built built;

    built_init(&built);
    built_add(&built, gpa, size);
    memset(built.ram[0] + filled_from, 0x77, size - filled_from);
    snap = reopen(&built);
    built_fini(&built);
    return snap;
}

static void pages_and_ranges(void **state)
{
    struct stasis_snap *a, *b;
    struct built built;

    (void)state;
    built_large(&built);
    a = reopen(&built);
    assert_ranges(a, a, "");
    assert_int_equal(counts.pages, stasis_snap_info(a)->ram_bytes / STASIS_PAGE_SIZE);
    built.ram[0][0x1fff] ^= 1;  /* last of a page, */
    built.ram[0][0x2000] ^= 1;  /* first of the next, */
    built.ram[0][0x4001] ^= 1;  /* one with a gap, */
    built.ram[0][0xffff] ^= 1;  /* and two that touch */
    built.ram[0][0x10000] ^= 1; /* across chunks */
    b = reopen(&built);
    assert_ranges(a, b, "1000+2000 =\n4000+1000 =\nf000+2000 =\n");
    assert_int_equal(counts.pages_differ, 5);
    assert_int_equal(counts.pages_only[0] + counts.pages_only[1], 0);
    stasis_snap_free(a);
    stasis_snap_free(b);
    built_fini(&built);
}

/* A chunk that one file left out because it is zero. */
static void zero_and_stored(void **state)
{
    struct stasis_snap *a = one_region(0, 0x20000, 0x20000);
    struct stasis_snap *b = one_region(0, 0x20000, 0x1f000);

    (void)state;
    assert_ranges(a, b, "1f000+1000 =\n");
    assert_ranges(b, a, "1f000+1000 =\n");
    stasis_snap_free(a);
    stasis_snap_free(b);
}

/* Regions, and so chunks, of which none begins where one of the other file does. */
static void other_regions(void **state)
{
    struct stasis_snap *a = one_region(0x3000, 0x40000, 0);
    struct stasis_snap *b = one_region(0x8000, 0x60000, 0x11000);

    (void)state;
    assert_ranges(a, b, "3000+5000 a\n8000+11000 =\n43000+25000 b\n");
    assert_int_equal(counts.pages, 0x3b);
    assert_int_equal(counts.pages_only[0], 5);
    assert_int_equal(counts.pages_only[1], 0x25);
    stasis_snap_free(a);
    stasis_snap_free(b);
}

static void a_region_in_two(void **state)
{
    struct stasis_snap *a = one_region(0, 0x30000, 0);
    struct stasis_snap *b;
    struct built built;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 0x12000);
    built_add(&built, 0x12000, 0x1e000);
    memset(built.ram[0], 0x77, 0x12000);
    memset(built.ram[1], 0x77, 0x1e000);
    b = reopen(&built);
    assert_ranges(a, b, "");
    assert_int_equal(counts.pages, 0x30);
    stasis_snap_free(a);
    stasis_snap_free(b);
    built_fini(&built);
}

static void no_ram_at_all(void **state)
{
    struct stasis_snap *a = one_region(0x1000, 0x1000, 0);
    struct stasis_snap *b;
    struct built built;

    (void)state;
    built_init(&built);
    b = reopen(&built);
    assert_ranges(a, b, "1000+1000 a\n");
    assert_ranges(b, b, "");
    stasis_snap_free(a);
    stasis_snap_free(b);
    built_fini(&built);
}

static int tear_down(void **state)
{
    (void)state;
    free(told);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_and_ranges), cmocka_unit_test(zero_and_stored),
        cmocka_unit_test(other_regions),    cmocka_unit_test(a_region_in_two),
        cmocka_unit_test(no_ram_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
