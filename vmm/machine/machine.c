/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- building, in the order KVM asks for (api.rst, 4.24, 4.36, 4.60, 4.71) ---- */

static int create_vm(struct stasis_machine *machine, struct stasis_error *err)
{
    machine->vm_fd = stasis_kvm_ioctl(machine->kvm.fd, KVM_CREATE_VM, NULL);
    if (machine->vm_fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "KVM cannot make a VM%s",
                                 errno == EBUSY ? "; is another hypervisor using the CPU?" : "");
    return 0;
}

/* Pending exceptions with their payload, and triple faults, are part of a vCPU's state only once
 * asked for (KVM api.rst, 7.16, 7.32). AMD's first performance counters have no CPUID bit that
 * could hide them (8.35). */
static int enable_caps(struct stasis_machine *machine, struct stasis_error *err)
{
    struct kvm_enable_cap payload = {.cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = {1}};
    int rc = 0;

    if (machine->kvm.has_exception_payload)
        rc = STASIS_KVM(machine->vm_fd, KVM_ENABLE_CAP, &payload, err);
    if (!rc && machine->kvm.has_pmu_switch) {
        struct kvm_enable_cap pmu = {.cap = KVM_CAP_PMU_CAPABILITY, .args = {KVM_PMU_CAP_DISABLE}};

        rc = STASIS_KVM(machine->vm_fd, KVM_ENABLE_CAP, &pmu, err);
    }
#ifdef KVM_CAP_X86_TRIPLE_FAULT_EVENT
    if (!rc && machine->kvm.has_triple_fault_event) {
        struct kvm_enable_cap fault = {.cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT, .args = {1}};

        rc = STASIS_KVM(machine->vm_fd, KVM_ENABLE_CAP, &fault, err);
    }
#endif
    return rc;
}

static int create_chips(struct stasis_machine *machine, struct stasis_error *err)
{
    struct kvm_pit_config pit = {.flags =
                                     machine->board.pit_speaker_dummy ? KVM_PIT_SPEAKER_DUMMY : 0};
    uint64_t identity_map = machine->board.identity_map_addr;
    int rc = STASIS_KVM(machine->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map, err);

    if (!rc)
        rc = STASIS_KVM(machine->vm_fd, KVM_SET_TSS_ADDR,
                        (void *)(uintptr_t)machine->board.tss_addr, err);
    if (!rc)
        rc = STASIS_KVM(machine->vm_fd, KVM_CREATE_IRQCHIP, NULL, err);
    if (!rc)
        rc = STASIS_KVM(machine->vm_fd, KVM_CREATE_PIT2, &pit, err);
    return rc;
}

/* One slot a region, and before the chips: each slot waits for a grace period of the kernel. Chips
 * start one that is in no hurry, when they register their ports (Linux 6.18 and later), and a slot
 * that comes after them waits for that one too: 4 ms and more instead of 0.2. */
static int create_slots(struct stasis_machine *machine, struct stasis_error *err)
{
    for (uint32_t i = 0; i < machine->memory.region_count; i++) {
        const struct stasis_memory_region *region = &machine->memory.regions[i];
        struct kvm_userspace_memory_region slot = {
            .slot = i,
            .guest_phys_addr = region->gpa,
            .memory_size = region->size,
            .userspace_addr = (uintptr_t)region->host,
        };

        if (stasis_kvm_ioctl(machine->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
            return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                     "KVM does not take %" PRIu64 " MiB of RAM at 0x%" PRIx64
                                     "; give less by --memory size_mib=N",
                                     region->size >> 20, region->gpa);
    }
    return 0;
}

static int create_vcpus(struct stasis_machine *machine, struct stasis_error *err)
{
    machine->vcpus = calloc(machine->board.vcpus, sizeof(*machine->vcpus));
    if (!machine->vcpus)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for vCPUs");
    for (uint32_t i = 0; i < machine->board.vcpus; i++) {
        int rc = stasis_vcpu_init(&machine->vcpus[i], machine, i, err);

        if (rc)
            return rc;
        machine->vcpu_count++;
    }
    return 0;
}

static int build(struct stasis_machine *machine, struct stasis_error *err)
{
    int rc = stasis_memory_init(&machine->memory, &machine->board, err);

    if (!rc)
        rc = create_vm(machine, err);
    if (!rc)
        rc = enable_caps(machine, err);
    if (!rc)
        rc = create_slots(machine, err);
    if (!rc)
        rc = create_chips(machine, err);
    if (!rc)
        rc = create_vcpus(machine, err);
    if (!rc)
        rc = stasis_devices_attach(machine, err);
    return rc;
}

int stasis_machine_build_on(struct stasis_machine *machine, const struct stasis_kvm *kvm,
                            const struct stasis_board_state *board,
                            const struct stasis_device_host *host, struct stasis_error *err)
{
    int rc;

    memset(machine, 0, sizeof(*machine));
    machine->kvm = *kvm;
    machine->vm_fd = -1;
    machine->board = *board;
    machine->host = host;
    atomic_init(&machine->end, STASIS_END_NONE);
    pthread_mutex_init(&machine->lock, NULL);
    stasis_ram_watchdog_init(&machine->ram_watchdog);
    stasis_bus_init(&machine->pio, "PIO", 0xffff);
    stasis_bus_init(&machine->mmio, "MMIO", UINT64_MAX);
    machine->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (machine->end_fd < 0)
        rc = stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "eventfd");
    else
        rc = build(machine, err);
    if (rc)
        stasis_machine_fini(machine);
    return rc;
}

