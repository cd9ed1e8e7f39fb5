# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""An overlay that a guest uses: "Overlay in use" of docs/snapshot-format.md."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO, NamedTuple, Protocol

from ..errors import Damaged, Newer
from .check import require
from .file import DISK_BIT, HEADER, TRAILER_BIT, parse_magic
from .index import CHUNK, LAYER_BIT, PAGE
from .records import StateReader
from .tables import known

ZERO, FIRST = 1, 3  # places; ZERO is a kind and an encoding of an index, too
SLOT = struct.Struct("<16sQQQ16s")
COMMIT = struct.Struct("<16s16sQII")
ENTRY = struct.Struct("<III")
SLOT_MAGIC, COMMIT_MAGIC = b"stasis overlay\0\0", b"stasis commit\0\0\0"


class Slot(NamedTuple):
    """Where a log is."""

    generation: int
    offset: int
    length: int
    salt: bytes


class Commit(NamedTuple):
    """A commit: entries are (page, place, CRC); `pages` is its own length."""

    number: int
    state: bytes
    entries: list[tuple[int, int, int]]
    pages: int


class Pages(Protocol):
    """What pages of a disk can be read from."""

    def page(self, number: int) -> bytes:
        """4096 bytes."""

    def close(self) -> None:
        """Closes the file."""


def with_crc(data: bytes) -> bool:
    """Whether the field at 60 is the CRC-32 of all, with itself set to zero."""
    crc: int = struct.unpack_from("<I", data, 60)[0]
    return crc == zlib.crc32(data[:60] + bytes(4) + data[64:])


def check_state(state: bytes, size: int) -> None:
    """The one record of an overlay."""
    records = StateReader(state, known()).records()
    require([(r.type, r.instance) for r in records] == [("stasis.disk", "disk")], "record")
    require(records[0].state["sectors"] * 512 == size, "size of the disk")


class Overlay:
    """The pages of an overlay in use, of a disk of `size` bytes; `base` is what it lies on."""

    def __init__(self, file: BinaryIO, base: Pages, size: int) -> None:
        self.file, self.base, self.size = file, base, size
        self.entries: dict[int, tuple[int, int]] = {}  # page: (place, CRC)
        try:
            self.length = file.seek(0, 2)
            self.pages = -(-size // PAGE)
            self._check_header()
            self.slot = find_slot(file)
            self._read_log()
            self._check_places()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self.file.close()

    def _bytes(self, at: int, length: int) -> bytes:
        self.file.seek(at)
        return self.file.read(length)

    def _check_header(self) -> None:
        raw = self._bytes(0, HEADER)
        header = parse_magic(raw)
        features = header.incompatible & ~LAYER_BIT
        if header.version != 2 or features != TRAILER_BIT | DISK_BIT or header.compatible:
            raise Newer("format version or features")
        if (header.chunk, header.page, header.entry) != (CHUNK, PAGE, 32):
            raise Newer("sizes")
        late = header.file_length, header.stored, header.sections
        parent = b"" if header.incompatible & LAYER_BIT else header.parent + header.parent_root
        reserved = parent + header.root + header.reserved + raw[224:]
        require(not any(late) and not any(reserved), "reserved bytes")
        require(header.ram == self.pages * PAGE, "another size than the base has")

    def _commit(self, at: int, number: int | None = None) -> Commit | None:
        """The commit at this offset of the file, if it is whole; of this number."""
        head = self._bytes(at, 64)
        if len(head) < 64:
            return None
        magic, salt, found, count, state_length = COMMIT.unpack_from(head)
        first = 64 + -(-state_length // 4) * 4
        length = first + ENTRY.size * count
        end = min(self.slot.offset + self.slot.length, -(-self.length // PAGE) * PAGE)
        right = magic == COMMIT_MAGIC and salt == self.slot.salt and number in (None, found)
        if not right or at + length > end or count > self.pages:
            return None
        raw = self._bytes(at, length)
        if len(raw) < length or not with_crc(raw):
            return None
        entries = [(page, place, crc) for page, place, crc in ENTRY.iter_unpack(raw[first:])]
        return Commit(found, raw[64 : 64 + state_length], entries, -(-length // PAGE))

    def _read_log(self) -> None:
        at = self.slot.offset
        commit = self._commit(at)
        if not commit or not commit.state:
            raise Damaged("the log does not begin with a whole commit")
        require(self.slot.length <= 2 * commit.pages * PAGE + (1 << 20), "the log is too long")
        check_state(commit.state, self.size)
        commits: list[Commit] = []
        while commit:
            require(not commits or not commit.state, "a state in a later commit")
            self._check_entries(commit)
            commits.append(commit)
            at += commit.pages * PAGE
            commit = self._commit(at, commit.number + 1)
        if len(commits) > 1 and not all(map(self._is_there, commits[-1].entries)):
            at -= commits.pop().pages * PAGE
        self._check_rest(at, commits[-1].number + 1)
        for commit in commits:
            self.entries.update((page, (place, crc)) for page, place, crc in commit.entries)

    def _check_rest(self, at: int, number: int) -> None:
        """None begins behind those that count that is later than the next one would be."""
        end = min(self.slot.offset + self.slot.length, self.length)
        for later in range(at, end, PAGE):
            head = self._bytes(later, COMMIT.size).ljust(COMMIT.size, b"\0")
            magic, salt, found, *_ = COMMIT.unpack(head)
            begins = magic == COMMIT_MAGIC and salt == self.slot.salt
            require(not begins or found <= number, "a commit is missing")

    def _check_entries(self, commit: Commit) -> None:
        before = -1
        for page, place, crc in commit.entries:
            require(before < page < self.pages, "order of pages")
            possible = place >= FIRST or place == ZERO and not crc
            require(possible, "a place that no page can have")
            before = page

    def _is_there(self, entry: tuple[int, int, int]) -> bool:
        _, place, crc = entry
        return place == ZERO or zlib.crc32(self._place(place)) == crc

    def _place(self, place: int) -> bytes:
        return self._bytes(place * PAGE, PAGE).ljust(PAGE, b"\0")

    def _check_places(self) -> None:
        places = [place for place, _ in self.entries.values() if place != ZERO]
        first, count = self.slot.offset // PAGE, self.slot.length // PAGE
        require(len(set(places)) == len(places), "a place has two pages")
        for place in places:
            require(place < -(-self.length // PAGE), "a place behind the file")
            require(not first <= place < first + count, "a place in the log")

    def page(self, number: int) -> bytes:
        """The content of a page of the disk, checked."""
        if number not in self.entries:
            return self.base.page(number)
        place, crc = self.entries[number]
        if place == ZERO:
            return bytes(PAGE)
        data = self._place(place)
        require(zlib.crc32(data) == crc, f"page {number} is damaged")
        return data


def find_slot(file: BinaryIO) -> Slot:
    """The slot that counts. Damaged: none is valid."""
    slots = []
    for at in (PAGE, 2 * PAGE):
        file.seek(at)
        raw = file.read(64)
        if len(raw) == 64 and raw[:16] == SLOT_MAGIC and with_crc(raw):
            slot = Slot(*SLOT.unpack_from(raw)[1:])
            aligned = slot.offset % PAGE == 0 and slot.length % PAGE == 0
            inside = slot.offset >= FIRST * PAGE and slot.offset + slot.length < PAGE << 32
            require(aligned and slot.length and inside, "a slot leads out of the file")
            slots += [slot] if slot.generation else []
    require(slots, "no slot is valid")
    return max(slots, key=lambda slot: slot.generation)
