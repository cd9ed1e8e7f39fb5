/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A balloon device, its driver by hand, and a host that takes pages away.
 */
#ifndef STASIS_TESTS_BALLOON_RIG_H
#define STASIS_TESTS_BALLOON_RIG_H

#include "driver_rig.h"

#include "stasis/virtio_balloon.h"

enum { INFLATE = 0, DEFLATE = 1, REPORT = 2 };

/* Pages of RAM without rings or buffers: FREE..FREE_END-1. */
#define FREE     5u
#define FREE_END 9u

#define RANGES_MAX 1024u

struct balloon_rig {
    struct driver driver;
    struct stasis_virtio_host host;
    struct stasis_virtio_balloon dev;
    struct {
        uint64_t gpa, len;
    } ranges[RANGES_MAX]; /* taken away */
    unsigned count;
    unsigned wakes;
};

/* A device that reports, and a driver that has accepted these features, with all queues. */
void balloon_rig_up(struct balloon_rig *rig, uint64_t features);
/* The device alone. */
void balloon_rig_init(struct balloon_rig *rig, bool reports);
extern const struct stasis_virtio_balloon_ops balloon_rig_ops;

/* Each byte of RAM is 0xee, but for the rings. */
void balloon_rig_fill(struct balloon_rig *rig);
void balloon_rig_assert_zero(const struct balloon_rig *rig, uint64_t gpa, uint64_t len);
void balloon_rig_assert_kept(const struct balloon_rig *rig, uint64_t gpa, uint64_t len);
/* Range `i` that was taken away. */
void balloon_rig_assert_range(const struct balloon_rig *rig, unsigned i, uint64_t gpa,
                              uint64_t len);

/* Requests, not announced: a list of page numbers; and one range. */
void balloon_rig_list(struct balloon_rig *rig, unsigned queue, const uint32_t *pfns,
                      unsigned count);
void balloon_rig_report(struct balloon_rig *rig, unsigned queue, uint64_t gpa, uint32_t len);
void balloon_rig_notify(struct balloon_rig *rig, unsigned queue);

/* How many requests of a queue are answered. */
unsigned balloon_rig_answered(const struct balloon_rig *rig, unsigned queue);

#endif
