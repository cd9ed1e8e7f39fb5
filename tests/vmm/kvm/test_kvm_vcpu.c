/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * vCPUs of the real KVM: made, run, interrupted, and given interrupts.
 */
#include "vcpu_rig.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;

static const uint8_t spinning[] = {0xfa, 0xeb, 0xfd};       /* 1: cli; jmp 1b */
static const uint8_t out_loop[] = {0xe6, 0x80, 0xeb, 0xfc}; /* 1: out 0x80, al; jmp 1b */

/* ---- life ---- */

static void create_vcpu_maps_its_run_page(void)
{
    rig_init(&rig, RIG_NO_CHIPS);
    assert_int_equal(rig.vcpu.id, 0);
    assert_true(rig.vcpu.run_size >= sizeof(struct kvm_run));
    assert_int_equal(rig.vcpu.run_size % (size_t)sysconf(_SC_PAGESIZE), 0);
    assert_int_equal(rig.vcpu.run->immediate_exit, 0);
    rig_fini(&rig);
}

static void create_vcpu_same_id_eexist(void)
{
    struct stasis_vcpu vcpu;

    rig_init(&rig, RIG_NO_CHIPS);
    rig_refuses(&rig, stasis_vcpu_init(&vcpu, &rig.vm, 0, rig.vcpu.ops, &rig, &rig.err), EEXIST);
    rig_fini(&rig);
}

/* Ids are those below KVM_CAP_MAX_VCPU_ID. */
static void create_vcpu_id_past_the_last_einval(void)
{
    struct stasis_vcpu vcpu;
    uint32_t id;

    rig_init(&rig, RIG_NO_CHIPS);
    id = (uint32_t)stasis_vm_cap(&rig.vm, KVM_CAP_MAX_VCPU_ID);
    assert_in_range(id, 1, INT32_MAX);
    rig_refuses(&rig, stasis_vcpu_init(&vcpu, &rig.vm, id, rig.vcpu.ops, &rig, &rig.err), EINVAL);
    rig_fini(&rig);
}

static void a_duplicate_runs_the_vcpu_when_the_first_has_ended(void)
{
    struct stasis_vcpu duplicate;

    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, out_loop, sizeof(out_loop));
    rig_run(&rig, 1);
    kvm_ok(stasis_vcpu_dup(&rig.vcpu, &duplicate, &rig.err), &rig.err);
    stasis_vcpu_fini(&rig.vcpu);
    rig.vcpu = duplicate;
    rig_run(&rig, 3);
    assert_int_equal(rig.log[2].at, 0x80);
    rig_fini(&rig);
}

/* ---- running ---- */

static void real_run_addr_prints_and_stores(void)
{
    static const uint8_t payload[] = {
        0xb0, 0x02, 0xb3, 0x07,       /* mov al, 2; mov bl, 7 */
        0xba, 0xf8, 0x03,             /* mov dx, 0x3f8 */
        0x00, 0xd8, 0x04, '0',        /* add al, bl; add al, '0' */
        0xee, 0xb0, '\n', 0xee,       /* out dx, al; mov al, '\n'; out dx, al */
        0xc6, 0x06, 0x00, 0x20, 0x13, /* mov byte [0x2000], 0x13 */
        0xf4,                         /* hlt */
    };

    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, payload, sizeof(payload));
    rig_run_to(&rig, KVM_EXIT_HLT);
    assert_int_equal(rig.count, 2);
    assert_int_equal(rig.log[0].at, 0x3f8);
    assert_int_equal(rig.log[0].value, '9');
    assert_int_equal(rig.log[1].value, '\n');
    assert_int_equal(*(uint8_t *)rig_ram(&rig, 0x2000), 0x13);
    rig_fini(&rig);
}

static void mmio_and_pio_are_four_accesses(void)
{
    static const uint8_t payload[] = {
        0xb8, 0x00, 0x20, 0x8e, 0xd8, /* mov ax, 0x2000; mov ds, ax */
        0xa0, 0x10, 0x00,             /* mov al, [0x10] */
        0xc6, 0x06, 0x00, 0x00, 0x33, /* mov byte [0], 0x33 */
        0xe4, 0x20, 0x88, 0xc3,       /* in al, 0x20; mov bl, al */
        0xb0, 0x66, 0xe6, 0x19,       /* mov al, 0x66; out 0x19, al */
        0x88, 0xd8, 0xf4,             /* mov al, bl; hlt */
    };
    struct kvm_regs regs;

    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, payload, sizeof(payload));
    rig.answer = 0x76;
    rig_run_to(&rig, KVM_EXIT_HLT);
    assert_int_equal(rig.count, 4);
    assert_true(rig.log[0].mmio && !rig.log[0].write && rig.log[0].at == 0x20010);
    assert_true(rig.log[1].mmio && rig.log[1].write && rig.log[1].at == 0x20000);
    assert_int_equal(rig.log[1].value, 0x33);
    assert_true(!rig.log[2].mmio && !rig.log[2].write && rig.log[2].at == 0x20);
    assert_true(!rig.log[3].mmio && rig.log[3].write && rig.log[3].at == 0x19);
    assert_int_equal(rig.log[3].value, 0x66);
    kvm_ok(STASIS_KVM(rig.vcpu.fd, KVM_GET_REGS, &regs, &rig.err), &rig.err);
    assert_int_equal(regs.rax & 0xff, 0x77);
    rig_fini(&rig);
}

