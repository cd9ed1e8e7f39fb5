/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The state of a vCPU without KVM: which ioctl each call makes, and what is left when it fails.
 */
#include "vmm/kvm/failing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/kvm_vcpu_state.h"

static struct stasis_kvm kvm;
static const struct stasis_exit_ops ops;
static struct stasis_vm vm;
static struct stasis_vcpu vcpu;
static struct stasis_error err;
static int nested_size = sizeof(struct kvm_nested_state) + 100;
static int xsave2_size;
static uint32_t cpuid_entries;
static int sync_fields, run_errno;
static unsigned runs;
static uint32_t size_seen;

/* A KVM that can nest. */
static bool answer(unsigned long request, void *arg, int *ret_result)
{
    if (request == KVM_CHECK_EXTENSION && (uintptr_t)arg == KVM_CAP_NESTED_STATE) {
        *ret_result = nested_size;
        return true;
    }
    if (request == KVM_CHECK_EXTENSION && (uintptr_t)arg == KVM_CAP_XSAVE2 && xsave2_size) {
        *ret_result = xsave2_size;
        return true;
    }
    if (request == KVM_CHECK_EXTENSION && (uintptr_t)arg == KVM_CAP_SYNC_REGS) {
        *ret_result = sync_fields;
        return true;
    }
    if (request == KVM_RUN) {
        runs++;
        assert_int_equal(vcpu.run->immediate_exit, 1);
        assert_int_equal(vcpu.run->kvm_valid_regs, KVM_SYNC_X86_VALID_FIELDS);
        vcpu.run->s.regs.regs.rip = 0x1000 + runs;
        vcpu.run->exit_reason = KVM_EXIT_INTR;
        errno = run_errno;
        *ret_result = runs < 2 ? 0 : -1;
        return true;
    }
    if (request == KVM_GET_CPUID2 && cpuid_entries) {
        struct kvm_cpuid2 *cpuid = arg;

        *ret_result = 0;
        for (uint32_t i = 0; i < cpuid_entries; i++)
            cpuid->entries[i].function = i;
        return true; /* the count stays as it is, as with Linux 6.1 */
    }
    if (request == KVM_GET_NESTED_STATE)
        size_seen = ((struct kvm_nested_state *)arg)->size;
    return false;
}

/* With what KVM says now. */
static void remake_vcpu(void)
{
    stasis_vcpu_fini(&vcpu);
    assert_int_equal(stasis_vcpu_init(&vcpu, &vm, 0, &ops, NULL, &err), 0);
}

static int set_up(void **state)
{
    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answer};
    nested_size = sizeof(struct kvm_nested_state) + 100;
    xsave2_size = 0;
    cpuid_entries = 0;
    sync_fields = 7;
    run_errno = EINTR;
    runs = 0;
    if (stasis_kvm_open(&kvm, &err) || stasis_vm_create(&vm, &kvm, NULL, &err))
        return -1;
    return stasis_vcpu_init(&vcpu, &vm, 0, &ops, NULL, &err);
}

static int tear_down(void **state)
{
    (void)state;
    fake_kvm.fail_at = 0;
    stasis_vcpu_fini(&vcpu);
    stasis_vm_fini(&vm);
    stasis_kvm_close(&kvm);
    fake_kvm.answer = NULL;
    return 0;
}

/* ---- states of fixed size ---- */

static void assert_one_call(unsigned long request, size_t before)
{
    assert_int_equal(fake_kvm.count, before + 1);
    assert_int_equal(fake_kvm.calls[before], request);
}

static void fail_next(int os_errno)
{
    fake_kvm.fail_at = (unsigned)fake_kvm.count + 1;
    fake_kvm.fail_errno = os_errno;
}

static void assert_failed(int rc, int os_errno, const char *name)
{
    assert_int_equal(rc, STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, os_errno);
    assert_non_null(strstr(err.msg, name));
}

