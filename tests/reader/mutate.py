# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Mutants of a snapshot whose checksums are right, so that readers get as far as the rule that a
mutant breaks. Each has one to three faults: which of them counts is what readers must agree about."""
import struct
import zlib

from build import pack, seal

STATE, INDEX, DATA, SCHEMA, NOTES = 1, 2, 3, 4, 5
ENTRY = struct.Struct("<IIQQII")
NEST = bytes.fromhex("91") * 9 + b"\5"
# In msgpack: nil, true, a float, an extension, other kinds than a field has, nested too deeply.
ODD = tuple(bytes.fromhex(text) for text in (
    "c0", "c3", "ca00000000", "d400", "cc05", "ff", "80", "90", "a0", "c400", "a161", "8101c0",
    "cfffffffffffffffff")) + (NEST,)


class Raw(bytes):
    """msgpack as it stands."""


def packed(value):
    """As pack(), where a part may be Raw or Pairs."""
    if isinstance(value, Raw):
        return bytes(value)
    if not isinstance(value, (list, Pairs)):
        return pack(value)
    parts = value if isinstance(value, list) else value.pairs
    short, form = (0x90, 0xdc) if isinstance(value, list) else (0x80, 0xde)
    count = len(parts)
    head = bytes([short | count]) if count < 16 else bytes([form]) + struct.pack(">H", count)
    flat = parts if isinstance(value, list) else [part for pair in parts for part in pair]
    return head + b"".join(map(packed, flat))


class Pairs:
    """A map, as a list of its [key, value]s: in any order, and keys may repeat."""

    def __init__(self, pairs):
        self.pairs = pairs


def unpacked(data):
    """A tree of lists, Pairs and Raw leaves from canonical msgpack."""
    value, at = _unpacked(data, 0)
    assert at == len(data)
    return value


def _unpacked(data, at):
    byte, start = data[at], at
    if 0x80 <= byte < 0xa0 or 0xdc <= byte <= 0xdf:
        size = 0 if byte < 0xa0 else 2 if byte in (0xdc, 0xde) else 4
        count = int.from_bytes(data[at + 1:at + 1 + size], "big") if size else byte & 15
        is_map, at, parts = byte < 0x90 or byte in (0xde, 0xdf), at + 1 + size, []
        for _ in range(count * (1 + is_map)):
            part, at = _unpacked(data, at)
            parts.append(part)
        return (Pairs([list(pair) for pair in zip(parts[::2], parts[1::2])]) if is_map else parts), at
    if 0xa0 <= byte < 0xc0:
        end = at + 1 + (byte & 31)
    elif 0xcc <= byte <= 0xd3:
        end = at + 1 + (1 << (byte & 3))
    elif 0xc4 <= byte <= 0xc6 or 0xd9 <= byte <= 0xdb:
        size = 1 << ((byte - 0xc4 if byte < 0xd0 else byte - 0xd9) & 3)
        end = at + 1 + size + int.from_bytes(data[at + 1:at + 1 + size], "big")
    else:
        end = at + 1
    return Raw(data[start:end]), end


class Image:
    """A good snapshot, taken apart at its sections."""

    def __init__(self, data):
        self.data = bytes(data)
        self.streamed = data[24] & 1
        self.end = len(data) - 1024 * self.streamed
        header = self.data[self.end if self.streamed else 0:][:1024]
        count, = struct.unpack_from("<I", header, 208)
        self.entries = [ENTRY.unpack_from(header, 224 + 32 * i) for i in range(count)]
        self.header, self.version = header, header[16]

    def section(self, kind):
        return next(self.data[e[2]:e[2] + e[3]] for e in self.entries if e[0] == kind)

    def build(self, parts):
        """The file with these sections in the place of its own; (type, flags, bytes)s of new ones
        under the key None come last but for DATA, in whichever layout."""
        header, leading = bytearray(self.header), self.data[:1024]
        plan = [(e[0], e[1], parts.get(e[0], self.data[e[2]:e[2] + e[3]])) for e in self.entries]
        last = [] if self.streamed else [plan.pop()]
        plan += list(parts.get(None, ())) + last
        body, table, start = bytearray(1024), [], {}
        for kind, flags, data in plan:
            body += bytes(-len(body) % (4096 if kind == DATA else 8))
            start[kind] = len(body)
            table.append([kind, flags, len(body), len(data), 0, 0])
            body += data
        self._move_chunks(body, start, table)
        struct.pack_into("<I", header, 208, len(table))
        header[224:] = bytes(800)
        for i, entry in enumerate(table[:25]):
            ENTRY.pack_into(header, 224 + 32 * i, *entry)
        struct.pack_into("<Q", header, 96, len(body) + 1024 * self.streamed)
        body[:1024] = leading if self.streamed else header
        return body + header if self.streamed else body

    def _move_chunks(self, body, start, table):
        old = next(e[2] for e in self.entries if e[0] == DATA)
        at = start[INDEX]
        end = at + next(e[3] for e in table if e[0] == INDEX)
        for place in self._places(body, at, end):
            offset, = struct.unpack_from("<Q", body, place)
            moved = (offset - old + start[DATA]) % 2**64  # a fault may have put it anywhere
            struct.pack_into("<Q", body, place, moved)

    def _places(self, body, at, end):
        """Where the index has offsets of stored chunks, as far as it has them."""
        if self.version == 1:
            count, = struct.unpack_from("<I", body, at)
            return [chunk + 8 for chunk in range(at + 8 + 16 * count, end - 23, 24) if body[chunk] != 1]
        count, files, entries, extents = struct.unpack_from("<IIII", body, at)
        first = at + 16 + 16 * count + 48 * files + 12 * entries
        places = range(first, min(first + 24 * extents, end - 23), 24)
        return [place for place in places  # neither of another file, nor zero
                if not any(body[place + 20:place + 22]) and body[place + 22] != 1]


# ---- faults of the state and schema sections ------------------------------------------------

def nodes(tree):
    """Every list and map of a tree."""
    found, todo = [], [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, Pairs):
            found.append(node)
            todo += [value for _, value in node.pairs]
        elif isinstance(node, list):
            found.append(node)
            todo += node
    return found


def places(tree):
    """(container, index) of every part of a tree."""
    found = []
    for node in nodes(tree):
        if isinstance(node, Pairs):
            found += [(pair, i) for pair in node.pairs for i in (0, 1)]
        else:
            found += [(node, i) for i in range(len(node))]
    return found


def odd_value(chance):
    if chance.random() < .5:
        return Raw(chance.choice(ODD))
    return Raw(pack(chance.choice((0, 1, 2, 4, 255, 256, 65535, 65536, chance.getrandbits(64)))))


def change_any(chance, tree):
    if found := places(tree):
        node, i = chance.choice(found)
        node[i] = odd_value(chance)


def change_length(chance, tree):
    node = chance.choice(nodes(tree))
    parts = node.pairs if isinstance(node, Pairs) else node
    if parts and chance.random() < .5:
        del parts[chance.randrange(len(parts))]
    else:
        new = odd_value(chance)
        parts.insert(chance.randrange(len(parts) + 1), [new, new] if isinstance(node, Pairs) else new)


def change_record(chance, records):
    """Version, flags or name of a record."""
    if records:
        record = chance.choice(records)
        if isinstance(record, list) and len(record) == 5:
            record[2 + chance.randrange(2)] = Raw(pack(chance.choice((0, 1, 2, 3, 7, 65535, 65536))))


def newer_record(chance, records):
    """A record of a newer version, or of an unknown type, whose fields have whatever form."""
    fields = chance.choice((Pairs([]), Pairs([[1, Raw(chance.choice(ODD))]]), odd_value(chance)))
    flags = chance.choice((0, 0, 0, 1, 2))
    if records and chance.random() < .5:
        record = chance.choice(records)
        if isinstance(record, list) and len(record) == 5:
            record[2:] = [chance.choice((2, 9)), flags, fields]
        return
    kind = chance.choice(("a", "future.device", "x86.unknown", "zz", "stasis.i8042"))
    records.append([kind, chance.choice("abz"), chance.choice((1, 2)), flags, fields])
    if chance.random() < .8:
        sort(records)


def sort(records):
    def key(record):
        parts = record if isinstance(record, list) else []
        return [packed(part).lstrip(bytes(range(0xa0, 0xdb)))[:40] for part in parts[:2]]
    records.sort(key=key)


def reorder(chance, records):
    if len(records) > 1:
        i, j = chance.sample(range(len(records)), 2)
        records[i], records[j] = records[j], records[i]


def drop(chance, records):
    if records:
        del records[chance.randrange(len(records))]


STATE_FAULTS = (change_any, change_any, change_length, change_record, newer_record, newer_record,
                reorder, drop)
SCHEMA_FAULTS = (change_any, change_any, change_length, reorder, drop)


def of_tree(chance, data, faults):
    tree = unpacked(data)
    for _ in range(chance.choice((1, 1, 2, 2, 3))):
        chance.choice(faults)(chance, tree)
    made = packed(tree)
    if chance.random() < .1:
        made = flip(chance, bytearray(made), 0, len(made))
    return bytes(made) or b"\x90"


# ---- faults of bytes --------------------------------------------------------------------------

def flip(chance, data, start, end):
    for _ in range(chance.choice((1, 1, 2))):
        if start < end:
            at = chance.randrange(start, end)
            data[at] = chance.choice((data[at] ^ 1 << chance.randrange(8), 0, 255,
                                      chance.randrange(256)))
    return data


def change_header(chance, data, head):
    """A number of the header, or of an entry of the section table, becomes a likely wrong one."""
    entry = 224 + 32 * chance.randrange(5)
    offset, size = chance.choice((
        (8, 4), (16, 4), (20, 4), (24, 8), (32, 8), (40, 4), (96, 8), (104, 8), (112, 8), (120, 4),
        (124, 4), (128, 8), (144, 8), (176, 8), (208, 4), (212, 4), (216, 8), (entry, 4), (entry, 4), (entry + 4, 4),
        (entry + 4, 4), (entry + 8, 8), (entry + 16, 8), (entry + 28, 4)))
    old = int.from_bytes(data[head + offset:head + offset + size], "little")
    new = chance.choice((0, 1, 2, 3, 4, 5, 9, old + 1, old - 1, old * 2, old ^ 1 << chance.randrange(
        8 * size), 1 << 8 * size - 1, (1 << 8 * size) - 1)) % (1 << 8 * size)
    data[head + offset:head + offset + size] = new.to_bytes(size, "little")


def change_index(chance, index):
    """A number of the index becomes a likely wrong one; of version 2, since that of version 1 is most
    often hit by flip()."""
    data = bytearray(index)
    regions, files, entries, extents = struct.unpack_from("<IIII", data)
    names = 16 + 16 * regions
    entry = names + 48 * files + 12 * chance.randrange(entries or 1)
    extent = names + 48 * files + 12 * entries + 24 * chance.randrange(extents or 1)
    digest = names + 48 * files + 12 * entries + 24 * extents + 32 * chance.randrange(extents or 1)
    with_digest = [(digest, 1), (digest + 28, 4)] if digest + 32 <= len(data) else []
    for _ in range(chance.choice((1, 1, 2))):
        offset, size = chance.choice((
            (0, 4), (4, 4), (8, 4), (12, 4), (16, 8), (24, 8), (entry, 4), (entry, 4), (entry + 4, 4),
            (entry + 8, 1), (entry + 8, 2), (entry + 10, 2), (extent, 8), (extent + 8, 4),
            (extent + 12, 4), (extent + 16, 2), (extent + 18, 2), (extent + 20, 2), (extent + 22, 1),
            (extent + 23, 1), *with_digest, *([(names, 8), (names + 16, 8)] if files else [])))
        old = int.from_bytes(data[offset:offset + size], "little")
        new = chance.choice((0, 1, 2, 3, old + 1, old - 1, old ^ 1 << chance.randrange(8 * size),
                             old + 4096, (1 << 8 * size) - 1)) % (1 << 8 * size)
        data[offset:offset + size] = new.to_bytes(size, "little")
    return bytes(data)


def new_sections(chance):
    return [(chance.choice((0, 4, 5, 6, 6, 9, 2**32 - 1)), chance.choice((0, 1, 1, 1, 2, 3)),
             bytes(chance.randrange(20))) for _ in range(chance.choice((1, 1, 2, 30)))]


def mutant(chance, image):
    """Bytes of a file."""
    parts = {}
    while not parts and chance.random() < .8:
        if chance.random() < .6:
            parts[STATE] = of_tree(chance, image.section(STATE), STATE_FAULTS)
        if chance.random() < .25 and any(e[0] == SCHEMA for e in image.entries):
            parts[SCHEMA] = of_tree(chance, image.section(SCHEMA), SCHEMA_FAULTS)
        if chance.random() < .25 and any(e[0] == NOTES for e in image.entries):
            parts[NOTES] = of_tree(chance, image.section(NOTES), SCHEMA_FAULTS)
        if chance.random() < .1:
            parts[INDEX] = bytes(flip(chance, bytearray(image.section(INDEX)), 0,
                                      len(image.section(INDEX))))
        if image.version == 2 and chance.random() < .15:
            parts[INDEX] = change_index(chance, image.section(INDEX))
        if chance.random() < .1:
            parts[None] = new_sections(chance)
    data = bytearray(image.build(parts))
    head = len(data) - 1024 if image.streamed else 0
    seal(data, head)
    if not parts or chance.random() < .25:
        change_header(chance, data, chance.choice((0, head)))
        if chance.random() < .5:  # else the CRCs of sections are wrong where their places changed
            seal(data, head)
    if chance.random() < .15:
        flip(chance, data, 1024, len(data))  # RAM, padding or a section, as a disk does it
    for at in {0, head}:
        data[at + 12:at + 16] = bytes(4)
        data[at + 12:at + 16] = struct.pack("<I", zlib.crc32(data[at:at + 1024]))
    if chance.random() < .03:
        del data[chance.randrange(len(data)):]
    return bytes(data)
