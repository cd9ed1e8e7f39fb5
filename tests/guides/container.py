#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs docs/guides/container.md in two places, since its guest runs in an emulated machine (tests/e2e/run).

usage: container.py make FOLDER [ROOT_TAR]   the part before the boot; FOLDER gets container.cpio.gz, and
                                             container.page, a shell's script with the rest
       container.py check SAID               SAID is what that script has printed

Without ROOT_TAR the image has busybox alone, as Docker's image of this name.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import page

GUIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/guides/container.md")
LIMIT_S = 600  # only a hang gets there


def parts():
    """The steps before the boot, and from there on."""
    with open(GUIDE, encoding="utf-8") as file:
        before, after = file.read().split("## Boot it", 1)
    return page.steps(before), page.steps(after)


def show(found, said):
    """Whether what was said is what the page shows; prints each command."""
    try:
        for command in page.check(found, said):
            print("ok page_container: $ " + command.split("\n", maxsplit=1)[0])
    except page.Failure as failure:
        print(f"FAIL page_container: {failure}")
        return False
    return True


def make_image(folder):
    """An image of busybox, as root.tar."""
    with tempfile.TemporaryDirectory() as root:
        os.mkdir(os.path.join(root, "bin"))
        busybox = os.path.join(root, "bin/busybox")
        shutil.copy(shutil.which("busybox"), busybox)
        for name in subprocess.check_output([busybox, "--list"], text=True).split():
            if name != "busybox":
                os.symlink("busybox", os.path.join(root, "bin", name))
        subprocess.check_call(["tar", "-C", root, "-cf", os.path.join(folder, "root.tar"), "bin"])


def make(folder, image=None):
    first, rest = parts()
    with tempfile.TemporaryDirectory() as work:
        if image:
            shutil.copy(image, os.path.join(work, "root.tar"))
        else:
            make_image(work)
        said = page.run(first, work, dict(os.environ), LIMIT_S)
        if not show(first, said):
            return 1
        shutil.copy(os.path.join(work, "root.cpio.gz"), os.path.join(folder, "container.cpio.gz"))
    with open(os.path.join(folder, "container.page"), "w", encoding="utf-8") as file:
        file.write(page.script(rest))
    return 0


def check(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return 0 if show(parts()[1], file.read()) else 1


if __name__ == "__main__":
    sys.exit({"make": make, "check": check}[sys.argv[1]](*sys.argv[2:]))