#define CHECK(name, type, get, set)                                                                \
    static void check_##name(void)                                                                 \
    {                                                                                              \
        struct type value;                                                                         \
        size_t before = fake_kvm.count;                                                            \
        int rc;                                                                                    \
                                                                                                   \
        assert_int_equal(stasis_vcpu_get_##name(&vcpu, &value, &err), 0);                          \
        assert_one_call(get, before);                                                              \
        before = fake_kvm.count;                                                                   \
        assert_int_equal(stasis_vcpu_set_##name(&vcpu, &value, &err), 0);                          \
        assert_one_call(set, before);                                                              \
        failing_fill(value);                                                                       \
        fail_next(EINVAL);                                                                         \
        rc = stasis_vcpu_get_##name(&vcpu, &value, &err);                                          \
        assert_failed(rc, EINVAL, #get);                                                           \
        failing_unchanged(rc, value);                                                              \
        fail_next(ENXIO);                                                                          \
        assert_failed(stasis_vcpu_set_##name(&vcpu, &value, &err), ENXIO, #set);                   \
    }
STASIS_VCPU_STATES(CHECK)
#undef CHECK

static void each_state_is_one_ioctl_and_names_it_when_it_fails(void **state)
{
    (void)state;
#define RUN(name, type, get, set) check_##name();
    STASIS_VCPU_STATES(RUN)
#undef RUN
}

/* ---- several by one call ---- */

static void registers_come_with_the_run_that_is_interrupted(void **state)
{
    struct kvm_sync_regs regs;

    (void)state;
    assert_int_equal(stasis_vcpu_get_sync_regs(&vcpu, &regs, &err), 0);
    assert_int_equal(runs, 2); /* the first one completed a part of an access */
    assert_int_equal(regs.regs.rip, 0x1002);
    assert_int_equal(vcpu.run->kvm_valid_regs, 0);
    assert_int_equal(vcpu.run->immediate_exit, 0);
}

static void registers_without_sync_regs_are_unavailable(void **state)
{
    struct kvm_sync_regs regs;

    (void)state;
    failing_fill(regs);
    for (sync_fields = 0; sync_fields < 7; sync_fields++) {
        int rc;

        remake_vcpu();
        rc = stasis_vcpu_get_sync_regs(&vcpu, &regs, &err);
        assert_int_equal(rc, STASIS_ERR_UNAVAILABLE);
        failing_unchanged(rc, regs);
    }
    assert_int_equal(runs, 0);
}

static void a_run_that_fails_gives_no_registers(void **state)
{
    struct kvm_sync_regs regs;
    int rc;

    (void)state;
    failing_fill(regs);
    run_errno = EFAULT;
    rc = stasis_vcpu_get_sync_regs(&vcpu, &regs, &err);
    assert_int_equal(rc, STASIS_ERR_GUEST);
    failing_unchanged(rc, regs);
    assert_int_equal(vcpu.run->kvm_valid_regs, 0);
    assert_int_equal(vcpu.run->immediate_exit, 0);
}

/* ---- LAPIC ---- */

static void lapic_registers_are_16_bytes_apart(void **state)
{
    struct kvm_lapic_state lapic = {.regs = {0}};
    static const uint8_t expected[4] = {0x44, 0x33, 0x22, 0x11};

    (void)state;
    for (unsigned i = 0; i < STASIS_LAPIC_REGS; i++)
        stasis_lapic_set_reg(&lapic, i, 0x100 + i);
    stasis_lapic_set_reg(&lapic, 2, 0x11223344);
    assert_memory_equal(lapic.regs + 32, expected, 4);
    assert_int_equal(lapic.regs[36], 0);
    assert_int_equal(stasis_lapic_reg(&lapic, 2), 0x11223344);
    assert_int_equal(stasis_lapic_reg(&lapic, 63), 0x13f);
    stasis_lapic_set_reg(&lapic, 64, 1); /* there is none */
    assert_int_equal(stasis_lapic_reg(&lapic, 64), 0);
    assert_int_equal(stasis_lapic_reg(&lapic, UINT32_MAX), 0);
}

/* ---- XSAVE ---- */

static void xsave_has_the_size_of_the_vm(void **state)
{
    static uint8_t area[16384];
    size_t size = 0;

    (void)state;
    xsave2_size = 8192;
    remake_vcpu();
    assert_int_equal(stasis_vm_xsave_size(&vm, &size, &err), 0);
    assert_int_equal(size, 8192);
    assert_int_equal(stasis_vcpu_get_xsave(&vcpu, area, 8192, &err), 0);
    assert_int_equal(fake_kvm.calls[fake_kvm.count - 1], KVM_GET_XSAVE2);
    assert_int_equal(stasis_vcpu_set_xsave(&vcpu, area, 8192, &err), 0);
    assert_int_equal(fake_kvm.calls[fake_kvm.count - 1], KVM_SET_XSAVE);
    fake_kvm.flaws = FAKE_KVM_NO_XSAVE2;
    xsave2_size = 0;
    remake_vcpu();
    assert_int_equal(stasis_vm_xsave_size(&vm, &size, &err), 0);
    assert_int_equal(size, sizeof(struct kvm_xsave));
    assert_int_equal(stasis_vcpu_get_xsave(&vcpu, area, size, &err), 0);
    assert_int_equal(fake_kvm.calls[fake_kvm.count - 1], KVM_GET_XSAVE);
}

static void xsave_of_another_size_is_refused(void **state)
{
    static const size_t wrong[] = {0, 512, 4095, 8191, 8193, 4096, SIZE_MAX};
    static uint8_t area[8192];

    (void)state;
    xsave2_size = 8192;
    remake_vcpu();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(stasis_vcpu_get_xsave(&vcpu, area, wrong[i], &err), STASIS_ERR_ARG);
        assert_int_equal(err.os_errno, EINVAL);
        assert_non_null(strstr(err.msg, "has 8192 bytes here"));
        assert_int_equal(stasis_vcpu_set_xsave(&vcpu, area, wrong[i], &err), STASIS_ERR_ARG);
    }
    assert_int_equal(fake_kvm_first(KVM_GET_XSAVE2), SIZE_MAX);
    assert_int_equal(fake_kvm_first(KVM_SET_XSAVE), SIZE_MAX);
}

static void xsave_that_no_cpu_has_is_an_error(void **state)
{
    size_t size = 7;

    (void)state;
    xsave2_size = 65537;
    assert_int_equal(stasis_vm_xsave_size(&vm, &size, &err), STASIS_ERR_KVM);
    assert_non_null(strstr(err.msg, "KVM_CAP_XSAVE2 asks for 65537 bytes"));
    assert_int_equal(size, 7);
    remake_vcpu();
    assert_int_equal(stasis_vcpu_get_xsave(&vcpu, &size, sizeof(size), &err), STASIS_ERR_KVM);
    xsave2_size = 65536;
    assert_int_equal(stasis_vm_xsave_size(&vm, &size, &err), 0);
    assert_int_equal(size, 65536);
}

/* ---- CPUID ---- */

static void a_cpuid_table_ends_with_its_last_entry(void **state)
{
    struct kvm_cpuid2 *cpuid = NULL;

    (void)state;
    cpuid_entries = 30;
    assert_int_equal(stasis_vcpu_get_cpuid(&vcpu, &cpuid, &err), 0);
    assert_int_equal(cpuid->nent, 30);
    assert_int_equal(cpuid->entries[29].function, 29);
    free(cpuid);
    cpuid_entries = 1; /* all zero: the same as none */
    assert_int_equal(stasis_vcpu_get_cpuid(&vcpu, &cpuid, &err), 0);
    assert_int_equal(cpuid->nent, 0);
    free(cpuid);
}

/* ---- nested virtualization ---- */

static void nested_state_has_the_size_that_kvm_says(void **state)
{
    struct kvm_nested_state *nested = NULL;

    (void)state;
    assert_int_equal(stasis_vcpu_get_nested(&vcpu, &nested, &err), 0);
    assert_int_equal(size_seen, sizeof(struct kvm_nested_state) + 100);
    assert_int_equal(stasis_vcpu_set_nested(&vcpu, nested, &err), 0);
    assert_int_equal(fake_kvm.calls[fake_kvm.count - 1], KVM_SET_NESTED_STATE);
    free(nested);
}

static void nested_state_is_unavailable_without_nesting(void **state)
{
    static const int none[] = {0, 1, sizeof(struct kvm_nested_state) - 1, 65537};
    const struct kvm_nested_state state_of_another = {.size = 128};
    struct kvm_nested_state *nested = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        nested_size = none[i];
        assert_int_equal(stasis_vcpu_get_nested(&vcpu, &nested, &err), STASIS_ERR_UNAVAILABLE);
        assert_null(nested);
        assert_int_equal(stasis_vcpu_set_nested(&vcpu, &state_of_another, &err),
                         STASIS_ERR_UNAVAILABLE);
    }
    assert_int_equal(fake_kvm_first(KVM_SET_NESTED_STATE), SIZE_MAX);
    nested_size = sizeof(struct kvm_nested_state);
    assert_int_equal(stasis_vcpu_get_nested(&vcpu, &nested, &err), 0);
    free(nested);
    nested_size = 65536;
    assert_int_equal(stasis_vcpu_get_nested(&vcpu, &nested, &err), 0);
    assert_int_equal(size_seen, 65536);
    free(nested);
}

/* ---- every call fails once ---- */

static int use_blocks(struct stasis_vcpu *of, struct stasis_error *error)
{
    struct kvm_cpuid2 *cpuid = NULL, *hyperv = NULL;
    struct kvm_nested_state *nested = NULL;
    static uint8_t area[4096];
    size_t size = 0;
    int rc = stasis_vm_xsave_size(of->vm, &size, error);

    if (!rc)
        rc = stasis_vcpu_get_xsave(of, area, size, error);
    if (!rc)
        rc = stasis_vcpu_set_xsave(of, area, size, error);
    if (!rc)
        rc = stasis_vcpu_get_cpuid(of, &cpuid, error);
    if (!rc)
        rc = stasis_vcpu_set_cpuid(of, cpuid, error);
    if (!rc)
        rc = stasis_vcpu_hyperv_cpuid(of, &hyperv, error);
    if (!rc)
        rc = stasis_vcpu_get_nested(of, &nested, error);
    if (!rc)
        rc = stasis_vcpu_set_nested(of, nested, error);
    assert_true(cpuid || rc);
    assert_true(nested || rc);
    free(cpuid);
    free(hyperv);
    free(nested);
    return rc;
}

static int use_state(struct stasis_error *error)
{
    struct stasis_kvm device = {.fd = -1};
    struct stasis_vm machine = {.fd = -1};
    struct stasis_vcpu own;
    int rc = stasis_kvm_open(&device, error);

    if (!rc)
        rc = stasis_vm_create(&machine, &device, NULL, error);
    if (!rc)
        rc = stasis_vcpu_init(&own, &machine, 0, &ops, NULL, error);
    if (!rc) {
        rc = use_blocks(&own, error);
        stasis_vcpu_fini(&own);
    }
    stasis_vm_fini(&machine);
    stasis_kvm_close(&device);
    return rc;
}

static void every_call_of_using_state_fails_once(void **state)
{
    (void)state;
    fake_kvm.answer = answer;
    failing_run(use_state, 0);
    failing_run(use_state, FAKE_KVM_NO_XSAVE2);
    fake_kvm.answer = NULL;
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_state_is_one_ioctl_and_names_it_when_it_fails),
        CASE(registers_come_with_the_run_that_is_interrupted),
        CASE(registers_without_sync_regs_are_unavailable),
        CASE(a_run_that_fails_gives_no_registers),
        CASE(lapic_registers_are_16_bytes_apart),
        CASE(xsave_has_the_size_of_the_vm),
        CASE(xsave_of_another_size_is_refused),
        CASE(xsave_that_no_cpu_has_is_an_error),
        CASE(a_cpuid_table_ends_with_its_last_entry),
        CASE(nested_state_has_the_size_that_kvm_says),
        CASE(nested_state_is_unavailable_without_nesting),
        cmocka_unit_test(every_call_of_using_state_fails_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
