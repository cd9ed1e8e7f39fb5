# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The index section of a snapshot: "Index section" and "Index of version 2" of
docs/snapshot-format.md. Both give the same: regions, and where each chunk is."""
import bisect
import collections
import hashlib
import struct

from stasis_state import require

PAGE, CHUNK = 4096, 65536
COMPRESSED_BIT, DIGESTS_BIT = 1 << 1, 1 << 3
ZERO, RAW, ZLIB = 1, 2, 3
MAX_GPA = 1 << 52
Region = collections.namedtuple("Region", "gpa size first_chunk chunks")
Chunk = collections.namedtuple("Chunk", "kind mask crc offset stored digest")
DENSE = struct.Struct("<BBHIQII")
ENTRY = struct.Struct("<IIBBH")
EXTENT = struct.Struct("<QIIHHHBB")


class Index:
    """What both versions have. `data` is the (offset, end) of the DATA section."""

    def _read_regions(self, raw, at, count, ram):
        self.regions, end, first = [], 0, 0
        require(len(raw) >= at + 16 * count, "index: too short")
        for gpa, size in struct.iter_unpack("<QQ", raw[at:at + 16 * count]):
            require(size and gpa % PAGE == 0 and size % PAGE == 0, f"region {gpa:#x}: alignment")
            require(gpa >= end, f"region {gpa:#x}: out of order")
            end = gpa + size
            require(end <= MAX_GPA, f"region {gpa:#x}: ends too high")
            self.regions.append(Region(gpa, size, first, -(-size // CHUNK)))
            first += self.regions[-1].chunks
        require(sum(r.size for r in self.regions) == ram, "index: sum of regions")
        return first

    def stored(self):
        """(number, size in RAM) of each chunk that is stored."""
        for region in self.regions:
            for number in self._numbers(region):
                yield number, min(CHUNK, region.size - (number - region.first_chunk) * CHUNK)

    def _check_places(self, header, data):
        """Of what is stored: length, mask, and place in DATA."""
        (at, end), total = data, 0
        kinds = (RAW, ZLIB) if header.incompatible & COMPRESSED_BIT else (RAW,)
        for number, size in self.stored():
            chunk, title = self.chunk(number), f"chunk {number}"
            require(chunk.kind in kinds, f"{title}: kind {chunk.kind}")
            if chunk.kind == RAW:
                require(chunk.stored == size and chunk.offset % PAGE == 0, f"{title}: place")
            require(0 < chunk.stored < size + (chunk.kind == RAW), f"{title}: stored length")
            require(0 < chunk.mask < 1 << size // PAGE, f"{title}: page mask")
            require(at <= chunk.offset <= end - chunk.stored,
                    f"{title}: outside of DATA or out of order")
            at, total = chunk.offset + chunk.stored, total + chunk.stored
        require(at == end, "DATA section does not end with the last chunk")
        require(total == header.stored, "stored bytes")


class Index1(Index):
    """Format: Index section. An entry for each chunk."""
    MAX_REGIONS = 64

    @classmethod
    def longest(cls, ram):
        return 8 + 16 * cls.MAX_REGIONS + DENSE.size * (ram // CHUNK + cls.MAX_REGIONS)

    def __init__(self, raw, header, data):
        require(len(raw) >= 8, "index: too short")
        count, reserved = struct.unpack_from("<II", raw)
        require(count <= self.MAX_REGIONS and not reserved, "index: region count or reserved bytes")
        chunks = self._read_regions(raw, 8, count, header.ram)
        self.entries = raw[8 + 16 * count:]
        require(len(self.entries) == DENSE.size * chunks, "index: length")
        for kind, reserved, mask, crc, offset, stored, more in DENSE.iter_unpack(self.entries):
            require(kind and not reserved and not more, "chunk: kind or reserved bytes")
            require(kind != ZERO or not (mask or crc or offset or stored), "zero, but has values")
        self._check_places(header, data)

    def _numbers(self, region):
        return (number for number in range(region.first_chunk, region.first_chunk + region.chunks)
                if self.entries[number * DENSE.size] != ZERO)

    def chunk(self, number):
        kind, _, mask, crc, offset, stored, _ = DENSE.unpack_from(self.entries, number * DENSE.size)
        return Chunk(kind, mask, crc, offset, stored, None)


class Index2(Index):
    """Format: Index of version 2. An entry for each run of chunks."""
    MAX_REGIONS = 4096

    @classmethod
    def longest(cls, ram):
        return 68 * (ram // CHUNK) + 344080

    def __init__(self, raw, header, data):
        require(len(raw) >= 16, "index: too short")
        count, reserved, entries, extents = struct.unpack_from("<IIII", raw)
        require(count <= self.MAX_REGIONS and not reserved, "index: region count or reserved bytes")
        chunks = self._read_regions(raw, 16, count, header.ram)
        self.has_digests = bool(header.incompatible & DIGESTS_BIT)
        each = EXTENT.size + 32 * self.has_digests
        at = 16 + 16 * count
        require(len(raw) == at + ENTRY.size * entries + each * extents, "index: length")
        self.raw, self.extents = raw, at + ENTRY.size * entries
        self.digests = self.extents + EXTENT.size * extents
        self.extent_of = {}  # chunk: extent, of those that are stored, ascending
        self._read_entries(list(ENTRY.iter_unpack(raw[at:self.extents])), chunks, extents)
        self.numbers = list(self.extent_of)
        for number, size in self.stored():
            _, _, _, stored, _, file, _, reserved = self._extent(number)
            require(stored == (1 << size // PAGE) - 1, f"chunk {number}: stored pages")
            require(not file and not reserved, f"chunk {number}: file or reserved byte")
        self._check_places(header, data)

    def _read_entries(self, entries, chunks, extents):
        require(bool(entries) == bool(chunks), "index: entries")
        before, next_extent = 0, 0
        ends = [entry[0] for entry in entries[1:]] + [chunks]
        for i, ((first, extent, kind, each, reserved), end) in enumerate(zip(entries, ends)):
            require(first < end and (i or not first), f"entry {i}: first chunk")
            require(kind in (1, 2) and each == kind - 1 and not reserved, f"entry {i}: kind")
            require(kind != before, f"entry {i}: of the kind of its predecessor")
            require(extent == next_extent, f"entry {i}: first extent")
            require(end <= chunks, f"entry {i}: beyond the last chunk")
            if each:
                require(end - first <= extents - extent, f"entry {i}: more extents than there are")
                self.extent_of.update(zip(range(first, end), range(extent, extent + end - first)))
                next_extent += end - first
            before = kind
        require(next_extent == extents, "index: extents")

    def _numbers(self, region):
        """Few of many may be stored: they are looked for, and not the others."""
        numbers = self.numbers
        first = bisect.bisect_left(numbers, region.first_chunk)
        return numbers[first:bisect.bisect_left(numbers, region.first_chunk + region.chunks)]

    def _extent(self, number):
        return EXTENT.unpack_from(self.raw, self.extents + EXTENT.size * self.extent_of[number])

    def chunk(self, number):
        if number not in self.extent_of:
            return Chunk(ZERO, 0, 0, 0, 0, None)
        offset, stored, crc, _, taken, _, encoding, _ = self._extent(number)
        at = self.digests + 32 * self.extent_of[number]
        return Chunk(encoding, taken, crc, offset, stored,
                     self.raw[at:at + 32] if self.has_digests else None)

    def root(self, arch, state):
        """Format: Root."""
        placeless = bytearray(self.raw)
        for at in range(self.extents, self.digests, EXTENT.size):
            placeless[at:at + 8] = bytes(8)
        return hashlib.sha256(b"stasis root 2\0\0\0" + struct.pack("<II", arch, 0) +
                              hashlib.sha256(state).digest() + bytes(32) + placeless).digest()
