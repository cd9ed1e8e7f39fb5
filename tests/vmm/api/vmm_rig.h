/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A VM of stasis/vmm.h with the built-in guest, whose serial port is a file, and what it says.
 */
#ifndef STASIS_TESTS_VMM_RIG_H
#define STASIS_TESTS_VMM_RIG_H

#include "vmm/session_rig.h"

#include <pthread.h>

#include "stasis/vmm.h"

#define VMM_RIG_EVENTS 64

struct vmm_rig {
    struct session_folder folder;
    char serial[128];
    struct stasis_vmm_config config;
    struct stasis_vmm *vmm;
    _Atomic unsigned count;
    enum stasis_vmm_event_kind events[VMM_RIG_EVENTS];
    int save_code;  /* of the last SAVE_FAILED */
    void *save_ctx; /* of the last SAVED or SAVE_FAILED */
    bool layer;     /* of the last SAVED, and its root */
    uint8_t root[STASIS_DIGEST_SIZE];
    _Atomic unsigned messages;
    char message[1024]; /* the last one */
    struct stasis_vmm_end end;
    pthread_t thread; /* that runs it */
};

/* The folder, and the configuration of a small guest. */
void vmm_rig_init(struct vmm_rig *rig);
void vmm_rig_fini(struct vmm_rig *rig);

void vmm_rig_open(struct vmm_rig *rig);

/* By a thread of its own, until it has ended. */
void vmm_rig_run(struct vmm_rig *rig);
void vmm_rig_join(struct vmm_rig *rig);

/* The guest's serial port has had that text. Waits, and dispatches meanwhile if there is no thread.
 */
void vmm_rig_wait_text(struct vmm_rig *rig, const char *text);
/* So many events of that kind have been told. */
unsigned vmm_rig_events(const struct vmm_rig *rig, enum stasis_vmm_event_kind kind);
void vmm_rig_wait_event(struct vmm_rig *rig, enum stasis_vmm_event_kind kind, unsigned count);

enum stasis_vmm_state vmm_rig_state(struct vmm_rig *rig);

/* A path in the folder; the last two stay valid. */
const char *vmm_rig_path(struct vmm_rig *rig, const char *name);

#endif
