# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The index section of a snapshot: "Index section", "Index of version 2" and "Index of a layer" of
docs/snapshot-format.md. All give the same: regions, and where the pages of each chunk are."""

from __future__ import annotations

import bisect
import collections
import hashlib
import struct
from typing import TYPE_CHECKING, Iterable, NamedTuple

from .check import require

if TYPE_CHECKING:
    from .file import Header

PAGE, CHUNK = 4096, 65536
COMPRESSED_BIT, DIGESTS_BIT, LAYER_BIT = 1 << 1, 1 << 3, 1 << 4
BELOW, ZERO, STORED, CHANGED = 0, 1, 2, 3  # kinds of entries
RAW, ZLIB = 2, 3  # encodings of extents; ZERO is one, too
MAX_GPA, MAX_NAMES, MAX_EACH = 1 << 52, 4095, 16
DENSE = struct.Struct("<BBHIQII")
ENTRY = struct.Struct("<IIBBH")
EXTENT = struct.Struct("<QIIHHHBB")


class Region(NamedTuple):
    """A range of the guest's memory, in bytes, and its chunks of 64 KiB in the index."""

    gpa: int
    size: int
    first_chunk: int
    chunks: int


class Extent(NamedTuple):
    """Where pages of a chunk are: `stored` are the pages that it has, and `taken` those that count,
    as masks. File 0 is that of the index, the others are the numbers of its names."""

    offset: int
    length: int
    crc: int
    stored: int
    taken: int
    file: int
    encoding: int
    digest: bytes | None


class Name(NamedTuple):
    """What a file is found by."""

    uuid: bytes
    root: bytes


class Run(NamedTuple):
    """Chunks from `first` to `end` that have `each` extents, which begin with number `extent`."""

    first: int
    end: int
    kind: int
    extent: int
    each: int


def lowest(mask: int) -> int:
    """The lowest bit of a mask."""
    return mask & -mask


