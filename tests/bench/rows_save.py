# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The rows of the benchmark that save: whole snapshots, layers, overlays of disks."""
import json
import os
import shutil
import signal
import subprocess
import time

from qemu import Qemu, Running
from rig import SLOW_PAIRS, Sample, Session, Skipped

SAVE_PAIRS = 11
FOLDER = object()  # among the arguments of bench-layers


class Saver(Session):
    """A guest in plain memory, that is saved as often as we like and goes on."""

    def __init__(self, rig):
        self.target = rig.path("saved.snap")
        snapshot, _ = rig.snapshot("asleep", rig.sizes.main)
        super().__init__(rig.restore(
            snapshot, "copy", "--snapshot-out", f"path={self.target},then=resume,sync=none"))
        self.ask(b"x")

    def save(self):
        start = time.monotonic()
        os.kill(self.process.pid, signal.SIGUSR1)
        self.line("frozen to")
        seconds = time.monotonic() - start
        os.unlink(self.target)
        return seconds


def timed_cp(rig):
    source, target = rig.random_file(), rig.path("copied")
    start = time.monotonic()
    subprocess.run(["cp", source, target], check=True)
    seconds = time.monotonic() - start
    os.unlink(target)
    return seconds


def removed(path, measure):
    """As ours: to a new file each time, which is removed off the clock. ext4 writes out at once
    what replaces a file by truncation, and the disk would then be busy in the other's turn."""
    seconds = measure(path)
    os.unlink(path)
    return seconds


def save(rig):
    with Saver(rig) as ours:
        samples = rig.rounds({"ours": ours.save, "cp": lambda: timed_cp(rig)}, SAVE_PAIRS)
        rig.report("save, sync=none", samples["ours"], samples["cp"], "cp", at_most=1.3)
        with Running(Qemu(rig)) as theirs:
            path = rig.path("migrated")
            samples = rig.rounds(
                {"ours": ours.save, "best": lambda: removed(path, theirs.save_best)}, SAVE_PAIRS)
            rig.report("save, sync=none", samples["ours"], samples["best"],
                       "QEMU migrate fd, no limit", faster=6)
            # A host that takes back idle memory does so within seconds, and whoever needs it next
            # waits for it: so somebody else does, off the clock.
            samples = rig.rounds(
                {"ours": ours.save, "plain": lambda: removed(path, theirs.save_plain)}, SLOW_PAIRS,
                before=ours.save)
            rig.report("save, sync=none", samples["ours"], samples["plain"],
                       "QEMU migrate exec:cat", faster=6)


def program_text(rig):
    """What this machine's programs consist of: memory that compresses as a guest's does."""
    def make(path):
        names = [entry.path for folder in ("/usr/bin", "/usr/lib/x86_64-linux-gnu")
                 for entry in os.scandir(folder)
                 if entry.is_file(follow_symlinks=False) and os.access(entry.path, os.R_OK)]
        left = rig.sizes.text_mib << 20
        with open(path, "wb") as out:
            for name in sorted(names):
                with open(name, "rb") as file:
                    left -= out.write(file.read(left))
                if not left:
                    return path
        raise Skipped(f"the programs installed here are less than {rig.sizes.text_mib} MiB")
    return rig.once("text", make)


def save_zlib(rig):
    pairs = min(SAVE_PAIRS, rig.pairs)
    result = json.loads(rig.run([rig.program("bench-zlib"), program_text(rig),
                                 rig.path("text.snap"), str(pairs)]))
    ours, theirs = zip(*result["pairs"])
    packed, rival_packed = (100 * result[key] / result["bytes"]
                            for key in ("packed", "rival_packed"))
    rig.report("save, zlib level 1", Sample(ns / 1e9 for ns in ours),
               Sample(ns / 1e9 for ns in theirs), f"compress2, {result['threads']} threads",
               faster=1.8, note=f"{result['bytes'] >> 20} MiB of program text to "
                                f"{packed:.1f} %, the rival's {rival_packed:.1f} %")


def sparse(rig, verb, gib, *path):
    """Medians of ours and of the rival, of memory that was hardly touched."""
    pairs = str(min(SAVE_PAIRS, rig.pairs))
    result = json.loads(rig.run([rig.program("bench-sparse"), verb, str(gib), pairs, *path]))
    return [Sample(ns / 1e9 for ns in side) for side in zip(*result["pairs"])]


