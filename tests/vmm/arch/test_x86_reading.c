/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * How many calls of KVM the reading of a vCPU takes, on a KVM that counts them.
 */
#include "support/cmocka_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/ser.h"
#include "support/fake_kvm.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/machine/board.h"
#include "vmm/machine/machine.h"

static struct stasis_machine machine;
static struct kvm_sync_regs synced; /* what KVM_RUN gives */
static bool has_sync;

static bool answer(unsigned long request, void *arg, int *ret_result)
{
    struct kvm_msrs *msrs = arg;

    switch (request) {
    case KVM_CHECK_EXTENSION:
        *ret_result = has_sync ? KVM_SYNC_X86_VALID_FIELDS : 0;
        return (uintptr_t)arg == KVM_CAP_SYNC_REGS;
    case KVM_RUN:
        machine.vcpus[0].run->s.regs = synced;
        errno = EINTR;
        *ret_result = -1;
        return true;
    case KVM_GET_MSRS: /* an odd register is not there */
        for (*ret_result = 0; (uint32_t)*ret_result < msrs->nmsrs; ++*ret_result) {
            if (msrs->entries[*ret_result].index % 2)
                break;
        }
        return true;
    default:
        return false;
    }
}

static int build(void)
{
    const struct stasis_board_options options = {
        .memory_bytes = 1 << 20, .vcpus = 1, .cpu_model = "host"};
    static const struct stasis_device_host host;
    struct stasis_board_state board;
    struct stasis_error err;

    assert_int_equal(stasis_board_default(&options, &board, &err), 0);
    board.devices_count = 0;
    return stasis_machine_build(&machine, &board, &host, &err);
}

/* With what KVM says now. */
static void rebuild(void)
{
    stasis_machine_fini(&machine);
    assert_int_equal(build(), 0);
}

static int set_up(void **state)
{
    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answer};
    has_sync = true;
    memset(&synced, 0, sizeof(synced));
    synced.regs.rip = 0x1234;
    synced.sregs.cr2 = 0x5678;
    synced.events.nmi.masked = 1;
    return build();
}

static int tear_down(void **state)
{
    (void)state;
    stasis_machine_fini(&machine);
    return 0;
}

static struct stasis_x86_regs_state regs;
static struct stasis_x86_sregs_state sregs;
static struct stasis_x86_events_state events;

/* All records, in the order of a freeze. */
static void read_all(void)
{
    static const struct {
        const struct stasis_schema *schema;
        void *state;
    } kept[] = {{&stasis_x86_regs_schema, &regs},
                {&stasis_x86_sregs_schema, &sregs},
                {&stasis_x86_events_schema, &events}};
    struct stasis_error err;

    fake_kvm.count = 0;
    for (size_t i = 0; stasis_arch_vcpu_save_order[i]; i++) {
        const struct stasis_arch_vcpu_record *part = stasis_arch_vcpu_save_order[i];
        void *state = calloc(1, part->schema->size);

        assert_non_null(state);
        stasis_state_init(part->schema, state);
        if (part->get(&machine.vcpus[0], state, &err))
            fail_msg("%s", err.msg);
        for (size_t k = 0; k < sizeof(kept) / sizeof(kept[0]); k++) {
            if (kept[k].schema == part->schema)
                memcpy(kept[k].state, state, part->schema->size);
        }
        free(state);
    }
}

static bool asked(unsigned long request)
{
    return fake_kvm_first(request) != SIZE_MAX;
}

static unsigned count(unsigned long request)
{
    unsigned found = 0;

    for (size_t i = 0; i < fake_kvm.count; i++)
        found += fake_kvm.calls[i] == request;
    return found;
}

