/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of an ELF core of a virtual machine, as gdb and crash read it:
 *
 *   0              ELF header, program headers, notes: registers of each vCPU, VMCOREINFO
 *   CORE_RAM       RAM, region behind region; chunks that are zero are holes in the file
 *
 * Program headers are the notes, the ranges that the guest's page tables map, by virtual address,
 * and RAM itself. They may show the same bytes of the file many times.
 */
#ifndef STASIS_TOOLS_CORE_H
#define STASIS_TOOLS_CORE_H

#include <stdio.h>

#include "stasis/output.h"
#include "tools/paging.h"
#include "tools/vmcoreinfo.h"

/* Room for the most that can stand before it; what is not used is a hole. crash wants headers and
 * notes in front. */
#define STASIS_CORE_RAM (UINT64_C(8) << 20)

/* RAM by its physical address, where paging is on: bit 57 is set and bits 63:58 are not, so no
 * virtual address is like that, with 4 levels of page tables or with 5. */
#define STASIS_CORE_PHYSICAL (UINT64_C(1) << 57)

/* How the vCPUs see memory. */
struct stasis_core_cpus {
    size_t count;
    size_t paged;  /* of them, in long mode with paging: the only paging that is followed */
    size_t others; /* of them, with another kind of paging */
};

/* Writes the notes of every vCPU, and of `info` (may be NULL), to `out`. */
void stasis_core_notes(const struct stasis_records *records, const struct stasis_vmcoreinfo *info,
                       FILE *out);

/* Walks the page tables of every vCPU: the upper half of its addresses; of the first one the lower
 * half too if `user` is set, or if its kernel runs there. */
STASIS_MUST_CHECK int stasis_core_map(const struct stasis_records *records, bool user,
                                      struct stasis_paging *paging,
                                      struct stasis_core_cpus *ret_cpus, struct stasis_error *err);

/* Copies RAM, every chunk verified, and looks for VMCOREINFO on the way (*ret_found). `progress` is
 * as for stasis_snap_verify(). */
STASIS_MUST_CHECK int
stasis_core_put_ram(struct stasis_inspect_ram *ram, struct stasis_output *file,
                    bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                    bool *ret_found, struct stasis_vmcoreinfo *ret_info, struct stasis_error *err);

/* Writes the headers and the notes; RAM gets STASIS_CORE_PHYSICAL added to its addresses if
 * `paged`. STASIS_ERR_WRITE, STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_core_put_headers(const struct stasis_paging *paging, bool paged,
                                              const void *notes, size_t notes_len,
                                              struct stasis_output *file, struct stasis_error *err);

/* Length of the whole file. */
uint64_t stasis_core_len(const struct stasis_snap *snap);

#endif
