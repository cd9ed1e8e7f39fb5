# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Overlays of disks: "Disks" of docs/snapshot-format.md."""
import collections
import os
import struct
import zlib

from stasis_chain import find
from stasis_file import DATA, INDEX, STATE, File, parse_magic
from stasis_index import CHUNK, LAYER_BIT, PAGE, RAW, STORED, Index2, Name
from stasis_state import Incompatible, StateReader, require

TRAILER_BIT, DISK_BIT, MAX_SEALED = 1 << 0, 1 << 5, 4095
ZERO, FIRST = 1, 3  # places; ZERO is a kind and an encoding, too
SLOT = struct.Struct("<16sQQQ16s")
COMMIT = struct.Struct("<16s16sQII")
ENTRY = struct.Struct("<III")
Slot = collections.namedtuple("Slot", "generation offset length salt")
Commit = collections.namedtuple("Commit", "number state entries pages")


def with_crc(data):
    """Whether the field at 60 is the CRC-32 of all, with itself set to zero."""
    return struct.unpack_from("<I", data, 60)[0] == zlib.crc32(data[:60] + bytes(4) + data[64:])


def check_state(state, size, schemas):
    records = StateReader(state, schemas).records()
    require([(r["type"], r["instance"]) for r in records] == [("stasis.disk", "disk")], "record")
    require(records[0]["state"]["sectors"] * 512 == size, "size of the disk")


class SealedIndex(Index2):
    """As that of a layer, but for names, and for where the pages are."""

    @classmethod
    def longest(cls, header):
        return super().longest(header._replace(incompatible=LAYER_BIT))

    def __init__(self, raw, header, data):
        self.has_parent = bool(header.incompatible & LAYER_BIT)
        super().__init__(raw, header._replace(incompatible=LAYER_BIT), data)
        require([region[:2] for region in self.regions] == [(0, header.ram)], "region")

    def _check_count(self, names):
        require(names == self.has_parent, "index: file count")

    def _check_files(self, header):
        require(not self.names or self.names[0] == (header.parent, header.parent_root), "parent")
        require(not self.names or header.parent != header.uuid, "lies on itself")

    def _check_extents(self, header, data):
        total = 0
        for number in self.stored():
            kind, extents = self.at(number)
            self._check_pages(number, kind, extents)
            for extent in extents:
                require(not extent.file and extent.encoding in (ZERO, RAW), "file or encoding")
                if extent.encoding == RAW:
                    require(extent.stored == extent.taken and extent.stored.bit_count() == 1, "pages")
                    require(max(data[0], FIRST * PAGE) <= extent.offset <= data[1] - PAGE, "place")
                    total += extent.length
        require(total == header.stored, "stored bytes")


