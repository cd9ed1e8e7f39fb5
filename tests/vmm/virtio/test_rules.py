#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""test_rules.py ROOT: each row of docs/virtio.md names a section and tests, each of which is in the
tree and is run."""
import os
import re
import sys

ROW = re.compile(r"^\| ([0-9.]+) \|.*\| `(test_\w+\.c)`: `(\w+)` \|$")
ROWS_MIN = 60


def faults(text, read):
    rows = [line for line in text.splitlines() if re.match(r"\| *[0-9](?!.*\| test \|$)", line)]
    if len(rows) < ROWS_MIN:
        yield f"{len(rows)} rows, {ROWS_MIN} at least are wanted"
    for line in rows:
        row = ROW.match(line)
        if not row:
            yield f"no section or test: {line}"
        elif not re.search(rf"cmocka_unit_test\w*\({row[3]}\b", read(row[2])):
            yield f"{row[2]} runs no test {row[3]}"


def main():
    root = sys.argv[1]

    def read(name):
        path = os.path.join(root, "tests/vmm/virtio", name)
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8") as file:
            return file.read()

    with open(os.path.join(root, "docs/virtio.md"), encoding="utf-8") as file:
        text = file.read()
    found = list(faults(text, read))
    # The check itself: a test that is not run, and a row without one, are seen.
    broken = text.replace("`loops_end`", "`loops_go_on`").replace("`test_virtio_rng.c`", "`rng`")
    if len(list(faults(broken, read))) != len(found) + 2:
        found.append("the check does not see what is missing")
    print("\n".join(found) or f"{len(re.findall(ROW.pattern, text, re.M))} rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