static void one_run_gives_three_states(void **state)
{
    (void)state;
    stasis_arch_vcpu_read_begin(&machine.vcpus[0]);
    read_all();
    stasis_arch_vcpu_read_end(&machine.vcpus[0]);
    assert_int_equal(count(KVM_RUN), 1);
    assert_true(fake_kvm_first(KVM_GET_MP_STATE) < fake_kvm_first(KVM_RUN));
    assert_false(asked(KVM_GET_REGS) || asked(KVM_GET_SREGS) || asked(KVM_GET_SREGS2) ||
                 asked(KVM_GET_VCPU_EVENTS));
    assert_int_equal(regs.rip, 0x1234);
    assert_int_equal(sregs.cr2, 0x5678);
    assert_int_equal(sregs.pdptrs_valid, 0);
    assert_int_equal(events.nmi_masked, 1);
}

static void each_state_is_read_by_itself(void)
{
    assert_false(asked(KVM_RUN));
    assert_true(asked(KVM_GET_REGS) && asked(KVM_GET_SREGS2) && asked(KVM_GET_VCPU_EVENTS));
}

static void states_are_read_by_themselves_otherwise(void **state)
{
    (void)state;
    read_all();
    each_state_is_read_by_itself();
    stasis_arch_vcpu_read_begin(&machine.vcpus[0]);
    read_all();
    stasis_arch_vcpu_read_end(&machine.vcpus[0]);
    read_all(); /* what was read before is not taken for what is now */
    each_state_is_read_by_itself();
    has_sync = false;
    rebuild();
    stasis_arch_vcpu_read_begin(&machine.vcpus[0]);
    read_all();
    stasis_arch_vcpu_read_end(&machine.vcpus[0]);
    each_state_is_read_by_itself();
}

/* Memory for all records, full of `fill`. */
struct parts {
    void *list[32];
    size_t count;
};

static struct parts new_parts(int fill)
{
    struct parts parts = {.count = 0};

    for (; stasis_arch_vcpu_save_order[parts.count]; parts.count++) {
        size_t size = stasis_arch_vcpu_save_order[parts.count]->schema->size;

        assert_in_range(parts.count, 0, 31);
        parts.list[parts.count] = malloc(size);
        assert_non_null(parts.list[parts.count]);
        memset(parts.list[parts.count], fill, size);
    }
    return parts;
}

static void free_parts(struct parts *parts)
{
    while (parts->count)
        free(parts->list[--parts->count]);
}

/* As the thread of a vCPU in a freeze. Allocations count as calls, too. */
static void read_into(const struct parts *parts)
{
    struct stasis_error err;

    fake_kvm.count = 0;
    fake_kvm.counts_system = true;
    stasis_arch_vcpu_read_begin(&machine.vcpus[0]);
    for (size_t i = 0; i < parts->count; i++) {
        if (stasis_arch_vcpu_save_order[i]->get(&machine.vcpus[0], parts->list[i], &err))
            fail_msg("%s", err.msg);
    }
    stasis_arch_vcpu_read_end(&machine.vcpus[0]);
    fake_kvm.counts_system = false;
}

/* From the second time on: the first finds out what there is. */
static void reading_again_takes_these_calls_and_no_other(void **state)
{
    static const unsigned long calls[] = {KVM_GET_MP_STATE, KVM_RUN,           KVM_GET_XSAVE,
                                          KVM_GET_XCRS,     KVM_GET_DEBUGREGS, KVM_GET_MSRS,
                                          KVM_GET_LAPIC};
    struct parts parts = new_parts(0);

    (void)state;
    read_into(&parts);
    read_into(&parts);
    assert_int_equal(fake_kvm.count, sizeof(calls) / sizeof(calls[0]));
    assert_memory_equal(fake_kvm.calls, calls, sizeof(calls));
    free_parts(&parts);
}

static uint8_t *encode(const struct parts *parts, size_t *ret_len)
{
    struct stasis_records *records = stasis_records_new();
    struct stasis_error err;
    uint8_t *bytes = NULL;

    assert_non_null(records);
    for (size_t i = 0; i < parts->count; i++) {
        if (stasis_records_add(records, stasis_arch_vcpu_save_order[i]->schema, "cpu0",
                               parts->list[i], &err))
            fail_msg("%s", err.msg);
    }
    assert_int_equal(stasis_records_encode(records, &bytes, ret_len, &err), 0);
    stasis_records_free(records);
    return bytes;
}