static void immediate_exit_runs_no_guest_code(void)
{
    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, out_loop, sizeof(out_loop));
    stasis_vcpu_set_immediate_exit(&rig.vcpu, true);
    assert_int_equal(stasis_vcpu_run_once(&rig.vcpu), 1);
    assert_int_equal(stasis_vcpu_run_once(&rig.vcpu), 1);
    assert_int_equal(rig.count, 0);
    stasis_vcpu_set_immediate_exit(&rig.vcpu, false);
    rig_run(&rig, 1);
    rig_fini(&rig);
}

static void on_signal(int number)
{
    (void)number;
    stasis_vcpu_set_local_immediate_exit(true);
}

static _Atomic int runner_result = -100;

static void *run_until_interrupted(void *arg)
{
    struct stasis_run_handle handle;
    int rc;

    (void)arg;
    kvm_ok(stasis_run_handle_take(&handle, &rig.vcpu, &rig.err), &rig.err);
    do {
        rc = stasis_run_handle_run(&handle, &rig.err);
    } while (!rc);
    kvm_ok(stasis_run_handle_give_back(&handle, &rig.err), &rig.err);
    runner_result = rc;
    return NULL;
}

/* The signal may come before KVM_RUN, in it or between two: one is enough. */
static void immediate_exit_is_set_by_a_signal_handler(void)
{
    const struct sigaction action = {.sa_handler = on_signal};
    pthread_t runner;

    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, spinning, sizeof(spinning));
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(pthread_create(&runner, NULL, run_until_interrupted, NULL), 0);
    /* Until it has the handle there is nobody to be told. */
    while (runner_result == -100) {
        pthread_kill(runner, SIGUSR1);
        kvm_sleep_us(1000);
    }
    assert_int_equal(pthread_join(runner, NULL), 0);
    assert_int_equal(runner_result, 1);
    rig_fini(&rig);
}

static void set_signal_mask_lets_a_blocked_signal_end_the_run(void)
{
    const uint64_t none = 0, mask = UINT64_C(1) << (SIGRTMIN - 1);
    sigset_t blocked;

    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, spinning, sizeof(spinning));
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    pthread_kill(pthread_self(), SIGRTMIN); /* pending; the guest would spin for ever */
    kvm_ok(stasis_vcpu_set_signal_mask(&rig.vcpu, &none, &rig.err), &rig.err);
    assert_int_equal(stasis_vcpu_run_once(&rig.vcpu), 1);
    assert_int_equal(stasis_vcpu_run_once(&rig.vcpu), 1); /* it is pending still */
    /* A mask that blocks it, and none at all, let the guest run. */
    rig_load(&rig, out_loop, sizeof(out_loop));
    kvm_ok(stasis_vcpu_set_signal_mask(&rig.vcpu, &mask, &rig.err), &rig.err);
    rig_run(&rig, 1);
    kvm_ok(stasis_vcpu_set_signal_mask(&rig.vcpu, NULL, &rig.err), &rig.err);
    rig_run(&rig, 2);
    rig_fini(&rig);
}

static void signal_mask_of_16_bytes_einval(void)
{
    union {
        struct kvm_signal_mask header;
        uint8_t room[sizeof(struct kvm_signal_mask) + 16];
    } mask = {.header.len = 16};

    rig_init(&rig, RIG_NO_CHIPS);
    rig_refuses(&rig, STASIS_KVM(rig.vcpu.fd, KVM_SET_SIGNAL_MASK, &mask, &rig.err), EINVAL);
    rig_fini(&rig);
}

static void kvmclock_ctrl_without_kvmclock_is_success(void)
{
    rig_init(&rig, RIG_CHIPS);
    rig_refuses(&rig, STASIS_KVM(rig.vcpu.fd, KVM_KVMCLOCK_CTRL, NULL, &rig.err), EINVAL);
    kvm_ok(stasis_vcpu_kvmclock_ctrl(&rig.vcpu, &rig.err), &rig.err);
    rig_fini(&rig);
}

/* ---- interrupts ---- */

