# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The reader that was made from docs/snapshot-format.md and the C code agree: on what is in a file,
on which files to refuse, and as what.

test_reader.py MAKE_SNAPSHOT SNAPSHOT_INSPECT JUDGE_INSPECT [unittest's options]"""
import glob
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

if sys.version_info < (3, 10):
    print("skipped: python3 is older than 3.10")
    sys.exit(77)

import stasis_reader as reader
from build import SCHEMAS, TEXT, example, pack, record, seal, with_parts
from judges import Judge
from stasis_state import RULES, Corrupt, StateReader, parse_field

MAKE, INSPECT, JUDGE = sys.argv[1:4]
GOLDEN = os.path.join(os.path.dirname(__file__), "..", "golden")
LOW, HIGH_GPA, HIGH = 3 * 65536 + 8192, 1 << 32, 65536 + 4096


def ram_byte(gpa):
    """What make_snapshot puts there."""
    chunk = (gpa - HIGH_GPA if gpa >= HIGH_GPA else gpa) // 65536
    if chunk == 2:
        mixed = gpa * 2654435761 & 0xffffffff
        return ((mixed ^ mixed >> 15) * 739982445 & 0xffffffff) >> 24
    if chunk == 1 or gpa // 4096 % 3 != 1:
        return 0
    return (gpa * 7 + gpa // 251) & 255


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.scratch = os.path.join(cls.folder.name, "scratch")
        cls.inspect = Judge(JUDGE)
        cls.addClassCleanup(cls.inspect.close)

    def judge(self, data, gap=0):
        """Exit status of both for a file with these bytes, and a gap behind the first page."""
        with open(self.scratch, "wb") as file:
            file.write(data[:4096])
            file.seek(gap, os.SEEK_CUR)
            file.write(data[4096:])
        ours, why = 0, ""
        try:
            with reader.Snapshot(self.scratch, SCHEMAS) as snapshot:
                snapshot.verify()
        except reader.SnapshotError as error:
            ours, why = error.status, str(error)
        theirs, reason, _ = self.inspect.judge("file", self.scratch)
        self.assertEqual(ours, theirs, f"reader: {why!r}, inspect: {reason!r}")
        return ours


def blank(fields):
    """A state of these fields, of nothing but zeros."""
    values = {"string": "", "bytes": "", "list": []}
    return {f.name: blank(SCHEMAS[1][f.state]) if f.kind == "state" else
            f.limit * [0] if f.kind == "array" else values.get(f.kind, 0) for f in fields}


class Names(unittest.TestCase):
    def test_every_table_of_the_document_is_understood(self):
        records, states = SCHEMAS
        tables = TEXT.split("<!-- schemas begin -->")[1].split("<!-- schemas end -->")[0]
        self.assertEqual(list(records), re.findall(r"^### `(.*?)`", tables, re.MULTILINE))
        self.assertEqual(set(states), set(re.findall(r"^#### `(.*?)`", tables, re.MULTILINE)))
        fields = [f for r in records.values() for f in r.fields] + sum(states.values(), [])
        rows = re.findall(r"^\| (\d+) \| `(.*?)`", tables, re.MULTILINE)
        self.assertCountEqual([(str(f.id), f.name) for f in fields], rows)
        self.assertLessEqual({f.state for f in fields if f.state}, set(states))

    def test_rules_are_for_records_and_fields_of_the_document(self):
        for name, rules in RULES.items():
            self.assertTrue(f"- `{name}`:" in TEXT, name)
            self.assertTrue(list(rules(blank(SCHEMAS[0][name].fields))))

    def test_earlier_versions_are_read_as_the_invented_example_says(self):
        table = TEXT.split("invented example, for")[1].split("For a record of version")[0]
        fields = [parse_field(row) for row in re.findall(r"^\| \d.*", table, re.MULTILINE)]
        for version, mode, name, has_speed in (
                (1, 3, 16, False), (2, 15, 16, True), (3, 15, 64, True), (4, 127, 64, False),
                (5, 127, 64, False)):
            for more, letters, other, right in (
                    (0, 0, False, True), (1, 0, False, False), (0, 1, False, False),
                    (0, 0, True, False)):
                with self.subTest(version=version, more=more, letters=letters, other=other):
                    state = {1: mode + more, 2: "n" * (name + letters)}
                    if has_speed != other:
                        state[3] = 7
                    decode = StateReader(pack(state), ({}, {})).state
                    if right:
                        speed = 7 if has_speed else 0
                        self.assertEqual(decode(fields, version, "")["speed"], speed)
                    else:
                        self.assertRaises(Corrupt, decode, fields, version, "")


class Example(Case):
    def test_the_example_is_whole_and_holds_what_it_says(self):
        self.assertEqual(self.judge(example()), 0)
        with reader.Snapshot(self.scratch, SCHEMAS) as snapshot:
            self.assertEqual(snapshot.ram(0xfff, 3), b"\0\x2a\0")
            self.assertEqual([r["type"] for r in snapshot.records], ["stasis.i8042"])
            self.assertRaises(LookupError, snapshot.ram, 0x10fff, 2)

    def test_every_architecture_is_whole_and_has_the_same_name(self):
        for number in (*reader.ARCHITECTURES, 0, 5, 2**31, 2**32 - 1):
            data = example()
            struct.pack_into("<I", data, 20, number)
            with self.subTest(number=number), open(self.scratch, "wb") as file:
                file.write(seal(data))
            theirs = json.loads(subprocess.check_output([INSPECT, "json", self.scratch]))
            with reader.Snapshot(self.scratch, SCHEMAS) as snapshot:
                self.assertEqual(snapshot.as_dict()["header"], theirs["header"])
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


class State(Case):
    def test_canonical_form(self):
        nest = [bytes.fromhex("91") * depth + b"\5" for depth in (7, 8)]
        for value, status in (
                ("05", 0), ("cc05", 3), ("cc80", 0), ("cd0080", 3), ("d005", 3), ("ff", 0),
                ("d0e0", 3), ("d0df", 0), ("d1ffdf", 3), ("d3ffffffff80000000", 3),
                ("cf0000000100000000", 0), ("cf00000000ffffffff", 3),
                ("a161", 0), ("a17f", 3), ("a2c285", 3), ("a2c3a9", 0), ("a1ff", 3), ("a2c080", 3),
                ("a3eda080", 3), ("d90161", 3), ("c40161", 0), ("c5000161", 3), ("90", 0),
                ("80", 0),
                ("dc0000", 3), ("de0000", 3), ("c0", 3), ("c2", 3), ("ca00000000", 3), ("d400", 3),
                ("d40000", 3), ("810005", 3), ("8202050105", 3), ("8201050105", 3),
                ("8201050205", 0),
                ("dd7fffffff", 3), ("c6ffffffff", 3), ("8f", 3), ("0505", 3), ("", 3),
                (nest[0].hex(), 0), (nest[1].hex(), 3)):
            with self.subTest(value=value):
                state = bytes.fromhex("9195a17aa161" "0101" "8101" + value)
                self.assertEqual(self.judge(with_parts(state)), status)

    def test_records(self):
        one = "95a17aa1610101" "80"
        for state, status in (
                ("90", 0), ("9000", 3), ("80", 3), ("91" + one, 0), ("92" + one + one, 3),
                ("92" + one + one.replace("a161", "a162"), 0),
                ("92" + one.replace("a161", "a162") + one, 3), ("9194a17aa1610101", 3),
                ("9195a15aa161010180", 3), ("9195a0a161010180", 3), ("9195a17aa161000180", 3),
                ("92" + one + "95a161a161010080", 3), ("92" + one + "95a161a161010280", 3),
                ("92" + one + "95a17aa162010080", 4),
                ("9195a17aa161cdffff0180", 0), ("9195a17aa161ce000100000180", 3),
                ("9195a17aa161010080", 4), ("9195a17aa161010280", 4), ("9195a17aa161010190", 3)):
            with self.subTest(state=state):
                self.assertEqual(self.judge(with_parts(bytes.fromhex(state))), status)
        clock = pack("x86.tsc") + pack("a")
        for tail, status in (("0100810105", 0), ("0101810105", 3), ("0200810105", 4),
                             ("010080", 3), ("010081010500", 3), ("01008201050205", 3),
                             ("01008101cf0000000100000000", 3), ("01008101a105", 3)):
            with self.subTest(tail=tail):
                state = b"\x91\x95" + clock + bytes.fromhex(tail)
                self.assertEqual(self.judge(with_parts(state)), status)

    def test_rules_between_fields(self):
        page = {"gpa": 0, "size": 4096}
        device = {"type": "t", "instance": "i", "size": 1}
        top = {"bus": 1, "base": 2**64 - 2}
        queue = {"size": 8, "ready": 1, "desc": 16, "driver": 2, "device": 4, "next_avail": 3,
                 "next_used": 3}
        virtio = {"device_features": 1 << 32, "driver_features": 1 << 32, "status": 15,
                  "queues": [queue]}
        leaf, leaves = {"function": 7}, [{"function": 7, "index": 1}, {"function": 8}]
        for kind, values, good in (
                ("stasis.board", {"ram": [page]}, True), ("stasis.board", {}, False),
                ("stasis.board", {"ram": [page], "vcpus": 0}, False),
                ("stasis.board", {"ram": [page, page]}, False),
                ("stasis.board", {"ram": [{"gpa": 2**64 - 4096, "size": 4096}]}, False),
                ("stasis.board", {"ram": [page], "devices": [device]}, True),
                ("stasis.board", {"ram": [page], "devices": [device, device]}, False),
                ("stasis.board", {"ram": [page], "devices": [device | {"type": ""}]}, False),
                ("stasis.board", {"ram": [page], "devices": [device | {"size": 0}]}, False),
                ("stasis.board", {"ram": [page], "devices": [device | {"base": 65535}]}, True),
                ("stasis.board", {"ram": [page], "devices": [device | {"base": 65536}]}, False),
                ("stasis.board", {"ram": [page], "devices": [device | top]}, True),
                ("stasis.board", {"ram": [page], "devices": [device | top | {"size": 2}]}, False),
                ("stasis.i8042", {"output": 1}, False), ("stasis.i8042", {"timeout": 1}, False),
                ("stasis.i8042", {"output": 1, "output_full": 1}, True),
                ("stasis.i8042", {"pending_command": 0x60}, False),
                *(("stasis.i8042", {"pending_command": command, "last_was_command": 1},
                   command in (0, 0x60, 0xd1, 0xd2, 0xd3)) for command in range(256)),
                ("stasis.i8042", {"output_port": 2}, False),
                ("stasis.mc146818", {"ram": 128 * [0], "counter_ns": 16725225600 * 10**9 - 1},
                 True),
                ("stasis.mc146818", {"ram": 128 * [0], "counter_ns": 16725225600 * 10**9},
                 False),
                ("stasis.mc146818", {"ram": [1] + 127 * [0]}, False),
                ("stasis.mc146818", {"ram": [1] + 10 * [0] + [0x80] + 116 * [0]}, True),
                ("stasis.mc146818", {"ram": 13 * [0] + [1] + 114 * [0]}, False),
                ("stasis.pl031", {"counter_ns": (10**9 << 32) - 1}, True),
                ("stasis.pl031", {"counter_ns": 10**9 << 32}, False),
                ("stasis.serial", {"fcr": 8}, False), ("stasis.serial", {"fcr": 9}, True),
                ("stasis.serial", {"rx_fifo": b"a"}, True),
                ("stasis.serial", {"rx_fifo": b"ab"}, False),
                ("stasis.serial", {"tx_fifo": b"ab"}, False),
                ("stasis.serial", {"thre_pending": 1}, False),
                ("stasis.serial", {"thre_pending": 1, "ier": 2}, True),
                ("stasis.serial", {"thre_pending": 1, "ier": 2, "tx_fifo": b"a"}, False),
                ("stasis.serial", {"fcr": 1, "rx_fifo": b"ab", "rx_breaks": 2}, True),
                ("stasis.serial", {"fcr": 1, "rx_fifo": b"ab", "rx_breaks": 1}, False),
                ("stasis.serial", {"fcr": 1, "rx_fifo": b"ab", "rx_breaks": 4}, False),
                *(("stasis.virtio_blk", {"mmio": virtio, "sectors": 64} | change, right)
                  for change, right in (
                    ({}, True), ({"block_size": 1024}, True), ({"block_size": 1536}, False),
                    ({"block_size": 65536, "sectors": 128}, True), ({"sectors": 2**55 - 1}, True),
                    ({"block_size": 1024, "sectors": 65}, False), ({"requests": [{}]}, False),
                    ({"mmio": virtio | {"queues": [queue, {}]}}, False),
                    ({"mmio": virtio | {"queues": []}}, True),
                    *(({"mmio": virtio | {"queues": [queue | {"next_avail": 5}]},
                        "requests": [{"head": head} for head in heads]}, good)
                      for heads, good in (((0, 7), True), ((7, 7), True), ((0, 8), False),
                                          ((0,), False), ((0, 1, 2), False))))),
                *(("stasis.virtio_net", {"mmio": virtio} | change, right) for change, right in (
                    ({}, True), ({"mac": 0}, False), ({"mac": 4}, True), ({"mtu": 67}, False),
                    ({"mtu": 68}, True), ({"mtu": 65535}, True),
                    ({"mmio": virtio | {"queues": [queue, queue]}}, True),
                    ({"mmio": virtio | {"queues": [queue, queue, {}]}}, False),
                    ({"mmio": virtio | {"queues": []}}, True),
                    ({"mmio": virtio | {"queues": [queue | {"next_avail": 4}]}}, False),
                    ({"mmio": virtio | {"queues": [queue, queue | {"next_avail": 4}]}}, False),
                    *(({"mmio": virtio | {"device_features": 1 << 32 | 0x7f83,
                                          "driver_features": 1 << 32 | features}}, good)
                      for features, good in (
                        (0x7f83, True), (0x80, False), (0x82, True), (0x101, False),
                        (0x102, True), (0x202, False), (0x282, True), (0x302, True),
                        (0x400, False), (0x402, True), (0x802, False), (0x801, True),
                        (0x1002, False), (0x1001, True), (0x2001, False), (0x2801, True),
                        (0x3001, True), (0x4002, False), (0x4001, True))),
                    ({"mmio": virtio | {"driver_features": 0x80, "status": 3, "queues": []}},
                     True))),
                *(("stasis.virtio_balloon", {"mmio": virtio} | change, right) for change, right in (
                    ({}, True), ({"num_pages": 0xffffffff, "actual": 0xffffffff}, True),
                    ({"poison_val": 1}, False),
                    ({"mmio": virtio | {"device_features": 1 << 32 | 1 << 4}, "poison_val": 1},
                     True),
                    ({"mmio": virtio | {"queues": [queue] * 5}}, True),
                    ({"mmio": virtio | {"queues": [queue] * 5 + [{}]}}, False),
                    ({"mmio": virtio | {"queues": []}}, True),
                    ({"mmio": virtio | {"queues": [queue] * 4 + [queue | {"next_avail": 4}]}},
                     False))),
                *(("stasis.virtio_vsock", {"mmio": virtio} | change, right) for change, right in (
                    ({}, True), ({"guest_cid": 2}, False), ({"guest_cid": 3}, True),
                    ({"guest_cid": 0xfffffffe}, True), ({"guest_cid": 0xffffffff}, False),
                    ({"next_port": 0x3fffffff}, False), ({"next_port": 0x40000000}, True),
                    ({"mmio": virtio | {"queues": [queue] * 3}}, True),
                    ({"mmio": virtio | {"queues": [queue] * 3 + [{}]}}, False),
                    ({"mmio": virtio | {"queues": []}}, True),
                    ({"mmio": virtio | {"queues": [queue] * 2 + [queue | {"next_avail": 4}]}},
                     False))),
                *(("stasis.virtio_rng", {"mmio": virtio | change}, right) for change, right in (
                    ({}, True), ({"status": 11}, True), ({"status": 3}, False),
                    ({"status": 0xcf}, True), ({"status": 0x0e}, False), ({"status": 0x0d}, False),
                    ({"status": 0x07}, False), ({"status": 0x1f}, False),
                    ({"driver_features": 0}, False), ({"driver_features": 3 << 32}, False),
                    ({"driver_features_unknown": 1}, False), ({"interrupt_status": 3}, True),
                    ({"interrupt_status": 1, "status": 11}, False), ({"queues": []}, True),
                    ({"queues": [queue, {}]}, False),
                    *(({"queues": [queue | other]}, good) for other, good in (
                        ({"size": 0}, False), ({"size": 6}, False), ({"size": 32768}, True),
                        ({"desc": 8}, False), ({"driver": 1}, False), ({"driver": 2}, True),
                        ({"device": 2}, False), ({"device": 4}, True),
                        ({"desc": 2**64 - 128}, False), ({"desc": 2**64 - 144}, True),
                        ({"driver": 2**64 - 20}, False), ({"device": 2**64 - 68}, False),
                        ({"ready": 0}, False), ({"next_avail": 4}, False),
                        ({"next_avail": 12}, False),
                        ({"ready": 0, "size": 3, "next_avail": 0, "next_used": 0}, True))))),
                ("x86.cpuid", {"leaves": [leaf, *leaves]}, True),
                ("x86.cpuid", {"leaves": [*leaves, leaf]}, False),
                ("x86.cpuid", {"leaves": [leaf, leaf]}, False),
                ("x86.mp_state", {"mp_state": 4}, True), ("x86.mp_state", {"mp_state": 5}, False),
                ("x86.msrs", {"msrs": [{"index": 1}, {"index": 2}]}, True),
                ("x86.msrs", {"msrs": [{"index": 1}, {"index": 1}]}, False),
                ("x86.pit", {"channels": [{}, {}, {}]}, True),
                ("x86.pit", {"channels": [{}]}, False),
                ("x86.tsc", {}, False), ("x86.xcrs", {"xcr0": 2}, False),
                ("x86.xsave", {}, True), ("x86.xsave", {"xstate_bv": 1 << 8}, False),
                *(("x86.xsave", {"xstate_bv": 1 << bit, name: bytes(size)}, right)
                  for bit, name, full in ((0, "st", 128), (1, "xmm", 256), (2, "ymm_high", 256),
                                          (3, "bndregs", 64), (4, "bndcsr", 64), (5, "opmask", 64),
                                          (6, "zmm_high", 512), (7, "zmm_16_31", 1024),
                                          (9, "pkru", 8))
                  for size, right in ((full, True), (0, False)))):
            with self.subTest(kind=kind, values=values):
                state = record(kind, **values)
                self.assertEqual(self.judge(with_parts(state)), 0 if good else 3)

    def test_regions(self):
        for regions, status in (
                (((0, 0x10000), (0x10000, 0x1000)), 0), (((0, 0x10000), (2**40, 0x1000)), 0),
                (((0x1000, 0x10000), (0x1000, 0x1000)), 3), (((2**40, 0x10000), (0, 0x1000)), 3),
                (((2**52 - 0x11000, 0x11000),), 0), (((2**52 - 0x10000, 0x11000),), 3),
                (((0, 0x10000), (2**64 - 0x1000, 0x1000)), 3), (((0x800, 0x11000),), 3)):
            with self.subTest(regions=regions):
                self.assertEqual(self.judge(with_parts(b"\x90", regions)), status)


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
        with reader.Snapshot(self.scratch, SCHEMAS) as snapshot:
            state, = snapshot.schemas()
        self.assertEqual((state["name"], state["version"]), ("stasis.i8042", 1))
        for field, row in zip(state["fields"], SCHEMAS[0]["stasis.i8042"].fields, strict=True):
            self.assertEqual((field["id"], field["name"], field["default"], field["mask"]),
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
        with reader.Snapshot(self.scratch, SCHEMAS) as snapshot:
            self.assertEqual(snapshot.notes(), {"image": "debian-12", "ticket": ""})


class Agreement(Case):
    def make(self, stream, level=0, kind="1"):
        path = os.path.join(self.folder.name, "made")
        if stream:
            # Through a pipe: what is not a file has to be written as a stream.
            data = subprocess.check_output([MAKE, "-", str(level), kind])
            with open(path, "wb") as file:
                file.write(data)
        else:
            subprocess.run([MAKE, path, str(level), kind], check=True)
        with open(path, "rb") as file:
            return path, file.read()

    def check(self, stream, level, kind="1"):
        path, data = self.make(stream, level, kind)
        theirs = json.loads(subprocess.check_output([INSPECT, "json", path]))
        with reader.Snapshot(path, SCHEMAS) as snapshot:
            snapshot.verify()
            ours = snapshot.as_dict()
            self.check_ram(snapshot)
        self.assertEqual(ours["header"]["streamed"], stream)
        kinds = [sum(r[k] for r in ours["regions"]) for k in ("chunks_raw", "chunks_zlib")]
        self.assertEqual(kinds, [1, 3] if level else [4, 0])
        self.assertEqual(ours["records"], theirs["records"])
        self.assertEqual(ours["header"], theirs["header"])
        self.assertEqual(ours["notes"], theirs["notes"])
        self.assertEqual(len(ours["notes"]), 3)
        self.assertEqual(len(ours["regions"]), len(theirs["regions"]))
        for mine, other in zip(ours["regions"], theirs["regions"]):
            both = mine.keys() & other.keys()  # each may count something that the other does not
            self.assertGreaterEqual(len(both), 8)
            self.assertEqual({k: mine[k] for k in both}, {k: other[k] for k in both})
        self.check_damage(data, random.Random(stream))

    def check_ram(self, snapshot):
        for start, size in ((0, LOW), (HIGH_GPA, HIGH)):
            self.assertEqual(snapshot.ram(start, size),
                             bytes(ram_byte(start + i) for i in range(size)))
            self.assertRaises(LookupError, snapshot.ram, start + size - 1, 2)
        self.assertEqual(snapshot.ram(65530, 30), bytes(ram_byte(65530 + i) for i in range(30)))

    def check_damage(self, data, chance):
        edges = [0, 1024, 4096, len(data) - 1024, len(data)]
        for low, high in [*zip(edges, edges[1:]), (0, len(data))]:
            for _ in range(12):
                offset, bit = chance.randrange(low, high), chance.randrange(8)
                with self.subTest(flipped=offset, bit=bit):
                    changed = bytearray(data)
                    changed[offset] ^= 1 << bit
                    self.assertEqual(self.judge(changed), 3)
        for length in (0, 7, 1023, 1024, 1025, len(data) - 1, chance.randrange(len(data))):
            with self.subTest(length=length):
                self.assertEqual(self.judge(data[:length]), 3)
        self.assertEqual(self.judge(data + b"\0"), 3)

    def test_file(self):
        self.check(False, 0)

    def test_stream(self):
        self.check(True, 0)

    def test_compressed_file(self):
        self.check(False, 6)

    def test_compressed_stream(self):
        self.check(True, 1)

    def test_version_2(self):
        self.check(False, 0, "2+")

    def test_compressed_stream_of_version_2(self):
        self.check(True, 6, "2")

    def test_a_root_is_that_of_the_content(self):
        roots = [self.make(stream, level, kind)[1][start + 144:][:32] for stream, level, kind, start in (
            (False, 0, "2+", 0), (True, 0, "2+", -1024), (False, 0, "2", 0), (False, 6, "2+", 0))]
        self.assertEqual(roots[0], roots[1])
        self.assertEqual(len(set(roots)), 3)

    def test_header_and_trailer_of_version_2_must_agree(self):
        data = self.make(True, 0, "2")[1]
        for offset, in_header in ((144, 3), (20, 3), (128, 3), (176, 3), (112, 3)):
            with self.subTest(offset=offset):
                changed = bytearray(data)
                changed[offset] ^= 1
                self.assertEqual(self.judge(seal(changed)), in_header)
        changed = bytearray(data)
        changed[len(data) - 1024 + 144] ^= 1
        changed[len(data) - 1012:len(data) - 1008] = bytes(4)
        struct.pack_into("<I", changed, len(data) - 1012, zlib.crc32(changed[-1024:]))
        self.assertEqual(self.judge(changed), 3)

    def test_header_and_trailer_must_agree(self):
        data = self.make(True)[1]
        for offset, in_header, in_trailer in (
                (17, 4, 4), (20, 3, 3), (32, 3, 3), (40, 3, 3), (72, 3, 3), (88, 3, 3),
                (96, 3, 3), (104, 3, 3), (112, 3, 3), (124, 4, 4), (128, 3, 3), (208, 3, 3)):
            for base, status in ((0, in_header), (len(data) - 1024, in_trailer)):
                with self.subTest(offset=offset, base=base):
                    changed = bytearray(data)
                    changed[base + offset] ^= 3 if offset == 208 else 1
                    seal(changed, len(data) - 1024)
                    self.assertEqual(self.judge(seal(changed)), status)


class Goldens(Case):
    """What every release wrote: this reader, and the C code of today, read the same in it."""

    def compare(self, path):
        theirs = json.loads(subprocess.check_output([INSPECT, "json", path]))
        with reader.Snapshot(path, SCHEMAS) as snapshot:
            snapshot.verify()
            ours = snapshot.as_dict()
            self.assertEqual(ours["records"], theirs["records"])
            self.assertEqual(ours["header"], theirs["header"])
            for region in theirs["regions"]:
                gpa, size = region["gpa"], region["size"]
                ram = subprocess.check_output([INSPECT, "extract", path, "--gpa", str(gpa), "--len",
                                               str(size)])
                self.assertEqual(snapshot.ram(gpa, size), ram)

    def test_every_golden(self):
        paths = sorted(glob.glob(os.path.join(GOLDEN, "*", "*.snap")))
        self.assertGreaterEqual(len(paths), 5)
        for path in paths:
            with self.subTest(path=path):
                self.compare(path)


class CommandLine(Case):
    def run_it(self, *arguments):
        return subprocess.run([sys.executable, "-B", reader.__file__, *arguments],
                              capture_output=True, text=True)

    def test_exit_status(self):
        for change, status in ((None, 0), (16, 4), (0x427, 3)):
            data = example()
            if change:
                data[change] ^= 7
            with open(self.scratch, "wb") as file:
                file.write(seal(data))
            done = self.run_it(self.scratch, "--json")
            self.assertEqual(done.returncode, status, done.stderr)
            theirs = subprocess.run([INSPECT, "verify", self.scratch], capture_output=True)
            self.assertEqual(theirs.returncode, status, theirs.stderr)
            self.assertEqual(bool(done.stderr), bool(status))
            if not status:
                self.assertEqual(json.loads(done.stdout)["header"]["producer"], "stasis example")
        self.assertEqual(self.run_it(self.scratch + ".none").returncode, 1)
        self.assertEqual(self.run_it().returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