def save_sparse(rig):
    small, large = rig.sizes.sparse_gib
    ours, pagemap = sparse(rig, "find", large)
    rig.report_limit(f"find untouched memory, {large} GiB", 1e6 * ours.ms, 5, "/proc/self/pagemap",
                     1e6 * pagemap.ms, n=ours.n)
    for gib in small, large:
        ours, bare = sparse(rig, "save", gib, rig.path("sparse.snap"))
        rig.report_limit(f"save, sync=full, 1 MiB of {gib} GiB touched", 1e6 * ours.ms, 50,
                         "bare write, fsync", 1e6 * bare.ms, n=ours.n)


def save_digest(rig):
    ours, without = sparse(rig, "digest", 1, rig.path("digest.snap"))
    rig.report("save, sync=none, digest=sha256, 128 MiB", ours, without, "digest=none")


def bench_layers(rig, *words):
    """In a folder of its own, which is emptied."""
    folder = rig.path("layers")
    os.mkdir(folder)
    try:
        words = [folder if word is FOLDER else str(word) for word in words]
        return json.loads(rig.run([rig.program("bench-layers"), *words]))
    finally:
        shutil.rmtree(folder)


def sides(result):
    return [Sample(ns / 1e9 for ns in side) for side in zip(*result["pairs"])]


def layers(rig):
    pairs = min(SAVE_PAIRS, rig.pairs)
    for mib, pages, target in rig.sizes.layers:
        result = bench_layers(rig, "write", mib, pages, pairs, FOLDER)
        ours, copy = sides(result)
        rig.report(f"save of a layer, sync=full, {pages} pages of {mib} MiB dirty", ours, copy,
                   "copy of it, fsync", at_most=target,
                   note=f"{result['bytes'] / (pages * 4096):.3f} of the bytes that are dirty")
    gib, count = rig.sizes.layers_index
    result = bench_layers(rig, "index", gib, 100, count, FOLDER)
    rig.report_limit(f"save of a layer, sync=none, and opening it, 100 pages of {gib} GiB dirty",
                     result["ns"], 100, n=count,
                     note=f"{count} layers: indexes of {result['mean'] / 1024:.1f} KiB on average, {result['whole']} "
                          f"whole; who opens one reads {result['most_read']:.2f} times a whole index at most")
    mib, pages = rig.sizes.layers_thaw
    for mode, at_most in ("copy", 1.2), ("lazy", 1.2), ("map", None):
        for count in 1, 8, 64:
            ours, one = sides(bench_layers(rig, "thaw", mib, pages, count, pairs, FOLDER, mode))
            rig.report(f"thaw from {count} layers, {mode}", ours, one, "one file",
                       at_most=at_most)
        ours, one = sides(bench_layers(rig, "thaw", mib, 0, 0, pairs, FOLDER, mode))
        rig.report(f"thaw from a file of format 1, {mode}", ours, one, "format 2", at_most=1.1)


def overlay(rig):
    """Random 4 KiB, of an overlay beside a raw file."""
    pairs = min(SAVE_PAIRS, rig.pairs)
    for verb, at_most in ("write", 1 / 0.7), ("read", 1 / 0.9), ("flush", None):
        folder = rig.path("overlay")
        os.mkdir(folder)
        try:
            result = json.loads(rig.run([rig.program("bench-overlay"), verb,
                                         str(rig.sizes.overlay_mib), str(pairs), folder]))
        finally:
            shutil.rmtree(folder)
        ours, raw = sides(result)
        what = {"write": "4 KiB at random places", "read": "4 KiB from random places",
                "flush": "256 times 4 KiB and a flush"}[verb]
        rig.report(f"overlay: {verb}, {what}", ours, raw, "a raw file", at_most=at_most)


def cancel(rig):
    """From the request, made on another thread, to the return of the save that it ends."""
    turns = str(min(SAVE_PAIRS, rig.pairs))
    for gib in rig.sizes.sparse_gib:
        phases = json.loads(rig.run([rig.program("bench-sparse"), "cancel", str(gib), turns,
                                     rig.path("cancelled.snap"), str(rig.sizes.cancel_mib)]))
        for phase, seen in phases.items():
            if not seen["ns"]:
                raise Skipped(f"{phase}, {gib} GiB: all saves were over before the request")
            times = Sample(ns / 1e9 for ns in seen["ns"])
            rig.report_limit(f"cancel in {phase}, {gib} GiB, {rig.sizes.cancel_mib} MiB touched",
                             1e6 * times.ms, 100, n=times.n,
                             note=f"at worst {times.range_ms[1]:.1f} ms; {seen['late']} saves were over before")
