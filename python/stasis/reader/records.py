# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The records of the state section, with the names of the document: "State section" of
docs/snapshot-format.md."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ..errors import Newer
from .check import require
from .msgpack import Decoder
from .rules import RULES
from .tables import Field, Layout, Schemas, bound

OPTIONAL_BIT, MAX_RECORDS = 1, 4096


class Record(NamedTuple):
    """The state of one device, or of one part of a vCPU.

    `state` is {field: value}. Integers are int, byte strings are hexadecimal text (a list of them
    where the field is an array of registers), nested states are dictionaries, and arrays and lists
    are lists. `known` is false for a type that this release does not know, and that may be skipped;
    its fields have the names that the file itself gives them, or their ids as text.
    """

    type: str
    instance: str
    version: int
    optional: bool
    known: bool
    state: dict[str, Any]


class StateReader:
    """Reads a state section. `unknown` is {(type, instance): bytes of the map} afterwards."""

    def __init__(self, data: bytes, schemas: Schemas) -> None:
        self.decoder = Decoder(data)
        self.known, self.states = schemas
        self.unknown: dict[tuple[str, str], bytes] = {}

    def records(self) -> list[Record]:
        """All of them, in the order of the file."""
        count = self.decoder.expect("array")
        require(count <= MAX_RECORDS, f"{count} records")
        found: list[Record] = []
        for _ in range(count):
            found.append(self._record(found[-1] if found else None))
        require(self.decoder.at == len(self.decoder.data), "bytes behind the last record")
        return found

    def _name(self) -> str:
        name = self.decoder.string()
        require(re.fullmatch("[a-z0-9._-]{1,32}", name), f"a record is named {name!r}")
        return name

    def _record(self, before: Record | None) -> Record:
        decoder = self.decoder
        require(decoder.expect("array") == 5, "a record has not five parts")
        kind, instance = self._name(), self._name()
        title = f"record {kind} of {instance}"
        version, flags = decoder.expect("uint"), decoder.expect("uint")
        require(1 <= version <= 65535, f"{title} has version {version}")
        ordered = before is None or (kind, instance) > (before.type, before.instance)
        require(ordered, f"{title} is out of order")
        layout = self._layout(kind, version, flags, title)
        state = self._known(layout, version, title) if layout else self._skipped(kind, instance)
        return Record(kind, instance, version, bool(flags), layout is not None, state)

    def _layout(self, kind: str, version: int, flags: int, title: str) -> Layout | None:
        """What a record holds; None if it may be skipped."""
        if flags & ~OPTIONAL_BIT:
            raise Newer(f"{title} has unknown flags {flags:#x}")
        layout = self.known.get(kind)
        if layout is None:
            if not flags:
                raise Newer(f"{title} is of an unknown type")
            return None
        require(bool(flags) == layout.optional, f"{title}: wrong optional flag")
        if version > layout.version:
            raise Newer(f"{title} has version {version}, known is {layout.version}")
        return layout

    def _known(self, layout: Layout, version: int, title: str) -> dict[str, Any]:
        state = self.state(layout.fields, version, title)
        for rule, holds in RULES.get(layout.type, lambda _: ())(state):
            require(holds, f"{title}: {rule}")
        return state

    def _skipped(self, kind: str, instance: str) -> dict[str, Any]:
        decoder = self.decoder
        start = decoder.at
        state = {str(key): decoder.any(2) for key in decoder.keys(decoder.expect("map"))}
        self.unknown[kind, instance] = decoder.data[start : decoder.at]
        return state

    def state(self, fields: list[Field], version: int, title: str) -> dict[str, Any]:
        """A map with the fields that this version has; the others have their defaults."""
        present = [field for field in fields if field.since <= version <= field.until]
        keys = self.decoder.keys(self.decoder.expect("map"))
        values: dict[str, Any] = {}
        for field in present:
            require(next(keys, None) == field.id, f"{title}: field {field.name} is missing")
            values[field.name] = self._value(field, version, f"{title}, {field.name}")
        require(next(keys, None) is None, f"{title}: unknown field")
        return {
            field.name: values[field.name] if field in present else self._default(field)
            for field in fields
        }

    def _value(self, field: Field, version: int, title: str) -> Any:
        decoder, kind = self.decoder, field.kind
        if kind == "uint":
            return self._unsigned(field, version, title)
        if kind == "int":
            number = decoder.expect("uint", "int")
            require(number < 1 << 63, f"{title}: does not fit")
            return number
        if kind == "state":
            return self.state(self.states[field.state], version, title)
        if kind == "string":
            text = decoder.string()
            require(len(text.encode()) <= bound(field, version, field.limit), f"{title}: too long")
            return text
        if kind == "bytes":
            return _registers(field, decoder.bytes(), version, title)
        return self._several(field, version, title)

    def _several(self, field: Field, version: int, title: str) -> list[Any]:
        count, limit = self.decoder.expect("array"), bound(field, version, field.limit)
        if field.kind == "array":
            require(count == field.limit, f"{title}: {count} elements instead of {field.limit}")
            return [self._unsigned(field, version, title) for _ in range(count)]
        require(count <= limit, f"{title}: {count} elements, at most {limit}")
        return [self.state(self.states[field.state], version, title) for _ in range(count)]

    def _unsigned(self, field: Field, version: int, title: str) -> int:
        number, mask = self.decoder.expect("uint"), bound(field, version, field.mask)
        require(not number & ~mask, f"{title}: {number:#x} has bits outside {mask:#x}")
        return number

    def _default(self, field: Field) -> Any:
        """The value of a field that the record's version did not have yet."""
        if field.kind == "state":
            return {inner.name: self._default(inner) for inner in self.states[field.state]}
        if field.kind == "array":
            return [field.default] * field.limit
        if field.kind == "list" or field.width and field.kind == "bytes":
            return []
        return "" if field.kind == "bytes" else field.default


def _registers(field: Field, data: bytes, version: int, title: str) -> str | list[str]:
    require(len(data) <= bound(field, version, field.limit), f"{title}: too long")
    if not field.width:
        return data.hex()
    require(len(data) % field.width == 0, f"{title}: no multiple of {field.width} bytes")
    return [data[i : i + field.width].hex() for i in range(0, len(data), field.width)]
