/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/snapshot/hostile_watch.h"

#include <inttypes.h>

struct watch {
    struct kvm_hostile_trace trace; /* what is left of it */
    uint32_t at;                    /* the row that has the last access */
    uint64_t mmio_exits;            /* in this life of the machine */
    struct kvm_hostile_io wrong;    /* .len is 0: nothing is */
};

static struct kvm_guest *guest;
static struct watch watches[KVM_HOSTILE_VCPUS];
_Atomic uint64_t hostile_accesses;
uint64_t hostile_resets;
static uint64_t unhandled_ports, unhandled_mmio; /* in this life; under the lock */

static bool has_device(bool mmio, uint64_t at)
{
    const struct stasis_board_state *board = &guest->machine.board;

    for (uint32_t i = 0; i < board->devices_count; i++) {
        const struct stasis_board_device_state *row = &board->devices[i];

        if ((row->bus == STASIS_BUS_PIO) != mmio && at >= row->base && at - row->base < row->size)
            return true;
    }
    return false;
}

/* Counts the access, before the machine does it. */
static void note(bool mmio, uint64_t at, unsigned len)
{
    bool known = true;

    for (unsigned i = 0; i < len; i++)
        known &= has_device(mmio, at + i);
    atomic_fetch_add(&hostile_accesses, 1);
    if (known)
        return;
    pthread_mutex_lock(&guest->machine.lock);
    *(mmio ? &unhandled_mmio : &unhandled_ports) += 1;
    pthread_mutex_unlock(&guest->machine.lock);
}

static bool is_next(const struct kvm_hostile_trace *trace, uint32_t at,
                    const struct kvm_hostile_io *io)
{
    const struct kvm_hostile_io *next = &trace->io[at];

    return at < trace->io_count && next->port == io->port && next->len == io->len &&
           next->write == io->write;
}

static void expect_io(struct watch *watch, uint16_t port, unsigned len, bool write)
{
    const struct kvm_hostile_io io = {.port = port, .len = (uint8_t)len, .write = write};
    struct kvm_hostile_io *now = &watch->trace.io[watch->at];

    note(false, port, len);
    if (watch->wrong.len)
        return;
    if (watch->at < watch->trace.io_count && !now->count) {
        if (now->may_repeat && is_next(&watch->trace, watch->at, &io))
            return;
        now = &watch->trace.io[++watch->at];
    }
    if (is_next(&watch->trace, watch->at, &io))
        now->count--;
    else
        watch->wrong = io;
}

static uint64_t on_pio_read(void *ctx, uint16_t port, unsigned len)
{
    expect_io(ctx, port, len, false);
    return stasis_bus_pio_read(&guest->machine, port, len);
}

static void on_pio_write(void *ctx, uint16_t port, unsigned len, uint64_t value)
{
    expect_io(ctx, port, len, true);
    stasis_bus_pio_write(&guest->machine, port, len, value);
}

static const struct stasis_exit_ops *machine_ops;

static uint64_t on_mmio_read(void *ctx, uint64_t gpa, unsigned len)
{
    struct watch *watch = ctx;

    note(true, gpa, len);
    watch->mmio_exits++;
    watch->trace.mmio_read -= len;
    return machine_ops->mmio_read(&guest->machine, gpa, len);
}

static void on_mmio_write(void *ctx, uint64_t gpa, unsigned len, uint64_t value)
{
    struct watch *watch = ctx;

    note(true, gpa, len);
    watch->mmio_exits++;
    watch->trace.mmio_written -= len;
    machine_ops->mmio_write(&guest->machine, gpa, len, value);
}

static void on_failed(void *ctx, struct stasis_vcpu *vcpu, const char *why, uint64_t detail)
{
    (void)ctx;
    machine_ops->failed(&guest->machine, vcpu, why, detail);
}

static bool on_may_run(void *ctx)
{
    (void)ctx;
    return machine_ops->may_run(&guest->machine);
}

static const struct stasis_exit_ops watching = {.pio_read = on_pio_read,
                                                .pio_write = on_pio_write,
                                                .mmio_read = on_mmio_read,
                                                .mmio_write = on_mmio_write,
                                                .failed = on_failed,
                                                .may_run = on_may_run};

/* Of a reset, a power-off or a panic: the guest may ask for it, but is not to end. */
static void on_reset(void *ctx)
{
    (void)ctx;
    hostile_resets++;
}

void hostile_watch(struct kvm_guest *of)
{
    guest = of;
    machine_ops = guest->machine.vcpus[0].ops;
    for (uint32_t i = 0; i < guest->machine.vcpu_count; i++) {
        guest->machine.vcpus[i].ops = &watching;
        guest->machine.vcpus[i].ctx = &watches[i];
        watches[i].mmio_exits = 0;
    }
    guest->machine.device_env.reset = on_reset;
    guest->machine.device_env.power_off = on_reset;
    guest->machine.device_env.panicked = on_reset;
    unhandled_ports = unhandled_mmio = 0;
}

struct kvm_hostile_trace *hostile_expect(uint32_t id)
{
    watches[id].at = 0;
    watches[id].wrong.len = 0;
    return &watches[id].trace;
}

/* ---- checks ---- */

static const char *word(const struct kvm_hostile_io *io)
{
    return io->write ? "a write" : "a read";
}

void hostile_assert_counts(void)
{
    const uint64_t *errors = guest->machine.guest_errors;

    assert_int_equal(errors[STASIS_GUEST_ERROR_UNHANDLED_PORT], unhandled_ports);
    assert_int_equal(errors[STASIS_GUEST_ERROR_UNHANDLED_MMIO], unhandled_mmio);
    for (uint32_t i = 0; i < guest->machine.vcpu_count; i++) {
        const struct watch *watch = &watches[i];

        if (watch->wrong.len)
            fail_msg("vCPU %" PRIu32 ": %s of %u bytes at port 0x%x, and row %" PRIu32
                     " of its program is %s of %u bytes at port 0x%x",
                     i, word(&watch->wrong), watch->wrong.len, watch->wrong.port, watch->at,
                     word(&watch->trace.io[watch->at]), watch->trace.io[watch->at].len,
                     watch->trace.io[watch->at].port);
        assert_int_equal(stasis_vcpu_exit_count(&guest->machine.vcpus[i], STASIS_VCPU_EXIT_mmio),
                         watch->mmio_exits);
    }
}

void hostile_assert_done(void)
{
    for (uint32_t i = 0; i < guest->machine.vcpu_count; i++) {
        const struct watch *watch = &watches[i];

        assert_int_equal(watch->at + 1, watch->trace.io_count);
        assert_int_equal(watch->trace.io[watch->at].count, 0);
        assert_int_equal(watch->trace.mmio_read, 0);
        assert_int_equal(watch->trace.mmio_written, 0);
    }
}
