# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""A snapshot file up to its index: "Header", "Sections" and steps 1 to 13 of "What a reader does"
in docs/snapshot-format.md; and the bytes of extents."""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zlib
from typing import BinaryIO, ContextManager, Iterator, Mapping, NamedTuple

from ..errors import Damaged, Foreign, Newer
from .check import about, require
from .index import CHUNK, LAYER_BIT, PAGE, ZERO, ZLIB, Extent, Index, Index1, Index2, Region

HEADER = 1024
STATE, INDEX, DATA, SCHEMA, NOTES = 1, 2, 3, 4, 5
NAMES = {STATE: "STATE", INDEX: "INDEX", DATA: "DATA", SCHEMA: "SCHEMA", NOTES: "NOTES"}
MAGIC = b"\x89STASIS\n"
TRAILER_BIT, DISK_BIT, OPTIONAL_BIT = 1, 1 << 5, 1
DISK_DIGESTS_BIT, DISK_WHOLE_BIT = 1 << 6, 1 << 7  # in trailers of disks
# Of each format version: the incompatible features that it has, and its index.
FEATURES: Mapping[int, int] = {1: 0b11, 2: 0b11011}
INDEXES: Mapping[int, type[Index]] = {1: Index1, 2: Index2}
MAX_SCHEMA, MAX_NOTES, FILE_SLACK = 1 << 20, 128 << 10, 64 << 20
MAX_STATE, MAX_RAM = 16 << 20, 1 << 42


# ---- Format: Header, Sections ------------------------------------------------


class Section(NamedTuple):
    """An entry of the table of sections."""

    type: int
    flags: int
    offset: int
    length: int
    crc: int
    reserved: int


class Header(NamedTuple):
    """The fields of the header, in their order."""

    magic: bytes
    length: int
    crc: int
    version: int
    arch: int
    incompatible: int
    compatible: int
    producer: bytes
    uuid: bytes
    created: int
    file_length: int
    ram: int
    stored: int
    chunk: int
    page: int
    parent: bytes
    root: bytes
    parent_root: bytes
    sections: int
    entry: int
    reserved: bytes

    @property
    def maker(self) -> str:
        """The producer as text."""
        return self.producer.rstrip(b"\0").decode("ascii")


HEADER_FORM = struct.Struct("<8sIIIIQQ32s16sQQQQII16s32s32sII8s")
SECTION_FORM = struct.Struct("<IIQQII")
SIZES = (("chunk", CHUNK), ("page", PAGE), ("entry", SECTION_FORM.size))
TABLE, TABLE_ENTRIES = 224, 25
LATE = ("file_length", "stored", "sections")  # what a stream says in its trailer


def parse_magic(raw: bytes, what: str = "header") -> Header:
    """Step 2 of the order of checks."""
    if what == "header" and raw[:8] != MAGIC:
        raise Foreign("this is no Stasis snapshot")
    require(raw[:8] == MAGIC, f"{what}: wrong magic")
    require(len(raw) == HEADER, f"{what}: truncated")
    header = Header(*HEADER_FORM.unpack_from(raw))
    require(header.length == HEADER, f"{what}: length {header.length}")
    require(zlib.crc32(raw[:12] + bytes(4) + raw[16:]) == header.crc, f"{what}: wrong CRC")
    require(re.fullmatch(rb"[ -~]{1,32}\0*", header.producer), f"{what}: malformed producer")
    return header


def parse_header(
    raw: bytes, what: str = "header", features: Mapping[int, int] | None = None
) -> Header:
    """Steps 2 to 6 of the order of checks; `features` of a version other than the known ones."""
    header = parse_magic(raw, what)
    with about("", header.maker):
        _check_known(header, features or FEATURES)
    require(header.ram <= MAX_RAM, f"{what}: more than 4 TiB of RAM")
    require(header.sections <= TABLE_ENTRIES, f"{what}: {header.sections} sections")
    if not header.compatible:
        require(not any(_reserved(header, raw)), f"{what}: reserved bytes")
    return header


def _check_known(header: Header, features: Mapping[int, int]) -> None:
    if header.version not in INDEXES:
        raise Newer(f"format version {header.version}, known are 1 and 2")
    if unknown := header.incompatible & ~features[header.version]:
        if header.version == 2 and unknown == DISK_BIT:
            raise Foreign("it holds a disk, and no guest", 4, remedy="open_disk() reads it")
        raise Newer(f"unknown features {unknown:#x}")
    for name, wanted in SIZES:
        if getattr(header, name) != wanted:
            raise Newer(f"{name} size {getattr(header, name)}, known is {wanted}")


def _reserved(header: Header, raw: bytes) -> bytes:
    """What must be zero."""
    used = header.sections
    entries = [raw[TABLE + 32 * i + 28 : TABLE + 32 * i + 32] for i in range(used)]
    root = header.root if header.version == 1 else b""
    parent = b"" if header.incompatible & LAYER_BIT else header.parent + header.parent_root
    return parent + root + header.reserved + b"".join(entries) + raw[TABLE + 32 * used :]


class File:
    """A file and its header and sections: steps 1 to 12; with read_index() also step 13.

    Owns `file`, which is closed if it is refused."""

    features, indexes = FEATURES, INDEXES
    late_features = 0  # what only a trailer may have
    index: Index
    regions: list[Region]

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.file, self.path, self.maker = file, path, ""
        try:
            with self.naming():
                self.size = self.file.seek(0, 2)
                self.header, self.end = self._read_headers()
            self.maker = self.header.maker
            with self.naming():
                self.sections = self._read_sections()
            data = self._named(self.sections, DATA)
            self.data = data.offset, data.offset + data.length
        except BaseException:
            self.file.close()
            raise

    def naming(self) -> ContextManager[None]:
        """Errors are about this file."""
        return about(self.path, self.maker)

    def close(self) -> None:
        """Closes the file."""
        self.file.close()

    def read_index(self) -> None:
        """Step 13."""
        with self.naming():
            raw = self.section(INDEX)
            self.index = self.indexes[self.header.version](raw, self.header, self.data)
        self.regions = self.index.regions

    def root(self) -> bytes:
        """Computed, of a file of version 2; its state may be anything."""
        state, digest = self._named(self.sections, STATE), hashlib.sha256()
        for block in self._blocks(state.offset, state.length):
            digest.update(block)
        return self.index.root(self.header, digest.digest())

    def _read(self, offset: int, length: int) -> bytes:
        self.file.seek(offset)
        data = self.file.read(length)
        require(len(data) == length, f"byte {offset}: truncated")
        return data

    def _blocks(self, offset: int, length: int) -> Iterator[bytes]:
        for start in range(offset, offset + length, 1 << 20):
            yield self._read(start, min(1 << 20, offset + length - start))

    def _read_headers(self) -> tuple[Header, int]:
        """(the header that counts, where the sections end)."""
        self.file.seek(0)
        raw = self.file.read(HEADER)
        header, end = parse_header(raw, features=self.features), self.size
        if header.incompatible & TRAILER_BIT:
            end = self.size - HEADER
            require(end >= HEADER, "truncated")
            raw = self._read(end, HEADER)
            header = self._with_trailer(header, raw)
        right = header.file_length == self.size
        require(right, f"{self.size} bytes instead of {header.file_length}")
        most = 3 * header.ram + self._longest_index(header) + FILE_SLACK
        require(
            self.size <= most, f"{self.size} bytes are more than {header.ram} bytes of RAM can need"
        )
        self._table = raw[TABLE : TABLE + header.sections * SECTION_FORM.size]
        return header, end

    def _with_trailer(self, header: Header, raw: bytes) -> Header:
        late = LATE + ("root",) * (header.version == 2)
        values = [getattr(header, name) for name in late]
        empty = not any(any(v) if isinstance(v, bytes) else v for v in values)
        require(empty, "the header of a stream has values of the trailer")
        known = {version: bits | self.late_features for version, bits in self.features.items()}
        trailer = parse_header(raw, "trailer", known)
        changed = {name: getattr(trailer, name) for name in ("crc", *late)}
        features = header.incompatible | trailer.incompatible & self.late_features
        same = header._replace(incompatible=features, **changed) == trailer
        require(same, "header and trailer disagree")
        return trailer

    def _longest_index(self, header: Header) -> int:
        return self.indexes[header.version].longest(header)

    def _read_sections(self) -> list[Section]:
        sections = [Section(*entry) for entry in SECTION_FORM.iter_unpack(self._table)]
        at = HEADER
        seen: set[int] = set()
        for section in sections:
            require(section.offset >= at, "sections are out of order")
            at = section.offset + section.length
            require(at <= self.end, "a section leaves the file")
            _check_section(section, seen)
            seen.add(section.type)
        require(at == self.end, "the last section does not end at the end of the file")
        for kind in (STATE, INDEX, DATA):
            require(kind in seen, f"no section {NAMES[kind]}")
        data = self._named(sections, DATA)
        require(data.offset % PAGE == 0 and data.crc == 0, "DATA section: offset or CRC")
        return sections

    @staticmethod
    def _named(sections: list[Section], kind: int) -> Section:
        return next(section for section in sections if section.type == kind)

    def section(self, kind: int) -> bytes:
        """Bytes of a section, checked."""
        section = self._named(self.sections, kind)
        limits = {STATE: MAX_STATE, SCHEMA: MAX_SCHEMA, NOTES: MAX_NOTES}
        limit = limits.get(kind) or self._longest_index(self.header)
        fits = 1 <= section.length <= limit
        require(fits, f"{_title(kind)}: {section.length} bytes")
        data = self._read(section.offset, section.length)
        require(zlib.crc32(data) == section.crc, f"{_title(kind)}: wrong CRC")
        return data

    def has(self, kind: int) -> bool:
        """Whether there is a section of this type."""
        return any(section.type == kind for section in self.sections)

    def check_unknown(self, section: Section) -> None:
        """The CRC of a section whose content this release does not know."""
        crc = 0
        for block in self._blocks(section.offset, section.length):
            crc = zlib.crc32(block, crc)
        require(crc == section.crc, f"{_title(section.type)}: wrong CRC")

    def check_padding(self, used: list[tuple[int, int]]) -> None:
        """What is between these (offset, length) must be zero."""
        at = 0
        for offset, length in sorted(used):
            for block in self._blocks(at, offset - at):
                require(not any(block), f"padding between {at} and {offset} is not zero")
            at = offset + length

    @property
    def identity(self) -> tuple[int, int]:
        """(device, inode) of the file."""
        found = os.fstat(self.file.fileno())
        return found.st_dev, found.st_ino

    def pages(self, number: int, extent: Extent) -> dict[int, bytes]:
        """{page: its bytes} of what an extent of a chunk stores here, checked."""
        with self.naming():
            data = self._read(extent.offset, extent.length)
            require(zlib.crc32(data) == extent.crc, f"chunk {number}: wrong CRC")
            right = not extent.digest or hashlib.sha256(data).digest() == extent.digest
            require(right, f"chunk {number}: wrong digest")
            pages = [page for page in range(CHUNK // PAGE) if extent.stored >> page & 1]
            if extent.encoding == ZERO:
                data = bytes(PAGE * len(pages))
            elif extent.encoding == ZLIB:
                data = _unpacked(number, data, PAGE * len(pages))
        return {page: data[PAGE * i : PAGE * i + PAGE] for i, page in enumerate(pages)}


def _title(kind: int) -> str:
    return f"section {NAMES[kind]}" if kind in NAMES else f"section of type {kind}"


def _check_section(section: Section, seen: set[int]) -> None:
    title = _title(section.type)
    if section.flags & ~OPTIONAL_BIT:
        raise Newer(f"{title}: unknown flags {section.flags:#x}")
    if section.type > DATA and not section.flags:
        raise Newer(f"{title} is unknown")
    require(section.type != 0, title)
    require(section.type > DATA or not section.flags, f"{title}: flags")
    require(section.type > NOTES or section.type not in seen, f"{title} is a second one")


def _unpacked(number: int, data: bytes, size: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(data, size + 1)
    except zlib.error as error:
        raise Damaged(f"chunk {number}: {error}") from None
    exact = unpacker.eof and len(data) == size and not unpacker.unused_data
    require(exact, f"chunk {number}: does not unpack to what is stored")
    return data


def open_file(path: str) -> BinaryIO:
    """A file of a chain: regular files only, and no links."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    return os.fdopen(descriptor, "rb")