static void what_was_in_the_memory_before_is_not_saved(void **state)
{
    struct parts clean = new_parts(0), dirty = new_parts(0xa5);
    size_t clean_len = 0, dirty_len = 0;
    uint8_t *clean_bytes, *dirty_bytes;

    (void)state;
    for (int with_sync = 0; with_sync < 2; with_sync++) {
        has_sync = with_sync;
        rebuild();
        read_into(&clean);
        read_into(&dirty);
        clean_bytes = encode(&clean, &clean_len);
        dirty_bytes = encode(&dirty, &dirty_len);
        assert_int_equal(clean_len, dirty_len);
        assert_memory_equal(clean_bytes, dirty_bytes, clean_len);
        free(clean_bytes);
        free(dirty_bytes);
        for (size_t i = 0; i < dirty.count; i++)
            memset(dirty.list[i], 0xa5, stasis_arch_vcpu_save_order[i]->schema->size);
    }
    free_parts(&clean);
    free_parts(&dirty);
}

/* Another rate is another answer of KVM. */
static void the_tsc_rate_is_asked_for_again_after_it_was_set(void **state)
{
    struct stasis_x86_tsc_state rate = {.khz = 0}, other;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_x86_tsc_part.get(&machine.vcpus[0], &rate, &err), 0);
    assert_int_equal(stasis_x86_tsc_part.get(&machine.vcpus[0], &rate, &err), 0);
    assert_int_equal(count(KVM_GET_TSC_KHZ), 1);
    other.khz = rate.khz * 2;
    assert_int_equal(stasis_x86_tsc_part.set(&machine.vcpus[0], &other, &err), 0);
    assert_true(asked(KVM_SET_TSC_KHZ));
    assert_int_equal(stasis_x86_tsc_part.get(&machine.vcpus[0], &rate, &err), 0);
    assert_int_equal(rate.khz, other.khz);
}

/* KVM_RUN does not give the page directory pointers of PAE paging. */
static void a_guest_with_pae_paging_is_asked_for_its_pdptrs(void **state)
{
    static const struct {
        uint64_t cr0, cr4, efer;
        bool asks;
    } cases[] = {
        {0x80000001, 0x20, 0, true},
        {0x80000001, 0x20, 0x500, false}, /* long mode */
        {0x80000001, 0, 0, false},
        {1, 0x20, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        synced.sregs.cr0 = cases[i].cr0;
        synced.sregs.cr4 = cases[i].cr4;
        synced.sregs.efer = cases[i].efer;
        stasis_arch_vcpu_read_begin(&machine.vcpus[0]);
        read_all();
        stasis_arch_vcpu_read_end(&machine.vcpus[0]);
        assert_int_equal(asked(KVM_GET_SREGS2), cases[i].asks);
        assert_false(asked(KVM_GET_REGS) || asked(KVM_GET_SREGS));
    }
}

/* Each that is not there ends a call. */
static void registers_that_are_not_there_are_asked_for_once(void **state)
{
    const struct stasis_x86_cpuid_state cpuid = stasis_x86_of(&machine.vcpus[0])->cpuid;
    struct stasis_error err;
    unsigned first;

    (void)state;
    read_all();
    first = count(KVM_GET_MSRS);
    assert_true(first > 10);
    read_all();
    assert_int_equal(count(KVM_GET_MSRS), 1);
    assert_false(asked(KVM_GET_MSR_INDEX_LIST));
    /* Another CPUID can have others. */
    assert_int_equal(stasis_x86_cpuid_part.set(&machine.vcpus[0], &cpuid, &err), 0);
    read_all();
    assert_int_equal(count(KVM_GET_MSRS), first);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(one_run_gives_three_states),
        CASE(states_are_read_by_themselves_otherwise),
        CASE(reading_again_takes_these_calls_and_no_other),
        CASE(what_was_in_the_memory_before_is_not_saved),
        CASE(the_tsc_rate_is_asked_for_again_after_it_was_set),
        CASE(a_guest_with_pae_paging_is_asked_for_its_pdptrs),
        CASE(registers_that_are_not_there_are_asked_for_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
