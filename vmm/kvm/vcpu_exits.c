/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * KVM_RUN, and from struct kvm_run to the callbacks (KVM api.rst, 5).
 */
#include <errno.h>
#include <linux/kvm_para.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "stasis/kvm_vcpu.h"

#define HV_INVALID_HYPERCALL_CODE 2 /* Hyper-V TLFS, appendix B */

static const struct {
    const char *name;
    const char *why;
} exits[] = {
#define EXIT(number, name, why) [number] = {#name, why},
    STASIS_VCPU_EXITS(EXIT)
#undef EXIT
};
#define EXIT_COUNT (sizeof(exits) / sizeof(exits[0]))
_Static_assert(EXIT_COUNT == STASIS_VCPU_EXIT_REASONS, "kvm_exits.h counts the list");

const char *stasis_vcpu_exit_name(uint32_t reason)
{
    return reason < EXIT_COUNT ? exits[reason].name : "other";
}

/* Behind the reasons of the list there is one place for all others. */
static uint32_t place_of(uint32_t reason)
{
    return reason < EXIT_COUNT ? reason : EXIT_COUNT;
}

/* One thread writes: a load and a store, and no lock prefix between them. */
static void count(const struct stasis_vcpu *vcpu, uint32_t reason)
{
    uint64_t *counter = vcpu->exits ? &vcpu->exits[place_of(reason)] : NULL;

    if (counter)
        __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

uint64_t stasis_vcpu_exit_count(const struct stasis_vcpu *vcpu, uint32_t reason)
{
    return vcpu->exits ? __atomic_load_n(&vcpu->exits[place_of(reason)], __ATOMIC_RELAXED) : 0;
}

/* The guest cannot continue. -1, so that callers can return it. */
static int failed(struct stasis_vcpu *vcpu, const char *why, uint64_t detail)
{
    if (vcpu->ops->failed)
        vcpu->ops->failed(vcpu->ctx, vcpu, why, detail);
    return -1;
}

/* ---- accesses ---- */

static uint64_t load_le(const uint8_t *bytes, unsigned len)
{
    uint64_t value = 0;

    memcpy(&value, bytes, len);
    return value;
}

static bool is_pio_sound(const struct stasis_vcpu *vcpu)
{
    const struct kvm_run *run = vcpu->run;
    uint64_t size = run->io.size;

    return (size == 1 || size == 2 || size == 4) && run->io.data_offset <= vcpu->run_size &&
           run->io.count <= (vcpu->run_size - run->io.data_offset) / size;
}

static void pio_out(const struct stasis_vcpu *vcpu, const uint8_t *data)
{
    const struct kvm_run *run = vcpu->run;

    if (vcpu->ops->pio_write)
        vcpu->ops->pio_write(vcpu->ctx, run->io.port, run->io.size, load_le(data, run->io.size));
}

static void pio_in(const struct stasis_vcpu *vcpu, uint8_t *data)
{
    const struct kvm_run *run = vcpu->run;
    uint64_t value = UINT64_MAX;

    if (vcpu->ops->pio_read)
        value = vcpu->ops->pio_read(vcpu->ctx, run->io.port, run->io.size);
    memcpy(data, &value, run->io.size);
}

/* One exit can carry several elements (REP INS, REP OUTS): each is its own access. */
static int handle_pio(struct stasis_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    if (!is_pio_sound(vcpu))
        return failed(vcpu, "KVM reports a port access that is outside its page", run->io.port);
    for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
        if (run->io.direction == KVM_EXIT_IO_OUT)
            pio_out(vcpu, data);
        else
            pio_in(vcpu, data);
    }
    return 0;
}

static int handle_mmio(struct stasis_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    const struct stasis_exit_ops *ops = vcpu->ops;
    unsigned len = run->mmio.len;
    uint64_t value = UINT64_MAX;

    if (!len || len > sizeof(run->mmio.data))
        return failed(vcpu, "KVM reports an access to memory of a length that none has", len);
    if (run->mmio.is_write) {
        if (ops->mmio_write)
            ops->mmio_write(vcpu->ctx, run->mmio.phys_addr, len, load_le(run->mmio.data, len));
        return 0;
    }
    if (ops->mmio_read)
        value = ops->mmio_read(vcpu->ctx, run->mmio.phys_addr, len);
    memcpy(run->mmio.data, &value, sizeof(value));
    return 0;
}

/* The error is set first: an access that nobody handles injects #GP. */
static int handle_msr(struct stasis_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    const struct stasis_exit_ops *ops = vcpu->ops;
    uint64_t value = 0;

    run->msr.error = 1;
    if (run->exit_reason == KVM_EXIT_X86_WRMSR) {
        if (ops->wrmsr && ops->wrmsr(vcpu->ctx, run->msr.index, run->msr.reason, run->msr.data))
            run->msr.error = 0;
    } else if (ops->rdmsr && ops->rdmsr(vcpu->ctx, run->msr.index, run->msr.reason, &value)) {
        run->msr.data = value;
        run->msr.error = 0;
    }
    return 0;
}

