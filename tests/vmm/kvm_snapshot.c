/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/kvm_guest.h"
#include "vmm/arch/x86/x86.h"

/* ---- freezing ---- */

static void tamper_record(const struct kvm_tamper *tamper, const struct stasis_records *from,
                          size_t index, struct stasis_records *to)
{
    const struct stasis_record record = stasis_records_at(from, index);
    void *state = malloc(record.schema->size);
    struct stasis_error err;

    assert_non_null(state);
    kvm_ok(stasis_records_get(from, record.schema, record.instance, state, &err), &err);
    if (!tamper->record || tamper->record(tamper->ctx, record.schema, record.instance, state))
        kvm_ok(stasis_records_add(to, record.schema, record.instance, state, &err), &err);
    free(state);
}

static void tamper_extra(const struct stasis_schema *schema, struct stasis_records *to)
{
    void *state = malloc(schema->size);
    struct stasis_error err;

    assert_non_null(state);
    stasis_state_init(schema, state);
    kvm_ok(stasis_records_add(to, schema, "extra", state, &err), &err);
    free(state);
}

static struct stasis_snap *tampered(struct kvm_guest *guest, struct stasis_snap *snap,
                                    const struct kvm_tamper *tamper)
{
    struct stasis_snap *result = stasis_snap_new(tamper->arch ? tamper->arch : STASIS_ARCH_X86_64);
    const struct stasis_memory *memory = &guest->machine.memory;
    struct stasis_records *from = stasis_snap_records(snap);
    struct stasis_error err;

    assert_non_null(result);
    for (size_t i = 0; i < stasis_records_count(from); i++)
        tamper_record(tamper, from, i, stasis_snap_records(result));
    if (tamper->extra)
        tamper_extra(tamper->extra, stasis_snap_records(result));
    for (uint32_t i = 0; i < memory->region_count; i++) {
        uint64_t cut = i + 1 == memory->region_count ? tamper->ram_cut : 0;

        kvm_ok(stasis_snap_add_ram(result, memory->regions[i].gpa, memory->regions[i].host,
                                   memory->regions[i].size - cut, &err),
               &err);
    }
    stasis_snap_free(snap);
    return result;
}

struct stasis_snap *kvm_freeze(struct kvm_guest *guest, const struct kvm_tamper *tamper)
{
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    struct stasis_snap *snap = NULL;
    struct stasis_error err;

    assert_true(fd >= 0);
    kvm_ok(stasis_freeze(&guest->machine, guest->generation, &snap, &err), &err);
    if (tamper)
        snap = tampered(guest, snap, tamper);
    kvm_ok(stasis_snap_save_stream(snap, fd, NULL, NULL, &err), &err);
    stasis_snap_free(snap);
    kvm_ok(stasis_snap_open_fd(fd, "memory", NULL, &snap, &err), &err);
    close(fd);
    return snap;
}

/* ---- thawing ---- */

int kvm_try_thaw(struct kvm_guest *guest, struct stasis_snap *snap,
                 const struct stasis_thaw_options *options, struct stasis_error *err)
{
    struct stasis_thaw_result result;
    int rc;

    kvm_guest_host(guest);
    rc = stasis_thaw(&guest->machine, snap, options, &guest->host, &result, err);
    if (rc)
        return rc;
    guest->generation = result.generation;
    guest->tsc_is_set = result.tsc_is_set;
    return 0;
}

void kvm_thaw(struct kvm_guest *guest, struct stasis_snap *snap, enum stasis_clock_policy clock)
{
    const struct stasis_thaw_options options = {.clock = clock};
    struct stasis_error err;

    kvm_ok(kvm_try_thaw(guest, snap, &options, &err), &err);
}

void kvm_refreeze(struct kvm_guest *guest)
{
    struct stasis_snap *snap = kvm_freeze(guest, NULL);

    kvm_guest_fini(guest);
    kvm_thaw(guest, snap, STASIS_CLOCK_CONTINUE);
    stasis_snap_free(snap);
}

/* ---- looking inside ---- */

void kvm_record(struct stasis_snap *snap, const struct stasis_schema *schema, const char *instance,
                void *ret_state)
{
    struct stasis_error err;

    kvm_ok(stasis_records_get(stasis_snap_records(snap), schema, instance, ret_state, &err), &err);
}

uint64_t kvm_record_msr(struct stasis_snap *snap, uint32_t index)
{
    return kvm_record_vcpu_msr(snap, "cpu0", index);
}

uint64_t kvm_record_vcpu_msr(struct stasis_snap *snap, const char *instance, uint32_t index)
{
    static struct stasis_x86_msrs_state msrs;

    kvm_record(snap, &stasis_x86_msrs_schema, instance, &msrs);
    for (uint32_t i = 0; i < msrs.msrs_count; i++) {
        if (msrs.msrs[i].index == index)
            return msrs.msrs[i].value;
    }
    fail_msg("the snapshot holds no MSR 0x%x", index);
    return 0;
}
