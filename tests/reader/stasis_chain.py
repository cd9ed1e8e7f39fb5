# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The files that a layer lies on: "Finding a file", "Order of checks of a layer" and "What a page is"
of docs/snapshot-format.md. A file that is no layer is a chain of its own."""
import os

from stasis_file import HEADER, TRAILER_BIT, File, open_file, parse_magic
from stasis_index import DIGESTS_BIT, LAYER_BIT, STORED, ZERO
from stasis_state import Corrupt, Missing, require

MAX_FILES = 4096


def root_of(file, size, header):
    """What a file says that its root is; None where its trailer says nothing."""
    if header.incompatible & TRAILER_BIT:
        try:
            file.seek(max(size - HEADER, 0))
            return parse_magic(file.read(HEADER), "trailer").root
        except Corrupt:
            return None
    return header.root


def candidate(path, uuid):
    """(file, its root) if it has the UUID."""
    try:
        file = open_file(path)
    except OSError:
        return None
    try:
        header = parse_magic(file.read(HEADER))
        if header.uuid == uuid:
            found = file, root_of(file, file.seek(0, 2), header)
            file = None
            return found
    except (Corrupt, OSError):
        pass
    finally:
        if file:
            file.close()
    return None


def find(folder, name):
    """Opens the file of that UUID and root."""
    other = None
    with os.scandir(folder) as entries:
        paths = sorted(entry.path for entry in entries if entry.is_file(follow_symlinks=False))
    for path in paths:
        if found := candidate(path, name.uuid):
            file, root = found
            if root == name.root:
                return file
            file.close()
            other = path
    require(not other, f"{other} has the UUID {name.uuid.hex()}, but another root")
    raise Missing(f"no file in {folder} has the UUID {name.uuid.hex()}")


class Chain:
    """`top` is open, with its index. `folder` is where the others are looked for."""

    def __init__(self, top, folder, check_roots=False):
        self.folder, self.walk, self.named = folder, [top], {}
        try:
            while self._has_parent():
                self._open_parent()
                if check_roots:
                    self._check_root(self.walk[-1])
            self._open_named()
        except Exception:
            self.close()
            raise

    def close(self):
        for file in [*self.walk[1:], *self.named.values()]:
            file.close()

    def _has_parent(self):
        """Steps 17 and 17a."""
        last = self.walk[-1]
        uuids = {file.header.uuid for file in self.walk}
        require(not any(name.uuid in uuids for name in last.index.names), "the chain is a loop")
        require(len(self.walk) + len(last.index.names) <= MAX_FILES, "the chain is too long")
        return last.header.incompatible & LAYER_BIT and not last.index.whole

    def _open(self, name):
        file = File(find(self.folder, name))
        try:
            require(file.header.version == 2, "a parent of format version 1")
            require((file.header.uuid, file.header.root) == name, "another parent")
            top = self.walk[0].header
            require(file.header.arch == top.arch, "architecture of the parent")
            require(not (file.header.incompatible ^ top.incompatible) & DIGESTS_BIT,
                    "digests of the parent")
        except Exception:
            file.close()
            raise
        return file

    def _open_parent(self):
        """Steps 17b to 17e."""
        file = self._open(self.walk[-1].index.names[0])
        try:
            file.read_index()
            require(file.regions == self.walk[0].regions, "regions of the parent")
        except Exception:
            file.close()
            raise
        self.walk.append(file)

    def _open_named(self):
        """Step 18."""
        last = self.walk[-1]
        for number, places in sorted(last.index.foreign().items()):
            file = self.named[number] = self._open(last.index.names[number - 1])
            start, end = file.data
            require(all(start <= at and to <= end for at, to in places),
                    f"an extent is outside of file {number}")

    @staticmethod
    def _check_root(file):
        require(file.root() == file.header.root, "wrong root of a parent")

    def check_roots(self):
        """Of all but the first."""
        for file in self.walk[1:]:
            self._check_root(file)

    def stored(self):
        """Numbers of all chunks that may have sources."""
        return sorted({number for file in self.walk for number in file.index.stored()})

    def sources(self, number):
        """(file, extent) of each place where pages of a chunk are; *taken* is what counts."""
        found, taken = [], 0
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