static uint64_t hypercall(struct stasis_vcpu *vcpu, const struct stasis_vcpu_hypercall *call)
{
    static const int64_t no_such_call[] = {
        [STASIS_HYPERCALL_KVM] = -KVM_ENOSYS,
        [STASIS_HYPERCALL_XEN] = -ENOSYS,
        [STASIS_HYPERCALL_HYPERV] = HV_INVALID_HYPERCALL_CODE,
    };

    return vcpu->ops->hypercall ? vcpu->ops->hypercall(vcpu->ctx, vcpu, call)
                                : (uint64_t)no_such_call[call->abi];
}

static int handle_hypercall(struct stasis_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    struct stasis_vcpu_hypercall call = {
        .abi = STASIS_HYPERCALL_KVM, .long_mode = run->hypercall.longmode, .nr = run->hypercall.nr};

    memcpy(call.args, run->hypercall.args, sizeof(call.args));
    run->hypercall.ret = hypercall(vcpu, &call);
    return 0;
}

static int handle_xen_hypercall(struct stasis_vcpu *vcpu)
{
    struct kvm_xen_exit *xen = &vcpu->run->xen;
    struct stasis_vcpu_hypercall call = {.abi = STASIS_HYPERCALL_XEN,
                                         .long_mode = xen->u.hcall.longmode,
                                         .cpl = xen->u.hcall.cpl,
                                         .nr = xen->u.hcall.input};

    memcpy(call.args, xen->u.hcall.params, sizeof(call.args));
    xen->u.hcall.result = hypercall(vcpu, &call);
    return 0;
}

static int handle_hyperv_hypercall(struct stasis_vcpu *vcpu)
{
    struct kvm_hyperv_exit *hyperv = &vcpu->run->hyperv;
    struct stasis_vcpu_hypercall call = {.abi = STASIS_HYPERCALL_HYPERV,
                                         .nr = hyperv->u.hcall.input};

    memcpy(call.args, hyperv->u.hcall.params, sizeof(hyperv->u.hcall.params));
    hyperv->u.hcall.result = hypercall(vcpu, &call);
    return 0;
}

/* ---- events ---- */

/* Which part of struct kvm_run is the data of which reason: copied as it is. */
#define PLAIN(reason, member, kvms)                                                                \
    {                                                                                              \
        STASIS_VCPU_EXIT_##reason, sizeof(((struct stasis_vcpu_exit *)0)->member),                 \
            offsetof(struct stasis_vcpu_exit, member), offsetof(struct kvm_run, kvms)              \
    }

static const struct {
    uint32_t reason;
    size_t len, to, from;
} plain[] = {
    PLAIN(unknown, hardware_reason, hw),
    PLAIN(exception, exception, ex),
    PLAIN(debug, debug, debug.arch),
    PLAIN(fail_entry, fail_entry, fail_entry),
    PLAIN(set_tpr, set_tpr, cr8),
    PLAIN(tpr_access, tpr_access, tpr_access),
    PLAIN(internal_error, internal_error, internal),
    PLAIN(system_event, system_event, system_event),
    PLAIN(ioapic_eoi, ioapic_eoi_vector, eoi.vector),
    PLAIN(hyperv, hyperv, hyperv),
    PLAIN(xen, xen, xen),
    PLAIN(notify, notify_flags, notify.flags),
    /* Before Linux 6.8 the header has no name for it. */
    PLAIN(memory_fault, memory_fault, padding),
};

static void clamp(uint32_t *count)
{
    if (*count > STASIS_VCPU_EXIT_DATA_MAX)
        *count = STASIS_VCPU_EXIT_DATA_MAX;
}

static void read_exit(struct stasis_vcpu_exit *exit, const struct kvm_run *run)
{
    memset(exit, 0, sizeof(*exit));
    exit->reason = run->exit_reason;
    exit->flags = run->flags;
    exit->name = stasis_vcpu_exit_name(run->exit_reason);
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (plain[i].reason == run->exit_reason)
            memcpy((uint8_t *)exit + plain[i].to, (const uint8_t *)run + plain[i].from,
                   plain[i].len);
    }
    if (exit->reason == STASIS_VCPU_EXIT_internal_error)
        clamp(&exit->internal_error.count);
    if (exit->reason == STASIS_VCPU_EXIT_system_event)
        clamp(&exit->system_event.count);
    if (exit->reason >= EXIT_COUNT)
        memcpy(exit->raw, run->padding, sizeof(exit->raw));
}

/* The number that goes with the text of the default. */
static uint64_t detail_of(const struct stasis_vcpu_exit *exit)
{
    switch (exit->reason) {
    case STASIS_VCPU_EXIT_unknown:
        return exit->hardware_reason;
    case STASIS_VCPU_EXIT_exception:
        return exit->exception.vector;
    case STASIS_VCPU_EXIT_debug:
        return exit->debug.pc;
    case STASIS_VCPU_EXIT_shutdown:
        return 0;
    case STASIS_VCPU_EXIT_fail_entry:
        return exit->fail_entry.hardware_reason;
    case STASIS_VCPU_EXIT_internal_error:
        return exit->internal_error.suberror;
    case STASIS_VCPU_EXIT_system_event:
        return exit->system_event.type;
    case STASIS_VCPU_EXIT_notify:
        return exit->notify_flags;
    case STASIS_VCPU_EXIT_memory_fault:
        return exit->memory_fault.gpa;
    default:
        return exit->reason;
    }
}

