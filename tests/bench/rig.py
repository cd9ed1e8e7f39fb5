# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What every row of the benchmark needs: sizes, files, a stopwatch, and where results go."""
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

SLOW_PAIRS = 5  # of contenders that take seconds a turn


class Skipped(Exception):
    """A row that cannot be measured here, and why."""


class Sizes:
    """In MiB, of a guest's memory and of the random bytes in it."""

    def __init__(self, smoke):
        self.main = (64, 16) if smoke else (1024, 512)
        self.small = (32, 8) if smoke else (128, 64)
        self.large = (4096, 16) if smoke else (16384, 2048)
        self.text_mib = 4 if smoke else 128
        self.crowd = 2 if smoke else 10
        self.clones = 3 if smoke else 50
        self.thaws = 2 if smoke else 20  # one after the other
        self.settle_s = 0.2 if smoke else 2.0
        self.state_rounds = 3 if smoke else 301
        self.sandbox_rounds = 1 if smoke else 20  # times those of other rows
        self.disk_requests = 100 if smoke else 4000
        self.sparse_gib = (1, 2) if smoke else (16, 256)
        # MiB, dirty pages, target; a small file is a matter of how often the disk is waited for.
        self.layers = ((32, 100, None),) if smoke else ((1024, 100, None), (1024, 25600, 1.3))
        self.layers_index = (1, 10) if smoke else (16, 1000)  # GiB, layers
        self.layers_thaw = (16, 50) if smoke else (1024, 500)
        self.overlay_mib = 4 if smoke else 256
        self.cancel_mib = 16 if smoke else 3072


