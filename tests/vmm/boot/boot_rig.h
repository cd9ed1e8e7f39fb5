/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the tests of the boot loader share: a board with its RAM, files made of bytes, and the
 * smallest kernels that are valid.
 */
#ifndef STASIS_TESTS_VMM_BOOT_RIG_H
#define STASIS_TESTS_VMM_BOOT_RIG_H

#include "vmm/boot/boot_arch.h"

struct boot_rig {
    struct stasis_board_state board;
    struct stasis_memory memory;
    struct stasis_error err;
};

/* The board that guests get by default, with `ram` bytes of RAM. */
void boot_rig_board(struct stasis_board_state *board, uint64_t ram);

void boot_rig_init(struct boot_rig *rig, uint64_t ram);
void boot_rig_fini(struct boot_rig *rig);

/* A file in memory that holds the bytes, and a path by which it can be opened until _fini. */
struct boot_rig_file {
    int fd;
    char path[64];
};
void boot_rig_file_init(struct boot_rig_file *file, const void *bytes, size_t len);
void boot_rig_file_set(struct boot_rig_file *file, const void *bytes, size_t len);
void boot_rig_file_fini(struct boot_rig_file *file);

/* RAM in which the kernels below fit. */
#define BOOT_RIG_RAM (UINT64_C(4) << 20)

/* Two segments, the second with 0x1000 bytes in memory more than in the file. */
#define BOOT_RIG_ELF_SIZE (64 + 2 * 56 + 48)
#define BOOT_RIG_ELF_CODE UINT64_C(0x100000)
#define BOOT_RIG_ELF_DATA UINT64_C(0x200000)
void boot_rig_elf(uint8_t bytes[BOOT_RIG_ELF_SIZE]);

/* One setup sector, and a payload of `4`s at 2 MiB that is relocatable in steps of 64 KiB. */
#define BOOT_RIG_BZIMAGE_PAYLOAD   1024
#define BOOT_RIG_BZIMAGE_SIZE      (2 * 512 + BOOT_RIG_BZIMAGE_PAYLOAD)
#define BOOT_RIG_BZIMAGE_ADDR      UINT64_C(0x200000)
#define BOOT_RIG_BZIMAGE_ALIGN     0x10000
#define BOOT_RIG_BZIMAGE_INIT_SIZE 0x100000
void boot_rig_bzimage(uint8_t bytes[BOOT_RIG_BZIMAGE_SIZE]);
struct setup_header boot_rig_header(const uint8_t *bzimage);
void boot_rig_set_header(uint8_t *bzimage, const struct setup_header *header);

/* Loads a valid kernel in every damaged way: each prefix that lacks more than `spare` bytes must be
 * refused with one line that names the file; flipped bits may do what they like as long as nothing
 * breaks. */
void boot_rig_hostile_kernel(const uint8_t *bytes, size_t len, size_t spare);

/* The call failed with this code, one line that names both words, and nothing loaded. */
void boot_rig_assert_error(const struct boot_rig *rig, int rc, enum stasis_err code,
                           const char *object, const char *remedy);

#endif
