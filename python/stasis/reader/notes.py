# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The notes section of a snapshot: "Notes section" of docs/snapshot-format.md."""

from __future__ import annotations

import re

from .check import require
from .msgpack import Decoder

MAX_NOTES, MAX_VALUE = 64, 1024


def parse_notes(data: bytes) -> dict[str, str]:
    """{key: value} in the order of the file."""
    decoder = Decoder(data)
    notes: dict[str, str] = {}
    count = decoder.expect("array")
    require(count <= MAX_NOTES, f"{count} notes")
    for _ in range(count):
        require(decoder.expect("array") == 2, "a note is not a pair")
        key, value = decoder.string(), decoder.string()
        require(re.fullmatch("[a-z0-9._-]{1,32}", key), f"a note has the key {key!r}")
        require(len(value.encode()) <= MAX_VALUE, f"note {key}: too long")
        require(key > max(notes, default=""), f"note {key}: out of order")
        notes[key] = value
    require(decoder.at == len(data), "bytes behind the last note")
    return notes
