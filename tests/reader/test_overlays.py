# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The reader that was made from docs/snapshot-format.md reads overlays of disks that the C code writes
(make_overlay.c), and both take or refuse the same mutants, and find the same in them.

test_overlays.py MAKE_OVERLAY [NUMBER [SEED]]
NUMBER (60) mutants; those that they disagree about are kept in the current directory, as
overlay-SEED-N/."""
import collections
import fcntl
import hashlib
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

MAKE, NUMBER, SEED = sys.argv[1:4] + ["60", "1"][max(len(sys.argv) - 2, 0):]
PAGE, BYTES = 4096, 300 * 4096 + 1536
SUMMARY = []


def base():
    """As make_overlay.c has it."""
    pages = (struct.pack("<Q", page * 0x9e3779b97f4a7c15 % 2**64) * (PAGE // 8)
             for page in range(-(-BYTES // PAGE)))
    return b"".join(pages)[:BYTES]


def judged(path, image, layers=None):
    """Whether the reader takes it, what is in it, and why not."""
    try:
        with stasis.open_disk(path, image, layers=layers) as disk:
            return True, zlib.crc32(disk.read(0, disk.size)), ""
    except stasis.FileError as error:
        return False, 0, str(error)


def seal(data, at, length):
    """Makes the CRC of a slot or a commit right."""
    if 0 <= at <= len(data) - 64 and length >= 64:
        data[at + 60:at + 64] = bytes(4)
        struct.pack_into("<I", data, at + 60, zlib.crc32(data[at:at + length]))


def commits(data):
    """(offset, length) of what looks like one."""
    for at in range(3 * PAGE, len(data) - 63, PAGE):
        if data[at:at + 13] == b"stasis commit":
            entries, state = struct.unpack_from("<II", data, at + 40)
            yield at, 64 + -(-state // 4) * 4 + 12 * entries


def change(chance, data, at, length):
    """A number somewhere becomes a likely wrong one."""
    size = chance.choice((1, 4, 8))
    place = at + chance.randrange(max(length - size, 1))
    old = int.from_bytes(data[place:place + size], "little")
    new = chance.choice((0, 1, 2, 3, old + 1, old - 1, old + 4096, old ^ 1 << chance.randrange(8 * size)))
    data[place:place + size] = (new % (1 << 8 * size)).to_bytes(size, "little")


def mutant(chance, files):
    """The same files, one of them changed."""
    if len(files) > 1 and chance.random() < .4:
        return with_another_index(chance, files)
    name = chance.choice(sorted(files) + ["overlay"])
    return {**files, name: changed(chance, files[name])}


def put_crc(data, at):
    """Of a header."""
    data[at + 12:at + 16] = bytes(4)
    struct.pack_into("<I", data, at + 12, zlib.crc32(data[at:at + 1024]))


def with_another_index(chance, files):
    """That of the sealed file on which the overlay lies; checksums and root are right, and the overlay
    names that root."""
    overlay = bytearray(files["overlay"])
    name = next((name for name, data in files.items()
                 if name != "overlay" and data[72:88] == overlay[128:144]), None)
    if not name:
        return files
    data = bytearray(files[name])
    trailer = len(data) - 1024
    sections = {}
    for i in range(struct.unpack_from("<I", data, trailer + 208)[0]):
        kind, _, at, length, _, _ = struct.unpack_from("<IIQQII", data, trailer + 224 + 32 * i)
        sections[kind] = at, length, trailer + 224 + 32 * i + 24
    at, length, crc = sections[2]
    regions, names, entries, extents = struct.unpack_from("<IIII", data, at)
    first = at + 16 + 16 * regions + 48 * names
    parts = (at, 16), (first, 12 * entries), (first + 12 * entries, 24 * extents), (at, length)
    change(chance, data, *chance.choice([part for part in parts if part[1]]))
    index = bytearray(data[at:at + length])
    struct.pack_into("<I", data, crc, zlib.crc32(index))
    regions, names, entries, extents = struct.unpack_from("<IIII", index)
    first = 16 + 16 * regions + 48 * names + 12 * entries
    for place in range(first, min(first + 24 * extents, length - 7), 24):
        index[place:place + 8] = bytes(8)
    state = data[sections[1][0]:sum(sections[1][:2])]
    arch = data[trailer + 20:trailer + 24]
    root = hashlib.sha256(b"stasis root 2\0\0\0" + arch + bytes(4) + hashlib.sha256(state).digest()
                          + data[176:208] + index).digest()
    data[trailer + 144:trailer + 176] = overlay[176:208] = root
    put_crc(data, trailer)
    put_crc(overlay, 0)
    return {**files, name: bytes(data), "overlay": bytes(overlay)}


def changed(chance, data):
    old, data, found = data, bytearray(data), list(commits(data))
    for _ in range(chance.choice((1, 1, 2))):
        if not data:  # all was cut off
            break
        kind = chance.random()
        if kind < .2:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif kind < .3:
            change(chance, data, 0, 1024)
            data[12:16] = bytes(4)
            struct.pack_into("<I", data, 12, zlib.crc32(data[:1024]))
        elif kind < .5:
            at = PAGE * chance.choice((1, 2))
            change(chance, data, at, 64)
            seal(data, at, 64)
        elif kind < .9 and found:
            at, length = chance.choice((found[-1], found[0], chance.choice(found)))
            change(chance, data, at, length)
            if chance.random() < .8:
                seal(data, at, length)
        else:
            del data[chance.randrange(len(data)) // chance.choice((1, 512)) * chance.choice((1, 512)):]
    return bytes(data) if any(data[:PAGE]) else old[:PAGE]  # what is empty is made anew


class Overlays(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # nobody waits for a disk
        folder = tempfile.TemporaryDirectory(dir=memory)
        cls.addClassCleanup(folder.cleanup)
        cls.folder, cls.made = os.path.join(folder.name, "files"), []
        os.mkdir(cls.folder)
        cls.image = os.path.join(folder.name, "image")
        with open(cls.image, "wb") as file:
            file.write(base())
        cls.path = os.path.join(cls.folder, "overlay")
        for seed in range(8):
            said = subprocess.run([MAKE, str(BYTES), cls.path, str(seed)], check=True,
                                  capture_output=True, text=True)
            cls.made.append((cls.take(), int(said.stdout)))
        cls.layers = os.path.join(folder.name, "layers")
        os.mkdir(cls.layers)
        cls.judge, cls.judge_with_layers = (
            subprocess.Popen([MAKE, str(BYTES), *layers], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True, errors="replace")
            for layers in ([], [cls.layers]))
        cls.addClassCleanup(cls.stop)

    @classmethod
    def take(cls):
        """{name: content} of the files in the folder, which is empty then."""
        files = {}
        for name in os.listdir(cls.folder):
            path = os.path.join(cls.folder, name)
            with open(path, "rb") as file:
                files[name] = file.read()
            os.remove(path)
        return files

    def put(self, files):
        self.take()
        for name, data in files.items():
            with open(os.path.join(self.folder, name), "wb") as file:
                file.write(data)

    @classmethod
    def stop(cls):
        for judge in cls.judge, cls.judge_with_layers:
            judge.stdin.close()
            judge.stdout.close()
            judge.wait()

    def theirs(self, judge=None):
        judge = judge or self.judge
        judge.stdin.write(self.path + "\n")
        judge.stdin.flush()
        status, crc, why = judge.stdout.readline().rstrip("\n").split(" ", 2)
        if status == "99":
            raise AssertionError(f"opening it, and looking at it, differ: {why}")
        return status == "0", int(crc), why

    def test_they_hold_what_was_flushed(self):
        for number, (files, crc) in enumerate(self.made):
            with self.subTest(seed=number):
                self.put(files)
                self.assertEqual(judged(self.path, self.image), (True, crc, ""))
        self.assertIn(True, [len(files) > 2 for files, _ in self.made])

    def test_what_they_lie_on_may_be_in_another_folder(self):
        files, crc = max(self.made, key=lambda made: len(made[0]))
        sealed = sorted(set(files) - {"overlay"})
        self.assertGreater(len(sealed), 4)
        for moved in sealed[:1], sealed[1::2], sealed:
            self.put(files)
            for name in moved:
                os.rename(os.path.join(self.folder, name), os.path.join(self.layers, name))
            self.assertEqual(judged(self.path, self.image)[0], False)
            self.assertEqual(self.theirs()[0], False)
            self.assertEqual(judged(self.path, self.image, self.layers), (True, crc, ""))
            self.assertEqual(self.theirs(self.judge_with_layers), (True, crc, ""))
            for name in moved:
                os.remove(os.path.join(self.layers, name))

    def test_what_a_guest_uses_is_refused_and_what_is_read_is_locked(self):
        def lock(file, kind):
            """As vmm locks it (F_OFD_SETLK)."""
            fcntl.fcntl(file, 37, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))

        files, crc = self.made[0]
        self.put(files)
        with open(self.path, "r+b") as guest:
            lock(guest, fcntl.F_WRLCK)
            with self.assertRaises(stasis.InUse) as caught:
                stasis.open_disk(self.path, self.image)
            error = caught.exception
            self.assertEqual((error.code, error.name, error.path), (2, "IN_USE", self.path))
            self.assertIn("a guest uses it; end the guest", str(error))
            self.assertIn("in use", self.theirs()[2])  # the C code sees the same lock
            lock(guest, fcntl.F_UNLCK)
            with stasis.open_disk(self.path, self.image) as disk:
                self.assertEqual(zlib.crc32(disk.read(0, disk.size)), crc)
                with stasis.open_disk(self.path, self.image):
                    self.assertRaises(BlockingIOError, lock, guest, fcntl.F_WRLCK)
            lock(guest, fcntl.F_WRLCK)

    def test_mutants(self):
        counts, wrong = collections.Counter(), 0
        for number in range(int(NUMBER)):
            chance = random.Random(f"{SEED}-{number}")
            files = mutant(chance, chance.choice(self.made)[0])
            self.put(files)
            ours, others = judged(self.path, self.image), self.theirs()
            counts["taken" if ours[0] else "refused"] += 1
            with self.subTest(number=number):
                if ours[:2] != others[:2]:
                    wrong += 1
                    os.makedirs(f"overlay-{SEED}-{number}", exist_ok=True)
                    for name, data in files.items():
                        with open(f"overlay-{SEED}-{number}/{name}", "wb") as file:
                            file.write(data)
                self.assertEqual(ours[:2], others[:2], f"reader: {ours[2]!r}, C: {others[2]!r}")
        SUMMARY.append(f"{NUMBER} mutants of overlays, seed {SEED}: {counts['taken']} taken, "
                       f"{counts['refused']} refused; {wrong} disagreements")
        self.assertEqual(set(counts), {"taken", "refused"})


if __name__ == "__main__":
    ended = unittest.main(argv=sys.argv[:1], exit=False)
    print(*SUMMARY)
    sys.exit(not ended.result.wasSuccessful())
