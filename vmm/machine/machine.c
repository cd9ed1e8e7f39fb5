/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/arch/arch.h"
#include "vmm/base/clock.h"
#include "vmm/machine/board.h"
#include "vmm/machine/exits.h"
#include "vmm/machine/guest_access.h"

/* How often who waits for a pause is asked whether to go on. */
#define PAUSE_TURN_MS 10

/* ---- building ---- */

static void on_reset(void *ctx)
{
    stasis_machine_shutdown(ctx, STASIS_EXIT_RESET, NULL);
}

static void on_power_off(void *ctx)
{
    stasis_machine_shutdown(ctx, STASIS_EXIT_POWER_OFF, NULL);
}

/* All vCPUs stop as soon as can be: what they do after it may hide why. */
static void on_panicked(void *ctx)
{
    struct stasis_error error;

    (void)stasis_fail(&error, STASIS_ERR_GUEST,
                      "the guest panicked: its kernel has said so by pvpanic");
    stasis_machine_shutdown(ctx, STASIS_EXIT_CRASHED, &error);
    stasis_machine_request_pause(ctx);
}

static void on_event(void *ctx, unsigned number)
{
    struct stasis_machine *machine = ctx;
    struct stasis_device *pm = stasis_device_find_only(&machine->devices, &stasis_acpi_pm_schema);

    if (pm)
        stasis_device_acpi_pm_event(pm, number);
}

