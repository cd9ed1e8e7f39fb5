/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Virtio devices of a snapshot: their state in a line, and whether their rings in RAM agree with
 * it.
 */
#ifndef STASIS_TOOLS_VIRTIO_H
#define STASIS_TOOLS_VIRTIO_H

#include <stdio.h>

#include "stasis/json.h"
#include "stasis/snap.h"
#include "stasis/virtio_state.h"

/* What the specification calls a queue of devices with records of this type; NULL: there is none.
 */
const char *stasis_inspect_virtio_queue(const char *type, uint64_t number);
/* The same of "mmio.queues[0].size"; *ret_rest is what is behind the number. */
const char *stasis_inspect_virtio_queue_of(const char *type, const char *path,
                                           const char **ret_rest);
#define STASIS_INSPECT_VIRTIO_QUEUES "mmio.queues["

/* A list with an object for each device, whose queues it names in their order. STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_inspect_virtio_json(struct stasis_json *json,
                                                 const struct stasis_records *records,
                                                 struct stasis_error *err);

/* One line: how far the driver has come, and each queue that is ready. */
void stasis_inspect_virtio_print(FILE *out, const struct stasis_schema *schema,
                                 const struct stasis_virtio_mmio_state *mmio);

/* A line for each device whose rings in RAM contradict its state: vmm refuses such a guest. The
 * file's chunks have been verified. STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_inspect_virtio_report(FILE *out, struct stasis_snap *snap,
                                                   struct stasis_error *err);

#endif