static void interrupts_wait_for_the_window(void)
{
    static const uint8_t payload[] = {
        0xfa, 0xe6, 0x80, /* cli; out 0x80, al */
        0x90, 0xe6, 0x81, /* nop; out 0x81, al */
        0xfb, 0x90,       /* sti; nop */
        0xeb, 0xfe,       /* 1: jmp 1b */
    };
    static const uint8_t handler[] = {0xe6, 0x82, 0xcf}; /* out 0x82, al; iret */

    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, payload, sizeof(payload));
    memcpy(rig_ram(&rig, 0x1800), handler, sizeof(handler));
    rig_vector(&rig, 0x21, 0x1800);
    stasis_vcpu_request_interrupt_window(&rig.vcpu, true);
    rig_run(&rig, 2);
    assert_false(stasis_vcpu_is_ready_for_interrupt(&rig.vcpu)); /* cli */
    rig_run_to(&rig, KVM_EXIT_IRQ_WINDOW_OPEN);
    assert_true(stasis_vcpu_is_ready_for_interrupt(&rig.vcpu));
    stasis_vcpu_request_interrupt_window(&rig.vcpu, false);
    kvm_ok(stasis_vcpu_interrupt(&rig.vcpu, 0x21, &rig.err), &rig.err);
    rig_run(&rig, 3);
    assert_int_equal(rig.log[2].at, 0x82);
    rig_fini(&rig);
}

static void interrupt_256_einval(void)
{
    rig_init(&rig, RIG_NO_CHIPS);
    rig_refuses(&rig, stasis_vcpu_interrupt(&rig.vcpu, 256, &rig.err), EINVAL);
    rig_fini(&rig);
}

static void interrupt_with_irqchip_enxio(void)
{
    rig_init(&rig, RIG_CHIPS);
    rig_refuses(&rig, stasis_vcpu_interrupt(&rig.vcpu, 0x21, &rig.err), ENXIO);
    rig_fini(&rig);
}

static void interrupt_twice_with_split_irqchip_eexist(void)
{
    rig_init(&rig, RIG_SPLIT_CHIPS);
    kvm_ok(stasis_vcpu_interrupt(&rig.vcpu, 0x21, &rig.err), &rig.err);
    rig_refuses(&rig, stasis_vcpu_interrupt(&rig.vcpu, 0x22, &rig.err), EEXIST);
    rig_fini(&rig);
}

/* At the latest when it next enters the guest. */
static void nmi_reaches_its_vector(void)
{
    static const uint8_t handler[] = {0xe6, 0x82, 0xcf}; /* out 0x82, al; iret */
    unsigned count = 1;

    rig_init(&rig, RIG_CHIPS);
    rig_load(&rig, out_loop, sizeof(out_loop));
    memcpy(rig_ram(&rig, 0x1800), handler, sizeof(handler));
    rig_vector(&rig, 2, 0x1800);
    rig_run(&rig, count);
    kvm_ok(stasis_vcpu_nmi(&rig.vcpu, &rig.err), &rig.err);
    do {
        rig_run(&rig, ++count);
        assert_in_range(count, 0, RIG_LOG - 1);
    } while (rig.log[count - 1].at != 0x82);
    rig_run(&rig, count + 1); /* and its IRET leads back */
    assert_int_equal(rig.log[count].at, 0x80);
    rig_fini(&rig);
}

/* ---- capabilities ---- */

static void enable_feature_hyperv_synic(void)
{
    bool has_it;
    int rc;

    rig_init(&rig, RIG_CHIPS);
    has_it = stasis_kvm_cap(rig.vm.fd, KVM_CAP_HYPERV_SYNIC);
    rc = stasis_kvm_enable_cap(rig.vcpu.fd, KVM_CAP_HYPERV_SYNIC, NULL, &rig.err);
    if (has_it)
        kvm_ok(rc, &rig.err);
    else
        rig_refuses(&rig, rc, EINVAL);
    rig_fini(&rig);
    if (!has_it)
        kvm_case_skip("this KVM has no Hyper-V SynIC; it refuses it");
}

static void enable_feature_that_does_not_exist_einval(void)
{
    rig_init(&rig, RIG_NO_CHIPS);
    rig_refuses(&rig, stasis_kvm_enable_cap(rig.vcpu.fd, 9999, NULL, &rig.err), EINVAL);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(create_vcpu_maps_its_run_page),
        KVM_CASE(create_vcpu_same_id_eexist),
        KVM_CASE(create_vcpu_id_past_the_last_einval),
        KVM_CASE(a_duplicate_runs_the_vcpu_when_the_first_has_ended),
        KVM_CASE(real_run_addr_prints_and_stores),
        KVM_CASE(mmio_and_pio_are_four_accesses),
        KVM_CASE(immediate_exit_runs_no_guest_code),
        KVM_CASE(immediate_exit_is_set_by_a_signal_handler),
        KVM_CASE(set_signal_mask_lets_a_blocked_signal_end_the_run),
        KVM_CASE(signal_mask_of_16_bytes_einval),
        KVM_CASE(kvmclock_ctrl_without_kvmclock_is_success),
        KVM_CASE(interrupts_wait_for_the_window),
        KVM_CASE(interrupt_256_einval),
        KVM_CASE(interrupt_with_irqchip_enxio),
        KVM_CASE(interrupt_twice_with_split_irqchip_eexist),
        KVM_CASE(nmi_reaches_its_vector),
        KVM_CASE(enable_feature_hyperv_synic),
        KVM_CASE(enable_feature_that_does_not_exist_einval),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
