# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Reads the state section of a snapshot with somebody else's msgpack and compares it with what
snapshot-inspect says about the same file. Field names come from the documentation's tables.

check_msgpack.py SNAPSHOT JSON MARKDOWN; 77 if msgpack is not installed."""
import json
import re
import struct
import sys
import zlib

try:
    import msgpack
except ImportError:
    print("skipped: python3-msgpack is not installed")
    sys.exit(77)


def state_section(data):
    header = data[:1024]
    if struct.unpack_from("<Q", header, 24)[0] & 1:
        header = data[-1024:]
    assert header[:8] == b"\x89STASIS\n"
    assert zlib.crc32(header[:12] + bytes(4) + header[16:]) == struct.unpack_from("<I", header, 12)[0]
    for i in range(struct.unpack_from("<I", header, 208)[0]):
        kind, _, offset, length, crc = struct.unpack_from("<IIQQI", header, 224 + 32 * i)
        if kind == 1:
            assert zlib.crc32(data[offset:offset + length]) == crc
            return data[offset:offset + length]
    raise AssertionError("no state section")


def read_tables(text):
    """{type: {id: (field, its type)}}"""
    tables = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"#+ `(.+)`: .*", line):
            table = tables.setdefault(match[1], {})
        elif match := re.match(r"\| (\d+) \| `(.+?)` \| (.+?) \| ", line):
            table[int(match[1])] = (match[2], match[3])
    return tables


def shown(value, kind, tables):
    """A decoded field as JSON shows it."""
    if match := re.match(r"bytes, at most \d+(?:, registers of (\d+))?", kind):
        size = int(match[1] or 0)
        assert isinstance(value, bytes)
        if not size:
            return value.hex()
        return [value[at:at + size].hex() for at in range(0, len(value), size)]
    if match := re.match(r"list of (\S+), at most", kind):
        return [fields(part, tables[match[1]], tables) for part in value]
    if kind in tables:
        return fields(value, tables[kind], tables)
    return value


def fields(state, table, tables):
    assert list(state) == sorted(table), "every field, in the order of the ids"
    return {table[i][0]: shown(value, table[i][1], tables) for i, value in state.items()}


def main(snapshot, json_path, markdown):
    with open(snapshot, "rb") as file:
        section = state_section(file.read())
    with open(json_path, encoding="utf-8") as file:
        said = json.load(file)["records"]
    with open(markdown, encoding="utf-8") as file:
        tables = read_tables(file.read())
    records = msgpack.unpackb(section, raw=False, strict_map_key=False)
    assert msgpack.packb(records, use_bin_type=True) == section, "another spelling"
    assert len(records) == len(said) > 0
    for (kind, instance, version, flags, state), json_record in zip(records, said):
        expected = {"type": kind, "instance": instance, "version": version,
                    "optional": bool(flags & 1), "known": True,
                    "state": fields(state, tables[kind], tables)}
        assert expected == json_record, f"{kind} {instance}:\n{expected}\n{json_record}"
    kinds = {record[0] for record in records}
    print(f"{len(records)} records of {len(kinds)} types, {len(section)} bytes: the same")


main(*sys.argv[1:])
