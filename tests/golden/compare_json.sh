#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Two builds of snapshot-inspect, on machines of other byte order, say the same of every golden:
# compare_json.sh OURS COMMAND...     COMMAND runs the other one
set -euo pipefail

ours=$1
shift
count=0
for file in "$(dirname "$0")"/*/*.snap; do
    cmp <("$ours" json "$file") <("$@" json "$file") || { echo "$file differs"; exit 1; }
    "$@" verify "$file" >/dev/null
    count=$((count + 1))
done
[ $count -ge 5 ] || { echo "only $count golden snapshots"; exit 1; }
echo "ok $count golden snapshots read the same"
