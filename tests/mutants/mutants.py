#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Makes small changes to the code, one at a time, and says which of them no test sees. scripts/mutants
builds what this needs and starts it; docs/architecture.md, "Mutants", says how to read the result."""
import argparse
import collections
import fcntl
import glob
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import mutations
from judge import Judge, Lessons
from programs import USERS_BUILD, Build
from reach import Reach

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
ROOMS = ("base", "core", "state", "state-ser", "vmm")
LIBRARIES = ROOMS[:-1]
GOALS = {"libraries": 95, "vmm": 90}
NEW_RELEASES = "tests/history/releases.txt"
# They run much of vmm/ on a KVM that is none, to see that it does not crash.
SKIPPED = 77  # STATUS_SKIPPED of scripts/lib.sh
FAKE_KVM = {"fuzz_restore", "test_thaw_codes"}
# Seconds for --quick: of the longest test, and of all tests for a mutant.
LONGEST, QUICK_PATIENCE = 5, 30
# Seconds of tests for a mutant, and as many for what survives under the sanitizers; so many tests are
# tried whatever they take. With -m all tests are tried.
PATIENCE, FIRST = 90, 3

KILLED, SURVIVED, NEEDS_KVM = "killed", "survived", "needs /dev/kvm"
BROKEN, SAME, LISTED = "does not compile", "same object code", "listed"
DROPPED = (BROKEN, SAME, LISTED)

# untried: how many tests that may see it were left out.
Outcome = collections.namedtuple("Outcome", "mutation result detail seconds untried")


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def pattern(text):
    try:
        return re.compile(text)
    except re.error as failure:
        raise argparse.ArgumentTypeError(f"{failure}: {text}") from failure


def parse_arguments():
    parser = argparse.ArgumentParser(prog="mutants", allow_abbrev=False, usage=os.environ.get(
        "STASIS_USAGE", "mutants.py [OPTION]... [ROOM]..."))
    parser.add_argument("-s", dest="seed", default="1")
    parser.add_argument("-n", dest="number", type=int)
    parser.add_argument("-m", dest="ids", action="append", default=[])
    parser.add_argument("-j", dest="jobs", type=int, default=os.cpu_count())
    parser.add_argument("-t", dest="tests", type=pattern, default=re.compile(""))
    parser.add_argument("--changed", nargs="?", const="", metavar="BASE")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--goal", type=float)
    parser.add_argument("--least", type=int, default=1)
    parser.add_argument("--root", default=ROOT, help=argparse.SUPPRESS)
    parser.add_argument("--build", default="build/dev", help=argparse.SUPPRESS)
    parser.add_argument("--equivalent", default=os.path.join(HERE, "equivalent.txt"),
                        help=argparse.SUPPRESS)
    parser.add_argument("rooms", nargs="*", metavar="ROOM")
    args = parser.parse_args()
    if not all(re.match(r"(base|core|state|state-ser|vmm)(/|$)", room) for room in args.rooms):
        parser.error(f"the rooms are {', '.join(ROOMS)}, their folders and files")
    args.rooms = args.rooms or list(ROOMS)
    args.number = args.number or (20 if args.changed is not None else 300)
    return args


def within(tests, seconds, times):
    """(those of the tests that take no longer together, in their order; the others)"""
    tried, left, total = [], [], 0
    for test in tests:
        takes = times.get(test.name, 1.0)
        if len(tried) < FIRST or total + takes <= seconds:
            tried.append(test)
            total += takes
        else:
            left.append(test)
    return tried, left


def room_of(file):
    return file.split("/")[0]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


# Programs that write code, documents and the records of a release. Tests read what these have written,
# which is not written anew for a mutant.
RUN_BY_BUILD = {"vmm/cmd/make_docs.c", "vmm/cmd/release_records.c", "vmm/sandbox/make_filters.c"}


def sources(root, rooms):
    """{name: text} of the C files of rooms, or of files and folders in them."""
    names = set()
    for room in rooms:
        path = os.path.join(root, room)
        names.update([path] if os.path.isfile(path) else
                     glob.glob(os.path.join(path, "**/*.c"), recursive=True))
    names = {os.path.relpath(name, root) for name in names} - RUN_BY_BUILD
    return {name: read(os.path.join(root, name)) for name in sorted(names)}


def last_release(root):
    lines = [line for line in read(os.path.join(root, NEW_RELEASES)).splitlines()
             if line and line[0] != "#"]
    return lines[-1].split()[1]


def changed_lines(root, base):
    """{file: lines that are not in the base}, or None where there is no such commit."""
    result = subprocess.run(["git", "-C", root, "diff", "-U0", "--no-color", "--no-ext-diff", base,
                             "--", *ROOMS], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, check=False)
    if result.returncode:
        return None
    found, lines = {}, set()
    for line in result.stdout.splitlines():
        if line.startswith("+++ b/"):
            lines = found.setdefault(line[6:], set())
        elif match := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            start, count = int(match[1]), int(match[2] or 1)
            lines.update(range(start, start + count))
    return found


def in_order(found, seed):
    """A line as often as any other, and no line twice before all came once; the same for the same
    seed and source."""
    def digest(what, mutation):
        return hashlib.sha256(f"{what} {seed} {mutation.id}".encode()).digest()

    by_line, rows = collections.defaultdict(list), []
    for mutation in found:
        by_line[mutation.file, mutation.line].append(mutation)
    for group in by_line.values():
        group.sort(key=lambda m: digest("which", m))
        rows += [(turn, digest("when", mutation), mutation) for turn, mutation in enumerate(group)]
    return [mutation for _, _, mutation in sorted(rows, key=lambda row: row[:2])]


class Equivalents:
    """The list of mutants that no test can see, each with its proof."""

    def __init__(self, path):
        self.entries = {}
        for block in re.split(r"\n\s*\n", read(path)):
            lines = [line for line in block.splitlines() if line and line[0] != "#"]
            if not lines:
                continue
            match = re.match(r"(\S+) (\S+)\n- ?(.*)\n\+ ?(.*)\n= (.+)", "\n".join(lines), re.S)
            if not match:
                sys.exit(f"{path}: not FILE FUNCTION, - line, + line, = proof: {lines[0]}")
            file, function, old, new, proof = match.groups()
            self.entries[file, function, mutations.squeezed(old), mutations.squeezed(new)] = proof

    @staticmethod
    def key(mutation):
        return (mutation.file, mutation.function, mutations.squeezed(mutation.old),
                mutations.squeezed(mutation.new))

    def stale(self, found, is_read):
        """Those that no change fits any more, of files that were read or are gone."""
        keys = {self.key(mutation) for mutation in found}
        return [entry for entry in self.entries if entry not in keys and is_read(entry[0])]


class Run:
    """Judges the first `number` mutations that are not dropped; who is judged does not depend on how
    many work side by side."""

    def __init__(self, args, texts, order, equivalents):
        self.args, self.texts, self.order, self.equivalents = args, texts, order, equivalents
        self.build = Build(args.root, os.path.join(args.root, args.build))
        self.kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
        self.tests = [test for test in self.build.tests()
                      if (self.kvm or "kvm" not in test.labels) and self.build.needed(test) and
                      args.tests.search(test.name)]
        self.folder = os.path.join(args.root, "build/mutants")
        self.lessons = Lessons(self.build.times())
        self.reach = None
        if not args.quick:
            counting = Build(args.root, os.path.join(args.root, "build/coverage"))
            names = {test.name for test in self.tests}
            self.reach = Reach(counting, [test for test in counting.tests() if test.name in names],
                               args.jobs, say)
            self.lessons.times.update(self.reach.seconds())
        self.strict = None if args.quick else \
            Build(args.root, os.path.join(args.root, "build/asan-ubsan"))
        self.strict_lessons = Lessons(self.lessons.times)
        self.outcomes, self.next, self.undecided = [], 0, 0
        self.condition = threading.Condition()
        self.stopped = False
        self.originals, self.originals_lock = {}, threading.Lock()

    def run(self):
        self._recall()
        open(os.path.join(self.folder, "log"), "w", encoding="utf-8").close()
        jobs = max(1, min(self.args.jobs, self.args.number))
        judges = [self._judge_in(self.build, str(i)) for i in range(jobs)]
        threads = [threading.Thread(target=self._work, args=(judge,), daemon=True)
                   for judge in judges[:]]
        if self.strict:
            for judge in judges[:]:
                judge.strict = self._judge_in(self.strict, os.path.basename(judge.folder) + "-strict")
                judges.append(judge.strict)
        deadline = threading.Timer(min(self.args.seconds, threading.TIMEOUT_MAX), self._stop, [judges])
        try:
            deadline.start()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            deadline.cancel()
            self.stopped = True
            for judge in judges:
                judge.close()
            self._remember()
        if self.failure:
            raise self.failure

    def _judge_in(self, build, name):
        lessons = self.lessons if build is self.build else self.strict_lessons
        return Judge(build, os.path.join(self.folder, name), lessons)

    def _stop(self, judges):
        """Mutants that are being tried count as not tried."""
        with self.condition:
            self.stopped = True
            self.condition.notify_all()
        for judge in judges:
            judge.stop()

    failure = None

    def _work(self, judge):
        try:
            while (mutation := self._take()) is not None:
                start, untried = time.monotonic(), 0
                result, detail = self._drop(mutation, judge)
                self._decide(result)
                if not result:
                    result, detail, untried = self._judge(mutation, judge)
                if self.stopped:
                    return
                self._note(Outcome(mutation, result, detail, time.monotonic() - start, untried))
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = self.failure or failure
        finally:
            with self.condition:
                self.stopped = self.stopped or self.failure is not None
                self.condition.notify_all()

    taken = 0  # that were not dropped

    def _take(self):
        """The next mutation, once it is sure to be among the first `number` unless it is dropped."""
        with self.condition:
            self.condition.wait_for(
                lambda: self.stopped or self.undecided == 0 or
                self.taken + self.undecided < self.args.number)
            if self.stopped or self.taken + self.undecided >= self.args.number or \
                    self.next == len(self.order):
                return None
            self.next += 1
            self.undecided += 1
            return self.order[self.next - 1]

    def _decide(self, dropped):
        with self.condition:
            self.undecided -= 1
            self.taken += not dropped
            self.condition.notify_all()

    def _drop(self, mutation, judge):
        """(why it is no mutant, its proof), or (None, None) when it is compiled and ready."""
        proof = self.equivalents.entries.get(Equivalents.key(mutation))
        if proof:
            return LISTED, proof
        text = mutations.apply(self.texts[mutation.file], mutation.edits)
        if not judge.compile(mutation.file, text):
            return BROKEN, None
        users = self._object(mutation.file, text, judge)
        if not users:
            return BROKEN, None
        return (SAME, None) if users == self._original(mutation.file, judge) else (None, None)

    def _object(self, file, text, judge):
        """What a user's build makes of it, if it compiles."""
        out = os.path.join(judge.folder, "users.o")
        if not self.build.compile(file, text, USERS_BUILD, out):
            return None
        with open(out, "rb") as built:
            return built.read()

    def _original(self, file, judge):
        with self.originals_lock:
            if file not in self.originals:
                self.originals[file] = self._object(file, self.texts[file], judge)
            return self.originals[file]

    def _judge(self, mutation, judge):
        """(result, detail, how many tests were left out)"""
        exact, others = self._tests_for(mutation)
        patience = float("inf") if self.args.quick or self.args.ids else PATIENCE
        tests = self.lessons.in_order(mutation.file, exact) + \
            self.lessons.in_order(mutation.file, others)
        tests, left = within(tests, patience, self.lessons.times)
        verdict = judge.judge(mutation.file, tests,
                              QUICK_PATIENCE if self.args.quick and not self.args.ids else
                              float("inf"))
        if verdict.result != KILLED and self.strict and exact:
            verdict = self._judge_strictly(mutation, judge.strict, exact, patience) or verdict
        if verdict.result == KILLED:
            self.lessons.killed(mutation.file, verdict.test)
            return KILLED, f"by {verdict.test}", 0
        if not self.kvm and room_of(mutation.file) == "vmm" and (
                not self.reach or not {test.name for test in exact} - FAKE_KVM):
            return NEEDS_KVM, "without it no test runs this line", 0
        detail = verdict.test or ("no test sees it" if exact else "no test is known to run this line")
        if left:
            detail += f"; of {len(tests) + len(left)} tests {len(left)} were not tried"
        return SURVIVED, detail, len(left)

    def _judge_strictly(self, mutation, judge, exact, patience):
        """The verdict of the sanitizers, if they kill it: they see leaks and what lies behind an end."""
        text = mutations.apply(self.texts[mutation.file], mutation.edits)
        names = {test.name for test in exact if "once" not in test.labels}
        tests = [test for test in self.strict.tests() if test.name in names]
        if not judge.compile(mutation.file, text):
            return None
        tests, _ = within(judge.lessons.in_order(mutation.file, tests), patience, judge.lessons.times)
        verdict = judge.judge(mutation.file, tests, float("inf"))
        return verdict if verdict.result == KILLED else None

    def _tests_for(self, mutation):
        holders = self.build.holders(mutation.file)
        users = [test for test in self.tests if self.build.needed(test) & holders]
        if not self.reach:
            return [test for test in users if self.lessons.times.get(test.name, 0) < LONGEST], []
        exact, others = self.reach.of(mutation)
        if not exact | others:  # a process in the sandbox, or killed, cannot write what it ran
            return [], users
        return ([test for test in self.tests if test.name in exact],
                [test for test in self.tests if test.name in others])

    def _note(self, outcome):
        with self.condition:
            self.outcomes.append(outcome)
            judged = [o for o in self.outcomes if o.result not in DROPPED]
            m = outcome.mutation
            with open(os.path.join(self.folder, "log"), "a", encoding="utf-8") as log:
                print(f"{outcome.result}: {m.file}:{m.line} {m.id} {m.what}: "
                      f"{outcome.detail or ''} ({outcome.seconds:.1f} s)", file=log)
            if outcome.result == SURVIVED:
                say(f"survived: {m.file}:{m.line} {m.what}")
            if outcome.result not in DROPPED and len(judged) % 20 == 0:
                say(f"{len(judged)} of {self.args.number} judged")

    def _recall(self):
        os.makedirs(self.folder, exist_ok=True)
        try:
            known = json.loads(read(os.path.join(self.folder, "lessons.json")))
        except (OSError, ValueError):
            return
        for file, kills in known.items():
            self.lessons.kills[file].update(kills)

    def _remember(self):
        with open(os.path.join(self.folder, "lessons.json"), "w", encoding="utf-8") as file:
            json.dump(self.lessons.kills, file)


