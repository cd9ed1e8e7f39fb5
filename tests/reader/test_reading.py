# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What the module offers who reads snapshots: errors by their classes, layers, what changed, disks.

test_reading.py MAKE_SNAPSHOT SNAPSHOT_INSPECT JUDGE_INSPECT [unittest's options]"""
import collections
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

if sys.version_info < (3, 10):
    print("skipped: python3 is older than 3.10")
    sys.exit(77)

import tree
import stasis
from build import example, pack, seal, with_parts
from case import INSPECT
from chains import REGIONS, chain, name_of
from mutate import Image, mutant
from stasis.reader.describe import as_dict
from stasis.reader.file import open_file

PAGE = 4096


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def put(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def refused(self, kind, path, **options):
        """The error; its one line names the file and what to do."""
        with self.assertRaises(stasis.FileError) as caught:
            with stasis.open_snapshot(path, **options) as snapshot:
                snapshot.verify()
        error = caught.exception
        self.assertIs(type(error), kind, str(error))
        self.assertIsInstance(error, stasis.Error)
        self.assertNotIn("\n", str(error))
        self.assertTrue(error.remedy and str(error).endswith(error.remedy), str(error))
        self.assertTrue(str(error).startswith(error.path + ": "), str(error))
        return error


class Errors(Folder):
    def test_damaged(self):
        for at, place in ((0x400, "section STATE"), (0x1000, "chunk 0"), (0xfff, "padding"),
                          (130, "header")):
            with self.subTest(place=place):
                data = example()
                data[at] ^= 1
                path = self.put("damaged", data)
                error = self.refused(stasis.Damaged, path)
                self.assertEqual((error.code, error.name, error.path), (3, "DAMAGED", path))
                self.assertIn(place, str(error))

    def test_whatever_a_file_is_called_it_is_one_line(self):
        name, shown = "a\n\x1b[2J\udcff\u202eb", "a\\n\\x1b[2J\\udcff\\u202eb"
        for data, status, said in ((example(2), 0, "whole"), (example(2)[:900], 3, "truncated"),
                                   (None, 1, "No such file")):
            path = os.path.join(self.folder, name)
            if data:
                self.put(name, data)
            else:
                os.remove(path)
            run = subprocess.run(
                [sys.executable, "-B", "-m", "stasis.reader", path], capture_output=True, text=True,
                env={**os.environ, "PYTHONPATH": tree.PYTHON, "LC_ALL": "C.UTF-8"}, check=False)
            self.assertEqual(run.returncode, status, run.stderr)
            lines = (run.stdout + run.stderr).splitlines()
            self.assertEqual(len(lines), 1, lines)
            self.assertIn(f"/{shown}: ", lines[0])
            self.assertIn(said, lines[0])

    def test_foreign(self):
        for content in (b"", b"\x7fELF" + bytes(2000), b"\x89STASI"):
            error = self.refused(stasis.Foreign, self.put("foreign", content))
            self.assertEqual((error.code, error.name), (3, "FOREIGN"))

    def test_a_disk_is_no_guest_and_a_guest_no_disk(self):
        data = example(2)
        guest = self.put("guest", data)
        data = bytearray(data)
        data[24] |= 32
        path = self.put("disk", seal(data))
        self.assertEqual(self.refused(stasis.Foreign, path).code, 4)
        self.assertIn("disk", str(self.refused(stasis.Foreign, path)))
        with self.assertRaises(stasis.Foreign) as caught:
            stasis.open_disk(guest, path)
        self.assertEqual((caught.exception.code, caught.exception.path), (4, guest))

    def test_newer(self):
        version, feature = example(), example(2)
        version[16], feature[31] = 3, 0x80
        record = with_parts(pack([["x.new", "a", 1, 0, {1: 5}]]))
        for data, what in ((seal(version), "version 3"), (seal(feature), "features"),
                           (record, "record x.new of a")):
            with self.subTest(what=what):
                path = self.put("newer", data)
                error = self.refused(stasis.Newer, path)
                self.assertEqual((error.code, error.name), (4, "NEWER"))
                self.assertEqual(error.producer, "stasis example")
                self.assertIn("made by stasis example", str(error))
                self.assertIn(what, str(error))
                self.assertEqual(stasis.identify(path).producer, "stasis example")

    def test_missing_parent(self):
        files = chain(3, 2).files
        path = self.put("top", files[-1])
        self.put("base", files[0])
        error = self.refused(stasis.MissingParent, path)
        self.assertEqual((error.code, error.name, error.path), (2, "MISSING_PARENT", path))
        self.assertIn(name_of(files[1]).uuid.hex(), str(error))
        with tempfile.TemporaryDirectory() as other:
            os.rename(self.put("middle", files[1]), os.path.join(other, "m"))
            os.rename(os.path.join(self.folder, "base"), os.path.join(other, "b"))
            stasis.open_snapshot(path, layers=other).close()

    def test_a_damaged_parent_is_named(self):
        files = chain(3, 1).files
        data = bytearray(files[0])
        data[1024 + 8] ^= 255
        parent = self.put("parent", data)
        self.assertEqual(self.refused(stasis.Damaged, self.put("top", files[1])).path, parent)

    def test_another_content_than_expected(self):
        path = self.put("whole", example(2))
        with stasis.open_snapshot(path) as snapshot:
            root = snapshot.info.root
        stasis.open_snapshot(path, root=root).close()
        self.refused(stasis.Damaged, path, root="00" * 32)
        self.refused(stasis.Newer, self.put("first", example(1)), root=root)

    def test_no_file(self):
        self.assertRaises(FileNotFoundError, stasis.open_snapshot, self.folder + "/none")


class Content(Folder):
    def test_info_and_state(self):
        with stasis.open_snapshot(self.put("a", example(2))) as snapshot:
            info = snapshot.info
            self.assertEqual((info.format_version, info.producer, info.arch, info.ram_bytes),
                             (2, "stasis example", "x86_64", 0x11000))
            self.assertEqual(len(bytes.fromhex(info.root)), 32)
            self.assertEqual(snapshot.state("stasis.i8042")["output_port"] & 1, 1)
            self.assertEqual(snapshot.state("stasis.i8042", "kbd"), snapshot.records[0].state)
            self.assertRaises(LookupError, snapshot.state, "stasis.i8042", "other")
            self.assertRaises(LookupError, snapshot.state, "x.none")
            self.assertEqual((snapshot.notes, snapshot.disks), ({}, []))

    def test_memory(self):
        made = chain(5, 4)
        with stasis.open_snapshot(self.put("top", made.files[0])) as snapshot:
            self.assertEqual([tuple(r[:2]) for r in snapshot.regions], list(REGIONS))
            size = REGIONS[0][1]
            whole = snapshot.memory.read(0, size)
            chance = random.Random(5)
            for _ in range(50):
                start = chance.randrange(size)
                length = chance.randrange(size - start + 1)
                self.assertEqual(snapshot.memory.read(start, length), whole[start:start + length])
            for gpa, length in ((-1, 1), (size, 1), (size - 1, 2), (1 << 60, 1)):
                self.assertRaises(LookupError, snapshot.memory.read, gpa, length)
            self.assertRaises(ValueError, snapshot.memory.read, 0, -1)
            self.assertEqual(snapshot.memory.read(1 << 60, 0), b"")

    def test_changed_is_what_differs(self):
        for seed in range(6):
            made = chain(seed, 5)
            paths = [self.put(f"{i}", data) for i, data in enumerate(made.files)]
            for one, two in ((0, 5), (5, 0), (2, 3), (4, 4)):
                with (self.subTest(seed=seed, one=one, two=two), stasis.open_snapshot(paths[one]) as a,
                      stasis.open_snapshot(paths[two]) as b):
                    found = {gpa for part in a.changed(b)
                             for gpa in range(part.gpa, part.gpa + part.length, PAGE)}
                    wanted = {gpa for start, size in REGIONS for gpa in range(start, start + size, PAGE)
                              if a.memory.read(gpa, PAGE) != b.memory.read(gpa, PAGE)}
                    self.assertEqual(found, wanted)
                    self.assertEqual(bool(found), one != two)
                    starts = [(part.gpa, part.gpa + part.length) for part in a.changed(b)]
                    self.assertTrue(all(x[1] < y[0] for x, y in zip(starts, starts[1:])))

    def test_changed_reads_only_what_is_not_shared(self):
        made = chain(1, 3)
        paths = [self.put(f"{i}", data) for i, data in enumerate(made.files)]
        with stasis.open_snapshot(paths[3]) as a, stasis.open_snapshot(paths[3]) as b:
            a.memory.chunk = b.memory.chunk = None
            self.assertEqual(list(a.changed(b)), [])

    def test_changed_of_other_memory(self):
        with (stasis.open_snapshot(self.put("a", example(2))) as a,
              stasis.open_snapshot(self.put("b", chain(1, 0).files[0])) as b):
            self.assertRaisesRegex(stasis.Error, "other memory", list, a.changed(b))

    def test_layers_are_those_that_snapshot_inspect_shows(self):
        for seed in (2, 7, 9):
            with self.subTest(seed=seed):
                folder = os.path.join(self.folder, str(seed))
                os.mkdir(folder)
                path = chain(seed, 6).write(folder)
                theirs = json.loads(subprocess.check_output([INSPECT, "layers", "--json", path]))
                with stasis.open_snapshot(path) as snapshot:
                    self.compare(snapshot.layers, theirs)

    def compare(self, ours, theirs):
        top, = (file for file in theirs if file["file"] == ours[0].path)
        self.assertEqual((str(ours[0].uuid), ours[0].root, ours[0].stored_bytes, ours[0].created_ns),
                         (top["uuid"], top["root"], top["stored_bytes"], top["created_ns"]))
        pages = {part["file"]: part["pages"] for part in top["memory"] if part["pages"]}
        self.assertGreater(len(pages), 1)
        self.assertEqual({layer.path: layer.pages for layer in ours if layer.pages}, pages)


class Hostile(Folder):
    def test_mutants_raise_nothing_but_errors_of_files(self):
        images, path = [Image(example()), Image(example(2))], os.path.join(self.folder, "mutant")
        seen = collections.Counter()
        for number in range(400):
            chance = random.Random(f"reading-{number}")
            data = mutant(chance, chance.choice(images))
            with self.subTest(number=number):
                self.put("mutant", data)
                try:
                    stasis.identify(path)
                    with stasis.open_snapshot(path) as snapshot:
                        seen["opened"] += 1
                        self.look(snapshot)
                except stasis.FileError as error:
                    self.assertTrue(str(error).startswith(path + ": ") and "\n" not in str(error))
                    seen[type(error)] += 1
        self.assertEqual(set(seen), {"opened", stasis.Damaged, stasis.Newer})

    @staticmethod
    def look(snapshot):
        """At all that it offers."""
        for what in (lambda: as_dict(snapshot), lambda: snapshot.layers, lambda: snapshot.disks,
                     lambda: list(snapshot.changed(snapshot)), snapshot.verify):
            try:
                what()
            except stasis.FileError:
                pass


class Effort(Folder):
    def test_each_file_of_a_folder_is_looked_at_once_for_all_parents(self):
        path = chain(2, 40).write(self.folder)
        with unittest.mock.patch("stasis.reader.chain.open_file", wraps=open_file) as opened:
            with stasis.open_snapshot(path) as snapshot:
                self.assertGreater(len(snapshot.layers), 3)
        self.assertLessEqual(opened.call_count, 2 * 41)

    def put_4_tib(self):
        """A small file that claims as much."""
        data = example(2)
        struct.pack_into("<Q", data, 1064 + 24, 1 << 42)  # the size of the region
        struct.pack_into("<Q", data, 104, 1 << 42)
        return self.put("large", seal(data))

    def test_a_small_file_of_4_tib_is_described_by_its_runs(self):
        with stasis.open_snapshot(self.put_4_tib()) as snapshot:
            index = snapshot.file.index
            with unittest.mock.patch.object(index, "at", wraps=index.at) as at:
                region = as_dict(snapshot)["regions"][0]
        self.assertLessEqual(at.call_count, 2)
        self.assertEqual((region["chunks_raw"], region["chunks_zero"]), (1, (1 << 26) - 1))

    def test_snapshot_inspect_reads_a_small_file_of_4_tib_by_its_runs(self):
        large, small = self.put_4_tib(), self.put("small", example(2))
        more = (1 << 30) - 17  # pages
        for a, b, found in ((small, large, f"differs   #     3.9 TiB, {more} pages"),
                            (large, small, f"{more} pages are in {large} only"),
                            (large, large, f"3.9 TiB, {(1 << 30) - 1} pages in both")):
            self.assertIn(found, self.inspect("memory", a, b))
        self.assertIn(f"{more} in the second", self.inspect("diff", small, large, status=1))
        self.assertIn(f" {(1 << 26) - 1} ", self.inspect("memory", large))
        self.inspect("report", small, large, "-o", self.folder + "/report.html")

    def inspect(self, *arguments, status=0):
        """What it prints; the kernel ends it after 2 s on a CPU, of which it takes some
        milliseconds. By pages, or by chunks, it takes longer."""
        run = subprocess.run(
            ["sh", "-c", 'ulimit -t 2 && exec "$@"', "sh", INSPECT, *arguments],
            capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False)
        self.assertEqual((run.returncode, run.stderr), (status, ""), arguments)
        return run.stdout


class Installed(Folder):
    def test_needs_the_standard_library_alone_and_nothing_of_the_tree(self):
        """As it is installed: the module and the document, in a folder of its own."""
        subprocess.run(["cp", "-r", os.path.join(tree.PYTHON, "stasis"), self.folder], check=True)
        document = os.path.join(tree.PYTHON, "..", "docs", "snapshot-format.md")
        target = os.path.join(self.folder, "stasis", "reader")
        subprocess.run(["cp", document, target], check=True)
        path = self.put("a", example(2))
        run = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c",
             f"import sys; sys.path.insert(0, {self.folder!r}); import stasis, stasis.reader.tables\n"
             f"print(stasis.reader.tables.PLACES[0])\n"
             f"with stasis.open_snapshot({path!r}) as s: s.verify(); print(s.records[0].type)"],
            capture_output=True, text=True, check=False)
        self.assertEqual(run.stderr, "")
        self.assertEqual(run.stdout.split(), [target + "/snapshot-format.md", "stasis.i8042"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
