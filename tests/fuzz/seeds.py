#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""seeds.py FOLDER SNAPSHOT...: inputs for the fuzz targets, cut out of snapshots by the independent
reader; into FOLDER/<target>/. For whoever begins a corpus anew: what fuzzing found since is not in
them."""
import hashlib
import os
import struct
import sys

import msgpack

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reader"))
import tree  # noqa: E402, F401 (the path first)
import stasis  # noqa: E402
from build import pack, seal  # noqa: E402
from stasis.reader.file import DATA, INDEX, SCHEMA, STATE  # noqa: E402
import chains  # noqa: E402

SMALL = 30000


def put(folder, target, name, data):
    os.makedirs(os.path.join(folder, target), exist_ok=True)
    with open(os.path.join(folder, target, name), "wb") as file:
        file.write(data)


def cut(path):
    """Header, index and its surroundings, state, schemas of a snapshot."""
    with open(path, "rb") as file:
        data = file.read()
    with stasis.open_snapshot(path) as snapshot:
        snapshot.verify()
        sections, header = snapshot.file.sections, snapshot.file.header
        parts = {s.type: data[s.offset:s.offset + s.length] for s in sections}
        place = next(s for s in sections if s.type == DATA)
        version_2 = (header.version - 1) << 63  # as fuzz_index.c has it
        front = struct.pack("<QQQQQ", header.ram, header.stored, header.incompatible | version_2,
                            place.offset, place.length)
    return data, front, parts


def timers():
    """State sections with the tests' own types: test.timer in each version, test.sample, and
    test.gauge."""
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
    cells = [{1: -1, 2: b""}, {1: 1, 2: b"note"}, {1: -32768, 2: b""}, {1: 2, 2: b"no"}]
    gauge = {1: -128, 2: 127, 3: -70000, 4: -2**63, 5: [{1: -32768}, {1: -1}, {1: 32767}],
             6: [1, 2, 3, 4, 5, 0xfff], 7: [{1: 0}] * 7 + [{1: -7}], 8: cells, 9: b"started",
             10: [{1: -1}, {1: 5}, {1: -2**31}], 11: cells[1:3]}
    first = {id: gauge[id] for id in (1, 2, 3, 4, 5, 6, 8, 9)} | {10: gauge[10][:2]}
    yield "gauge", [["test.gauge", "a", 2, 0, gauge]]
    yield "gauge1", [["test.gauge", "a", 1, 0, first]]
    yield "unknown", [["x.new", "a", 1, 1, {1: [1, {2: "s"}], 3: b"x", 200: 2**40}]]


def changed(state, kind, change):
    """The state section with one record of this kind changed by a function of its fields."""
    records = msgpack.unpackb(state, strict_map_key=False)
    for record in records:
        if record[0] == kind:
            change(record[4])
            break
    return pack(records)


def guests(state):
    """The guest in states that a thaw has to look at closely."""
    def put_in(key, value):
        return lambda fields: fields.__setitem__(key, value)

    def msrs(*new, without=()):
        def change(fields):
            kept = [m for m in fields[1] if m[1] not in without and m[1] not in dict(new)]
            fields[1] = sorted(kept + [{1: i, 2: v} for i, v in new], key=lambda m: m[1])
        return change

    def leaf(function, index, register, value):
        def change(fields):
            for row in fields[1]:
                if (row[1], row[2]) == (function, index):
                    row[register] = value
        return change

    def overlap(fields):
        fields[9][1][5] = fields[9][0][5]

    def wide(fields):
        fields[1] |= 0xe4
        fields[12], fields[15], fields[16], fields[17] = bytes(256), bytes(64), bytes(512), bytes(1024)

    for name, kind, change in (
            ("smm", "x86.events", put_in(16, 1)), ("pending", "x86.events", put_in(4, 1)),
            ("smi", "x86.events", put_in(17, 1)), ("triple", "x86.events", put_in(20, 1)),
            ("overlap", "stasis.board", overlap), ("cpus", "stasis.board", put_in(4, 2)),
            ("model", "stasis.board", put_in(3, "other")), ("wide", "x86.xsave", wide),
            ("wall", "x86.msrs", msrs((0x11, 0x1001))),
            ("wall-new", "x86.msrs", msrs((0x4b564d00, 0x2000), without=(0x11,))),
            ("wall-away", "x86.msrs", msrs((0x11, 1 << 40))),
            ("deadline", "x86.msrs", msrs((0x6e0, 1 << 50))),
            ("no-tsc", "x86.msrs", msrs(without=(0x10, 0x6e0, 0x11, 0x12))),
            ("hyperv", "x86.msrs", msrs((0x40000000, 1), (0x40000020, 0))),
            ("many", "x86.msrs", msrs(*((0xc0010000 + i, i) for i in range(300)))),
            ("vendor", "x86.cpuid", leaf(0, 0, 5, 7)), ("leaf-d", "x86.cpuid", leaf(0xd, 2, 4, 7)),
            ("khz", "x86.tsc", put_in(1, 1)), ("same-khz", "x86.tsc", put_in(1, 2000000)),
            ("xcr0", "x86.xcrs", put_in(1, 7)), ("x87", "x86.xcrs", put_in(1, 1)),
            ("then", "stasis.machine", put_in(2, 1)),
            ("later", "stasis.machine", put_in(2, 2**63))):
        yield name, changed(state, kind, change)
    records = msgpack.unpackb(state, strict_map_key=False)
    yield "left-over", pack(sorted(records + [["x86.tsc", "extra", 1, 0, {1: 5}]],
                                   key=lambda r: (r[0], r[1])))
    for kind in ("x86.xsave", "stasis.serial", "stasis.machine", "x86.cpuid"):
        yield "without-" + kind, pack([r for r in records if r[0] != kind])


def restores(state):
    """With each flaw of the KVM, each option, and each call failing."""
    yield "plain", bytes(4) + state
    yield "fail-each", bytes(3) + b"\x20" + state
    yield "fail-each-poor", struct.pack("<H", 0x3f) + b"\0\x20" + state
    for bit in range(15):
        yield f"flaw{bit}", struct.pack("<H", 1 << bit) + bytes(2) + state
        yield f"flaw{bit}-allowed", struct.pack("<H", 1 << bit | 0x10) + b"\0\x02" + state
    for bit in range(5):
        yield f"option{bit}", bytes(3) + bytes([1 << bit]) + state
    for name, other in guests(state):
        yield name, bytes(3) + b"\x01" + other
        yield name + "-poor", struct.pack("<H", 0xbf) + b"\0\x02" + other
        yield name + "-few", struct.pack("<H", 0x110) + b"\0\0" + other


def devices():
    """Events for the devices (device.h): every register and every event of the host, alone and between
    two freezes. An event is a kind and a byte; those of the clock end with 4 bytes more."""
    freeze = b"\xff"

    def between(events):
        return freeze + freeze.join(events) + freeze

    def writes(*rows):
        return [bytes([0x80 | register, value]) for register, value in rows]

    reads = [bytes([register, 0]) for register in range(16)]
    host = [b"\x20\x05", b"\x20\x42", b"\x30\x00", b"\x30\x07", b"\x40\x00", b"\x50\x00",
            b"\x60\xb0", b"\x60\x40", b"\x60\x00"]
    setups = {"plain": [], "fifo": writes((2, 0xc7), (1, 15)), "divisor": writes((3, 0x83)),
              "loopback": writes((2, 1), (4, 0x1f), (1, 15)), "irq": writes((1, 15), (4, 8))}
    for name, setup in setups.items():
        sends = writes(*((0, i) for i in range(70)))
        rest = [*reads, *host, *sends, *reads, b"\x30\xff", *writes(*((r, 0x55) for r in range(16))),
                *writes((2, 7), (2, 0)), *reads, b"\x70\x00", *reads]
        yield "serial", name, b"".join(setup + rest)
        yield "serial", name + "-frozen", between(setup + rest)
    commands = [bytes([0x80, register]) for register in range(4)]
    for command in range(256):
        commands += [bytes([0x84, command]), b"\x80\x03", b"\x04\x00", b"\x00\x00"]
    keyboard = [bytes([0x80, byte]) for byte in range(256)] + [b"\x00\x00", b"\x04\x00"] * 40
    quiet = [b"\x84\x60", b"\x80\x00", b"\x84\x20", b"\x84\xd1", b"\x80\x02", b"\x00\x00"]
    yield "i8042", "quiet-frozen", between(quiet)
    yield "i8042", "commands", b"".join(commands) + b"\x40\x00"
    yield "i8042", "commands-frozen", between(commands + [b"\x40\x00"])
    yield "i8042", "keyboard-frozen", between(keyboard)
    yield "i8042", "everywhere", b"".join(bytes([kind, 7]) for kind in range(0xff))

    power = [b"\x30\x03", b"\x89\x08", b"\x88\x08", b"\x81\x01", b"\x83\x01", b"\x20\x00", b"\x81\x01", b"\x20\x00", b"\x30\x03", b"\x89\x08",
             b"\x88\x08", *(bytes([0x80 | register, 0xff]) for register in range(16)), b"\x85\x34",
             b"\x85\x28", *(bytes([register, 0]) for register in range(16)), b"\x40\x00"]
    yield "acpi_pm", "all", b"".join(power)
    yield "acpi_pm", "all-frozen", between(power)

    timer = [b"\x00\x02", *(bytes([3, shift]) for shift in (9, 30, 36, 63)), b"\x00\x00", b"\x00\x0d", b"\xfe",
             b"\x00\x01", b"\x01\x00", b"\x03\x1e", b"\x02\x00", b"\x00\x02", b"\xfe", b"\x03\x1e", b"\x00\x0c"]
    yield "acpi_timer", "all-frozen", between(timer)

    panic = [b"\x00\x00", *(bytes([2, 1 << bit]) for bit in range(8)), b"\x01\x00", b"\x02\x02", b"\x00\x00"]
    yield "pvpanic", "all-frozen", between(panic)

    cmos = [b"\xc0\x0b\x72", b"\xc0\x01\xff", b"\xc0\x03\xff", b"\xc0\x05\x81", b"\x40\x1e\x10",
            b"\x01\x0c", b"\x60\x00\x00", b"\xc0\x0a\x23", b"\x40\x01\x20", b"\x01\x0c", b"\xc0\x0b\x82",
            *(bytes([0xc0, register, 0x11]) for register in range(10)), b"\xc0\x32\x20", b"\xc0\x0a\x76",
            b"\x40\x1e\x03", b"\xc0\x0b\x04", b"\xc0\x0a\x2f", *(bytes([1, register]) for register in range(52)),
            b"\xc0\x09\x37", b"\x40\x1f\xff", b"\x41\x1e\x77", b"\xc0\x0a\x26", b"\xc0\x0b\x02", b"\x80\x26\xac", b"\x01\x0a", b"\x80\x38\xff", b"\x70\x00\x00", b"\x00\x00",
            b"\xc0\x0c\x00", b"\xc0\x7f\x55", b"\x01\x7f"]
    yield "mc146818", "all", b"".join(cmos)
    yield "mc146818", "all-frozen", (freeze + b"\x02") + (freeze + b"\x09").join(cmos)

    def clock(kind, offset, value):
        return bytes([kind, offset]) + struct.pack("<I", value)

    reads = [bytes([kind, offset]) for kind in (0, 1, 2, 4, 12) for offset in (*range(0, 36), 0xe0, 0xff)]
    alarm = [clock(0xa4, 8, 100), clock(0xa4, 4, 103), clock(0xa4, 16, 1), clock(0x41, 0, 1 << 31),
             clock(0x40, 0, 1 << 31), clock(0x41, 8, 1 << 31), clock(0x60, 0, 0), *reads[:40],
             clock(0xa4, 28, 1), clock(0xa4, 4, 90), clock(0xa4, 4, 1000), clock(0x42, 4, 1 << 31)]
    odd = [clock(0xa0 | size, offset, 0x12345678) for size in (1, 2, 3, 4, 5, 12)
           for offset in (*range(0, 36), 0xe0)]
    for name, events in (("reads", reads), ("alarm", alarm), ("odd", odd), ("reset", alarm + [
            clock(0x70, 0, 0), clock(0x80, 32, 1 << 31), clock(0x80, 0, 5)] + reads)):
        yield "pl031", name, b"".join(events)
        yield "pl031", name + "-frozen", (freeze + b"\x02") + (freeze + b"\x00").join(events)


def tiny(stream):
    """A file of 4 KiB of RAM, all zero."""
    state, index = b"\x90", struct.pack("<IIQQBBHIQII", 1, 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0)
    head = bytearray(1024)
    head[:8], head[8:12] = b"\x89STASIS\n", struct.pack("<I", 1024)
    struct.pack_into("<IIQQ32s", head, 16, 1, 62, int(stream), 0, b"stasis seeds")
    struct.pack_into("<QQII", head, 104, 4096, 0, 65536, 4096)
    struct.pack_into("<I", head, 212, 32)
    order = ((1, 1024, len(state)), (2, 1032, len(index)), (3, 4096, 0))
    if stream:
        order = ((3, 4096, 0), (2, 4096, len(index)), (1, 4096 + len(index), len(state)))
    full = bytearray(head)
    struct.pack_into("<I", full, 208, 3)
    for row, (kind, offset, length) in enumerate(order):
        struct.pack_into("<IIQQ", full, 224 + 32 * row, kind, 0, offset, length)
    if not stream:
        struct.pack_into("<Q", full, 96, 4096)
        made = full + state + bytes(7) + index
        return seal(made + bytes(4096 - len(made)))
    made = head + bytes(3072) + index + state
    struct.pack_into("<Q", full, 96, len(made) + 1024)
    return seal(seal(made + full), len(made))


def elf(*segments, entry=0x100004, elf_class=2):
    """An ELF file of (type, address, content, length in memory)."""
    at = 64 + 56 * len(segments)
    headers, contents = b"", b""
    for kind, address, content, length in segments:
        headers += struct.pack("<IIQQQQQQ", kind, 7, at + len(contents), address, address,
                               len(content), length, 0x1000)
        contents += content
    ident = b"\x7fELF" + bytes([elf_class, 1, 1]) + bytes(9)
    return ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, len(segments),
                               0, 0, 0) + headers + contents


def bzimage(setup_sects=1, payload=1024):
    """The smallest with a 64-bit entry, relocatable in steps of 64 KiB."""
    head = bytearray((setup_sects + 1) * 512)
    struct.pack_into("<BHIHHHH", head, 0x1f1, setup_sects, 0, payload // 16, 0, 0, 0, 0xaa55)
    struct.pack_into("<BB4sH", head, 0x200, 0xeb, 0x6a, b"HdrS", 0x20f)
    head[0x211] = 1
    struct.pack_into("<IIBBHI", head, 0x22c, 0x7fffffff, 0x10000, 1, 0, 1, 2047)
    struct.pack_into("<QI", head, 0x258, 0x200000, 0x100000)
    return bytes(head) + b"4" * payload


def kernels():
    """Kernels of each kind, whole, cut, and of the kinds that are refused."""
    code, data = (1, 0x100000, b"c" * 32, 32), (1, 0x200000, b"d" * 16, 0x1010)
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen", 0x100004)
    multiboot = struct.pack("<III", 0x1badb002, 0, -0x1badb002 & 0xffffffff)
    yield "elf", b"\0" + elf(code, data)
    yield "elf-placed", b"\x10" + elf(code, data)
    yield "elf-pvh", b"\0" + elf(code, (4, 0, note, 0))
    yield "elf-pvh-beside", b"\0" + elf(code, (4, 0, note, 0), entry=0x100000)
    yield "elf-32", b"\0" + elf(code, elf_class=1)
    yield "multiboot", b"\0" + multiboot
    yield "elf-multiboot", b"\0" + elf((1, 0x100000, multiboot, 64), entry=0x100000)
    yield "bzimage", b"\0" + bzimage()
    yield "bzimage-placed", b"\x13" + bzimage()
    yield "bzimage-short", b"\0" + bzimage()[:-9]
    yield "bzimage-cut", b"\0" + bzimage()[:-16]
    yield "bzimage-setup", b"\0" + bzimage(setup_sects=4)


def many(size):
    """An index of chunks that are all zero, and its surroundings: more of them than a block holds."""
    chunks = size // 65536
    return struct.pack("<QQQQQ", size, 0, 0, 1 << 20, 0) + struct.pack(
        "<IIQQ", 1, 0, 0, size) + struct.pack("<BBHIQII", 1, 0, 0, 0, 0, 0, 0)[:24] * chunks


def files():
    """Files that are whole, and those that are cut, too long, or of two halves."""
    for name, data in (("tiny", tiny(False)), ("stream", tiny(True))):
        yield name, data
        yield name + "-cut", data[:-1]
        yield name + "-short", data[:1500]
        yield name + "-long", data + b"\0"
    stream = tiny(True)
    other = bytearray(stream)
    other[72] ^= 1
    yield "halves", bytes(seal(other))
    yield "no-trailer", stream[:-1024] + bytes(1024)


def layers():
    """Pairs of a file of two pages and a layer on it: partial, whole and empty, plain, compressed,
    streamed, with digests; and the indexes of the layers, with their surroundings."""
    page, of, uuids = b"\x2a" + bytes(4095), chains.Piece, (b"b" * 16, b"l" * 16)
    for features in (0, chains.DIGESTS, chains.COMPRESSED, chains.STREAMED):
        packed = chains.ZLIB if features == chains.COMPRESSED else chains.RAW
        below = chains.make_file(uuids[0], [(chains.STORED, [of(3, 3, packed, 0, 2 * page)])],
                                 features=features, regions=((0, 0x2000),))
        place = (*chains.places(below)[0], hashlib.sha256(2 * page).digest())
        for name, chunk in (("partial", (chains.CHANGED, [of(1, 1, chains.ZERO, 0, b""),
                                                          of(2, 2, packed, 0, page)])),
                            ("whole", (chains.STORED, [of(1, 1, packed, 0, page),
                                                       of(2, 3, packed, 1, place)])),
                            ("empty", (chains.BELOW, []))):
            layer = chains.make_file(uuids[1], [chunk], [chains.name_of(below)],
                                     features=features, regions=((0, 0x2000),))
            header = layer[-1024:] if features & chains.STREAMED else layer
            table = [struct.unpack_from("<IIQQ", header, 224 + 32 * i) for i in range(3)]
            index, data = (next(entry[2:] for entry in table if entry[0] == kind)
                           for kind in (INDEX, DATA))
            front = struct.pack("<QQQQQ", *struct.unpack_from("<QQ", header, 104),
                                header[24] | 1 << 63, *data)
            name = f"{name}-{features}"
            yield "chain", name, struct.pack("<I", len(below)) + bytes(below + layer)
            yield "index", "layer-" + name, front + bytes(layer[index[0]:sum(index)])


def main():
    folder, *paths = sys.argv[1:]
    for target, name, data in layers():
        put(folder, target, name, data)
    put(folder, "index", "many", many(64 << 20))
    put(folder, "index", "few", many(64 << 20)[:44])
    for name, data in kernels():
        put(folder, "boot", name, data)
    for target, name, data in devices():
        put(folder, target, name, data)
    for name, data in files():
        put(folder, "file", name, data)
    field = [7, "f", 1, 1, 1, 255, 0, 0, ""]
    nest = [["s0", 0, "", [field]]] + [
        [f"s{i}", 0, "", [[1, "f", 6, 0, 1, 0, 0, i, ""]]] for i in range(1, 5)]
    large = [["x", 1, "", [[i + 1, f"f{i}", 4, 1, 1 << 20, 0, 0, 0, ""] for i in range(5)]]]
    for name, states in (("deep", nest), ("large", large)):
        put(folder, "schema", name, struct.pack("<I", 1 << 16) + pack(states))
    put(folder, "schema", "behind", struct.pack("<I", 1 << 16) + pack(large[:0]) + b"\0")
    strange = pack([["x.new", 1, "", [[1, "f", 1, 1, 1, 255, 0, 0, ""]]]])
    for name, fields in (("same", {1: 5}), ("lie", {2: 5}), ("more", {1: 5, 2: 6})):
        shown = pack([["x.new", "a", 1, 1, fields], ["x.new", "b", 1, 1, {1: 9}],
                      ["x.new", "c", 2, 1, {1: 9}]])
        put(folder, "schema", "strange-" + name, struct.pack("<I", len(strange)) + strange + shown)
    for name, records in timers():
        put(folder, "records", name, pack(records))
        put(folder, "migrate", name, b"\0" + pack(records))
        put(folder, "migrate", name + "-tolerant", b"\1" + pack(records))
    for path in paths:
        name = os.path.basename(path).replace(".snap", "")
        data, front, parts = cut(path)
        state, schemas = parts[STATE], parts.get(SCHEMA, b"\x90")
        put(folder, "header", name, data[:1024])
        put(folder, "header", name + "-trailer", data[-1024:])
        put(folder, "index", name, front + parts[INDEX])
        if len(state) <= SMALL:
            put(folder, "records", name, state)
            put(folder, "migrate", name, b"\0" + state)
            put(folder, "schema", name, struct.pack("<I", len(schemas)) + schemas + state)
        if name == "demo":
            for what, data_of in restores(state):
                put(folder, "restore", what, data_of)
        if len(data) <= SMALL:
            put(folder, "file", name, data)


if __name__ == "__main__":
    main()
