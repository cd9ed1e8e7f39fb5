# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Programs that judge many snapshots without a process for each (judge.h)."""
import subprocess


class Judge:
    """A program, or nobody for "none"."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, errors="replace") if program != "none" else None

    def judge(self, how, path):
        """(exit status, message, stage); `how` is "file" or "pipe"."""
        self.process.stdin.write(f"{how} {path}\n")
        self.process.stdin.flush()
        status, stage, reason = self.process.stdout.readline().rstrip("\n").split(" ", 2)
        return int(status), reason, stage

    def verdicts(self, path):
        return [self.judge(how, path) for how in ("file", "pipe")] if self.process else []

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.stdout.close()
            assert self.process.wait() == 0
