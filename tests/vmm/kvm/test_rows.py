#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Checks rows.md: every function that it names is public, every test case is there and runs.

usage: test_rows.py SOURCE_FOLDER
"""
import os
import re
import sys

WORDS = {"open", "waits", "not apply"}
OPEN_MAX = 0  # rows still to be done


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def rows_of(text):
    """(row, functions, tests) of each table's body."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and not set(cells[0]) <= {"-"} \
                and cells[2] != "Tests":
            yield cells


def declared(root):
    folder = os.path.join(root, "vmm/kvm/include/stasis")
    text = "".join(read(os.path.join(folder, name)) for name in sorted(os.listdir(folder)))
    return set(re.findall(r"\b(stasis_\w+)\(", text))


def cases(root):
    """{program: names of its cases} of all test programs."""
    found = {}
    for place, _, names in os.walk(os.path.join(root, "tests")):
        for name in names:
            if re.fullmatch(r"test_\w+\.c", name):
                text = read(os.path.join(place, name))
                found[name[:-2]] = set(re.findall(
                    r"\b(?:(?:KVM_)?CASE|cmocka_unit_test(?:_setup_teardown)?)\(\s*(\w+)", text))
    return found


def check(rows, functions, programs):
    """What is wrong, and how many rows are done, open, waiting, and of other machines."""
    wrong, counts = [], {"done": 0, "open": 0, "waits": 0, "not apply": 0}
    for row, code, tests in rows:
        if code in WORDS or tests in WORDS:
            if code != tests:
                wrong.append(f"{row}: half done")
            counts[tests if tests in counts else "open"] += 1
            continue
        counts["done"] += 1
        named = re.findall(r"`(stasis_\w+)`", code)
        wrong += [f"{row}: no public function {name}" for name in named if name not in functions]
        if not named:
            wrong.append(f"{row}: names no function")
        named = re.findall(r"`(\w+)\.(\w+)`", tests)
        wrong += [f"{row}: no test case {program}.{case}" for program, case in named
                  if case not in programs.get(program, ())]
        if not named:
            wrong.append(f"{row}: names no test case")
    return wrong, counts


def check_itself():
    rows = [("a", "`stasis_a`", "`test_x.good`"), ("b", "`stasis_b`", "`test_x.good`"),
            ("c", "`stasis_a`", "`test_x.bad`"), ("d", "`stasis_a`", "none"), ("e", "open", "open"),
            ("f", "waits", "open"), ("g", "none", "`test_y.good`")]
    wrong, counts = check(rows, {"stasis_a"}, {"test_x": {"good"}})
    assert wrong == ["b: no public function stasis_b", "c: no test case test_x.bad",
                     "d: names no test case", "f: half done", "g: names no function",
                     "g: no test case test_y.good"], wrong
    assert counts == {"done": 5, "open": 2, "waits": 0, "not apply": 0}, counts
    assert list(rows_of("| a | b | Tests |\n|---|---|---|\n| x | y | z |\nno\n")) == [["x", "y", "z"]]


def main():
    root = sys.argv[1]
    check_itself()
    rows = list(rows_of(read(os.path.join(root, "tests/vmm/kvm/rows.md"))))
    wrong, counts = check(rows, declared(root), cases(root))
    if len(rows) < 100:
        wrong.append(f"only {len(rows)} rows were found")
    if counts["open"] > OPEN_MAX:
        wrong.append(f"{counts['open']} rows are open")
    print(f"{len(rows)} rows: " + ", ".join(f"{value} {key}" for key, value in counts.items()))
    for line in wrong:
        print(line)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
