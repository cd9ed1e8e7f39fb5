#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs the sessions of docs/control.md, in their order, against one machine.

usage: test_sessions.py SOURCE_FOLDER BINARY_FOLDER fake|kvm

`fake` starts serve_fake where the text starts vmm; `kvm` needs /dev/kvm.
"""
import os
import shutil
import subprocess
import sys
import tempfile

for place in ("../../guides", "../cmd"):
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), place))
import page  # noqa: E402
from inside import Vmm  # noqa: E402
from waiting import LIMIT_S, SKIPPED, wait_for


def plain(text):
    """Without what differs from run to run, events of progress among it."""
    return page.plain(text).replace("event snapshot_progress\n", "")


class Session:
    def __init__(self, binaries, folder, fake):
        self.folder, self.fake, self.server = folder, fake, None
        self.binaries = binaries
        self.environment = dict(os.environ, PATH=binaries + ":" + os.environ["PATH"])

    def start(self, command):
        if self.fake:
            args = [os.path.join(self.binaries, "serve_fake"), "vm.sock", "."]
        else:
            args = ["bash", "-c", "exec " + command.rstrip("& ")]
        self.server = Vmm(args, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL)
        wait_for(os.path.join(self.folder, "vm.sock"), self.server)

    def run(self, args, expected):
        done = subprocess.run(args, cwd=self.folder, env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_S,
                              check=False)
        if plain(done.stdout) != plain(expected):
            sys.exit(f"{args[-1]}\nprinted\n{done.stdout}instead of\n{expected}")

    def end(self):
        if self.server and self.server.poll() is None:
            self.server.kill()
        return self.server.wait() if self.server else None


def play(session, text):
    """Returns how many commands were run."""
    count, script = 0, None
    for language, content in page.blocks(text):
        if language == "console":
            for command, expected in page.commands(content):
                if command.endswith("&"):
                    session.start(command)
                else:
                    session.run(["bash", "-c", command], expected)
                count += 1
        elif language == "python":
            script = content
        elif language == "text":
            session.run([sys.executable, "-c", script], content)
            count += 1
    return count


def main():
    source, binaries, kind = sys.argv[1:]
    if kind == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: no /dev/kvm")
        return SKIPPED
    if not shutil.which("socat"):
        print("skipped: socat is missing")
        return SKIPPED
    with open(os.path.join(source, "docs/control.md"), encoding="utf-8") as file:
        text = file.read()
    with tempfile.TemporaryDirectory() as folder:
        session = Session(os.path.abspath(binaries), folder, kind == "fake")
        try:
            count = play(session, text)
            session.server.wait(LIMIT_S)
        finally:
            status = session.end()
    print(f"{count} commands")
    return 0 if status == 0 and count > 10 else 1


if __name__ == "__main__":
    sys.exit(main())
