# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# Runs test programs, and the built-in guest's freeze and thaw, beside another kind of /dev/kvm.
#   kvm.sh PAYLOAD PROGRAM...     PAYLOAD holds the programs, vmm, snapshot-inspect and the story
# Prints `ok NAME`, `skip NAME: why` or `FAIL NAME: why` for each, and `demo` for the built-in guest.
set -u

payload=$1
shift
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

judge() { # NAME STATUS
    case $2 in
        0) echo "ok $1: $(grep 'without a gap' "$log" || grep -m 1 'test(s) run' "$log")" ;;
        77) echo "skip $1: $(tail -n 1 "$log")" ;;
        *)
            echo "FAIL $1: status $2"
            tail -n 40 "$log"
            failed=$((failed + 1))
            ;;
    esac
}

for program in "$@"; do
    busybox timeout -s KILL 120 "$payload/$program" >"$log" 2>&1
    judge "$program" $?
done
busybox timeout -s KILL 120 sh "$payload/story.sh" "$payload" builtin >"$log" 2>&1
judge demo $?
[ $failed -eq 0 ]
