/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <cpuid.h>

#include "vmm/arch/x86/x86.h"

struct stasis_x86_cpuid_leaf_state stasis_x86_cpuid_read(uint32_t function, uint32_t index)
{
    struct stasis_x86_cpuid_leaf_state leaf = {.function = function, .index = index};

    (void)__get_cpuid_count(function, index, &leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx);
    return leaf;
}
