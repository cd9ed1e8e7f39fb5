/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Where an absent page is zero: only in mappings of which that is known.
 */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state-ser/snap/mappings.h"

#define MIB ((size_t)1 << 20)

static size_t count_of(const char *head, const char *flags)
{
    struct stasis_mappings mappings = {0};
    size_t count;

    assert_true(stasis_mappings_line(&mappings, head, false));
    assert_true(stasis_mappings_line(&mappings, "Size:               2048 kB", false));
    assert_true(stasis_mappings_line(&mappings, "AnonHugePages:         0 kB", false));
    assert_true(stasis_mappings_line(&mappings, flags, false));
    count = mappings.count;
    if (count) {
        assert_int_equal(mappings.list[0].start, 0x7f0000000000);
        assert_int_equal(mappings.list[0].end, 0x7f0000200000);
    }
    stasis_mappings_fini(&mappings);
    return count;
}

static void private_anonymous_memory_counts(void **state)
{
    static const char *const heads[] = {
        "7f0000000000-7f0000200000 rw-p 00000000 00:00 0 ",
        "7f0000000000-7f0000200000 r--p 00000000 00:00 0",
        "7f0000000000-7f0000200000 rw-p 00000000 00:00 0                  [heap]",
        "7f0000000000-7f0000200000 rw-p 00000000 00:00 0                  [anon:guest RAM]",
        "7f0000000000-7f0000200000 rw-p 7f0000000000 00:00 0              [stack]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        assert_int_equal(count_of(heads[i], "VmFlags: rd wr mr mw me nr sd hg dd "), 1);
}

static void other_memory_does_not_count(void **state)
{
    static const char *const heads[] = {
        "7f0000000000-7f0000200000 rw-s 00000000 00:01 1024               /dev/zero (deleted)",
        "7f0000000000-7f0000200000 rw-p 00000000 00:10 1025               /anon_hugepage (deleted)",
        "7f0000000000-7f0000200000 rw-p 00000000 fe:00 0                  /some file",
        "7f0000000000-7f0000200000 rw-p 00000000 00:00 77                 /some file",
        "7f0000000000-7f0000200000 rw-p 00000000 00:00 0                  /some file",
        "7f0000000000-7f0000200000 r-xp 00000000 00:00 0                  [vdso]",
        "7f0000000000-7f0000200000 r--p 00000000 00:00 0                  [vvar]",
        "7f0000000000-7f0000200000 rw-p 00000000 00:00 0                  [anon_shmem:x]",
        "7f0000000000-7f0000200000 ---p 00000000 00:00 0 ",
        "7f0000000000-7f0000200000 -w-p 00000000 00:00 0 ",
        "7f0000000000-7f0000200000 rw-",
        "7f0000200000-7f0000200000 rw-p 00000000 00:00 0 ",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        assert_int_equal(count_of(heads[i], "VmFlags: rd wr mr mw me"), 0);
}

/* userfaultfd of each kind, huge pages, I/O, PFNs; shared; what no kernel has yet; and no flags. */
static void flags_that_are_not_known_to_be_harmless_do_not_count(void **state)
{
    static const char *const flags[] = {
        "VmFlags: rd wr mr mw me um", "VmFlags: rd wr uw mr", "VmFlags: ui rd wr",
        "VmFlags: rd wr ht",          "VmFlags: rd io wr",    "VmFlags: rd wr pf",
        "VmFlags: rd wr mm",          "VmFlags: rd wr sh",    "VmFlags: rd wr zz",
        "VmFlags: rd wr r",           "VmFlags: rd wr rdd",   "VmFlags: rd wr dw",
        "ProtectionKey:         0",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        assert_int_equal(count_of("7f0000000000-7f0000200000 rw-p 00000000 00:00 0", flags[i]), 0);
}

static void a_line_that_was_cut_is_not_believed(void **state)
{
    struct stasis_mappings mappings = {0};

    (void)state;
    assert_true(stasis_mappings_line(&mappings, "1000-2000 rw-p 00000000 00:00 0", false));
    assert_true(stasis_mappings_line(&mappings, "VmFlags: rd wr", true));
    assert_int_equal(mappings.count, 0);
}

/* Neighbours become one; what is listed again, longer, because it grew meanwhile, counts for what
 * is new. */
static void mappings_are_joined_and_never_overlap(void **state)
{
    static const char *const lines[] = {
        "1000-2000 rw-p 00000000 00:00 0",
        "VmFlags: rd wr",
        "2000-3000 r--p 00000000 00:00 0",
        "VmFlags: rd",
        "VmFlags: rd",
        "5000-6000 rw-p 00000000 00:00 0",
        "VmFlags: rd wr um",
        "5000-7000 rw-p 00000000 00:00 0",
        "VmFlags: rd wr",
    };
    struct stasis_mappings mappings = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_true(stasis_mappings_line(&mappings, lines[i], false));
    assert_int_equal(mappings.count, 2);
    assert_int_equal(mappings.list[0].start, 0x1000);
    assert_int_equal(mappings.list[0].end, 0x3000);
    assert_int_equal(mappings.list[1].start, 0x6000);
    assert_int_equal(mappings.list[1].end, 0x7000);
    assert_int_equal(stasis_mappings_behind(&mappings, 0), 0);
    assert_int_equal(stasis_mappings_behind(&mappings, 0x2fff), 0);
    assert_int_equal(stasis_mappings_behind(&mappings, 0x3000), 1);
    assert_int_equal(stasis_mappings_behind(&mappings, 0x7000), 2);
    stasis_mappings_fini(&mappings);
}

/* A line of maps is all that there is of a mapping. */
static void lines_of_maps_are_mappings(void **state)
{
    static const char *const lines[] = {
        "1000-2000 rw-p 00000000 00:00 0 ",
        "2000-3000 rw-p 00000000 00:00 0 ",
        "3000-4000 rw-p 00000000 00:00 7                          /some file",
        "5000-6000 rw-p 00000000 00:00 0                          [heap]",
    };
    struct stasis_mappings mappings = {.from = STASIS_MAPPINGS_MAPS, .from_address = 0x2000};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_true(stasis_mappings_line(&mappings, lines[i], false));
    assert_true(stasis_mappings_line(&mappings, "7000-8000 rw-p 00000000 00:00 0 ", true));
    assert_int_equal(mappings.count, 2);
    assert_int_equal(mappings.list[0].start, 0x2000);
    assert_int_equal(mappings.list[0].end, 0x3000);
    assert_int_equal(mappings.list[1].start, 0x5000);
    stasis_mappings_fini(&mappings);
}

static uint8_t *map(int access, int flags, int fd)
{
    uint8_t *at = mmap(NULL, MIB, access, flags, fd, 0);

    assert_ptr_not_equal(at, MAP_FAILED);
    return at;
}

static bool counts_from(const uint8_t *at, enum stasis_mappings_from from)
{
    struct stasis_mappings mappings;
    uintptr_t start = (uintptr_t)at;
    bool found = false;

    assert_true(stasis_mappings_read(&mappings, from, 0, start, start + MIB));
    for (size_t i = 0; i < mappings.count; i++)
        found |= mappings.list[i].start <= start && start + MIB <= mappings.list[i].end;
    stasis_mappings_fini(&mappings);
    return found;
}

/* Both lists agree on memory that no userfaultfd fills. */
static bool counts(const uint8_t *at)
{
    bool found = counts_from(at, STASIS_MAPPINGS_SMAPS);

    assert_int_equal(counts_from(at, STASIS_MAPPINGS_MAPS), found);
    return found;
}

static void memory_of_this_process(void **state)
{
    int file = memfd_create("stasis-test", MFD_CLOEXEC);
    uint8_t *plain = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    uint8_t *closed = map(PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    uint8_t *shared = map(PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1);
    uint8_t *of_file;

    (void)state;
    assert_int_equal(ftruncate(file, (off_t)MIB), 0);
    of_file = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, file);
    if (access("/proc/self/smaps", R_OK)) {
        printf("skipped: no /proc/self/smaps here\n");
        skip();
    }
    assert_true(counts(plain));
    assert_false(counts(closed));
    assert_false(counts(shared));
    assert_false(counts(of_file));
    munmap(plain, MIB);
    munmap(closed, MIB);
    munmap(shared, MIB);
    munmap(of_file, MIB);
    close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_anonymous_memory_counts),
        cmocka_unit_test(other_memory_does_not_count),
        cmocka_unit_test(flags_that_are_not_known_to_be_harmless_do_not_count),
        cmocka_unit_test(a_line_that_was_cut_is_not_believed),
        cmocka_unit_test(mappings_are_joined_and_never_overlap),
        cmocka_unit_test(lines_of_maps_are_mappings),
        cmocka_unit_test(memory_of_this_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
