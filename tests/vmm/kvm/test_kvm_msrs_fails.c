/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Lists of MSRs and the TSC on a KVM that is made up: it refuses registers in the middle of a list,
 * and takes values that have no effect.
 */
#include "vmm/kvm/failing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "stasis/kvm_msrs.h"

#define KHZ     2000000
#define MANY    600 /* three batches */
#define REFUSED 0xbad
#define MSR_TSC 0x10
#define UNTOLD  77

static struct stasis_kvm kvm;
static const struct stasis_exit_ops ops;
static struct stasis_vm vm;
static struct stasis_vcpu vcpu;
static struct stasis_error err;

/* The made-up KVM. */
static struct {
    bool keeps_tsc, keeps_offset, keeps_khz, boasts, stands; /* the TSC: it does not count */
    uint64_t tsc_off; /* of one that stands, from what was set */
    uint64_t tsc_set;
    int khz;
    int64_t offset;
    uint64_t tsc_ahead; /* of the host's */
    unsigned calls;
    uint32_t largest;
    uint64_t last_set[8]; /* of the registers 0x100 to 0x107 */
} fake;

static bool refuses(const struct kvm_msr_entry *entry)
{
    return entry->index == REFUSED;
}

static uint64_t read_tsc(void)
{
    return fake.stands ? fake.tsc_set + fake.tsc_off : __rdtsc() + fake.tsc_ahead;
}

static int get_msrs(struct kvm_msrs *msrs)
{
    uint32_t i = 0;

    for (; i < msrs->nmsrs && !refuses(&msrs->entries[i]); i++)
        msrs->entries[i].data =
            msrs->entries[i].index == MSR_TSC ? read_tsc() : msrs->entries[i].index + 1000;
    return (int)i;
}

static int set_msrs(const struct kvm_msrs *msrs)
{
    uint32_t i = 0;

    for (; i < msrs->nmsrs && !refuses(&msrs->entries[i]); i++) {
        if (msrs->entries[i].index == MSR_TSC && !fake.keeps_tsc) {
            fake.tsc_ahead = msrs->entries[i].data - __rdtsc();
            fake.tsc_set = msrs->entries[i].data;
        }
        if (msrs->entries[i].index >= 0x100 && msrs->entries[i].index < 0x108)
            fake.last_set[msrs->entries[i].index - 0x100] = msrs->entries[i].data;
    }
    return (int)i;
}

static int offset_attr(unsigned long request, const struct kvm_device_attr *attr)
{
    int64_t *at = (int64_t *)(uintptr_t)attr->addr;

    if (request == KVM_GET_DEVICE_ATTR)
        *at = fake.offset;
    else if (!fake.keeps_offset)
        fake.offset = *at;
    return 0;
}

static bool answer(unsigned long request, void *arg, int *ret_result)
{
    fake.calls++;
    switch (request) {
    case KVM_GET_MSRS:
    case KVM_SET_MSRS:
        if (((struct kvm_msrs *)arg)->nmsrs > fake.largest)
            fake.largest = ((struct kvm_msrs *)arg)->nmsrs;
        *ret_result = request == KVM_GET_MSRS ? get_msrs(arg) : set_msrs(arg);
        if (fake.boasts)
            (*ret_result)++;
        return true;
    case KVM_GET_DEVICE_ATTR:
    case KVM_SET_DEVICE_ATTR:
        *ret_result = offset_attr(request, arg);
        return true;
    case KVM_SET_TSC_KHZ:
        if (!fake.keeps_khz)
            fake.khz = (int)(uintptr_t)arg;
        *ret_result = 0;
        return true;
    case KVM_GET_TSC_KHZ:
        *ret_result = fake.khz;
        return true;
    default:
        return false;
    }
}

static int set_up(void **state)
{
    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answer};
    if (stasis_kvm_open(&kvm, &err) || stasis_vm_create(&vm, &kvm, NULL, &err) ||
        stasis_vcpu_init(&vcpu, &vm, 3, &ops, NULL, &err))
        return -1;
    memset(&fake, 0, sizeof(fake));
    fake.khz = KHZ;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_kvm = (struct fake_kvm){.answer = NULL};
    stasis_vcpu_fini(&vcpu);
    stasis_vm_fini(&vm);
    stasis_kvm_close(&kvm);
    return 0;
}

