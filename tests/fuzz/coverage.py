#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""coverage.py BUILD: what the corpora reach of devices, decode, migrate, restore and overlays, by gcov's account of
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
    "decode", "migrate", "notes", "parse", "reader", "records", "schema_parse", "migrations", "unknown")),
    *(f"state-ser/snap/{name}.c" for name in ("header", "index", "read_index", "read_file", "source",
                                                "read_sections")),
    *(f"state-ser/snap/overlay{name}.c" for name in (
        "", "_chain", "_digests", "_find", "_index", "_log", "_look", "_map", "_open", "_places", "_recover", "_seal",
        "_state", "_verify")),
    *(f"core/{name}.c" for name in ("acpi_pm", "acpi_timer", "i8042", "mc146818", "mc146818_calendar", "mc146818_clock",
                                    "pl031", "pvpanic", "serial", "serial_state")),
    "state/schema.c", "state/field.c",
    "common/x86_features.c",
    *(f"vmm/snapshot/{name}.c" for name in ("clocks", "thaw", "thaw_check")),
    *(f"vmm/arch/x86/{name}.c" for name in (
        "chips", "clocks", "cpuid", "cpuid_check", "events", "msrs", "regs", "xsave"))]

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
    """[(file, first line of what is not reached, or "function NAME", reason)]"""
    rows = []
    with open(LIST, encoding="utf-8") as file:
        for row in file:
            if row.strip() and not row.startswith("#"):
                rows.append(tuple(part.strip() for part in row.rstrip("\n").split(" ## ")))
    return rows


def blocks(lines, source):
    """(function, text of the first line) of each run of lines not reached, or not in full."""
    open_block = False
    for number, (function, count, counts) in sorted(lines.items()):
        text = source[number - 1].strip()
        if count and all(counts):
            open_block = False
        elif not open_block:
            open_block = count == 0
            if text not in ("{", "}"):
                yield function, text


def main():
    build = sys.argv[1]
    rows, listed, unreached = read_list(), set(), []
    print(f"{'':34}{'lines':>14}{'branches':>16}")
    for name, lines in gcov(build).items():
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            source = file.read().splitlines()
        exempt = {row[1].split()[1]: row for row in rows
                  if row[0] == name and row[1].startswith("function ")}
        counted = {n: line for n, line in lines.items() if line[0] not in exempt}
        listed |= {exempt[line[0]] for line in lines.values() if line[0] in exempt}
        reached = sum(line[1] > 0 for line in counted.values())
        branches = [c for line in counted.values() for c in line[2]]
        print(f"{name:34}{reached:6} of {len(counted):4}{sum(c > 0 for c in branches):7} of "
              f"{len(branches):4}")
        for function, text in blocks(counted, source):
            row = next((r for r in rows if r[0] in (name, "*") and r[1] == text), None)
            if row:
                listed.add(row)
            else:
                unreached.append((name, function, text))
    if "--list" in sys.argv:
        for name, function, text in unreached:
            print(f"{name} ## {text} ## {function}")
        return 0
    print(f"{len(listed)} places are not reached in full, each for a reason in unreached.txt")
    for name, function, text in unreached:
        print(f"not reached, and not listed: {name}, {function}: {text}")
    bad = [f"listed, and reached or gone: {row[0]}: {row[1]}" for row in rows if row not in listed]
    bad += [f"without a reason: {row}" for row in rows if len(row) != 3 or not row[2]]
    print("\n".join(bad), end="\n" if bad else "")
    return 1 if unreached or bad else 0


if __name__ == "__main__":
    sys.exit(main())
