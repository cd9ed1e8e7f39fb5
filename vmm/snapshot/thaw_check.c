/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is checked of a file and of this host before a machine is built; and what KVM refuses then.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/machine/board.h"
#include "vmm/snapshot/freeze.h"
#include "vmm/snapshot/thaw_internal.h"
#include "vmm/arch/arch.h"

int stasis_thaw_get(const struct stasis_records *records, const struct stasis_schema *schema,
                    const char *instance, void *ret_state, struct stasis_error *err)
{
    int rc = stasis_records_get(records, schema, instance, ret_state, err);

    if (rc == STASIS_ERR_NOT_FOUND)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "the snapshot lacks the record %s %s",
                         schema->type, instance);
    return rc;
}

int stasis_thaw_decode(const struct stasis_records *records, const struct stasis_schema *schema,
                       const char *instance, void **ret_state, struct stasis_error *err)
{
    void *state = malloc(schema->size);
    int rc = state ? stasis_thaw_get(records, schema, instance, state, err)
                   : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for %s", schema->type);

    if (rc) {
        free(state);
        state = NULL;
    }
    *ret_state = state;
    return rc;
}

static int require(const struct stasis_records *records, const char *type, const char *instance,
                   size_t *count, struct stasis_error *err)
{
    (*count)++;
    if (stasis_records_find(records, type, instance) != SIZE_MAX)
        return 0;
    return stasis_fail(err, STASIS_ERR_CORRUPT, "the snapshot lacks the record %s %s", type,
                       instance);
}

/* Exactly the records that the board asks for are there: a record that would be left over is state
 * that the guest would lose. */
static int check_records(const struct stasis_records *records,
                         const struct stasis_board_state *board, struct stasis_error *err)
{
    size_t needed = 0, known = 0;
    char instance[16];
    int rc = require(records, stasis_board_schema.type, STASIS_INSTANCE_VM, &needed, err);

    if (!rc)
        rc = require(records, stasis_machine_schema.type, STASIS_INSTANCE_VM, &needed, err);
    for (uint32_t id = 0; !rc && id < board->vcpus; id++) {
        snprintf(instance, sizeof(instance), "cpu%" PRIu32, id);
        for (size_t i = 0; !rc && stasis_arch_vcpu_restore_order[i]; i++)
            rc = require(records, stasis_arch_vcpu_restore_order[i]->schema->type, instance,
                         &needed, err);
    }
    for (size_t i = 0; !rc && stasis_arch_vm_records[i].schema; i++)
        rc = require(records, stasis_arch_vm_records[i].schema->type,
                     stasis_arch_vm_records[i].instance, &needed, err);
    for (uint32_t i = 0; !rc && i < board->devices_count; i++)
        rc = require(records, board->devices[i].type, board->devices[i].instance, &needed, err);
    for (size_t i = 0; !rc && i < stasis_records_count(records); i++)
        known += !stasis_records_at(records, i).optional;
    if (!rc && known != needed)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT,
                         "the snapshot has %zu records where its board needs %zu", known, needed);
    return rc;
}

/* Two vCPUs of one APIC id would both take an interrupt for it, or neither. */
static int check_id(const struct stasis_records *records,
                    const struct stasis_arch_vcpu_record *record, uint32_t id,
                    struct stasis_error *err)
{
    char instance[16];
    void *state;
    int rc;

    snprintf(instance, sizeof(instance), "cpu%" PRIu32, id);
    rc = stasis_thaw_decode(records, record->schema, instance, &state, err);
    if (!rc)
        rc = record->check_id(state, id, err);
    free(state);
    return rc;
}

static int check_ids(const struct stasis_records *records, const struct stasis_board_state *board,
                     struct stasis_error *err)
{
    int rc = 0;

    for (uint32_t id = 0; !rc && id < board->vcpus; id++) {
        for (size_t i = 0; !rc && stasis_arch_vcpu_restore_order[i]; i++) {
            if (stasis_arch_vcpu_restore_order[i]->check_id)
                rc = check_id(records, stasis_arch_vcpu_restore_order[i], id, err);
        }
    }
    return rc;
}

struct vcpu_records {
    const struct stasis_records *records;
    char instance[16];
};

static int read_record(void *ctx, const struct stasis_schema *schema, void *ret_state,
                       struct stasis_error *err)
{
    const struct vcpu_records *vcpu = ctx;

    return stasis_thaw_get(vcpu->records, schema, vcpu->instance, ret_state, err);
}

