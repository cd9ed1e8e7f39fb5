# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""An overlay in use: "Disks" of docs/snapshot-format.md, on a raw image."""
import collections
import struct
import zlib

from stasis_file import parse_magic
from stasis_index import CHUNK, PAGE
from stasis_state import Incompatible, StateReader, require

TRAILER_BIT, DISK_BIT = 1 << 0, 1 << 5
ZERO, FIRST = 1, 3  # places
SLOT = struct.Struct("<16sQQQ16s")
COMMIT = struct.Struct("<16s16sQII")
ENTRY = struct.Struct("<III")
Slot = collections.namedtuple("Slot", "generation offset length salt")
Commit = collections.namedtuple("Commit", "number state entries pages")


def with_crc(data):
    """Whether the field at 60 is the CRC-32 of all, with itself set to zero."""
    return struct.unpack_from("<I", data, 60)[0] == zlib.crc32(data[:60] + bytes(4) + data[64:])


class Overlay:
    """The pages of a disk; `base` is the content of the raw image."""

    def __init__(self, data, base, schemas):
        self.data, self.base, self.schemas = data, base, schemas
        self.pages = -(-len(base) // PAGE)
        self._check_header()
        self.slot = self._find_slot()
        self.entries = {}  # page: (place, CRC)
        self._read_log()
        self._check_places()

    def _check_header(self):
        header = parse_magic(self.data[:1024])
        if header.version != 2 or header.incompatible != TRAILER_BIT | DISK_BIT or header.compatible:
            raise Incompatible("format version or features")
        if (header.chunk, header.page, header.entry) != (CHUNK, PAGE, 32):
            raise Incompatible("sizes")
        late = header.file_length, header.stored, header.sections
        require(not any(late) and not any(header.parent + header.root + header.parent_root +
                                          header.reserved + self.data[224:1024]), "reserved bytes")
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
                number is not None and found != number):
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
        records = StateReader(state, self.schemas).records()
        require([(r["type"], r["instance"]) for r in records] == [("stasis.disk", "disk")], "record")
        require(records[0]["state"]["sectors"] * 512 == len(self.base), "size of the disk")

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
            return self.base[number * PAGE:number * PAGE + PAGE].ljust(PAGE, b"\0")
        place, crc = self.entries[number]
        if place == ZERO:
            return bytes(PAGE)
        data = self._place(place)
        require(zlib.crc32(data) == crc, f"page {number} is damaged")
        return data

    def content(self):
        return b"".join(map(self.page, range(self.pages)))[:len(self.base)]
