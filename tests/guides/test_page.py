#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What the runner of pages takes for right, and what it refuses."""
import os
import tempfile
import unittest

import page


def outcome(text, limit_s=60):
    """The commands that were right, and why the next was not, or None."""
    found = page.steps(text)
    done = []
    with tempfile.TemporaryDirectory() as folder:
        said = page.run(found, folder, dict(os.environ), limit_s)
    try:
        for command in page.check(found, said):
            done.append(command)
    except page.Failure as failure:
        return done, str(failure)
    return done, None


def console(*lines):
    return "```console\n" + "\n".join(lines) + "\n```\n"


class Page(unittest.TestCase):
    def good(self, text, count):
        done, why = outcome(text)
        self.assertIsNone(why)
        self.assertEqual(len(done), count)

    def bad(self, text, reason, limit_s=60):
        self.assertIn(reason, outcome(text, limit_s)[1] or "nothing")

    def test_commands_share_a_shell(self):
        self.good(console("$ a=1; cd /", "$ echo $a $PWD", "1 /"), 2)

    def test_a_command_of_several_lines(self):
        self.good(console("$ echo a \\", "    b", "a b") + "```sh\ncat <<'END'\nc\nEND\n```\n", 2)

    def test_what_a_script_prints(self):
        self.good("```sh\necho a\necho b\n```\n\nIt prints:\n\n```text\na\nb\n```\n", 1)
        self.bad("```sh\necho a\n```\n```text\nb\n```\n", "instead of")

    def test_dots_stand_for_text_and_for_lines(self):
        self.good(console("$ seq 9", "1", "...", "9"), 1)
        self.good(console("$ echo one two three", "one ... three"), 1)
        self.bad(console("$ seq 9", "1", "...", "8"), "instead of")
        self.bad(console("$ printf 'one\\nthree\\n'", "one ... three"), "instead of")

    def test_what_varies(self):
        self.good(console("$ echo took 3.5 ms, 12 KiB", "took 61.3 ms, 4 KiB"), 1)
        self.good(console("$ echo rate 2300.001 MHz", "rate 2595.1 MHz"), 1)
        self.good(console("$ echo stasis 0.3.0 or later", "stasis 0.2.0 or later"), 1)
        self.good(console("$ echo 0x1f 2026-11-30T02:14:13.5", "0xffff 2025-01-01T00:00:00"), 1)
        self.bad(console("$ echo took 3.5 ms", "took 3.5 s"), "instead of")
        self.bad(console("$ echo 3 files", "4 files"), "instead of")

    def test_output_is_complete(self):
        self.bad(console("$ seq 2", "1"), "instead of")
        self.bad(console("$ echo a"), "instead of")
        self.bad(console("$ echo a >&2"), "instead of")

    def test_a_status_is_shown_or_zero(self):
        self.good(console("$ (exit 3)", "$ echo $?", "3"), 2)
        self.bad(console("$ (exit 3)"), "ended with status 3")
        self.bad(console("$ (exit 3)", "$ echo $?", "2"), "instead of")

    def test_what_does_not_end(self):
        self.bad(console("$ sleep 1000"), "this did not end", 1)
        self.bad(console("$ exit"), "this did not end")
        with self.assertRaisesRegex(page.Failure, "in the background"):
            list(page.check(page.steps(console("$ sleep 1000 &")), page.MARK + "0\n"))


if __name__ == "__main__":
    unittest.main()
