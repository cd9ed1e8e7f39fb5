# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs of vmm, and how many of them ended inside the sandbox: a line at the end of the test says it,
as those in C do (session_rig.c)."""
import atexit
import os
import selectors
import subprocess

RUNS = []


def tell():
    inside = sum(RUNS)
    if inside:
        print(f"inside the sandbox: {inside} runs of vmm", flush=True)


atexit.register(tell)


class Vmm(subprocess.Popen):
    """Is looked at when it has ended, and before it is gone."""

    def look(self, timeout):
        """Waits for its end, for so many seconds or for ever; whether it has ended."""
        fd = os.pidfd_open(self.pid)
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            ended = selector.select(timeout)
        os.close(fd)
        if ended:
            with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
                RUNS.append("Seccomp:\t2\n" in file.read())
        return ended

    def wait(self, timeout=None):
        if self.returncode is None:
            self.look(timeout)
        return super().wait(timeout)

    def poll(self):
        if self.returncode is None and not self.look(0):
            return None
        return super().poll()