class Sealed(File):
    """A sealed overlay; `name` is what it was sought by."""
    features, indexes = {2: TRAILER_BIT | LAYER_BIT | DISK_BIT}, {2: SealedIndex}

    def __init__(self, file, name, size, schemas):
        super().__init__(file)
        try:
            require(self.header.incompatible & ~LAYER_BIT == TRAILER_BIT | DISK_BIT, "features")
            require(sorted(part.type for part in self.sections) == [STATE, INDEX, DATA], "sections")
            self.read_index()
            check_state(self._section(STATE), size, schemas)
            require(self.header.ram == -(-size // PAGE) * PAGE, "size")
            require(self.root() == self.header.root == name.root, "root")
        except Exception:
            self.close()
            raise

    def page(self, number):
        """Of the disk: its own, or that of what it lies on."""
        chunk, bit = divmod(number, CHUNK // PAGE)
        kind, extents = self.index.at(chunk)
        for extent in extents:
            if extent.taken >> bit & 1:
                return self.pages(chunk, extent)[bit]
        return bytes(PAGE) if kind in (ZERO, STORED) else self.below.page(number)


class Image:
    """A raw image."""
    below = None

    def __init__(self, data):
        self.data, self.size = data, len(data)

    def page(self, number):
        return self.data[number * PAGE:number * PAGE + PAGE].ljust(PAGE, b"\0")

    def close(self):
        """It has no file."""


def below(path, image, schemas):
    """What an overlay in use lies on: the raw image, or what is sealed on it."""
    with open(path, "rb") as file:
        header, chain = parse_magic(file.read(1024)), []
    try:
        while header.incompatible & LAYER_BIT:
            require(len(chain) < MAX_SEALED and header.parent not in [f.header.uuid for f in chain],
                    "the chain is a loop, or too long")
            name = Name(header.parent, header.parent_root)
            chain.append(Sealed(find(os.path.dirname(path), name), name, image.size, schemas))
            header = chain[-1].header
    except Exception:
        for sealed in chain:
            sealed.close()
        raise
    for upper, lower in zip(chain, [*chain[1:], image]):
        upper.below = lower
    return chain[0] if chain else image


class Overlay:
    """The pages of a disk of `size` bytes; `base` is what it lies on."""

    def __init__(self, data, base, size, schemas):
        self.data, self.base, self.size, self.schemas = data, base, size, schemas
        self.pages = -(-size // PAGE)
        self._check_header()
        self.slot = self._find_slot()
        self.entries = {}  # page: (place, CRC)
        self._read_log()
        self._check_places()

    def _check_header(self):
        header = parse_magic(self.data[:1024])
        features = header.incompatible & ~LAYER_BIT
        if header.version != 2 or features != TRAILER_BIT | DISK_BIT or header.compatible:
            raise Incompatible("format version or features")
        if (header.chunk, header.page, header.entry) != (CHUNK, PAGE, 32):
            raise Incompatible("sizes")
        late = header.file_length, header.stored, header.sections
        parent = b"" if header.incompatible & LAYER_BIT else header.parent + header.parent_root
        require(not any(late) and not any(parent + header.root + header.reserved +
                                          self.data[224:1024]), "reserved bytes")
        require(header.ram == self.pages * PAGE, "another size than the base has")

    def _find_slot(self):
        slots = []
        for at in (PAGE, 2 * PAGE):
            raw = self.data[at:at + 64]
            if len(raw) == 64 and raw[:16] == b"stasis overlay\0\0" and with_crc(raw):
                slot = Slot(*SLOT.unpack_from(raw)[1:])
                require(slot.offset % PAGE == 0 and slot.length % PAGE == 0 and slot.length and
                        slot.offset >= FIRST * PAGE and slot.offset + slot.length < PAGE << 32,
                        "a slot leads out of the file")
                slots += [slot] if slot.generation else []
        require(slots, "no slot is valid")
        return max(slots, key=lambda slot: slot.generation)

    def _commit(self, at, number=None):
        """The commit at this offset of the file, if it is whole; of this number."""
        head = self.data[at:at + 64]
        end = min(self.slot.offset + self.slot.length, len(self.data) + -len(self.data) % PAGE)
        if len(head) < 64:
            return None
        magic, salt, found, count, state_length = COMMIT.unpack_from(head)
        first = 64 + -(-state_length // 4) * 4
        length = first + ENTRY.size * count
        if (magic != b"stasis commit\0\0\0" or salt != self.slot.salt or at + length > end or
                count > self.pages or number is not None and found != number):
            return None
        raw = self.data[at:at + length]
        if len(raw) < length or not with_crc(raw):
            return None
        return Commit(found, raw[64:64 + state_length], list(ENTRY.iter_unpack(raw[first:])),
                      -(-length // PAGE))

    def _read_log(self):
        at = self.slot.offset
        commit = self._commit(at)
        require(commit and commit.state, "the log does not begin with a whole commit")
        require(self.slot.length <= 2 * commit.pages * PAGE + (1 << 20), "the log is too long")
        self._check_state(commit.state)
        commits = []
        while commit:
            require(not commits or not commit.state, "a state in a later commit")
            self._check_entries(commit)
            commits.append(commit)
            at += commit.pages * PAGE
            commit = self._commit(at, commit.number + 1)
        if len(commits) > 1 and not all(map(self._is_there, commits[-1].entries)):
            at -= commits.pop().pages * PAGE
        for later in range(at, self.slot.offset + self.slot.length, PAGE):
            commit = self._commit(later)
            require(not commit or commit.number <= commits[-1].number + 1, "a commit is missing")
        for commit in commits:
            self.entries.update((page, (place, crc)) for page, place, crc in commit.entries)

    def _check_state(self, state):
        check_state(state, self.size, self.schemas)

    def _check_entries(self, commit):
        before = -1
        for page, place, crc in commit.entries:
            require(before < page < self.pages, "order of pages")
            require(place >= FIRST or place == ZERO and not crc, "a place that no page can have")
            before = page

    def _is_there(self, entry):
        _, place, crc = entry
        return place == ZERO or zlib.crc32(self._place(place)) == crc

    def _place(self, place):
        return self.data[place * PAGE:place * PAGE + PAGE].ljust(PAGE, b"\0")

    def _check_places(self):
        places = [place for place, _ in self.entries.values() if place != ZERO]
        first, count = self.slot.offset // PAGE, self.slot.length // PAGE
        require(len(set(places)) == len(places), "a place has two pages")
        for place in places:
            require(place < -(-len(self.data) // PAGE), "a place behind the file")
            require(not first <= place < first + count, "a place in the log")

    def page(self, number):
        """The content of a page of the disk, checked."""
        if number not in self.entries:
            return self.base.page(number)
        place, crc = self.entries[number]
        if place == ZERO:
            return bytes(PAGE)
        data = self._place(place)
        require(zlib.crc32(data) == crc, f"page {number} is damaged")
        return data

    def content(self):
        return b"".join(map(self.page, range(self.pages)))[:self.size]