static struct kvm_msr_entry entries[MANY], before[MANY];

/* Registers 0x100 and up, those at the places given refused. */
static void fill(const uint32_t *refused, size_t count)
{
    for (uint32_t i = 0; i < MANY; i++)
        entries[i] = (struct kvm_msr_entry){.index = 0x100 + i, .data = UNTOLD};
    for (size_t i = 0; i < count; i++)
        entries[refused[i]].index = REFUSED;
    memcpy(before, entries, sizeof(before));
}

static void fail_next(int os_errno)
{
    fake_kvm.fail_at = (unsigned)fake_kvm.count + 1;
    fake_kvm.fail_errno = os_errno;
}

/* ---- get ---- */

static void lists_of_any_length_are_read(void **state)
{
    (void)state;
    fill(NULL, 0);
    assert_int_equal(stasis_vcpu_get_msrs(&vcpu, entries, MANY, &err), 0);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(entries[i].data, 0x100 + i + 1000);
    assert_int_equal(fake.calls, 3);
    assert_int_equal(fake.largest, 255); /* KVM answers E2BIG to 256 */
    assert_int_equal(stasis_vcpu_get_msrs(&vcpu, NULL, 0, &err), 0);
    assert_int_equal(fake.calls, 3);
}

static void a_get_that_is_refused_names_the_register(void **state)
{
    static const uint32_t places[] = {0, 1, 254, 255, 599};

    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        fill(&places[i], 1);
        assert_int_equal(stasis_vcpu_get_msrs(&vcpu, entries, MANY, &err), STASIS_ERR_KVM);
        assert_int_equal(err.os_errno, EPERM);
        assert_non_null(strstr(err.msg, "KVM does not read MSR 0xbad of vCPU 3"));
        assert_memory_equal(entries, before, sizeof(before));
    }
    fill(NULL, 0);
    fail_next(EFAULT);
    assert_int_equal(stasis_vcpu_get_msrs(&vcpu, entries, MANY, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EFAULT);
    assert_memory_equal(entries, before, sizeof(before));
}

static void what_is_present_is_read(void **state)
{
    static const uint32_t places[] = {0, 1, 254, 255, 256, 599};
    uint32_t count = MANY, kept = 0;

    (void)state;
    fill(places, 6);
    assert_int_equal(stasis_vcpu_get_msrs_present(&vcpu, entries, &count, &err), 0);
    assert_int_equal(count, MANY - 6);
    for (uint32_t i = 0; i < MANY; i++) {
        if (before[i].index == REFUSED)
            continue;
        assert_int_equal(entries[kept].index, 0x100 + i);
        assert_int_equal(entries[kept++].data, 0x100 + i + 1000);
    }
    entries[0].index = REFUSED;
    count = 1;
    assert_int_equal(stasis_vcpu_get_msrs_present(&vcpu, entries, &count, &err), 0);
    assert_int_equal(count, 0);
    count = MANY;
    fill(places, 6);
    fail_next(EFAULT);
    fake_kvm.fail_at++; /* the second batch */
    assert_int_equal(stasis_vcpu_get_msrs_present(&vcpu, entries, &count, &err), STASIS_ERR_KVM);
    assert_int_equal(count, MANY);
    assert_memory_equal(entries, before, sizeof(before));
}

static void a_kvm_that_did_more_than_it_was_asked_is_not_believed(void **state)
{
    uint32_t count = 5;

    (void)state;
    fill(NULL, 0);
    fake.boasts = true;
    assert_int_equal(stasis_vcpu_get_msrs_present(&vcpu, entries, &count, &err), STASIS_ERR_KVM);
    assert_non_null(strstr(err.msg, "6 of 5 MSRs"));
    assert_int_equal(stasis_vcpu_set_msrs(&vcpu, entries, 5, &err), STASIS_ERR_KVM);
}

/* ---- set ---- */

