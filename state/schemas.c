/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The field tables and schemas, expanded from the lists; and the registry of record types.
 */
#include "stasis/state.h"

#include <string.h>

#include "checks.h"
#include "locks.h"

#define STASIS_LOCKED

#define STASIS_NAME ram_region
#define STASIS_DEF  "stasis/state/ram_region.def"
#include "stasis/def_fields.h"

#define STASIS_NAME board_device
#define STASIS_DEF  "stasis/state/board_device.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_segment
#define STASIS_DEF  "stasis/state/x86_segment.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_dtable
#define STASIS_DEF  "stasis/state/x86_dtable.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_msr
#define STASIS_DEF  "stasis/state/x86_msr.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_cpuid_leaf
#define STASIS_DEF  "stasis/state/x86_cpuid_leaf.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_pit_channel
#define STASIS_DEF  "stasis/state/x86_pit_channel.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_queue
#define STASIS_DEF  "stasis/state/virtio_queue.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_mmio
#define STASIS_DEF  "stasis/state/virtio_mmio.def"
#include "stasis/def_fields.h"

#define STASIS_NAME board
#define STASIS_DEF  "stasis/state/board.def"
#include "stasis/def_fields.h"

#define STASIS_NAME machine
#define STASIS_DEF  "stasis/state/machine.def"
#include "stasis/def_fields.h"

#define STASIS_NAME serial
#define STASIS_DEF  "stasis/state/serial.def"
#include "stasis/def_fields.h"

#define STASIS_NAME i8042
#define STASIS_DEF  "stasis/state/i8042.def"
#include "stasis/def_fields.h"

#define STASIS_NAME acpi_pm
#define STASIS_DEF  "stasis/state/acpi_pm.def"
#include "stasis/def_fields.h"

#define STASIS_NAME mc146818
#define STASIS_DEF  "stasis/state/mc146818.def"
#include "stasis/def_fields.h"

#define STASIS_NAME pl031
#define STASIS_DEF  "stasis/state/pl031.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_balloon_queue
#define STASIS_DEF  "stasis/state/virtio_balloon_queue.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_balloon_mmio
#define STASIS_DEF  "stasis/state/virtio_balloon_mmio.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_balloon
#define STASIS_DEF  "stasis/state/virtio_balloon.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_blk_queue
#define STASIS_DEF  "stasis/state/virtio_blk_queue.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_blk_mmio
#define STASIS_DEF  "stasis/state/virtio_blk_mmio.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_blk_request
#define STASIS_DEF  "stasis/state/virtio_blk_request.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_blk
#define STASIS_DEF  "stasis/state/virtio_blk.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_net_queue
#define STASIS_DEF  "stasis/state/virtio_net_queue.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_net_mmio
#define STASIS_DEF  "stasis/state/virtio_net_mmio.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_net
#define STASIS_DEF  "stasis/state/virtio_net.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_rng
#define STASIS_DEF  "stasis/state/virtio_rng.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_vsock_queue
#define STASIS_DEF  "stasis/state/virtio_vsock_queue.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_vsock_mmio
#define STASIS_DEF  "stasis/state/virtio_vsock_mmio.def"
#include "stasis/def_fields.h"

#define STASIS_NAME virtio_vsock
#define STASIS_DEF  "stasis/state/virtio_vsock.def"
#include "stasis/def_fields.h"

#define STASIS_NAME disk
#define STASIS_DEF  "stasis/state/disk.def"
#include "stasis/def_fields.h"

#define STASIS_NAME acpi_timer
#define STASIS_DEF  "stasis/state/acpi_timer.def"
#include "stasis/def_fields.h"

#define STASIS_NAME pvpanic
#define STASIS_DEF  "stasis/state/pvpanic.def"
#include "stasis/def_fields.h"

