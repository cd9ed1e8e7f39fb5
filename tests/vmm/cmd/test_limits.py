#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Limits of resources that are reached at any point: test_limits.py VMM SNAPSHOT_INSPECT. Freezes and
thaws with each limit from the least at which the program begins to one at which all goes well. A run
ends with a status that vmm(1) has, never by a signal; says why in whole lines; and leaves its files
as they were, or new and whole."""
import os
import re
import resource
import selectors
import shutil
import subprocess
import sys
import tempfile
import time

from inside import Vmm

SKIPPED = 77
LIMIT_S = 300  # only a hang gets there
STATUSES = range(0, 12)
USER = 61093  # that nobody has: RLIMIT_NPROC counts the threads of a user
IS_ROOT = os.geteuid() == 0
FAILURES = []


def become(limit, value):
    """For a child: an ordinary user with this limit."""
    def prepare():
        if IS_ROOT:
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(limit, (value, value))
    return prepare


class Run:
    """One run of vmm, to whose guest a q is typed as soon as there is a message, or a line of it."""

    def __init__(self, scene, args, limit, value):
        self.out, self.err, self.asked = b"", b"", False
        self.process = Vmm(
            [scene.vmm, *args, "--kvm", str(scene.kvm)], cwd=scene.folder, pass_fds=scene.fds,
            preexec_fn=become(limit, value), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.wait_until = time.monotonic() + LIMIT_S
        self.quits = "--restore" in args
        with self.process:
            self.listen()
        self.status = self.process.returncode

    def ask(self):
        """The guest powers itself off."""
        self.asked = True
        try:
            self.process.stdin.write(b"q")
            self.process.stdin.close()
        except BrokenPipeError:
            pass

    def listen(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ, "out")
            selector.register(self.process.stderr, selectors.EVENT_READ, "err")
            while selector.get_map():
                for key, _ in selector.select(1):
                    self.take(selector, key)
                if not self.asked and (b"\n" in self.err or (self.quits and b"\n" in self.out)):
                    self.ask()
                if time.monotonic() > self.wait_until:
                    self.process.kill()
                    sys.exit(f"it hangs: {self.err.decode()}")

    def take(self, selector, key):
        text = os.read(key.fd, 65536)
        if not text:
            selector.unregister(key.fileobj)
        setattr(self, key.data, getattr(self, key.data) + text)


class Scene:
    def __init__(self, vmm, inspect, folder):
        self.folder = folder
        self.vmm = shutil.copy(vmm, os.path.join(folder, "vmm"))  # where an ordinary user can read it
        self.inspect = os.path.abspath(inspect)
        self.kvm = os.open("/dev/kvm", os.O_RDWR)
        self.fds, self.lazy = [self.kvm], "lazy"
        if os.access("/dev/userfaultfd", os.R_OK | os.W_OK):
            self.fds.append(os.open("/dev/userfaultfd", os.O_RDWR))
            self.lazy = f"lazy,uffd_fd={self.fds[-1]}"
        with open(self.path("disk"), "wb") as disk:
            disk.truncate(1 << 20)
        if IS_ROOT:
            os.chown(folder, USER, USER)
            os.chown(self.path("disk"), USER, USER)
        whole = Run(self, ["--demo", "--memory", "32", "--snapshot-out", "old,on_output=tick 2"],
                    resource.RLIMIT_CORE, 0)
        if whole.status:
            sys.exit(f"no snapshot to begin with: {whole.err.decode()}")

    def path(self, name):
        return os.path.join(self.folder, name)

    def begins(self, limit, value):
        """Whether the program's loader, and what it links, can do with so little."""
        done = subprocess.run([self.vmm, "--version"], preexec_fn=become(limit, value),
                              pass_fds=self.fds, check=False, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        return done.returncode == 0

    def is_whole(self, name):
        return subprocess.run([self.inspect, "verify", self.path(name)], check=False,
                              stdout=subprocess.DEVNULL).returncode == 0

    def reset(self):
        for name in os.listdir(self.folder):
            if name not in ("vmm", "old", "disk"):
                os.unlink(self.path(name))
        shutil.copy(self.path("old"), self.path("new"))
        if IS_ROOT:
            os.chown(self.path("new"), USER, USER)

    def faults(self, run):
        """What is wrong with how it ended."""
        text = run.err.decode()
        if run.status not in STATUSES:
            yield f"status {run.status}"
        if run.status and not text:
            yield "not a word"
        if text and not text.endswith("\n") or any(
                not re.match(r"vmm: \S", line) for line in text.splitlines()):
            yield "not whole lines"
        rest = set(os.listdir(self.folder)) - {"vmm", "old", "new", "metrics", "disk", "overlay"}
        if "the control socket is not removed at the end" in text:
            rest -= {"sock"}
        if rest:
            yield f"left behind: {rest}"
        with open(self.path("old"), "rb") as old, open(self.path("new"), "rb") as new:
            if old.read() != new.read() and not self.is_whole("new"):
                yield "the snapshot is neither the old one nor whole"
        if os.path.exists(self.path("metrics")):
            with open(self.path("metrics"), encoding="utf-8") as file:
                text = file.read()
            if text and not text.endswith("}\n"):  # empty: it died before it could write
                yield f"half of the metrics: {text}"

    def attempt(self, args, limit, value):
        """Whether all went well."""
        self.reset()
        run = Run(self, args, limit, value)
        for fault in self.faults(run):
            FAILURES.append(f"{' '.join(args)} with limit {value}: {fault}\n{run.err.decode()}")
        return run.status == 0


FREEZE = ["--demo", "--memory", "32", "--metrics", "metrics", "--snapshot-out",
          "new,on_output=tick 1"]

# With another process for files of clients, and all that has descriptors and threads of its own.
FREEZE_ALL = [*FREEZE, "--vsock", "path=host", "--block", "path=disk,overlay=overlay"]
CONTROL = ["--control", "sock"]  # which a build without jansson has not


def kinds(scene):
    may_control = subprocess.run([scene.vmm, "--demo", *CONTROL, "--print-config"], check=False,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    freezes = [FREEZE, FREEZE_ALL + (CONTROL if may_control else [])]
    return freezes + [["--restore", f"old,memory={mode}", "--metrics", "metrics"]
                      for mode in ("copy", "map", scene.lazy)]


def steps(first, last, factor):
    value = first
    while value < last:
        yield int(value)
        value = max(value + 1, value * factor)


# The name of the limit, the values to try, and how many successes end the row.
LIMITS = (
    ("RLIMIT_NOFILE", lambda: range(3, 64)),
    ("RLIMIT_NPROC", lambda: range(0, 24)),
    ("RLIMIT_FSIZE", lambda: [0, 1, 100, 511, *steps(512, 1 << 23, 3)]),
    ("RLIMIT_AS", lambda: steps(8 << 20, 1 << 33, 1.12)),
)


def row(scene, name, values, args):
    """(runs, those that failed) of one limit, from its least value to where all goes well."""
    limit = getattr(resource, name)
    runs = failed = well = 0
    for value in values:
        if not scene.begins(limit, value):
            continue
        runs += 1
        if scene.attempt(args, limit, value):
            well += 1
        else:
            failed, well = failed + 1, 0
        if well == 2:
            return runs, failed
    FAILURES.append(f"{name}, {' '.join(args)}: never goes well")
    return runs, failed


def main():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: no /dev/kvm")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(sys.argv[1], sys.argv[2], folder)
        for name, values in LIMITS:
            if name == "RLIMIT_NPROC" and not IS_ROOT:
                print("skipped: RLIMIT_NPROC, since this user has threads already")
                continue
            for args in kinds(scene):
                runs, failed = row(scene, name, values(), args)
                what = args[1] if args[0] == "--restore" else f"freeze with {len(args)} words"
                print(f"{name}, {what}: "
                      f"{runs} runs, {failed} failed as they should")
    print("\n".join(FAILURES))
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