static void a_partial_set_names_the_register(void **state)
{
    static const uint32_t places[] = {0, 2, 254, 255, 599};

    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        memset(fake.last_set, 0, sizeof(fake.last_set));
        fill(&places[i], 1);
        assert_int_equal(stasis_vcpu_set_msrs(&vcpu, entries, MANY, &err), STASIS_ERR_KVM);
        assert_int_equal(err.os_errno, EPERM);
        assert_non_null(strstr(err.msg, "KVM refuses MSR 0xbad = 0x4d of vCPU 3"));
        assert_int_equal(fake.last_set[1], places[i] > 1 ? UNTOLD : 0);
        assert_int_equal(fake.last_set[7], places[i] > 7 ? UNTOLD : 0);
    }
    fill(NULL, 0);
    assert_int_equal(stasis_vcpu_set_msrs(&vcpu, entries, MANY, &err), 0);
    fail_next(EFAULT);
    assert_int_equal(stasis_vcpu_set_msrs(&vcpu, entries, MANY, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EFAULT);
}

static unsigned asked;

static int accept(void *ctx, struct stasis_vcpu *from, const struct kvm_msr_entry *entry,
                  struct stasis_error *error)
{
    assert_ptr_equal(ctx, &asked);
    assert_ptr_equal(from, &vcpu);
    assert_int_equal(entry->index, REFUSED);
    asked++;
    return asked == 4 ? stasis_fail(error, STASIS_ERR_RANGE, "enough") : 0;
}

static void each_refusal_is_asked_about(void **state)
{
    static const uint32_t places[] = {0, 1, 4};

    (void)state;
    asked = 0;
    fill(places, 3);
    assert_int_equal(stasis_vcpu_set_msrs_each(&vcpu, entries, MANY, accept, &asked, &err), 0);
    assert_int_equal(asked, 3);
    assert_int_equal(fake.last_set[2], UNTOLD);
    assert_int_equal(fake.last_set[7], UNTOLD);
    memset(fake.last_set, 0, sizeof(fake.last_set));
    assert_int_equal(stasis_vcpu_set_msrs_each(&vcpu, entries, MANY, accept, &asked, &err),
                     STASIS_ERR_RANGE);
    assert_string_equal(err.msg, "enough");
    assert_int_equal(fake.last_set[7], 0);
}

/* ---- TSC ---- */

static void a_tsc_that_moves_is_set(void **state)
{
    uint64_t tsc = 0;

    (void)state;
    assert_int_equal(stasis_vcpu_set_tsc(&vcpu, 5, &err), 0);
    assert_int_equal(stasis_vcpu_get_tsc(&vcpu, &tsc, &err), 0);
    assert_true(tsc >= 5 && tsc < __rdtsc());
    assert_int_equal(stasis_vcpu_set_tsc(&vcpu, UINT64_C(1) << 62, &err), 0);
}

static void a_tsc_without_effect_is_found(void **state)
{
    (void)state;
    fake.keeps_tsc = true;
    assert_int_equal(stasis_vcpu_set_tsc(&vcpu, UINT64_C(1) << 62, &err), STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "KVM takes a value of the guest's TSC, and nothing changes"));
    /* What it shows anyway is no fault. */
    assert_int_equal(stasis_vcpu_set_tsc(&vcpu, __rdtsc(), &err), 0);
}

/* What setting a TSC of 1 << 62 returns that then is so far off, of a call that takes less than
 * `ticks` of the host. */
static int set_off(uint64_t off, uint64_t ticks)
{
    uint64_t begin;
    int rc;

    fake.tsc_off = off;
    do {
        begin = __rdtsc();
        rc = stasis_vcpu_set_tsc(&vcpu, UINT64_C(1) << 62, &err);
    } while (__rdtsc() - begin >= ticks);
    return rc;
}

/* Two seconds, and what has passed; at a rate so high that a thousandth of it takes the host
 * longer than the call. */
static void a_tsc_may_be_two_seconds_off(void **state)
{
    const uint64_t khz = INT32_MAX, limit = 2 * 1000 * khz;

    (void)state;
    fake.stands = true;
    fake.khz = (int)khz;
    assert_int_equal(set_off(limit, khz / 4), 0);
    assert_int_equal(set_off(-limit, khz / 4), 0);
    assert_int_equal(set_off(limit + khz, khz / 4), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(set_off(-limit - khz, khz / 4), STASIS_ERR_UNAVAILABLE);
}

static void an_offset_without_effect_is_found(void **state)
{
    int64_t offset = 0;

    (void)state;
    assert_int_equal(stasis_vcpu_set_tsc_offset(&vcpu, -500, &err), 0);
    assert_int_equal(stasis_vcpu_get_tsc_offset(&vcpu, &offset, &err), 0);
    assert_int_equal(offset, -500);
    fake.keeps_offset = true;
    assert_int_equal(stasis_vcpu_set_tsc_offset(&vcpu, 7, &err), STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "KVM takes an offset"));
    assert_int_equal(stasis_vcpu_set_tsc_offset(&vcpu, -500, &err), 0);
}

