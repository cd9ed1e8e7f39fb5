#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# check_documented.sh SOURCE: README.md has a row for each part of cmake/StasisOptions.cmake, and no other;
# and the preset musl sets each, since scripts/test leaves them out in the same folder first.
set -eu
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    sed -n 's/^stasis_part(\([A-Z_]*\) .*/STASIS_\1/p' cmake/StasisOptions.cmake
    echo BUILD_TESTING
} | sort >"$work/parts"
# shellcheck disable=SC2016
sed -n 's/^| `\(STASIS_[A-Z_]*\|BUILD_TESTING\)` .*/\1/p' README.md | sort >"$work/rows"
[ "$(wc -l <"$work/parts")" -gt 5 ]
diff "$work/parts" "$work/rows"
grep -v BUILD_TESTING "$work/parts" >"$work/set"
sed -n '/"name": "musl"/,/^ *}/s/^ *"\(STASIS_[A-Z_]*\)": ".*/\1/p' CMakePresets.json | sort | diff "$work/set" -
