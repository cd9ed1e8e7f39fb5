# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""A snapshot: what is in it, the guest's memory, and the files that it lies on."""

from __future__ import annotations

import functools
import os
from typing import Any, Iterator

from ..closing import Closing
from ..errors import Damaged, Error, Newer
from .chain import Chain
from .check import require
from .file import DATA, HEADER, NOTES, SCHEMA, STATE, File
from .index import CHUNK, LAYER_BIT, PAGE, ZERO, Extent, Region
from .info import Disk, Layer, Range, info_of, layer_of
from .memory import Memory
from .notes import parse_notes
from .records import Record, StateReader
from .schema import SchemaReader, StateSchema, show
from .tables import known


class Snapshot(Closing):
    """A snapshot that is open for reading; open_snapshot() makes one.

    Opening has checked all but the memory, of this file and of those that it lies on; verify()
    checks the rest. A context manager: its end closes the files. For one thread at a time.

    `path` is the file, `info` its header, `regions` are the ranges of memory; `memory` reads it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        layers: str | os.PathLike[str] | None = None,
        root: bytes | None = None,
    ) -> None:
        self.path = os.fspath(path)
        folder = os.fspath(layers) if layers else os.path.dirname(os.path.abspath(path))
        self.file = File(open(path, "rb"), self.path)
        try:
            self.file.read_index()
            with self.file.naming():
                self._read_state(root)
            self.chain = Chain(self.file, folder, root is not None)
        except BaseException:
            self.file.close()
            raise
        self.regions = self.file.regions
        self.memory = Memory(self.chain, self.regions)
        self.info = info_of(self.file)

    def _read_state(self, root: bytes | None) -> None:
        state = self.file.section(STATE)
        if root is not None:
            if self.file.header.version == 1:
                raise Newer("a file of format version 1 has no root", remedy="expect no root of it")
            require(self.file.root() == root, "another root than the one expected")
        self._reader = StateReader(state, known())
        self._records = self._reader.records()

    @functools.cached_property
    def records(self) -> list[Record]:
        """The states of all devices and vCPUs, in the order of the file."""
        if not self._reader.unknown:
            return self._records
        try:
            schemas = self.schemas
        except Damaged:
            schemas = []  # for display only: verify() reports it
        return [self._named(record, schemas) for record in self._records]

    def _named(self, record: Record, schemas: list[StateSchema]) -> Record:
        """An unknown record with the names that the file has for its fields."""
        data = self._reader.unknown.get((record.type, record.instance))
        return record if data is None else record._replace(state=show(schemas, record, data))

    def __repr__(self) -> str:
        return f"<stasis.Snapshot {self.path!r}>"

    def close(self) -> None:
        """Closes the file, and those that it lies on."""
        self.chain.close()
        self.file.close()

    def state(self, kind: str, instance: str | None = None) -> dict[str, Any]:
        """The state of a record: state("x86.regs", "cpu0"). Without instance: of the first.

        LookupError: the snapshot has none."""
        for record in self.records:
            if record.type == kind and instance in (None, record.instance):
                return record.state
        whose = f" of {instance}" if instance else ""
        raise LookupError(f"{self.path} has no record {kind}{whose}")

    @functools.cached_property
    def notes(self) -> dict[str, str]:
        """{key: value}, what a person or program has noted in the file. Damaged: its section is."""
        if not self.file.has(NOTES):
            return {}
        with self.file.naming():
            return parse_notes(self.file.section(NOTES))

    @functools.cached_property
    def schemas(self) -> list[StateSchema]:
        """What the file itself says of its records; empty if it says nothing. Damaged: as notes."""
        if not self.file.has(SCHEMA):
            return []
        with self.file.naming():
            return SchemaReader(self.file.section(SCHEMA)).states()

    @functools.cached_property
    def layers(self) -> list[Layer]:
        """The files that the snapshot consists of, itself first, then its parent, and so on."""
        files = [*self.chain.walk, *self.chain.named.values()]
        pages = dict.fromkeys(files, 0)
        for number in self.chain.stored():
            for file, extent in self.chain.sources(number):
                pages[file] += extent.taken.bit_count() * (extent.encoding != ZERO)
        return [layer_of(file, pages[file]) for file in files]

    @property
    def disks(self) -> list[Disk]:
        """The disks of the guest; open_disk() reads what is in one."""
        states = [(r.instance, r.state) for r in self.records if r.type == "stasis.virtio_blk"]
        return [
            Disk(
                instance,
                512 * state["sectors"],
                state["block_size"],
                bool(state["read_only"]),
                state["serial"],
                state["disk_root"] or None,
            )
            for instance, state in states
        ]

    # ---- Format: What a reader does ----

    def verify(self) -> None:
        """Checks the whole file, and the memory in those that it lies on.

        Damaged: a checksum, digest, root, page mask or padding is wrong."""
        with self.file.naming():
            if self.file.header.version == 2:
                require(self.file.root() == self.file.header.root, "wrong root")
            self.chain.check_roots()
            used = [(0, HEADER), (self.file.end, HEADER), *self._check_sections()]
            used += self._check_memory()
            self.file.check_padding(used)

    def _check_sections(self) -> Iterator[tuple[int, int]]:
        for section in self.file.sections:
            if section.type == DATA:
                continue
            yield section.offset, section.length
            if section.type == SCHEMA:
                SchemaReader(self.file.section(SCHEMA)).states()
            elif section.type == NOTES:
                parse_notes(self.file.section(NOTES))
            elif section.type > DATA:
                self.file.check_unknown(section)

    def _check_memory(self) -> Iterator[tuple[int, int]]:
        for number in self.chain.stored():
            for file, extent in self.chain.sources(number):
                self._check_pages(number, extent, file.pages(number, extent))
                if file is self.file and extent.length:
                    yield extent.offset, extent.length

    def _check_pages(self, number: int, extent: Extent, pages: dict[int, bytes]) -> None:
        """That what is taken is not zero, and in a file that is no layer also the reverse."""
        if extent.encoding == ZERO:
            return
        mask = sum(any(data) << page for page, data in pages.items())
        if self.file.header.incompatible & LAYER_BIT:
            mask &= extent.taken
        require(mask == extent.taken, f"chunk {number}: wrong page mask")

    def changed(self, other: Snapshot) -> Iterator[Range]:
        """Where the memory of the two differs: ranges of whole pages of 4096 bytes, ascending.

        What both have in the same file is not read. Error: the guests have other memory regions.
        Damaged: what had to be read is."""
        if [r[:2] for r in self.regions] != [r[:2] for r in other.regions]:
            raise Error(f"{self.path} and {other.path} are of guests with other memory", 2)
        start, end = -1, -1
        for gpa in self._changed_pages(other):
            if gpa != end:
                if start >= 0:
                    yield Range(start, end - start)
                start = gpa
            end = gpa + PAGE
        if start >= 0:
            yield Range(start, end - start)

    def _changed_pages(self, other: Snapshot) -> Iterator[int]:
        stored = sorted({*self.chain.stored(), *other.chain.stored()})
        regions = iter(self.regions)
        region = Region(0, 0, 0, 0)
        for number in stored:
            if _places(self.chain, number) == _places(other.chain, number):
                continue
            while number >= region.first_chunk + region.chunks:
                region = next(regions)
            base = region.gpa + CHUNK * (number - region.first_chunk)
            mine, theirs = self.memory.chunk(number), other.memory.chunk(number)
            for at in range(0, len(mine), PAGE):
                if mine[at : at + PAGE] != theirs[at : at + PAGE]:
                    yield base + at


def _places(chain: Chain, number: int) -> list[tuple[tuple[int, int], Extent]]:
    """Where a chunk is: files by what they are on the host, not by what they say they are."""
    return [(file.identity, extent._replace(file=0)) for file, extent in chain.sources(number)]


def open_snapshot(
    path: str | os.PathLike[str],
    *,
    layers: str | os.PathLike[str] | None = None,
    root: str | None = None,
) -> Snapshot:
    """Opens a snapshot for reading, and checks all of it but the memory. No vmm is needed.

    `layers` is the folder of the files that a layer lies on; None: its own. With `root`, in
    hexadecimal, a file with another content is refused before it is looked at.

    Damaged, Foreign, Newer, MissingParent (all are FileError): it cannot be read, str() says why.
    OSError: there is no such file, or no right to read it.
    """
    return Snapshot(path, layers=layers, root=None if root is None else bytes.fromhex(root))
