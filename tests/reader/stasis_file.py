# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""A snapshot file up to its index: "Header", "Sections" and steps 1 to 13 of "What a reader does" in
docs/snapshot-format.md; and the bytes of extents."""
import collections
import hashlib
import os
import re
import struct
import zlib

from stasis_index import CHUNK, LAYER_BIT, PAGE, ZERO, ZLIB, Index1, Index2
from stasis_state import Corrupt, Incompatible, require

HEADER = 1024
STATE, INDEX, DATA, SCHEMA, NOTES = 1, 2, 3, 4, 5
MAGIC = b"\x89STASIS\n"
TRAILER_BIT, OPTIONAL_BIT = 1, 1
# Of each format version: the incompatible features that it has, and its index.
FEATURES, INDEXES = {1: 0b11, 2: 0b11011}, {1: Index1, 2: Index2}
MAX_SCHEMA, MAX_NOTES, FILE_SLACK = 1 << 20, 128 << 10, 64 << 20
MAX_STATE, MAX_RAM = 16 << 20, 1 << 42


# ---- Format: Header, Sections ------------------------------------------------

Section = collections.namedtuple("Section", "type flags offset length crc reserved")
Header = collections.namedtuple(
    "Header", "magic length crc version arch incompatible compatible producer uuid created "
    "file_length ram stored chunk page parent root parent_root sections entry reserved")
HEADER_FORM = struct.Struct("<8sIIIIQQ32s16sQQQQII16s32s32sII8s")
SECTION_FORM = struct.Struct("<IIQQII")
TABLE, TABLE_ENTRIES = 224, 25


def parse_magic(raw, what="header"):
    """Step 2 of the order of checks."""
    require(raw[:8] == MAGIC, f"{what}: not a Stasis snapshot")
    require(len(raw) == HEADER, f"{what}: truncated")
    header = Header(*HEADER_FORM.unpack_from(raw))
    require(header.length == HEADER, f"{what}: length {header.length}")
    require(zlib.crc32(raw[:12] + bytes(4) + raw[16:]) == header.crc, f"{what}: wrong CRC")
    require(re.fullmatch(rb"[ -~]{1,32}\0*", header.producer), f"{what}: malformed producer")
    return header


def parse_header(raw, what="header", features=None):
    """Steps 2 to 6 of the order of checks; `features` of a version other than the known ones."""
    header = parse_magic(raw, what)
    by = "made by " + header.producer.rstrip(b"\0").decode("ascii")
    if header.version not in INDEXES:
        raise Incompatible(f"{by}: format version {header.version}, known are 1 and 2")
    if unknown := header.incompatible & ~(features or FEATURES)[header.version]:
        raise Incompatible(f"{by}: unknown features {unknown:#x}")
    for name, wanted in (("chunk", CHUNK), ("page", PAGE), ("entry", SECTION_FORM.size)):
        if getattr(header, name) != wanted:
            raise Incompatible(f"{by}: {name} size {getattr(header, name)}, known is {wanted}")
    require(header.ram <= MAX_RAM, f"{what}: more than 4 TiB of RAM")
    require(header.sections <= TABLE_ENTRIES, f"{what}: {header.sections} sections")
    if not header.compatible:
        used = header.sections
        entries = [raw[TABLE + 32 * i + 28:TABLE + 32 * i + 32] for i in range(used)]
        rest = raw[TABLE + 32 * used:]
        root = header.root if header.version == 1 else b""
        parent = b"" if header.incompatible & LAYER_BIT else header.parent + header.parent_root
        require(not any(parent + root + header.reserved + b"".join(entries) + rest),
                f"{what}: reserved bytes")
    return header


class File:
    """A file and its header and sections: steps 1 to 12; with read_index() also step 13."""
    features, indexes = FEATURES, INDEXES

    def __init__(self, file):
        self.file = file
        try:
            self.size = self.file.seek(0, 2)
            self.header, self.end = self._read_headers()
            self.sections = self._read_sections()
            data = self._named(self.sections, DATA)
            self.data = data.offset, data.offset + data.length
        except Exception:
            self.close()
            raise

    def close(self):
        self.file.close()

    def read_index(self):
        self.index = self.indexes[self.header.version](self._section(INDEX), self.header, self.data)
        self.regions = self.index.regions

    def root(self):
        """Computed, of a file of version 2; its state may be anything."""
        state = self._named(self.sections, STATE)
        return self.index.root(self.header, self._read(state.offset, state.length))

    def _read(self, offset, length):
        self.file.seek(offset)
        data = self.file.read(length)
        require(len(data) == length, f"byte {offset}: truncated")
        return data

    def _read_headers(self):
        self.file.seek(0)
        raw = self.file.read(HEADER)
        header, end = parse_header(raw, features=self.features), self.size
        if header.incompatible & TRAILER_BIT:
            end = self.size - HEADER
            require(end >= HEADER, "truncated")
            late = ["file_length", "stored", "sections"] + ["root"] * (header.version == 2)
            require(not any(any(value) if isinstance(value, bytes) else value
                            for value in (getattr(header, name) for name in late)),
                    "the header of a stream has values of the trailer")
            raw = self._read(end, HEADER)
            trailer = parse_header(raw, "trailer", self.features)
            changed = {name: getattr(trailer, name) for name in ("crc", *late)}
            require(header._replace(**changed) == trailer, "header and trailer disagree")
            header = trailer
        require(header.file_length == self.size,
                f"{self.size} bytes instead of {header.file_length}")
        require(self.size <= 3 * header.ram + self._longest_index(header) + FILE_SLACK,
                f"{self.size} bytes are more than {header.ram} bytes of RAM can need")
        self._table = raw[TABLE:TABLE + header.sections * SECTION_FORM.size]
        return header, end

    def _longest_index(self, header):
        return self.indexes[header.version].longest(header)

    def _read_sections(self):
        sections = [Section(*entry) for entry in SECTION_FORM.iter_unpack(self._table)]
        at, seen = HEADER, set()
        for section in sections:
            require(section.offset >= at, "sections are out of order")
            at = section.offset + section.length
            require(at <= self.end, "a section leaves the file")
            self._check_section(section, seen)
            seen.add(section.type)
        require(at == self.end, "the last section does not end at the end of the file")
        for kind, name in ((STATE, "STATE"), (INDEX, "INDEX"), (DATA, "DATA")):
            require(kind in seen, f"no section {name}")
        data = self._named(sections, DATA)
        require(data.offset % PAGE == 0 and data.crc == 0, "DATA section: offset or CRC")
        return sections

    @staticmethod
    def _check_section(section, seen):
        title = f"section of type {section.type}"
        if section.flags & ~OPTIONAL_BIT:
            raise Incompatible(f"{title}: unknown flags {section.flags:#x}")
        if section.type > DATA and not section.flags:
            raise Incompatible(f"{title} is unknown")
        require(section.type != 0, title)
        require(section.type > DATA or not section.flags, f"{title}: flags")
        require(section.type > NOTES or section.type not in seen, f"{title} is a second one")

    @staticmethod
    def _named(sections, kind):
        return next(section for section in sections if section.type == kind)

    def _section(self, kind):
        """Bytes of a section, checked."""
        section = self._named(self.sections, kind)
        limit = {STATE: MAX_STATE, SCHEMA: MAX_SCHEMA, NOTES: MAX_NOTES,
                 INDEX: self._longest_index(self.header)}[kind]
        require(1 <= section.length <= limit, f"section of type {kind}: {section.length} bytes")
        data = self._read(section.offset, section.length)
        require(zlib.crc32(data) == section.crc, f"section of type {kind}: wrong CRC")
        return data

    def pages(self, number, extent):
        """{page: its bytes} of what an extent of a chunk stores here, checked."""
        data = self._read(extent.offset, extent.length)
        require(zlib.crc32(data) == extent.crc, f"chunk {number}: wrong CRC")
        if extent.digest:
            require(hashlib.sha256(data).digest() == extent.digest, f"chunk {number}: wrong digest")
        pages = [page for page in range(CHUNK // PAGE) if extent.stored >> page & 1]
        if extent.encoding == ZERO:
            data = bytes(PAGE * len(pages))
        elif extent.encoding == ZLIB:
            data = self._unpacked(number, data, PAGE * len(pages))
        return {page: data[PAGE * i:PAGE * i + PAGE] for i, page in enumerate(pages)}

    @staticmethod
    def _unpacked(number, data, size):
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(data, size + 1)
        except zlib.error as error:
            raise Corrupt(f"chunk {number}: {error}") from None
        require(unpacker.eof and len(data) == size and not unpacker.unused_data,
                f"chunk {number}: does not unpack to what is stored")
        return data


def open_file(path):
    """Of a chain: regular files only, and no links."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    return os.fdopen(descriptor, "rb")
