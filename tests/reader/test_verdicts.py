# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Five judges give the same status for the same bytes, as a file and through a pipe, of mutants with
right checksums: the reader that was made from the document, snapshot-inspect verify
(judge_inspect.c), the VMM (judge_vmm.c: vmm --restore beside a KVM that takes everything), and the
program vmm.

The VMM reads less than verify, and wants more. What keeps a file from being opened is the same for
all. A file that opens may be no machine of this VMM (3 or 4); if it is one, the VMM refuses it with 3
when, and only when, a chunk of RAM is damaged.

The program vmm is asked about some of them, by --restore FILE --dry-run, which reads no RAM: it names
what the VMM above found, whatever else it says of this host, and calls nothing corrupt that is not.

test_verdicts.py MAKE_SNAPSHOT JUDGE_INSPECT JUDGE_VMM VMM [NUMBER [SEED [SAMPLE]]]
JUDGE_VMM and VMM are "none" where there is no VMM. SAMPLE: how many of the NUMBER vmm is asked about.
Prints what the mutants were judged as; those that judges disagree about are kept in the current
directory, as verdict-SEED-N.snap."""
import collections
import concurrent.futures
import os
import random
import subprocess
import sys
import tempfile

if sys.version_info < (3, 10):
    print("skipped: python3 is older than 3.10")
    sys.exit(77)

import tree  # noqa: F401 (before the module)
import stasis
from build import example
from judges import DryRun, Judge
from mutate import Image, mutant

BATCH = 200


GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "0.1.0")
STAGES = ("open", "machine", "thaw", "runs")


class Ours:
    """What the reader in Python says: of the file, of opening it, and of the RAM in it."""

    def __init__(self, path):
        self.status, self.reason = 0, ""
        self.opened, self.ram = 0, 0
        try:
            self.opened = 3
            with stasis.Snapshot(path) as snapshot:
                self.opened = 0
                self.ram = self._ram(snapshot)
                snapshot.verify()
        except stasis.FileError as error:
            self.status, self.reason = error.code, str(error)
            self.opened = self.opened and error.code

    @staticmethod
    def _ram(snapshot):
        try:
            for number in snapshot.chain.stored():
                snapshot.memory.chunk(number)
        except stasis.FileError as error:
            return error.code
        return 0

    def agrees(self, verdict):
        """Whether the VMM's (status, reason, stage) goes with it."""
        status, reason, stage = verdict
        if self.opened or stage == "open":
            return stage == "open" and status == self.opened
        if stage == "runs":
            return not self.ram
        if stage == "machine" or status == 4:
            return status in (3, 4)
        return status == 3 and bool(self.ram) == ("chunk" in reason)


def foretells(answer, verdict):
    """Whether a dry run's answer goes with the VMM's verdict."""
    _, wrong, reasons = answer
    status, reason, stage = verdict
    statuses = [status for _, status, _ in reasons]
    if stage == "open":
        return not wrong and reasons[0][:2] == ("file", status)
    if stage == "machine":
        return not wrong and status in statuses
    return not wrong and 3 not in statuses


def bases(make, folder):
    """A small file and what vmm's library writes, in either layout, plain and compressed, in every
    format; and a guest of a VMM, in either layout."""
    yield Image(example())
    yield Image(example(2))
    path = os.path.join(folder, "base")
    for level, kind in (("0", "1"), ("6", "1"), ("0", "2"), ("6", "2+")):
        subprocess.run([make, path, level, kind], check=True)
        with open(path, "rb") as file:
            yield Image(file.read())
        yield Image(subprocess.run([make, "-", level, kind], check=True,
                                   stdout=subprocess.PIPE).stdout)
    for name in ("demo-zlib", "demo-stream"):
        with open(os.path.join(GOLDEN, name + ".snap"), "rb") as file:
            yield Image(file.read())


def choose(chance, images):
    """The small files and the small guest often: they are faster."""
    return chance.choice((images[0], images[1], images[1], images[-2], images[-2],
                          chance.choice(images)))


def judge(job):
    """The verdicts on mutants first to last: counts of statuses and of the VMM's stages, and the
    disagreements."""
    inspect, vmm, program, images, seed, first, last = job
    counts, stages, wrong = collections.Counter(), collections.Counter(), []
    inspect, vmm = Judge(inspect), Judge(vmm)
    dry_run, every = program
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mutant")
        for number in range(first, last):
            chance = random.Random(f"{seed}-{number}")
            data = mutant(chance, choose(chance, images))
            with open(path, "wb") as file:
                file.write(data)
            ours = Ours(path)
            verdicts = [(ours.status, ours.reason), *(v[:2] for v in inspect.verdicts(path))]
            thawed = vmm.verdicts(path)
            asked = dry_run.answers(path) if every and number % every == 0 else []
            counts[ours.status] += 1
            stages["asked"] += len(asked) // 2
            stages.update(stage for _, _, stage in thawed[:1])
            if len({status for status, _ in verdicts}) > 1 or len({v[::2] for v in thawed}) > 1 or \
                    not all(map(ours.agrees, thawed)) or \
                    not all(foretells(answer, thawed[0]) for answer in asked):
                wrong.append((number, data, verdicts + thawed + asked))
    inspect.close()
    vmm.close()
    return counts, stages, wrong


def check_guest(vmm, dry_run):
    """The VMM runs a guest that nobody has changed: else it would agree for the wrong reason. The
    program may lack the KVM for it."""
    judge, guest = Judge(vmm), os.path.join(GOLDEN, "demo-zlib.snap")
    for verdict in judge.verdicts(guest):
        assert verdict == (0, "", "runs"), verdict
    judge.close()
    for answer in dry_run.answers(guest) if vmm != "none" else []:
        assert foretells(answer, (0, "", "runs")), answer


def main(make, inspect, vmm, program, number=2000, seed=1, sample=40):
    counts, stages, disagreements = collections.Counter(), collections.Counter(), 0
    dry_run, number = DryRun(program), int(number)
    check_guest(vmm, dry_run)
    asked = (dry_run, max(1, number // int(sample)) if program != "none" else 0)
    with tempfile.TemporaryDirectory() as folder:
        images = list(bases(make, folder))
    jobs = [(inspect, vmm, asked, images, seed, first, min(first + BATCH, number))
            for first in range(0, number, BATCH)]
    with concurrent.futures.ProcessPoolExecutor() as pool:
        for found, came, wrong in pool.map(judge, jobs):
            counts += found
            stages += came
            for which, data, verdicts in wrong:
                disagreements += 1
                name = f"verdict-{seed}-{which}.snap"
                if disagreements <= 20:
                    with open(name, "wb") as file:
                        file.write(data)
                    for who, verdict in zip(("reader", "file", "pipe", "vmm", "vmm, pipe", "dry run",
                                             "dry run, pipe"), verdicts):
                        print(f"{name}: {who}: {' '.join(map(str, verdict))}")
    print(f"{sum(counts.values())} mutants, seed {seed}: " + ", ".join(
        f"{counts[status]} {name}" for status, name in ((0, "whole"), (3, "corrupt"), (
            4, "incompatible"))) + ("; VMM: " + ", ".join(
                f"{stages[stage]} {stage}" for stage in STAGES) +
              f"; {stages['asked']} asked of vmm --dry-run" if vmm != "none" else "") +
          f"; {disagreements} disagreements")
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
