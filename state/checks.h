/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Rules between the fields of a state, called by stasis_state_check() after masks and bounds.
 * A state without such rules has a null pointer.
 */
#ifndef STASIS_STATE_CHECKS_H
#define STASIS_STATE_CHECKS_H

#include "stasis/error.h"

int stasis_check_board(const void *state, struct stasis_error *err);
int stasis_check_ram_region(const void *state, struct stasis_error *err);
int stasis_check_board_device(const void *state, struct stasis_error *err);
int stasis_check_serial(const void *state, struct stasis_error *err);
int stasis_check_i8042(const void *state, struct stasis_error *err);
int stasis_check_mc146818(const void *state, struct stasis_error *err);
int stasis_check_pl031(const void *state, struct stasis_error *err);
int stasis_check_virtio_queue(const void *state, struct stasis_error *err);
int stasis_check_virtio_mmio(const void *state, struct stasis_error *err);
int stasis_check_virtio_balloon_mmio(const void *state, struct stasis_error *err);
int stasis_check_virtio_balloon_queue(const void *state, struct stasis_error *err);
int stasis_check_virtio_balloon(const void *state, struct stasis_error *err);
int stasis_check_virtio_blk_mmio(const void *state, struct stasis_error *err);
int stasis_check_virtio_blk_queue(const void *state, struct stasis_error *err);
int stasis_check_virtio_blk(const void *state, struct stasis_error *err);
int stasis_check_virtio_net_mmio(const void *state, struct stasis_error *err);
int stasis_check_virtio_net_queue(const void *state, struct stasis_error *err);
int stasis_check_virtio_net(const void *state, struct stasis_error *err);
int stasis_check_virtio_vsock_mmio(const void *state, struct stasis_error *err);
int stasis_check_virtio_vsock_queue(const void *state, struct stasis_error *err);
int stasis_check_virtio_vsock(const void *state, struct stasis_error *err);
int stasis_check_virtio_rng(const void *state, struct stasis_error *err);
int stasis_check_x86_xsave(const void *state, struct stasis_error *err);
int stasis_check_x86_xcrs(const void *state, struct stasis_error *err);
int stasis_check_x86_mp_state(const void *state, struct stasis_error *err);
int stasis_check_x86_tsc(const void *state, struct stasis_error *err);
int stasis_check_x86_msrs(const void *state, struct stasis_error *err);
int stasis_check_x86_cpuid(const void *state, struct stasis_error *err);
int stasis_check_x86_pit(const void *state, struct stasis_error *err);

#define stasis_check_machine            NULL
#define stasis_check_disk               NULL
#define stasis_check_acpi_pm            NULL
#define stasis_check_acpi_timer         NULL
#define stasis_check_pvpanic            NULL
#define stasis_check_vmgenid            NULL
#define stasis_check_virtio_blk_request NULL
#define stasis_check_x86_segment        NULL
#define stasis_check_x86_dtable         NULL
#define stasis_check_x86_msr            NULL
#define stasis_check_x86_cpuid_leaf     NULL
#define stasis_check_x86_pit_channel    NULL
#define stasis_check_x86_regs           NULL
#define stasis_check_x86_sregs          NULL
#define stasis_check_x86_debugregs      NULL
#define stasis_check_x86_events         NULL
#define stasis_check_x86_lapic          NULL
#define stasis_check_x86_clock          NULL
#define stasis_check_x86_pic            NULL
#define stasis_check_x86_ioapic         NULL

#endif