#define STASIS_NAME vmgenid
#define STASIS_DEF  "stasis/state/vmgenid.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_regs
#define STASIS_DEF  "stasis/state/x86_regs.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_sregs
#define STASIS_DEF  "stasis/state/x86_sregs.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_xsave
#define STASIS_DEF  "stasis/state/x86_xsave.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_xcrs
#define STASIS_DEF  "stasis/state/x86_xcrs.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_debugregs
#define STASIS_DEF  "stasis/state/x86_debugregs.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_events
#define STASIS_DEF  "stasis/state/x86_events.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_mp_state
#define STASIS_DEF  "stasis/state/x86_mp_state.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_tsc
#define STASIS_DEF  "stasis/state/x86_tsc.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_lapic
#define STASIS_DEF  "stasis/state/x86_lapic.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_msrs
#define STASIS_DEF  "stasis/state/x86_msrs.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_cpuid
#define STASIS_DEF  "stasis/state/x86_cpuid.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_clock
#define STASIS_DEF  "stasis/state/x86_clock.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_pit
#define STASIS_DEF  "stasis/state/x86_pit.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_pic
#define STASIS_DEF  "stasis/state/x86_pic.def"
#include "stasis/def_fields.h"

#define STASIS_NAME x86_ioapic
#define STASIS_DEF  "stasis/state/x86_ioapic.def"
#include "stasis/def_fields.h"

#define STASIS_SCHEMA(name_, type_, version_, optional_, steps_, doc_)                             \
    const struct stasis_schema stasis_##name_##_schema = {                                         \
        .type = (type_),                                                                           \
        .version = (version_),                                                                     \
        .optional = (optional_),                                                                   \
        .size = sizeof(struct stasis_##name_##_state),                                             \
        .fields = name_##_fields,                                                                  \
        .field_count = sizeof(name_##_fields) / sizeof(name_##_fields[0]),                         \
        .history = name_##_history,                                                                \
        .migrations = (steps_),                                                                    \
        .doc = (doc_),                                                                             \
        .check = stasis_check_##name_,                                                             \
    };
#define STASIS_NESTED(name, doc) STASIS_SCHEMA(name, #name, 1, false, NULL, doc)
#define STASIS_RECORD            STASIS_SCHEMA
#include "stasis/state/all.def"
#undef STASIS_NESTED
#undef STASIS_RECORD

#define STASIS_NESTED(name, doc)
#define STASIS_RECORD(name, type, version, optional, migrations, doc) &stasis_##name##_schema,
static const struct stasis_schema *const all[] = {
#include "stasis/state/all.def"
};
#undef STASIS_NESTED
#undef STASIS_RECORD

/* ---- the lock: states of the last release do not change under their version ---- */

#define STASIS_NESTED(name, doc)
#define STASIS_RECORD(name, type, version, optional, migrations, doc)                              \
    name##_version = (version), name##_lock = name##_fingerprint ^ (optional),
enum {
#include "stasis/state/all.def"
};
#undef STASIS_RECORD

#define STASIS_LOCK(name, version, fingerprint)                                                    \
    _Static_assert(name##_version > (version) ||                                                   \
                       (name##_version == (version) && name##_lock == (fingerprint)),              \
                   #name                                                                           \
                   ", or a state nested in it, changed without a version migration: raise its "    \
                   "version in all.def, or take the change back (docs/architecture.md, "           \
                   "\"Versions\")");
#define STASIS_LOCK_ENUM(set, name, number)                                                        \
    _Static_assert(STASIS_##set##_##name == (number),                                              \
                   "STASIS_" #set "_" #name " was renumbered: files hold the old number");
#include "lock.def"
#undef STASIS_LOCK
#undef STASIS_LOCK_ENUM

#define STASIS_RECORD(name, type, version, optional, migrations, doc)                              \
    {#name, name##_version, name##_lock},
const struct stasis_lock_row stasis_lock_rows[] = {
#include "stasis/state/all.def"
};
#undef STASIS_NESTED
#undef STASIS_RECORD
const size_t stasis_lock_row_count = sizeof(stasis_lock_rows) / sizeof(stasis_lock_rows[0]);

const struct stasis_schema *const *stasis_schema_all(size_t *ret_count)
{
    *ret_count = sizeof(all) / sizeof(all[0]);
    return all;
}

const struct stasis_schema *stasis_schema_find(const char *type)
{
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!strcmp(all[i]->type, type))
            return all[i];
    }
    return NULL;
}
