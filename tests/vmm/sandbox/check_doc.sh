#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# check_doc.sh MAKE_FILTERS SOURCE: docs/sandbox.md has the tables of calls.def. To mend it, put the
# output of MAKE_FILTERS tables between the two headings.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" tables >"$work/made"
sed -n '/^## System calls$/,/^## What it does not cover$/p' "$2/docs/sandbox.md" | sed '1,2d;$d' | sed '$d' >"$work/doc"
[ "$(wc -l <"$work/made")" -gt 100 ]
diff "$work/doc" "$work/made"
