#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Checks the disks that the case layers of linux.sh has left in its outbox:
#   disks.sh OUTBOX
# Prints `ok disks: what was seen`, `skip disks: why` or `FAIL disks: why`.
set -euo pipefail

here=$(dirname "$0")
folder=$1/disks

fail() {
    echo "FAIL disks: $*"
    exit 1
}

[ -e "$folder/disk.img" ] || fail "none came out"
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "skip disks: python3 is missing, or older than 3.10"
    exit 0
fi
count=0 most=0
for overlay in "$folder"/thaw*.overlay; do
    stored=$(python3 -B "$here/disks.py" "$folder/disk.img" "$overlay" "$folder/disk.raw" 2>&1) ||
        fail "${overlay##*/}: $(tail -n 1 <<<"$stored")"
    said=$(e2fsck -fn "$folder/disk.raw" 2>&1) || fail "${overlay##*/}: e2fsck: $(tail -n 3 <<<"$said" | tr '\n' ' ')"
    count=$((count + 1)) most=$((stored > most ? stored : most))
done
# Below the one that was thawed from the last snapshot are all of them.
kib=$(cat "$folder/sealed_kib")
[ $((kib * 1024 * 10)) -le $((most * 11)) ] ||
    fail "the sealed overlays take $kib KiB, of which $((most / 1024)) KiB are pages of the disk"
echo "ok disks: e2fsck is content with those of $count thawed guests; what was sealed" \
    "takes $kib KiB, of which $((most / 1024)) KiB are pages of the disk"
