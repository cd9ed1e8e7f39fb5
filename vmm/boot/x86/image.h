/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a kernel image on x86 says of itself beyond struct stasis_boot_image.
 */
#ifndef STASIS_VMM_BOOT_X86_IMAGE_H
#define STASIS_VMM_BOOT_X86_IMAGE_H

#include <asm/bootparam.h>

struct stasis_boot_arch_image {
    struct setup_header header; /* all 0 unless a bzImage gave it */
};

#endif