static const char *default_of(const struct stasis_vcpu_exit *exit)
{
    if (exit->reason == STASIS_VCPU_EXIT_notify && exit->notify_flags & KVM_NOTIFY_CONTEXT_INVALID)
        return "it hung the CPU, and its state is lost";
    return exit->reason < EXIT_COUNT ? exits[exit->reason].why : STASIS_VCPU_EXIT_UNKNOWN_REASON;
}

static int handle_event(struct stasis_vcpu *vcpu)
{
    enum stasis_vcpu_next next = STASIS_VCPU_DEFAULT;
    struct stasis_vcpu_exit exit;
    const char *why;

    read_exit(&exit, vcpu->run);
    if (vcpu->ops->event)
        next = vcpu->ops->event(vcpu->ctx, vcpu, &exit);
    if (next != STASIS_VCPU_DEFAULT)
        return next == STASIS_VCPU_RUN_ON ? 0 : -1;
    why = default_of(&exit);
    return why ? failed(vcpu, why, detail_of(&exit)) : 0;
}

static int dispatch(struct stasis_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        return handle_pio(vcpu);
    case KVM_EXIT_MMIO:
        return handle_mmio(vcpu);
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        return handle_msr(vcpu);
    case KVM_EXIT_HYPERCALL:
        return handle_hypercall(vcpu);
    case KVM_EXIT_XEN:
        return run->xen.type == KVM_EXIT_XEN_HCALL ? handle_xen_hypercall(vcpu)
                                                   : handle_event(vcpu);
    case KVM_EXIT_HYPERV:
        return run->hyperv.type == KVM_EXIT_HYPERV_HCALL ? handle_hyperv_hypercall(vcpu)
                                                         : handle_event(vcpu);
    default:
        return handle_event(vcpu);
    }
}

static bool may_run(const struct stasis_vcpu *vcpu)
{
    return !vcpu->ops->may_run || vcpu->ops->may_run(vcpu->ctx);
}

static int handle_exit(struct stasis_vcpu *vcpu)
{
    int rc;

    count(vcpu, vcpu->run->exit_reason);
    rc = dispatch(vcpu);
    return rc || may_run(vcpu) ? rc : -1;
}

/* EFAULT: guest memory that the host cannot read, such as a failing disk beneath it; EHWPOISON: it
 * is broken. Since Linux 6.8 KVM says with them which memory. */
static int handle_failure(struct stasis_vcpu *vcpu, int os_errno)
{
    if ((os_errno == EFAULT || os_errno == EHWPOISON) &&
        vcpu->run->exit_reason == STASIS_VCPU_EXIT_memory_fault)
        return handle_exit(vcpu);
    return failed(vcpu, strerror(os_errno), (uint64_t)os_errno);
}

/* EAGAIN comes when a vCPU that waited for its SIPI has got it (kvm_arch_vcpu_ioctl_run), and is
 * then no failure. It also comes, for ever, when KVM can start no thread for the VM (Linux 6.13,
 * kvm_mmu_start_lpage_recovery): a vCPU that could run is told it twice. */
static bool is_without_threads(struct stasis_vcpu *vcpu)
{
    struct kvm_mp_state state = {.mp_state = KVM_MP_STATE_UNINITIALIZED};
    bool could_run = !stasis_kvm_ioctl(vcpu->fd, KVM_GET_MP_STATE, &state) &&
                     state.mp_state == KVM_MP_STATE_RUNNABLE;
    bool again = could_run && vcpu->told_again;

    vcpu->told_again = could_run;
    return again;
}

/* KVM_RUN has failed with that. */
static int handle_refusal(struct stasis_vcpu *vcpu, int os_errno)
{
    if (os_errno == EAGAIN && is_without_threads(vcpu))
        return failed(vcpu,
                      "KVM cannot start a thread, for which the limit of threads (ulimit -u, "
                      "pids.max) may be too low",
                      EAGAIN);
    if (os_errno == EINTR || os_errno == EAGAIN) {
        count(vcpu, STASIS_VCPU_EXIT_intr);
        return 1;
    }
    return handle_failure(vcpu, os_errno);
}

/* A signal that KVM sends comes before the first instruction behind the call. */
static _Thread_local volatile sig_atomic_t in_run;

bool stasis_vcpu_is_in_run(void)
{
    return in_run;
}

int stasis_vcpu_run_once(struct stasis_vcpu *vcpu)
{
    int rc;

    in_run = 1;
    rc = ioctl(vcpu->fd, KVM_RUN, NULL);
    in_run = 0;
    if (rc < 0)
        return handle_refusal(vcpu, errno);
    vcpu->told_again = false;
    return handle_exit(vcpu);
}
