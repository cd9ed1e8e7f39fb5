# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Canonical msgpack, as far as the format uses it: "State section" of docs/snapshot-format.md."""

from __future__ import annotations

import re
from typing import Any, Iterator

from ..errors import Damaged
from .check import require

MAX_DEPTH = 8
# First byte: kind, bytes of the number behind it, smallest number that needs so many.
FORMS = {
    0xCC: ("uint", 1, 1 << 7),
    0xCD: ("uint", 2, 1 << 8),
    0xCE: ("uint", 4, 1 << 16),
    0xCF: ("uint", 8, 1 << 32),
    0xD0: ("int", 1, (1 << 5) + 1),
    0xD1: ("int", 2, (1 << 7) + 1),
    0xD2: ("int", 4, (1 << 15) + 1),
    0xD3: ("int", 8, (1 << 31) + 1),
    0xD9: ("string", 1, 32),
    0xDA: ("string", 2, 1 << 8),
    0xDB: ("string", 4, 1 << 16),
    0xC4: ("bytes", 1, 0),
    0xC5: ("bytes", 2, 1 << 8),
    0xC6: ("bytes", 4, 1 << 16),
    0xDC: ("array", 2, 16),
    0xDD: ("array", 4, 1 << 16),
    0xDE: ("map", 2, 16),
    0xDF: ("map", 4, 1 << 16),
}
CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")


def _short_head(byte: int) -> tuple[str, int]:
    """(kind, number) of a first byte below 0xc0 or above 0xdf, which holds both."""
    if byte < 0x80:
        return "uint", byte
    if byte >= 0xE0:
        return "int", byte - 0x100
    if byte < 0x90:
        return "map", byte & 15
    return ("array", byte & 15) if byte < 0xA0 else ("string", byte & 31)


class Decoder:
    """Reads forwards, and allocates nothing ahead: a length is checked against what is left."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        require(count <= len(self.data) - self.at, f"state, byte {self.at}: cut off")
        self.at += count
        return self.data[self.at - count : self.at]

    def head(self) -> tuple[str, int]:
        """(kind, number): the value of an integer, the length of all else."""
        start, byte = self.at, self.take(1)[0]
        if 0xC0 <= byte < 0xE0:
            kind, number = self._long_head(start, byte)
        else:
            kind, number = _short_head(byte)
        left = (len(self.data) - self.at) // (2 if kind == "map" else 1)
        require(
            kind in ("uint", "int") or number <= left,
            f"state, byte {start}: {kind} is longer than the bytes that are left",
        )
        return kind, number

    def _long_head(self, start: int, byte: int) -> tuple[str, int]:
        require(byte in FORMS, f"state, byte {start}: form {byte:#x} is not in the subset")
        kind, size, least = FORMS[byte]
        number = int.from_bytes(self.take(size), "big", signed=kind == "int")
        shortest = (-number if kind == "int" else number) >= least
        require(shortest, f"state, byte {start}: not the shortest form")
        return kind, number

    def expect(self, *kinds: str) -> int:
        """The number of a head of one of these kinds."""
        start = self.at
        kind, number = self.head()
        require(kind in kinds, f"state, byte {start}: {kind} instead of {' or '.join(kinds)}")
        return number

    def bytes(self) -> bytes:
        """A byte string."""
        return self.take(self.expect("bytes"))

    def string(self, length: int | None = None) -> str:
        """A text; its head is taken already if the length is given."""
        start = self.at
        try:
            text = self.take(self.expect("string") if length is None else length).decode("utf-8")
        except UnicodeDecodeError:
            raise Damaged(f"state, byte {start}: not UTF-8") from None
        require(not CONTROL.search(text), f"state, byte {start}: control character in a string")
        return text

    def keys(self, count: int) -> Iterator[int]:
        """The keys of a map; the caller takes each value before it asks for the next key."""
        last = 0
        for _ in range(count):
            start, key = self.at, self.expect("uint")
            require(key > last, f"state, byte {start}: map keys are not ascending")
            last = key
            yield key

    def any(self, depth: int = 1) -> Any:
        """A value of unknown meaning; `depth` is its level if it nests, MAX_DEPTH at most."""
        kind, number = self.head()
        if kind in ("uint", "int"):
            return number
        if kind == "string":
            return self.string(number)
        if kind == "bytes":
            return self.take(number).hex()
        require(depth <= MAX_DEPTH, f"state, byte {self.at}: nested too deeply")
        if kind == "array":
            return [self.any(depth + 1) for _ in range(number)]
        return {str(key): self.any(depth + 1) for key in self.keys(number)}
