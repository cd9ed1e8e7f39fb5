/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * An image in, an entry state out: puts a guest into RAM and says how its first vCPU starts
 * (arch.h). Everything that the guest's kernel wants to find is written here: kernel, initrd,
 * command line, and the description of the board in the form that the architecture has for it.
 *
 * This is the only header of the folder for other rooms. What differs between architectures is
 * behind boot_arch.h.
 */
#ifndef STASIS_VMM_LOADER_H
#define STASIS_VMM_LOADER_H

#include "vmm/arch/arch.h"
#include "stasis/kvm_memory.h"

struct stasis_boot_options {
    const char *kernel_path; /* NULL: the built-in demo guest */
    const char *initrd_path; /* NULL: none */
    const char *cmdline;     /* NULL: the architecture's default */
    unsigned root_disk;      /* its root, counted from 1, unless the command line names another */
    uint64_t load_addr;      /* 0: where the kernel asks to be */
    /* Descriptors of these files, by which they are read instead; 0: by their paths. */
    int kernel_fd, initrd_fd;
};

/* Opens the files that are to be loaded and looks at their kind, before there is a machine. The
 * errors of loading. */
STASIS_MUST_CHECK int stasis_boot_check(const struct stasis_boot_options *options,
                                        struct stasis_error *err);

/* Opens the files, for loads to come: whatever becomes of their names and of our rights. The errors
 * of loading; what is open is closed by let_go(), which is harmless if nothing is. */
STASIS_MUST_CHECK int stasis_boot_hold(struct stasis_boot_options *options,
                                       struct stasis_error *err);
void stasis_boot_let_go(struct stasis_boot_options *options);

/* Errors name the file and the remedy: STASIS_ERR_ARG (missing, not a kernel, truncated, bad
 * options, larger than RAM), STASIS_ERR_IO. */
STASIS_MUST_CHECK int stasis_boot_load(const struct stasis_memory *memory,
                                       const struct stasis_board_state *board,
                                       const struct stasis_boot_options *options,
                                       struct stasis_arch_entry *ret_entry,
                                       struct stasis_error *err);

#endif
