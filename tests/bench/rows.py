# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The rows of the benchmark (docs/benchmarks.md says what each means); rows_save.py has those that
save."""
import json
import os
import subprocess
import time

from qemu import DiskReader, Qemu
from rig import SLOW_PAIRS, Sample, Session, Skipped
from rows_save import cancel, layers, overlay, save, save_digest, save_sparse, save_zlib

DISK_PAIRS = 15


# ---- from exec to an answer ----

def answer_contenders(rig, modes, count, cold):
    snapshot, _ = rig.snapshot("asleep", rig.sizes.main)
    return {mode: lambda mode=mode: rig.stopwatch(
        rig.restore(snapshot, mode), count, True, [snapshot] if cold else []) for mode in modes}


def answer(rig, name, modes, count=1, cold=False, pairs=None, judged=()):
    """`judged` modes have a target."""
    contenders = answer_contenders(rig, modes, count, cold)
    rivals, missing = {}, None
    try:
        qemu = Qemu(rig)
        chill = [qemu.saved()] if cold else []
        rivals = {"QEMU fd": lambda: rig.stopwatch(qemu.incoming_file(), count, True, chill)}
        if not cold and count == 1:
            rivals["QEMU exec:cat"] = lambda: rig.stopwatch(qemu.incoming_cat(), count, True)
    except Skipped as why:
        missing = why
    samples = rig.rounds(contenders | rivals, pairs)
    for mode in modes:
        for rival in rivals:
            rig.report(f"{name} {mode}", samples[mode], samples[rival], rival,
                       faster=20 if mode in judged else 0)
        if not rivals:
            rig.report(f"{name} {mode}", samples[mode])
    if missing:
        raise missing


def answer_warm(rig):
    answer(rig, "answer warm", ["map", "lazy", "copy"], judged=("map", "lazy"))


def answer_cold(rig):
    answer(rig, "answer cold", ["map", "lazy", "copy"], cold=True)


def answer_crowd(rig):
    count = rig.sizes.crowd
    answer(rig, f"answer warm, {count} at once", ["map", "lazy", "copy"], count,
           pairs=SLOW_PAIRS, judged=("map", "lazy"))
    answer(rig, f"answer cold, {count} at once", ["map", "lazy", "copy"], count, True, SLOW_PAIRS)


def answer_clones(rig):
    count = rig.sizes.clones
    modes = ["map", "map,prefetch=off"]
    samples = rig.rounds(answer_contenders(rig, modes, count, False), SLOW_PAIRS)
    for mode in modes:
        rig.report(f"answer warm, {count} at once {mode}", samples[mode])


def python(rig):
    count = rig.sizes.thaws
    snapshot, _ = rig.snapshot("writing", rig.sizes.small)
    for keys in (["memory=map"], ["memory=map", "prefetch=off"]):
        mode = ",".join(keys).removeprefix("memory=")
        samples = rig.rounds({
            "C": lambda mode=mode: rig.sequence(count, rig.restore(snapshot, mode)),
            "Python": lambda keys=keys: rig.sequence_by_python(count, snapshot, *keys)})
        a_second = [f"{1000 / samples[name].ms:.0f} by {name}" for name in ("Python", "C")]
        rig.report(f"thaw and end by Python, {mode}", samples["Python"], samples["C"], "C",
                   at_most=2, note=f"thaws a second: {', '.join(a_second)}")


# ---- from exec to the first port write, beside the least that could do it ----

def floor(rig, size, lazy_target=None):
    snapshot, place = rig.snapshot("writing", size)
    bare = [rig.program("bench-bare"), rig.trace(size), snapshot, place]
    samples = rig.rounds({
        "bare": lambda: rig.stopwatch(bare),
        "map": lambda: rig.stopwatch(rig.restore(snapshot, "map")),
        "lazy": lambda: rig.stopwatch(rig.restore(snapshot, "lazy")),
    })
    name = f"first port write, {size[0]} MiB"
    rig.report(f"{name} map", samples["map"], samples["bare"], "bare program", at_most=1.1)
    rig.report(f"{name} lazy", samples["lazy"], samples["map"], "map", at_most=lazy_target)


def floor_main(rig):
    floor(rig, rig.sizes.main, lazy_target=1.5)


def floor_small(rig):
    floor(rig, rig.sizes.small)


def floor_large(rig):
    floor(rig, rig.sizes.large)
    rig.forget(f"writing-{rig.sizes.large[0]}.snap")


def sandbox(rig):
    """It costs less than starts vary by: many pairs, in which the two take turns at being first."""
    snapshot, _ = rig.snapshot("writing", rig.sizes.small)
    times = {"on": [], "off": []}
    for turn in range(rig.sizes.sandbox_rounds * rig.pairs + 1):
        for mode in ("on", "off") if turn % 2 else ("off", "on"):
            times[mode].append(rig.start_cost(
                rig.restore(snapshot, "map,prefetch=off", "--sandbox", mode)))
    for what, column in (("", 0), (", CPU time", 1)):
        on, off = ([time[column] for time in times[mode][1:]] for mode in ("on", "off"))
        rig.report_more(f"first port write, {rig.sizes.small[0]} MiB, in the sandbox{what}", on, off,
                        "without it", 0.3)


# ---- all of the memory ----

def populate(rig):
    snapshot, _ = rig.snapshot("asleep", rig.sizes.main)
    target = os.path.join(rig.memory_folder, "copy")

    def copy_file():
        start = time.monotonic()
        subprocess.run(["cp", snapshot, target], check=True)
        seconds = time.monotonic() - start
        os.unlink(target)
        return seconds
    samples = rig.rounds({
        "copy": lambda: rig.stopwatch(rig.restore(snapshot, "copy"), typing=True),
        "cp": copy_file,
    })
    rig.report("populate everything, copy", samples["copy"], samples["cp"], "cp to memory",
               at_most=1.3)


def huge_share(pid):
    """Of the anonymous memory of a process; and MiB of it, and of the pages of files."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        kib = {line.split(":")[0]: int(line.split()[1]) for line in file if line.endswith("kB\n")}
    anonymous = kib["Anonymous"]
    return kib["AnonHugePages"] / anonymous, anonymous >> 10, (kib["Rss"] - anonymous) >> 10


