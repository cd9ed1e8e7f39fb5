#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""A second reader of Stasis snapshots, written from docs/snapshot-format.md alone.

It exists to keep that document honest, so it shares nothing with the C code, not even the names of
the fields: those it reads from the document's own tables. It verifies the whole file before it says
anything about it. "Format:" in the comments is a heading of the document.

    stasis_reader.py FILE [--json]

Exit status: 0 whole, 1 could not read, 2 usage, 3 corrupt, 4 incompatible."""
import argparse
import collections
import hashlib
import json
import re
import struct
import sys
import uuid
import zlib

from stasis_index import CHUNK, PAGE, RAW, ZERO, ZLIB, Index1, Index2
from stasis_notes import parse_notes
from stasis_schema import SchemaReader, show
from stasis_state import Corrupt, Incompatible, SnapshotError, StateReader, parse_schemas, require

HEADER = 1024
STATE, INDEX, DATA, SCHEMA, NOTES = 1, 2, 3, 4, 5
MAGIC = b"\x89STASIS\n"
TRAILER_BIT, OPTIONAL_BIT, DIGESTS_BIT = 1, 1, 8
# Of each format version: the incompatible features that it has, and its index.
FEATURES, INDEXES = {1: 0b11, 2: 0b1011}, {1: Index1, 2: Index2}
MAX_SCHEMA, MAX_NOTES, FILE_SLACK = 1 << 20, 128 << 10, 64 << 20
MAX_STATE, MAX_RAM = 16 << 20, 1 << 42
# As snapshot-inspect(1) names them; the format has numbers only.
ARCHITECTURES = {
    2: "sparc", 3: "i386", 4: "m68k", 8: "mips", 15: "parisc", 20: "ppc", 21: "ppc64", 22: "s390",
    40: "arm", 42: "sh", 43: "sparc64", 50: "ia64", 62: "x86_64", 83: "avr", 92: "openrisc",
    94: "xtensa", 105: "msp430", 183: "aarch64", 189: "microblaze", 243: "riscv", 258: "loongarch",
    0x9026: "alpha"}


# ---- Format: Header, Sections ------------------------------------------------

Section = collections.namedtuple("Section", "type flags offset length crc reserved")
Header = collections.namedtuple(
    "Header", "magic length crc version arch incompatible compatible producer uuid created "
    "file_length ram stored chunk page parent root kept sections entry reserved")
HEADER_FORM = struct.Struct("<8sIIIIQQ32s16sQQQQII16s32s32sII8s")
SECTION_FORM = struct.Struct("<IIQQII")
TABLE, TABLE_ENTRIES = 224, 25


def parse_header(raw, what="header"):
    """Steps 2 to 6 of the order of checks."""
    require(raw[:8] == MAGIC, f"{what}: not a Stasis snapshot")
    require(len(raw) == HEADER, f"{what}: truncated")
    header = Header(*HEADER_FORM.unpack_from(raw))
    require(header.length == HEADER, f"{what}: length {header.length}")
    require(zlib.crc32(raw[:12] + bytes(4) + raw[16:]) == header.crc, f"{what}: wrong CRC")
    require(re.fullmatch(rb"[ -~]{1,32}\0*", header.producer), f"{what}: malformed producer")
    by = "made by " + header.producer.rstrip(b"\0").decode("ascii")
    if header.version not in INDEXES:
        raise Incompatible(f"{by}: format version {header.version}, known are 1 and 2")
    if unknown := header.incompatible & ~FEATURES[header.version]:
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
        require(not any(header.parent + root + header.kept + header.reserved +
                        b"".join(entries) + rest), f"{what}: reserved bytes")
    return header


class Snapshot:
    """A snapshot file. Opening it checks all but RAM; verify() the rest."""

    def __init__(self, path, schemas=None):
        self.file = open(path, "rb")
        try:
            self.size = self.file.seek(0, 2)
            self.header, self.end = self._read_headers()
            self.sections = self._read_sections()
            data = self._named(self.sections, DATA)
            self.index = INDEXES[self.header.version](
                self._section(INDEX), self.header, (data.offset, data.offset + data.length))
            self.regions = self.index.regions
            state = StateReader(self._section(STATE), schemas or parse_schemas())
            self.records, self.unknown = state.records(), state.unknown
        except Exception:
            self.file.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def _read(self, offset, length):
        self.file.seek(offset)
        data = self.file.read(length)
        require(len(data) == length, f"byte {offset}: truncated")
        return data

    def _read_headers(self):
        self.file.seek(0)
        raw = self.file.read(HEADER)
        header, end = parse_header(raw), self.size
        if header.incompatible & TRAILER_BIT:
            end = self.size - HEADER
            require(end >= HEADER, "truncated")
            late = ["file_length", "stored", "sections"] + ["root"] * (header.version == 2)
            require(not any(any(value) if isinstance(value, bytes) else value
                            for value in (getattr(header, name) for name in late)),
                    "the header of a stream has values of the trailer")
            raw = self._read(end, HEADER)
            trailer = parse_header(raw, "trailer")
            changed = {name: getattr(trailer, name) for name in ("crc", *late)}
            require(header._replace(**changed) == trailer, "header and trailer disagree")
            header = trailer
        require(header.file_length == self.size,
                f"{self.size} bytes instead of {header.file_length}")
        require(self.size <= 3 * header.ram + self._longest_index(header) + FILE_SLACK,
                f"{self.size} bytes are more than {header.ram} bytes of RAM can need")
        self._table = raw[TABLE:TABLE + header.sections * SECTION_FORM.size]
        return header, end

    @staticmethod
    def _longest_index(header):
        return INDEXES[header.version].longest(header.ram)

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

    def _stored(self, number, chunk, size):
        """The RAM of a chunk that is not zero, checked."""
        data = self._read(chunk.offset, chunk.stored)
        require(zlib.crc32(data) == chunk.crc, f"chunk {number}: wrong CRC")
        if chunk.digest:
            require(hashlib.sha256(data).digest() == chunk.digest, f"chunk {number}: wrong digest")
        if chunk.kind == RAW:
            return data
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(data, size + 1)
        except zlib.error as error:
            raise Corrupt(f"chunk {number}: {error}") from None
        require(unpacker.eof and len(data) == size and not unpacker.unused_data,
                f"chunk {number}: does not unpack to one chunk")
        return data

    # ---- Format: What a reader does ---------------------------------------------------------

    def verify(self):
        """CRCs of all chunks and skipped sections, page masks, padding; digests, root."""
        if self.header.version == 2:
            require(self.index.root(self.header.arch, self._section(STATE)) == self.header.root,
                    "wrong root")
        used = [(0, HEADER), (self.end, HEADER)]
        for section in self.sections:
            if section.type != DATA:
                used.append((section.offset, section.length))
            if section.type == SCHEMA:
                self.schemas()
            elif section.type == NOTES:
                self.notes()
            elif section.type > DATA:
                crc = 0
                for block in self._blocks(section.offset, section.length):
                    crc = zlib.crc32(block, crc)
                require(crc == section.crc, f"section of type {section.type}: wrong CRC")
        for number, size in self.index.stored():
            chunk = self.index.chunk(number)
            data = self._stored(number, chunk, size)
            mask = sum(any(data[page:page + PAGE]) << page // PAGE for page in range(0, size, PAGE))
            require(mask == chunk.mask, f"chunk {number}: wrong page mask")
            used.append((chunk.offset, chunk.stored))
        at = 0
        for offset, length in sorted(used):
            for block in self._blocks(at, offset - at):
                require(not any(block), f"padding between {at} and {offset} is not zero")
            at = offset + length

    def schemas(self):
        """What the file itself says of its records: see SchemaReader. Empty if it says nothing."""
        if not any(section.type == SCHEMA for section in self.sections):
            return []
        return SchemaReader(self._section(SCHEMA)).states()

    def notes(self):
        """{key: value}. Empty if the file has none."""
        if not any(section.type == NOTES for section in self.sections):
            return {}
        return parse_notes(self._section(NOTES))

    def _blocks(self, offset, length):
        for start in range(offset, offset + length, 1 << 20):
            yield self._read(start, min(1 << 20, offset + length - start))

    def ram(self, gpa, length):
        """The guest's bytes [gpa, gpa + length). LookupError where it has no RAM."""
        parts = []
        while length:
            region = next((r for r in self.regions if r.gpa <= gpa < r.gpa + r.size), None)
            if region is None:
                raise LookupError(f"the guest has no RAM at {gpa:#x}")
            number, skip = divmod(gpa - region.gpa, CHUNK)
            size = min(CHUNK, region.size - number * CHUNK)
            take = min(length, size - skip)
            chunk = self.index.chunk(region.first_chunk + number)
            data = bytes(size) if chunk.kind == ZERO else self._stored(
                region.first_chunk + number, chunk, size)
            parts.append(data[skip:skip + take])
            gpa, length = gpa + take, length - take
        return b"".join(parts)

    def as_dict(self):
        """What is in the file, in the words of `snapshot-inspect json`, and the sections."""
        header = self.header
        return {
            "header": {
                "format_version": header.version, "incompatible": header.incompatible,
                "compatible": header.compatible,
                "producer": header.producer.rstrip(b"\0").decode("ascii"), "arch": header.arch,
                "arch_name": ARCHITECTURES.get(header.arch, "unknown"),
                "uuid": str(uuid.UUID(bytes=header.uuid)), "created_ns": header.created,
                "file_len": header.file_length, "ram_bytes": header.ram,
                "stored_bytes": header.stored,
                "streamed": bool(header.incompatible & TRAILER_BIT), **self._digests()},
            "notes": self.notes(),
            "sections": [dict(zip(Section._fields[:5], section)) for section in self.sections],
            "regions": [self._region(region) for region in self.regions],
            "records": [self._shown(record) for record in self.records]}

    def _digests(self):
        if self.header.version == 1:
            return {}
        digest = "sha256" if self.header.incompatible & DIGESTS_BIT else "none"
        return {"root": self.header.root.hex(), "digest": digest}

    def _shown(self, record):
        data = self.unknown.get((record["type"], record["instance"]))
        return record if data is None else {**record, "state": show(self.schemas(), record, data)}

    def _region(self, region):
        chunks = [self.index.chunk(region.first_chunk + i) for i in range(region.chunks)]
        kinds = collections.Counter(chunk.kind for chunk in chunks)
        return {**region._asdict(), "chunks_raw": kinds[RAW], "chunks_zero": kinds[ZERO],
                "chunks_zlib": kinds[ZLIB], "chunks_absent": 0,
                "stored_bytes": sum(chunk.stored for chunk in chunks),
                "pages_not_zero": sum(chunk.mask.bit_count() for chunk in chunks)}


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Verify a Stasis snapshot.")
    parser.add_argument("file")
    parser.add_argument("--json", action="store_true", help="print what is in it, but for RAM")
    options = parser.parse_args(arguments)
    try:
        with Snapshot(options.file) as snapshot:
            snapshot.verify()
            found = snapshot.as_dict()
    except (SnapshotError, OSError) as error:
        print(f"{options.file}: {type(error).__name__.lower()}: {error}", file=sys.stderr)
        return getattr(error, "status", 1)
    print(json.dumps(found, indent=2) if options.json else f"{options.file}: whole")
    return 0


if __name__ == "__main__":
    sys.exit(main())
