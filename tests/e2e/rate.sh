# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# Cases of linux.sh, which brings this in: a guest of the baseline CPU keeps time where the TSC has another
# rate than where it was booted.

# keeps_time: how fast the guest's clock is, in this process; see check_rate.awk.
keeps_time() {
    for burst in 1 2; do
        [ $burst -eq 1 ] || sleep "$rate_seconds"
        type_line "burst $burst $rate_readings"
        until [ "$(grep -c "^clock $burst .*nonce=................................" "$out")" -ge "$rate_readings" ]; do
            alive "burst $burst was out"
        done
    done
    rate=$(awk -v name="$name" -f "$payload/check_rate.awk") || fail "$name: $rate"
}

# leave_baseline: a guest that keeps time is frozen to rate.snap.
leave_baseline() {
    boot boot --cpu baseline --snapshot-out path=rate.snap
    says '^beat 10 '
    keeps_time
    before_rate=$rate
    kill -USR1 "$pid"
    ends 0
}

# find_baseline FILE: it keeps time where it is thawed, too.
find_baseline() {
    tsc_changes_rate=yes
    start thaw --restore "$1"
    more_beats 3
    keeps_time
    finish
}

# Booted where the TSC has another rate: nothing that a baseline guest keeps time by depends on it.
case_rate() {
    preload=$payload/libe2e-other-rate.so
    leave_baseline
    preload=
    find_baseline rate.snap
    thawed_well rate.boot "$name"
    history rate.boot.out "$out"
    ok "before: $before_rate; after: $rate; $step; $summary"
}

# The same between two machines (tests/e2e/rates.sh): rate_leave in one, rate_find in the other.
case_rate_leave() {
    leave_baseline
    cp rate.snap "$outbox"
    ok "$before_rate"
}

case_rate_find() {
    find_baseline "$payload/rate.snap"
    ok "$rate"
}
