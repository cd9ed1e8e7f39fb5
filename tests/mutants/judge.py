# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs tests against a mutant: relinks what a test starts, in a folder of its own, and stops at the
first test that fails."""
import collections
import os
import shutil
import subprocess
import threading
import time

from programs import TEST_BUILD
from reach import end

HERE = os.path.dirname(os.path.abspath(__file__))
PASSED, FAILED, SKIPPED, HUNG = "passed", "failed", "skipped", "hung"
# A test counts as hung that takes so many times what it takes without a mutant, and so many seconds.
TIMES, SECONDS, UNCHANGED_LIMIT = 10, 60, 1500

Verdict = collections.namedtuple("Verdict", "result test")  # killed, survived; the test that did it


class Sandbox:
    """What keeps a mutant from doing harm; as another user than root, rights do that."""

    def __init__(self, root, own):
        self.own, self.holder = own, None
        self.kept = {root.split("/")[2]} if root.startswith("/tmp/") else set()
        os.makedirs(os.path.join(own, "tmp"), exist_ok=True)
        if os.geteuid() == 0:
            self.holder = subprocess.Popen(
                ["unshare", "--mount", os.path.join(HERE, "sandbox.sh"), root, own],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            if self.holder.stdout.readline() != b"ready\n":
                raise OSError("as root, mutants are tried in namespaces, which this host refuses (see above)")

    def wrap(self, command):
        if not self.holder:
            return command
        return ["nsenter", "-t", str(self.holder.pid), "-m", "unshare", "--pid", "--fork",
                "--kill-child", "--mount-proc", "sh", "-c", 'cd /tmp; "$@"; exit $?', "-", *command]

    def clean(self):
        """Takes away what tests of mutants left in /tmp."""
        for name in set(os.listdir(os.path.join(self.own, "tmp"))) - self.kept:
            path = os.path.join(self.own, "tmp", name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)

    def close(self):
        if self.holder:
            self.holder.stdin.close()
            self.holder.wait()


class Judge:
    """One of those that work side by side."""

    def __init__(self, build, folder, lessons):
        self.build, self.folder, self.lessons = build, folder, lessons
        self.bin = os.path.join(folder, "bin")
        self.mutant = os.path.join(folder, "mutant.o")
        shutil.rmtree(self.bin, ignore_errors=True)
        os.makedirs(self.bin)
        for exe in build.executables:
            self._restore(exe)
        self.sandbox = Sandbox(build.root, folder)
        self.running, self.stopped = None, False

    def _restore(self, exe):
        """As a hard link: a program finds its neighbours by its own name."""
        own = os.path.join(self.folder, exe)
        if os.path.lexists(own):
            os.unlink(own)
        os.link(os.path.join(self.build.folder, exe), own)

    def compile(self, file, text):
        return self.build.compile(file, text, TEST_BUILD, self.mutant)

    def judge(self, file, tests, patience):
        """The verdict on the mutant that was compiled last, after `patience` seconds at most."""
        holders, linked, hung = self.build.holders(file), set(), None
        start = time.monotonic()
        try:
            for test in tests:
                for exe in (self.build.needed(test) & holders) - linked:
                    own = os.path.join(self.folder, exe)
                    os.unlink(own)
                    self.build.link(exe, file, self.mutant, own)
                    linked.add(exe)
                result = self.run(test, self.lessons.limit(test))[0]
                if self.stopped:
                    break
                if result != PASSED and self.lessons.is_sound(test, self):
                    if result == FAILED or result == HUNG and test.has_deadline:
                        return Verdict("killed", test.name)
                    hung = hung or result == HUNG and test.name
                if time.monotonic() - start > patience:
                    break
            return Verdict("survived", f"{hung} hangs without a deadline" if hung else None)
        finally:
            for exe in linked:
                self._restore(exe)
            self.sandbox.clean()

    def run_unchanged(self, test):
        """As run(), with the programs as they were built."""
        spare = {exe: os.path.join(self.folder, exe) for exe in self.build.needed(test)}
        for exe, own in spare.items():
            os.rename(own, own + ".mutant")
            self._restore(exe)
        try:
            return self.run(test, UNCHANGED_LIMIT)
        finally:
            for own in spare.values():
                os.rename(own + ".mutant", own)

    def run(self, test, limit):
        """(result, seconds)"""
        bin_folder = os.path.join(self.build.folder, "bin") + "/"
        command = [word.replace(bin_folder, self.bin + "/") for word in test.command]
        environment = dict(os.environ, LC_ALL="C",
                           **dict(pair.split("=", 1) for pair in test.environment))
        start = time.monotonic()
        self.running = process = subprocess.Popen(
            self.sandbox.wrap(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=os.path.join(self.folder, "tmp"), env=environment,
            start_new_session=True)
        if self.stopped:
            end(process)
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
        end(process)
        seconds = time.monotonic() - start
        if status is None:
            return HUNG, seconds
        return {0: PASSED, test.skip_status: SKIPPED}.get(status, FAILED), seconds

    def stop(self):
        """From another thread: what runs ends, and its verdict means nothing."""
        self.stopped = True
        if self.running:
            end(self.running)

    def close(self):
        self.stop()
        self.sandbox.close()


class Lessons:
    """What is learned of tests while they run: how long they take, which of those that failed pass
    without a mutant, and which ones kill the mutants of a file."""

    def __init__(self, times):
        self.times = times
        self.sound = {}
        self.kills = collections.defaultdict(collections.Counter)
        self.lock = threading.Lock()
        self.locks = collections.defaultdict(threading.Lock)

    def limit(self, test):
        return max(SECONDS, TIMES * self.times.get(test.name, 0))

    def is_sound(self, test, judge):
        """Whether a test that did not pass does so without a mutant."""
        with self.lock:
            lock = self.locks[test.name]
        with lock:
            if test.name not in self.sound:
                result, self.times[test.name] = judge.run_unchanged(test)
                self.sound[test.name] = result == PASSED
            return self.sound[test.name]

    def killed(self, file, test):
        with self.lock:
            self.kills[file][test] += 1

    def in_order(self, file, tests):
        """Tests by what a kill is expected to cost."""
        stem = os.path.basename(file)[:-2]
        folder = os.path.dirname(file)

        def cost(test):
            seconds = self.times.get(test.name, 1.0)
            named = test.name.endswith("_" + stem) or stem in test.name
            near = os.path.basename(folder) in test.name
            chance = 0.3 if named else 0.06 if near else 0.02
            return (seconds + 0.2) / (chance + self.kills[file][test.name]), test.name
        return sorted((test for test in tests if self.sound.get(test.name, True)), key=cost)
