# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What is on a disk: an image, and the overlays on it, by "Disks" of docs/snapshot-format.md."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import BinaryIO, Mapping

from ..closing import Closing
from ..errors import Foreign, InUse, MissingParent
from .chain import Folder, root_of
from .check import about, require
from .file import DATA, DISK_BIT, DISK_DIGESTS_BIT, DISK_WHOLE_BIT, HEADER, INDEX, STATE
from .file import TRAILER_BIT, File, Header, parse_magic
from .index import CHUNK, DIGESTS_BIT, EXTENT, LAYER_BIT, PAGE, RAW, STORED
from .index import Extent, Index, Index2, Name
from .overlay import FIRST, ZERO, Overlay, Pages, check_state

MAX_SEALED = 4095


class SealedIndex(Index2):
    """As that of a layer, but for names, and for where the pages are.

    If `tells_all`, it says of the pages of the files below, too: file 1 is the parent, file 2 what
    that lies on, and so on."""

    @classmethod
    def longest(cls, header: Header) -> int:
        return super().longest(cls.as_layer(header))

    @staticmethod
    def as_layer(header: Header) -> Header:
        """With the features that say what the index has."""
        digests = DIGESTS_BIT if header.incompatible & DISK_DIGESTS_BIT else 0
        return header._replace(incompatible=LAYER_BIT | digests)

    def __init__(self, raw: bytes, header: Header, data: tuple[int, int]) -> None:
        self.has_parent = bool(header.incompatible & LAYER_BIT)
        self.tells_all = bool(header.incompatible & DISK_WHOLE_BIT)
        require(self.has_parent or not self.tells_all, "index: whole, and lies on nothing")
        super().__init__(raw, self.as_layer(header), data)
        require([region[:2] for region in self.regions] == [(0, header.ram)], "region")

    def _check_count(self, names: int) -> None:
        require(names == self.has_parent, "index: file count")

    def _check_files(self, header: Header) -> None:
        right = not self.names or self.names[0] == (header.parent, header.parent_root)
        require(right, "parent")
        require(not self.names or header.parent != header.uuid, "lies on itself")
        reserved = any(e[7] for e in EXTENT.iter_unpack(self.raw[self.extents : self.digests]))
        require(not reserved, "extent: reserved byte")

    def _check_extents(self, header: Header, data: tuple[int, int]) -> None:
        total = 0
        for number in self.stored():
            kind, extents = self.at(number)
            self._check_pages(number, kind, extents)
            for extent in extents:
                self._check_extent(extent, data)
                total += extent.length * (extent.encoding == RAW and not extent.file)
        require(total == header.stored, "stored bytes")

    def _check_extent(self, extent: Extent, data: tuple[int, int]) -> None:
        known = extent.encoding == RAW and self.tells_all or not extent.file
        require(known and extent.encoding in (ZERO, RAW), "file or encoding")
        if extent.encoding == RAW:
            one = extent.stored == extent.taken and extent.stored.bit_count() == 1
            require(one, "pages")
            if not extent.file:
                check_place(extent.offset, data)

    def check_others(self, below: list[Sealed]) -> None:
        """That what it says of the files below can be there."""
        for depth, places in self.foreign().items():
            require(depth <= len(below), "no such file below")
            for offset, _ in places:
                check_place(offset, below[depth - 1].data)


def check_place(offset: int, data: tuple[int, int]) -> None:
    """Of a page in a DATA section."""
    require(max(data[0], FIRST * PAGE) <= offset <= data[1] - PAGE, "place")


