#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The check of rooms refuses what it is there to find: one wrong edit of a copy of vmm/ at a time.

usage: test_refused.py SOURCE_FOLDER
"""
import os
import shutil
import sys
import tempfile

import test_rooms

# (file, a line to add at its end, what the report must say)
EDITS = [
    ("kvm/vcpu.c", '#include "vmm/machine/machine.h"', "kvm does not link machine"),
    ("kvm/vm.c", '#include "stasis/state.h"', "which none of its libraries"),
    ("virtio/queue.c", '#include "stasis/kvm_memory.h"', "which none of its libraries"),
    ("virtio/rng.c", '#include "vmm/machine/device.h"', "virtio does not link machine"),
    ("machine/machine.c", '#include "vmm/snapshot/thaw.h"', "machine does not link snapshot"),
    ("snapshot/freeze.c", '#include "vmm/boot/loader.h"', "snapshot does not link boot"),
    ("api/vmm.c", '#include "vmm/cmd/say.h"', "api does not link cmd"),
    ("snapshot/thaw.c", '#include "vmm/arch/x86/x86.h"', "only vmm/arch/arch.h"),
    ("machine/board.c", '#include "stasis/snap.h"', "which none of its libraries"),
    ("snapshot/thaw.c", "static struct kvm_sregs sregs;", "has struct kvm_sregs"),
    ("machine/bus.c", "int n = KVM_GET_REGS;", "has KVM_GET_REGS"),
    ("boot/kernel.c", '#include "vmm/boot/x86/bzimage.h"', "is behind vmm/boot/boot_arch.h"),
    ("boot/loader.h", "#include <asm/bootparam.h>", "is behind vmm/boot/boot_arch.h"),
    ("boot/elf.c", "bool f(int m) { return m == EM_X86_64; }", "has EM_X86_64"),
    ("snapshot/clocks.c", "struct stasis_x86_clock_state clock;", "has stasis_x86_clock_state"),
    ("snapshot/freeze.c", "int f(void) { return STASIS_ARCH_X86_64; }", "has STASIS_ARCH_X86_64"),
    ("machine/board.c", "uint32_t index = STASIS_MSR_TSC;", "has STASIS_MSR_TSC"),
    ("api/vmm.c", "bool f(void *s) { return s == &stasis_x86_msrs_schema; }", "has stasis_x86_msrs"),
    ("boot/image.h", "struct setup_header header;", "has setup_header"),
    ("boot/elf.c", "void f(void) { *(uint8_t *)stasis_memory_at(m, 0, 1) = 1; }", "casts what"),
    ("boot/elf.c", 'const char *f = "give more by --memory";', "says --memory in a message"),
    ("boot/elf.c", "void f(void) { memory->regions[0].host[0] = 1; }", "host address of guest RAM"),
]


def report_of(root):
    return "\n".join(test_rooms.check(root)[2])


def main():
    missed = 0
    for file, line, expected in EDITS:
        with tempfile.TemporaryDirectory() as root:
            shutil.copytree(os.path.join(sys.argv[1], "vmm"), os.path.join(root, "vmm"))
            with open(os.path.join(root, "vmm", file), "a", encoding="utf-8") as out:
                out.write(line + "\n")
            if expected not in report_of(root):
                print(f"not found: {line} in {file}")
                missed += 1
    print(f"{len(EDITS) - missed} of {len(EDITS)} wrong edits found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
