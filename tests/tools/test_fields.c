/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/future.h"

#include <stdlib.h>
#include <string.h>

#include "tools/fields.h"

static char *told;
static size_t told_len;

static void put(const struct stasis_scalar *scalar, FILE *out)
{
    if (scalar)
        stasis_scalar_put_text(scalar, out);
    else
        fputc('-', out);
}

static void tell(void *ctx, const char *path, const struct stasis_scalar *a,
                 const struct stasis_scalar *b)
{
    fprintf(ctx, "%s ", path);
    put(a, ctx);
    fputc(' ', ctx);
    put(b, ctx);
    fputc('\n', ctx);
}

static struct stasis_side side_of(const struct stasis_schema *schema, const void *state)
{
    return (struct stasis_side){schema, schema ? schema->version : 0, (uint8_t *)(uintptr_t)state};
}

/* "path a b" line by line. */
static void assert_told(struct stasis_side a, struct stasis_side b, const char *expected)
{
    FILE *out;

    free(told);
    told = NULL;
    out = open_memstream(&told, &told_len);
    assert_non_null(out);
    assert_int_equal(stasis_fields_walk(&a, &b, tell, out, NULL), 0);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(told, expected);
}

static void nested_and_arrays(void **state)
{
    struct stasis_x86_sregs_state a, b;

    (void)state;
    stasis_state_init(&stasis_x86_sregs_schema, &a);
    b = a;
    assert_told(side_of(&stasis_x86_sregs_schema, &a), side_of(&stasis_x86_sregs_schema, &b), "");
    b.cs.base = 0xf0000;
    b.gdt.limit = 1;
    b.pdptrs[2] = UINT64_MAX;
    a.cr8 = 7;
    assert_told(side_of(&stasis_x86_sregs_schema, &a), side_of(&stasis_x86_sregs_schema, &b),
                "cs.base 0x0 0xf0000\ngdt.limit 0x0 0x1\ncr8 0x7 0x0\n"
                "pdptrs[2] 0x0 0xffffffffffffffff\n");
}

static void registers_and_bytes(void **state)
{
    struct stasis_x86_xsave_state a, b;
    struct stasis_serial_state x, y;

    (void)state;
    stasis_state_init(&stasis_x86_xsave_schema, &a);
    b = a;
    a.pkru_len = 8;
    a.xmm_len = b.xmm_len = 256;
    b.xmm[31] = 0xee;
    assert_told(side_of(&stasis_x86_xsave_schema, &a), side_of(&stasis_x86_xsave_schema, &b),
                "xmm[1] 00000000000000000000000000000000 000000000000000000000000000000ee\n"
                "pkru[0] 0000000000000000 -\n");
    assert_told(side_of(&stasis_x86_xsave_schema, &b), side_of(&stasis_x86_xsave_schema, &a),
                "xmm[1] 000000000000000000000000000000ee 00000000000000000000000000000000\n"
                "pkru[0] - 0000000000000000\n");
    stasis_state_init(&stasis_serial_schema, &x);
    y = x;
    y.rx_fifo_len = 2;
    y.rx_fifo[1] = 'A';
    assert_told(side_of(&stasis_serial_schema, &x), side_of(&stasis_serial_schema, &y),
                "rx_fifo no bytes 0041\n");
}

static void names_in_lists(void **state)
{
    struct stasis_x86_msrs_state a = {.msrs_count = 2, .msrs = {{0x10, 1}, {0x20, 2}}};
    struct stasis_x86_msrs_state b = {.msrs_count = 3, .msrs = {{0x10, 1}, {0x15, 9}, {0x20, 3}}};
    struct stasis_x86_cpuid_state c = {.leaves_count = 2,
                                       .leaves = {{.function = 4}, {.function = 4, .index = 1}}};
    struct stasis_x86_cpuid_state d = {.leaves_count = 1,
                                       .leaves = {{.function = 4, .index = 1, .edx = 6}}};
    const char *const leaf_gone = "leaves[0x4,0x0].function 0x4 -\nleaves[0x4,0x0].index 0x0 -\n"
                                  "leaves[0x4,0x0].flags 0x0 -\nleaves[0x4,0x0].eax 0x0 -\n"
                                  "leaves[0x4,0x0].ebx 0x0 -\nleaves[0x4,0x0].ecx 0x0 -\n"
                                  "leaves[0x4,0x0].edx 0x0 -\nleaves[0x4,0x1].edx 0x0 0x6\n";

    (void)state;
    assert_told(side_of(&stasis_x86_msrs_schema, &a), side_of(&stasis_x86_msrs_schema, &b),
                "msrs[0x15].index - 0x15\nmsrs[0x15].value - 0x9\nmsrs[0x20].value 0x2 0x3\n");
    assert_told(side_of(&stasis_x86_cpuid_schema, &c), side_of(&stasis_x86_cpuid_schema, &d),
                leaf_gone);
}

static void devices_by_instance(void **state)
{
    struct stasis_board_state a, b;

    (void)state;
    stasis_state_init(&stasis_board_schema, &a);
    a.devices_count = 2;
    strcpy(a.devices[0].instance, "com1");
    strcpy(a.devices[1].instance, "rtc");
    b = a;
    b.devices[0] = a.devices[1];
    b.devices[1] = a.devices[0];
    assert_told(side_of(&stasis_board_schema, &a), side_of(&stasis_board_schema, &b), "");
    b.devices[0].gsi = 5;
    assert_told(side_of(&stasis_board_schema, &a), side_of(&stasis_board_schema, &b),
                "devices[rtc].gsi 0x0 0x5\n");
}