def settle(rig, command):
    """The guest writes to all RAM that was zero; the rest is left alone until 2 s have passed."""
    with Session(command) as guest:
        start = time.monotonic()
        if command[1] == "run":
            guest.answer()
            start = time.monotonic()
        guest.ask(b"t")
        time.sleep(max(0, start + rig.sizes.settle_s - time.monotonic()))
        share = huge_share(guest.process.pid)
        return share, guest.ask(b"r")


def huge_pages(rig):
    snapshot, _ = rig.snapshot("asleep", rig.sizes.main)
    mib = [str(n) for n in rig.sizes.main]
    (fresh, anonymous, _), fresh_walk = settle(rig, [rig.program("bench-guest"), "run", *mib])
    for mode in ("map", "lazy", "copy"):
        (share, anonymous, file_mib), walk = settle(rig, rig.restore(snapshot, mode))
        result = {"row": f"huge pages after 2 s, {mode}", "ours_share": share,
                  "rival": "never frozen", "rival_share": fresh, "n": 1,
                  "note": f"of {anonymous} MiB anonymous RAM; {file_mib} MiB of files mapped"}
        rig.judge(result, ">= 90 %", share >= 0.9)
        rig.results.append(result)
        rig.report(f"memory walk after 2 s, {mode}", Sample([walk]), Sample([fresh_walk]),
                   "never frozen")


# ---- state ----

def state(rig):
    rounds = rig.sizes.state_rounds
    result = json.loads(rig.run([rig.program("bench-state"), str(rounds)]))
    collect = result["collect_ns"]
    shares = sorted(result["ioctls"].items(), key=lambda item: -item[1]["ns"])
    rig.report_limit("state: collect and encode", collect, 2, n=rounds, note=", ".join(
        f"{name} {100 * share['ns'] / collect:.1f} % ({share['calls']} calls)"
        for name, share in shares))
    what = f"{result['bytes']} bytes, {result['items']} items"
    for verb in ("encode", "decode"):
        for rival in ("msgpack", "memcpy"):
            rig.report_limit(f"state of {result['vcpus']} vCPUs: {verb}", result[f"{verb}_ns"], 0.1,
                             {"msgpack": "msgpack-c unpack", "memcpy": "memcpy"}[rival],
                             result[f"{rival}_ns"], what, rounds)


# ---- one vCPU ----

def vcpu(rig):
    """Reading its state must cost little more than the calls, and an exit little more than KVM."""
    rounds = rig.sizes.state_rounds
    result = json.loads(rig.run([rig.program("bench-vcpu"), str(rounds)]))
    row = {"row": "state of a vCPU: read again", "ours_ms": result["collect_ns"] / 1e6,
           "rival": "the fewest calls", "rival_ms": result["bare_ns"] / 1e6, "n": rounds,
           "ratio": result["collect_ns"] / result["bare_ns"], "ratio_is": "slower",
           "note": "medians of alternating pairs"}
    rig.judge(row, "<= 1.15 x", row["ratio"] <= 1.15)
    rig.results.append(row)
    row = {"row": "from KVM_RUN to KVM_RUN, a port that nobody handles",
           "ours_ms": result["exit_ns"] / 1e6, "n": 1001, "note": f"{result['exit_cycles']} TSC cycles"}
    rig.judge(row, "<= 300 cycles", result["exit_cycles"] <= 300)
    rig.results.append(row)