def rate(outcomes):
    killed = sum(o.result == KILLED for o in outcomes)
    judged = killed + sum(o.result == SURVIVED for o in outcomes)
    return 100 * killed / judged if judged else None


def print_table(outcomes):
    print(f"{'':12}{'tried':>7}{'killed':>8}{'survived':>10}{'no /dev/kvm':>13}{'rate':>9}"
          f"   dropped: {', '.join(DROPPED)}")
    groups = [(room, (room,)) for room in ROOMS] + [("libraries", LIBRARIES)]
    for name, rooms in groups:
        own = [o for o in outcomes if room_of(o.mutation.file) in rooms]
        if not own:
            continue
        count = collections.Counter(o.result for o in own)
        tried = sum(count[result] for result in (KILLED, SURVIVED, NEEDS_KVM))
        share = rate(own)
        print(f"{name:12}{tried:7}{count[KILLED]:8}{count[SURVIVED]:10}{count[NEEDS_KVM]:13}"
              f"{'-' if share is None else f'{share:.1f} %':>9}   "
              f"{', '.join(str(count[why]) for why in DROPPED)}")


def print_survivors(outcomes):
    untried = sum(o.untried > 0 for o in outcomes)
    if untried:
        print(f"\n{untried} survivors were not tried by all tests that may see them, but by {PATIENCE} s of "
              "tests; they count. -m tries all.")
    for o in sorted(outcomes, key=lambda o: (o.mutation.file, o.mutation.line)):
        if o.result == SURVIVED:
            m = o.mutation
            print(f"\n{m.file}:{m.line}: {m.function}: {m.what}: {o.detail}")
            print(f"- {mutations.squeezed(m.old)}\n+ {mutations.squeezed(m.new)}")
            print(f"  scripts/mutants -m {m.id}")