/* What a hostile file may call its elements: then places count. */
static void names_that_are_none(void **state)
{
    struct stasis_x86_msrs_state a = {.msrs_count = 2, .msrs = {{1, 1}, {1, 1}}};
    struct stasis_x86_msrs_state b = {.msrs_count = 1, .msrs = {{1, 1}}};
    struct stasis_board_state c, d;

    (void)state;
    assert_told(side_of(&stasis_x86_msrs_schema, &a), side_of(&stasis_x86_msrs_schema, &b),
                "msrs[1].index 0x1 -\nmsrs[1].value 0x1 -\n");
    stasis_state_init(&stasis_board_schema, &c);
    c.devices_count = 1;
    strcpy(c.devices[0].instance, "\x1b[2J");
    d = c;
    d.devices[0].gsi = 9;
    assert_told(side_of(&stasis_board_schema, &c), side_of(&stasis_board_schema, &d),
                "devices[0].gsi 0x0 0x9\n");
}

/* Long lists take no search: an element more among 60000 is one difference, found at once. */
static void long_lists(void **state)
{
    enum { COUNT = 60000 };
    struct list {
        uint32_t count;
        struct stasis_x86_msr_state msrs[COUNT];
    };
    static const struct stasis_field fields[] = {{.id = 1,
                                                  .since = 1,
                                                  .kind = STASIS_KIND_LIST,
                                                  .elem_size = sizeof(struct stasis_x86_msr_state),
                                                  .max = COUNT,
                                                  .offset = offsetof(struct list, msrs),
                                                  .count_offset = offsetof(struct list, count),
                                                  .name = "l",
                                                  .sub = &stasis_x86_msr_schema}};
    static const struct stasis_schema schema = {.type = "long",
                                                .version = 1,
                                                .size = sizeof(struct list),
                                                .fields = fields,
                                                .field_count = 1};
    struct list *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));

    (void)state;
    assert_true(a && b);
    a->count = COUNT - 1;
    b->count = COUNT;
    for (uint32_t i = 0; i < COUNT; i++) {
        a->msrs[i].index = 2 * i + 2;
        b->msrs[i].index = i ? 2 * i : 1; /* one more, in front */
    }
    assert_told(side_of(&schema, a), side_of(&schema, b),
                "l[0x1].index - 0x1\nl[0x1].value - 0x0\n");
    free(a);
    free(b);
}

static void other_versions(void **state)
{
    struct stasis_x86_tsc_state a = {.khz = 7};
    struct future_tsc b = {.khz = 7, .drift = -5};
    struct stasis_schema gone = future_tsc_schema; /* that has the second field only */
    struct stasis_field drift = future_tsc_schema.fields[1];
    struct stasis_side b1 = side_of(&future_tsc_schema, &b);

    (void)state;
    drift.offset = 0;
    gone.fields = &drift;
    gone.field_count = 1;
    assert_told(side_of(&stasis_x86_tsc_schema, &a), side_of(&future_tsc_schema, &b),
                "drift - -5\n");
    assert_told(side_of(&future_tsc_schema, &b), side_of(&stasis_x86_tsc_schema, &a),
                "drift -5 -\n");
    /* The same id at another place. */
    assert_told(side_of(&gone, &b.drift), side_of(&future_tsc_schema, &b), "khz - 0x7\n");
    b1.version = 1; /* which does not have it */
    assert_told(side_of(&stasis_x86_tsc_schema, &a), b1, "");
}

/* One id, two meanings: only a hostile file does that. */
static void another_kind(void **state)
{
    static const struct stasis_field number[] = {
        {.id = 1, .since = 1, .kind = STASIS_KIND_INT, .elem_size = 8, .max = 1, .name = "n"}};
    static const struct stasis_field text[] = {
        {.id = 1, .since = 1, .kind = STASIS_KIND_STR, .elem_size = 1, .max = 7, .name = "t"}};
    static const struct stasis_schema a = {
        .type = "x", .version = 1, .size = 8, .fields = number, .field_count = 1};
    static const struct stasis_schema b = {
        .type = "x", .version = 1, .size = 8, .fields = text, .field_count = 1};
    uint64_t value = 3;

    (void)state;
    assert_told(side_of(&a, &value), side_of(&b, "\xc3\xa9\"!"), "n 0x3 -\nt - \"\xc3\xa9\"!\"\n");
}

static void one_side_alone(void **state)
{
    struct future_fan fan = {.maker = "m", .blades_count = 1, .taps_len = 4};
    const struct stasis_side none = {.schema = NULL};

    (void)state;
    assert_told(side_of(&future_fan_schema, &fan), none,
                "maker \"m\" -\nblades[0].angle 0x0 -\nserial no bytes -\ntaps[0] 00000000 -\n"
                "speeds[0] 0x0 -\nspeeds[1] 0x0 -\nspeeds[2] 0x0 -\n");
    assert_told(none, none, "");
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
        cmocka_unit_test(nested_and_arrays),   cmocka_unit_test(registers_and_bytes),
        cmocka_unit_test(names_in_lists),      cmocka_unit_test(devices_by_instance),
        cmocka_unit_test(names_that_are_none), cmocka_unit_test(long_lists),
        cmocka_unit_test(other_versions),      cmocka_unit_test(another_kind),
        cmocka_unit_test(one_side_alone),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
