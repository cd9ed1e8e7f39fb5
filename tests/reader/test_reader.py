# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The reader of the module and the C code find the same in snapshots that the C code made, today and
in earlier releases, and refuse the same damaged ones.

test_reader.py MAKE_SNAPSHOT SNAPSHOT_INSPECT JUDGE_INSPECT [unittest's options]"""
import glob
import json
import os
import random
import struct
import subprocess
import sys
import unittest
import zlib

if sys.version_info < (3, 10):
    print("skipped: python3 is older than 3.10")
    sys.exit(77)

import tree
import stasis
from build import example, seal
from case import INSPECT, MAKE, Case
from stasis.reader.describe import as_dict

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
        with stasis.Snapshot(path) as snapshot:
            snapshot.verify()
            ours = as_dict(snapshot)
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
            self.assertEqual(snapshot.memory.read(start, size),
                             bytes(ram_byte(start + i) for i in range(size)))
            self.assertRaises(LookupError, snapshot.memory.read, start + size - 1, 2)
        self.assertEqual(snapshot.memory.read(65530, 30), bytes(ram_byte(65530 + i) for i in range(30)))

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
        with stasis.Snapshot(path) as snapshot:
            snapshot.verify()
            ours = as_dict(snapshot)
            self.assertEqual(ours["records"], theirs["records"])
            self.assertEqual(ours["header"], theirs["header"])
            for region in theirs["regions"]:
                gpa, size = region["gpa"], region["size"]
                ram = subprocess.check_output([INSPECT, "extract", path, "--gpa", str(gpa), "--len",
                                               str(size)])
                self.assertEqual(snapshot.memory.read(gpa, size), ram)

    def test_every_golden(self):
        paths = sorted(glob.glob(os.path.join(GOLDEN, "*", "*.snap")))
        self.assertGreaterEqual(len(paths), 5)
        for path in paths:
            with self.subTest(path=path):
                self.compare(path)


class CommandLine(Case):
    def run_it(self, *arguments):
        return subprocess.run([sys.executable, "-B", "-m", "stasis.reader", *arguments],
                              env=os.environ | {"PYTHONPATH": tree.PYTHON},
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
