# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The schema section of a snapshot: "Schema section" of docs/snapshot-format.md."""
import re

from stasis_state import Corrupt, Decoder, Field, StateReader, require

MAX_STATES, MAX_FIELDS, MAX_MEMORY, MAX_DEPTH = 512, 1024, 4 << 20, 3
UNSIGNED, SIGNED, UNSIGNEDS, BYTES, STRING, STATE, STATES = range(1, 8)
WORDS = {UNSIGNED: "uint", SIGNED: "int", UNSIGNEDS: "array", BYTES: "bytes", STRING: "string",
         STATE: "state", STATES: "list"}
INTEGERS, NESTED = (UNSIGNED, SIGNED, UNSIGNEDS), (STATE, STATES)


def show(states, record, data):
    """The record's state by the schemas of its file; by field id if they do not describe it."""
    tables = {place: [Field(f["id"], f["name"], WORDS[f["kind"]], f["maximum"],
                            f["size"] if f["size"] > 1 else 0, f["state"], 1, f["default"],
                            f["mask"]) for f in state["fields"]]
              for place, state in enumerate(states, 1)}
    for place, state in enumerate(states, 1):
        if (state["name"], state["version"]) == (record["type"], record["version"]):
            reader = StateReader(data, ({}, tables))
            try:
                shown = reader.state(tables[place], record["version"], record["type"])
                require(reader.decoder.at == len(data), "bytes behind the fields")
                return shown
            except Corrupt:
                break
    return record["state"]


def whole(size):
    return -(-size // 8) * 8


class SchemaReader:
    def __init__(self, data):
        self.decoder = Decoder(data)
        self.found = []  # (name, version, text, fields, memory, depth)

    def states(self):
        """[{"name", "version", "text", "fields": [...]}] in the order of the file."""
        count = self.decoder.expect("array")
        require(count <= MAX_STATES, f"{count} states")
        for _ in range(count):
            self.state()
        require(self.decoder.at == len(self.decoder.data), "bytes behind the last state")
        return [{"name": s[0], "version": s[1], "text": s[2], "fields": s[3]} for s in self.found]

    def text(self, limit):
        text = self.decoder.string()
        require(len(text.encode()) <= limit, "a text is too long")
        return text

    def state(self):
        require(self.decoder.expect("array") == 4, "a state has not four parts")
        name = self.text(32)
        require(re.fullmatch("[a-z0-9._-]{1,32}", name), f"a state is named {name!r}")
        version = self.decoder.expect("uint")
        require(version <= 65535, f"{name} has version {version}")
        text = self.text(255)
        require(not version or (name, version) not in [s[:2] for s in self.found],
                f"{name} is there twice")
        count = self.decoder.expect("array")
        require(count <= MAX_FIELDS, f"{name} has {count} fields")
        fields, memory, depth, last = [], 0, 0, 0
        for _ in range(count):
            field, takes, below = self.field(name)
            require(field["id"] > last, f"{name}: ids are not ascending")
            last, memory, depth = field["id"], memory + takes, max(depth, below)
            require(memory <= MAX_MEMORY, f"{name} takes too much memory")
            fields.append(field)
        require(depth <= MAX_DEPTH, f"{name} nests too deeply")
        self.found.append((name, version, text, fields, max(memory, 1), depth))

    def field(self, state):
        expect = self.decoder.expect
        require(expect("array") == 9, "a field has not nine parts")
        number, name, kind = expect("uint"), self.text(64), expect("uint")
        title = f"{state}, field {name}"
        require(1 <= number <= 65535 and 1 <= kind <= 7, title)
        require(re.fullmatch("[A-Za-z0-9_]+", name), title)
        size, limit, mask = expect("uint"), expect("uint"), expect("uint")
        self.check_sizes(title, kind, size, limit, mask)
        if kind == STRING:
            default = self.text(limit)
        else:
            default = expect("uint")
            require(not default & ~mask if kind in (UNSIGNED, SIGNED) else not default, title)
        nested, memory, depth = expect("uint"), size * limit, 0
        require((1 <= nested <= len(self.found)) if kind in NESTED else not nested, title)
        if kind in NESTED:
            _, version, _, _, takes, below = self.found[nested - 1]
            require(version == 0, f"{title} nests a record")
            memory, depth = limit * takes, below + 1
        elif kind == BYTES:
            memory = limit
        elif kind == STRING:
            memory = limit + 1
        counted = 8 if kind in (BYTES, STATES) else 0
        return ({"id": number, "name": name, "kind": kind, "size": size, "maximum": limit,
                 "mask": mask, "default": default, "state": nested, "text": self.text(255)},
                counted + whole(memory), depth)

    @staticmethod
    def check_sizes(title, kind, size, limit, mask):
        require(1 <= limit <= MAX_MEMORY, title)
        require(limit == 1 or kind not in (UNSIGNED, SIGNED, STATE), title)
        if kind in INTEGERS:
            require(size in (1, 2, 4, 8) and (kind != SIGNED or size == 8), title)
            require(mask < 1 << 8 * size, title)
        else:
            require(mask == 0, title)
            require((1 <= size <= limit and limit % size == 0) if kind == BYTES else size == 0,
                    title)