class Rig:
    def __init__(self, build, smoke, pairs):
        self.bin = os.path.join(build, "bin")
        self.lib = os.path.join(build, "lib")
        self.sizes = Sizes(smoke)
        self.pairs = pairs
        self.results = []
        self.made = {}
        base = os.environ.get("TMPDIR") or "/var/tmp"
        self.folder = tempfile.mkdtemp(prefix="stasis-bench-", dir=base)
        self.memory_folder = tempfile.mkdtemp(prefix="stasis-bench-", dir="/dev/shm")

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.memory_folder, ignore_errors=True)

    # ---- programs ----

    def program(self, name):
        return os.path.join(self.bin, name)

    def restore(self, path, mode, *options):
        return [self.program("vmm"), "--restore", f"path={path},memory={mode}", *options]

    def run(self, command, **kwargs):
        """Runs to the end; what it says is shown only when it fails."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, **kwargs)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stderr}")
        return done.stdout

    def stopwatch(self, command, count=1, typing=False, cold=()):
        """Seconds until the last of `count` processes gave its first byte."""
        options = ["-n", str(count)] + (["-t"] if typing else [])
        for path in cold:
            options += ["-c", path]
        times = self.run([self.program("bench-run"), *options, *command]).split()
        return max(int(ns) for ns in times) / 1e9

    def start_cost(self, command):
        """Seconds until its first byte, and those that processors have spent on it until then."""
        times = self.run([self.program("bench-run"), "-u", *command]).split()
        return tuple(int(ns) / 1e9 for ns in times)

    def sequence(self, count, command):
        """Seconds that each of `count` processes takes, one after the other, until its end."""
        return int(self.run([self.program("bench-run"), "-s", str(count), *command])) / 1e9 / count

    def sequence_by_python(self, count, path, *keys):
        """The same for thaws by the module of this tree."""
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
        script = os.path.join(root, "tests", "bench", "thaws.py")
        paths = {"PYTHONPATH": os.path.join(root, "python"), "STASIS_VMM": self.program("vmm")}
        return int(self.run([sys.executable, "-B", script, str(count), path, *keys],
                            env={**os.environ, **paths})) / 1e9 / count

    # ---- files, made once ----

    def path(self, name):
        return os.path.join(self.folder, name)

    def once(self, name, make):
        if name not in self.made:
            self.made[name] = make(self.path(name))
        return self.made[name]

    def snapshot(self, kind, size):
        """Path of a snapshot of the guest "asleep" or "writing", and where RAM begins in it."""
        mib, random_mib = size

        def make(path):
            place = self.run([self.program("bench-guest"), "freeze", kind, str(mib),
                              str(random_mib), path])
            return path, place.strip()
        return self.once(f"{kind}-{mib}.snap", make)

    def forget(self, name):
        """Frees the disk of a file that no other row needs."""
        if self.made.pop(name, None):
            os.unlink(self.path(name))

    def trace(self, size):
        """KVM's ioctls of a thaw, for the bare program."""
        snapshot, _ = self.snapshot("writing", size)

        def make(path):
            recorder = os.path.join(self.lib, "libbench-record.so")
            self.run([self.program("bench-run"), *self.restore(snapshot, "map", "--sandbox", "off")],  # the recorder opens its file late
                     env={**os.environ, "BENCH_TRACE": path, "LD_PRELOAD": recorder})
            return path
        return self.once(f"trace-{size[0]}", make)

    def random_file(self):
        def make(path):
            with open(path, "wb") as file:
                for _ in range(self.sizes.main[1]):
                    file.write(os.urandom(1 << 20))
                os.fsync(file.fileno())
            return path
        return self.once("random", make)

    # ---- measuring ----

    def rounds(self, contenders, pairs=None, before=None):
        """Medians of contenders that take turns; the first round warms up and does not count.
        contenders: name -> function that returns seconds. before: called off the clock."""
        pairs = self.pairs if pairs is None else min(pairs, self.pairs)
        times = {name: [] for name in contenders}
        for turn in range(pairs + 1):
            for name, measure in contenders.items():
                if before:
                    before()
                seconds = measure()
                if turn:
                    times[name].append(seconds)
        return {name: Sample(values) for name, values in times.items()}

    def report(self, row, ours, rival=None, rival_name="", at_most=None, faster=None, note=""):
        """A line of the table. The ratio is ours to the rival's, to be at_most so much, or the
        rival's to ours if we are to be so much faster (0: no target)."""
        result = {"row": row, "ours_ms": ours.ms, "ours_range_ms": ours.range_ms, "n": ours.n,
                  "note": note}
        if rival:
            result |= {"rival": rival_name, "rival_ms": rival.ms, "rival_range_ms": rival.range_ms}
            result["ratio"] = ours.ms / rival.ms if faster is None else rival.ms / ours.ms
            result["ratio_is"] = "slower" if faster is None else "faster"
        if at_most:
            self.judge(result, f"<= {at_most:g} x", result["ratio"] <= at_most)
        elif faster:
            self.judge(result, f">= {faster:g} x faster", result["ratio"] >= faster)
        self.results.append(result)

    def report_more(self, row, ours, rivals, rival_name, target_ms):
        """A line of the table for a difference smaller than what each of the two varies by: its
        median over pairs that were measured in turns, with the ranks of the sorted differences
        between which that lies with a probability of 95 %."""
        more = sorted(1000 * (a - b) for a, b in zip(ours, rivals))
        reach = math.ceil(0.98 * math.sqrt(len(more)))
        low = more[max(0, len(more) // 2 - reach)]
        high = more[min(len(more) - 1, len(more) // 2 + reach)]
        ours, rival = Sample(ours), Sample(rivals)
        result = {"row": row, "ours_ms": ours.ms, "ours_range_ms": ours.range_ms, "n": ours.n,
                  "rival": rival_name, "rival_ms": rival.ms, "rival_range_ms": rival.range_ms,
                  "ratio": ours.ms / rival.ms, "ratio_is": "slower",
                  "more_ms": statistics.median(more), "more_range_ms": [low, high],
                  "note": f"median of {len(more)} paired differences {statistics.median(more):.3f} "
                          f"ms, with 95 % between {low:.3f} and {high:.3f} ms"}
        self.judge(result, f"<= {target_ms:g} ms more", statistics.median(more) <= target_ms)
        self.results.append(result)

    def report_limit(self, row, ns, most_ms, rival="", rival_ns=None, note="", n=1):
        """A line of the table for what must not take longer, whatever stands beside it."""
        result = {"row": row, "ours_ms": ns / 1e6, "n": n, "note": note}
        if rival:
            result |= {"rival": rival, "rival_ms": rival_ns / 1e6, "ratio": ns / rival_ns,
                       "ratio_is": "slower"}
        self.judge(result, f"<= {most_ms:g} ms", ns / 1e6 <= most_ms)
        self.results.append(result)

    @staticmethod
    def judge(result, target, reached):
        result |= {"target": target, "reached": reached}


class Sample:
    def __init__(self, seconds):
        values = sorted(1000 * s for s in seconds)
        self.n = len(values)
        self.ms = statistics.median(values)
        self.range_ms = [values[0], values[-1]]


class Session:
    """A guest that runs beside us: bytes are typed, answers awaited."""

    def __init__(self, command, **kwargs):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, bufsize=0, **kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def answer(self):
        byte = self.process.stdout.read(1)
        if not byte:
            raise RuntimeError(f"{self.process.args[0]}: {self.process.stderr.read().decode()}")
        return byte

    def ask(self, byte):
        """Types a byte; seconds until the guest's answer."""
        start = time.monotonic()
        self.process.stdin.write(byte)
        self.answer()
        return time.monotonic() - start

    def line(self, text):
        """Waits for a line with this text on standard error."""
        while True:
            line = self.process.stderr.readline().decode()
            if not line:
                raise RuntimeError(f"{self.process.args[0]} ended without saying: {text}")
            if text in line:
                return line
