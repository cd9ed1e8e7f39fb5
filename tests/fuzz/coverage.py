#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""coverage.py BUILD: what the corpora reach of decode, migrate and restore, by gcov's account of
BUILD, in which the fuzz programs have run. Prints lines and branches of each file. A line that was
not reached, or has a branch that was not taken, must stand in unreached.txt with its reason; and
what stands there must not have been reached: else the exit status is 1.

    coverage.py BUILD --list     prints what stands in no list, in the form of the list
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LIST = os.path.join(HERE, "unreached.txt")
FILES = [*(f"state-ser/ser/{name}.c" for name in (
    "decode", "migrate", "parse", "reader", "records", "schema_parse", "steps", "unknown")),
    *(f"state-ser/snap/{name}.c" for name in ("header", "index", "open")),
    "state/schema.c", "state/field.c",
    *(f"vmm/{name}.c" for name in (
        "thaw", "x86_chips", "x86_cpuid", "x86_events", "x86_msrs", "x86_regs", "x86_xsave"))]

# Not of reading, migrating or restoring: the other half of what is in these files.
OTHER_HALF = {
    "vmm/x86_chips.c": ("_get",), "vmm/x86_events.c": ("_get",), "vmm/x86_msrs.c": (
        "_get", "candidates", "add_", "is_for_guest", "contains", "sort", "compare"),
    "vmm/x86_regs.c": ("_get",), "vmm/x86_xsave.c": ("_get", "read_area", "legacy_get"),
    "vmm/x86_cpuid.c": ("_get", "_make", "_new", "baseline", "host_", "hide", "default"),
    "state-ser/ser/records.c": ("stasis_records_add", "check_add"),
}


def gcov(build):
    """{file: {line: (function, count, branches)}} over all objects that hold the file."""
    found = {name: {} for name in FILES}
    data = [os.path.join(folder, name) for folder, _, names in os.walk(build)
            for name in names if name.endswith(".gcda")]
    wanted = [path for path in data
              if any(path.endswith("/" + os.path.basename(name) + ".gcda") for name in FILES)]
    out = subprocess.check_output(["gcov", "--json-format", "--stdout", "-b", *sorted(wanted)],
                                  text=True, stderr=subprocess.DEVNULL)
    for report in out.splitlines():
        for file in json.loads(report)["files"]:
            name = os.path.relpath(os.path.join(ROOT, file["file"]), ROOT)
            if name in found:
                add(found[name], file["lines"])
    return found


def add(lines, report):
    for line in report:
        function, count, branches = lines.get(line["line_number"], ("", 0, []))
        taken = [branch["count"] for branch in line["branches"]]
        if len(branches) != len(taken):
            branches = branches or [0] * len(taken)
        merged = [a + b for a, b in zip(branches, taken)]
        lines[line["line_number"]] = (line.get("function_name", function), count + line["count"],
                                      merged)


def read_list():
    """[(file, text of the line, reason)]"""
    rows = []
    with open(LIST, encoding="utf-8") as file:
        for row in file:
            if row.strip() and not row.startswith("#"):
                rows.append(tuple(part.strip() for part in row.rstrip("\n").split(" ## ")))
    return rows


def main():
    build = sys.argv[1]
    rows, listed, unreached = read_list(), set(), []
    print(f"{'':34}{'lines':>14}{'branches':>16}")
    for name, lines in gcov(build).items():
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            source = file.read().splitlines()
        skipped = OTHER_HALF.get(name, ())
        total = reached = branches = taken = 0
        for number, (function, count, counts) in sorted(lines.items()):
            if any(part in function for part in skipped):
                continue
            total, reached = total + 1, reached + (count > 0)
            branches, taken = branches + len(counts), taken + sum(c > 0 for c in counts)
            if count and all(counts):
                continue
            text = source[number - 1].strip()
            row = next((r for r in rows if r[0] in (name, "*") and r[1] == text), None)
            if row:
                listed.add(row)
            elif text not in ("{", "}"):
                unreached.append((name, text))
        print(f"{name:34}{reached:6} of {total:4}{taken:7} of {branches:4}")
    stale = [row for row in rows if row not in listed]
    if "--list" in sys.argv:
        for name, text in unreached:
            print(f"{name} ## {text} ## ")
        return 0
    print(f"{len(listed)} lines are not reached in full, each for a reason in unreached.txt")
    for name, text in unreached:
        print(f"not reached, and not listed: {name}: {text}")
    for row in stale:
        print(f"listed, and reached or gone: {row[0]}: {row[1]}")
    if any(len(row) != 3 or not row[2] for row in rows):
        print("a row of unreached.txt has no reason")
        return 1
    return 1 if unreached or stale else 0


if __name__ == "__main__":
    sys.exit(main())
