/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/arch/arch.h"
#include "vmm/machine/board.h"

#define MIB UINT64_C(0x100000)
#define GIB UINT64_C(0x40000000)

static void init_state(struct stasis_board_state *board)
{
    stasis_state_init(&stasis_board_schema, board);
}

/* Two regions with a hole between and behind, small enough to touch whole. */
static void init_two(struct stasis_memory *memory)
{
    struct stasis_board_state board;

    init_state(&board);
    board.ram_count = 2;
    board.ram[0] = (struct stasis_ram_region_state){.gpa = 0x10000, .size = 0x3000};
    board.ram[1] = (struct stasis_ram_region_state){.gpa = 0x20000, .size = 0x1000};
    assert_int_equal(stasis_board_map_ram(&board, memory, NULL), 0);
}

static void layout_around_the_gap(void **state)
{
    static const struct {
        uint64_t size;
        uint64_t high; /* bytes above 4 GiB */
    } cases[] = {
        {4096, 0},
        {256 * MIB, 0},
        {STASIS_MMIO_GAP_START - 4096, 0},
        {STASIS_MMIO_GAP_START, 0},
        {STASIS_MMIO_GAP_START + 4096, 4096},
        {4 * GIB, 4 * GIB - STASIS_MMIO_GAP_START},
        {STASIS_RAM_MAX, STASIS_RAM_MAX - STASIS_MMIO_GAP_START},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_board_state board;

        init_state(&board);
        assert_int_equal(stasis_board_set_ram(cases[i].size, &board, NULL), 0);
        assert_int_equal(board.ram_count, cases[i].high ? 2 : 1);
        assert_int_equal(board.ram[0].gpa, 0);
        assert_int_equal(board.ram[0].size, cases[i].size - cases[i].high);
        if (cases[i].high) {
            assert_int_equal(board.ram[1].gpa, STASIS_MMIO_GAP_END);
            assert_int_equal(board.ram[1].size, cases[i].high);
        }
    }
}

static void layout_refuses_odd_sizes(void **state)
{
    static const uint64_t sizes[] = {
        0, 1, 4095, 4097, UINT64_MAX, STASIS_RAM_MAX + 4096, UINT64_C(1) << 46, UINT64_C(1) << 63};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct stasis_board_state board;
        struct stasis_error err;

        init_state(&board);
        assert_int_equal(stasis_board_set_ram(sizes[i], &board, &err), STASIS_ERR_ARG);
        assert_non_null(strstr(err.msg, "up to 4 TiB, the most that a snapshot holds"));
        assert_int_equal(board.ram_count, 0);
    }
}

static void layouts_that_cannot_be_are_refused(void **state)
{
    static const uint64_t last = UINT64_MAX - 4095;
    static const struct {
        struct stasis_memory_region region;
        int rc;
    } cases[] = {
        {{.gpa = 0, .size = 0}, STASIS_ERR_ARG},
        {{.gpa = 0, .size = 4097}, STASIS_ERR_ARG},
        {{.gpa = 1, .size = 4096}, STASIS_ERR_ARG},
        {{.gpa = last, .size = 8192}, STASIS_ERR_RANGE},
        {{.gpa = 4096, .size = UINT64_MAX - 4095}, STASIS_ERR_RANGE},
        {{.gpa = 0, .size = UINT64_MAX - 4095}, STASIS_ERR_RANGE},
        {{.gpa = 0, .size = UINT64_MAX - 0x1fffff}, STASIS_ERR_RANGE},
        {{.gpa = last, .size = 4096}, 0},
    };
    struct stasis_memory_region many[STASIS_MEMORY_REGION_MAX + 1];
    struct stasis_memory memory;
    struct stasis_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(stasis_memory_init(&memory, &cases[i].region, 1, &err), cases[i].rc);
        assert_int_equal(memory.region_count, !cases[i].rc);
        stasis_memory_fini(&memory);
    }
    for (uint32_t i = 0; i <= STASIS_MEMORY_REGION_MAX; i++)
        many[i] = (struct stasis_memory_region){.gpa = i * UINT64_C(8192), .size = 4096};
    assert_int_equal(stasis_memory_init(&memory, many, STASIS_MEMORY_REGION_MAX + 1, &err),
                     STASIS_ERR_ARG);
    assert_string_equal(err.msg, "guest memory of 9 regions; use 8 at most");
    assert_int_equal(stasis_memory_init(&memory, many, STASIS_MEMORY_REGION_MAX, &err), 0);
    stasis_memory_fini(&memory);
}

static void ram_is_zero_aligned_and_whole(void **state)
{
    struct stasis_memory memory;

    (void)state;
    init_two(&memory);
    assert_int_equal(memory.region_count, 2);
    assert_int_equal(stasis_memory_size(&memory), 0x4000);
    for (uint32_t i = 0; i < memory.region_count; i++) {
        assert_int_equal((uintptr_t)memory.regions[i].host % 0x200000, 0);
        for (uint64_t at = 0; at < memory.regions[i].size; at++) {
            assert_int_equal(memory.regions[i].host[at], 0);
            memory.regions[i].host[at] = 0xff;
        }
    }
    stasis_memory_fini(&memory);
    assert_int_equal(memory.region_count, 0);
}

