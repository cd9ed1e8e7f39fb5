/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * VMCOREINFO: the page of text in which a Linux kernel says what debuggers must know of it, e.g.
 * where KASLR put it (Documentation/admin-guide/kdump/vmcoreinfo.rst).
 */
#ifndef STASIS_TOOLS_VMCOREINFO_H
#define STASIS_TOOLS_VMCOREINFO_H

#include <stdbool.h>

#include "tools/guest_ram.h"

struct stasis_vmcoreinfo {
    char text[STASIS_PAGE_SIZE + 1]; /* ends with a line feed */
    size_t len;
    char release[64];     /* OSRELEASE */
    uint64_t kaslr;       /* KERNELOFFSET: how far the kernel is from where it was linked to */
    uint64_t page_tables; /* gpa of swapper_pg_dir, a root of page tables */
    unsigned levels;      /* of those tables: 4 or 5 */
};

/* Whether a page of RAM is one: by its text, and since any guest can write such a text, by its own
 * truth: the tables it names must lead from their virtual address to where they are. `ram` must be
 * readable. *ret_info is written only when it is. */
bool stasis_vmcoreinfo_parse(const uint8_t page[STASIS_PAGE_SIZE], struct stasis_inspect_ram *ram,
                             struct stasis_vmcoreinfo *ret_info);

#endif
