# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The index section of a snapshot: "Index section", "Index of version 2" and "Index of a layer" of
docs/snapshot-format.md. All give the same: regions, and where the pages of each chunk are."""
import bisect
import collections
import hashlib
import struct

from stasis_state import require

PAGE, CHUNK = 4096, 65536
COMPRESSED_BIT, DIGESTS_BIT, LAYER_BIT = 1 << 1, 1 << 3, 1 << 4
BELOW, ZERO, STORED, CHANGED = 0, 1, 2, 3  # kinds of entries
RAW, ZLIB = 2, 3  # encodings of extents; ZERO is one, too
MAX_GPA, MAX_NAMES, MAX_EACH = 1 << 52, 4095, 16
Region = collections.namedtuple("Region", "gpa size first_chunk chunks")
Extent = collections.namedtuple("Extent", "offset length crc stored taken file encoding digest")
Name = collections.namedtuple("Name", "uuid root")
Run = collections.namedtuple("Run", "first end kind extent each")
DENSE = struct.Struct("<BBHIQII")
ENTRY = struct.Struct("<IIBBH")
EXTENT = struct.Struct("<QIIHHHBB")


def lowest(mask):
    return mask & -mask


class Index:
    """What all have. `data` is the (offset, end) of the DATA section."""
    names = ()

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
        self._firsts = [region.first_chunk for region in self.regions]
        return first

    def size(self, number):
        """Of a chunk, in RAM."""
        region = self.regions[bisect.bisect_right(self._firsts, number) - 1]
        return min(CHUNK, region.size - (number - region.first_chunk) * CHUNK)

    def foreign(self):
        """{file: [(offset, end)]} of what is in other files."""
        return {}

    def _check_extents(self, header, data):
        """Of what is stored: pages, length, and place in DATA."""
        (at, end), total = data, 0
        for number in self.stored():
            kind, extents = self.at(number)
            self._check_pages(number, kind, extents)
            for extent in extents:
                require(extent.encoding != ZLIB or header.incompatible & COMPRESSED_BIT,
                        f"chunk {number}: is compressed")
                if extent.encoding == ZERO or extent.file:
                    continue
                require(at <= extent.offset <= end - extent.length,
                        f"chunk {number}: outside of DATA or out of order")
                at, total = extent.offset + extent.length, total + extent.length
        require(at == end, "DATA section does not end with the last chunk")
        require(total == header.stored, "stored bytes")

    def _check_pages(self, number, kind, extents):
        """What can be said of each extent alone, and that no page is taken twice."""
        every, title, before, last = (1 << self.size(number) // PAGE) - 1, f"chunk {number}", 0, 0
        for extent in extents:
            size = PAGE * extent.stored.bit_count()
            require(extent.taken and not extent.taken & ~extent.stored, f"{title}: taken pages")
            require(not extent.stored & ~every, f"{title}: pages that it has not")
            require(not extent.taken & before, f"{title}: a page is taken twice")
            require(lowest(extent.taken) > last, f"{title}: order of extents")
            before, last = before | extent.taken, lowest(extent.taken)
            if extent.encoding == ZERO:
                require(kind == CHANGED and extent.stored == extent.taken and
                        not (extent.offset or extent.length or extent.crc or extent.file),
                        f"{title}: zero, but has values")
                require(extent.digest in (None, hashlib.sha256().digest()),
                        f"{title}: zero, but has the digest of something")
            elif extent.encoding == RAW:
                require(extent.length == size and extent.offset % PAGE == 0, f"{title}: place")
            else:
                require(extent.encoding == ZLIB, f"{title}: encoding {extent.encoding}")
                require(0 < extent.length < size, f"{title}: stored length")


class Index1(Index):
    """Format: Index section. An entry for each chunk."""
    MAX_REGIONS, whole = 64, True

    @classmethod
    def longest(cls, header):
        return 8 + 16 * cls.MAX_REGIONS + DENSE.size * (header.ram // CHUNK + cls.MAX_REGIONS)

    def __init__(self, raw, header, data):
        require(len(raw) >= 8, "index: too short")
        count, reserved = struct.unpack_from("<II", raw)
        require(count <= self.MAX_REGIONS and not reserved, "index: region count or reserved bytes")
        self.chunks = self._read_regions(raw, 8, count, header.ram)
        self.entries = raw[8 + 16 * count:]
        require(len(self.entries) == DENSE.size * self.chunks, "index: length")
        for kind, reserved, mask, crc, offset, stored, more in DENSE.iter_unpack(self.entries):
            require(kind and not reserved and not more, "chunk: kind or reserved bytes")
            require(kind != ZERO or not (mask or crc or offset or stored), "zero, but has values")
        self._check_extents(header, data)

    def stored(self):
        """Numbers of the chunks that have extents."""
        return (number for number in range(self.chunks)
                if self.entries[number * DENSE.size] != ZERO)

    def at(self, number):
        """Kind and extents of a chunk."""
        kind, _, mask, crc, offset, length, _ = DENSE.unpack_from(self.entries, number * DENSE.size)
        if kind == ZERO:
            return ZERO, []
        every = (1 << self.size(number) // PAGE) - 1
        return STORED, [Extent(offset, length, crc, every, mask, 0, kind, None)]


class Index2(Index):
    """Format: Index of version 2, Index of a layer. An entry for each run of chunks."""
    MAX_REGIONS = 4096

    @classmethod
    def longest(cls, header):
        chunks = header.ram // CHUNK
        return 908 * chunks + 3981280 if header.incompatible & LAYER_BIT else 68 * chunks + 344080

    def __init__(self, raw, header, data):
        require(len(raw) >= 16, "index: too short")
        count, names, entries, extents = struct.unpack_from("<IIII", raw)
        self.layer = bool(header.incompatible & LAYER_BIT)
        require(count <= self.MAX_REGIONS, "index: region count")
        self._check_count(names)
        chunks = self._read_regions(raw, 16, count, header.ram)
        self.has_digests = bool(header.incompatible & DIGESTS_BIT)
        each = EXTENT.size + 32 * self.has_digests
        at = 16 + 16 * count
        require(len(raw) == at + 48 * names + ENTRY.size * entries + each * extents, "index: length")
        self.names = [Name(*name) for name in struct.iter_unpack("16s32s", raw[at:at + 48 * names])]
        at += 48 * names
        self.raw, self.extents = raw, at + ENTRY.size * entries
        self.digests = self.extents + EXTENT.size * extents
        self._read_entries(list(ENTRY.iter_unpack(raw[at:self.extents])), chunks, extents)
        self.whole = all(run.kind in (ZERO, STORED) for run in self.runs)
        self._check_files(header)
        self._check_extents(header, data)

    def _check_count(self, names):
        require(1 <= names <= MAX_NAMES if self.layer else not names, "index: file count")

    def _read_entries(self, entries, chunks, extents):
        require(bool(entries) == bool(chunks), "index: entries")
        before, next_extent, self.runs = (), 0, []
        ends = [entry[0] for entry in entries[1:]] + [chunks]
        for i, ((first, extent, kind, each, reserved), end) in enumerate(zip(entries, ends)):
            require(first < end and (i or not first), f"entry {i}: first chunk")
            require(kind in ((BELOW, ZERO, STORED, CHANGED) if self.layer else (ZERO, STORED)) and
                    not reserved, f"entry {i}: kind")
            most = MAX_EACH if self.layer else 1
            require(1 <= each <= most if kind in (STORED, CHANGED) else not each,
                    f"entry {i}: extents per chunk")
            require((kind, each) != before, f"entry {i}: as its predecessor")
            require(extent == next_extent, f"entry {i}: first extent")
            require(end <= chunks, f"entry {i}: beyond the last chunk")
            next_extent += each * (end - first)
            require(next_extent <= extents, f"entry {i}: more extents than there are")
            self.runs.append(Run(first, end, kind, extent, each))
            before = kind, each
        require(next_extent == extents, "index: extents")

    def _check_files(self, header):
        """File numbers and reserved bytes of the extents, and the names."""
        used = set()
        for extent in EXTENT.iter_unpack(self.raw[self.extents:self.digests]):
            require(extent[5] <= len(self.names) and not extent[7],
                    "extent: file or reserved byte")
            used.add(extent[5])
        if not self.layer:
            full = ((number, self.at(number)[1][0]) for number in self.stored())
            require(all(e.stored == (1 << self.size(number) // PAGE) - 1 for number, e in full),
                    "a chunk is not stored in full")
            return
        uuids = [name.uuid for name in self.names]
        require(self.names[0] == (header.parent, header.parent_root), "name 1 is not the parent")
        require(len({header.uuid, *uuids}) == len(uuids) + 1, "a file is named twice")
        require(uuids[1:] == sorted(uuids[1:]), "names are out of order")
        if self.whole:
            require(used >= set(range(2, len(uuids) + 1)), "a file is named for nothing")
        else:
            require(len(uuids) == 1 and used <= {0}, "a partial index has bytes of other files")

    def stored(self):
        """Numbers of the chunks that have extents. Few of many may: the others are not looked at."""
        return (number for run in self.runs if run.each for number in range(run.first, run.end))

    def at(self, number):
        """Kind and extents of a chunk."""
        run = self.runs[bisect.bisect_right(self.runs, number, key=lambda run: run.first) - 1]
        first = run.extent + run.each * (number - run.first)
        return run.kind, [self._extent(i) for i in range(first, first + run.each)]

    def _extent(self, i):
        *values, _ = EXTENT.unpack_from(self.raw, self.extents + EXTENT.size * i)
        at = self.digests + 32 * i
        return Extent(*values, self.raw[at:at + 32] if self.has_digests else None)

    def foreign(self):
        found = collections.defaultdict(list)
        for offset, length, _, _, _, file, _, _ in EXTENT.iter_unpack(
                self.raw[self.extents:self.digests]):
            if file:
                found[file].append((offset, offset + length))
        return found

    def root(self, header, state):
        """Format: Root."""
        placeless = bytearray(self.raw)
        for at in range(self.extents, self.digests, EXTENT.size):
            placeless[at:at + 8] = bytes(8)
        parent = header.parent_root if self.layer else bytes(32)
        return hashlib.sha256(b"stasis root 2\0\0\0" + struct.pack("<II", header.arch, 0) +
                              hashlib.sha256(state).digest() + parent + placeless).digest()
