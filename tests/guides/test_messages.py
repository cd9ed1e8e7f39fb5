#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The messages in the tables of docs/guides/moving.md are those of the programs.

usage: test_messages.py SOURCE_FOLDER

A message of the page is looked for in the texts of the source, "..." standing for what is filled in.
"""
import glob
import os
import re
import sys

LITERALS = re.compile(r'"(?:[^"\\\n]|\\.)*"(?:(?:\s|PRI\w+)*"(?:[^"\\\n]|\\.)*")*')
ROW = re.compile(r"^\| (.+?) \| .* \|$", re.M)


def texts(folder):
    """The texts of the source: adjacent literals are one."""
    for path in glob.glob(os.path.join(folder, "**/*.c"), recursive=True):
        with open(path, encoding="utf-8") as file:
            for found in LITERALS.findall(file.read()):
                yield "".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', found))


def messages(page):
    """The first column of the tables behind "What a host refuses"."""
    for row in ROW.findall(page.split("## What a host refuses", 1)[1]):
        if row not in ("message", "---"):
            yield row


def main():
    source = sys.argv[1]
    known = [text for room in ("vmm", "state-ser") for text in texts(os.path.join(source, room))]
    with open(os.path.join(source, "docs/guides/moving.md"), encoding="utf-8") as file:
        shown = list(messages(file.read()))
    bad = 0
    for message in shown:
        parts = [re.escape(part.strip()) for part in message.split("...") if part.strip()]
        pattern = re.compile(".*".join(parts))
        right = any(pattern.search(text) for text in known)
        bad += not right
        print(("ok " if right else "FAIL no such message: ") + message)
    return 1 if bad or len(shown) < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
