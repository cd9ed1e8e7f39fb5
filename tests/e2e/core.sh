#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Opens the snapshots that linux.sh has left in its outbox as cores in gdb:
#   core.sh OUTBOX KERNEL_RELEASE gdb_CASE...
# Prints `ok CASE: what was seen`, `skip CASE: why` or `FAIL CASE: why`; snapshot-inspect is in PATH.
set -euo pipefail

outbox=$1 release=$2
shift 2

fail() {
    echo "FAIL $case: $*"
    exit 1
}

# check_caller CORE RIP: the panic was told by iowrite8(), of no frame, so that gdb needs no symbols for its
# caller: a call of a function that begins shortly before RIP (a frame #1 alone may be made of anything).
check_caller() {
    local shown
    # shellcheck disable=SC2016
    shown=$(gdb -nx -batch -ex "core $1" -ex bt -ex 'frame 1' \
        -ex 'set $at = (long)$pc' -ex 'set $begin = $at + *(int *)($at - 4)' \
        -ex 'printf "call %x, %ld bytes before\n", *(unsigned char *)($at - 5), (long)'"$2"' - $begin' \
        2>&1) || fail "$shown"
    grep -q '^#1  0xffffffff[0-9a-f]* in ' <<<"$shown" || fail "no caller: $shown"
    grep -qE '^call e8, [0-9]{1,2} bytes before$' <<<"$shown" || fail "frame #1 does not call it: $shown"
}

# What the tool says of KASLR, and gdb of RIP, of the back trace from it on and of the string at the guest's own address of it.
check() {
    local snap=$outbox/${case#gdb_}.snap core=$outbox/vm.core banner rip said shown
    [ -e "$snap" ] || fail "no snapshot came out"
    if ! command -v gdb >/dev/null; then
        echo "skip $case: gdb is missing"
        return
    fi
    banner=$(cat "${snap%.snap}.banner")
    rip=$(snapshot-inspect info "$snap" | sed -n 's/^  RIP \(0x[0-9a-f]*\) .*/\1/p')
    said=$(snapshot-inspect core "$snap" -o "$core" 2>&1) || fail "$said"
    case $case in
        *_nokaslr) grep -qF "Linux $release, at the addresses it was linked to" <<<"$said" ;;
        *) grep -q "^Linux $release, moved by 0x[0-9a-f]* (KASLR)" <<<"$said" ;;
    esac || fail "$said"
    # shellcheck disable=SC2016
    shown=$(gdb -nx -batch -ex "core $core" -ex 'printf "rip 0x%016lx\n", $rip' \
        -ex "printf \"banner %s\", (char *)0x$banner" -ex 'x/i $rip' -ex bt 2>&1) || fail "$shown"
    grep -qx "rip $rip" <<<"$shown" || fail "RIP should be $rip: $shown"
    grep -q "^banner Linux version $release " <<<"$shown" || fail "no banner at $banner: $shown"
    grep -q "^=> $rip:" <<<"$shown" || fail "nothing at RIP: $shown"
    grep -q "^#0  $rip in " <<<"$shown" || fail "no back trace: $shown"
    [ "$case" != gdb_core_panic ] || check_caller "$core" "$rip"
    rm "$core"
    echo "ok $case: RIP $rip, at 0x$banner $(
        sed -n 's/^banner \(Linux version [^ ]*\).*/"\1"/p' <<<"$shown"); $(
        sed -n 's/^Linux [^,]*, \([^:]*\):.*/\1/p' <<<"$said")"
}

failed=0
for case in "$@"; do
    (check) || failed=1
done
exit $failed
