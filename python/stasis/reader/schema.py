# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The schema section of a snapshot: "Schema section" of docs/snapshot-format.md."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ..errors import Damaged
from .check import require
from .msgpack import Decoder
from .records import Record, StateReader
from .tables import Field, Nested, Schemas

MAX_STATES, MAX_FIELDS, MAX_MEMORY, MAX_DEPTH = 512, 1024, 4 << 20, 3
UNSIGNED, SIGNED, UNSIGNEDS, BYTES, STRING, STATE, STATES = range(1, 8)
WORDS = {
    UNSIGNED: "uint",
    SIGNED: "int",
    UNSIGNEDS: "array",
    BYTES: "bytes",
    STRING: "string",
    STATE: "state",
    STATES: "list",
}
INTEGERS, NESTED = (UNSIGNED, SIGNED, UNSIGNEDS), (STATE, STATES)


class Described(NamedTuple):
    """What a file says of a field; `kind` is a number of the format, `state` that of a state."""

    id: int
    name: str
    kind: int
    size: int
    maximum: int
    mask: int
    default: int | str
    state: int
    text: str


class StateSchema(NamedTuple):
    """What a file says of a type of record, or with version 0 of a nested state."""

    name: str
    version: int
    text: str
    fields: list[Described]
    memory: int
    depth: int


def _as_field(f: Described) -> Field:
    width = f.size if f.size > 1 else 0
    return Field(f.id, f.name, WORDS[f.kind], f.maximum, width, f.state, 1, f.default, f.mask)


def show(schemas: list[StateSchema], record: Record, data: bytes) -> dict[str, Any]:
    """The record's state by the schemas of its file; by field id if they do not describe it."""
    tables: dict[Nested, list[Field]] = {
        place: [_as_field(f) for f in schema.fields] for place, schema in enumerate(schemas, 1)
    }
    for place, schema in enumerate(schemas, 1):
        if (schema.name, schema.version) == (record.type, record.version):
            reader = StateReader(data, Schemas({}, tables))
            try:
                shown = reader.state(tables[place], record.version, record.type)
                require(reader.decoder.at == len(data), "bytes behind the fields")
                return shown
            except Damaged:
                break
    return record.state


class SchemaReader:
    """Reads a schema section."""

    def __init__(self, data: bytes) -> None:
        self.decoder = Decoder(data)
        self.found: list[StateSchema] = []

    def states(self) -> list[StateSchema]:
        """All states in the order of the file."""
        count = self.decoder.expect("array")
        require(count <= MAX_STATES, f"{count} states")
        for _ in range(count):
            self.found.append(self._state())
        require(self.decoder.at == len(self.decoder.data), "bytes behind the last state")
        return self.found

    def _text(self, limit: int) -> str:
        text = self.decoder.string()
        require(len(text.encode()) <= limit, "a text is too long")
        return text

    def _state(self) -> StateSchema:
        require(self.decoder.expect("array") == 4, "a state has not four parts")
        name = self._text(32)
        require(re.fullmatch("[a-z0-9._-]{1,32}", name), f"a state is named {name!r}")
        version = self.decoder.expect("uint")
        require(version <= 65535, f"{name} has version {version}")
        text = self._text(255)
        seen = version and (name, version) in [(s.name, s.version) for s in self.found]
        require(not seen, f"{name} is there twice")
        count = self.decoder.expect("array")
        require(count <= MAX_FIELDS, f"{name} has {count} fields")
        return StateSchema(name, version, text, *self._fields(name, count))

    def _fields(self, name: str, count: int) -> tuple[list[Described], int, int]:
        """(fields, bytes that a state takes, how deeply it nests)."""
        fields: list[Described] = []
        memory, depth, last = 0, 0, 0
        for _ in range(count):
            field = self._field(name)
            require(field.id > last, f"{name}: ids are not ascending")
            takes, below = self._cost(field)
            last, memory, depth = field.id, memory + takes, max(depth, below)
            require(memory <= MAX_MEMORY, f"{name} takes too much memory")
            fields.append(field)
        require(depth <= MAX_DEPTH, f"{name} nests too deeply")
        return fields, max(memory, 1), depth

    def _field(self, state: str) -> Described:
        expect = self.decoder.expect
        require(expect("array") == 9, "a field has not nine parts")
        number, name, kind = expect("uint"), self._text(64), expect("uint")
        title = f"{state}, field {name}"
        require(1 <= number <= 65535 and 1 <= kind <= 7, title)
        require(re.fullmatch("[A-Za-z0-9_]+", name), title)
        size, limit, mask = expect("uint"), expect("uint"), expect("uint")
        _check_sizes(title, kind, size, limit, mask)
        default: int | str
        if kind == STRING:
            default = self._text(limit)
        else:
            default = expect("uint")
            require(not default & ~mask if kind in (UNSIGNED, SIGNED) else not default, title)
        nested = expect("uint")
        require((1 <= nested <= len(self.found)) if kind in NESTED else not nested, title)
        version = self.found[nested - 1].version if nested else 0
        require(version == 0, f"{title} nests a record")
        return Described(number, name, kind, size, limit, mask, default, nested, self._text(255))

    def _cost(self, field: Described) -> tuple[int, int]:
        """(bytes that the field takes in a state, how deeply it nests)."""
        memory, depth = field.size * field.maximum, 0
        if field.kind in NESTED:
            nested = self.found[field.state - 1]
            memory, depth = field.maximum * nested.memory, nested.depth + 1
        elif field.kind == BYTES:
            memory = field.maximum
        elif field.kind == STRING:
            memory = field.maximum + 1
        counted = 8 if field.kind in (BYTES, STATES) else 0
        return counted + -(-memory // 8) * 8, depth


def _check_sizes(title: str, kind: int, size: int, limit: int, mask: int) -> None:
    require(1 <= limit <= MAX_MEMORY, title)
    require(limit == 1 or kind not in (UNSIGNED, SIGNED, STATE), title)
    if kind in INTEGERS:
        require(size in (1, 2, 4, 8) and (kind != SIGNED or size == 8), title)
        require(mask < 1 << 8 * size, title)
        return
    require(mask == 0, title)
    if kind == BYTES:
        require(1 <= size <= limit and limit % size == 0, title)
    else:
        require(size == 0, title)