class Index:
    """What all have. `data` is the (offset, end) of the DATA section."""

    MAX_REGIONS = 64
    names: list[Name] = []
    whole = True  # nothing is left to the files below

    def __init__(self, raw: bytes, header: Header, data: tuple[int, int]) -> None:
        raise NotImplementedError

    @classmethod
    def longest(cls, header: Header) -> int:
        """How many bytes the section can have."""
        raise NotImplementedError

    def stored(self) -> Iterable[int]:
        """Numbers of the chunks that have extents."""
        raise NotImplementedError

    def at(self, number: int) -> tuple[int, list[Extent]]:
        """Kind and extents of a chunk."""
        raise NotImplementedError

    def alike(self, number: int) -> int:
        """Where chunks end that are as this one, which has no extents; else the next one."""
        return number + 1

    def foreign(self) -> dict[int, list[tuple[int, int]]]:
        """{file: [(offset, end)]} of what is in other files."""
        return {}

    def root(self, header: Header, state: bytes) -> bytes:
        """The root of a file of format version 2, whose state section has this SHA-256."""
        raise NotImplementedError

    def _read_regions(self, raw: bytes, at: int, count: int, ram: int) -> int:
        self.regions: list[Region] = []
        end, first = 0, 0
        require(len(raw) >= at + 16 * count, "index: too short")
        for gpa, size in struct.iter_unpack("<QQ", raw[at : at + 16 * count]):
            aligned = size and gpa % PAGE == 0 and size % PAGE == 0
            require(aligned, f"region {gpa:#x}: alignment")
            require(gpa >= end, f"region {gpa:#x}: out of order")
            end = gpa + size
            require(end <= MAX_GPA, f"region {gpa:#x}: ends too high")
            self.regions.append(Region(gpa, size, first, -(-size // CHUNK)))
            first += self.regions[-1].chunks
        require(sum(r.size for r in self.regions) == ram, "index: sum of regions")
        self._firsts = [region.first_chunk for region in self.regions]
        return first

    def size(self, number: int) -> int:
        """Bytes of RAM of a chunk."""
        region = self.regions[bisect.bisect_right(self._firsts, number) - 1]
        return min(CHUNK, region.size - (number - region.first_chunk) * CHUNK)

    def _check_extents(self, header: Header, data: tuple[int, int]) -> None:
        """Of what is stored: pages, length, and place in DATA."""
        (at, end), total = data, 0
        for number in self.stored():
            kind, extents = self.at(number)
            self._check_pages(number, kind, extents)
            for extent in extents:
                packed = header.incompatible & COMPRESSED_BIT
                require(extent.encoding != ZLIB or packed, f"chunk {number}: is compressed")
                if extent.encoding == ZERO or extent.file:
                    continue
                inside = at <= extent.offset <= end - extent.length
                require(inside, f"chunk {number}: outside of DATA or out of order")
                at, total = extent.offset + extent.length, total + extent.length
        require(at == end, "DATA section does not end with the last chunk")
        require(total == header.stored, "stored bytes")

    def _check_pages(self, number: int, kind: int, extents: list[Extent]) -> None:
        """What can be said of each extent alone, and that no page is taken twice."""
        every, title, before, last = (1 << self.size(number) // PAGE) - 1, f"chunk {number}", 0, 0
        for extent in extents:
            require(extent.taken and not extent.taken & ~extent.stored, f"{title}: taken pages")
            require(not extent.stored & ~every, f"{title}: pages that it has not")
            require(not extent.taken & before, f"{title}: a page is taken twice")
            require(lowest(extent.taken) > last, f"{title}: order of extents")
            before, last = before | extent.taken, lowest(extent.taken)
            _check_encoding(title, kind, extent)


def _check_encoding(title: str, kind: int, extent: Extent) -> None:
    size = PAGE * extent.stored.bit_count()
    if extent.encoding == ZERO:
        values = extent.offset or extent.length or extent.crc or extent.file
        empty = kind == CHANGED and extent.stored == extent.taken and not values
        require(empty, f"{title}: zero, but has values")
        digest = extent.digest in (None, hashlib.sha256().digest())
        require(digest, f"{title}: zero, but has the digest of something")
    elif extent.encoding == RAW:
        require(extent.length == size and extent.offset % PAGE == 0, f"{title}: place")
    else:
        require(extent.encoding == ZLIB, f"{title}: encoding {extent.encoding}")
        require(0 < extent.length < size, f"{title}: stored length")


class Index1(Index):
    """Format: Index section. An entry for each chunk."""

    @classmethod
    def longest(cls, header: Header) -> int:
        return 8 + 16 * cls.MAX_REGIONS + DENSE.size * (header.ram // CHUNK + cls.MAX_REGIONS)

    def __init__(self, raw: bytes, header: Header, data: tuple[int, int]) -> None:
        require(len(raw) >= 8, "index: too short")
        count, reserved = struct.unpack_from("<II", raw)
        require(count <= self.MAX_REGIONS and not reserved, "index: region count or reserved bytes")
        self.chunks = self._read_regions(raw, 8, count, header.ram)
        self.entries = raw[8 + 16 * count :]
        require(len(self.entries) == DENSE.size * self.chunks, "index: length")
        for kind, reserved, mask, crc, offset, stored, more in DENSE.iter_unpack(self.entries):
            require(kind and not reserved and not more, "chunk: kind or reserved bytes")
            require(kind != ZERO or not (mask or crc or offset or stored), "zero, but has values")
        self._check_extents(header, data)

    def stored(self) -> Iterable[int]:
        size = DENSE.size
        return (number for number in range(self.chunks) if self.entries[number * size] != ZERO)

    def at(self, number: int) -> tuple[int, list[Extent]]:
        kind, _, mask, crc, offset, length, _ = DENSE.unpack_from(self.entries, number * DENSE.size)
        if kind == ZERO:
            return ZERO, []
        every = (1 << self.size(number) // PAGE) - 1
        return STORED, [Extent(offset, length, crc, every, mask, 0, kind, None)]


class Index2(Index):
    """Format: Index of version 2, Index of a layer. An entry for each run of chunks."""

    MAX_REGIONS = 4096

    @classmethod
    def longest(cls, header: Header) -> int:
        chunks = header.ram // CHUNK
        layer = header.incompatible & LAYER_BIT
        return 908 * chunks + 3981280 if layer else 68 * chunks + 344080

    def __init__(self, raw: bytes, header: Header, data: tuple[int, int]) -> None:
        require(len(raw) >= 16, "index: too short")
        count, names, entries, extents = struct.unpack_from("<IIII", raw)
        self.layer = bool(header.incompatible & LAYER_BIT)
        require(count <= self.MAX_REGIONS, "index: region count")
        self._check_count(names)
        chunks = self._read_regions(raw, 16, count, header.ram)
        self.has_digests = bool(header.incompatible & DIGESTS_BIT)
        each = EXTENT.size + 32 * self.has_digests
        at = 16 + 16 * count
        fits = len(raw) == at + 48 * names + ENTRY.size * entries + each * extents
        require(fits, "index: length")
        self.names = [Name(*n) for n in struct.iter_unpack("16s32s", raw[at : at + 48 * names])]
        at += 48 * names
        self.raw, self.extents = raw, at + ENTRY.size * entries
        self.digests = self.extents + EXTENT.size * extents
        self._read_entries(raw[at : self.extents], chunks, extents)
        self.whole = all(run.kind in (ZERO, STORED) for run in self.runs)
        self._check_files(header)
        self._check_extents(header, data)

    def _check_count(self, names: int) -> None:
        require(1 <= names <= MAX_NAMES if self.layer else not names, "index: file count")

    def _read_entries(self, raw: bytes, chunks: int, extents: int) -> None:
        entries = list(ENTRY.iter_unpack(raw))
        require(bool(entries) == bool(chunks), "index: entries")
        before, next_extent = (-1, -1), 0
        self.runs: list[Run] = []
        ends = [entry[0] for entry in entries[1:]] + [chunks]
        for i, ((first, extent, kind, each, reserved), end) in enumerate(zip(entries, ends)):
            require(first < end and (i or not first), f"entry {i}: first chunk")
            self._check_kind(i, kind, each, reserved)
            require((kind, each) != before, f"entry {i}: as its predecessor")
            require(extent == next_extent, f"entry {i}: first extent")
            require(end <= chunks, f"entry {i}: beyond the last chunk")
            next_extent += each * (end - first)
            require(next_extent <= extents, f"entry {i}: more extents than there are")
            self.runs.append(Run(first, end, kind, extent, each))
            before = kind, each
        require(next_extent == extents, "index: extents")

    def _check_kind(self, i: int, kind: int, each: int, reserved: int) -> None:
        kinds = (BELOW, ZERO, STORED, CHANGED) if self.layer else (ZERO, STORED)
        require(kind in kinds and not reserved, f"entry {i}: kind")
        most = MAX_EACH if self.layer else 1
        right = 1 <= each <= most if kind in (STORED, CHANGED) else not each
        require(right, f"entry {i}: extents per chunk")

    def _check_files(self, header: Header) -> None:
        """File numbers and reserved bytes of the extents, and the names."""
        used = set()
        for extent in EXTENT.iter_unpack(self.raw[self.extents : self.digests]):
            known = extent[5] <= len(self.names) and not extent[7]
            require(known, "extent: file or reserved byte")
            used.add(extent[5])
        if self.layer:
            self._check_names(header, used)
            return
        full = ((number, self.at(number)[1][0]) for number in self.stored())
        every = all(e.stored == (1 << self.size(number) // PAGE) - 1 for number, e in full)
        require(every, "a chunk is not stored in full")

    def _check_names(self, header: Header, used: set[int]) -> None:
        uuids = [name.uuid for name in self.names]
        require(self.names[0] == (header.parent, header.parent_root), "name 1 is not the parent")
        require(len({header.uuid, *uuids}) == len(uuids) + 1, "a file is named twice")
        require(uuids[1:] == sorted(uuids[1:]), "names are out of order")
        if self.whole:
            require(used >= set(range(2, len(uuids) + 1)), "a file is named for nothing")
        else:
            alone = len(uuids) == 1 and used <= {0}
            require(alone, "a partial index has bytes of other files")

    def stored(self) -> Iterable[int]:
        # Few of many may have extents: the others are not looked at.
        return (number for run in self.runs if run.each for number in range(run.first, run.end))

    def _run(self, number: int) -> Run:
        return self.runs[bisect.bisect_right(self.runs, number, key=lambda run: run.first) - 1]

    def alike(self, number: int) -> int:
        run = self._run(number)
        return number + 1 if run.each else run.end

    def at(self, number: int) -> tuple[int, list[Extent]]:
        run = self._run(number)
        first = run.extent + run.each * (number - run.first)
        return run.kind, [self._extent(i) for i in range(first, first + run.each)]

    def _extent(self, i: int) -> Extent:
        values = EXTENT.unpack_from(self.raw, self.extents + EXTENT.size * i)
        offset, length, crc, stored, taken, file, encoding, _ = values
        at = self.digests + 32 * i
        digest = self.raw[at : at + 32] if self.has_digests else None
        return Extent(offset, length, crc, stored, taken, file, encoding, digest)

    def foreign(self) -> dict[int, list[tuple[int, int]]]:
        found: dict[int, list[tuple[int, int]]] = collections.defaultdict(list)
        raw = self.raw[self.extents : self.digests]
        for offset, length, _, _, _, file, _, _ in EXTENT.iter_unpack(raw):
            if file:
                found[file].append((offset, offset + length))
        return found

    def root(self, header: Header, state: bytes) -> bytes:
        """Format: Root."""
        placeless = bytearray(self.raw)
        for at in range(self.extents, self.digests, EXTENT.size):
            placeless[at : at + 8] = bytes(8)
        parent = header.parent_root if self.layer else bytes(32)
        parts = (
            b"stasis root 2\0\0\0" + struct.pack("<II", header.arch, 0),
            state,
            parent,
            placeless,
        )
        return hashlib.sha256(b"".join(parts)).digest()