static void an_offset_that_kvm_has_not_is_unavailable(void **state)
{
    static const int none[] = {ENXIO, ENOTTY, EINVAL};
    int64_t offset = UNTOLD;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        fail_next(none[i]);
        assert_int_equal(stasis_vcpu_get_tsc_offset(&vcpu, &offset, &err), STASIS_ERR_UNAVAILABLE);
        assert_int_equal(err.os_errno, none[i]);
        fail_next(none[i]);
        assert_int_equal(stasis_vcpu_set_tsc_offset(&vcpu, 5, &err), STASIS_ERR_UNAVAILABLE);
    }
    fail_next(EFAULT);
    assert_int_equal(stasis_vcpu_get_tsc_offset(&vcpu, &offset, &err), STASIS_ERR_KVM);
    assert_int_equal(offset, UNTOLD);
}

static void a_rate_is_read_back(void **state)
{
    uint32_t khz = UNTOLD;

    (void)state;
    assert_int_equal(stasis_vcpu_set_tsc_khz(&vcpu, KHZ / 2, &err), 0);
    assert_int_equal(stasis_vcpu_get_tsc_khz(&vcpu, &khz, &err), 0);
    assert_int_equal(khz, KHZ / 2);
    fake.keeps_khz = true;
    assert_int_equal(stasis_vcpu_set_tsc_khz(&vcpu, KHZ, &err), STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "KVM takes a rate"));
    fake.khz = 0;
    khz = UNTOLD;
    assert_int_equal(stasis_vcpu_get_tsc_khz(&vcpu, &khz, &err), STASIS_ERR_KVM);
    assert_int_equal(khz, UNTOLD);
    fail_next(EINVAL);
    assert_int_equal(stasis_vcpu_set_tsc_khz(&vcpu, KHZ, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EINVAL);
}

/* ---- every call fails once ---- */

static int use(struct stasis_vcpu *of, struct stasis_error *error)
{
    uint32_t count = MANY, khz = 0;
    uint64_t tsc = 0;
    int64_t offset = 0;
    int rc;

    fill(NULL, 0);
    rc = stasis_vcpu_get_msrs(of, entries, MANY, error);
    if (rc)
        assert_memory_equal(entries, before, sizeof(before));
    if (!rc)
        rc = stasis_vcpu_get_msrs_present(of, entries, &count, error);
    if (!rc)
        rc = stasis_vcpu_set_msrs(of, entries, count, error);
    if (!rc)
        rc = stasis_vcpu_get_tsc(of, &tsc, error);
    if (!rc)
        rc = stasis_vcpu_set_tsc(of, tsc, error);
    if (!rc)
        rc = stasis_vcpu_get_tsc_offset(of, &offset, error);
    if (!rc)
        rc = stasis_vcpu_set_tsc_offset(of, offset, error);
    if (!rc)
        rc = stasis_vcpu_get_tsc_khz(of, &khz, error);
    return rc ? rc : stasis_vcpu_set_tsc_khz(of, khz, error);
}

static int use_msrs(struct stasis_error *error)
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
        rc = use(&own, error);
        stasis_vcpu_fini(&own);
    }
    stasis_vm_fini(&machine);
    stasis_kvm_close(&device);
    return rc;
}

static void every_call_of_using_msrs_fails_once(void **state)
{
    (void)state;
    failing_run(use_msrs, 0);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(lists_of_any_length_are_read),
        CASE(a_get_that_is_refused_names_the_register),
        CASE(what_is_present_is_read),
        CASE(a_kvm_that_did_more_than_it_was_asked_is_not_believed),
        CASE(a_partial_set_names_the_register),
        CASE(each_refusal_is_asked_about),
        CASE(a_tsc_that_moves_is_set),
        CASE(a_tsc_without_effect_is_found),
        CASE(a_tsc_may_be_two_seconds_off),
        CASE(an_offset_without_effect_is_found),
        CASE(an_offset_that_kvm_has_not_is_unavailable),
        CASE(a_rate_is_read_back),
        CASE(every_call_of_using_msrs_fails_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