class Sealed(File):
    """A sealed overlay; `name` is what it was sought by. If it `is_told` of, an index of a file
    above says where its pages are, and its own is not read."""

    features = {2: TRAILER_BIT | LAYER_BIT | DISK_BIT}
    late_features = DISK_DIGESTS_BIT | DISK_WHOLE_BIT
    indexes: Mapping[int, type[Index]] = {2: SealedIndex}
    index: SealedIndex
    below: Pages
    others: list[Sealed] = []  # if its index tells of all: the files below, the highest first

    def __init__(
        self, file: BinaryIO, path: str, name: Name, size: int, is_told: bool = False
    ) -> None:
        super().__init__(file, path)
        try:
            with self.naming():
                self._check(name, size, is_told)
        except BaseException:
            self.close()
            raise

    @property
    def tells_all(self) -> bool:
        """Whether its index says of the files below, too."""
        return bool(self.header.incompatible & DISK_WHOLE_BIT)

    def _check(self, name: Name, size: int, is_told: bool) -> None:
        header = self.header
        features = header.incompatible & ~(LAYER_BIT | self.late_features)
        require(features == TRAILER_BIT | DISK_BIT, "features")
        kinds = sorted(part.type for part in self.sections)
        require(kinds == [STATE, INDEX, DATA], "sections")
        check_state(self.section(STATE), size)
        require(header.ram == -(-size // PAGE) * PAGE, "size")
        require(header.root == name.root, "root")
        if not is_told:
            self.read_index()
            require(self.root() == header.root, "root")

    def page(self, number: int) -> bytes:
        """Of the disk: its own, or that of what it lies on."""
        chunk, bit = divmod(number, CHUNK // PAGE)
        kind, extents = self.index.at(chunk)
        for extent in extents:
            if extent.taken >> bit & 1:
                file = self.others[extent.file - 1] if extent.file else self
                return file.pages(chunk, extent)[bit]
        return bytes(PAGE) if kind in (ZERO, STORED) else self.below.page(number)


class Image:
    """A raw image, or a block device."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")
        self.size = self._file.seek(0, 2)

    def page(self, number: int) -> bytes:
        """4096 bytes; the last page is filled up with zeros."""
        self._file.seek(number * PAGE)
        return self._file.read(PAGE).ljust(PAGE, b"\0")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def find_in(folders: list[Folder], name: Name) -> tuple[BinaryIO, str]:
    """In the first of the folders that has a file of that UUID."""
    for folder in folders[:-1]:
        try:
            return folder.find(name)
        except MissingParent:
            pass
    return folders[-1].find(name)


def chain_below(
    folders: list[Folder], header: Header, size: int, is_told: bool = False
) -> list[Sealed]:
    """The sealed overlays that a file with this header lies on, the highest first. The index of the
    highest that tells of all below it is the last one that is read."""
    chain: list[Sealed] = []
    try:
        while header.incompatible & LAYER_BIT:
            loop = header.parent in [file.header.uuid for file in chain]
            require(len(chain) < MAX_SEALED and not loop, "the chain is a loop, or too long")
            name = Name(header.parent, header.parent_root)
            is_told = is_told or bool(chain and chain[-1].tells_all)
            chain.append(Sealed(*find_in(folders, name), name, size, is_told))
            header = chain[-1].header
    except BaseException:
        for sealed in chain:
            sealed.close()
        raise
    return chain


class DiskReader(Closing):
    """The content of a disk; open_disk() makes one. A context manager: its end closes the files.

    `size` is in bytes, and `files` are the overlays that it consists of, the highest first."""

    def __init__(self, path: str, image: Image, layers: str | None = None) -> None:
        self._image, self.path, self.size = image, path, image.size
        own = os.path.dirname(os.path.abspath(path))
        self._folders = [Folder(folder) for folder in (own, layers) if folder]
        self.files = [path]
        self._sealed: list[Sealed] = []
        try:
            with about(path):
                self._open()
        except BaseException:
            self.close()
            raise
        self._top: Pages

    def _open(self) -> None:
        file, header, sealed = _open_top(self.path)
        try:
            if sealed:
                name = Name(header.uuid, root_of(file, file.seek(0, 2), header) or b"")
                self._sealed.append(Sealed(file, self.path, name, self.size))
            is_told = any(file_.tells_all for file_ in self._sealed)
            self._sealed += chain_below(self._folders, header, self.size, is_told)
            self.files += [file_.path for file_ in self._sealed[sealed:]]
            lower = self._lay()
            self._top = lower if sealed else Overlay(file, lower, self.size)
        except BaseException:
            file.close()
            raise

    def _lay(self) -> Pages:
        """Tells the sealed files whose index was read what is below; the highest of them."""
        lower: Pages = self._image
        telling = [n for n, file in enumerate(self._sealed) if file.tells_all]
        last = telling[0] if telling else len(self._sealed) - 1
        for file in reversed(self._sealed[: last + 1]):
            file.below, lower = lower, file
        if telling:
            self._sealed[last].others = self._sealed[last + 1 :]
            self._sealed[last].index.check_others(self._sealed[last].others)
        return lower

    def read(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length) of the disk; fewer at its end.

        Damaged: what is stored of them is damaged."""
        end = min(offset + length, self.size)
        if offset < 0 or end <= offset:
            return b""
        with about(self.path):
            pages = range(offset // PAGE, -(-end // PAGE))
            data = b"".join(map(self._top.page, pages))
        start = offset % PAGE
        return data[start : start + end - offset]

    @property
    def sealed_bytes(self) -> int:
        """Bytes of pages that the sealed overlays hold."""
        return sum(file.header.stored for file in self._sealed)

    def close(self) -> None:
        """Closes all files."""
        if isinstance(getattr(self, "_top", None), Overlay):
            self._top.close()
        for file in self._sealed:
            file.close()
        self._image.close()


def _look(file: BinaryIO) -> tuple[Header, bool]:
    """The header, and whether the overlay is sealed: one in use has a slot with a magic, and
    sealing sets them to zero at its end."""
    header = parse_magic(file.read(HEADER))
    if header.version == 2 and not header.incompatible & DISK_BIT:
        raise Foreign("it holds a guest, and no disk", 4, "name an overlay")
    file.seek(PAGE)
    return header, not any(file.read(2 * PAGE))


def _lock(file: BinaryIO) -> None:
    """Shared, until the file is closed. A guest locks its overlay alone.

    Python has no name for F_OFD_SETLK (37): a lock of the open file, not of the process."""
    try:
        fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise InUse("a guest uses it") from None
        raise


def _open_top(path: str) -> tuple[BinaryIO, Header, bool]:
    """The file, its header, and whether it is sealed. One that is not is locked, and looked at
    again: who used it until then may have written to it, or sealed it."""
    with open(path, "rb") as first:
        _, sealed = _look(first)
    file = open(path, "rb")
    try:
        if not sealed:
            _lock(file)
        return (file, *_look(file))
    except BaseException:
        file.close()
        raise


def open_disk(
    overlay: str | os.PathLike[str],
    image: str | os.PathLike[str],
    layers: str | os.PathLike[str] | None = None,
) -> DiskReader:
    """Opens the disk that an overlay on `image` holds, in use or sealed, for reading.

    What it lies on is looked for in the folder of the overlay, and what is not there in that of
    `layers`. An overlay that is not sealed is read as it was at its last flush, and locked until
    it is closed: no guest can use it meanwhile.

    Damaged, Foreign, Newer, MissingParent, InUse (all are FileError): it cannot be read, str()
    says why.
    OSError: there is no such file, or no right to read it.
    """
    folder = None if layers is None else os.fspath(layers)
    return DiskReader(os.fspath(overlay), Image(os.fspath(image)), folder)
