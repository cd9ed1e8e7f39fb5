#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# twice.sh: makes the packages under two umasks, on two numbers of processors, compares the bytes, and has
# check.sh try them.
. "$(dirname "$0")/../../scripts/lib.sh"

cd "$STASIS_ROOT"
first=$(mktemp -d)
trap 'rm -rf "$first"' EXIT
(umask 022 && taskset -c 0 scripts/package)
cp build/packages/*.deb "$first"
(umask 077 && scripts/package)
for package in "$first"/*.deb; do
    cmp "$package" "build/packages/${package##*/}"
done
tests/package/check.sh
printf '%s packages of %s bytes, twice\n' "$(find "$first" -name '*.deb' | wc -l)" "$(cat "$first"/*.deb | wc -c)"
