/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What an architecture gives the loader: where images may lie, which kernels it can start, and how
 * it hands over. Each architecture implements all of it in its folder (x86/boot.c).
 */
#ifndef STASIS_VMM_BOOT_ARCH_H
#define STASIS_VMM_BOOT_ARCH_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>

#include "vmm/arch/arch.h"
#include "vmm/boot/image.h"

/* Bytes from the start of a kernel file that a format is recognized by. */
#define STASIS_BOOT_HEAD 1024

/* One kind of kernel file. */
struct stasis_boot_format {
    /* `head` holds the first `len` bytes of the file: STASIS_BOOT_HEAD, or all when it is shorter.
     */
    bool (*detect)(const struct stasis_boot_file *file, const uint8_t *head, size_t len);
    /* A format that is recognized in order to be refused fails here, with its name. */
    int (*load)(const struct stasis_memory *memory, const struct stasis_boot_file *file,
                uint64_t load_addr, struct stasis_boot_image *ret_image, struct stasis_error *err);
};

struct stasis_boot_arch {
    const struct stasis_boot_format *formats; /* tried in this order; ends with a row of NULLs */
    const char *kernels;                      /* for messages: which kernels to give */
    const char *cmdline;                      /* the default */
    uint64_t image_start;                     /* images lie in [image_start, image_end) */
    uint64_t image_end;
    uint64_t initrd_max; /* for kernels that state no limits of their own */
    uint32_t cmdline_max;
};
extern const struct stasis_boot_arch stasis_boot_arch;

/* stasis_memory_write() of the loader: STASIS_ERR_ARG names `what` and the remedy. */
STASIS_MUST_CHECK int stasis_boot_write(const struct stasis_memory *memory, uint64_t gpa,
                                        const void *bytes, uint64_t len, const char *what,
                                        struct stasis_error *err);

/* Whether the header is of a processor that a guest has. STASIS_ERR_ARG names the file. */
STASIS_MUST_CHECK int stasis_boot_arch_check_elf(const struct stasis_boot_file *file,
                                                 const Elf64_Ehdr *elf, struct stasis_error *err);

/* Refuses an ELF kernel by name when its program headers state a way to start that is not
 * supported. `is_inside` says whether e_entry lies in a segment. */
STASIS_MUST_CHECK int stasis_boot_arch_check_elf_start(const struct stasis_boot_file *file,
                                                       const Elf64_Phdr *headers, uint32_t count,
                                                       uint64_t entry, bool is_inside,
                                                       struct stasis_error *err);

/* Loads the demo guest and draws its nonce. */
STASIS_MUST_CHECK int stasis_boot_arch_demo(const struct stasis_memory *memory,
                                            const struct stasis_board_state *board,
                                            struct stasis_boot_image *ret_image,
                                            struct stasis_error *err);

/* Writes what the kernel is handed beside its image (command line, boot parameters, description of
 * the board) and says how the first vCPU starts. */
STASIS_MUST_CHECK int stasis_boot_arch_hand_over(
    const struct stasis_memory *memory, const struct stasis_board_state *board,
    const struct stasis_boot_image *image, const struct stasis_boot_initrd *initrd,
    const char *cmdline, struct stasis_arch_entry *ret_entry, struct stasis_error *err);

#endif
