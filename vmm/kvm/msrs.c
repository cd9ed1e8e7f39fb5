/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_msrs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

#define BATCH_MAX 255u /* KVM takes less than 256 at a time (MAX_IO_MSRS) */

union batch {
    struct kvm_msrs header;
    uint8_t room[sizeof(struct kvm_msrs) + BATCH_MAX * sizeof(struct kvm_msr_entry)];
};

/* One ioctl for as many of the entries as it takes. *ret_batch has what KVM made of them; *ret_done
 * is how many it did, the next one it refused if *ret_refused. */
static int run_batch(struct stasis_vcpu *vcpu, unsigned long request, const char *name,
                     const struct kvm_msr_entry *entries, uint32_t count, union batch *ret_batch,
                     uint32_t *ret_done, bool *ret_refused, struct stasis_error *err)
{
    uint32_t asked = count < BATCH_MAX ? count : BATCH_MAX;
    int done;

    memset(&ret_batch->header, 0, sizeof(ret_batch->header));
    ret_batch->header.nmsrs = asked;
    memcpy(ret_batch->header.entries, entries, asked * sizeof(*entries));
    done = stasis_kvm_ioctl(vcpu->fd, request, ret_batch);
    if (done < 0)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "%s", name);
    if ((uint32_t)done > asked)
        return stasis_fail(err, STASIS_ERR_KVM, "%s: %d of %" PRIu32 " MSRs", name, done, asked);
    *ret_done = (uint32_t)done;
    *ret_refused = (uint32_t)done < asked;
    return 0;
}

/* ---- get ---- */

/* `from` has *count entries, `to` as much room. */
static int read_present(struct stasis_vcpu *vcpu, const struct kvm_msr_entry *from,
                        struct kvm_msr_entry *to, uint32_t *count, struct stasis_error *err)
{
    uint32_t kept = 0, done = 0;
    bool refused = false;
    union batch batch;

    for (uint32_t at = 0; at < *count; at += done + refused) {
        int rc = run_batch(vcpu, KVM_GET_MSRS, "KVM_GET_MSRS", from + at, *count - at, &batch,
                           &done, &refused, err);

        if (rc)
            return rc;
        memcpy(to + kept, batch.header.entries, done * sizeof(*to));
        kept += done;
    }
    *count = kept;
    return 0;
}

static int refuse_read(const struct stasis_vcpu *vcpu, uint32_t index, struct stasis_error *err)
{
    return STASIS_REFUSE(err, EPERM, STASIS_ERR_KVM,
                         "KVM does not read MSR 0x%" PRIx32 " of vCPU %" PRIu32, index, vcpu->id);
}

static int read_all(struct stasis_vcpu *vcpu, const struct kvm_msr_entry *from,
                    struct kvm_msr_entry *to, uint32_t *count, struct stasis_error *err)
{
    uint32_t done = 0;
    bool refused = false;
    union batch batch;

    for (uint32_t at = 0; at < *count; at += done) {
        int rc = run_batch(vcpu, KVM_GET_MSRS, "KVM_GET_MSRS", from + at, *count - at, &batch,
                           &done, &refused, err);

        if (rc)
            return rc;
        if (refused)
            return refuse_read(vcpu, from[at + done].index, err);
        memcpy(to + at, batch.header.entries, done * sizeof(*to));
    }
    return 0;
}

/* `read` fills another list: the caller's entries are changed on success only. */
static int get_by(struct stasis_vcpu *vcpu, struct kvm_msr_entry *entries, uint32_t *count,
                  int (*read)(struct stasis_vcpu *vcpu, const struct kvm_msr_entry *from,
                              struct kvm_msr_entry *to, uint32_t *count, struct stasis_error *err),
                  struct stasis_error *err)
{
    struct kvm_msr_entry small[BATCH_MAX], *to = small;
    uint32_t kept = *count;
    int rc;

    if (!kept)
        return 0;
    if (kept > BATCH_MAX)
        to = calloc(kept, sizeof(*to));
    if (!to)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for %" PRIu32 " MSRs", kept);
    rc = read(vcpu, entries, to, &kept, err);
    if (!rc) {
        memcpy(entries, to, kept * sizeof(*to));
        *count = kept;
    }
    if (to != small)
        free(to);
    return rc;
}

int stasis_vcpu_get_msrs(struct stasis_vcpu *vcpu, struct kvm_msr_entry *entries, uint32_t count,
                         struct stasis_error *err)
{
    return get_by(vcpu, entries, &count, read_all, err);
}

int stasis_vcpu_get_msrs_present(struct stasis_vcpu *vcpu, struct kvm_msr_entry *entries,
                                 uint32_t *count, struct stasis_error *err)
{
    return get_by(vcpu, entries, count, read_present, err);
}

/* ---- set ---- */

int stasis_vcpu_set_msrs_each(struct stasis_vcpu *vcpu, const struct kvm_msr_entry *entries,
                              uint32_t count,
                              int (*refused)(void *ctx, struct stasis_vcpu *vcpu,
                                             const struct kvm_msr_entry *entry,
                                             struct stasis_error *err),
                              void *ctx, struct stasis_error *err)
{
    uint32_t done = 0;
    bool stopped = false;
    union batch batch;
    int rc = 0;

    for (uint32_t at = 0; !rc && at < count; at += done + stopped) {
        rc = run_batch(vcpu, KVM_SET_MSRS, "KVM_SET_MSRS", entries + at, count - at, &batch, &done,
                       &stopped, err);
        if (!rc && stopped)
            rc = refused(ctx, vcpu, &entries[at + done], err);
    }
    return rc;
}

static int refuse_write(void *ctx, struct stasis_vcpu *vcpu, const struct kvm_msr_entry *entry,
                        struct stasis_error *err)
{
    (void)ctx;
    return STASIS_REFUSE(err, EPERM, STASIS_ERR_KVM,
                         "KVM refuses MSR 0x%" PRIx32 " = 0x%" PRIx64 " of vCPU %" PRIu32,
                         entry->index, (uint64_t)entry->data, vcpu->id);
}

int stasis_vcpu_set_msrs(struct stasis_vcpu *vcpu, const struct kvm_msr_entry *entries,
                         uint32_t count, struct stasis_error *err)
{
    return stasis_vcpu_set_msrs_each(vcpu, entries, count, refuse_write, NULL, err);
}
