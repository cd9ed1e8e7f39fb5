/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/vmcoreinfo.h"

#define HEAD  "OSRELEASE=6.1.0-test\nBUILD-ID=00\nPAGESIZE=4096\n"
#define ROOT  "SYMBOL(swapper_pg_dir)=ffffffff9c201000\n"
#define BASE  "NUMBER(phys_base)=-469762048\n" /* -0x1c000000: what follows is at 0x201000 */
#define KASLR "KERNELOFFSET=1b000000\n"
#define WHOLE HEAD ROOT BASE "NUMBER(pgtable_l5_enabled)=0\n" KASLR

static struct stasis_snap *snap;
static struct stasis_inspect_ram ram;

/* Tables at 0x201000 that map 0xffffffff9c200000 to 0x200000 by a page of 2 MiB; a second root to
 * the same at 0x204000. */
static int setup(void **state)
{
    struct stasis_error err;
    struct built built;
    struct image image;
    uint64_t *tables;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 4 << 20);
    tables = (void *)(built.ram[0] + 0x201000);
    tables[511] = htole64(0x202001);
    tables[512 + 510] = htole64(0x203001);
    tables[1024 + 0x1c200000 / 0x200000] = htole64(0x200081);
    tables[1536 + 511] = htole64(0x202001);
    image = image_of(&built);
    snap = image_reopen(&image);
    assert_int_equal(stasis_inspect_ram_init(&ram, snap, &err), 0);
    image_fini(&image);
    built_fini(&built);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stasis_inspect_ram_fini(&ram);
    stasis_snap_free(snap);
    return 0;
}

static bool parse(const char *text, struct stasis_vmcoreinfo *info)
{
    uint8_t page[STASIS_PAGE_SIZE] = {0};

    snprintf((char *)page, sizeof(page), "%s", text);
    return stasis_vmcoreinfo_parse(page, &ram, info);
}

static void whole(void **state)
{
    struct stasis_vmcoreinfo info;

    (void)state;
    assert_true(parse(WHOLE, &info));
    assert_string_equal(info.text, WHOLE);
    assert_int_equal(info.len, strlen(WHOLE));
    assert_string_equal(info.release, "6.1.0-test");
    assert_int_equal(info.kaslr, 0x1b000000);
    assert_int_equal(info.page_tables, 0x201000);
    assert_int_equal(info.levels, 4);
    assert_true(parse(HEAD ROOT BASE KASLR, &info)); /* of a kernel without 5 levels */
}

static void memory_without_vmcoreinfo_has_none(void **state)
{
    static const char *const rows[] = {
        "",
        "OSRELEASE=",
        " " WHOLE,
        "\n" WHOLE,
        WHOLE "cut",
        WHOLE "bell\a\n",
        WHOLE "\xff\n",
        ROOT BASE KASLR,
        HEAD BASE KASLR,
        HEAD ROOT KASLR,
        HEAD ROOT BASE,
        "OSRELEASE=6\nPAGESIZE=8192\n" ROOT BASE KASLR,
        "OSRELEASE=6\nXPAGESIZE=4096\n" ROOT BASE KASLR,
        "OSRELEASE=PAGESIZE=4096\n" ROOT BASE KASLR,
        HEAD "SYMBOL(swapper_pg_dir)=\n" BASE KASLR,
        HEAD "SYMBOL(swapper_pg_dir)=ffffffff9c201000 \n" BASE KASLR,
        /* Tables that do not lead to themselves: */
        HEAD "SYMBOL(swapper_pg_dir)=ffffffff9c202000\n" BASE KASLR,
        HEAD ROOT "NUMBER(phys_base)=0\n" KASLR,
        HEAD "SYMBOL(swapper_pg_dir)=ffffffff9c205000\nNUMBER(phys_base)=-469766144\n" KASLR,
        HEAD ROOT "NUMBER(phys_base)=9223372036854775807\n" KASLR,
        HEAD ROOT BASE "NUMBER(pgtable_l5_enabled)=1\n" KASLR,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stasis_vmcoreinfo info = {.levels = 77};

        if (parse(rows[i], &info) || info.levels != 77)
            fail_msg("row %zu was believed", i);
    }
}

static void a_page_without_an_end(void **state)
{
    uint8_t page[STASIS_PAGE_SIZE];
    struct stasis_vmcoreinfo info;

    (void)state;
    memset(page, 'x', sizeof(page));
    memcpy(page, WHOLE, sizeof(WHOLE) - 1);
    assert_false(stasis_vmcoreinfo_parse(page, &ram, &info));
    page[sizeof(page) - 1] = '\n';
    assert_true(stasis_vmcoreinfo_parse(page, &ram, &info));
    assert_int_equal(info.len, sizeof(page));
    memset(page + strlen("OSRELEASE="), 'r', 500);
    assert_false(stasis_vmcoreinfo_parse(page, &ram, &info));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole),
        cmocka_unit_test(memory_without_vmcoreinfo_has_none),
        cmocka_unit_test(a_page_without_an_end),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
