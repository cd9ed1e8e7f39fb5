/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/image.h"

#include "support/cmocka_all.h"

#include <string.h>
#include <unistd.h>

#include "vmm/boot/boot_rig.h"

#define MIB  (UINT64_C(1) << 20)
#define NONE UINT64_MAX

/* A kernel that takes [start, end), and where an initrd of `size` bytes has to go. */
struct place {
    const char *name;
    uint64_t ram;
    uint64_t start;
    uint64_t end;
    uint64_t initrd_max;
    uint64_t size;
    uint64_t gpa; /* NONE: refused */
};

static const struct place places[] = {
    {"top of RAM", 128 * MIB, 16 * MIB, 64 * MIB, 0x7fffffff, 10 * MIB, 118 * MIB},
    {"odd size", 128 * MIB, 16 * MIB, 64 * MIB, 0x7fffffff, 1, 128 * MIB - 4096},
    {"page and a byte", 128 * MIB, 16 * MIB, 64 * MIB, 0x7fffffff, 4097, 128 * MIB - 8192},
    {"just fits", 128 * MIB, 16 * MIB, 64 * MIB, 0x7fffffff, 64 * MIB, 64 * MIB},
    {"a byte more", 128 * MIB, 16 * MIB, 64 * MIB, 0x7fffffff, 64 * MIB + 1, NONE},
    {"kernel ends inside a page", 128 * MIB, 16 * MIB, 64 * MIB + 1, 0x7fffffff, 64 * MIB, NONE},
    {"below a high kernel", 128 * MIB, 64 * MIB, 128 * MIB, 0x7fffffff, 63 * MIB, MIB},
    {"kernel's limit", 3072 * MIB, 16 * MIB, 64 * MIB, 0x37ffffff, 4096, 0x37fff000},
    {"limit inside a page", 3072 * MIB, 16 * MIB, 64 * MIB, 0x38000000, 4096, 0x37fff000},
    {"limit below kernel", 3072 * MIB, 64 * MIB, 99 * MIB, 32 * MIB - 1, 4096, 32 * MIB - 4096},
    {"below the gap", 8192 * MIB, 16 * MIB, 64 * MIB, 0xffffffff, 4096, 0xcffff000},
    {"larger than RAM", 16 * MIB, MIB, 2 * MIB, 0x7fffffff, 64 * MIB, NONE},
    {"limit 0", 16 * MIB, MIB, 2 * MIB, 0, 1, NONE},
};

/* The file is a hole behind its first bytes, so that large ones cost nothing. */
static void check(const struct place *place)
{
    struct stasis_boot_image image = {
        .start = place->start, .end = place->end, .initrd_max = place->initrd_max};
    struct stasis_boot_initrd initrd = {0};
    struct boot_rig_file file;
    struct boot_rig rig;
    int rc;

    print_message("%s\n", place->name);
    boot_rig_init(&rig, place->ram);
    boot_rig_file_init(&file, "first", 5);
    assert_int_equal(ftruncate(file.fd, (off_t)place->size), 0);
    rc = stasis_boot_initrd(&rig.memory, file.path, 0, &image, &initrd, &rig.err);
    if (place->gpa == NONE) {
        boot_rig_assert_error(&rig, rc, STASIS_ERR_ARG, file.path, "memory.size_mib");
        assert_int_equal(initrd.size, 0);
    } else {
        assert_int_equal(rc, 0);
        assert_int_equal(initrd.gpa, place->gpa);
        assert_int_equal(initrd.size, place->size);
        assert_memory_equal(stasis_memory_at(&rig.memory, initrd.gpa, 1), "f", 1);
    }
    boot_rig_file_fini(&file);
    boot_rig_fini(&rig);
}

static void goes_as_high_as_allowed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        check(&places[i]);
}

static void missing_file_is_named(void **state)
{
    struct stasis_boot_image image = {.initrd_max = 1};
    struct stasis_boot_initrd initrd;
    struct boot_rig rig;
    int rc;

    (void)state;
    boot_rig_init(&rig, 16 * MIB);
    rc = stasis_boot_initrd(&rig.memory, "/nonexistent", 0, &image, &initrd, &rig.err);
    boot_rig_assert_error(&rig, rc, STASIS_ERR_ARG, "/nonexistent", "initrd.path");
    boot_rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_as_high_as_allowed),
        cmocka_unit_test(missing_file_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
