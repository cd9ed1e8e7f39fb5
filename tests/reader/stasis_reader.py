#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""A second reader of Stasis snapshots, written from docs/snapshot-format.md alone.

It exists to keep that document honest, so it shares nothing with the C code, not even the names of
the fields: those it reads from the document's own tables. It verifies the whole file before it says
anything about it. "Format:" in the comments is a heading of the document.

    stasis_reader.py FILE [--json] [--layers DIR]

Exit status: 0 whole, 1 could not read, 2 usage, or a file that it lies on is not there, 3 corrupt,
4 incompatible."""
import argparse
import collections
import json
import os
import sys
import uuid
import zlib

from stasis_chain import Chain
from stasis_file import DATA, HEADER, NOTES, SCHEMA, STATE, TRAILER_BIT, File, Section
from stasis_index import BELOW, CHUNK, DIGESTS_BIT, LAYER_BIT, PAGE, RAW, ZERO, ZLIB
from stasis_notes import parse_notes
from stasis_schema import SchemaReader, show
from stasis_state import Incompatible, SnapshotError, StateReader, parse_schemas, require

# As snapshot-inspect(1) names them; the format has numbers only.
ARCHITECTURES = {
    2: "sparc", 3: "i386", 4: "m68k", 8: "mips", 15: "parisc", 20: "ppc", 21: "ppc64", 22: "s390",
    40: "arm", 42: "sh", 43: "sparc64", 50: "ia64", 62: "x86_64", 83: "avr", 92: "openrisc",
    94: "xtensa", 105: "msp430", 183: "aarch64", 189: "microblaze", 243: "riscv", 258: "loongarch",
    0x9026: "alpha"}


class Snapshot(File):
    """A snapshot file. Opening it checks all but RAM; verify() the rest. A layer's files are looked
    for in its folder, or `layers`. With `root` no file of another root is opened."""

    def __init__(self, path, schemas=None, layers=None, root=None):
        self.chain = None
        super().__init__(open(path, "rb"))
        try:
            self.read_index()
            state = self._section(STATE)
            if root is not None:
                self._check_root(root)
            reader = StateReader(state, schemas or parse_schemas())
            self.records, self.unknown = reader.records(), reader.unknown
            self.chain = Chain(self, layers or os.path.dirname(os.path.abspath(path)),
                               root is not None)
        except Exception:
            self.close()
            raise

    def _check_root(self, root):
        if self.header.version == 1:
            raise Incompatible("a file of format version 1 has no root")
        require(self.root() == root, "another root than the one expected")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.chain:
            self.chain.close()
        super().close()

    def chunk(self, number):
        """The RAM of a chunk, checked."""
        pages = dict.fromkeys(range(self.index.size(number) // PAGE), bytes(PAGE))
        for file, extent in self.chain.sources(number):
            found = file.pages(number, extent)
            pages.update((page, data) for page, data in found.items() if extent.taken >> page & 1)
        return b"".join(pages.values())

    # ---- Format: What a reader does ---------------------------------------------------------

    def verify(self):
        """CRCs of all chunks and skipped sections, page masks, padding; digests, root."""
        if self.header.version == 2:
            require(self.root() == self.header.root, "wrong root")
        self.chain.check_roots()
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
        for number in self.chain.stored():
            for file, extent in self.chain.sources(number):
                self._check_pages(number, extent, file.pages(number, extent))
                if file is self and extent.length:
                    used.append((extent.offset, extent.length))
        at = 0
        for offset, length in sorted(used):
            for block in self._blocks(at, offset - at):
                require(not any(block), f"padding between {at} and {offset} is not zero")
            at = offset + length

    def _check_pages(self, number, extent, pages):
        """That what is taken is not zero, and in files that lie on no other one also the reverse."""
        if extent.encoding == ZERO:
            return
        mask = sum(any(data) << page for page, data in pages.items())
        if self.header.incompatible & LAYER_BIT:
            mask &= extent.taken
        require(mask == extent.taken, f"chunk {number}: wrong page mask")

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
            data = self.chunk(region.first_chunk + number)
            take = min(length, len(data) - skip)
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
        return {"root": self.header.root.hex(), "digest": digest, **self._parent()}

    def _shown(self, record):
        data = self.unknown.get((record["type"], record["instance"]))
        return record if data is None else {**record, "state": show(self.schemas(), record, data)}

    def _region(self, region):
        """By what this file says: a layer may leave open what is in a chunk."""
        kinds, stored, not_zero, layer = collections.Counter(), 0, 0, self._parent()
        for number in range(region.first_chunk, region.first_chunk + region.chunks):
            kind, extents = self.index.at(number)
            kind = "below" if kind == BELOW else "zero" if kind == ZERO else "stored"
            kinds[kind if not extents else "layered" if layer else extents[0].encoding] += 1
            stored += sum(extent.length for extent in extents)
            not_zero += sum(extent.taken.bit_count() for extent in extents
                            if extent.encoding != ZERO)
        return {**region._asdict(), "chunks_raw": kinds[RAW], "chunks_zero": kinds["zero"],
                "chunks_zlib": kinds[ZLIB], "chunks_absent": kinds["below"], "stored_bytes": stored,
                "pages_not_zero": not_zero, **({"chunks_layered": kinds["layered"]} if layer else {})}

    def _parent(self):
        if not self.header.incompatible & LAYER_BIT:
            return {}
        return {"parent_uuid": str(uuid.UUID(bytes=self.header.parent)),
                "parent_root": self.header.parent_root.hex(), "whole_index": self.index.whole}


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Verify a Stasis snapshot.")
    parser.add_argument("file")
    parser.add_argument("--json", action="store_true", help="print what is in it, but for RAM")
    parser.add_argument("--layers", metavar="DIR", help="where the files are that it lies on")
    options = parser.parse_args(arguments)
    try:
        with Snapshot(options.file, layers=options.layers) as snapshot:
            snapshot.verify()
            found = snapshot.as_dict()
    except (SnapshotError, OSError) as error:
        print(f"{options.file}: {type(error).__name__.lower()}: {error}", file=sys.stderr)
        return getattr(error, "status", 1)
    print(json.dumps(found, indent=2) if options.json else f"{options.file}: whole")
    return 0


if __name__ == "__main__":
    sys.exit(main())