static int create_vcpus(struct stasis_machine *machine, struct stasis_error *err)
{
    machine->vcpus = calloc(machine->board.vcpus, sizeof(*machine->vcpus));
    machine->threads = calloc(machine->board.vcpus, sizeof(*machine->threads));
    if (!machine->vcpus || !machine->threads)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for vCPUs");
    for (uint32_t i = 0; i < machine->board.vcpus; i++) {
        struct stasis_vcpu *vcpu = &machine->vcpus[i];
        int rc = stasis_vcpu_init(vcpu, &machine->vm, i, &stasis_machine_exit_ops, machine, err);

        if (rc)
            return rc;
        stasis_vcpu_thread_init(&machine->threads[i], vcpu, &stasis_machine_thread_ops, machine);
        machine->vcpu_count++;
        rc = stasis_arch_vcpu_create(vcpu, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int add_memory(struct stasis_machine *machine, struct stasis_error *err)
{
    struct stasis_error why;
    int rc = stasis_slots_init(&machine->slots, &machine->vm, &why);

    if (!rc)
        rc = stasis_slots_add_memory(&machine->slots, &machine->memory, 0, &why);
    return rc ? stasis_board_refuse_memory(rc, &why, err) : 0;
}

static int build(struct stasis_machine *machine, struct stasis_error *err)
{
    static const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_LOG};
    int rc = stasis_board_map_ram(&machine->board, &machine->memory, err);

    if (!rc)
        rc = stasis_vm_create(&machine->vm, &machine->kvm, &config, err);
    if (!rc)
        rc = add_memory(machine, err);
    if (!rc)
        rc = stasis_arch_vm_create(&machine->vm, &machine->board, err);
    if (!rc)
        rc = create_vcpus(machine, err);
    if (!rc)
        rc = stasis_devices_attach(&machine->devices, &machine->board, &machine->pio,
                                   &machine->mmio, &machine->device_env, err);
    return rc;
}

int stasis_machine_build_on(struct stasis_machine *machine, const struct stasis_kvm *kvm,
                            const struct stasis_board_state *board,
                            const struct stasis_device_host *host, struct stasis_error *err)
{
    int rc;

    memset(machine, 0, sizeof(*machine));
    machine->kvm = *kvm;
    machine->vm.fd = -1;
    machine->board = *board;
    machine->pause_limit_ms = STASIS_PAUSE_LIMIT_MS;
    machine->end_limit_ms = STASIS_END_LIMIT_MS;
    machine->device_env = (struct stasis_device_env){.lock = &machine->lock,
                                                     .vm = &machine->vm,
                                                     .memory = &machine->memory,
                                                     .host = host,
                                                     .ctx = machine,
                                                     .reset = on_reset,
                                                     .event = on_event,
                                                     .power_off = on_power_off,
                                                     .panicked = on_panicked};
    atomic_init(&machine->end, STASIS_EXIT_NONE);
    pthread_mutex_init(&machine->lock, NULL);
    stasis_bus_init(&machine->pio, "PIO", 0xffff);
    stasis_bus_init(&machine->mmio, "MMIO", UINT64_MAX);
    stasis_guest_access_connect(machine);
    machine->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (machine->end_fd < 0)
        rc = stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "eventfd");
    else
        rc = build(machine, err);
    if (rc)
        stasis_machine_fini(machine);
    return rc;
}

static int check_host(const struct stasis_kvm *kvm, const struct stasis_board_state *board,
                      struct stasis_error *err)
{
    struct stasis_reasons reasons = {0};
    int rc;

    stasis_arch_host_check(kvm, board, &reasons);
    rc = stasis_reasons_fail(&reasons, err);
    stasis_reasons_fini(&reasons);
    return rc ? rc : stasis_arch_model_check(kvm, board, err);
}

int stasis_machine_open_kvm(int kvm_fd, struct stasis_kvm *ret_kvm, struct stasis_error *err)
{
    return kvm_fd ? stasis_kvm_open_fd(kvm_fd, ret_kvm, err) : stasis_kvm_open(ret_kvm, err);
}

int stasis_machine_build_by(struct stasis_machine *machine, int kvm_fd,
                            const struct stasis_board_state *board,
                            const struct stasis_device_host *host, struct stasis_error *err)
{
    struct stasis_kvm kvm;
    int rc = stasis_machine_open_kvm(kvm_fd, &kvm, err);

    if (rc)
        return rc;
    rc = check_host(&kvm, board, err);
    if (rc)
        stasis_kvm_close(&kvm);
    else
        rc = stasis_machine_build_on(machine, &kvm, board, host, err);
    return rc;
}

int stasis_machine_build(struct stasis_machine *machine, const struct stasis_board_state *board,
                         const struct stasis_device_host *host, struct stasis_error *err)
{
    return stasis_machine_build_by(machine, 0, board, host, err);
}

void stasis_machine_fini(struct stasis_machine *machine)
{
    for (uint32_t i = 0; i < machine->vcpu_count; i++)
        stasis_vcpu_thread_stop(&machine->threads[i]);
    for (uint32_t i = 0; i < machine->vcpu_count; i++) {
        stasis_vcpu_thread_fini(&machine->threads[i]);
        stasis_arch_vcpu_destroy(&machine->vcpus[i]);
        stasis_vcpu_fini(&machine->vcpus[i]);
    }
    machine->vcpu_count = 0;
    free(machine->threads);
    machine->threads = NULL;
    free(machine->vcpus);
    machine->vcpus = NULL;
    /* It may have been freed before, by a reset that failed. */
    if (!stasis_devices_stop(&machine->devices, machine->pause_limit_ms))
        machine->is_left = true;
    stasis_devices_detach(&machine->devices);
    if (machine->ram_ops)
        machine->ram_ops->cancel_waiters(machine->ram_ctx);
    stasis_vm_fini(&machine->vm);
    stasis_slots_fini(&machine->slots);
    /* What this closes may still be ending the machine: end_fd comes after it. */
    if (machine->ram_ops)
        machine->ram_ops->close(machine->ram_ctx);
    machine->ram_ops = NULL;
    stasis_dirty_pages_fini(&machine->dirty);
    stasis_memory_fini(&machine->memory);
    stasis_kvm_close(&machine->kvm);
    if (machine->end_fd >= 0)
        close(machine->end_fd);
    machine->end_fd = -1;
    if (!machine->is_left)
        pthread_mutex_destroy(&machine->lock);
}

/* ---- running ---- */

/* On failure none is left. */
static int start_threads(struct stasis_machine *machine, struct stasis_error *err)
{
    uint32_t started = 0;
    int rc = stasis_devices_start(&machine->devices, &stasis_machine_io_ops, machine, err);

    if (rc)
        return rc;
    for (; !rc && started < machine->vcpu_count; started += !rc) {
        machine->threads[started].kick_signal = machine->kick_signal;
        rc = stasis_vcpu_thread_start(&machine->threads[started], err);
    }
    for (uint32_t i = 0; rc && i < started; i++)
        stasis_vcpu_thread_stop(&machine->threads[i]);
    if (rc)
        (void)!stasis_devices_stop(&machine->devices, machine->pause_limit_ms);
    return rc;
}

/* Behind the vCPUs: what they have notified of may still be taken. */
static void hold_devices(struct stasis_machine *machine)
{
    pthread_mutex_lock(&machine->lock);
    stasis_devices_hold(&machine->devices);
    pthread_mutex_unlock(&machine->lock);
    atomic_store(&machine->holds_devices, true);
}

static void release_devices(struct stasis_machine *machine)
{
    if (!atomic_exchange(&machine->holds_devices, false))
        return;
    pthread_mutex_lock(&machine->lock);
    stasis_devices_release(&machine->devices);
    pthread_mutex_unlock(&machine->lock);
}

/* Devices are held meanwhile: the disk of a thawed guest that does not run stays as it was. They
 * are let go before a vCPU can have the lock, with which it may wait for memory. */
int stasis_machine_start(struct stasis_machine *machine, struct stasis_error *err)
{
    const bool is_paused = atomic_load(&machine->holds_devices);
    int rc;

    hold_devices(machine);
    rc = start_threads(machine, err);
    if (!is_paused)
        release_devices(machine);
    for (uint32_t i = 0; !rc && i < machine->vcpu_count; i++)
        stasis_vcpu_thread_release(&machine->threads[i]);
    return rc;
}

void stasis_machine_request_pause(struct stasis_machine *machine)
{
    for (uint32_t i = 0; i < machine->vcpu_count; i++)
        stasis_vcpu_thread_request_pause(&machine->threads[i]);
}

/* As hold_devices(), for a turn of waiting at most: who has the lock may wait for memory. */
static bool try_to_hold_devices(struct stasis_machine *machine)
{
    struct timespec deadline;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_nsec += PAUSE_TURN_MS * 1000000L;
    deadline.tv_sec += deadline.tv_nsec / 1000000000;
    deadline.tv_nsec %= 1000000000;
    if (pthread_mutex_timedlock(&machine->lock, &deadline))
        return false;
    stasis_devices_hold(&machine->devices);
    pthread_mutex_unlock(&machine->lock);
    atomic_store(&machine->holds_devices, true);
    return true;
}

/* All are asked before any is waited for, so that they stop as close together as can be. */
void stasis_machine_pause(struct stasis_machine *machine)
{
    stasis_machine_request_pause(machine);
    for (uint32_t i = 0; i < machine->vcpu_count; i++)
        stasis_vcpu_thread_wait_paused(&machine->threads[i]);
    hold_devices(machine);
}

#define LATE_NAMES_MAX 8

/* The vCPUs that have not stopped; 0 if they all have by now. */
static int fail_late(struct stasis_machine *machine, struct stasis_error *err)
{
    char names[LATE_NAMES_MAX * 16] = "";
    unsigned count = 0;

    for (uint32_t i = 0; i < machine->vcpu_count; i++) {
        size_t len = strlen(names);

        if (stasis_vcpu_thread_wait_paused_ms(&machine->threads[i], 0))
            continue;
        if (count++ < LATE_NAMES_MAX)
            snprintf(names + len, sizeof(names) - len, "%svCPU %" PRIu32, len ? ", " : "",
                     machine->vcpus[i].id);
    }
    if (!count)
        return 0;
    return stasis_fail(err, STASIS_ERR_TIMEOUT,
                       "%s%s did not stop within %u.%u s: the host waits for a disk, or has no CPU "
                       "time; freeze again when it is less busy",
                       names, count > LATE_NAMES_MAX ? " and others" : "",
                       machine->pause_limit_ms / 1000, machine->pause_limit_ms % 1000 / 100);
}

static int fail_cancelled(struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_CANCELLED, "cancelled while the guest was being paused");
}

