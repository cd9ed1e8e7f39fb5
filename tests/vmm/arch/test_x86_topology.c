/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Where each vCPU is told to be, read as kernels read it: by every leaf that one of them asks.
 */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "stasis/snap.h"
#include "vmm/arch/x86/x86.h"

static struct stasis_x86_cpuid_state cpuid;
static const uint32_t counts[] = {1, 2, 3, 4, 8, 15, 16, 17, 64, 65, 128, 254};
#define COUNTS (sizeof(counts) / sizeof(counts[0]))

/* The last two are CPU models that are the same on every host, of a known vendor and of nobody. */
enum model { INTEL, AMD, BASELINE, BASELINE_0_2_0, MODELS };

static const uint32_t vendors[][3] = {{0x756e6547, 0x6c65746e, 0x49656e69},
                                      {0x68747541, 0x444d4163, 0x69746e65}};

static void add(uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx, uint32_t ecx,
                uint32_t edx)
{
    cpuid.leaves[cpuid.leaves_count++] =
        (struct stasis_x86_cpuid_leaf_state){function, index, 0, eax, ebx, ecx, edx};
}

/* A cache of a host with 32 cores of two threads: data, instructions, level 2, level 3. */
static void add_caches(uint32_t function, uint32_t cores)
{
    static const uint32_t kinds[] = {0x121, 0x122, 0x143, 0x163};

    for (uint32_t i = 0; i < 4; i++)
        add(function, i, kinds[i] | (i < 3 ? 1u : 63u) << 14 | cores << 26, 0x1c0003f, 63, 0);
    add(function, 4, 0, 0, 0, 0);
}

/* What KVM lists on a host of this vendor that tells of the host's own topology. */
static void make_host(enum model model)
{
    memset(&cpuid, 0, sizeof(cpuid));
    add(0, 0, 0x1f, vendors[model][0], vendors[model][1], vendors[model][2]);
    add(1, 0, 0x806f8, 0x17400800, 0x80202000, 0x178bfbff);
    if (model == INTEL)
        add_caches(4, 63);
    for (uint32_t i = 0; i < 2; i++)
        add(0xb, i, 7, 64, 0x201, 0x17);
    if (model == INTEL)
        add(0x1f, 0, 1, 2, 0x100, 0x17);
    add(0x80000000, 0, 0x80000026, vendors[model][0], vendors[model][1], vendors[model][2]);
    add(0x80000001, 0, 0, 0, model == AMD ? 0x400023 : 0x21, 0x20100800);
    add(0x80000008, 0, 0x3030, 0, model == AMD ? 0x603f : 0, 0);
    if (model == AMD) {
        add_caches(0x8000001d, 0);
        add(0x8000001e, 0, 0x17, 0x10b, 0x302, 0);
        add(0x80000026, 0, 1, 2, 0x100, 0x17);
    }
}

static void make(enum model model, const struct stasis_board_state *board, uint32_t id)
{
    if (model >= BASELINE)
        assert_int_equal(stasis_x86_cpuid_default(NULL, board, &cpuid, NULL), 0);
    else
        make_host(model);
    assert_int_equal(stasis_x86_cpuid_for_vcpu(&cpuid, board, id, NULL), 0);
    assert_int_equal(stasis_state_check(&stasis_x86_cpuid_schema, &cpuid, NULL), 0);
}

static const struct stasis_x86_cpuid_leaf_state *leaf(uint32_t function, uint32_t index)
{
    const struct stasis_x86_cpuid_leaf_state *found =
        stasis_x86_cpuid_find(&cpuid, function, index);

    if (!found)
        fail_msg("no leaf 0x%x.%u", function, index);
    return found;
}

static unsigned order(uint32_t count)
{
    unsigned bits = 0;

    while (1u << bits < count)
        bits++;
    return bits;
}

/* Linux, topology_ext.c; SDM 3A, 9.9.3.2. */
static void assert_levels(uint32_t function, uint32_t id, uint32_t count)
{
    const struct stasis_x86_cpuid_leaf_state *smt = leaf(function, 0), *core = leaf(function, 1);

    assert_int_equal(smt->ecx, 0x100);
    assert_int_equal(smt->eax, 0); /* no bit of the id is a thread's */
    assert_int_equal(smt->ebx, 1);
    assert_int_equal(core->ecx, 0x201);
    assert_int_equal(core->ebx, count);
    assert_int_equal(id >> core->eax, 0); /* socket 0, and no bit is wasted */
    assert_int_equal(core->eax, order(count));
    assert_int_equal(leaf(function, 2)->ecx, 2);
    assert_int_equal(leaf(function, 2)->ebx, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(leaf(function, i)->flags, 1);
        assert_int_equal(leaf(function, i)->edx, id);
    }
    assert_null(stasis_x86_cpuid_find(&cpuid, function, 3));
}

static void assert_leaf_1(uint32_t id, uint32_t count)
{
    assert_int_equal(leaf(1, 0)->ebx >> 24, id);
    assert_int_equal(leaf(1, 0)->ebx >> 16 & 0xff, count);
    assert_int_equal(leaf(1, 0)->ebx & 0xffff, 0x800); /* the cache line's size */
    assert_int_equal(leaf(1, 0)->edx >> 28 & 1, count > 1);
}

