# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The notes section of a snapshot: "Notes section" of docs/snapshot-format.md."""
import re

from stasis_state import Decoder, require

MAX_NOTES, MAX_VALUE = 64, 1024


def parse_notes(data):
    """{key: value} in the order of the file."""
    decoder, notes = Decoder(data), {}
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
