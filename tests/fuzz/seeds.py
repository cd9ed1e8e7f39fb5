#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""seeds.py FOLDER SNAPSHOT...: inputs for the fuzz targets, cut out of snapshots by the independent
reader; into FOLDER/<target>/. For whoever begins a corpus anew: what fuzzing found since is not in
them."""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reader"))
import stasis_reader as reader  # noqa: E402 (the path first)
from build import pack  # noqa: E402

SMALL = 30000


def put(folder, target, name, data):
    os.makedirs(os.path.join(folder, target), exist_ok=True)
    with open(os.path.join(folder, target, name), "wb") as file:
        file.write(data)


def cut(path):
    """Header, index and its surroundings, state, schemas of a snapshot."""
    with open(path, "rb") as file:
        data = file.read()
    with reader.Snapshot(path) as snapshot:
        snapshot.verify()
        parts = {s.type: data[s.offset:s.offset + s.length] for s in snapshot.sections}
        place = next(s for s in snapshot.sections if s.type == reader.DATA)
        header = snapshot.header
        front = struct.pack("<QQQQQ", header.ram, header.stored, header.incompatible,
                            place.offset, place.length)
    return data, front, parts


def timers():
    """State sections with the tests' own types: test.timer in each version, and test.sample."""
    board = {1: "", 2: "", 3: "host", 4: 1, 5: 0, 6: 0, 7: 1, 8: [{1: 0, 2: 4096}],
             9: [{1: "test.timer", 2: "t", 3: 2, 4: 1, 5: 0, 6: 8, 7: 5}]}
    states = {1: {1: 20, 2: 3, 3: "label", 4: [{1: 7}]},
              2: {2: 7, 3: "labellabel", 4: [{1: 7}], 5: 20000},
              3: {2: 255, 3: "labellabel", 4: [{1: 65536, 2: 2}] * 5, 5: 20001, 6: b"abcd"}}
    plain = {2: 3, 3: "tick", 4: [{1: 7, 2: 1}], 5: 3000, 6: b""}
    sample = {1: 255, 2: 5, 3: 9, 4: [0, 127, 128], 5: b"ab", 6: b"12345678", 7: "label",
              8: {1: 2**64 - 1, 2: ""}, 9: [{1: 0, 2: "one"}]}
    for version, state in states.items():
        yield f"timer{version}", [["test.timer", "t", version, 0, state]]
    yield "timer-plain", [["test.timer", "t", 3, 0, plain]]
    yield "timer-board", [["stasis.board", "vm", 1, 0, board], ["test.timer", "t", 3, 0, plain]]
    yield "sample", [["test.sample", "a", 2, 1, sample]]
    yield "unknown", [["x.new", "a", 1, 1, {1: [1, {2: "s"}], 3: b"x", 200: 2**40}]]


def main():
    folder, *paths = sys.argv[1:]
    for name, records in timers():
        put(folder, "records", name, pack(records))
        put(folder, "migrate", name, b"\0" + pack(records))
        put(folder, "migrate", name + "-tolerant", b"\1" + pack(records))
    for path in paths:
        name = os.path.basename(path).replace(".snap", "")
        data, front, parts = cut(path)
        state, schemas = parts[reader.STATE], parts.get(reader.SCHEMA, b"\x90")
        put(folder, "header", name, data[:1024])
        put(folder, "header", name + "-trailer", data[-1024:])
        put(folder, "index", name, front + parts[reader.INDEX])
        if len(state) <= SMALL:
            put(folder, "records", name, state)
            put(folder, "migrate", name, b"\0" + state)
            put(folder, "schema", name, struct.pack("<I", len(schemas)) + schemas + state)
        if name.startswith("demo") and len(state) <= SMALL:
            put(folder, "restore", name, bytes(4) + state)
            for bit in range(15):  # each flaw of the KVM
                flaw = struct.pack("<H", 1 << bit)
                put(folder, "restore", f"{name}-flaw{bit}", flaw + bytes(2) + state)
        if len(data) <= SMALL:
            put(folder, "file", name, data)


if __name__ == "__main__":
    main()