static int check_vcpus(const struct stasis_records *records, const struct stasis_board_state *board,
                       struct stasis_reasons *reasons, struct stasis_error *err)
{
    struct vcpu_records vcpu = {.records = records};
    int rc = 0;

    for (uint32_t id = 0; !rc && id < board->vcpus; id++) {
        snprintf(vcpu.instance, sizeof(vcpu.instance), "cpu%" PRIu32, id);
        rc = stasis_arch_vcpu_check(id, read_record, &vcpu, reasons, err);
    }
    return rc ? rc : stasis_reasons_fail(reasons, err);
}

static int check_ram(struct stasis_snap *snap, const struct stasis_board_state *board,
                     struct stasis_error *err)
{
    uint32_t count = stasis_snap_region_count(snap);
    bool same = count == board->ram_count;

    for (uint32_t i = 0; same && i < count; i++) {
        struct stasis_snap_region region = stasis_snap_region_at(snap, i);

        same = region.gpa == board->ram[i].gpa && region.size == board->ram[i].size;
    }
    return same ? 0
                : stasis_fail(err, STASIS_ERR_CORRUPT,
                              "the RAM that the snapshot holds is not the RAM its board has");
}

static int check_record(const struct stasis_records *records,
                        const struct stasis_arch_vcpu_record *record, const char *instance,
                        const struct stasis_board_state *board, const struct stasis_kvm *kvm,
                        struct stasis_reasons *reasons, struct stasis_error *err)
{
    void *state;
    int rc;

    if (kvm ? !record->check : !record->check_cpu)
        return 0;
    rc = stasis_thaw_decode(records, record->schema, instance, &state, err);
    if (!rc)
        rc = kvm ? record->check(kvm, board, state, reasons, err)
                 : record->check_cpu(board, state, reasons, err);
    free(state);
    return rc;
}

int stasis_thaw_check_host(const struct stasis_records *records,
                           const struct stasis_board_state *board, const struct stasis_kvm *kvm,
                           struct stasis_reasons *reasons, struct stasis_error *err)
{
    char instance[16];
    int rc = 0;

    for (uint32_t id = 0; !rc && id < board->vcpus; id++) {
        snprintf(instance, sizeof(instance), "cpu%" PRIu32, id);
        for (size_t i = 0; !rc && stasis_arch_vcpu_restore_order[i]; i++)
            rc = check_record(records, stasis_arch_vcpu_restore_order[i], instance, board, kvm,
                              reasons, err);
    }
    return rc;
}

int stasis_thaw_check_board(struct stasis_snap *snap, struct stasis_board_state *ret_board,
                            struct stasis_error *err)
{
    int rc;

    if (stasis_snap_info(snap)->arch != stasis_arch_number)
        return stasis_fail(err, STASIS_ERR_HOST,
                           "the snapshot is of another architecture (ELF machine %" PRIu32
                           "), this VMM is "
                           "for %s",
                           stasis_snap_info(snap)->arch, stasis_arch_name);
    rc = stasis_thaw_get(stasis_snap_records(snap), &stasis_board_schema, STASIS_INSTANCE_VM,
                         ret_board, err);
    if (!rc)
        rc = stasis_board_check(ret_board, err);
    return rc == STASIS_ERR_VERSION
               ? stasis_wrap(err, rc, "written by %s", stasis_snap_info(snap)->producer)
               : rc;
}

int stasis_thaw_check_file(struct stasis_snap *snap, const struct stasis_board_state *board,
                           struct stasis_reasons *reasons, struct stasis_error *err)
{
    const struct stasis_records *records = stasis_snap_records(snap);
    int rc = check_records(records, board, err);

    if (!rc)
        rc = check_ids(records, board, err);
    if (!rc)
        rc = check_ram(snap, board, err);
    if (!rc)
        rc = check_vcpus(records, board, reasons, err);
    return rc;
}

int stasis_thaw_judge_refusal(int rc, struct stasis_error *err)
{
    struct stasis_error own;

    if (rc == STASIS_ERR_EXISTS) { /* two devices at one address: no board of ours */
        err->code = STASIS_ERR_CORRUPT;
        return STASIS_ERR_CORRUPT;
    }
    if (rc != STASIS_ERR_KVM ||
        (err->os_errno != EINVAL && err->os_errno != E2BIG && err->os_errno != ENXIO))
        return rc;
    own = *err;
    stasis_fail(err, STASIS_ERR_HOST,
                "%s: this host's KVM refuses what the snapshot says; thaw it on the host that "
                "made it, and run snapshot-inspect verify if that refuses too",
                own.msg);
    err->os_errno = own.os_errno;
    return STASIS_ERR_HOST;
}
