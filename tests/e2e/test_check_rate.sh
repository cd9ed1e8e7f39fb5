# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# check_rate.awk accepts a clock that keeps time, and refuses one that does not.
#   test_check_rate.sh CHECK
set -u
check=$(realpath "$1")
failed=0
ran=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# life COUNT PPM: two bursts, 20 s apart, of a clock that runs fast by so much; each line arrives
# 1 ms after it was read, or later.
life() {
    busybox awk -v n="$1" -v ppm="$2" 'BEGIN {
        for (burst = 1; burst <= 2; burst++) {
            for (i = 0; i < n; i++) {
                mono = 5e9 + (burst - 1) * 20e9 + i * 3e6
                printf "clock %d mono=%.0f nonce=ab\n", burst, mono * (1 + ppm / 1e6) >"one.out"
                printf "%.0f\n", 7e9 + mono + (1 + i % 7 * 5) * 1e6 >"one.out.at"
            }
        }
    }'
}

judge() { # NAME STATUS
    busybox awk -v name=one -f "$check" >/dev/null
    status=$?
    ran=$((ran + 1))
    [ $status -eq "$2" ] && return
    echo "FAIL $1: status $status"
    failed=$((failed + 1))
}

life 100 0
judge right 0
life 100 80
judge nearly_right 0
life 100 120
judge fast 1
life 100 -120
judge slow 1
life 5 0
judge too_few 1
echo nothing >one.out
judge nothing 1

echo "$ran cases, $failed failed"
[ $failed -eq 0 ] && [ $ran -eq 6 ]