int stasis_machine_pause_while(struct stasis_machine *machine, bool (*go_on)(void *ctx), void *ctx,
                               struct stasis_error *err)
{
    uint64_t limit_us = stasis_monotonic_us() + UINT64_C(1000) * machine->pause_limit_ms;
    int rc = 0;

    stasis_machine_request_pause(machine);
    for (uint32_t i = 0; !rc && i < machine->vcpu_count; i++) {
        while (!rc && !stasis_vcpu_thread_wait_paused_ms(&machine->threads[i], PAUSE_TURN_MS)) {
            if (!go_on(ctx))
                rc = fail_cancelled(err);
            else if (stasis_monotonic_us() >= limit_us)
                rc = fail_late(machine, err);
        }
    }
    while (!rc && !try_to_hold_devices(machine)) {
        if (!go_on(ctx))
            rc = fail_cancelled(err);
        else if (stasis_monotonic_us() >= limit_us)
            rc = stasis_fail(err, STASIS_ERR_TIMEOUT,
                             "a device did not stop within %u.%u s: the host has not loaded memory "
                             "of the guest; freeze again when it has",
                             machine->pause_limit_ms / 1000, machine->pause_limit_ms % 1000 / 100);
    }
    return rc;
}

bool stasis_machine_wait_disks(struct stasis_machine *machine)
{
    bool idle;

    pthread_mutex_lock(&machine->lock);
    idle = stasis_devices_wait_idle(&machine->devices, PAUSE_TURN_MS);
    pthread_mutex_unlock(&machine->lock);
    return idle;
}

void stasis_machine_resume(struct stasis_machine *machine)
{
    release_devices(machine);
    for (uint32_t i = 0; i < machine->vcpu_count; i++)
        stasis_vcpu_thread_resume(&machine->threads[i]);
}

/* Waking the one thread of a machine takes longer than what it would do. */
void stasis_machine_on_vcpus(struct stasis_machine *machine, stasis_vcpu_job_fn *job, void *ctx)
{
    if (machine->vcpu_count == 1) {
        job(ctx, &machine->vcpus[0]);
        return;
    }
    for (uint32_t i = 0; i < machine->vcpu_count; i++)
        stasis_vcpu_thread_begin_job(&machine->threads[i], job, ctx);
    for (uint32_t i = 0; i < machine->vcpu_count; i++)
        stasis_vcpu_thread_finish_job(&machine->threads[i]);
}

void stasis_machine_shutdown(struct stasis_machine *machine, enum stasis_exit_reason end,
                             const struct stasis_error *error)
{
    uint64_t one = 1;

    if (atomic_exchange(&machine->end_claimed, true))
        return;
    if (error)
        machine->end_error = *error;
    atomic_store(&machine->end, (int)end);
    /* Cannot fail: the counter is far from full and the descriptor is ours. */
    (void)!write(machine->end_fd, &one, sizeof(one));
}
