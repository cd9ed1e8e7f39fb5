# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs the Python in docs/python.md and README.md: what a text block holds is what the block of Python
before it prints."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    """Pairs of a program and what it prints, or None."""
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        found = BLOCK.findall(file.read())
    for at, (language, content) in enumerate(found):
        if language == "python":
            after = found[at + 1] if at + 1 < len(found) else ("python", "")
            yield content, after[1] if after[0] == "text" else None


class Pages(unittest.TestCase):
    def play(self, page, at_least, image=False):
        """Runs the page; with `image` there is the disk root.img, and each clone has left its own."""
        count = 0
        with tempfile.TemporaryDirectory() as folder:
            if image:
                with open(os.path.join(folder, "root.img"), "wb") as file:
                    file.truncate(1 << 20)
            for program, printed in blocks(page):
                run = subprocess.run(
                    [sys.executable, "-B", "-c", program],
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                self.assertEqual((run.returncode, run.stderr), (0, ""), program)
                if printed is not None:
                    self.assertEqual(run.stdout, printed, program)
                if image:
                    self.assertEqual(run.stdout.count("tick 5"), 10, program)
                count += 1
            disks = [name for name in os.listdir(folder) if name.startswith("clone")]
        self.assertGreaterEqual(count, at_least)
        self.assertEqual(len(disks), 10 * image)

    def test_python(self):
        self.play("docs/python.md", 5)

    def test_readme(self):
        self.play("README.md", 1, image=True)


if __name__ == "__main__":
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: this host has no KVM that this user may use")
        sys.exit(77)
    unittest.main()
