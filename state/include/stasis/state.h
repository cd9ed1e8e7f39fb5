/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The state structs: plain data, no pointers, fixed capacity. Each is described by the list of its
 * name in stasis/state/, which is the place to read what a field means. To add one: write the
 * list, name it in stasis/state/all.def, and add it here and in state/schemas.c.
 *
 * stasis_<name>_schema describes struct stasis_<name>_state to the generic functions of
 * stasis/schema.h and stasis/ser.h.
 */
#ifndef STASIS_STATE_H
#define STASIS_STATE_H

#include "stasis/enums.h"
#include "stasis/schema.h"

STASIS_BEGIN_DECLS

#define STASIS_DEF "stasis/state/ram_region.def"
struct stasis_ram_region_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/board_device.def"
struct stasis_board_device_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_segment.def"
struct stasis_x86_segment_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_dtable.def"
struct stasis_x86_dtable_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_msr.def"
struct stasis_x86_msr_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_cpuid_leaf.def"
struct stasis_x86_cpuid_leaf_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_pit_channel.def"
struct stasis_x86_pit_channel_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_queue.def"
struct stasis_virtio_queue_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_mmio.def"
struct stasis_virtio_mmio_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/board.def"
struct stasis_board_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/machine.def"
struct stasis_machine_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/serial.def"
struct stasis_serial_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/i8042.def"
struct stasis_i8042_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/acpi_pm.def"
struct stasis_acpi_pm_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/mc146818.def"
struct stasis_mc146818_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/pl031.def"
struct stasis_pl031_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_balloon_queue.def"
struct stasis_virtio_balloon_queue_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_balloon_mmio.def"
struct stasis_virtio_balloon_mmio_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_balloon.def"
struct stasis_virtio_balloon_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_blk_queue.def"
struct stasis_virtio_blk_queue_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_blk_mmio.def"
struct stasis_virtio_blk_mmio_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_blk_request.def"
struct stasis_virtio_blk_request_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_blk.def"
struct stasis_virtio_blk_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_net_queue.def"
struct stasis_virtio_net_queue_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_net_mmio.def"
struct stasis_virtio_net_mmio_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_net.def"
struct stasis_virtio_net_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_rng.def"
struct stasis_virtio_rng_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_vsock_queue.def"
struct stasis_virtio_vsock_queue_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_vsock_mmio.def"
struct stasis_virtio_vsock_mmio_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/virtio_vsock.def"
struct stasis_virtio_vsock_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/disk.def"
struct stasis_disk_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/acpi_timer.def"
struct stasis_acpi_timer_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/pvpanic.def"
struct stasis_pvpanic_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/vmgenid.def"
struct stasis_vmgenid_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_regs.def"
struct stasis_x86_regs_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_sregs.def"
struct stasis_x86_sregs_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_xsave.def"
struct stasis_x86_xsave_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_xcrs.def"
struct stasis_x86_xcrs_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_debugregs.def"
struct stasis_x86_debugregs_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_events.def"
struct stasis_x86_events_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_mp_state.def"
struct stasis_x86_mp_state_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_tsc.def"
struct stasis_x86_tsc_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_lapic.def"
struct stasis_x86_lapic_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_msrs.def"
struct stasis_x86_msrs_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_cpuid.def"
struct stasis_x86_cpuid_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_clock.def"
struct stasis_x86_clock_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_pit.def"
struct stasis_x86_pit_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_pic.def"
struct stasis_x86_pic_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "stasis/state/x86_ioapic.def"
struct stasis_x86_ioapic_state {
#include "stasis/def_struct.h"
};

#define STASIS_NESTED(name, doc)                                                                   \
    STASIS_EXPORT extern const struct stasis_schema stasis_##name##_schema;
#define STASIS_RECORD(name, type, version, optional, steps, doc) STASIS_NESTED(name, doc)
#include "stasis/state/all.def"
#undef STASIS_NESTED
#undef STASIS_RECORD

STASIS_END_DECLS

#endif
