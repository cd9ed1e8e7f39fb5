/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio block device on a board, with RAM and a disk that does what the test wants.
 */
#ifndef STASIS_TESTS_BLK_BOARD_RIG_H
#define STASIS_TESTS_BLK_BOARD_RIG_H

#include "support/cmocka_all.h"

#include "stasis/virtio_state.h"
#include "vmm/machine/machine.h"

#define BASE   UINT64_C(0xd0002000)
#define DESC   0x2000u
#define AVAIL  0x3000u
#define USED   0x4000u
#define HEADER 0x5000u
#define STATUS 0x6000u
#define DATA   0x10000u
#define SIZE   128u
#define DISK   (UINT32_C(64) << 10)

#define T_IN     0u
#define T_OUT    1u
#define T_FLUSH  4u
#define T_ID     8u
#define T_ZEROES 13u

#define F_FLUSH     (1u << 9)
#define F_ZEROES    (1u << 14)
#define F_EVENT_IDX (1u << 29)

/* ---- the disk ---- */

extern uint8_t blk_rig_content[DISK];
extern bool blk_rig_broken; /* all calls fail */
extern uint64_t blk_rig_inode, blk_rig_mtime_ns;
extern struct stasis_device_disk blk_rig_disk;
extern const struct stasis_device_disk blk_rig_whole_disk;
extern unsigned blk_rig_flushes, blk_rig_zeroes; /* under the machine's lock once idle */

/* Calls of the disk hang from here on; until they are let on, which has them all end. */
void blk_rig_hang(void);
void blk_rig_let_on(void);
/* Until a call hangs. */
void blk_rig_wait_hanging(void);

/* ---- the machine ---- */

extern struct stasis_machine blk_rig_machine;
extern struct stasis_device_host blk_rig_host;
extern struct stasis_device *blk_rig_blk;

int blk_rig_set_up(void **state);
int blk_rig_tear_down(void **state);
/* Takes the devices away, and makes new ones on the same RAM. */
void blk_rig_attach_anew(void);
void blk_rig_start(void);

/* ---- the driver ---- */

extern uint16_t blk_rig_made; /* requests */
void blk_rig_write(uint64_t offset, uint64_t value);
void *blk_rig_ram(uint64_t gpa, uint64_t len);
void blk_rig_bring_up(uint32_t features);
/* Makes a request of three descriptors available; its data is at DATA + 512 times its number. */
void blk_rig_make(uint32_t type, uint64_t sector, uint32_t len);
void blk_rig_notify(void);
uint16_t blk_rig_used_idx(void);
/* Waits for so many answers of all that were made. */
void blk_rig_wait_used(uint16_t count);
uint8_t blk_rig_status_of(unsigned number);

#endif
