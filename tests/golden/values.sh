#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# snapshot-inspect says of every golden what it said when that was made: values.sh INSPECT
# It may say more: lines that were not there then, and a comma in front of them.
set -euo pipefail

inspect=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0
for said in "$(dirname "$0")"/*/*.json.gz; do
    file=${said%.json.gz}.snap
    [ -e "$file" ] || continue
    gzip -dc "$said" | sed 's/,$//' >"$work/said"
    "$inspect" json "$file" | sed 's/,$//' >"$work/says"
    diff --speed-large-files "$work/said" "$work/says" >"$work/differs" || [ $? -eq 1 ]
    if [ ! -s "$work/said" ] || grep '^<' "$work/differs" >&2; then
        echo "$file: this was said when it was made"
        exit 1
    fi
    count=$((count + 1))
done
echo "ok $count golden snapshots have the values that they had"
