# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Builds layers byte by byte, and random chains of them with what RAM they hold."""
import collections
import hashlib
import os
import random
import struct
import zlib

from build import DATA, INDEX, STATE, pack, seal

PAGE, CHUNK = 4096, 65536
BELOW, ZERO, STORED, CHANGED = range(4)
RAW, ZLIB = 2, 3
STREAMED, COMPRESSED, DIGESTS, LAYER = 1, 2, 8, 16
REGIONS = ((0, 0x11000), (1 << 32, 0x23000))  # chunks of 16 pages, 1 page; 16, 16, 3
# An extent. In this file (`file` 0) `data` is what its stored pages hold; of another file it is
# (offset, length, CRC, digest).
Piece = collections.namedtuple("Piece", "taken stored encoding file data")
Name = collections.namedtuple("Name", "uuid root")


def chunk_sizes(regions=REGIONS):
    return [min(CHUNK, size - at) for _, size in regions for at in range(0, size, CHUNK)]


def bits(mask):
    return [bit for bit in range(16) if mask >> bit & 1]


def place(piece, at):
    """(values of the extent but for its masks, digest, where it starts, stored bytes)."""
    if piece.file:
        return piece.data[:3], piece.data[3], at, b""
    if piece.encoding == ZERO:
        return (0, 0, 0), hashlib.sha256().digest(), at, b""
    stored = zlib.compress(piece.data) if piece.encoding == ZLIB else piece.data
    start = at if piece.encoding == ZLIB else -(-at // PAGE) * PAGE
    return (start, len(stored), zlib.crc32(stored)), hashlib.sha256(stored).digest(), start, stored


def runs(chunks):
    """Entries of the index for the (kind, pieces) of each chunk."""
    made, extent, before = b"", 0, None
    for number, (kind, pieces) in enumerate(chunks):
        if (kind, len(pieces)) != before:
            made += struct.pack("<IIBBH", number, extent, kind, len(pieces), 0)
        before, extent = (kind, len(pieces)), extent + len(pieces)
    return made


def make_file(uuid, chunks, names=(), features=DIGESTS, regions=REGIONS, state=b"\x90", arch=62):
    """A file of version 2 with a (kind, pieces) for each chunk. With names it is a layer."""
    features |= LAYER * bool(names)
    pieces = [piece for _, of_chunk in chunks for piece in of_chunk]
    entries = runs(chunks)
    size = (16 + 16 * len(regions) + 48 * len(names) + len(entries) +
            (24 + 32 * bool(features & DIGESTS)) * len(pieces))
    data_at = PAGE if features & STREAMED else -(-(1032 + len(state) + size) // PAGE) * PAGE
    extents, digests, data, at = b"", b"", bytearray(), data_at
    for piece in pieces:
        values, digest, start, stored = place(piece, at)
        extents += struct.pack("<QIIHHHBB", *values, piece.stored, piece.taken, piece.file,
                               piece.encoding, 0)
        digests += digest if features & DIGESTS else b""
        if stored:
            data += bytes(start - at) + stored
            at = start + len(stored)
    counts = len(regions), len(names), len(entries) // 12, len(pieces)
    index = b"".join([struct.pack("<IIII", *counts),
                      *(struct.pack("<QQ", *region) for region in regions),
                      *(name.uuid + name.root for name in names), entries, extents, digests])
    stored = sum(len(place(piece, 0)[3]) for piece in pieces)
    head = struct.pack("<8sIIIIQQ32s16sQQQQII16s32s32sII8s", b"\x89STASIS\n", 1024, 0, 2, arch,
                       features, 0, b"stasis chains", uuid, 0, 0, sum(size for _, size in regions),
                       0, CHUNK, PAGE, names[0].uuid if names else bytes(16), bytes(32),
                       names[0].root if names else bytes(32), 0, 32, bytes(8)) + bytes(800)
    return assemble(head, stored, data_at, ((STATE, state), (INDEX, index), (DATA, bytes(data))))


def assemble(head, stored, data_at, sections):
    body, table = bytearray(head), []
    streamed = head[24] & STREAMED
    for kind, content in (sections[2], sections[1], sections[0]) if streamed else sections:
        gap = data_at - len(body) if kind == DATA else 0 if streamed else -len(body) % 8
        body += bytes(gap)
        table.append(struct.pack("<IIQQII", kind, 0, len(body), len(content), 0, 0))
        body += content
    last = bytearray(head)
    last[96:104] = struct.pack("<Q", len(body) + 1024 * streamed)
    last[112:120] = struct.pack("<Q", stored)
    last[208:212] = struct.pack("<I", len(table))
    last[224:320] = b"".join(table)
    if not streamed:
        body[:1024] = last
        return seal(body)
    struct.pack_into("<I", body, 12, zlib.crc32(body[:1024]))
    return seal(body + last, len(body))


def header_at(data):
    """Where the header is that counts."""
    return len(data) - 1024 if data[24] & STREAMED else 0


def name_of(data):
    at = header_at(data)
    return Name(bytes(data[at + 72:at + 88]), bytes(data[at + 144:at + 176]))


def places(data):
    """(offset, length, CRC, digest or None) of every extent of a file that is right."""
    at = header_at(data)
    count, = struct.unpack_from("<I", data, at + 208)
    entries = [struct.unpack_from("<IIQQ", data, at + 224 + 32 * i) for i in range(count)]
    index = next(entry[2] for entry in entries if entry[0] == INDEX)
    regions, names, entries, extents = struct.unpack_from("<IIII", data, index)
    first = index + 16 + 16 * regions + 48 * names + 12 * entries
    return [struct.unpack_from("<QII", data, first + 24 * i) for i in range(extents)]


class Source(collections.namedtuple("Source", "name taken stored encoding place digest")):
    """Where pages of a chunk are, for a whole index above."""


class Chain:
    """Files, the oldest first, and the RAM of the newest as a list of pages for each chunk."""

    def __init__(self, chance, depth):
        self.chance, self.files, self.sources = chance, [], []
        self.digests = chance.choice((0, DIGESTS))
        self.ram = [[bytes(PAGE)] * (size // PAGE) for size in chunk_sizes()]
        self._write()
        features = self._features()
        self._add([self._full(number, features) for number in range(len(self.ram))], (), features)
        for _ in range(depth):
            self.grow()

    def _write(self):
        """The guest writes some pages: (chunk, page)s."""
        dirty = set()
        for number, pages in enumerate(self.ram):
            for page in range(len(pages)):
                if self.chance.random() < self.chance.choice((0, .1, .7)):
                    pages[page] = self._content()
                    dirty.add((number, page))
        return dirty

    def _content(self):
        return self.chance.choice((bytes(PAGE), self.chance.randbytes(PAGE),
                                   self.chance.randbytes(16) * (PAGE // 16)))

    def _features(self):
        return self.digests + sum(self.chance.choice((0, bit)) for bit in (STREAMED, COMPRESSED))

    def _piece(self, number, taken, more, features):
        pages = self.ram[number]
        stored = taken | more
        data = b"".join(pages[page] for page in bits(stored))
        small = features & COMPRESSED and len(zlib.compress(data)) < len(data)
        return Piece(taken, stored, ZLIB if small else RAW, 0, data)

    def _not_zero(self, number, mask=0xffff):
        return sum(any(data) << page for page, data in enumerate(self.ram[number])) & mask

    def _full(self, number, features):
        """A chunk that lies on nothing: zero, or one extent."""
        taken = self._not_zero(number)
        if not taken:
            return ZERO, []
        every = (1 << len(self.ram[number])) - 1
        return STORED, [self._piece(number, taken, every & ~taken, features)]

    def _changed(self, number, mask, features):
        """A chunk of which some pages changed."""
        if not mask:
            return BELOW, []
        if self.chance.random() < .2:
            return self._full(number, features)
        groups = collections.defaultdict(int)
        count = self.chance.choice((1, 2, 16))
        not_zero = self._not_zero(number)
        for page in bits(mask):
            groups[bool(not_zero >> page & 1), self.chance.randrange(count)] |= 1 << page
        more = self.chance.choice((0, (1 << len(self.ram[number])) - 1))
        return CHANGED, sorted((
            self._piece(number, taken, more & ~taken, features) if full else
            Piece(taken, taken, ZERO, 0, b"") for (full, _), taken in groups.items()),
            key=lambda piece: piece.taken & -piece.taken)

    def grow(self, whole=None):
        """A layer on the newest file."""
        dirty = collections.defaultdict(int)
        for number, page in self._write():
            dirty[number] |= 1 << page
        features = self._features()
        whole = self.chance.random() < .3 if whole is None else whole
        chunks = [self._changed(number, dirty[number], features) for number in range(len(self.ram))]
        names = [name_of(self.files[-1])]
        if whole:
            chunks, names, features = self._flat(chunks, names[0], features)
        self._add(chunks, names, features)

    def _flat(self, chunks, parent, features):
        """The same with a whole index: below and changed become stored, with extents elsewhere."""
        flat = [[source._replace(taken=taken) for source in self.sources[number]
                 if (taken := source.taken & ~self._covered(*chunk))]
                for number, chunk in enumerate(chunks)]
        others = {source.name for of_chunk in flat for source in of_chunk} - {parent}
        names = [parent, *sorted(others)]
        if any(source.encoding == ZLIB for of_chunk in flat for source in of_chunk):
            features |= COMPRESSED
        return [self._stored(chunk, sources, names) for chunk, sources in zip(chunks, flat)], \
            names, features

    @staticmethod
    def _covered(kind, pieces):
        return 0xffff if kind in (ZERO, STORED) else sum(piece.taken for piece in pieces)

    @staticmethod
    def _stored(chunk, sources, names):
        pieces = [piece for piece in chunk[1] if piece.encoding != ZERO] + [
            Piece(s.taken, s.stored, s.encoding, names.index(s.name) + 1, (*s.place, s.digest))
            for s in sources]
        pieces.sort(key=lambda piece: piece.taken & -piece.taken)
        return (STORED, pieces) if pieces else (ZERO, [])

    def _add(self, chunks, names, features):
        data = make_file(self.chance.randbytes(16), chunks, names, features, state=self._state())
        self.files.append(data)
        self._note(chunks, name_of(data), places(data), features)

    def _state(self):
        return pack([["z.test", "a", 1, 1, {1: self.chance.randrange(1000)}]])

    def _note(self, chunks, name, found, features):
        before, self.sources, at = self.sources or [[]] * len(chunks), [], 0
        for below, (kind, pieces) in zip(before, chunks):
            covered = self._covered(kind, pieces)
            kept = [s._replace(taken=s.taken & ~covered) for s in below if s.taken & ~covered]
            mine = []
            for piece in pieces:
                if not piece.file and piece.encoding != ZERO:
                    stored = zlib.compress(piece.data) if piece.encoding == ZLIB else piece.data
                    digest = hashlib.sha256(stored).digest() if features & DIGESTS else None
                    mine.append(Source(name, piece.taken, piece.stored, piece.encoding, found[at],
                                       digest))
                elif piece.file:
                    mine.append(self._named(below, piece))
                at += 1
            self.sources.append(mine + kept)

    @staticmethod
    def _named(below, piece):
        return next(s._replace(taken=piece.taken) for s in below if s.place == piece.data[:3])

    def write(self, folder):
        """The path of the newest file."""
        for number, data in enumerate(self.files):
            path = os.path.join(folder, f"{number:04}")
            with open(path, "wb") as file:
                file.write(data)
        return path


def chain(seed, depth):
    return Chain(random.Random(seed), depth)
