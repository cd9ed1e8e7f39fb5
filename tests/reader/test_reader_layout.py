# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The worked examples of docs/snapshot-format.md with changed headers, sections, indexes and padding:
the reader of the module and the C code refuse the same, as the same.

test_reader_layout.py MAKE_SNAPSHOT SNAPSHOT_INSPECT JUDGE_INSPECT [unittest's options]"""
import json
import struct
import subprocess
import sys
import unittest

if sys.version_info < (3, 10):
    print("skipped: python3 is older than 3.10")
    sys.exit(77)

import tree  # noqa: F401 (before the module)
import stasis
from build import example, seal
from case import INSPECT, Case
from stasis.reader.describe import as_dict
from stasis.reader.info import ARCHITECTURES


class Example(Case):
    def test_the_example_is_whole_and_holds_what_it_says(self):
        self.assertEqual(self.judge(example()), 0)
        with stasis.Snapshot(self.scratch) as snapshot:
            self.assertEqual(snapshot.memory.read(0xfff, 3), b"\0\x2a\0")
            self.assertEqual([r.type for r in snapshot.records], ["stasis.i8042"])
            self.assertRaises(LookupError, snapshot.memory.read, 0x10fff, 2)

    def test_every_architecture_is_whole_and_has_the_same_name(self):
        for number in (*ARCHITECTURES, 0, 5, 2**31, 2**32 - 1):
            data = example()
            struct.pack_into("<I", data, 20, number)
            with self.subTest(number=number), open(self.scratch, "wb") as file:
                file.write(seal(data))
            theirs = json.loads(subprocess.check_output([INSPECT, "json", self.scratch]))
            with stasis.Snapshot(self.scratch) as snapshot:
                self.assertEqual(as_dict(snapshot)["header"], theirs["header"])
            self.assertEqual(theirs["header"]["arch"], number)

    def test_rules_of_header_and_sections(self):
        u32, u64 = struct.Struct("<I").pack, struct.Struct("<Q").pack
        for offset, value, status in (
                (16, b"\0", 4), (24, b"\2", 0), (24, b"\4", 4), (24, b"\x80", 4), (31, b"\x80", 4),
                (24, b"\1", 3),
                (32, b"\1", 0), (120, b"\1", 4), (124, b"\1", 4), (212, b"\x40", 4), (8, b"\1", 3),
                (0, b"\1", 3), (40, bytes(18), 3), (40, b"\x7f", 3), (72, bytes(16), 0),
                (20, b"\7", 0),
                (128, b"\1", 3), (216, b"\1", 3), (1000, b"\1", 3), (96, b"\1", 3), (104, b"\1", 3),
                (112, b"\1", 3), (208, u32(2), 3), (208, u32(26), 3), (224, b"\0", 3),
                (224, b"\2", 3), (224, b"\4", 4), (228, b"\1", 3), (228, b"\2", 4), (252, b"\1", 3),
                (344, b"\1", 3), (232, u64(1023), 3), (240, u64(0), 3), (264, u64(2**64 - 8), 3),
                (328, u64(0x1001), 3), (288, b"\6", 0), (288, b"\5", 3), (292, b"\0", 4)):
            with self.subTest(offset=offset, value=value):
                data = example()
                data[offset:offset + len(value)] = value
                self.assertEqual(self.judge(seal(data)), status)

    def test_the_first_of_several_faults_decides(self):
        """"Order of checks" of the document: each change alone has the other status."""
        u32, u64, unknown = struct.Struct("<I").pack, struct.Struct("<Q").pack, b"\x09"
        for changes, status in (
                (((208, u32(2)), (256, unknown), (288, bytes(64))), 4),
                (((256, b"\1"), (288, unknown), (292, u32(0))), 3),
                (((256, unknown), (320, b"\1")), 4),
                (((104, u64(2**43)), (256, unknown)), 3),
                (((16, u32(3)), (104, u64(2**43))), 4), (((16, u32(3)), (40, b"\x7f")), 3),
                (((228, u32(2)), (232, u64(1023))), 3), (((224, u32(0)), (228, u32(2))), 4),
                (((96, u64(1)), (256, unknown)), 3), (((256, unknown), (0x428, u32(65))), 4)):
            with self.subTest(changes=changes):
                data = example()
                for offset, value in changes:
                    data[offset:offset + len(value)] = value
                self.assertEqual(self.judge(seal(data)), status)

    def test_length_of_the_file(self):
        """As much padding before DATA as Limits allow, and a page more."""
        ram = 0x11000
        most = 3 * ram + 8 + 16 * 64 + 24 * (ram // 65536 + 64) + (64 << 20)
        short = len(example())
        room = (most - short) // 4096 * 4096
        for gap, status in ((room, 0), (room + 4096, 3)):
            with self.subTest(gap=gap):
                data = example()
                struct.pack_into("<Q", data, 96, len(data) + gap)
                for offset in (0x440 + 8, 320 + 8):  # of the chunk, and of DATA
                    at, = struct.unpack_from("<Q", data, offset)
                    struct.pack_into("<Q", data, offset, at + gap)
                self.assertEqual(self.judge(seal(data), gap), status)

    def test_rules_of_index_and_padding(self):
        region, chunk = 0x430, 0x440
        for offset, value, status in (
                (region - 8, b"\x41", 3), (region - 4, b"\1", 3), (region, b"\1", 3),
                (region + 6, b"\x10", 3), (region + 6, b"\x0f", 0), (region + 9, b"\x20", 3),
                (chunk, b"\0", 3), (chunk, b"\1", 3), (chunk, b"\x09", 3), (chunk + 1, b"\1", 3),
                (chunk + 2, bytes(2), 3), (chunk + 2, b"\3", 3), (chunk + 4, b"\0", 3),
                (chunk + 8, b"\1", 3), (chunk + 9, b"\x20", 3), (chunk + 16, b"\1", 3),
                (chunk + 20, b"\1", 3), (chunk + 26, b"\1", 3), (chunk + 28, b"\1", 3),
                (0x426, b"\1", 3), (0xfff, b"\1", 3), (0x2001, b"\1", 3)):
            with self.subTest(offset=offset, value=value):
                data = example()
                data[offset:offset + len(value)] = value
                self.assertEqual(self.judge(seal(data)), status)

    def test_rules_of_version_2(self):
        region, entry, extent, digest = 0x438, 0x448, 0x460, 0x478
        for offset, value, status in (
                (16, b"\3", 4), (24, b"\0", 3), (24, b"\x0c", 4), (24, b"\x18", 3), (24, b"\x28", 4),
                (24, b"\x0a", 0), (128, b"\1", 3), (175, b"\1", 0), (176, b"\1", 3), (20, b"\7", 0),
                (region - 16, b"\2", 3), (region - 12, b"\1", 3), (region - 8, b"\1", 3),
                (region - 4, b"\2", 3), (region, b"\1", 3), (region + 6, b"\x10", 3),
                (region + 6, b"\x0f", 0), (region + 9, b"\x20", 3),
                *((entry + at, value, 3) for at in (0, 4, 8, 9, 10, 12, 16, 20, 21, 22)
                  for value in (b"\4", b"\0", b"\xff") if example(2)[entry + at] != value[0]),
                (extent, b"\1", 3), (extent + 1, b"\x20", 3), (extent + 8, b"\1", 3),
                (extent + 12, b"\0", 3), (extent + 16, b"\xfe", 3), (extent + 18, b"\1", 3),
                (extent + 18, b"\0", 3), (extent + 20, b"\1", 3), (extent + 22, b"\0", 3),
                (extent + 22, b"\1", 3), (extent + 22, b"\3", 3), (extent + 23, b"\1", 3),
                (digest, b"\0", 3), (digest + 31, b"\0", 3), (0x2001, b"\1", 3), (0xfff, b"\1", 3)):
            with self.subTest(offset=offset, value=value):
                data = example(2)
                data[offset:offset + len(value)] = value
                self.assertEqual(self.judge(seal(data)), status)
        self.assertEqual(self.judge(example(2)), 0)

    def test_any_value_of_any_byte_of_state(self):
        """Right CRCs and wrong bytes: what is left to find is canonical form, schemas, rules."""
        seen = set()
        for offset in range(0x400, 0x424):
            for value in (0, 1, 2, 3, 0x60, 0x7f, 0x80, 0x91, 0xa0, 0xc0, 0xcc, 0xd2, 0xff):
                with self.subTest(offset=offset, value=value):
                    data = example()
                    data[offset] = value
                    seen.add(self.judge(seal(data)))
        self.assertEqual(seen, {0, 3, 4})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
