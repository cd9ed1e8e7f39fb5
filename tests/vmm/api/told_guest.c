/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/vmm/api/told_guest.h"

#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"

#define ENTRY    0x100000u
#define TABLE    0x400000u /* of pairs: where, what; 0 where there is no more yet */
#define CELL     0x3f0000u
#define QUEUE(n) (0x200000u + 0x10000u * (n))
#define AVAIL    0x1000u
#define USED     0x2000u

/* mov rsi, TABLE
 * 1: mov eax, [rsi]; test eax, eax; jz 2f; mov ecx, [rsi + 4]; mov [rax], ecx; add rsi, 8; jmp 1b
 * 2: pause; jmp 1b */
static const uint8_t code[] = {0x48, 0xc7, 0xc6, 0x00, 0x00, 0x40, 0x00, 0x8b, 0x06, 0x85,
                               0xc0, 0x74, 0x0b, 0x8b, 0x4e, 0x04, 0x89, 0x08, 0x48, 0x83,
                               0xc6, 0x08, 0xeb, 0xef, 0xf3, 0x90, 0xeb, 0xeb};

struct vmm_rig told_rig;
static uint32_t written; /* pairs */
static unsigned generation;
static char kernel[160], snapshot[160];

/* ---- the guest's RAM ---- */

void *told_ram(uint32_t gpa, uint32_t len)
{
    void *at = stasis_memory_writable(&told_rig.vmm->machine.memory, gpa, len);

    assert_non_null(at);
    return at;
}

static uint16_t half(uint32_t gpa)
{
    return __atomic_load_n((uint16_t *)told_ram(gpa, 2), __ATOMIC_ACQUIRE);
}

uint32_t told_word(uint32_t gpa)
{
    return __atomic_load_n((uint32_t *)told_ram(gpa, 4), __ATOMIC_ACQUIRE);
}

void told_write(uint32_t where, uint32_t what)
{
    uint32_t *pair = told_ram(TABLE + 8 * written, 16);

    pair[1] = what;
    __atomic_store_n(pair, where, __ATOMIC_RELEASE);
    written++;
}

void told_sync(void)
{
    const uint32_t number = written + 1;

    told_write(CELL, number);
    told_wait(told_word(CELL) == number);
}

/* ---- the device ---- */

void told_offer(unsigned queue, uint16_t head, uint32_t gpa, uint32_t len, uint16_t flags)
{
    uint16_t idx = half(QUEUE(queue) + AVAIL + 2);
    uint32_t *desc = told_ram(QUEUE(queue) + 16 * head, 16);

    desc[0] = gpa;
    desc[1] = 0;
    desc[2] = len;
    desc[3] = flags;
    *(uint16_t *)told_ram(QUEUE(queue) + AVAIL + 4 + 2 * (idx % TOLD_SIZE), 2) = head;
    __atomic_store_n((uint16_t *)told_ram(QUEUE(queue) + AVAIL + 2, 2), (uint16_t)(idx + 1),
                     __ATOMIC_RELEASE);
    told_write(TOLD_DEVICE + 0x50, queue);
}

uint16_t told_used(unsigned queue)
{
    return half(QUEUE(queue) + USED + 2);
}

uint16_t told_used_head(unsigned queue, uint16_t number, uint32_t *ret_len)
{
    const uint32_t at = QUEUE(queue) + USED + 4 + 8 * (number % TOLD_SIZE);

    *ret_len = told_word(at + 4);
    return (uint16_t)told_word(at);
}

uint32_t told_config(uint32_t offset, unsigned len)
{
    return (uint32_t)stasis_bus_mmio_read(&told_rig.vmm->machine, TOLD_DEVICE + 0x100 + offset,
                                          len);
}

void told_bring_up(uint32_t features, unsigned queues)
{
    const uint32_t steps[][2] = {{0x70, 0}, {0x70, 1}, {0x70, 3},        {0x24, 1},
                                 {0x20, 1}, {0x24, 0}, {0x20, features}, {0x70, 11}};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        told_write(TOLD_DEVICE + steps[i][0], steps[i][1]);
    for (unsigned i = 0; i < queues; i++) {
        told_write(TOLD_DEVICE + 0x30, i);
        told_write(TOLD_DEVICE + 0x38, TOLD_SIZE);
        told_write(TOLD_DEVICE + 0x80, QUEUE(i));
        told_write(TOLD_DEVICE + 0x90, QUEUE(i) + AVAIL);
        told_write(TOLD_DEVICE + 0xa0, QUEUE(i) + USED);
        told_write(TOLD_DEVICE + 0x44, 1);
    }
    told_write(TOLD_DEVICE + 0x70, 15);
}

/* ---- the VM ---- */

void told_turn(void)
{
    struct pollfd wait = {.fd = stasis_vmm_fd(told_rig.vmm), .events = POLLIN};
    struct stasis_error err;

    if (poll(&wait, 1, 1) == 1)
        kvm_ok(stasis_vmm_dispatch(told_rig.vmm, &err), &err);
}

static void write_kernel(void)
{
    const Elf64_Ehdr elf = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = ENTRY,
        .e_phoff = sizeof(elf),
        .e_ehsize = sizeof(elf),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1};
    const Elf64_Phdr segment = {.p_type = PT_LOAD,
                                .p_offset = sizeof(elf) + sizeof(segment),
                                .p_paddr = ENTRY,
                                .p_vaddr = ENTRY,
                                .p_filesz = sizeof(code),
                                .p_memsz = sizeof(code)};
    int fd;

    snprintf(kernel, sizeof(kernel), "%s", vmm_rig_path(&told_rig, "kernel"));
    fd = open(kernel, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, &elf, sizeof(elf)), sizeof(elf));
    assert_int_equal(write(fd, &segment, sizeof(segment)), sizeof(segment));
    assert_int_equal(write(fd, code, sizeof(code)), sizeof(code));
    close(fd);
}

void told_init(void)
{
    written = generation = 0;
    vmm_rig_init(&told_rig);
    write_kernel();
    told_rig.config.demo = false;
    told_rig.config.kernel.path = kernel;
}

void told_run(void)
{
    struct stasis_error err;

    vmm_rig_open(&told_rig);
    kvm_ok(stasis_vmm_start(told_rig.vmm, &err), &err);
}

void told_freeze(void)
{
    const struct stasis_snapshot_request request = {.path = snapshot, .exit = true};
    unsigned before = vmm_rig_events(&told_rig, STASIS_VMM_EVENT_SAVED);
    struct stasis_error err;
    char name[32];

    snprintf(name, sizeof(name), "snapshot%u", ++generation);
    snprintf(snapshot, sizeof(snapshot), "%s", vmm_rig_path(&told_rig, name));
    kvm_ok(stasis_vmm_snapshot(told_rig.vmm, &request, &err), &err);
    vmm_rig_wait_event(&told_rig, STASIS_VMM_EVENT_SAVED, before + 1);
    stasis_vmm_free(told_rig.vmm);
    told_rig.vmm = NULL;
    told_rig.config.kernel.path = NULL;
    told_rig.config.restore.path = snapshot;
}

void told_fini(void)
{
    vmm_rig_fini(&told_rig);
}
