/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Snapshots that are whole, but that this release or this host must not run.
 */
#include "vmm/kvm_guest.h"

#include <stdio.h>
#include <string.h>

#include "vmm/arch/x86/x86.h"

static struct kvm_guest guest;
static const struct stasis_thaw_options as_it_was = {.clock = STASIS_CLOCK_CONTINUE};

static void begin(const struct stasis_board_state *board)
{
    kvm_guest_init(&guest, board);
    kvm_guest_real(&guest, kvm_spinning, sizeof(kvm_spinning));
}

/* Thaws what the tamper made of a good machine. */
static int thaw_tampered(const struct kvm_tamper *tamper, const struct stasis_thaw_options *options,
                         struct stasis_error *err)
{
    struct stasis_snap *snap;
    int rc;

    begin(NULL);
    snap = kvm_freeze(&guest, tamper);
    kvm_guest_fini(&guest);
    rc = kvm_try_thaw(&guest, snap, options, err);
    stasis_snap_free(snap);
    return rc;
}

/* ...before the first VM is made, if `early`. */
static void assert_refused(const struct kvm_tamper *tamper, int code, int status, bool early,
                           const char *words)
{
    struct stasis_error err;
    unsigned fds = kvm_open_fds();

    if (thaw_tampered(tamper, &as_it_was, &err) == 0)
        fail_msg("thawed though it should say \"%s\"", words);
    assert_int_equal(err.code, code);
    if (early)
        assert_int_equal(guest.machine.board.vcpus, 0);
    assert_int_equal(stasis_err_exit_status(code), status);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
    assert_null(strchr(err.msg, '\n'));
    assert_int_equal(kvm_open_fds(), fds);
}

static void nothing_tampered_is_thawed(void)
{
    const struct kvm_tamper none = {.arch = STASIS_ARCH_X86_64};
    struct stasis_error err;

    kvm_ok(thaw_tampered(&none, &as_it_was, &err), &err);
    kvm_guest_fini(&guest);
}

static bool drop_type(void *ctx, const struct stasis_schema *schema, const char *instance,
                      void *state)
{
    (void)instance, (void)state;
    return strcmp(schema->type, ctx) != 0;
}

/* The board of the test has no other device of virtio than the entropy device. The record
 * of an overlay is no machine's. */
static bool may_be_missing(const struct stasis_schema *schema)
{
    return schema == &stasis_disk_schema ||
           (!strncmp(schema->type, "stasis.virtio_", strlen("stasis.virtio_")) &&
            schema != &stasis_virtio_rng_schema);
}

/* Each record in turn. */
static void missing_records(void)
{
    size_t count;
    const struct stasis_schema *const *all = stasis_schema_all(&count);

    for (size_t i = 0; i < count; i++) {
        char type[STASIS_TYPE_MAX + 1];
        const struct kvm_tamper tamper = {.record = drop_type, .ctx = type};

        if (may_be_missing(all[i]))
            continue;
        snprintf(type, sizeof(type), "%s", all[i]->type);
        assert_refused(&tamper, STASIS_ERR_CORRUPT, 3, true, type);
    }
}

static void extra_record(void)
{
    const struct kvm_tamper tamper = {.extra = &stasis_serial_schema};

    assert_refused(&tamper, STASIS_ERR_CORRUPT, 3, true, "28 records where its board needs 27");
}

static void other_ram(void)
{
    const struct kvm_tamper tamper = {.ram_cut = STASIS_PAGE_SIZE};

    assert_refused(&tamper, STASIS_ERR_CORRUPT, 3, true, "not the RAM its board has");
}

static void other_architecture(void)
{
    const struct kvm_tamper arm = {.arch = STASIS_ARCH_AARCH64};
    const struct kvm_tamper any = {.arch = UINT32_MAX};

    assert_refused(&arm, STASIS_ERR_HOST, 4, true, "another architecture (ELF machine 183)");
    assert_refused(&any, STASIS_ERR_HOST, 4, true, "(ELF machine 4294967295)");
}

enum change {
    DEVICE_TYPE,
    DEVICE_VERSION,
    TOO_MANY_VCPUS,
    ONE_VCPU_MORE,
    CPU_MODEL,
    GENERATION_ID,
    CPUID_BIT,
    XSAVE_COMPONENT,
    FIRST_LATE, /* what only a VM can tell */
    DEVICE_OVERLAP = FIRST_LATE,
    TSC_RATE,
    MSR_VALUE,
    SREGS_CR4,
    CHANGE_COUNT
};

static void change_board(struct stasis_board_state *board, enum change change)
{
    if (change == DEVICE_TYPE)
        snprintf(board->devices[2].type, sizeof(board->devices[2].type), "stasis.sound");
    if (change == DEVICE_VERSION)
        board->devices[1].version = 2;
    if (change == DEVICE_OVERLAP)
        board->devices[1].base = 0x3f6;
    if (change == TOO_MANY_VCPUS)
        board->vcpus = 255;
    if (change == ONE_VCPU_MORE)
        board->vcpus = 2;
    if (change == CPU_MODEL)
        snprintf(board->cpu_model, sizeof(board->cpu_model), "cray");
    for (uint32_t i = 0; change == GENERATION_ID && i < board->devices_count; i++) {
        if (!strcmp(board->devices[i].type, stasis_vmgenid_schema.type))
            board->devices[i].base = KVM_RAM - 8; /* its first half is RAM */
    }
}

