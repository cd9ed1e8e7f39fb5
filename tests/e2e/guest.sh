# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# What all cases of linux.sh, which brings this in, do with a guest: start it, wait for what it says, and end
# and judge it. A case runs in a shell of its own, which ends at the first failure.

pid=''      # of the vmm that runs
control=''  # its socket, if the case has one
case_log='' # what another program says that the case has started
undo=:      # takes away what the case has made that others would find

fail() {
    echo "FAIL $case: $*"
    for log in "$err" "$out" $case_log; do
        echo "--- $log" && tail -n 10 "$log" && echo
    done
    [ ! -S "$control" ] || { echo '--- metrics' && busybox timeout 10 vmm ctl "$control" metrics; }
    echo '--- kernel' && dmesg | tail -n 10
    exit 1
}

ok() { echo "ok $case: $*"; }

now_ms() {
    read -r now _ </proc/uptime
    echo "${now%.*}${now#*.}0"
}

# nap SECONDS: sleeps without a process of its own, which would cost the emulated machine more than all else
# in a turn of waiting. Nobody ever writes to `never`.
[ -p never ] || mkfifo never
exec 4<>never
# shellcheck disable=SC3045
nap() { read -r -t "$1" nothing <&4; }

# However the case ends. A vmm that even KILL does not end is not waited for.
end_case() {
    tries=0
    while [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do
        tries=$((tries + 1))
        nap 0.1
    done
    $undo
}

# start NAME ARGUMENT...: a VMM in the background, called CASE.NAME. What the guest says goes to
# CASE.NAME.out, what the vmm says to CASE.NAME.err, and when, to these names with .at behind them.
start() {
    name=$case.$1 out=$case.$1.out err=$case.$1.err
    shift
    [ -p "$case.in" ] || mkfifo "$case.in" "$case.stdout" "$case.stderr"
    # Opened for reading too, so that the guest's input never ends.
    exec 3<>"$case.in"
    : >"$out"
    : >"$err"
    e2e-stamp "$out" <"$case.stdout" 3>&- 4>&- &
    stamps=$!
    e2e-stamp "$err" <"$case.stderr" 3>&- 4>&- &
    stamps="$stamps $!"
    started=$(now_ms)
    LD_PRELOAD=$preload busybox timeout -s KILL $((limit_s + 5)) vmm "$@" \
        <"$case.in" >"$case.stdout" 2>"$case.stderr" 3>&- 4>&- &
    pid=$!
}

boot() {
    boot_name=$1
    shift
    start "$boot_name" --kernel "path=$payload/$kernel,cmdline=\"$cmdline\"" \
        --initrd "path=$payload/guest.initramfs" --memory "size_mib=$memory_mib" --serial out=stdio "$@"
}

type_line() { echo "$*" >&3; }

# in_time SECONDS: the VMM has not run for that much longer than its limit.
in_time() {
    read -r uptime _ </proc/uptime
    [ $((${uptime%.*} * 1000 - started)) -lt $(((limit_s + $1) * 1000)) ]
}

# A process that even KILL does not end must not stop the run: says where it waits.
stuck() {
    for task in /proc/"$pid"/task/*; do
        grep -E '^(Name|State):' "$task/status"
        cat "$task/wchan" "$task/stack" 2>/dev/null
    done
    fail "$out: the vmm cannot be ended"
}

# ends STATUS: the VMM must end by itself, with that status.
ends() {
    while kill -0 "$pid" 2>/dev/null; do
        in_time 10 || stuck
        nap 0.05
    done
    wait "$pid"
    status=$?
    pid=''
    # shellcheck disable=SC2086
    wait $stamps
    [ $status -eq "$1" ] || fail "$out: the vmm ended with status $status, not $1"
}

# alive WHAT: one turn of waiting for WHAT.
alive() {
    kill -0 "$pid" 2>/dev/null || fail "$out: the vmm ended before $1"
    in_time 0 || fail "$out: timed out before $1"
    nap 0.1
}

# says PATTERN: waits for a whole line. PATTERN has no |.
says() {
    until [ -n "$(sed -n "\$d; \\|$1|{ p; q }" "$out")" ]; do alive "it said '$1'"; done
}

beats() { grep -c '^beat ' "$out"; }

# Waits for that many more beats.
more_beats() {
    target=$(($(beats) + $1))
    until [ "$(beats)" -ge $target ]; do alive "beat $target of this process"; done
}

# The guest is well: it answers, its memory is whole, and its end is that of the VMM.
finish() {
    type_line "ping $case"
    says "^pong $case nonce="
    type_line check
    says '^check ok nonce='
    if [ -z "$tsc_changes_rate" ]; then
        type_line tsc
        says '^tsc .*nonce='
        ! grep -q '^tsc UNSTABLE' "$out" || fail "the guest's kernel does not trust its TSC any more"
    fi
    more_beats 3
    type_line poweroff
    ends 0
}

# history FILE...: one guest's whole output; see check_beats.awk.
history() {
    summary=$(cat "$@" | awk -v word=beat -v late="$late_beats" -f "$payload/check_beats.awk") || fail "$*: $summary"
    grep -q '^powering off' "$out" || fail "$out: the guest did not say that it powers off"
}

# thawed_well BEFORE AFTER [BEAT_MS]: names of two processes of one guest; see check_step.awk.
thawed_well() {
    step=$(awk -v before="$1" -v after="$2" -v beat_ms="${3:-0}" -v min="$step_min_ms" \
        -v max="$step_max_ms" -f "$payload/check_step.awk") ||
        fail "$step"
}

is_whole() {
    [ "$(stat -c %a "$1")" = 600 ] || fail "$1 has mode $(stat -c %a "$1")"
    snapshot-inspect verify "$1" >"$case.verify" 2>&1 || fail "verify $1: $(tail -n 1 "$case.verify")"
}
