#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Holds vmm/ to its rooms: what a room includes, its CMake target links (C enforces neither).

usage: test_rooms.py SOURCE_FOLDER
"""
import os
import re
import sys

# Headers outside vmm/ that come with a library.
LIBRARY_HEADERS = {
    "stasis_kvm": {"kvm", "kvm_debug", "kvm_device", "kvm_dirty", "kvm_exits", "kvm_ioevent",
                   "kvm_irq", "kvm_memory", "kvm_msrs", "kvm_slots", "kvm_vcpu", "kvm_vcpu_state",
                   "kvm_vm", "kvm_x86"},
    "stasis_state": {"state", "field", "schema", "cpu_models", "enums", "version", "virtio_state"},
    "stasis_core": {"serial", "i8042", "pl031", "mc146818", "acpi_pm", "acpi_timer", "pvpanic", "vmgenid", "guest_error",
                    "guest_errors"},
    "stasis_virtio": {"virtio_balloon", "virtio_blk", "virtio_net", "virtio_queue", "virtio_mmio", "virtio_rng",
                      "virtio_version", "virtio_vsock"},
    "stasis_snap": {"snap", "ram", "migrate", "json", "records", "output", "overlay", "notes"},
}
# Public headers that a room has itself.
ROOM_HEADERS = {"vmm": "api", "vmm_config": "api", "vmm_version": "api"}
BASE_HEADERS = {"bytes", "compiler", "error", "fault_signals", "fd_path"}  # below all

# What is KVM's, or of one architecture, stays below arch.h.
KVM_WORDS = re.compile(r"\b(struct kvm_\w+|KVM_[A-Z]\w*)")
KVM_ROOMS = {"kvm", "arch"}

# What is of one architecture stays in its folder; in boot/ a word for it is enough to be wrong.
# image.h alone includes a header of the architecture's: what an image says beyond the common.
X86_WORDS = re.compile(r"\b(\w*(?i:bzimage|setup_header|boot_params|e820|multiboot|pvh|mptable|acpi|"
                       r"zero_page|mmio_gap|x86)\w*|EM_\w+)")
# These rooms pass states on without a look into them: what is in one is behind arch.h.
OPAQUE_ROOMS = {"snapshot", "machine", "api"}
OPAQUE_NAMES = {"STASIS_METRIC_RUN_kvmclock_is_stable"}  # of published formats
OPAQUE_WORDS = re.compile(r"\b(\w*(?i:x86|kvmclock|apic)\w*|\w*MSR_\w*|EM_[A-Z]\w*|STASIS_ARCH_\w+)")
BOOT_INCLUDES_ARCH = {"boot/image.h": {"vmm/boot/x86/image.h"}}

# Who may have a region's host address: slots, what is saved, what is loaded.
HOST_ADDRESS = re.compile(r"(regions\[[^]]*\]|region|last)(\.|->)host\b")
HOST_ADDRESS_FILES = {"kvm/memory.c", "kvm/slots.c", "snapshot/freeze.c", "snapshot/thaw.c"}

# Only the two functions built on stasis_memory_at() may lead to a write.
CAST_FROM_AT = re.compile(r"\([^()]*\*\)\s*(\(uintptr_t\)\s*)?stasis_memory_at\(")

# Options are the program's: the library names keys. The table has their help.
OPTION_IN_STRING = re.compile(r'^[^\n]*"[^"\n]*(--[a-z][a-z-]*)', re.M)
OPTION_ROOMS = {"cmd", "control"}
OPTION_FILES = {"api/config_table.c"}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return re.sub(r'"[^"\n]*"', '""', text)


def rooms_of(vmm):
    """{room: (rooms it links, libraries it links)} from the CMake files."""
    found = {}
    for room in sorted(os.listdir(vmm)):
        lists = os.path.join(vmm, room, "CMakeLists.txt")
        if not os.path.exists(lists):
            continue
        call = re.search(r"stasis_add_room\((\w+)(.*?)\)", read(lists), re.S)
        words = call.group(2).split()
        parts = {"SOURCES": set(), "ROOMS": set(), "LIBRARIES": set()}
        kind = None
        for word in words:
            if word in parts:
                kind = word
            else:
                parts[kind].add(word)
        found[room] = (parts["ROOMS"], parts["LIBRARIES"])
    return found


def reachable(rooms):
    """Links are public: what a linked room links may be included, too."""
    def walk(room):
        below_rooms, libraries = set(), set(rooms[room][1])
        for below in rooms[room][0]:
            more_rooms, more_libraries = walk(below)
            below_rooms |= {below} | more_rooms
            libraries |= more_libraries
        return below_rooms, libraries
    return {room: walk(room) for room in rooms}


def check_include(name, room, may, fail):
    inside = re.match(r"vmm/(\w+)/", name)
    outside = re.match(r"stasis/([\w/]+)\.(h|def)", name)
    if inside:
        target = inside.group(1)
        if target != room and target not in may[0]:
            fail(f"includes {name}, but {room} does not link {target}")
        if name.startswith("vmm/arch/x86/") and room != "arch":
            fail(f"includes {name}: only vmm/arch/arch.h is for other rooms")
    elif outside:
        header = outside.group(1).split("/")[0]
        if header in ROOM_HEADERS:
            if ROOM_HEADERS[header] not in {room} | may[0]:
                fail(f"includes {name}, but {room} does not link {ROOM_HEADERS[header]}")
            return
        known = set(BASE_HEADERS)
        for library in may[1]:
            known |= LIBRARY_HEADERS.get(library, set())
        if header not in known:
            fail(f"includes {name}, which none of its libraries ({', '.join(sorted(may[1]))}) has")


def check_boot(text, code, relative, fail):
    if relative.split(os.sep)[:-1] != ["boot"]:
        return
    for name in re.findall(r"^#include [\"<](vmm/boot/x86/.*|asm/.*)[\">]", text, re.M):
        if name not in BOOT_INCLUDES_ARCH.get(relative, set()):
            fail(f"includes {name}: what is of x86 is behind vmm/boot/boot_arch.h")
    for word in sorted(set(X86_WORDS.findall(code))):
        fail(f"has {word}: words of x86 belong to vmm/boot/x86")


def check_file(path, relative, room, may, report):
    text = read(path)
    code = without_comments(text)

    def fail(why):
        report.append(f"vmm/{relative}: {why}")

    for name in re.findall(r'^#include "([^"]+)"', text, re.M):
        check_include(name, room, may, fail)
    check_boot(text, code, relative, fail)
    if room in OPAQUE_ROOMS:
        for word in sorted(set(OPAQUE_WORDS.findall(code)) - OPAQUE_NAMES):
            fail(f"has {word}: what is of one architecture is behind vmm/arch/arch.h")
    if room not in KVM_ROOMS:
        for word in sorted(set(KVM_WORDS.findall(code))):
            fail(f"has {word}: KVM's own words belong to vmm/kvm and vmm/arch")
    if room not in OPTION_ROOMS and relative not in OPTION_FILES:
        for word in sorted(set(OPTION_IN_STRING.findall(text))):
            fail(f"says {word} in a message: name the key by its path")
    if HOST_ADDRESS.search(code) and relative not in HOST_ADDRESS_FILES:
        fail("takes the host address of guest RAM: use stasis_memory_writable()")
    if CAST_FROM_AT.search(code) and relative != "kvm/memory.c":
        fail("casts what stasis_memory_at() returns: use stasis_memory_writable()")


def check(root):
    vmm = os.path.join(root, "vmm")
    rooms = rooms_of(vmm)
    may = reachable(rooms)
    report, files = [], 0
    for folder, _, names in os.walk(vmm):
        for name in sorted(names):
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, vmm)
            if not name.endswith((".c", ".h", ".S")):
                continue
            room = relative.split(os.sep)[0]
            if room not in rooms:
                report.append(f"vmm/{relative}: is in no room that has a CMake target")
                continue
            check_file(path, relative, room, may[room], report)
            files += 1
    return rooms, files, report


def main():
    rooms, files, report = check(sys.argv[1])
    for line in report:
        print(line)
    print(f"{files} files in {len(rooms)} rooms, {len(report)} faults")
    return 1 if report or not files else 0


if __name__ == "__main__":
    sys.exit(main())
