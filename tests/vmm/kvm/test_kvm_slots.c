/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory slots, under real KVM.
 */
#include "vmm/kvm/kvm_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE STASIS_MEMORY_PAGE

static struct rig rig;
static struct stasis_error err;

static void *map_pages(size_t pages)
{
    void *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(at, MAP_FAILED);
    return at;
}

static int make_file(size_t pages)
{
    int fd = memfd_create("pages", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)(pages * PAGE)), 0);
    return fd;
}

static uint32_t add(uint64_t gpa, uint64_t size, void *host, uint32_t flags)
{
    const struct stasis_slot mapping = {.gpa = gpa, .size = size, .host = host, .flags = flags};
    uint32_t slot = UINT32_MAX;

    kvm_ok(stasis_slots_add(&rig.slots, &mapping, &slot, &err), &err);
    return slot;
}

/* ---- adding and removing ---- */

static void get_memory_writes_and_reads(void)
{
    rig_init(&rig, NULL, true, 0);
    *rig_ram(&rig, 0xf0) = 67;
    assert_int_equal(*(const uint8_t *)stasis_memory_at(rig.vm.memory, 0xf0, 1), 67);
    assert_ptr_equal(stasis_slots_get(&rig.slots, 0)->host, rig.memory.regions[0].host);
    rig_fini(&rig);
}

static void add_memory_in_two_gaps(void)
{
    uint8_t *pages = map_pages(2);

    rig_init(&rig, NULL, true, 0);
    assert_int_equal(add(RIG_RAM, PAGE, pages, 0), 1);
    assert_int_equal(add(RIG_RAM * 16, PAGE, pages + PAGE, 0), 2);
    assert_null(stasis_slots_get(&rig.slots, 3));
    rig_fini(&rig);
    munmap(pages, 2 * PAGE);
}

static void add_memory_ro(void)
{
    uint8_t *page = map_pages(1);
    const struct stasis_slot mapping = {
        .gpa = RIG_RAM, .size = PAGE, .host = page, .flags = STASIS_SLOT_READ_ONLY};
    uint32_t slot = 77;

    rig_init(&rig, NULL, true, 0);
    if (!stasis_vm_cap(&rig.vm, KVM_CAP_READONLY_MEM)) {
        assert_int_equal(stasis_slots_add(&rig.slots, &mapping, &slot, &err),
                         STASIS_ERR_UNAVAILABLE);
        assert_int_equal(slot, 77);
        kvm_case_skip(err.msg);
    }
    kvm_ok(stasis_slots_add(&rig.slots, &mapping, &slot, &err), &err);
    assert_int_equal(slot, 1);
    rig_fini(&rig);
    munmap(page, PAGE);
}

static void remove_memory_gives_back_size_and_pointer(void)
{
    uint8_t *page = map_pages(1);
    struct stasis_slot mapping;

    rig_init(&rig, NULL, true, 0);
    assert_int_equal(add(RIG_RAM, PAGE, page, 0), 1);
    kvm_ok(stasis_slots_remove(&rig.slots, 1, &mapping, &err), &err);
    assert_int_equal(mapping.gpa, RIG_RAM);
    assert_int_equal(mapping.size, PAGE);
    assert_ptr_equal(mapping.host, page);
    assert_int_equal(stasis_slots_remove(&rig.slots, 1, &mapping, &err), STASIS_ERR_NOT_FOUND);
    rig_fini(&rig);
    munmap(page, PAGE);
}

