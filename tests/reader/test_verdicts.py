# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The reader that was made from the document, and snapshot-inspect, give the same status for the
same bytes, as a file and through a pipe: of mutants with right checksums.

test_verdicts.py MAKE_SNAPSHOT SNAPSHOT_INSPECT [NUMBER [SEED]]
Prints what the mutants were judged as; those that readers disagree about are kept in the current
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

import stasis_reader as reader
from build import SCHEMAS, example
from mutate import Image, mutant

BATCH = 200


def ours(path):
    """Status and reason of the reader in Python."""
    try:
        with reader.Snapshot(path, SCHEMAS) as snapshot:
            snapshot.verify()
    except reader.SnapshotError as error:
        return error.status, str(error)
    return 0, ""


def theirs(inspect, path, pipe):
    if pipe:
        with open(path, "rb") as file:
            data = file.read()
        done = subprocess.run([inspect, "verify", "-"], input=data, capture_output=True)
    else:
        done = subprocess.run([inspect, "verify", path], capture_output=True)
    return done.returncode, done.stderr.decode(errors="replace").strip()


def bases(make, folder):
    """A small file and what vmm's library writes, in either layout, plain and compressed."""
    yield Image(example())
    path = os.path.join(folder, "base")
    for level in ("0", "6"):
        subprocess.run([make, path, level], check=True)
        with open(path, "rb") as file:
            yield Image(file.read())
        yield Image(subprocess.run([make, "-", level], check=True, stdout=subprocess.PIPE).stdout)


def judge(job):
    """The verdicts on mutants first to last: a count of statuses, and the disagreements."""
    inspect, images, seed, first, last = job
    counts, wrong = collections.Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mutant")
        for number in range(first, last):
            chance = random.Random(f"{seed}-{number}")
            # The small one often: it is faster.
            data = mutant(chance, chance.choice((images[0], chance.choice(images))))
            with open(path, "wb") as file:
                file.write(data)
            verdicts = [ours(path), theirs(inspect, path, False), theirs(inspect, path, True)]
            counts[verdicts[0][0]] += 1
            if len({status for status, _ in verdicts}) > 1:
                wrong.append((number, data, verdicts))
    return counts, wrong


def main(make, inspect, number=2000, seed=1):
    counts, disagreements = collections.Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        images = list(bases(make, folder))
    jobs = [(inspect, images, seed, first, min(first + BATCH, int(number)))
            for first in range(0, int(number), BATCH)]
    with concurrent.futures.ProcessPoolExecutor() as pool:
        for found, wrong in pool.map(judge, jobs):
            counts += found
            for which, data, verdicts in wrong:
                disagreements += 1
                name = f"verdict-{seed}-{which}.snap"
                if disagreements <= 20:
                    with open(name, "wb") as file:
                        file.write(data)
                    for who, verdict in zip(("reader", "file", "pipe"), verdicts):
                        print(f"{name}: {who}: {verdict[0]} {verdict[1]}")
    print(f"{sum(counts.values())} mutants, seed {seed}: " + ", ".join(
        f"{counts[status]} {name}" for status, name in ((0, "whole"), (3, "corrupt"), (
            4, "incompatible"))) + f"; {disagreements} disagreements")
    # Mutants with one verdict alone would show nothing.
    enough = sum(counts.values()) < BATCH or min(counts[status] for status in (0, 3, 4)) * 20 > sum(counts.values())
    return 0 if enough and not disagreements else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