/* Whether the map around this address has the flag (proc(5), smaps). */
static bool has_flag(const void *at, const char *flag)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    unsigned long first, end;
    bool inside = false, found = false;
    char line[512], *behind;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        first = strtoul(line, &behind, 16);
        end = *behind == '-' ? strtoul(behind + 1, &behind, 16) : 0;
        if (end && *behind == ' ')
            inside = first <= (uintptr_t)at && (uintptr_t)at < end;
        found |= inside && !strncmp(line, "VmFlags:", 8) && strstr(line, flag);
    }
    fclose(file);
    return found;
}

/* A kernel without huge pages takes no advice of them. */
static void ram_is_in_no_core_and_may_have_huge_pages(void **state)
{
    void *own = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool has_huge = !madvise(own, 4096, MADV_HUGEPAGE);
    struct stasis_memory memory;

    (void)state;
    init_two(&memory);
    for (uint32_t i = 0; i < memory.region_count; i++) {
        uint8_t *last = memory.regions[i].host + memory.regions[i].size - 1;

        assert_true(has_flag(last, " dd ") && has_flag(memory.regions[i].host, " dd "));
        assert_int_equal(has_flag(last, " hg "), has_huge);
    }
    stasis_memory_fini(&memory);
    munmap(own, 4096);
}

/* The gate, against a plain model of it, at every boundary. */
static void gate(void **state)
{
    static const uint64_t points[] = {0,       1,       0xfff,   0xffff,     0x10000,
                                      0x10001, 0x12fff, 0x13000, 0x13001,    0x1ffff,
                                      0x20000, 0x20fff, 0x21000, UINT64_MAX, UINT64_MAX - 0xfff};
    static const uint64_t lengths[] = {0,         1,       2,        0xfff,
                                       0x1000,    0x2fff,  0x3000,   0x3001,
                                       0x10000,   0x11000, 1u << 31, UINT64_MAX - 0xffff,
                                       UINT64_MAX};
    struct stasis_memory memory;

    (void)state;
    init_two(&memory);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        for (size_t j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
            __extension__ typedef unsigned __int128 wide;
            wide first = points[i], end = first + lengths[j];
            uint8_t *expected = NULL;

            if (first >= 0x10000 && end <= 0x13000)
                expected = memory.regions[0].host + (points[i] - 0x10000);
            else if (first >= 0x20000 && end <= 0x21000)
                expected = memory.regions[1].host + (points[i] - 0x20000);
            assert_ptr_equal(stasis_memory_at(&memory, points[i], lengths[j]), expected);
        }
    }
    stasis_memory_fini(&memory);
}

static void touching_regions_are_two(void **state)
{
    struct stasis_board_state board;
    struct stasis_memory memory;

    (void)state;
    init_state(&board);
    board.ram_count = 2;
    board.ram[0] = (struct stasis_ram_region_state){.gpa = 0, .size = 0x1000};
    board.ram[1] = (struct stasis_ram_region_state){.gpa = 0x1000, .size = 0x1000};
    assert_int_equal(stasis_board_map_ram(&board, &memory, NULL), 0);
    assert_ptr_equal(stasis_memory_at(&memory, 0x1000, 0x1000), memory.regions[1].host);
    /* Their host addresses have nothing to do with each other. */
    assert_null(stasis_memory_at(&memory, 0xfff, 2));
    stasis_memory_fini(&memory);
}

static void write_checks_first(void **state)
{
    struct stasis_memory memory;
    struct stasis_error err;

    (void)state;
    init_two(&memory);
    assert_int_equal(stasis_memory_write(&memory, 0x12ffe, "ab", 2, "text", &err), 0);
    assert_memory_equal(memory.regions[0].host + 0x2ffe, "ab", 2);
    assert_int_equal(stasis_memory_write(&memory, 0x12fff, "cd", 2, "text", &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "text"));
    assert_non_null(strstr(err.msg, "0x12fff"));
    assert_memory_equal(memory.regions[0].host + 0x2ffe, "ab", 2);
    stasis_memory_fini(&memory);
}

/* Private anonymous memory, and memory of which nothing can be given back. */
static void discarded_pages_are_zero(void **state)
{
    struct stasis_memory memory;

    (void)state;
    for (unsigned locked = 0; locked < 2; locked++) {
        init_two(&memory);
        memset(memory.regions[0].host, 5, 0x3000);
        /* Not by mlock(): a sanitizer's does nothing. */
        if (locked && syscall(SYS_mlock, memory.regions[0].host, 0x3000))
            fail_msg("mlock");
        assert_int_equal(stasis_memory_discard(&memory, 0x11000, 0x1000, NULL), 0);
        for (unsigned at = 0; at < 0x3000; at++)
            assert_int_equal(memory.regions[0].host[at], at / 0x1000 == 1 ? 0 : 5);
        stasis_memory_fini(&memory);
    }
}

