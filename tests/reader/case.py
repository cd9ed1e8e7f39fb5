# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What the tests of the reader share: the programs that they are given, and the judgement of both."""
import os
import sys
import tempfile
import unittest

import tree  # the module of this tree
import stasis
from judges import Judge

MAKE, INSPECT, JUDGE = sys.argv[1:4]


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
            with stasis.Snapshot(self.scratch) as snapshot:
                snapshot.verify()
        except stasis.FileError as error:
            ours, why = error.code, str(error)
        theirs, reason, _ = self.inspect.judge("file", self.scratch)
        self.assertEqual(ours, theirs, f"reader: {why!r}, inspect: {reason!r}")
        return ours