static void remove_invalid_memory(void)
{
    rig_init(&rig, NULL, false, 0);
    assert_int_equal(stasis_slots_remove(&rig.slots, 0, NULL, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, ENOENT);
    assert_int_equal(stasis_slots_remove(&rig.slots, 40000, NULL, &err), STASIS_ERR_NOT_FOUND);
    rig_fini(&rig);
}

/* Regions of RAM are slots like others. */
static void ram_is_removed_and_comes_back(void)
{
    rig_init(&rig, NULL, true, 0);
    kvm_ok(stasis_slots_remove(&rig.slots, 0, NULL, &err), &err);
    kvm_ok(stasis_slots_add_memory(&rig.slots, &rig.memory, 0, &err), &err);
    rig_fini(&rig);
}

static void overlap_memory(void)
{
    uint8_t *pages = map_pages(2);
    const struct stasis_slot inside = {.gpa = RIG_RAM - PAGE, .size = 2 * PAGE, .host = pages};
    uint32_t slot = 77;

    rig_init(&rig, NULL, true, 0);
    assert_int_equal(stasis_slots_add(&rig.slots, &inside, &slot, &err), STASIS_ERR_EXISTS);
    assert_int_equal(err.os_errno, EEXIST);
    assert_int_equal(slot, 77);
    assert_int_equal(add(RIG_RAM, 2 * PAGE, pages, 0), 1);
    rig_fini(&rig);
    munmap(pages, 2 * PAGE);
}

static void the_lowest_freed_slot_is_used_again(void)
{
    uint8_t *page = map_pages(1);

    rig_init(&rig, NULL, false, 0);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(add(i * 2 * PAGE, PAGE, page, 0), i);
    kvm_ok(stasis_slots_remove(&rig.slots, 11, NULL, &err), &err);
    kvm_ok(stasis_slots_remove(&rig.slots, 3, NULL, &err), &err);
    kvm_ok(stasis_slots_remove(&rig.slots, 7, NULL, &err), &err);
    assert_int_equal(add(100 * PAGE, PAGE, page, 0), 3);
    assert_int_equal(add(102 * PAGE, PAGE, page, 0), 7);
    assert_int_equal(add(104 * PAGE, PAGE, page, 0), 11);
    assert_int_equal(add(106 * PAGE, PAGE, page, 0), 20);
    rig_fini(&rig);
    munmap(page, PAGE);
}

/* ---- what the bare ioctl answers ---- */

static int set_region(uint32_t slot, uint64_t gpa, uint64_t size, const void *host)
{
    struct kvm_userspace_memory_region region = {.slot = slot,
                                                 .guest_phys_addr = gpa,
                                                 .memory_size = size,
                                                 .userspace_addr = (uintptr_t)host};

    return rig_errno(rig.vm.fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static void errno_of_overlap_is_eexist(void)
{
    uint8_t *page = map_pages(1);

    rig_init(&rig, NULL, true, 0);
    assert_int_equal(set_region(1, RIG_RAM - PAGE, PAGE, page), EEXIST);
    rig_fini(&rig);
    munmap(page, PAGE);
}

static void errno_of_unaligned_slots_and_of_too_many_is_einval(void)
{
    uint8_t *pages = map_pages(2);

    rig_init(&rig, NULL, true, 0);
    assert_int_equal(set_region(1, RIG_RAM, PAGE + 1, pages), EINVAL);
    assert_int_equal(set_region(1, RIG_RAM, PAGE, pages + 1), EINVAL);
    assert_int_equal(set_region(1, RIG_RAM + 1, PAGE, pages), EINVAL);
    assert_int_equal(set_region(1, UINT64_MAX - PAGE + 1, 2 * PAGE, pages), EINVAL);
    assert_int_equal(set_region(rig.slots.max, RIG_RAM, PAGE, pages), EINVAL);
    rig_fini(&rig);
    munmap(pages, 2 * PAGE);
}

static void errno_of_an_absent_slot_and_of_resizing_is_einval(void)
{
    uint8_t *pages = map_pages(2);

    rig_init(&rig, NULL, true, 0);
    assert_int_equal(set_region(1, 0, 0, NULL), EINVAL);
    assert_int_equal(set_region(1, RIG_RAM, PAGE, pages), 0);
    assert_int_equal(set_region(1, RIG_RAM, 2 * PAGE, pages), EINVAL);
    rig_fini(&rig);
    munmap(pages, 2 * PAGE);
}

/* ---- files ---- */

static uint32_t add_shared(int fd, size_t pages, uint8_t **ret_host)
{
    uint8_t *host = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct stasis_slot mapping = {
        .gpa = RIG_RAM, .size = pages * PAGE, .host = host, .backing = STASIS_SLOT_SHARED};
    uint32_t slot = UINT32_MAX;

    assert_ptr_not_equal(host, MAP_FAILED);
    kvm_ok(stasis_slots_add(&rig.slots, &mapping, &slot, &err), &err);
    *ret_host = host;
    return slot;
}

static void sync_memory(void)
{
    int fd = make_file(2);
    uint8_t *host;
    uint32_t slot;

    rig_init(&rig, NULL, true, 0);
    slot = add_shared(fd, 2, &host);
    kvm_ok(stasis_slots_sync(&rig.slots, slot, 0, 2 * PAGE, &err), &err);
    kvm_ok(stasis_slots_sync(&rig.slots, slot, PAGE, PAGE, &err), &err);
    kvm_ok(stasis_slots_sync(&rig.slots, slot, 2 * PAGE, 0, &err), &err);
    assert_int_equal(stasis_slots_sync(&rig.slots, slot, 2 * PAGE + 1, 0, &err), STASIS_ERR_RANGE);
    assert_int_equal(err.os_errno, EFAULT);
    assert_int_equal(stasis_slots_sync(&rig.slots, slot, PAGE, PAGE + 1, &err), STASIS_ERR_RANGE);
    assert_int_equal(stasis_slots_sync(&rig.slots, slot, 1, PAGE, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, EINVAL);
    assert_int_equal(stasis_slots_sync(&rig.slots, slot + 1, 0, PAGE, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, ENOENT);
    rig_fini(&rig);
    munmap(host, 2 * PAGE);
    close(fd);
}

/* mov al, [0x1000 + RIG_RAM] by segment 0x1000: mov ax, 0x1000; mov ds, ax; mov al, [0x1000];
 * hlt */
static const uint8_t reads_arena[] = {0xb8, 0x00, 0x10, 0x8e, 0xd8, 0xa0, 0x00, 0x10, 0xf4};

static void a_descriptor_is_mapped_into_an_arena_and_removed(void)
{
    struct stasis_slot_map map = {
        .offset = PAGE, .size = PAGE, .fd_offset = PAGE, .prot = PROT_READ | PROT_WRITE};
    const struct stasis_slot *arena;

    rig_init(&rig, NULL, true, 0);
    map.fd = make_file(2);
    assert_int_equal(pwrite(map.fd, "g", 1, PAGE), 1);
    kvm_ok(stasis_slots_add_arena(&rig.slots, RIG_RAM, 4 * PAGE, 0, &map.slot, &err), &err);
    kvm_ok(stasis_slots_map_fd(&rig.slots, &map, &err), &err);
    rig_load(&rig, reads_arena, sizeof(reads_arena));
    assert_int_equal(rig_run(&rig), KVM_EXIT_HLT);
    assert_int_equal(rig_regs(&rig).rax & 0xff, 'g');
    arena = stasis_slots_get(&rig.slots, map.slot);
    assert_int_equal(((uint8_t *)arena->host)[PAGE], 'g');
    kvm_ok(stasis_slots_unmap(&rig.slots, map.slot, PAGE, PAGE, &err), &err);
    kvm_ok(stasis_slots_map_fd(&rig.slots, &map, &err), &err);
    close(map.fd);
    rig_fini(&rig);
}

static void what_does_not_fit_into_an_arena_is_refused(void)
{
    struct stasis_slot_map map = {.size = PAGE, .prot = PROT_READ};

    rig_init(&rig, NULL, true, 0);
    map.fd = make_file(2);
    map.slot = 5;
    assert_int_equal(stasis_slots_map_fd(&rig.slots, &map, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, EINVAL);
    map.slot = 0; /* RAM */
    assert_int_equal(stasis_slots_map_fd(&rig.slots, &map, &err), STASIS_ERR_ARG);
    kvm_ok(stasis_slots_add_arena(&rig.slots, RIG_RAM, 2 * PAGE, 0, &map.slot, &err), &err);
    map.offset = 2 * PAGE;
    assert_int_equal(stasis_slots_map_fd(&rig.slots, &map, &err), STASIS_ERR_RANGE);
    map.offset = 1;
    assert_int_equal(stasis_slots_map_fd(&rig.slots, &map, &err), STASIS_ERR_ARG);
    map.offset = 0;
    map.fd_offset = 1;
    assert_int_equal(stasis_slots_map_fd(&rig.slots, &map, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(err.os_errno, EINVAL);
    assert_int_equal(stasis_slots_unmap(&rig.slots, map.slot, 0, 3 * PAGE, &err), STASIS_ERR_RANGE);
    close(map.fd);
    rig_fini(&rig);
}

/* ---- guests ---- */

/* The same segment: mov ax, 0x1000; mov ds, ax; mov byte [0], 0x67; hlt */
static const uint8_t writes_read_only[] = {0xb8, 0x00, 0x10, 0x8e, 0xd8, 0xc6,
                                           0x06, 0x00, 0x00, 0x67, 0xf4};

static void read_only_memory(void)
{
    uint8_t *page = map_pages(1);

    rig_init(&rig, NULL, true, 0);
    if (!stasis_vm_cap(&rig.vm, KVM_CAP_READONLY_MEM)) {
        kvm_case_skip("this KVM has no read-only slots"); /* the refusal is add_memory_ro's */
    }
    page[0] = 0x66;
    add(RIG_RAM, PAGE, page, STASIS_SLOT_READ_ONLY);
    rig_load(&rig, writes_read_only, sizeof(writes_read_only));
    assert_int_equal(rig_run(&rig), KVM_EXIT_MMIO);
    assert_true(rig.run->mmio.is_write);
    assert_int_equal(rig.run->mmio.phys_addr, RIG_RAM);
    assert_int_equal(rig.run->mmio.data[0], 0x67);
    assert_int_equal(rig_run(&rig), KVM_EXIT_HLT);
    assert_int_equal(page[0], 0x66);
    rig_fini(&rig);
    munmap(page, PAGE);
}

/* mov ax, 0x1000; mov ds, ax; mov al, [0]; out 0x10, al; mov al, [0]; hlt */
static const uint8_t reads_twice[] = {0xb8, 0x00, 0x10, 0x8e, 0xd8, 0xa0, 0x00,
                                      0x00, 0xe6, 0x10, 0xa0, 0x00, 0x00, 0xf4};

static void remove_memory_of_a_running_guest(void)
{
    uint8_t *page = map_pages(1);
    uint32_t slot;

    rig_init(&rig, NULL, true, 0);
    page[0] = 0x55;
    slot = add(RIG_RAM, PAGE, page, 0);
    rig_load(&rig, reads_twice, sizeof(reads_twice));
    assert_int_equal(rig_run(&rig), KVM_EXIT_IO);
    assert_int_equal(((uint8_t *)rig.run)[rig.run->io.data_offset], 0x55);
    kvm_ok(stasis_slots_remove(&rig.slots, slot, NULL, &err), &err);
    assert_int_equal(rig_run(&rig), KVM_EXIT_MMIO);
    assert_false(rig.run->mmio.is_write);
    assert_int_equal(rig.run->mmio.phys_addr, RIG_RAM);
    rig.run->mmio.data[0] = 0x44;
    assert_int_equal(rig_run(&rig), KVM_EXIT_HLT);
    assert_int_equal(rig_regs(&rig).rax & 0xff, 0x44);
    rig_fini(&rig);
    munmap(page, PAGE);
}

/* ---- the balloon ---- */

static void discard(void *host, enum stasis_slot_backing backing)
{
    const struct stasis_slot mapping = {
        .gpa = RIG_RAM, .size = 2 * PAGE, .host = host, .backing = backing};
    uint8_t *bytes = host;
    uint32_t slot;

    rig_init(&rig, NULL, true, 0);
    kvm_ok(stasis_slots_add(&rig.slots, &mapping, &slot, &err), &err);
    bytes[0] = 1;
    bytes[PAGE] = 0x5a;
    bytes[2 * PAGE - 1] = 2;
    kvm_ok(stasis_slots_discard(&rig.slots, RIG_RAM + PAGE, PAGE, &err), &err);
    assert_int_equal(bytes[0], 1);
    for (size_t i = PAGE; i < 2 * PAGE; i++)
        assert_int_equal(bytes[i], 0);
    /* The guest sees the same. */
    rig_load(&rig, reads_arena, sizeof(reads_arena));
    assert_int_equal(rig_run(&rig), KVM_EXIT_HLT);
    assert_int_equal(rig_regs(&rig).rax & 0xff, 0);
    kvm_ok(stasis_slots_populate(&rig.slots, RIG_RAM + PAGE, PAGE, &err), &err);
    rig_fini(&rig);
}

static void discarded_anonymous_memory_reads_as_zero(void)
{
    void *host = map_pages(2);

    discard(host, STASIS_SLOT_ANONYMOUS);
    munmap(host, 2 * PAGE);
}

static void discarded_file_memory_reads_as_zero(void)
{
    static const int kinds[] = {MAP_SHARED, MAP_PRIVATE};

    for (size_t i = 0; i < 2; i++) {
        int fd = make_file(2);
        uint8_t *host;

        assert_int_equal(pwrite(fd, "file", 4, PAGE), 4);
        host = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, kinds[i], fd, 0);
        assert_ptr_not_equal(host, MAP_FAILED);
        discard(host, kinds[i] == MAP_SHARED ? STASIS_SLOT_SHARED : STASIS_SLOT_PRIVATE_FILE);
        munmap(host, 2 * PAGE);
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(get_memory_writes_and_reads),
        KVM_CASE(add_memory_in_two_gaps),
        KVM_CASE(add_memory_ro),
        KVM_CASE(remove_memory_gives_back_size_and_pointer),
        KVM_CASE(remove_invalid_memory),
        KVM_CASE(ram_is_removed_and_comes_back),
        KVM_CASE(overlap_memory),
        KVM_CASE(the_lowest_freed_slot_is_used_again),
        KVM_CASE(errno_of_overlap_is_eexist),
        KVM_CASE(errno_of_unaligned_slots_and_of_too_many_is_einval),
        KVM_CASE(errno_of_an_absent_slot_and_of_resizing_is_einval),
        KVM_CASE(sync_memory),
        KVM_CASE(a_descriptor_is_mapped_into_an_arena_and_removed),
        KVM_CASE(what_does_not_fit_into_an_arena_is_refused),
        KVM_CASE(read_only_memory),
        KVM_CASE(remove_memory_of_a_running_guest),
        KVM_CASE(discarded_anonymous_memory_reads_as_zero),
        KVM_CASE(discarded_file_memory_reads_as_zero),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
