/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What VMs hold folders for.
 */
#ifndef STASIS_TESTS_CONFINE_HOLDERS_H
#define STASIS_TESTS_CONFINE_HOLDERS_H

#include <stdint.h>

#include "confine_rig.h"

/* A file "held/file" in the folder of the test, as a VM opens it; and how it is used, once names
 * lead nowhere. */
struct holder {
    const char *what;
    size_t option; /* where the configuration has the name */
    bool (*open)(void);
    bool (*use)(void);
    const char *listens; /* somebody does there, before */
    enum stasis_vmm_thread thread;
    unsigned left; /* so many names are there afterwards */
};
#define HOLDER_OF_CLIENTS SIZE_MAX /* no option: dir= of --control */
#define HOLDERS           9u

extern const struct holder holders[HOLDERS];

bool listens(const char *name);

#endif
