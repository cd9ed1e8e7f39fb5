#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs a page of docs/guides as it stands.

usage: test_guide.py [-n] PAGE BINARY_FOLDER [/dev/kvm] [PROGRAM]...

The page needs each PROGRAM, and /dev/kvm if that is named. Where this host has none, or with -n, the page is run in
a machine that QEMU emulates, without commands of gdb, which is no program that could be taken there alone.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import page

SKIPPED = 77
STOOD_STILL, MACHINES_MAX = 75, 3  # of scripts/nested: nobody's failure
LIMIT_S = 300  # only a hang gets there
NESTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/nested")
RIG = ("qemu-system-x86_64", "busybox", "cpio")


def run_here(found, folder, binaries):
    environment = dict(os.environ, LC_ALL="C.UTF-8", PATH=binaries + ":" + os.environ["PATH"])
    return page.run(found, folder, environment, LIMIT_S)


def run_nested(found, folder, binaries, programs):
    with open(os.path.join(folder, "page.sh"), "w", encoding="utf-8") as file:
        file.write(page.script(found))
    with open(os.path.join(folder, "start"), "w", encoding="utf-8") as file:
        file.write("mkdir /tmp/page && cd /tmp/page && "
                   f"busybox timeout -s KILL {LIMIT_S} sh /payload/page.sh </dev/null >/tmp/outbox/said 2>&1\n")
    command = [NESTED, "-x", folder, "-f", os.path.join(folder, "page.sh")]
    for program in [os.path.join(binaries, name) for name in ("vmm", "snapshot-inspect")] + programs:
        command += ["-b", shutil.which(program)]
    for _ in range(MACHINES_MAX):
        done = subprocess.run([*command, os.path.join(folder, "start")], text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != STOOD_STILL:
            break
        print("stalls: 1")
    said = os.path.join(folder, "said")
    if not os.path.exists(said):
        return done.stdout
    with open(said, encoding="utf-8", errors="replace") as file:
        return file.read()


def show(found, said):
    """Prints each command; returns how many, or 0 after one that is wrong."""
    count = 0
    try:
        for command in page.check(found, said):
            print("ok $ " + command.split("\n", maxsplit=1)[0])
            count += 1
    except page.Failure as failure:
        print(f"FAIL {failure}")
        return 0
    print(f"{count} commands")
    return count


def main(path, binaries, *needs):
    nested = path == "-n"
    if nested:
        path, binaries, *needs = binaries, *needs
    programs = [need for need in needs if need != "/dev/kvm"]
    nested = nested or (len(programs) < len(needs) and not os.access("/dev/kvm", os.R_OK | os.W_OK))
    absent = [program for program in programs + list(RIG if nested else ()) if not shutil.which(program)]
    if absent:
        print(f"skipped: {absent[0]} is not installed")
        return SKIPPED
    with open(path, encoding="utf-8") as file:
        found = page.steps(file.read())
    with tempfile.TemporaryDirectory() as folder:
        if nested:
            left_out = [step for step in found if step[0].startswith("gdb ")]
            found = [step for step in found if step not in left_out]
            for command, _ in left_out:
                print(f"skip $ {command}: the emulated machine has no gdb")
            said = run_nested(found, folder, os.path.abspath(binaries),
                              [program for program in programs if program != "gdb"])
        else:
            said = run_here(found, folder, os.path.abspath(binaries))
    return 0 if show(found, said) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
