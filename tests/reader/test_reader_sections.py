# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Sections of schemas and notes: the reader of the module and the C code refuse the same.

test_reader_sections.py MAKE_SNAPSHOT SNAPSHOT_INSPECT JUDGE_INSPECT [unittest's options]"""
import random
import struct
import sys
import unittest

if sys.version_info < (3, 10):
    print("skipped: python3 is older than 3.10")
    sys.exit(77)

import tree  # noqa: F401 (before the module)
import stasis
from build import SCHEMAS, example, pack, seal
from case import Case


class Schemas(Case):
    def with_schemas(self, section):
        """The worked example with another schema section."""
        data = example()
        offset, length = struct.unpack_from("<QQ", data, 288 + 8)
        self.assertLess(len(section), 4096 - offset)
        data[offset:4096] = section + bytes(4096 - offset - len(section))
        struct.pack_into("<Q", data, 288 + 16, len(section))
        return seal(data)

    def test_schemas_of_the_example_are_those_of_the_document(self):
        with open(self.scratch, "wb") as file:
            file.write(example())
        with stasis.Snapshot(self.scratch) as snapshot:
            state, = snapshot.schemas
        self.assertEqual((state.name, state.version), ("stasis.i8042", 1))
        for field, row in zip(state.fields, SCHEMAS[0]["stasis.i8042"].fields, strict=True):
            self.assertEqual((field.id, field.name, field.default, field.mask),
                             (row.id, row.name, row.default, row.mask))

    def test_rules(self):
        good = [7, "f", 1, 1, 1, 255, 0, 0, "text"]
        nested = ["part", 0, "", [good]]
        many = [[i + 1, f"f{i}", 4, 1, 1 << 20, 0, 0, 0, ""] for i in range(4)]
        deep = [[f"s{i}", 0, "", [[1, "f", 6, 0, 1, 0, 0, i, ""] if i else good]] for i in range(5)]
        for states, status in (
                ([], 0), ([["x", 1, "", []]], 0), ([["x", 1, "t", [good]]], 0),
                ([["X", 1, "", []]], 3), ([["x", 65536, "", []]], 3), ([["x", 1, "", [], 1]], 3),
                ([["x", 1, "", []], ["x", 1, "", []]], 3), ([["x", 1, "", []], ["x", 2, "", []]], 0),
                ([["x", 0, "", []], ["x", 0, "", []]], 0), ([["x", 1, "", [good, good]]], 3),
                ([["x", 1, "", [[*good, 1]]]], 3), ([["x", 1, "", many[:3]]], 0),
                ([["x", 1, "", many]], 3), (deep[:4], 0), (deep, 3),
                ([nested, ["x", 1, "", [[1, "p", 7, 0, 9, 0, 0, 1, ""]]]], 0),
                ([nested, ["x", 1, "", [[1, "p", 6, 0, 2, 0, 0, 1, ""]]]], 3),
                ([nested, ["x", 1, "", [[1, "p", 7, 0, 9, 0, 0, 2, ""]]]], 3),
                ([nested, ["x", 1, "", [[1, "p", 7, 0, 9, 0, 0, 0, ""]]]], 3),
                ([nested, ["x", 1, "", [[1, "p", 7, 0, (1 << 19) - 1, 0, 0, 1, ""]]]], 0),
                ([nested, ["x", 1, "", [[1, "p", 7, 0, 1 << 19, 0, 0, 1, ""]]]], 3),
                ([["x", 1, "", [good]], ["y", 1, "", [[1, "p", 6, 0, 1, 0, 0, 1, ""]]]], 3)):
            with self.subTest(states=states):
                self.assertEqual(self.judge(self.with_schemas(pack(states))), status)

    def test_parts_of_a_field(self):
        base = {"id": 7, "name": "f", "kind": 1, "size": 1, "max": 1, "mask": 255, "default": 0,
                "state": 0, "text": "text"}
        for change, status in (
                ({"id": 0}, 3), ({"id": 65535}, 0), ({"id": 65536}, 3), ({"name": ""}, 3),
                ({"name": "a b"}, 3), ({"name": "A_9"}, 0), ({"kind": 0}, 3), ({"kind": 8}, 3),
                ({"kind": 2}, 3), ({"kind": 2, "size": 8, "mask": 2**64 - 1}, 0),
                ({"kind": 2, "size": 8, "mask": 2**64 - 1, "default": 2**64 - 5}, 0),
                ({"kind": 3, "max": 9}, 0), ({"kind": 3, "max": 0}, 3), ({"size": 3}, 3),
                ({"size": 2, "mask": 65535}, 0), ({"mask": 256}, 3), ({"max": 2}, 3),
                ({"mask": 3, "default": 4}, 3), ({"mask": 4, "default": 4}, 0), ({"state": 1}, 3),
                ({"kind": 4, "size": 4, "max": 8, "mask": 0}, 0),
                ({"kind": 4, "size": 4, "max": 9, "mask": 0}, 3),
                ({"kind": 4, "size": 4, "max": 8}, 3), ({"kind": 4, "size": 0, "mask": 0}, 3),
                ({"kind": 5, "size": 0, "mask": 0, "default": "a"}, 0),
                ({"kind": 5, "size": 0, "mask": 0, "default": "ab"}, 3),
                ({"kind": 5, "size": 0, "mask": 0, "default": 0}, 3),
                ({"kind": 5, "size": 1, "mask": 0, "default": ""}, 3)):
            with self.subTest(change=change):
                field = list({**base, **change}.values())
                self.assertEqual(self.judge(self.with_schemas(pack([["x", 1, "", [field]]]))),
                                 status)

    def test_any_value_of_any_byte(self):
        data = example()
        offset, length = struct.unpack_from("<QQ", data, 288 + 8)
        chance, seen = random.Random(1), set()
        for _ in range(600):
            changed = bytearray(data)
            changed[offset + chance.randrange(length)] = chance.choice(
                (0, 1, 2, 3, 0x60, 0x7f, 0x80, 0x91, 0xa0, 0xc0, 0xcc, 0xd2, 0xff))
            seen.add(self.judge(seal(changed)))
        self.assertEqual(seen, {0, 3})


class Notes(Case):
    def with_notes(self, section):
        """The worked example with a notes section behind its schemas."""
        data = example()
        offset = sum(struct.unpack_from("<QQ", data, 288 + 8))
        self.assertLess(offset + len(section), 4096)
        data[offset:offset + len(section)] = section
        data[352:384] = data[320:352]
        struct.pack_into("<IIQQII", data, 320, 5, 1, offset, len(section), 0, 0)
        struct.pack_into("<I", data, 208, 5)
        return seal(data)

    def test_rules(self):
        key, value = "k" * 32, "v" * 1024
        many = [[f"k{i:03}", ""] for i in range(65)]
        for notes, status in (
                ([], 0), ([["k", ""]], 0), ([["az.09_-", "\u202e"]], 0), ([["k", "v"], ["l", ""]], 0),
                ([["k", ""], ["ka", ""]], 0), ([[key, value]], 0), ([[key, value + "v"]], 3), (many[:64], 0),
                (many, 3), ([[key + "k", "v"]], 3), ([["", "v"]], 3), ([["K", "v"]], 3),
                ([["k", "v", "w"]], 3), ([["k"]], 3), (["k"], 3), ([["k", 1]], 3), ([[1, "v"]], 3),
                ([["k", b"v"]], 3), ([["k", "\n"]], 3), ([["k", "\x9f"]], 3), ({}, 3),
                ([["k", ""], ["k", ""]], 3), ([["l", ""], ["k", ""]], 3)):
            with self.subTest(notes=notes):
                self.assertEqual(self.judge(self.with_notes(pack(notes))), status)

    def test_section(self):
        good = pack([["k", "v"]])
        self.assertEqual(self.judge(self.with_notes(b"")), 3)
        self.assertEqual(self.judge(self.with_notes(good + b"\0")), 3)
        data = self.with_notes(good)
        data[struct.unpack_from("<Q", data, 320 + 8)[0] + 5] ^= 1
        self.assertEqual(self.judge(data), 3)  # its CRC is wrong
        data = self.with_notes(good)
        data[320 + 4] = 0
        self.assertEqual(self.judge(seal(data)), 4)  # not optional: unknown
        data = self.with_notes(good)
        data[320] = 4
        self.assertEqual(self.judge(seal(data)), 3)  # a second section of schemas

    def test_content(self):
        data = self.with_notes(pack([["image", "debian-12"], ["ticket", ""]]))
        self.assertEqual(self.judge(data), 0)
        with stasis.Snapshot(self.scratch) as snapshot:
            self.assertEqual(snapshot.notes, {"image": "debian-12", "ticket": ""})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
