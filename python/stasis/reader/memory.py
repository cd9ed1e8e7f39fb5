# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The memory of a snapshot."""

from __future__ import annotations

from .chain import Chain
from .index import CHUNK, PAGE, Region


class Memory:
    """The guest's physical memory at the time of the snapshot. What is read is checked first."""

    def __init__(self, chain: Chain, regions: list[Region]) -> None:
        self._chain, self._regions = chain, regions
        self._last: tuple[int, bytes] = -1, b""

    def chunk(self, number: int) -> bytes:
        """A chunk of the index, of 64 KiB; the last one of a region may be shorter."""
        if self._last[0] != number:
            self._last = number, self._read_chunk(number)
        return self._last[1]

    def _read_chunk(self, number: int) -> bytes:
        size = self._chain.walk[0].index.size(number)
        pages = dict.fromkeys(range(size // PAGE), bytes(PAGE))
        for file, extent in self._chain.sources(number):
            found = file.pages(number, extent)
            pages.update((page, data) for page, data in found.items() if extent.taken >> page & 1)
        return b"".join(pages.values())

    def read(self, gpa: int, length: int) -> bytes:
        """The bytes [gpa, gpa + length), which may cross regions that touch.

        LookupError: the guest has no memory somewhere there. Damaged: what is stored is damaged.
        """
        if length < 0:
            raise ValueError(f"a length of {length} bytes")
        parts = []
        while length:
            region = self._region(gpa)
            number, skip = divmod(gpa - region.gpa, CHUNK)
            data = self.chunk(region.first_chunk + number)[skip : skip + length]
            parts.append(data)
            gpa, length = gpa + len(data), length - len(data)
        return b"".join(parts)

    def _region(self, gpa: int) -> Region:
        for region in self._regions:
            if region.gpa <= gpa < region.gpa + region.size:
                return region
        raise LookupError(f"the guest has no memory at {gpa:#x}")
