#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs a page of docs/guides as it stands.

usage: test_guide.py PAGE BINARY_FOLDER [/dev/kvm] [PROGRAM]...

The page needs each PROGRAM, and /dev/kvm if that is named.
"""
import os
import shutil
import sys
import tempfile

import page

SKIPPED = 77
LIMIT_S = 300  # only a hang gets there


def missing(programs):
    """Why the page cannot be run here, or None."""
    if "/dev/kvm" in programs and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "this host has no KVM that this user may use"
    absent = [program for program in programs if program != "/dev/kvm" and not shutil.which(program)]
    return f"{absent[0]} is not installed" if absent else None


def main():
    path, binaries, *programs = sys.argv[1:]
    why = missing(programs)
    if why:
        print(f"skipped: {why}")
        return SKIPPED
    with open(path, encoding="utf-8") as file:
        found = page.steps(file.read())
    environment = dict(os.environ, LC_ALL="C.UTF-8", PATH=os.path.abspath(binaries) + ":" + os.environ["PATH"])
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        said = page.run(found, folder, environment, LIMIT_S)
        try:
            for command in page.check(found, said):
                print("ok $ " + command.split("\n", maxsplit=1)[0])
                count += 1
        except page.Failure as failure:
            print(f"FAIL {failure}")
            return 1
    print(f"{count} commands")
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())
