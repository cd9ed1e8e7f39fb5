#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs clang-tidy on what a build folder compiles, without compiling it:
  tidy.py CLANG-TIDY BUILD [OPTION-OF-CLANG-TIDY]...
A source that several targets compile is read once for each set of its definitions."""
import concurrent.futures
import json
import os
import subprocess
import sys


def once(commands):
    """Those of C files of which no other has the same file and the same definitions."""
    kept = {}
    for entry in commands:
        if entry["file"].endswith(".c"):
            definitions = sorted(w for w in entry["command"].split() if w.startswith("-D"))
            kept.setdefault((entry["file"], *definitions), entry)
    return list(kept.values())


def weight(file):
    """Tests are not analyzed, and so take the shortest: the others begin, the largest first."""
    return ("/tests/" not in file, os.path.getsize(file))


def main():
    tidy, build, *options = sys.argv[1:]
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = once(json.load(file))
    own = os.path.join(build, "tidy")
    os.makedirs(own, exist_ok=True)
    with open(os.path.join(own, "compile_commands.json"), "w", encoding="utf-8") as file:
        json.dump(commands, file)
    files = sorted({entry["file"] for entry in commands}, key=weight, reverse=True)

    def check(file):
        return subprocess.run([tidy, "-p", own, *options, file], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, result in zip(files, pool.map(check, files)):
            if result.returncode:
                failed += 1
                print(f"{file}:\n{result.stdout}", flush=True)
    print(f"{len(files)} files, {failed} with findings")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
