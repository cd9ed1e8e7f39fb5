# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Programs that judge many snapshots without a process for each (judge.h), and the program vmm."""
import json
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


class DryRun:
    """The program vmm, a process for each file: what --restore FILE --dry-run answers."""
    STATUSES = (0, 3, 4, 5)
    DEADLINE_S = 300  # for one that hangs

    def __init__(self, program):
        self.command = [program, "--ignore", "tsc-rate", "--serial", "none",
                        "--dry-run", "format=json", "--restore"]

    def _ask(self, path, file):
        done = subprocess.run([*self.command, path], stdin=file, capture_output=True,
                              timeout=self.DEADLINE_S, check=False)
        if done.returncode not in self.STATUSES:
            return done.returncode, done.stderr.decode(errors="replace"), []
        answer = json.loads(done.stdout)
        whole = answer["status"] == done.returncode and answer["thaws"] == (not done.returncode)
        return (done.returncode, "" if whole else "another status than the answer's",
                [(reason["kind"], reason.get("status", 0), reason["message"])
                 for reason in answer["reasons"]])

    def answers(self, path):
        """(exit status, what is wrong with it, [(kind, status, message)]), of a file and a pipe."""
        with open(path, "rb") as file:
            with subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) as cat:
                return [self._ask(path, subprocess.DEVNULL), self._ask("-", cat.stdout)]
