#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# snapshot-inspect says of every golden what it said when that was made: values.sh INSPECT
# It may say more: lines that were not there then.
set -euo pipefail

inspect=$1
count=0
for said in "$(dirname "$0")"/*/*.json.gz; do
    file=${said%.json.gz}.snap
    [ -e "$file" ] || continue
    if diff --speed-large-files <(gzip -dc "$said") <("$inspect" json "$file") | grep '^<' >&2; then
        echo "$file: this was said when it was made"
        exit 1
    fi
    count=$((count + 1))
done
echo "ok $count golden snapshots have the values that they had"