def missed(outcomes, goal, least):
    """What is below its goal, for people, where at least that many were judged."""
    goals = {"all": (ROOMS, goal)} if goal is not None else {
        "libraries": (LIBRARIES, GOALS["libraries"]), "vmm": (("vmm",), GOALS["vmm"])}
    for name, (rooms, wanted) in goals.items():
        judged = [o for o in outcomes
                  if room_of(o.mutation.file) in rooms and o.result in (KILLED, SURVIVED)]
        share = rate(judged)
        if len(judged) >= least and share < wanted:
            yield f"{name}: {share:.1f} % killed, {wanted:g} % wanted"


def judged(outcomes):
    return sum(o.result in (KILLED, SURVIVED) for o in outcomes)


def status_of(outcomes, bad, least):
    """Too few are no result, neither a good nor a bad one."""
    return 1 if bad else SKIPPED if judged(outcomes) < least else 0


def choose(args):
    """(texts, mutations in the order of trial, the list of equivalents)"""
    lines = None
    if args.changed is not None and not args.ids:
        lines = changed_lines(args.root, args.changed or last_release(args.root))
        if lines is None:
            say("that commit is not in this clone: every line counts as changed")
    texts = {name: text for name, text in sources(args.root, ROOMS if args.ids else args.rooms).items()
             if lines is None or name in lines}
    found = [m for name, text in texts.items() for m in mutations.mutations(name, text)]
    equivalents = Equivalents(args.equivalent)
    for file, function, old, _ in equivalents.stale(found, lambda name: name in texts or
                                                    not os.path.exists(os.path.join(args.root, name))):
        say(f"equivalent.txt: stale, no such change is made any more: {file} {function}: {old}")
    if args.ids:
        order = [m for m in found if m.id in args.ids]
        if len(order) != len(args.ids):
            sys.exit("mutants: no such mutant; the code around it may have changed")
        args.number = len(order)
        return texts, order, equivalents
    if lines is not None:
        found = [m for m in found if m.line in lines[m.file]]
    return texts, in_order(found, args.seed), equivalents


def main():
    args = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    os.makedirs(os.path.join(args.root, "build/mutants"), exist_ok=True)
    lock = open(os.path.join(args.root, "build/mutants/lock"), "w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("mutants: another run uses build/mutants; wait for its end")
    try:
        run = Run(args, *choose(args))
        say(f"{len(run.order)} mutations to choose from, {len(run.tests)} tests, seed {args.seed}"
            + ("" if run.kvm else "; no /dev/kvm: what only runs there is not judged"))
        if args.changed is not None and not run.order:
            return SKIPPED
        run.run()
    except KeyboardInterrupt:
        return 130
    except OSError as failure:
        print(f"mutants: {failure}", file=sys.stderr)
        return 5
    print_table(run.outcomes)
    print_survivors(run.outcomes)
    bad = list(missed(run.outcomes, args.goal, args.least))
    print("".join(f"\n{line}" for line in bad))
    print(f"judged: {judged(run.outcomes)}")
    return status_of(run.outcomes, bad, args.least)


if __name__ == "__main__":
    sys.exit(main())