def exit_alone(rig):
    """The same on a KVM that returns at once: our code, and nothing of KVM's."""
    rounds = rig.sizes.state_rounds
    result = json.loads(rig.run([rig.program("bench-exit"), str(rounds)]))
    row = {"row": "an exit to a port that nobody handles, without KVM",
           "ours_ms": result["exit_ns"] / 1e6, "n": rounds,
           "note": f"{result['exit_cycles']} TSC cycles"}
    rig.judge(row, "<= 300 cycles", result["exit_cycles"] <= 300)
    rig.results.append(row)


# ---- several vCPUs ----

def smp(rig):
    """Time for each vCPU must not grow with their number; a full console must not hold up others."""
    rounds = rig.sizes.state_rounds
    result = json.loads(rig.run([rig.program("bench-smp"), str(rounds)]))
    one = result["machines"][0]
    for machine in result["machines"]:
        count = machine["vcpus"]
        row = {"row": f"state of {count} vCPUs: collect, for each vCPU",
               "ours_ms": machine["collect_each_ns"] / 1e6, "n": rounds,
               "note": f"all {machine['collect_ns'] / 1e6:.2f} ms; "
                       f"to stop them {machine['pause_ns'] / 1e6:.2f} ms"}
        if count > 1:
            row |= {"rival": "one vCPU", "rival_ms": one["collect_ns"] / 1e6,
                    "ratio": machine["collect_each_ns"] / one["collect_ns"], "ratio_is": "slower"}
        rig.judge(row, "<= 1 x", row.get("ratio", 1) <= 1)
        rig.results.append(row)
    rig.report_limit(f"build a machine of {result['built_vcpus']} vCPUs", result["build_ns"], 100,
                     "one vCPU", result["build_one_ns"], n=min(rounds, 11))
    more = result["gap_full_console_ns"] - result["gap_control_ns"]
    row = {"row": "longest gap of a vCPU beside one that prints to a full pipe",
           "ours_ms": result["gap_full_console_ns"] / 1e6, "rival": "beside one that prints nothing",
           "rival_ms": result["gap_control_ns"] / 1e6, "n": min(rounds, 31),
           "ratio": result["gap_full_console_ns"] / max(1, result["gap_control_ns"]),
           "ratio_is": "slower", "note": "medians of windows of 0.1 s, alternating"}
    rig.judge(row, "<= 1 ms more", more <= 1e6)
    rig.results.append(row)


# ---- a disk ----

def reading(command):
    """Seconds from the first request of the guest (disk.S) to its last answer."""
    with Session(command) as guest:
        guest.answer()
        start = time.monotonic()
        guest.answer()
        return time.monotonic() - start


def disk(rig):
    cases = (("4 KiB random, 1 at a time", (1, 4, "random")),
             ("4 KiB random, 32 at a time", (32, 4, "random")),
             ("128 KiB in sequence, 8 at a time", (8, 128, "sequential")))
    missing = None
    for name, what in cases:
        words = [rig.random_file(), *map(str, what), str(rig.sizes.disk_requests)]
        contenders = {"ours": lambda words=words: reading(
            [rig.program("bench-disk"), "run", *words])}
        try:
            command = DiskReader(rig).command(words)
            contenders["QEMU"] = lambda command=command: reading(command)
        except Skipped as why:
            missing = why
        samples = rig.rounds(contenders, DISK_PAIRS)
        rig.report(f"{rig.sizes.disk_requests} reads of a disk, {name}", samples["ours"],
                   samples.get("QEMU"), "QEMU", at_most=None if missing else 1.05)
    if missing:
        raise missing


ROWS = {
    "answer-warm": answer_warm, "answer-cold": answer_cold, "answer-crowd": answer_crowd,
    "answer-clones": answer_clones, "python": python,
    "floor": floor_main, "floor-small": floor_small, "floor-large": floor_large,
    "sandbox": sandbox, "populate": populate, "huge-pages": huge_pages,
    "save": save, "save-sparse": save_sparse, "save-digest": save_digest, "layers": layers,
    "overlay": overlay, "cancel": cancel, "save-zlib": save_zlib, "state": state,
    "vcpu": vcpu, "exit": exit_alone, "smp": smp, "disk": disk,
}

# Rows that the library alone is measured in.
WITHOUT_KVM = {"exit", "save-sparse", "save-digest", "layers", "overlay", "cancel", "save-zlib"}
