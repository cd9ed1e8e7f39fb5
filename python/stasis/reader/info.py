# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What a snapshot says of itself, and of the files that it lies on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from uuid import UUID

from .check import about
from .file import HEADER, File, parse_magic
from .index import DIGESTS_BIT, LAYER_BIT

# As snapshot-inspect(1) names them; the format has numbers only.
ARCHITECTURES = {
    2: "sparc",
    3: "i386",
    4: "m68k",
    8: "mips",
    15: "parisc",
    20: "ppc",
    21: "ppc64",
    22: "s390",
    40: "arm",
    42: "sh",
    43: "sparc64",
    50: "ia64",
    62: "x86_64",
    83: "avr",
    92: "openrisc",
    94: "xtensa",
    105: "msp430",
    183: "aarch64",
    189: "microblaze",
    243: "riscv",
    258: "loongarch",
    0x9026: "alpha",
}


@dataclass(frozen=True)
class Info:
    """What the header of a snapshot says. Roots are hexadecimal, as vm.snapshot() gives them."""

    format_version: int  # 1 or 2
    producer: str  # the program that wrote it, such as "stasis 0.2.0"
    arch: str  # of the guest, such as "x86_64"; "unknown" for one without a name here
    uuid: UUID
    created_ns: int  # since 1970-01-01 UTC
    ram_bytes: int  # memory of the guest
    stored_bytes: int  # what this file holds of it, compressed if it is
    file_bytes: int
    root: str | None  # of the content, and of all below it; None: format version 1
    digests: bool  # whether it has a SHA-256 of each chunk
    parent_uuid: UUID | None  # of the snapshot that a layer lies on; None: it is no layer
    parent_root: str | None


@dataclass(frozen=True)
class Layer:
    """A file that a snapshot consists of."""

    path: str
    uuid: UUID
    root: str | None
    producer: str
    created_ns: int
    stored_bytes: int  # memory that the file holds, whether it still counts or not
    pages: int  # pages of 4096 bytes of the snapshot's memory that are in this file


@dataclass(frozen=True)
class Range:
    """Bytes [gpa, gpa + length) of the guest's physical memory."""

    gpa: int
    length: int


@dataclass(frozen=True)
class Disk:
    """A disk of the guest, as the snapshot describes it: its content is elsewhere."""

    instance: str
    bytes: int
    block_size: int
    read_only: bool
    serial: str
    root: str | None  # of the sealed overlay that the content is in; None: an image alone


@dataclass(frozen=True)
class Identity:
    """What any snapshot of any release says of itself."""

    format_version: int
    producer: str
    arch: str
    uuid: UUID
    created_ns: int
    ram_bytes: int


def identify(path: str | os.PathLike[str]) -> Identity:
    """Who made a file, and of what; also of one that this release cannot read.

    Foreign: it is no snapshot. Damaged: its header is. OSError: it cannot be read."""
    with open(path, "rb") as file, about(os.fspath(path)):
        h = parse_magic(file.read(HEADER))
    arch = ARCHITECTURES.get(h.arch, "unknown")
    return Identity(h.version, h.maker, arch, UUID(bytes=h.uuid), h.created, h.ram)


def _root(file: File) -> str | None:
    return file.header.root.hex() if file.header.version == 2 else None


def layer_of(file: File, pages: int) -> Layer:
    """What a file is to a snapshot that has so many pages in it."""
    h = file.header
    return Layer(file.path, UUID(bytes=h.uuid), _root(file), h.maker, h.created, h.stored, pages)


def info_of(file: File) -> Info:
    """What the header of an open file says."""
    h = file.header
    layer = h.incompatible & LAYER_BIT
    return Info(
        format_version=h.version,
        producer=h.maker,
        arch=ARCHITECTURES.get(h.arch, "unknown"),
        uuid=UUID(bytes=h.uuid),
        created_ns=h.created,
        ram_bytes=h.ram,
        stored_bytes=h.stored,
        file_bytes=file.size,
        root=_root(file),
        digests=bool(h.incompatible & DIGESTS_BIT),
        parent_uuid=UUID(bytes=h.parent) if layer else None,
        parent_root=h.parent_root.hex() if layer else None,
    )
