# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What is in a snapshot, in the words of `snapshot-inspect json`."""

from __future__ import annotations

import collections
import uuid
from typing import Any

from .file import TRAILER_BIT, Section
from .index import BELOW, DIGESTS_BIT, LAYER_BIT, RAW, ZERO, ZLIB, Extent, Region
from .info import ARCHITECTURES
from .snapshot import Snapshot


def as_dict(snapshot: Snapshot) -> dict[str, Any]:
    """Header, notes, regions and records as snapshot-inspect shows them; and the sections."""
    header = snapshot.file.header
    sections = [dict(zip(Section._fields[:5], section)) for section in snapshot.file.sections]
    return {
        "header": {
            "format_version": header.version,
            "incompatible": header.incompatible,
            "compatible": header.compatible,
            "producer": header.maker,
            "arch": header.arch,
            "arch_name": ARCHITECTURES.get(header.arch, "unknown"),
            "uuid": str(uuid.UUID(bytes=header.uuid)),
            "created_ns": header.created,
            "file_len": header.file_length,
            "ram_bytes": header.ram,
            "stored_bytes": header.stored,
            "streamed": bool(header.incompatible & TRAILER_BIT),
            **_digests(snapshot),
        },
        "notes": snapshot.notes,
        "sections": sections,
        "regions": [_region(snapshot, region) for region in snapshot.regions],
        "records": [record._asdict() for record in snapshot.records],
    }


def _digests(snapshot: Snapshot) -> dict[str, Any]:
    header = snapshot.file.header
    if header.version == 1:
        return {}
    digest = "sha256" if header.incompatible & DIGESTS_BIT else "none"
    return {"root": header.root.hex(), "digest": digest, **_parent(snapshot)}


def _parent(snapshot: Snapshot) -> dict[str, Any]:
    header = snapshot.file.header
    if not header.incompatible & LAYER_BIT:
        return {}
    return {
        "parent_uuid": str(uuid.UUID(bytes=header.parent)),
        "parent_root": header.parent_root.hex(),
        "whole_index": snapshot.file.index.whole,
    }


def _kind(kind: int, extents: list[Extent], layer: bool) -> str:
    if not extents:
        return "below" if kind == BELOW else "zero"
    return "layered" if layer else {RAW: "raw", ZLIB: "zlib"}[extents[0].encoding]


def _region(snapshot: Snapshot, region: Region) -> dict[str, Any]:
    """By what this file says: a layer may leave open what is in a chunk."""
    layer = bool(snapshot.file.header.incompatible & LAYER_BIT)
    kinds, stored, not_zero = collections.Counter[str](), 0, 0
    index, number, end = snapshot.file.index, region.first_chunk, region.first_chunk + region.chunks
    while number < end:  # not each: a small file may have 4 TiB of zeros
        kind, extents = index.at(number)
        after = min(index.alike(number), end)
        kinds[_kind(kind, extents, layer)] += after - number
        number = after
        stored += sum(extent.length for extent in extents)
        not_zero += sum(e.taken.bit_count() for e in extents if e.encoding != ZERO)
    return {
        **region._asdict(),
        "chunks_raw": kinds["raw"],
        "chunks_zero": kinds["zero"],
        "chunks_zlib": kinds["zlib"],
        "chunks_absent": kinds["below"],
        "stored_bytes": stored,
        "pages_not_zero": not_zero,
        **({"chunks_layered": kinds["layered"]} if layer else {}),
    }
