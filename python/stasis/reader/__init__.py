# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Reads snapshots, without vmm and without KVM.

Written from docs/snapshot-format.md alone: it shares nothing with the C code, not even the names
of the fields, which it reads from the tables of that document. The tests compare the verdicts and
the findings of both on thousands of files. Files are hostile: a section is parsed once its CRC is
right, a length is checked before anything is allocated for it, and nothing recurses deeper than a
limit of the format.

    python3 -m stasis.reader FILE [--json] [--layers DIR]

verifies a file, and shows what is in it.
"""

from .disk import DiskReader, open_disk
from .index import Region
from .info import Disk, Identity, Info, Layer, Range, identify
from .memory import Memory
from .records import Record
from .snapshot import Snapshot, open_snapshot

__all__ = [
    "Disk",
    "DiskReader",
    "Identity",
    "Info",
    "Layer",
    "Memory",
    "Range",
    "Record",
    "Region",
    "Snapshot",
    "identify",
    "open_disk",
    "open_snapshot",
]
