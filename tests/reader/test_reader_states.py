# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Records and their fields: the reader of the module understands all tables of docs/snapshot-format.md,
and refuses the same states as the C code.

test_reader_states.py MAKE_SNAPSHOT SNAPSHOT_INSPECT JUDGE_INSPECT [unittest's options]"""
import re
import sys
import unittest

if sys.version_info < (3, 10):
    print("skipped: python3 is older than 3.10")
    sys.exit(77)

import tree  # noqa: F401 (before the module)
import stasis
from build import SCHEMAS, TEXT, pack, record, with_parts
from case import Case
from stasis.reader.records import StateReader
from stasis.reader.rules import RULES
from stasis.reader.tables import parse_field


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
                        self.assertRaises(stasis.Damaged, decode, fields, version, "")


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


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
