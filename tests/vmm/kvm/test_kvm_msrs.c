/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * MSRs and TSC of the real KVM: lists that stop in the middle, and values that have no effect.
 */
#include "vcpu_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/kvm_msrs.h"

#define PEBS_ENABLE 0x3f1
#define TSC_AUX     0xc0000103

static struct rig rig;

#define OK(call) kvm_ok(call, &rig.err)

static void start(void)
{
    rig_init(&rig, RIG_CHIPS);
}

/* PEBS_ENABLE, unless this host has it. */
static uint32_t refused_index(void)
{
    struct kvm_msr_entry entry = {.index = PEBS_ENABLE};

    return stasis_vcpu_get_msrs(&rig.vcpu, &entry, 1, &rig.err) ? PEBS_ENABLE : KVM_UNKNOWN_MSR;
}

static void get_msrs_stops_at_3f1_and_says_so(void)
{
    union {
        struct kvm_msrs header;
        uint8_t room[sizeof(struct kvm_msrs) + 3 * sizeof(struct kvm_msr_entry)];
    } raw = {.header.nmsrs = 3};
    struct kvm_msr_entry entries[3] = {{.index = 0x11e}, {.index = 0}, {.index = 0x10}};
    uint32_t count = 3;

    kvm_skip_if_msrs_are_ignored();
    start();
    entries[1].index = refused_index();
    memcpy(raw.header.entries, entries, sizeof(entries));
    assert_int_equal(stasis_kvm_ioctl(rig.vcpu.fd, KVM_GET_MSRS, &raw), 1);
    rig_refuses(&rig, stasis_vcpu_get_msrs(&rig.vcpu, entries, 3, &rig.err), EPERM);
    assert_non_null(strstr(rig.err.msg, "KVM does not read MSR 0x"));
    OK(stasis_vcpu_get_msrs_present(&rig.vcpu, entries, &count, &rig.err));
    assert_int_equal(count, 2);
    assert_int_equal(entries[0].index, 0x11e);
    assert_int_equal(entries[1].index, 0x10);
    rig_fini(&rig);
}

static void all_listed_msrs_are_read_in_one_go(void)
{
    struct kvm_msr_list *list = NULL;
    struct kvm_msr_entry entries[1024];
    uint32_t count;

    start();
    OK(stasis_kvm_msr_list(&rig.kvm, &list, &rig.err));
    count = list->nmsrs;
    assert_in_range(count, 2, 1024);
    for (uint32_t i = 0; i < count; i++)
        entries[i] = (struct kvm_msr_entry){.index = list->indices[i]};
    free(list);
    OK(stasis_vcpu_get_msrs_present(&rig.vcpu, entries, &count, &rig.err));
    assert_true(count >= 2);
    OK(stasis_vcpu_get_msrs(&rig.vcpu, entries, count, &rig.err));
    rig_fini(&rig);
}

static void set_msrs_is_read_back(void)
{
    const struct kvm_msr_entry sysenter[] = {{.index = 0x175, .data = 0x1000},
                                             {.index = 0x176, .data = 0x2000}};
    const struct kvm_msr_entry aux = {.index = TSC_AUX, .data = 42};
    struct kvm_msr_entry now[] = {{.index = 0x176}, {.index = 0x175}};
    struct kvm_msr_entry aux_now = {.index = TSC_AUX};

    start();
    OK(stasis_vcpu_set_msrs(&rig.vcpu, sysenter, 2, &rig.err));
    OK(stasis_vcpu_get_msrs(&rig.vcpu, now, 2, &rig.err));
    assert_int_equal(now[0].data, 0x2000);
    assert_int_equal(now[1].data, 0x1000);
    if (stasis_vcpu_set_msrs(&rig.vcpu, &aux, 1, &rig.err)) {
        assert_int_equal(rig.err.os_errno, EPERM);
        rig_fini(&rig);
        kvm_case_skip("this host has no TSC_AUX; SYSENTER's MSRs are read back");
    }
    OK(stasis_vcpu_get_msrs(&rig.vcpu, &aux_now, 1, &rig.err));
    assert_int_equal(aux_now.data, 42);
    rig_fini(&rig);
}

static void set_msr_unsupported_eperm(void)
{
    const struct kvm_msr_entry entries[] = {{.index = 0x175, .data = 0x1000},
                                            {.index = KVM_UNKNOWN_MSR, .data = 1},
                                            {.index = 0x176, .data = 0x2000}};
    struct kvm_msr_entry now[] = {{.index = 0x175}, {.index = 0x176}};

    kvm_skip_if_msrs_are_ignored();
    start();
    rig_refuses(&rig, stasis_vcpu_set_msrs(&rig.vcpu, entries, 3, &rig.err), EPERM);
    assert_string_equal(rig.err.msg, "KVM refuses MSR 0x550099 = 0x1 of vCPU 0");
    OK(stasis_vcpu_get_msrs(&rig.vcpu, now, 2, &rig.err));
    assert_int_equal(now[0].data, 0x1000); /* what came before it is set */
    assert_int_equal(now[1].data, 0);
    rig_fini(&rig);
}

static int accept(void *ctx, struct stasis_vcpu *vcpu, const struct kvm_msr_entry *entry,
                  struct stasis_error *err)
{
    (void)vcpu;
    (void)err;
    *(uint32_t *)ctx = entry->index;
    return 0;
}

