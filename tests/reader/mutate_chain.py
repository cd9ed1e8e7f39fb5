# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Mutants of chains (chains.py). Most have right checksums, and layers that name the changed files by
their new roots, so that readers get as far as the rule that a mutant breaks."""
import os
import struct
import zlib

from build import INDEX, example, seal
from chains import LAYER, STREAMED, header_at, name_of
from mutate import change_header, change_index, flip


def patch(data, offset, value):
    """In the header, and in a stream in both."""
    for at in {0, header_at(data)}:
        data[at + offset:at + offset + len(value)] = value


def index_place(data):
    at = header_at(data)
    count, = struct.unpack_from("<I", data, at + 208)
    for i in range(min(count, 25)):
        kind, _, offset, length = struct.unpack_from("<IIQQ", data, at + 224 + 32 * i)
        if kind == INDEX and offset + length <= len(data) and length >= 16:
            return offset, length
    return None


def reseal(data):
    """Root and CRCs."""
    if len(data) >= 1024 + header_at(data):
        struct.pack_into("<I", data, 12, 0)
        struct.pack_into("<I", data, 12, zlib.crc32(data[:1024]))
        seal(data, header_at(data))


def rename(files, old, new):
    """Layers that name a file name it as it is called now: UUIDs stay, roots follow, upward."""
    changed = {old: new}
    for data in files:
        at = index_place(data) if len(data) >= 2048 and data[24] & LAYER else None
        if not at:
            continue
        mine, found = name_of(data), False
        for before, after in changed.items():
            places = [i for i in range(at[0], at[0] + at[1] - 47) if data[i:i + 48] == b"".join(before)]
            for place in places:
                data[place:place + 48] = b"".join(after)
            if data[128:144] + data[176:208] == b"".join(before):
                patch(data, 128, after.uuid)
                patch(data, 176, after.root)
                found = True
            found = found or places
        if found:
            reseal(data)
            changed[mine] = name_of(data)


# ---- faults of one file -------------------------------------------------------------------------

def index_number(chance, data, _):
    if place := index_place(data):
        at, length = place
        data[at:at + length] = change_index(chance, bytes(data[at:at + length]))


def mask(chance, data, _):
    """Masks of an extent: overlapping, too long, empty."""
    at, _ = index_place(data)
    regions, names, entries, extents = struct.unpack_from("<IIII", data, at)
    if extents:
        first = at + 16 + 16 * regions + 48 * names + 12 * entries + 24 * chance.randrange(extents)
        place = first + chance.choice((16, 18))
        old, = struct.unpack_from("<H", data, place)
        struct.pack_into("<H", data, place, chance.choice((0, 0xffff, old | old << 1 & 0xffff,
                                                            old & old - 1, old >> 1)))


def each(chance, data, _):
    """Extents of each chunk of an entry."""
    at, _ = index_place(data)
    regions, names, entries, _ = struct.unpack_from("<IIII", data, at)
    if entries:
        data[at + 16 + 16 * regions + 48 * names + 12 * chance.randrange(entries) + 9] = \
            chance.choice((0, 1, 2, 16, 17, 255))


def far(chance, data, _):
    """The place of an extent, by pages."""
    at, _ = index_place(data)
    regions, names, entries, extents = struct.unpack_from("<IIII", data, at)
    if extents:
        place = at + 16 + 16 * regions + 48 * names + 12 * entries + 24 * chance.randrange(extents)
        old, = struct.unpack_from("<Q", data, place)
        new = old + chance.choice((-4096, 4096, 1 << 20, 1 << 63, -old, -old + (1 << 64) - 4096))
        struct.pack_into("<Q", data, place, new % (1 << 64))


def guest(chance, data, _):
    """Architecture, a region, or digests."""
    at, _ = index_place(data)
    chance.choice((lambda: patch(data, 20, b"\xb7"), lambda: patch(data, 24, bytes([data[24] ^ 8])),
                   lambda: data.__setitem__(at + 17, data[at + 17] ^ 0x10)))()


def header_number(chance, data, _):
    change_header(chance, data, chance.choice((0, header_at(data))))


def future(chance, data, _):
    patch(data, *chance.choice(((16, b"\3"), (24, bytes([data[24] | 0x20])), (24, bytes([data[24] ^ 16])),
                                (32, b"\1"), (120, b"\2"))))


def loop(chance, data, files):
    """Lies on a file of the chain, or on itself."""
    if data[24] & LAYER:
        at, _ = index_place(data)
        name = name_of(chance.choice(files))
        place = at + 16 + 16 * struct.unpack_from("<I", data, at)[0]
        data[place:place + 48] = b"".join(name)
        patch(data, 128, name.uuid)
        patch(data, 176, name.root)


FAULTS = (index_number, index_number, mask, mask, each, far, far, guest, header_number, future, loop)


# ---- faults of the folder -----------------------------------------------------------------------

def cut(chance, files, number):
    del files[number][chance.choice((0, 7, 1023, 1024, 2048, chance.randrange(len(files[number])))):]


def damage(chance, files, number):
    flip(chance, files[number], 0, len(files[number]))


def drop(_, files, number):
    if number < len(files) - 1:
        files[number] = None


def old(_, files, number):
    """Of format version 1, under the same UUID."""
    made = example()
    made[72:88] = files[number][72:88]
    files[number] = seal(made)


def other(chance, files, number):
    """The same UUID and another content; the file may be there as well."""
    made = bytearray(files[number])
    patch(made, 20, struct.pack("<I", chance.choice((3, 62, 183))))
    reseal(made)
    files.insert(0, made)
    if number < len(files) - 2 and chance.random() < .5:
        files[number + 1] = None


def twice(_, files, number):
    files.insert(0, bytearray(files[number]))


FOLDER = (cut, damage, damage, drop, old, other, other, twice)


def mutant(chance, files):
    """Contents of files, the newest last."""
    files = [bytearray(data) for data in files]
    for _ in range(chance.choice((1, 1, 1, 2))):
        number = chance.randrange(len(files))
        if chance.random() < .2:
            chance.choice(FOLDER)(chance, files, number)
            break
        data, before = files[number], name_of(files[number])
        if not index_place(data):
            break
        try:
            chance.choice(FAULTS)(chance, data, files)
        except (struct.error, IndexError):
            break  # an earlier fault: it has no such number
        if index_place(data) and chance.random() < .95:
            reseal(data)
            if chance.random() < .9:
                rename(files, before, name_of(data))
    return [None if data is None else bytes(data) for data in files]


def write(folder, files):
    """The path of the newest; none of the others is left."""
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    for number, data in enumerate(files):
        path = os.path.join(folder, f"{number:04}.snap")
        if data is not None:
            with open(path, "wb") as file:
                file.write(data)
    return path
