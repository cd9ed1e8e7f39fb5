#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Makes the golden snapshots of the release that BUILD is, once: make.sh BUILD
# demo*.snap hold the built-in guest with the baseline CPU; beside each stands where it was:
# its nonce and the last tick it had printed. edge*.snap hold every record type.
set -euo pipefail

build=$(realpath "${1:?usage: make.sh BUILD}")
release=$("$build/bin/vmm" --version | sed -n 's/.* //p')
folder=$(dirname "$(realpath "$0")")/$release
[ ! -e "$folder" ] || { echo "make.sh: $folder is there already, for ever" >&2; exit 1; }
part=$folder.part
rm -rf "$part"
mkdir "$part"

demo() { # NAME KEYS...
    local name=$1 keys=$2
    "$build/bin/vmm" --demo --cpu baseline --memory size_mib=2 --serial "file:$part/out" \
        --snapshot-out "path=$part/$name.snap,on_output=tick 5 nonce$keys" </dev/null
    grep -o 'tick [0-9]* nonce=[0-9a-f]\{32\}' "$part/out" | tail -n 1 >"$part/$name.expect"
    rm "$part/out"
}
demo demo ''
demo demo-zlib ,compress=zlib:9
"$build/bin/vmm" --demo --cpu baseline --memory size_mib=2 --serial "file:$part/out" \
    --snapshot-out "path=-,on_output=tick 5 nonce" </dev/null >"$part/demo-stream.snap"
grep -o 'tick [0-9]* nonce=[0-9a-f]\{32\}' "$part/out" | tail -n 1 >"$part/demo-stream.expect"
rm "$part/out"
"$build/bin/make_golden" "$part/edge.snap" 0
"$build/bin/make_golden" "$part/edge-zlib.snap" 6
chmod 0644 "$part"/*
mv "$part" "$folder"
ls -l "$folder"
