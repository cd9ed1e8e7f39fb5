#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# twice.sh: copies this tree to two folders whose names differ in length, makes the tarball in each, from
# the libraries on, under another umask and on another number of processors, and compares the bytes.
. "$(dirname "$0")/../../scripts/lib.sh"

cd "$STASIS_ROOT"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

# packed FOLDER UMASK PROCESSORS
packed() (
    mkdir -p "$work/$1"
    git ls-files -z | xargs -0 cp -a --parents -t "$work/$1"
    umask "$2"
    taskset -c "$3" "$work/$1/scripts/tarball"
)

one=$(packed one 022 0)
other=$(packed a/folder/with/a/longer/name 077 "0-$(($(nproc) - 1))")
cmp "$one" "$other"
"$STASIS_ROOT/tests/tarball/check.sh" "$one"
printf '%s bytes, sha256 %s, twice\n' "$(stat -c %s "$one")" "$(sha256sum <"$one" | cut -c 1-16)"
