#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""test_threats.py ROOT: docs/threat-model.md has a row for each device of a board and for each
option of vmm, and no other, and names what the sandbox lets each vmm open; the row of an option that
takes a descriptor says so; each row of its tables of ways in names a test; and each test that it names
is in the tree."""
import glob
import os
import re
import sys

TEST = re.compile(r"`((?:test|fuzz)_\w+\.(?:c|py|sh))`")


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def devices(root):
    return {"stasis." + name
            for name in re.findall(r"&stasis_device_(\w+)_type\b", read(root, "vmm/machine/device.c"))}


def options(root):
    found = set()
    for path in ("vmm/api/config_table.c", "vmm/cmd/cli_table.c"):
        found |= set(re.findall(r'\{\s*"([a-z-]+)",\s*(?:\w+_keys|NULL),', read(root, path)))
    return {"--" + name for name in found}


def take_descriptors(root):
    """Options with a key for one."""
    keys = {name for name, body in re.findall(r"(\w+_keys)\[\] = \{\n(.*?)\n\};", read(root, "vmm/api/config_keys.c"),
                                              re.S) if "STASIS_OPTION_FD" in body}
    table = re.findall(r'\{\s*"([a-z-]+)",\s*(\w+_keys),', read(root, "vmm/api/config_table.c"))
    return {"--" + name for name, its_keys in table if its_keys in keys}


def host_files(root):
    return set(re.findall(r'"(/(?:dev|etc|proc|sys)/[\w/]+)"', read(root, "vmm/cmd/confine_files.c")))


def unnamed(root, tables):
    """Descriptors and files that the rows of options and of files do not name."""
    says = {row[0].split("`")[1]: row[1] for row in tables["Options"]}
    yield from (f"option {name}: its row names no descriptor" for name in sorted(take_descriptors(root))
                if "descriptor" not in says.get(name, ""))
    ways = " ".join(row[0] for row in tables["Descriptors, sockets, files and limits"])
    yield from (f"file {path}: no row" for path in sorted(host_files(root))
                if not re.search(re.escape(path) + r"(?![\w/])", ways))
    if len(take_descriptors(root)) < 5 or len(host_files(root)) < 5:
        yield "descriptors and files are not found where they were"


def rows(text, heading):
    """The cells of the rows below the heading, without the table's own."""
    section = re.search(rf"^### {heading}\n(.*?)^##", text, re.M | re.S).group(1)
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def compare(what, documented, there):
    yield from (f"{what} {name}: no row" for name in sorted(there - documented))
    yield from (f"{what} {name}: a row, and no such {what}" for name in sorted(documented - there))


def faults(root, text):
    tables = {name: rows(text, name) for name in (
        "Devices", "Options", "Descriptors, sockets, files and limits")}
    for what, name, there in (("device", "Devices", devices(root)), ("option", "Options", options(root))):
        if len(there) < 5:
            yield f"{what}s are not found where they were"
        yield from compare(what, {row[0].split("`")[1] for row in tables[name]}, there)
    yield from unnamed(root, tables)
    for table in tables.values():
        yield from (f"{row[0]}: names no test" for row in table if not TEST.search(row[-1]))
    tree = {os.path.basename(path) for path in glob.glob(os.path.join(root, "tests/**"), recursive=True)}
    yield from (f"{name}: there is no such test" for name in sorted(set(TEST.findall(text)) - tree))


def main():
    root = sys.argv[1]
    text = read(root, "docs/threat-model.md")
    found = list(faults(root, text))
    # The check itself: a document without a row, and with a test that is not there, is refused.
    broken = re.sub(r"^\| `--kernel`.*\n", "", text, flags=re.M).replace("`test_memory.c`", "`test_none.c`")
    broken = broken.replace("| `--kvm` | a descriptor", "| `--kvm` | a number").replace("`/etc/group`", "`/etc/groups`")
    if sorted(set(faults(root, broken)) - set(found)) != [
            "file /etc/group: no row", "option --kernel: no row", "option --kvm: its row names no descriptor",
            "test_none.c: there is no such test"]:
        found.append("the check does not see what is missing")
    print("\n".join(found) or f"{len(set(TEST.findall(text)))} tests are named")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
