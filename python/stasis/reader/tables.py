# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The tables of "Schemas" in snapshot-format.md, which are read from the document itself: what it
says of a state is what this module knows of it. The document is installed beside this file; in a
clone it is in docs/."""

from __future__ import annotations

import functools
import os
import re
from typing import Mapping, NamedTuple, Union

HERE = os.path.dirname(os.path.abspath(__file__))
PLACES = (
    os.path.join(HERE, "snapshot-format.md"),
    os.path.join(HERE, "..", "..", "..", "docs", "snapshot-format.md"),
)
HEADING = re.compile(r"(###|####) `([a-z0-9._-]+)`: .*")
BEFORE = re.compile(r" ?\(before version (\d+): (\w+)\)")
ABOUT = re.compile(r"Version (\d+), (mandatory|optional)\.")
PATTERNS = (
    ("uint", r"uint(?P<width>8|16|32|64)"),
    ("int", r"int(?P<width>64)"),
    ("array", r"array of (?P<limit>\d+) uint(?P<width>8|16|32|64)"),
    ("bytes", r"bytes, at most (?P<limit>\d+)(, registers of (?P<width>\d+))?"),
    ("string", r"string, at most (?P<limit>\d+)"),
    ("list", r"list of (?P<state>\w+), at most (?P<limit>\d+)"),
    ("state", r"(?P<state>\w+)"),
)
TYPES = [(kind, re.compile(pattern)) for kind, pattern in PATTERNS]
Nested = Union[str, int, None]  # the name of a state of the document, or its number in a file


class Field(NamedTuple):
    """A row: `limit` counts elements or bytes, `width` bits (bytes of a register in a byte string).

    `until` is the last version that has the field; `earlier` is {first version without it: mask or
    limit}."""

    id: int
    name: str
    kind: str
    limit: int
    width: int
    state: Nested
    since: int
    default: int | str
    mask: int
    until: int = 65535
    earlier: Mapping[int, int] = {}


class Layout(NamedTuple):
    """What a record of a type holds."""

    type: str
    version: int
    optional: bool
    fields: list[Field]


class Schemas(NamedTuple):
    """All types of records, and the states that are nested in them."""

    records: Mapping[str, Layout]
    states: Mapping[Nested, list[Field]]


def document() -> str:
    """The text of snapshot-format.md."""
    path = next((place for place in PLACES if os.path.exists(place)), PLACES[0])
    with open(path, encoding="utf-8") as file:
        return file.read()


def parse_field(row: str) -> Field:
    """One row of a table: | id | `name` | type | since | default | mask | meaning |"""
    number, name, spelling, since, default, mask = [cell.strip() for cell in row.split("|")[1:7]]
    earlier = {int(v): int(bound, 0) for v, bound in BEFORE.findall(spelling + mask)}
    spelling, mask = BEFORE.sub("", spelling), BEFORE.sub("", mask)
    first, _, last = since.partition(" to ")
    found = ((kind, pattern.fullmatch(spelling)) for kind, pattern in TYPES)
    kind, match = next(((kind, match) for kind, match in found if match), ("", None))
    if not match:
        raise ValueError("the document has a field of an unknown type: " + row)
    part = match.groupdict()
    width = int(part.get("width") or 0)
    bits = (1 << width) - 1 if kind in ("uint", "array") else 0
    return Field(
        int(number),
        name.strip("`"),
        kind,
        int(part.get("limit") or 0),
        width,
        part.get("state"),
        int(first),
        default.strip('"') if kind == "string" else int(default or "0", 0),
        int(mask, 0) if mask else bits,
        int(last or 65535),
        earlier,
    )


def parse_schemas(text: str) -> Schemas:
    """The tables of a document."""
    text = text.split("<!-- schemas begin -->")[1].split("<!-- schemas end -->")[0]
    records: dict[str, Layout] = {}
    states: dict[Nested, list[Field]] = {}
    name, fields = "", list[Field]()
    for line in text.splitlines():
        if heading := HEADING.fullmatch(line):
            fields, name = [], heading[2]
            if heading[1] == "####":
                states[name] = fields
        elif about := ABOUT.fullmatch(line):
            records[name] = Layout(name, int(about[1]), about[2] == "optional", fields)
        elif re.match(r"\| \d", line):
            fields.append(parse_field(line))
    return Schemas(records, states)


@functools.cache
def known() -> Schemas:
    """The tables of this release."""
    return parse_schemas(document())


def bound(field: Field, version: int, newest: int) -> int:
    """A mask or limit as it was in that version, where `newest` is today's."""
    later = [before for before in field.earlier if before > version]
    return field.earlier[min(later)] if later else newest
