# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# check_step.awk accepts a clock that went on where it stood, and refuses one that did not.
#   test_check_step.sh CHECK
set -u
check=$(realpath "$1")
failed=0
ran=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# life NAME COUNT FIRST_MS OFFSET_MS: beats whose arrival is OFFSET_MS behind the guest's clock, and
# later still by turns.
life() {
    busybox awk -v out="$1.out" -v n="$2" -v at="$3" -v offset="$4" 'BEGIN {
        for (i = 0; i < n; i++) {
            printf "beat %d nonce=ab mono=%.0f real=5.000 loc=7\n", i, (at + i * 100 - offset) * 1e6 >out
            printf "%.0f\n", (at + i * 100 + i % 3 * 20) * 1e6 >(out ".at")
        }
    }'
}

# said NAME AT_MS TEXT
said() {
    echo "$3" >"$1.err"
    echo "${2}000000" >"$1.err.at"
}

# The pause began at 3000 ms, the thaw was at 9000: 6000 ms that the guest's clock must not see.
judge() { # NAME STATUS
    busybox awk -v before=one -v after=two -v min=-5 -v max=100 -v beat_ms=1000 \
        -f "$check" >/dev/null
    status=$?
    ran=$((ran + 1))
    [ $status -eq "$2" ] && return
    echo "FAIL $1: status $status"
    failed=$((failed + 1))
}

life one 20 1000 10
said one 3040 'vmm: frozen to a in b in 40.0 ms: 1 KiB of RAM stored, 2 KiB zero'
said two 9000 'vmm: thawed a in b in 40 ms: generation 1, 2 MiB of RAM'
life two 20 9100 6010
judge 'no step' 0
life two 20 9100 5912
judge '98 ms ahead' 0
life two 20 9100 5908
judge '102 ms ahead' 1
life two 20 9100 6013
judge '3 ms back' 0
life two 20 9100 6017
judge '7 ms back' 1
life two 20 9100 10
judge 'time on disk counted' 1
life two 20 10002 6010
judge 'late first beat' 1
life two 3 9100 6010
judge 'too few beats' 1
# asked: what the second one said were answers.
asked() { busybox sed -i 's/^beat \([0-9]*\) nonce=ab \(mono=[0-9]*\) .*/clock \1 \2 nonce=ab/' two.out; }
life two 20 9100 6010
asked
judge 'no step, by readings that were asked for' 0
life two 20 9100 10
asked
judge 'time on disk counted, by readings that were asked for' 1
life two 20 9100 6010
said two 9000 'vmm: cannot thaw'
judge 'not thawed' 1
said two 9000 'vmm: thawed a'
said one 3040 'vmm: frozen to a'
judge 'no pause' 1

echo "$ran cases, $failed failed"
[ $failed -eq 0 ] && [ $ran -eq 12 ]
