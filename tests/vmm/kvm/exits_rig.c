/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "exits_rig.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int __wrap_ioctl(int fd, unsigned long request, ...);

struct exits_told told;
struct stasis_vcpu vcpu;
struct kvm_run *run;
uint64_t exits[STASIS_VCPU_EXIT_REASONS + 1];
int run_errno;
uint32_t mp_state;

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;

    assert_int_equal(fd, vcpu.fd);
    if (request == KVM_GET_MP_STATE) {
        va_start(args, request);
        va_arg(args, struct kvm_mp_state *)->mp_state = mp_state;
        va_end(args);
        return 0;
    }
    assert_int_equal(request, KVM_RUN);
    assert_true(stasis_vcpu_is_in_run());
    errno = run_errno;
    return run_errno ? -1 : 0;
}

/* ---- what the callbacks are told ---- */

static uint64_t on_read(uint64_t at, unsigned len)
{
    assert_false(stasis_vcpu_is_in_run());
    told.reads++;
    told.at = at;
    told.len = len;
    return told.answer++;
}

static void on_write(uint64_t at, unsigned len, uint64_t value)
{
    told.writes++;
    told.at = at;
    told.len = len;
    told.value = value;
}

static uint64_t pio_read(void *ctx, uint16_t port, unsigned len)
{
    assert_ptr_equal(ctx, &told);
    return on_read(port, len);
}

static void pio_write(void *ctx, uint16_t port, unsigned len, uint64_t value)
{
    assert_ptr_equal(ctx, &told);
    on_write(port, len, value);
}

static uint64_t mmio_read(void *ctx, uint64_t gpa, unsigned len)
{
    assert_ptr_equal(ctx, &told);
    return on_read(gpa, len);
}

static void mmio_write(void *ctx, uint64_t gpa, unsigned len, uint64_t value)
{
    assert_ptr_equal(ctx, &told);
    on_write(gpa, len, value);
}

static void failed(void *ctx, struct stasis_vcpu *from, const char *why, uint64_t detail)
{
    assert_ptr_equal(ctx, &told);
    assert_ptr_equal(from, &vcpu);
    told.failures++;
    told.why = why;
    told.detail = detail;
}

static bool may_run(void *ctx)
{
    assert_ptr_equal(ctx, &told);
    return !told.stopped;
}

static bool rdmsr(void *ctx, uint32_t index, uint32_t why, uint64_t *ret_value)
{
    assert_ptr_equal(ctx, &told);
    assert_int_equal(run->msr.error, 1); /* set before anybody is asked */
    told.msr = index;
    told.msr_why = why;
    *ret_value = told.answer;
    return told.handles_msr;
}

static bool wrmsr(void *ctx, uint32_t index, uint32_t why, uint64_t value)
{
    assert_ptr_equal(ctx, &told);
    assert_int_equal(run->msr.error, 1);
    told.msr = index;
    told.msr_why = why;
    told.value = value;
    return told.handles_msr;
}

static uint64_t hypercall(void *ctx, struct stasis_vcpu *from,
                          const struct stasis_vcpu_hypercall *call)
{
    assert_ptr_equal(ctx, &told);
    assert_ptr_equal(from, &vcpu);
    told.call = *call;
    return told.answer;
}

static enum stasis_vcpu_next event(void *ctx, struct stasis_vcpu *from,
                                   const struct stasis_vcpu_exit *exit)
{
    assert_ptr_equal(ctx, &told);
    assert_ptr_equal(from, &vcpu);
    told.events++;
    told.exit = *exit;
    return told.next;
}

const struct stasis_exit_ops exits_all = {
    .pio_read = pio_read,
    .pio_write = pio_write,
    .mmio_read = mmio_read,
    .mmio_write = mmio_write,
    .failed = failed,
    .may_run = may_run,
    .rdmsr = rdmsr,
    .wrmsr = wrmsr,
    .hypercall = hypercall,
    .event = event,
};
const struct stasis_exit_ops exits_none = {.event = NULL};
const struct stasis_exit_ops exits_only_failed = {.failed = failed};

/* The page has its exact size on the heap, so that ASan sees a byte too many. */
int exits_set_up(void **state)
{
    (void)state;
    run = calloc(1, EXITS_RUN_SIZE);
    assert_non_null(run);
    memset(&told, 0, sizeof(told));
    run_errno = 0;
    vcpu = (struct stasis_vcpu){.fd = 1000,
                                .run = run,
                                .run_size = EXITS_RUN_SIZE,
                                .ops = &exits_all,
                                .ctx = &told,
                                .exits = exits};
    memset(exits, 0, sizeof(exits));
    return 0;
}

int exits_tear_down(void **state)
{
    (void)state;
    free(run);
    return 0;
}

int exit_with(uint32_t reason)
{
    run->exit_reason = reason;
    return stasis_vcpu_run_once(&vcpu);
}

void assert_failed(int rc, const char *why, uint64_t detail)
{
    assert_int_equal(rc, -1);
    assert_int_equal(told.failures, 1);
    assert_string_equal(told.why, why);
    assert_int_equal(told.detail, detail);
}

uint8_t *port_access(bool out, uint8_t size, uint32_t count, uint64_t data_offset)
{
    run->io.direction = out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
    run->io.size = size;
    run->io.port = 0x3f8;
    run->io.count = count;
    run->io.data_offset = data_offset;
    return (uint8_t *)run + 4096;
}
