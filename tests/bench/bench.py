# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""scripts/bench: measures every row side by side with its rival; docs/benchmarks.md."""
import argparse
import datetime
import json
import os
import platform
import signal
import sys
import time

from rig import Rig, Skipped
from rows import ROWS, WITHOUT_KVM

NEEDED_GIB = 6
QUIET_LOAD = 0.5
COLUMNS = ("row", "ours", "rival", "rival's", "ratio", "target", "reached")


def arguments():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--build", required=True, help="build folder")
    parser.add_argument("--json", required=True, help="where to write all figures")
    parser.add_argument("--pairs", type=int, default=31, help="turns of each contender")
    parser.add_argument("--row", action="append", choices=ROWS, help="only this row (repeatable)")
    parser.add_argument("--markdown", action="store_true", help="print the table for a document")
    parser.add_argument("--smoke", action="store_true", help="tiny guests: does it work at all?")
    return parser.parse_args()


def cpu_name():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine():
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "kernel": platform.release(),
            "hardware_virtualization": any(os.path.exists(f"/sys/module/kvm_{kind}")
                                           for kind in ("intel", "amd")),
            "memory_gib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30,
            "date": datetime.date.today().isoformat(), "load_before": os.getloadavg()[0]}


def measure(rig, names):
    """Rows that were skipped, and rows that failed, with the reason."""
    skipped, failed = {}, {}
    has_kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
    for name in names:
        if not has_kvm and name not in WITHOUT_KVM:
            skipped[name] = "there is no /dev/kvm here that may be used"
            continue
        start = time.monotonic()
        try:
            ROWS[name](rig)
        except Skipped as why:
            skipped[name] = str(why)
        except (RuntimeError, OSError) as why:
            failed[name] = str(why)
        print(f"== {name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return skipped, failed


def show_ms(ms):
    return f"{1000 * ms:.1f} us" if ms < 0.1 else f"{ms:.2f} ms"


def show_ratio(result):
    if "ratio" not in result:
        return ""
    return f"{result['ratio']:.2f} x" + (" faster" if result["ratio_is"] == "faster" else "")


def cells(result):
    reached = {True: "yes", False: "NO", None: ""}[result.get("reached")]
    if "ours_share" in result:
        return (result["row"], f"{100 * result['ours_share']:.1f} %", result["rival"],
                f"{100 * result['rival_share']:.1f} %", "", result["target"], reached)
    return (result["row"], show_ms(result["ours_ms"]), result.get("rival", ""),
            show_ms(result["rival_ms"]) if "rival_ms" in result else "",
            show_ratio(result), result.get("target", ""), reached)


def print_table(results, markdown):
    table = [COLUMNS] + [cells(result) for result in results]
    widths = [max(len(line[i]) for line in table) for i in range(len(COLUMNS))]
    for number, line in enumerate(table):
        if markdown:
            print("| " + " | ".join(line) + " |" + ("\n" + "|---" * len(line) + "|"
                                                   if number == 0 else ""))
        else:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    notes = dict.fromkeys((result["row"], result["note"]) for result in results
                          if result.get("note"))
    for row, note in notes:
        print(f"{row}: {note}")


def check_room(rig, smoke):
    stat = os.statvfs(rig.folder)
    if not smoke and stat.f_bavail * stat.f_frsize < NEEDED_GIB << 30:
        sys.exit(f"bench: {rig.folder} has less than {NEEDED_GIB} GiB left; set TMPDIR")


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    about = machine()
    if about["load_before"] > QUIET_LOAD and not options.smoke:
        print(f"bench: the machine is busy (load {about['load_before']:.2f}): take the figures "
              "for a sign that it works, no more", file=sys.stderr)
    rig = Rig(options.build, options.smoke, 1 if options.smoke else options.pairs)
    try:
        check_room(rig, options.smoke)
        skipped, failed = measure(rig, options.row or ROWS)
    finally:
        rig.close()
    about["load_after"] = os.getloadavg()[0]
    print_table(rig.results, options.markdown)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump({"machine": about, "pairs": rig.pairs, "rows": rig.results, "skipped": skipped,
                   "failed": failed}, file, indent=1)
        file.write("\n")
    for what, names in (("skipped", skipped), ("FAILED", failed)):
        for name, why in names.items():
            print(f"{what} {name}: {why}")
    judged = [result["reached"] for result in rig.results if "reached" in result]
    print(f"{sum(judged)} targets reached, {len(judged) - sum(judged)} missed; "
          f"{len(skipped)} rows skipped, {len(failed)} failed; figures in {options.json}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
