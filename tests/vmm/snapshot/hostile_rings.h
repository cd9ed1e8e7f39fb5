/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Programs of a hostile driver of virtio devices, made from a seed: queues that are set up well and
 * badly, chains that are plausible, that loop, overlap or are huge, and buffers that are offered
 * twice, backwards and while other vCPUs change them. A program is a list of 4-byte stores.
 *
 * Whatever parts of it devices see together, they write to the windows below only: a descriptor
 * that they may write to leads there or nowhere, and so do the rings that they write, but for one
 * at address 0, where a device has it that is reset meanwhile.
 */
#ifndef STASIS_TESTS_VMM_SNAPSHOT_HOSTILE_RINGS_H
#define STASIS_TESTS_VMM_SNAPSHOT_HOSTILE_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#define RINGS_DEVICES 5 /* entropy, disk, network, sockets, balloon */
#define RINGS_QUEUES  3 /* of each, at most */
#define RINGS_CID     3 /* of the sockets */

/* The parts of a queue: what the driver alone writes, and what devices may. */
#define RINGS_TABLE(device, queue)                                                                 \
    (UINT32_C(0x100000) + 0xc000 * (device) + 0x4000 * (queue)) /* descriptors, indirect tables */
#define RINGS_AVAIL(device, queue) (RINGS_TABLE(device, queue) + 0x1000)
#define RINGS_USED(device, queue)  (RINGS_TABLE(device, queue) + 0x1800)
#define RINGS_END                  RINGS_TABLE(RINGS_DEVICES, 0)
#define RINGS_DATA                 UINT32_C(0x180000)
#define RINGS_DATA_END             UINT32_C(0x182000)
#define RINGS_HEADERS              UINT32_C(0x190000) /* of requests: devices read them */
#define RINGS_HEADERS_END          UINT32_C(0x190400)
#define RINGS_FRAMES               UINT32_C(0x190800) /* the same, which nobody writes to */

/* A store of the guest's; `where` 0 ends a list, 1 leads to another at `what`. */
struct rings_store {
    uint32_t where, what;
};
#define RINGS_STORES_MAX 4096

struct rings_program {
    struct rings_store *stores; /* room for RINGS_STORES_MAX */
    uint32_t count;
    uint64_t *seed;
    const uint32_t *bases; /* of the devices' registers */
    uint32_t home;         /* the device that it is mostly about */
    bool is_tame;          /* keeps to the rules, and is about that device only */
    uint16_t idx[RINGS_DEVICES][RINGS_QUEUES];
};

void rings_store(struct rings_program *program, uint32_t where, uint32_t what);
void rings_write_program(struct rings_program *program);

/* Whether a device or a program may have changed the byte. */
bool rings_may_change(uint64_t gpa);

#endif
