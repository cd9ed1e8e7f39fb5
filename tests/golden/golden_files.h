/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A folder with copies of the golden files of a release, in which guests may write; what is
 * compressed there (.gz) is not, here. They come from STASIS_GOLDEN_DIR, or, where the program runs
 * elsewhere, from beside it under the name <release>-<file>.
 */
#ifndef STASIS_TESTS_GOLDEN_FILES_H
#define STASIS_TESTS_GOLDEN_FILES_H

#include "vmm/session_rig.h"

#define GOLDEN_GUESTS_MAX 32

struct golden_files {
    struct session_folder folder;
    char guests[GOLDEN_GUESTS_MAX][32]; /* names, without a suffix, of snapshots with guests */
    unsigned count;
};

void golden_files_init(struct golden_files *files, const char *release);
void golden_files_fini(struct golden_files *files);

#endif
