# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Which tests run which line, by gcov: every test once in a build that counts. What was learned is
kept beside that build until the programs of a test change."""
import concurrent.futures
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time


# Seconds, beside other tests. Of a test that is ended only those processes have said what they reach
# that were done: what else it reaches is not known, so that it may reach any line that it holds.
LONGEST = 600


def end(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


class Reach:
    """Of each test the lines that ran, as {file: {function: [line]}}; and all lines that may, in the
    same form."""

    def __init__(self, build, tests, jobs, say):
        self.build, self.say = build, say
        self.store = os.path.join(build.folder, "reach.json")
        self.lock = threading.Lock()
        self.running = set()
        try:
            with open(self.store, encoding="utf-8") as file:
                self.tests, self.lines = json.load(file)
        except (OSError, ValueError):
            self.tests, self.lines = {}, {}
        self.needed = {test.name: build.needed(test) for test in tests}
        digests = {exe: self._digest(exe) for exe in build.executables}
        stale = []
        for test in tests:
            key = "".join(sorted(digests[exe] for exe in build.needed(test)))
            key = hashlib.sha256(key.encode()).hexdigest()
            if self.tests.get(test.name, {}).get("key") != key or "ended" not in self.tests[test.name]:
                stale.append((test, key))
        if stale:
            self._learn(stale, jobs)

    def _digest(self, exe):
        with open(os.path.join(self.build.folder, exe), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _learn(self, stale, jobs):
        self.say(f"learning what {len(stale)} tests reach")
        times = self.build.times()
        stale.sort(key=lambda pair: times.get(pair[0].name, 1))
        pool = concurrent.futures.ThreadPoolExecutor(jobs)
        try:
            for future in [pool.submit(self._learn_one, *pair) for pair in stale]:
                future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(self.running):
                end(process)
            self._save()

    def _save(self):
        """What is known so far need not be learned again, though the user may have ended the rest."""
        with self.lock, open(self.store + ".new", "w", encoding="utf-8") as file:
            json.dump((self.tests, self.lines), file)
        os.replace(self.store + ".new", self.store)

    def _learn_one(self, test, key):
        prefix = os.path.join(self.build.folder, "reach", test.name)
        shutil.rmtree(prefix, ignore_errors=True)
        os.makedirs(prefix)
        start = time.monotonic()
        process = subprocess.Popen(
            test.command, cwd=prefix, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
            env=dict(os.environ, LC_ALL="C", GCOV_PREFIX=prefix,
                     **dict(pair.split("=", 1) for pair in test.environment)))
        self.running.add(process)
        ended = False
        try:
            process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            ended = True
        end(process)
        self.running.discard(process)
        if ended:
            self.say(f"{test.name} was ended after {LONGEST} s: it is tried last, on all that it holds")
        elif process.returncode not in (0, test.skip_status):
            self.say(f"{test.name} did not end well in {self.build.folder} ({process.returncode}): "
                     "not all that it reaches is known")
        entry = {"key": key, "seconds": time.monotonic() - start, "files": self._counts(prefix),
                 "ended": ended}
        shutil.rmtree(prefix)
        with self.lock:
            self.tests[test.name] = entry

    def _counts(self, prefix):
        data = []
        for folder, _, names in os.walk(prefix):
            for name in names:
                path = os.path.join(folder, name)
                notes = path[len(prefix):].removesuffix(".gcda") + ".gcno"
                if name.endswith(".gcda") and os.path.exists(notes) and \
                        not os.path.relpath(notes, self.build.folder).startswith("tests"):
                    os.symlink(notes, path.removesuffix(".gcda") + ".gcno")
                    data.append(path)
        ran = {}
        if data:
            out = subprocess.run(["gcov", "--json-format", "--stdout", *data], text=True, check=False,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=prefix).stdout
            for report in map(json.loads, out.splitlines()):
                for file in report["files"]:
                    name = os.path.relpath(os.path.join(report["current_working_directory"],
                                                        file["file"]), self.build.root)
                    if name.endswith(".c"):
                        ran[name] = self._lines_that_ran(name, file["lines"])
        return ran

    def _lines_that_ran(self, name, counts):
        ran, may_run = {}, {}
        for line in counts:
            function = line.get("function_name", "")
            may_run.setdefault(function, []).append(line["line_number"])
            if line["count"]:
                ran.setdefault(function, []).append(line["line_number"])
        with self.lock:
            self.lines[name] = may_run
        return ran

    def seconds(self):
        return {name: entry["seconds"] for name, entry in self.tests.items()}

    def of(self, mutation):
        """(names of tests that run the line, names of others that run the function or may)"""
        exact, others = self._known(mutation)
        ended = {name for name, entry in self.tests.items() if entry["ended"]}
        holders = self.build.holders(mutation.file)
        may = {test for test in ended if self.needed.get(test, set()) & holders}
        return exact, (others | may) - exact

    def _known(self, mutation):
        files = {name: entry["files"].get(mutation.file, {}) for name, entry in self.tests.items()}
        if not mutation.in_function:  # whoever uses the file may use its data
            users = {name for name, functions in files.items() if functions}
            return users or {name for name, entry in self.tests.items()
                             if mutation.file in entry["files"]}, set()
        lines = self.lines.get(mutation.file, {}).get(mutation.function, ())
        nearest = max((n for n in lines if n <= mutation.line), default=0)
        ran = {name: functions.get(mutation.function, ()) for name, functions in files.items()}
        exact = {name for name, numbers in ran.items() if nearest in numbers}
        return exact, {name for name, numbers in ran.items() if numbers} - exact