static void a_refused_set_is_asked_about_and_the_next_is_set(void)
{
    const struct kvm_msr_entry entries[] = {{.index = KVM_UNKNOWN_MSR, .data = 1},
                                            {.index = 0x176, .data = 0x2000}};
    struct kvm_msr_entry now = {.index = 0x176};
    uint32_t refused = 0;

    kvm_skip_if_msrs_are_ignored();
    start();
    OK(stasis_vcpu_set_msrs_each(&rig.vcpu, entries, 2, accept, &refused, &rig.err));
    assert_int_equal(refused, KVM_UNKNOWN_MSR);
    OK(stasis_vcpu_get_msrs(&rig.vcpu, &now, 1, &rig.err));
    assert_int_equal(now.data, 0x2000);
    rig_fini(&rig);
}

/* ---- TSC ---- */

/* The value of the guest's own RDTSC. */
static uint64_t guest_tsc(void)
{
    static const uint8_t payload[] = {
        0x0f, 0x31, 0x66, 0xe7, 0x80,       /* rdtsc; out 0x80, eax */
        0x66, 0x89, 0xd0, 0x66, 0xe7, 0x80, /* mov eax, edx; out 0x80, eax */
        0xeb, 0xfe,
    };

    rig.count = 0;
    rig_load(&rig, payload, sizeof(payload));
    rig_run(&rig, 2);
    return rig.log[1].value << 32 | rig.log[0].value;
}

/* Between what is read before and after; the TSCs of two processors may differ a little. */
static void assert_guest_sees_tsc(void)
{
    const uint64_t slack = 250000000;
    uint64_t before = 0, after = 0, seen;

    OK(stasis_vcpu_get_tsc(&rig.vcpu, &before, &rig.err));
    seen = guest_tsc();
    OK(stasis_vcpu_get_tsc(&rig.vcpu, &after, &rig.err));
    assert_true(seen + slack > before);
    assert_true(seen < after + slack);
}

static void tsc_is_set_or_found_without_effect(void)
{
    uint64_t tsc = 0;
    int rc;

    start();
    assert_guest_sees_tsc();
    OK(stasis_vcpu_get_tsc(&rig.vcpu, &tsc, &rig.err));
    rc = stasis_vcpu_set_tsc(&rig.vcpu, tsc + (UINT64_C(1) << 50), &rig.err);
    if (rc) {
        assert_int_equal(rc, STASIS_ERR_UNAVAILABLE);
        rig_fini(&rig);
        kvm_case_skip("this KVM shows guests the host's TSC; that is found");
    }
    assert_guest_sees_tsc();
    OK(stasis_vcpu_get_tsc(&rig.vcpu, &tsc, &rig.err));
    assert_true(tsc >= UINT64_C(1) << 50);
    rig_fini(&rig);
}

static void tsc_offsets_are_seen_by_the_guest(void)
{
    int64_t offset = 0, now = 0;
    uint64_t before = 0, after = 0;
    int rc;

    start();
    rc = stasis_vcpu_get_tsc_offset(&rig.vcpu, &offset, &rig.err);
    if (!rc) {
        OK(stasis_vcpu_get_tsc(&rig.vcpu, &before, &rig.err));
        rc = stasis_vcpu_set_tsc_offset(&rig.vcpu, offset + (INT64_C(1) << 50), &rig.err);
    }
    if (rc) {
        assert_int_equal(rc, STASIS_ERR_UNAVAILABLE);
        rig_fini(&rig);
        kvm_case_skip("this KVM has no TSC offset, or one without effect; that is found");
    }
    OK(stasis_vcpu_get_tsc_offset(&rig.vcpu, &now, &rig.err));
    assert_true(now == offset + (INT64_C(1) << 50));
    OK(stasis_vcpu_get_tsc(&rig.vcpu, &after, &rig.err));
    assert_true(after - before >= UINT64_C(1) << 50);
    assert_guest_sees_tsc();
    rig_fini(&rig);
}

/* With TSC scaling every rate near the host's is taken; without, only higher ones are, if any. */
static void set_tsc_khz_twice_and_half(void)
{
    bool scales;
    uint32_t khz = 0, now = 0;
    int rc;

    start();
    scales = stasis_kvm_cap(rig.kvm.fd, KVM_CAP_TSC_CONTROL);
    OK(stasis_vcpu_get_tsc_khz(&rig.vcpu, &khz, &rig.err));
    assert_true(khz > 1000);
    OK(stasis_vcpu_set_tsc_khz(&rig.vcpu, khz, &rig.err));
    rc = stasis_vcpu_set_tsc_khz(&rig.vcpu, khz / 2, &rig.err);
    if (scales) {
        OK(rc);
        OK(stasis_vcpu_get_tsc_khz(&rig.vcpu, &now, &rig.err));
        assert_int_equal(now, khz / 2);
    } else {
        rig_refuses(&rig, rc, EINVAL);
    }
    rc = stasis_vcpu_set_tsc_khz(&rig.vcpu, khz * 2, &rig.err);
    if (rc != STASIS_ERR_UNAVAILABLE)
        OK(rc);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(get_msrs_stops_at_3f1_and_says_so),
        KVM_CASE(all_listed_msrs_are_read_in_one_go),
        KVM_CASE(set_msrs_is_read_back),
        KVM_CASE(set_msr_unsupported_eperm),
        KVM_CASE(a_refused_set_is_asked_about_and_the_next_is_set),
        KVM_CASE(tsc_is_set_or_found_without_effect),
        KVM_CASE(tsc_offsets_are_seen_by_the_guest),
        KVM_CASE(set_tsc_khz_twice_and_half),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
