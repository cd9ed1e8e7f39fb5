# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The files that a layer lies on: "Finding a file", "Order of checks of a layer" and "What a page
is" of docs/snapshot-format.md. A file that is no layer is a chain of its own."""

from __future__ import annotations

import collections
import os
from typing import BinaryIO

from ..errors import Damaged, Foreign, MissingParent
from .check import about, require
from .file import HEADER, TRAILER_BIT, File, Header, open_file, parse_magic
from .index import DIGESTS_BIT, LAYER_BIT, STORED, ZERO, Extent, Name

MAX_FILES = 4096


def root_of(file: BinaryIO, size: int, header: Header) -> bytes | None:
    """What a file says that its root is; None where its trailer says nothing."""
    if header.incompatible & TRAILER_BIT:
        try:
            file.seek(max(size - HEADER, 0))
            return parse_magic(file.read(HEADER), "trailer").root
        except (Damaged, Foreign):
            return None
    return header.root


def open_header(path: str) -> tuple[BinaryIO, Header] | None:
    """(file, its header); None: it is no file of a chain, or cannot be opened."""
    try:
        file = open_file(path)
    except OSError:
        return None
    try:
        return file, parse_magic(file.read(HEADER))
    except (Damaged, Foreign, OSError):
        file.close()
        return None


class Folder:
    """Where the files of a chain are looked for. Which UUID a file has is read once, so that a chain
    of a thousand files in a folder of a thousand does not take a million looks."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._paths: dict[bytes, list[str]] | None = None

    def find(self, name: Name) -> tuple[BinaryIO, str]:
        """Opens the file of that UUID and root: (file, path)."""
        other = None
        for path in self._with(name.uuid):
            found = open_header(path)
            if not found:
                continue
            file, header = found
            right = header.uuid == name.uuid
            if right and root_of(file, file.seek(0, 2), header) == name.root:
                return file, path
            file.close()
            other = path if right else other
        if other:
            with about(other):
                raise Damaged(f"it has the UUID {name.uuid.hex()}, but another root")
        raise MissingParent(f"no file in {self.path} has the UUID {name.uuid.hex()}")

    def _with(self, uuid: bytes) -> list[str]:
        if self._paths is None:
            self._paths = collections.defaultdict(list)
            with os.scandir(self.path) as entries:
                files = [e.path for e in entries if e.is_file(follow_symlinks=False)]
            for path in sorted(files):
                if found := open_header(path):
                    found[0].close()
                    self._paths[found[1].uuid].append(path)
        return self._paths.get(uuid, [])


class Chain:
    """`top` is open, with its index. `folder` is where the others are looked for.

    `walk` are the files whose indexes are read, from `top` down, and `named` those that the last of
    them names for bytes of theirs."""

    def __init__(self, top: File, folder: str, check_roots: bool = False) -> None:
        self.folder, self.walk = Folder(folder), [top]
        self.named: dict[int, File] = {}
        try:
            with top.naming():
                while self._has_parent():
                    self._open_parent()
                    if check_roots:
                        self._check_root(self.walk[-1])
                self._open_named()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes all files but the first."""
        for file in [*self.walk[1:], *self.named.values()]:
            file.close()

    def _has_parent(self) -> bool:
        """Steps 17 and 17a."""
        last = self.walk[-1]
        uuids = {file.header.uuid for file in self.walk}
        named = any(name.uuid in uuids for name in last.index.names)
        require(not named, "the chain is a loop")
        require(len(self.walk) + len(last.index.names) <= MAX_FILES, "the chain is too long")
        return bool(last.header.incompatible & LAYER_BIT) and not last.index.whole

    def _open(self, name: Name) -> File:
        file = File(*self.folder.find(name))
        try:
            with file.naming():
                self._check_parent(file, name)
        except BaseException:
            file.close()
            raise
        return file

    def _check_parent(self, file: File, name: Name) -> None:
        header, top = file.header, self.walk[0].header
        require(header.version == 2, "a parent of format version 1")
        require((header.uuid, header.root) == name, "another parent")
        require(header.arch == top.arch, "architecture of the parent")
        digests = (header.incompatible ^ top.incompatible) & DIGESTS_BIT
        require(not digests, "digests of the parent")

    def _open_parent(self) -> None:
        """Steps 17b to 17e."""
        file = self._open(self.walk[-1].index.names[0])
        try:
            file.read_index()
            with file.naming():
                require(file.regions == self.walk[0].regions, "regions of the parent")
        except BaseException:
            file.close()
            raise
        self.walk.append(file)

    def _open_named(self) -> None:
        """Step 18."""
        last = self.walk[-1]
        for number, places in sorted(last.index.foreign().items()):
            file = self.named[number] = self._open(last.index.names[number - 1])
            start, end = file.data
            inside = all(start <= at and to <= end for at, to in places)
            require(inside, f"an extent is outside of file {number}")

    @staticmethod
    def _check_root(file: File) -> None:
        with file.naming():
            require(file.root() == file.header.root, "wrong root of a parent")

    def check_roots(self) -> None:
        """Of all but the first."""
        for file in self.walk[1:]:
            self._check_root(file)

    def stored(self) -> list[int]:
        """Numbers of all chunks that may have sources."""
        return sorted({number for file in self.walk for number in file.index.stored()})

    def sources(self, number: int) -> list[tuple[File, Extent]]:
        """(file, extent) of each place where pages of a chunk are; *taken* is what counts."""
        found: list[tuple[File, Extent]] = []
        taken = 0
        for file in self.walk:
            kind, extents = file.index.at(number)
            for extent in extents:
                if left := extent.taken & ~taken:
                    place = self.named[extent.file] if extent.file else file
                    found.append((place, extent._replace(taken=left)))
            taken |= sum(extent.taken for extent in extents)
            if kind in (ZERO, STORED):
                break
        return found