static void change_cpu(const struct stasis_schema *schema, void *state, enum change change)
{
    if (schema == &stasis_x86_cpuid_schema && change == CPUID_BIT) {
        struct stasis_x86_cpuid_state *cpuid = state;

        for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
            if (cpuid->leaves[i].function == 7 && cpuid->leaves[i].index == 0)
                cpuid->leaves[i].edx |= 1u << 0; /* reserved: no CPU has it */
        }
    }
    if (schema == &stasis_x86_xsave_schema && change == XSAVE_COMPONENT) {
        struct stasis_x86_xsave_state *xsave = state;

        xsave->xstate_bv |= 1 << 4; /* MPX, which no KVM offers any more */
        xsave->bndcsr_len = sizeof(xsave->bndcsr);
    }
    if (schema == &stasis_x86_tsc_schema && change == TSC_RATE) {
        struct stasis_x86_tsc_state *tsc = state;

        tsc->khz += tsc->khz / 2;
    }
    if (schema == &stasis_x86_msrs_schema && change == MSR_VALUE) {
        struct stasis_x86_msrs_state *msrs = state;

        /* Nobody's register. */
        msrs->msrs[msrs->msrs_count - 1] = (struct stasis_x86_msr_state){0xfffffff0, 0x1234};
    }
    if (schema == &stasis_x86_sregs_schema && change == SREGS_CR4)
        ((struct stasis_x86_sregs_state *)state)->cr4 |= UINT64_C(1) << 63;
}

static bool change_one(void *ctx, const struct stasis_schema *schema, const char *instance,
                       void *state)
{
    enum change change = *(const enum change *)ctx;

    (void)instance;
    if (schema == &stasis_board_schema)
        change_board(state, change);
    change_cpu(schema, state, change);
    return true;
}

static void machines_that_cannot_be_built(void)
{
    static const struct {
        int code;
        int status;
        const char *words;
    } expected[CHANGE_COUNT] = {
        [DEVICE_TYPE] = {STASIS_ERR_VERSION, 4, "stasis.sound"},
        [DEVICE_VERSION] = {STASIS_ERR_VERSION, 4,
                            "written by stasis " STASIS_VERSION ": device kbd is of version 2"},
        [DEVICE_OVERLAP] = {STASIS_ERR_CORRUPT, 3, "kbd and com1 overlap"},
        [TOO_MANY_VCPUS] = {STASIS_ERR_VERSION, 4, "255 vCPUs"},
        [ONE_VCPU_MORE] = {STASIS_ERR_CORRUPT, 3, "lacks the record x86.cpuid cpu1"},
        [CPU_MODEL] = {STASIS_ERR_VERSION, 4, "cray"},
        [GENERATION_ID] = {STASIS_ERR_CORRUPT, 3, "at 0x3ffff8, where the board has no RAM"},
        [CPUID_BIT] = {STASIS_ERR_HOST, 4, "lacks: CPUID 7.0 EDX bit 0;"},
        [XSAVE_COMPONENT] = {STASIS_ERR_HOST, 4, "bndcsr"},
        [TSC_RATE] = {STASIS_ERR_HOST, 4, "by restore.ignore_tsc_rate"},
        [MSR_VALUE] = {STASIS_ERR_HOST, 4, "MSR 0xfffffff0 = 0x1234"},
        [SREGS_CR4] = {STASIS_ERR_HOST, 4, "refuses what the snapshot says"},
    };

    for (enum change change = 0; change < CHANGE_COUNT; change++) {
        const struct kvm_tamper tamper = {.record = change_one, .ctx = &change};
        struct stasis_kvm kvm;
        struct stasis_error err;

        kvm_ok(stasis_kvm_open(&kvm, &err), &err);
        stasis_kvm_close(&kvm);
        if (change == TSC_RATE && kvm.has_tsc_control)
            continue; /* it is scaled instead */
        assert_refused(&tamper, expected[change].code, expected[change].status, change < FIRST_LATE,
                       expected[change].words);
    }
}

static void other_tsc_rate_if_allowed(void)
{
    const struct stasis_thaw_options options = {.ignore_tsc_rate = true};
    enum change change = TSC_RATE;
    const struct kvm_tamper tamper = {.record = change_one, .ctx = &change};
    struct stasis_error err;

    kvm_ok(thaw_tampered(&tamper, &options, &err), &err);
    kvm_guest_start(&guest);
    stasis_machine_pause(&guest.machine);
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(nothing_tampered_is_thawed),
        KVM_CASE(missing_records),
        KVM_CASE(extra_record),
        KVM_CASE(other_ram),
        KVM_CASE(other_architecture),
        KVM_CASE(machines_that_cannot_be_built),
        KVM_CASE(other_tsc_rate_if_allowed),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