/* SDM 3A, 9.9.3.3: logical processors of the package by core. */
static void assert_intel_leaf_4(uint32_t count)
{
    uint32_t ids = 1u << order(count), cores = (leaf(4, 0)->eax >> 26) + 1;

    assert_int_equal(cores, ids < 64 ? ids : 64);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal((leaf(4, i)->eax >> 26) + 1, cores);
        assert_int_equal((leaf(4, i)->eax >> 14 & 0xfff) + 1, i < 3 ? 1 : ids);
        assert_int_equal(leaf(4, i)->eax & 0x1ff, i < 2 ? 0x121 + i : i < 3 ? 0x143 : 0x163);
    }
    assert_int_equal(leaf(4, 4)->eax, 0);
    assert_int_equal(leaf(0x80000008, 0)->ecx, 0);
}

/* Linux, topology_amd.c, without and with the topology extensions. */
static void assert_amd(uint32_t id, uint32_t count)
{
    assert_int_equal(leaf(0x80000001, 0)->ecx >> 1 & 1, count > 1);
    assert_int_equal((leaf(0x80000008, 0)->ecx & 0xff) + 1, count);
    assert_int_equal(leaf(0x80000008, 0)->ecx >> 12, order(count));
    if (!stasis_x86_cpuid_find(&cpuid, 0x8000001e, 0))
        return;
    assert_int_equal(leaf(0x8000001e, 0)->eax, id);
    assert_int_equal(leaf(0x8000001e, 0)->ebx, id); /* the core; threads less 1: 0 */
    assert_int_equal(leaf(0x8000001e, 0)->ecx, 0);  /* one node */
    assert_null(stasis_x86_cpuid_find(&cpuid, 0x80000026, 0));
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(leaf(0x8000001d, i)->eax >> 14, i < 3 ? 0 : (1u << order(count)) - 1);
}

static void all_leaves_tell_one_socket(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODELS * COUNTS; i++) {
        enum model model = (enum model)(i / COUNTS);
        struct stasis_board_state board = {
            .vcpus = counts[i % COUNTS], .cpu_model = "baseline", .release = STASIS_VERSION};

        if (model == BASELINE_0_2_0)
            snprintf(board.release, sizeof(board.release), "0.2.0");

        for (uint32_t id = 0; id < board.vcpus; id += id < 2 || id + 2 > board.vcpus ? 1 : 7) {
            make(model, &board, id);
            assert_leaf_1(id, board.vcpus);
            assert_levels(0xb, id, board.vcpus);
            if (model == INTEL)
                assert_levels(0x1f, id, board.vcpus);
            else
                assert_null(stasis_x86_cpuid_find(&cpuid, 0x1f, 0));
            if (model == INTEL || model == BASELINE)
                assert_intel_leaf_4(board.vcpus);
            else
                assert_amd(id, board.vcpus);
        }
    }
}

/* CPUs whose leaves end before. */
static void a_cpu_without_levels_gets_none(void **state)
{
    const struct stasis_board_state board = {.vcpus = 2, .release = STASIS_VERSION};

    (void)state;
    memset(&cpuid, 0, sizeof(cpuid));
    add(0, 0, 0xa, vendors[INTEL][0], vendors[INTEL][1], vendors[INTEL][2]);
    add(1, 0, 0x106e5, 0x800, 0, 0);
    assert_int_equal(stasis_x86_cpuid_for_vcpu(&cpuid, &board, 1, NULL), 0);
    assert_int_equal(cpuid.leaves_count, 2);
    assert_int_equal(leaf(1, 0)->ebx, 0x01020800);
}

static void a_full_table_is_refused(void **state)
{
    const struct stasis_board_state board = {.vcpus = 2, .release = STASIS_VERSION};
    struct stasis_error err;

    (void)state;
    for (uint32_t room = 0; room < 4; room++) {
        memset(&cpuid, 0, sizeof(cpuid));
        add(0, 0, 0xd, vendors[INTEL][0], vendors[INTEL][1], vendors[INTEL][2]);
        while (cpuid.leaves_count + room < STASIS_X86_LEAVES_MAX)
            add(0xd, cpuid.leaves_count, 0, 0, 0, 0);
        assert_int_equal(stasis_x86_cpuid_for_vcpu(&cpuid, &board, 1, &err),
                         room < 3 ? STASIS_ERR_RANGE : 0);
    }
    assert_non_null(strstr(err.msg, "too many CPUID leaves"));
}

/* Guests on the board of 0.1.0 read what 0.1.0 let them read, byte for byte. */
static void a_board_of_0_1_0_is_as_0_1_0_made_it(void **state)
{
    static struct stasis_x86_cpuid_state golden;
    struct stasis_board_state board;
    const struct stasis_records *records;
    struct stasis_snap *snap;

    (void)state;
    assert_int_equal(stasis_snap_open(STASIS_GOLDEN_DIR "/0.1.0/demo.snap", NULL, &snap, NULL), 0);
    records = stasis_snap_records(snap);
    assert_int_equal(stasis_records_get(records, &stasis_board_schema, "vm", &board, NULL), 0);
    assert_int_equal(stasis_records_get(records, &stasis_x86_cpuid_schema, "cpu0", &golden, NULL),
                     0);
    assert_string_equal(board.cpu_model, "baseline");
    make(BASELINE, &board, 0);
    assert_memory_equal(&cpuid, &golden, sizeof(golden));
    stasis_snap_free(snap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_leaves_tell_one_socket),
        cmocka_unit_test(a_cpu_without_levels_gets_none),
        cmocka_unit_test(a_full_table_is_refused),
        cmocka_unit_test(a_board_of_0_1_0_is_as_0_1_0_made_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
