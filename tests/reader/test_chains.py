# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Layers: the reader that was made from docs/snapshot-format.md follows chains that were made by hand
(chains.py), and the C code gives the same verdict on them and on mutants (mutate_chain.py).

test_chains.py JUDGE_INSPECT SNAPSHOT_INSPECT [NUMBER [SEED]]
NUMBER (100) mutants; those that they disagree about are kept in the current directory, as
chain-SEED-N/."""
import collections
import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

if sys.version_info < (3, 10):
    print("skipped: python3 is older than 3.10")
    sys.exit(77)

import tree  # noqa: F401 (before the module)
import stasis
from build import example, layer_on, seal
from chains import (BELOW, CHANGED, PAGE, RAW, STORED, ZERO, Name, Piece, chain, make_file, name_of)
from judges import Judge
from mutate_chain import mutant, patch, rename, reseal, write
from stasis.reader.describe import as_dict

JUDGE, INSPECT, NUMBER, SEED = sys.argv[1:5] + ["100", "1"][max(len(sys.argv) - 3, 0):]
SUMMARY = []
FULL = [b"\x2a" + bytes(PAGE - 1)] * 2
REGIONS = ((0, 0x2000),)


def judged(path):
    """Status and reason of the reader."""
    try:
        with stasis.Snapshot(path) as snapshot:
            snapshot.verify()
    except stasis.FileError as error:
        return error.code, str(error)
    return 0, ""


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = temporary.name
        cls.inspect = Judge(JUDGE)
        cls.addClassCleanup(cls.inspect.close)

    def judge(self, files):
        """The status of all judges for the last of the files."""
        path = write(self.folder, files)
        ours, why = judged(path)
        for status, reason, _ in self.inspect.verdicts(path)[:1]:
            self.assertEqual(ours, status, f"reader: {why!r}, inspect: {reason!r}")
        return ours


class Example(Case):
    def test_the_example_is_whole_and_holds_what_it_says(self):
        files = [example(2), example(3)]
        self.assertEqual(self.judge(files), 0)
        with stasis.Snapshot(write(self.folder, files)) as snapshot:
            ram = bytearray(0x11000)
            ram[0x2000] = 0x2b
            self.assertEqual(snapshot.memory.read(0, 0x11000), ram)
        made = layer_on(bytes(example(2)), ((0, 0, 3, 2), (1, 2, 0, 0)), b"\x2b" + bytes(4095))
        self.assertEqual(made, example(3))

    def test_without_its_parent_it_is_incomplete(self):
        self.assertEqual(self.judge([example(3)]), 2)

    def test_rules(self):
        index, names, entry, extent, digests = 0x428, 0x448, 0x478, 0x490, 0x4c0
        for offset, value, status in (
                (24, b"\x08", 3), (24, b"\x10", 3), (24, b"\x1a", 0), (24, b"\x38", 4),
                (24, b"\x1c", 4), (128, b"\1", 3), (176, b"\1", 3), (16, b"\1", 4), (20, b"\7", 3),
                (index + 4, b"\0", 3), (index + 4, b"\2", 3), (names, b"\1", 3),
                (names + 16, b"\1", 3), (entry + 8, b"\0", 3), (entry + 8, b"\2", 3),
                (entry + 9, b"\1", 3), (entry + 9, b"\x11", 3), (entry + 20, b"\1", 0),
                (entry + 20, b"\4", 3), (entry + 21, b"\1", 3), (extent, b"\1", 3),
                (extent + 8, b"\1", 3), (extent + 12, b"\1", 3), (extent + 16, b"\3", 3),
                (extent + 16, b"\0", 3), (extent + 18, b"\4", 3), (extent + 20, b"\1", 3),
                (extent + 22, b"\2", 3), (extent + 24, b"\1", 3), (extent + 25, b"\x20", 3),
                (extent + 40, b"\6", 3), (extent + 42, b"\2", 3), (extent + 42, b"\1", 3),
                (extent + 44, b"\1", 3), (extent + 46, b"\1", 3), (extent + 46, b"\3", 3),
                (extent + 47, b"\1", 3), (digests, b"\0", 3), (digests + 32, b"\0", 3),
                (0x1000, b"\0", 3), (0x1001, b"\1", 3), (0xfff, b"\1", 3)):
            with self.subTest(offset=offset, value=value):
                data = example(3)
                data[offset:offset + len(value)] = value
                self.assertEqual(self.judge([example(2), seal(data)]), status)

    def test_every_flipped_bit_is_found(self):
        """Of the example; of what it lies on, where something depends on it."""
        good = [bytes(example(2)), bytes(example(3))]
        chance = random.Random(1)
        for number, places in ((0, [*range(0x424), *range(0x428, 0x498)]), (1, range(0x2000))):
            for _ in range(50):
                files, at = [bytearray(data) for data in good], chance.choice(places)
                with self.subTest(number=number, at=at):
                    files[number][at] ^= 1 << chance.randrange(8)
                    self.assertNotEqual(self.judge(files), 0)


def base(uuid=b"b" * 16, regions=REGIONS, **options):
    return make_file(uuid, [(STORED, [Piece(3, 3, RAW, 0, b"".join(FULL))])], regions=regions, **options)


def layer(below, chunks, uuid=b"l" * 16, names=None, **options):
    return make_file(uuid, chunks, names or [name_of(below)], regions=REGIONS, **options)


def page(taken=1, stored=None, encoding=RAW, file=0):
    stored = taken if stored is None else stored
    return Piece(taken, stored, encoding, file, FULL[0] * stored.bit_count())


class Rules(Case):
    def test_extents_of_a_chunk(self):
        zero = Piece(1, 1, ZERO, 0, b"")
        for kind, pieces, status in (
                (BELOW, [], 0), (ZERO, [], 0), (STORED, [page()], 0), (STORED, [page(2)], 0),
                (CHANGED, [page()], 0), (CHANGED, [page(1), page(2)], 0), (CHANGED, [zero, page(2)], 0),
                (CHANGED, [page(2), page(1)], 3), (STORED, [page(2), page(1)], 3),
                (CHANGED, [page(1), page(3)], 3),
                (CHANGED, [page(1, 3), page(2, 3)], 0), (CHANGED, [page(3), page(2)], 3),
                (STORED, [zero], 3), (CHANGED, [zero], 0), (CHANGED, [zero._replace(stored=3)], 3),
                (CHANGED, [page(4)], 3), (CHANGED, [page(1, 4)], 3), (CHANGED, [page(0, 1)], 3),
                (CHANGED, [], 3), (BELOW, [page()], 3), (ZERO, [page()], 3),
                (CHANGED, [page(1), page(2)] * 8, 3), (CHANGED, [page()] * 17, 3)):
            with self.subTest(kind=kind, pieces=pieces):
                self.assertEqual(self.judge([base(), layer(base(), [(kind, pieces)])]), status)

    def foreign(self, offset=PAGE, taken=3, stored=3, names=None, file=1):
        """A layer that takes bytes of its parent."""
        below = base()
        pages = b"".join(FULL)
        digest = hashlib.sha256(pages).digest()
        piece = Piece(taken, stored, RAW, file, (offset, len(pages), zlib.crc32(pages), digest))
        return below, layer(below, [(STORED, [piece])], names=names)

    def test_extents_of_other_files(self):
        other = Name(b"c" * 16, bytes(32))
        for options, status in (
                ({}, 0), ({"taken": 1}, 0), ({"offset": 0}, 3), ({"offset": 2 * PAGE}, 3),
                ({"offset": PAGE + 1}, 3), ({"offset": (1 << 64) - PAGE}, 3), ({"file": 2}, 3),
                ({"names": [name_of(base()), other]}, 3),
                ({"names": [name_of(base()), other], "file": 2}, 3),
                ({"names": [Name(b"d" * 16, bytes(32)), name_of(base())], "file": 2}, 0),
                ({"names": [Name(b"l" * 16, bytes(32)), name_of(base())], "file": 2}, 3),
                ({"names": [name_of(base())] * 2, "file": 2}, 3)):
            with self.subTest(**options):
                expected = 2 if options.get("names", [None])[-1] == other and "file" in options else status
                self.assertEqual(self.judge(self.foreign(**options)), expected)

    def test_a_partial_index_has_bytes_of_no_other_file(self):
        piece = page(file=1)._replace(data=(PAGE, PAGE, zlib.crc32(FULL[0]), bytes(32)))
        self.assertEqual(self.judge([base(), layer(base(), [(CHANGED, [piece])])]), 3)

    def test_all_files_are_of_one_guest(self):
        for below in (base(regions=((0x2000, 0x2000),)), base(arch=183), base(features=0)):
            self.assertEqual(self.judge([below, layer(below, [(BELOW, [])])]), 3)

    def test_a_parent_has_a_root(self):
        below = example()
        made = layer(below, [(BELOW, [])], names=[Name(bytes(below[72:88]), bytes(32))])
        self.assertEqual(self.judge([below, made]), 3)

    def test_a_parent_from_the_future(self):
        for offset, value in ((16, b"\3"), (24, b"\x28"), (120, b"\2")):
            below = base()
            below[offset:offset + 1] = value
            with self.subTest(offset=offset):
                self.assertEqual(self.judge([seal(below), layer(below, [(BELOW, [])])]), 4)

    def test_loops(self):
        first = layer(base(), [(BELOW, [])], uuid=b"1" * 16)
        second = layer(first, [(BELOW, [])], uuid=b"2" * 16)
        name = name_of(second)
        index = 0x408 + 32  # behind one region
        first[index:index + 48] = b"".join(name)
        patch(first, 128, name.uuid)
        patch(first, 176, name.root)
        old = name_of(first)
        reseal(first)
        rename([second], old, name_of(first))
        self.assertEqual(self.judge([first, second]), 3)

    def test_a_replaced_parent(self):
        below, other = base(), base(state=b"\x91\x95\xa1z\xa1a\x01\x01\x80")
        made = layer(below, [(BELOW, [])])
        self.assertEqual(self.judge([other, made]), 3)
        self.assertEqual(self.judge([other, below, made]), 0)
        self.assertEqual(self.judge([below, below, made]), 0)

    def test_only_regular_files_are_looked_at(self):
        below = base()
        path = write(self.folder, [below, layer(below, [(BELOW, [])])])
        aside = os.path.join(self.folder, "aside")
        os.mkdir(aside)
        for name in ("link", "pipe"):
            with self.subTest(name=name):
                os.mkfifo(os.path.join(self.folder, "pipe"))
                if name == "link":
                    os.rename(os.path.join(self.folder, "0000.snap"), os.path.join(aside, "b"))
                    os.symlink(os.path.join(aside, "b"), os.path.join(self.folder, "link"))
                self.assertEqual(judged(path)[0], 2 if name == "link" else 0)
                for status, _, _ in self.inspect.verdicts(path)[:1]:
                    self.assertEqual(status, 2 if name == "link" else 0)
                os.remove(os.path.join(self.folder, "pipe"))
            if name == "link":
                os.rename(os.path.join(aside, "b"), os.path.join(self.folder, "0000.snap"))
                os.remove(os.path.join(self.folder, "link"))
        with stasis.Snapshot(path, layers=self.folder) as snapshot:
            self.assertEqual(snapshot.memory.read(0, PAGE), FULL[0])
        self.assertRaises(stasis.FileError, stasis.Snapshot, path, layers=aside)
        os.rmdir(aside)

    def test_an_expected_root_is_computed_for_every_file_of_the_walk(self):
        below = base()
        made = layer(below, [(BELOW, [])])
        path = write(self.folder, [below, made])
        stasis.Snapshot(path, root=name_of(made).root).close()
        self.assertRaises(stasis.FileError, stasis.Snapshot, path, root=bytes(32))
        below[0x400] ^= 1  # of the state, with its right CRC and another root
        forged = seal(bytearray(below))
        forged[144:176] = base()[144:176]
        struct.pack_into("<I", forged, 12, 0)
        struct.pack_into("<I", forged, 12, zlib.crc32(forged[:1024]))
        path = write(self.folder, [forged, made])
        stasis.Snapshot(path).close()
        self.assertRaises(stasis.FileError, stasis.Snapshot, path,
                          root=name_of(made).root)
        self.assertEqual(self.judge([forged, made]), 3)


class Random(Case):
    def test_chains_hold_what_was_written(self):
        depths = collections.Counter()
        for seed in range(8):
            made = chain(seed, seed % 9)
            path = write(self.folder, made.files)
            with self.subTest(seed=seed), stasis.Snapshot(path) as snapshot:
                self.assertEqual([snapshot.memory.chunk(i) for i in range(len(made.ram))],
                                 [b"".join(pages) for pages in made.ram])
                self.assertEqual(self.judge(made.files), 0)
                depths[len(snapshot.chain.walk)] += 1
                depths["named"] += len(snapshot.chain.named)
        self.assertGreater(len(depths), 3)
        self.assertTrue(depths["named"])

    def test_contents_are_those_of_the_c_code(self):
        for seed in range(3):
            path = write(self.folder, chain(seed, 2 + 2 * seed).files)
            theirs = json.loads(subprocess.check_output([INSPECT, "json", path]))
            with self.subTest(seed=seed), stasis.Snapshot(path) as snapshot:
                ours = as_dict(snapshot)
                self.assertEqual(ours["header"], theirs["header"])
                for mine, other in zip(ours["regions"], theirs["regions"], strict=True):
                    self.assertEqual({key: mine[key] for key in other}, other)
                    ram = subprocess.check_output([INSPECT, "extract", path, "--gpa", str(mine["gpa"]),
                                                   "--len", str(mine["size"])])
                    self.assertEqual(snapshot.memory.read(mine["gpa"], mine["size"]), ram)

    def test_verdicts_on_mutants(self):
        bases = [chain(seed, 1 + seed % 6).files for seed in range(12)]
        counts = collections.Counter()
        for number in range(int(NUMBER)):
            chance = random.Random(f"{SEED}-{number}")
            files = mutant(chance, chance.choice(bases))
            with self.subTest(number=number):
                try:
                    counts[self.judge(files)] += 1
                except AssertionError:
                    os.makedirs(f"chain-{SEED}-{number}", exist_ok=True)
                    write(f"chain-{SEED}-{number}", files)
                    raise
        SUMMARY.append(f"{sum(counts.values())} mutants of chains, seed {SEED}: " + ", ".join(
            f"{counts[status]} {name}" for status, name in ((0, "whole"), (2, "incomplete"), (
                3, "corrupt"), (4, "incompatible"))) + f"; {int(NUMBER) - sum(counts.values())} disagreements")
        self.assertEqual(set(counts), {0, 2, 3, 4})


if __name__ == "__main__":
    ended = unittest.main(argv=sys.argv[:1], exit=False)
    print(*SUMMARY)
    sys.exit(not ended.result.wasSuccessful())
