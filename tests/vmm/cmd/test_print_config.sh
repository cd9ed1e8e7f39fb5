#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# test_print_config.sh VMM MANUAL: what --print-config writes is JSON for others, too, and --config takes
# it, as it does the example of the manual.
set -euo pipefail
vmm=$1 manual=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "FAIL $*"
    exit 1
}

# round ARG...: prints, reads back, prints again.
round() {
    "$vmm" "$@" --print-config >printed.json || fail "vmm $*: status $?"
    mv printed.json first.json
    python3 -m json.tool first.json >/dev/null || fail "vmm $*: no JSON"
    "$vmm" --config first.json --print-config >second.json || fail "not accepted: $(<first.json)"
    cmp first.json second.json || fail "vmm $*: not the same"
    echo "ok $*"
}

round --demo
round --kernel 'path=vm,cmdline="a=1,2 \"b\" ä",kernel_load_addr=0x200000' --initrd rd --memory 7 \
    --vcpu 3 --cpu baseline --board 0.1.0 --paused --ready-fd 9
round --restore s,clock=advance,memory=map,prefetch=off --ignore tsc-rate --serial ring:r,size=8K,rate=3
round --demo --snapshot-out f,on_output=x,after_ms=0,then=resume,compress=zlib:4,sync=none,target=0.1.0,drop=allow,note=a=1,note=b= \
    --on-guest-error stop,of=devices --log warn,fd=7,time=off --metrics m,format=openmetrics,every_ms=10
round --restore s --block a --block b,id=data,readonly=on,root=off,cache=none --allow disk-changed=data \
    --allow disk-shared=disk0,disk-shared=data --snapshot-out f,then=resume
[ "$(grep -c '"path": "[ab]"' first.json)" -eq 2 ] || fail "not two disks: $(<first.json)"
round --demo --balloon b,reporting=off
grep -q '"reporting": "off"' first.json || fail "no balloon: $(<first.json)"
round --demo --net passt=p,id=lan,mac=02:00:00:00:00:01,mtu=9000,bandwidth=64M
round --restore s --net fd=9
grep -q '"fd": 9' first.json || fail "no network: $(<first.json)"
round --demo --vsock cid=7,path=p,id=talk
sed -n '/^# CONFIGURATION FILE/,/^# KEYS/ { /^{/,/^}/p }' "$manual" >first.json
[ -s first.json ] || fail "the manual has no example"
round --config first.json
[ "$(ls)" = $'first.json\nsecond.json' ] || fail "files were made: $(ls)"

status=0
"$vmm" --config first.json --print-config >/dev/full 2>said || status=$?
[ "$status" -eq 7 ] || fail "a full disk gives status $status"
status=0
"$vmm" --demo --initrd $'a\xff' --print-config 2>said || status=$?
[ "$status" -eq 2 ] || fail "what is no UTF-8 gives status $status"
grep -qx 'vmm: --initrd is no UTF-8, which JSON cannot hold; give it as UTF-8' said || fail "$(<said)"