int stasis_machine_build(struct stasis_machine *machine, const struct stasis_board_state *board,
                         const struct stasis_device_host *host, struct stasis_error *err)
{
    struct stasis_kvm kvm;
    int rc = stasis_kvm_open(&kvm, err);

    return rc ? rc : stasis_machine_build_on(machine, &kvm, board, host, err);
}

void stasis_machine_fini(struct stasis_machine *machine)
{
    for (uint32_t i = 0; i < machine->vcpu_count; i++)
        stasis_vcpu_fini(&machine->vcpus[i]);
    machine->vcpu_count = 0;
    free(machine->vcpus);
    machine->vcpus = NULL;
    stasis_devices_detach(machine);
    if (machine->vm_fd >= 0)
        close(machine->vm_fd);
    machine->vm_fd = -1;
    /* Who still waits for memory is a vCPU or a saver: none is left. */
    stasis_ram_watchdog_fini(&machine->ram_watchdog);
    stasis_ram_free(machine->ram);
    machine->ram = NULL;
    stasis_memory_fini(&machine->memory);
    stasis_kvm_close(&machine->kvm);
    if (machine->end_fd >= 0)
        close(machine->end_fd);
    machine->end_fd = -1;
    pthread_mutex_destroy(&machine->lock);
}

/* ---- running ---- */

int stasis_machine_start(struct stasis_machine *machine, struct stasis_error *err)
{
    for (uint32_t i = 0; i < machine->vcpu_count; i++) {
        int rc = stasis_vcpu_start(&machine->vcpus[i], err);

        if (rc)
            return rc;
    }
    return 0;
}

/* All are asked before any is waited for, so that they stop as close together as can be. */
void stasis_machine_pause(struct stasis_machine *machine)
{
    for (uint32_t i = 0; i < machine->vcpu_count; i++)
        stasis_vcpu_request_pause(&machine->vcpus[i]);
    for (uint32_t i = 0; i < machine->vcpu_count; i++)
        stasis_vcpu_wait_paused(&machine->vcpus[i]);
}

void stasis_machine_resume(struct stasis_machine *machine)
{
    for (uint32_t i = 0; i < machine->vcpu_count; i++)
        stasis_vcpu_resume(&machine->vcpus[i]);
}

void stasis_machine_end(struct stasis_machine *machine, enum stasis_end end,
                        const struct stasis_error *error)
{
    int expected = STASIS_END_NONE;
    uint64_t one = 1;

    if (!atomic_compare_exchange_strong(&machine->end, &expected, (int)end))
        return;
    if (error)
        machine->end_error = *error;
    /* Cannot fail: the counter is far from full and the descriptor is ours. */
    (void)!write(machine->end_fd, &one, sizeof(one));
}

void stasis_machine_irq(struct stasis_machine *machine, uint32_t gsi, bool level)
{
    struct kvm_irq_level line = {.irq = gsi, .level = level};

    /* A board row without a line has gsi 0xffffffff, which KVM would refuse. */
    if (gsi != UINT32_MAX)
        (void)stasis_kvm_ioctl(machine->vm_fd, KVM_IRQ_LINE, &line);
}
