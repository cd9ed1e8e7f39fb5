#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Makes the golden snapshots of the release that BUILD is, once: make.sh BUILD
# Needs /dev/kvm, and the tools of scripts/nested for guests whose CPU this host may lack.
#
# NAME.snap is a snapshot, NAME.json.gz what snapshot-inspect says of it. NAME.expect says where its
# guest was: its nonce and the last tick that it had printed; then, a line each, the options that it
# is thawed with ("option TEXT"; @ is the folder of a copy of all files, without the suffix gz), the
# release that a file was written for if that is an older one ("target RELEASE"), and the root.
# demo*.snap hold the built-in guest, drive*.snap that of guest.c, which uses every device;
# edge*.snap hold every record type, and no guest.
. "$(dirname "$0")/../../scripts/lib.sh"

build=$(realpath "${1:?usage: make.sh BUILD}")
vmm=$build/bin/vmm
inspect=$build/bin/snapshot-inspect
here=$STASIS_ROOT/tests/golden
release=$("$vmm" --version | sed -n '1s/.* //p')
oldest=$(sed -n 's/^\([0-9][0-9.]*\) .*/\1/p' "$STASIS_ROOT/tests/history/releases.txt" | head -n 1)
folder=$here/$release
[ ! -e "$folder" ] || die "$STATUS_FAILURE" "$folder is there already, for ever"
part=$folder.part
rm -rf "$part"
mkdir "$part"
peer=
trap '[ -z "$peer" ] || kill "$peer"; rm -rf "$part"' EXIT
cd "$part" || exit

# expect NAME SERIAL [LINE]...: SERIAL is what the guest had printed, whose last line may be cut.
expect() {
    local name=$1 serial=$2
    shift 2
    grep -o 'tick [0-9]* nonce=[0-9a-f]\{32\}' "$serial" | tail -n 1 >"$name.expect"
    [ -s "$name.expect" ]
    [ $# -eq 0 ] || printf '%s\n' "$@" >>"$name.expect"
    "$inspect" json "$name.snap" | sed -n 's/^    "root": "\(.*\)",$/root \1/p' >>"$name.expect"
}

# demo NAME KEYS OPTION...: the built-in guest.
demo() {
    local name=$1 keys=$2 lines=()
    shift 2
    "$vmm" --demo --memory size_mib=2 --serial file:out "$@" \
        --snapshot-out "path=$name.snap,on_output=tick 5 nonce$keys" </dev/null
    [[ $keys != *target=* ]] || lines=("target ${keys##*target=}")
    expect "$name" out "${lines[@]}"
    rm out
}

# save_at NAME TICK KEYS OPTION...: the other guest, with every device, which is killed once it runs on
# behind its snapshot: that seals the disk's overlay.
save_at() {
    local name=$1 tick=$2 keys=$3 pid options
    shift 3
    options=(--block 'path=@/disk.img,overlay=@/disk.overlay' --net passt=@/passt --vsock path=@/vsock)
    "$vmm" "$@" "${options[@]//@/.}" --serial file:out --control path=control \
        --snapshot-out "path=$name.snap,on_output=tick $tick nonce,then=resume$keys" </dev/null 2>said &
    pid=$!
    until grep -q '^vmm: frozen to' said || ! kill -0 $pid; do sleep 0.1; done
    kill -TERM $pid || true
    wait $pid || true
    grep '^vmm: frozen to' said
    # What it printed behind the snapshot is cut off.
    sed "/^tick $tick /,\$d" out >before
    options[1]=${options[1]/disk.overlay/$name.overlay} options[5]=path=@/$name.vsock
    expect "$name" before "${options[@]/#/option }" 'option --allow' 'option disk-changed=disk0'
    rm -f out before said disk.overlay
}

demo demo '' --cpu baseline
demo demo-zlib ,compress=zlib:9 --cpu baseline
demo demo-sha256 ,compress=zlib:9,digest=sha256 --cpu baseline
demo demo-smp ,compress=zlib:9 --cpu baseline --vcpu 4
demo demo-pl031 ,compress=zlib:9 --cpu baseline --rtc pl031
[ "$oldest" = "$release" ] || demo demo-oldest ",compress=zlib:9,target=$oldest" --cpu baseline --board "$oldest"
"$vmm" --demo --cpu baseline --memory size_mib=2 --serial file:out \
    --snapshot-out 'path=-,on_output=tick 5 nonce,compress=zlib:9' </dev/null >demo-stream.snap
expect demo-stream out
rm out

# A chain, each with the disk of its moment.
printf 'golden %.0s' {1..9363} >disk.img
truncate -s 64K disk.img
python3 -c 'import socket
s = socket.socket(socket.AF_UNIX)
s.bind("passt")
s.listen()
while True:
    c, _ = s.accept()
    while c.recv(65536):
        pass' &
peer=$!
until [ -S passt ]; do sleep 0.1; done
save_at drive0 5 ,compress=zlib:9 --kernel "$build/bin/golden-guest" --cpu baseline --memory size_mib=2 --balloon id=balloon
save_at drive1 8 ,parent=auto --restore path=drive0.snap
save_at drive2 11 ,parent=auto,compress=zlib:9,digest=sha256 --restore path=drive1.snap
kill "$peer"
peer=
rm passt
gzip -n9 disk.overlay.*

# CPUs that this host may not have are made where there is every feature.
"$STASIS_ROOT/scripts/nested" -b "$vmm" -x "$part/outbox" "$here/make_nested.sh" x86-64-v2 x86-64-v3
for model in x86-64-v2 x86-64-v3; do
    mv "outbox/$model.snap" "demo-$model.snap"
    expect "demo-$model" "outbox/$model.out"
done
rm -r outbox

"$build/bin/make_golden" edge.snap 0
"$build/bin/make_golden" edge-zlib.snap 6
for file in *.snap; do "$inspect" json "$file" | gzip -n9 >"${file%.snap}.json.gz"; done
quietly verify.log "$inspect" verify ./*.snap
rm verify.log
chmod 0644 ./*
mv "$part" "$folder"
ls -l "$folder"
du -sb "$folder"
