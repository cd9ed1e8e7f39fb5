# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The reader that was made from docs/snapshot-format.md finds in chains that the C code writes what the
guest had in its RAM (make_chain.c).

test_layers.py MAKE_CHAIN [LAYERS [SEED]]"""
import os
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

MAKE, LAYERS, SEED = (sys.argv[1:4] + ["none", "30", "1"][len(sys.argv) - 1:])[:3]
RANGES = ((0, 0x92000), (1 << 32, 0x140000))


class Written(unittest.TestCase):
    def check(self, level, form):
        """The number of layers whose own index is whole."""
        with tempfile.TemporaryDirectory() as folder:
            made = subprocess.run([MAKE, folder, LAYERS, SEED, level, form], check=True,
                                  capture_output=True, text=True)
            crcs, whole = made.stdout.split(), 0
            self.assertEqual(len(crcs), int(LAYERS) + 1)
            for number, crc in enumerate(crcs):
                with (self.subTest(level=level, form=form, number=number),
                      stasis.Snapshot(os.path.join(folder, str(number))) as snapshot):
                    snapshot.verify()
                    ram = b"".join(snapshot.memory.read(gpa, size) for gpa, size in RANGES)
                    self.assertEqual(zlib.crc32(ram), int(crc))
                    whole += number > 0 and len(snapshot.chain.walk) == 1
        return whole

    def test_each_layer_is_the_guest_of_its_time(self):
        for level, form in (("0", "2"), ("1", "2"), ("0", "2+")):
            self.assertIn(self.check(level, form), range(1, int(LAYERS)))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