struct source {
    void *host;
    uint64_t len;
    unsigned calls;
};

static int on_discard(void *ctx, void *host, uint64_t len, struct stasis_error *err)
{
    struct source *source = ctx;

    *source = (struct source){host, len, source->calls + 1};
    return stasis_fail(err, STASIS_ERR_UNAVAILABLE, "not now");
}

static void who_fills_memory_gives_it_back(void **state)
{
    struct source source = {0};
    struct stasis_memory memory;
    struct stasis_error err;

    (void)state;
    init_two(&memory);
    memory.source = (struct stasis_memory_source){on_discard, &source};
    assert_int_equal(stasis_memory_discard(&memory, 0x11000, 0x2000, &err), STASIS_ERR_UNAVAILABLE);
    assert_ptr_equal(source.host, memory.regions[0].host + 0x1000);
    assert_int_equal(source.len, 0x2000);
    assert_int_equal(source.calls, 1);
    stasis_memory_fini(&memory);
}

static void only_whole_pages_are_discarded(void **state)
{
    static const uint64_t bad[][2] = {{0x10000, 0},      {0x10800, 0x1000},   {0x10000, 0x800},
                                      {0x12000, 0x2000}, {0x13000, 0x1000},   {0xf000, 0x1000},
                                      {0xf000, 0x2000},  {UINT64_MAX, 0x1000}};
    struct source source = {0};
    struct stasis_memory memory;
    struct stasis_error err;

    (void)state;
    init_two(&memory);
    memory.source = (struct stasis_memory_source){on_discard, &source};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(stasis_memory_discard(&memory, bad[i][0], bad[i][1], &err),
                         STASIS_ERR_ARG);
        assert_non_null(strstr(err.msg, "are not whole pages of RAM"));
    }
    assert_int_equal(source.calls, 0);
    stasis_memory_fini(&memory);
}

static struct {
    uint64_t gpa, len;
    unsigned count;
} change;

static void on_change(void *ctx, uint64_t gpa, uint64_t len)
{
    assert_ptr_equal(ctx, &change);
    change.gpa = gpa;
    change.len = len;
    change.count++;
}

static void expect_change(unsigned count, uint64_t gpa, uint64_t len)
{
    assert_int_equal(change.count, count);
    assert_int_equal(change.gpa, gpa);
    assert_int_equal(change.len, len);
}

/* By each of the three ways, and by no other. */
static void a_watcher_is_told_of_every_change(void **state)
{
    struct stasis_memory memory;

    (void)state;
    init_two(&memory);
    memset(&change, 0, sizeof(change));
    memory.watcher = (struct stasis_memory_watcher){on_change, &change};
    assert_non_null(stasis_memory_at(&memory, 0x10000, 8));
    assert_null(stasis_memory_writable(&memory, 0x12ffd, 4));
    assert_non_null(stasis_memory_writable(&memory, 0x10010, 0));
    assert_int_equal(change.count, 0);
    assert_non_null(stasis_memory_writable(&memory, 0x10ff8, 16));
    expect_change(1, 0x10ff8, 16);
    assert_int_equal(stasis_memory_write(&memory, 0x20000, "abc", 3, "test", NULL), 0);
    expect_change(2, 0x20000, 3);
    assert_int_equal(stasis_memory_discard(&memory, 0x11000, 0x2000, NULL), 0);
    expect_change(3, 0x11000, 0x2000);
    stasis_memory_fini(&memory);
    assert_null(memory.watcher.changes);
}

static void too_much_says_so_and_leaves_nothing(void **state)
{
    struct stasis_board_state board;
    struct stasis_memory memory;
    struct stasis_error err;

    (void)state;
    init_state(&board);
    board.ram_count = 2;
    board.ram[0] = (struct stasis_ram_region_state){.gpa = 0, .size = 0x1000};
    /* More than a process can address. */
    board.ram[1] = (struct stasis_ram_region_state){.gpa = MIB, .size = UINT64_C(1) << 60};
    assert_int_equal(stasis_board_map_ram(&board, &memory, &err), STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "memory.size_mib"));
    assert_int_equal(memory.region_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_around_the_gap),
        cmocka_unit_test(layout_refuses_odd_sizes),
        cmocka_unit_test(layouts_that_cannot_be_are_refused),
        cmocka_unit_test(ram_is_zero_aligned_and_whole),
        cmocka_unit_test(ram_is_in_no_core_and_may_have_huge_pages),
        cmocka_unit_test(gate),
        cmocka_unit_test(touching_regions_are_two),
        cmocka_unit_test(write_checks_first),
        cmocka_unit_test(discarded_pages_are_zero),
        cmocka_unit_test(who_fills_memory_gives_it_back),
        cmocka_unit_test(only_whole_pages_are_discarded),
        cmocka_unit_test(a_watcher_is_told_of_every_change),
        cmocka_unit_test(too_much_says_so_and_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
