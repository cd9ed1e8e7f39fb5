# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Builds snapshots byte by byte for the tests of the reader, right but for what the test wants wrong."""
import hashlib
import re
import struct
import zlib

import tree  # noqa: F401 (before the module)
from stasis.reader.tables import document, known

STATE, INDEX, DATA = 1, 2, 3
SCHEMAS, TEXT = known(), document()


def example(version=1):
    """The file of the document's worked example of that format version."""
    name = "example" if version == 1 else f"example {version}"
    dump = TEXT.split(f"<!-- {name} begin -->")[1].split(f"<!-- {name} end -->")[0]
    lines = re.findall(r"^([0-9a-f]{8})((?: +[0-9a-f]{2}){16})", dump, re.MULTILINE)
    data = bytearray(int(re.search(r"^([0-9a-f]{8})$", dump, re.MULTILINE)[1], 16))
    for offset, row in lines:
        data[int(offset, 16):int(offset, 16) + 16] = bytes.fromhex(row)
    return data


def layer_on(below, chunks, page):
    """The worked example of a layer: entries of (first chunk, first extent, kind, extents of each),
    and page 2 of chunk 0 with this content, after page 1 became zero."""
    data, state, schemas = bytearray(below[:1024]), below[0x400:0x424], below[0x498:0x697]
    index = struct.pack("<IIIIQQ", 1, 1, len(chunks), 2, 0, 0x11000) + below[72:88] + below[144:176]
    index += b"".join(struct.pack("<IIBBH", *chunk, 0) for chunk in chunks)
    index += struct.pack("<QIIHHHBB", 0, 0, 0, 2, 2, 0, 1, 0)
    index += struct.pack("<QIIHHHBB", 0x1000, 4096, zlib.crc32(page), 4, 4, 0, 2, 0)
    index += hashlib.sha256().digest() + hashlib.sha256(page).digest()
    data[24], data[72], data[73] = 0x18, 0x11, 0x11
    data[128:144], data[176:208] = below[72:88], below[144:176]
    struct.pack_into("<QQQ", data, 96, 0x2000, 0x11000, 0x1000)
    struct.pack_into("<QQ", data, 256 + 8, 0x428, len(index))
    struct.pack_into("<QQ", data, 288 + 8, 0x428 + len(index), len(schemas))
    struct.pack_into("<QQ", data, 320 + 8, 0x1000, 4096)
    data += state + bytes(0x428 - 0x424) + index + schemas
    return seal(data + bytes(0x1000 - len(data)) + page)


def root(data, header, sections):
    """Of a file of format version 2; none if a section or a part of the index leaves it."""
    at, length = sections.get(INDEX, (0, 0))
    state, state_length = sections.get(STATE, (0, 0))
    if length < 16 or max(at + length, state + state_length) > len(data):
        return None
    index = bytearray(data[at:at + length])
    regions, files, entries, extents = struct.unpack_from("<IIII", index)
    first = 16 + 16 * regions + 48 * files + 12 * entries
    if first + 24 * extents > length:
        return None
    for extent in range(first, first + 24 * extents, 24):
        index[extent:extent + 8] = bytes(8)
    parent = data[header + 176:header + 208] if data[header + 24] & 16 else bytes(32)
    digest = hashlib.sha256(data[state:state + state_length]).digest()
    return hashlib.sha256(b"stasis root 2\0\0\0" + data[header + 20:header + 24] + bytes(4) +
                          digest + parent + index).digest()


def seal(data, header=0):
    """Makes root and CRCs of sections and header right again after a change."""
    sections = {}
    count = min(25, struct.unpack_from("<I", data, header + 208)[0])
    for entry in range(header + 224, header + 224 + 32 * count, 32):
        kind, _, offset, length = struct.unpack_from("<IIQQ", data, entry)
        if kind != DATA and offset + length <= len(data):
            struct.pack_into("<I", data, entry + 24, zlib.crc32(data[offset:offset + length]))
            sections[kind] = offset, length
    if data[header + 16] == 2 and (made := root(data, header, sections)):
        data[header + 144:header + 176] = made
    data[header + 12:header + 16] = bytes(4)
    struct.pack_into("<I", data, header + 12, zlib.crc32(data[header:header + 1024]))
    return data


def with_parts(state, regions=((0, 0x11000),)):
    """The worked example with another state section, and other regions of as many chunks."""
    data = example()
    index = bytearray(struct.pack("<II", len(regions), 0)) + b"".join(
        struct.pack("<QQ", *region) for region in regions) + data[0x440:0x470]
    start = -(-(1024 + len(state)) // 8) * 8
    chunks = -(-(start + len(index)) // 4096) * 4096
    struct.pack_into("<Q", index, 8 + 16 * len(regions) + 8, chunks)
    head = data[:1024] + state + bytes(start - 1024 - len(state)) + index
    made = head + bytes(chunks - len(head)) + data[0x1000:]
    made[288:320], made[320:352] = made[320:352], bytes(32)  # without the schemas
    struct.pack_into("<I", made, 208, 3)
    for entry, offset, length in ((224, 1024, len(state)), (256, start, len(index)),
                                  (288, chunks, 65536)):
        struct.pack_into("<QQ", made, entry + 8, offset, length)
    struct.pack_into("<QQ", made, 96, len(made), sum(size for _, size in regions))
    return seal(made)


def pack(value):
    """Canonical msgpack."""
    if isinstance(value, int) and value < 0:
        if value >= -32:
            return bytes([256 + value])
        size = next(size for size in (1, 2, 4, 8) if value >= -1 << 8 * size - 1)
        return bytes([0xcf + size.bit_length()]) + value.to_bytes(size, "big", signed=True)
    if isinstance(value, int):
        if value < 128:
            return bytes([value])
        size = next(size for size in (1, 2, 4, 8) if value < 1 << 8 * size)
        return bytes([0xcb + size.bit_length()]) + value.to_bytes(size, "big")
    if isinstance(value, bytes):
        size = 1 if len(value) < 256 else 2
        return bytes([0xc3 + size]) + len(value).to_bytes(size, "big") + value
    if isinstance(value, str):
        value = value.encode()
        size = len(value)
        if size > 255:
            return b"\xda" + struct.pack(">H", size) + value
        return bytes([0xa0 | size] if size < 32 else [0xd9, size]) + value
    if isinstance(value, list):
        head = bytes([0x90 | len(value)]) if len(value) < 16 else b"\xdc" + struct.pack(
            ">H", len(value))
        return head + b"".join(map(pack, value))
    head = bytes([0x80 | len(value)]) if len(value) < 16 else b"\xde" + struct.pack(
        ">H", len(value))
    return head + b"".join(pack(key) + pack(item) for key, item in value.items())


def fields(table, values):
    """{id: value} of a state: defaults, but for `values`, which go by name."""
    made = {}
    for field in table:
        value = values.get(field.name, field.default)
        if field.kind == "list":
            value = [fields(SCHEMAS[1][field.state], part) for part in values.get(field.name, [])]
        elif field.kind == "state":
            value = fields(SCHEMAS[1][field.state], values.get(field.name, {}))
        elif field.kind == "bytes":
            value = values.get(field.name, b"")
        made[field.id] = value
    return made


def record(kind, **values):
    return pack([[kind, "a", 1, 0, fields(SCHEMAS[0][kind].fields, values)]])
