#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What is frozen of a release agrees: its schema, its record versions, and the release table.

Usage: test_frozen.py SOURCE_DIR
"""
import pathlib
import re
import sys

SER = pathlib.Path(sys.argv[1]) / "state-ser/ser"


def records(path, pattern):
    return {kind: int(version) for kind, version in
            re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)}


def main():
    table = re.findall(r'STASIS_RELEASE\("([^"]+)", \d+, ', (SER / "releases.c").read_text(
        encoding="utf-8"))
    assert table, "no releases"
    for suffix in ("def", "schema"):
        files = {path.name.removesuffix("." + suffix) for path in SER.glob(f"frozen/*.{suffix}")}
        assert files == set(table), f"releases.c has {table}, frozen/*.{suffix} {sorted(files)}"
    for release in table:
        schema = SER / f"frozen/{release}.schema"
        assert f"\nrelease {release}\n" in schema.read_text(encoding="utf-8"), schema
        by_schema = records(schema, r"^record (\S+) version=(\d+) ")
        by_def = records(SER / f"frozen/{release}.def", r'^STASIS_FROZEN\("([^"]+)", (\d+), ')
        assert by_schema and by_schema == by_def, f"{release}: {by_schema} and {by_def}"
        print(f"ok release {release}: {len(by_def)} record types")
    return 0


if __name__ == "__main__":
    sys.exit(main())
