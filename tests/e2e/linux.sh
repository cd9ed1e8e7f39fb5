# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# Freezes and thaws Debian's stock kernel under our VMM: run by busybox sh beside a usable /dev/kvm,
# with vmm and snapshot-inspect in PATH (tests/e2e/run does that).
#   linux.sh PAYLOAD CASE...     PAYLOAD holds vmlinuz, guest.initramfs and check_beats.awk
# Each case prints `ok CASE: what was seen` or `FAIL CASE: why`; the cases after `freeze` use its file.
set -u

payload=$1
shift
# Far beyond what any step needs in an emulated machine; only a hang gets there.
limit_s=60
step_ms=200 # one beat, and the 100 ms that the clock may step ahead
late=5      # noise of the machine, in a whole history
first_beat_limit_ms=1000
cmdline='console=ttyS0 reboot=k panic=-1 quiet'

outbox=${OUTBOX:-/tmp/outbox} # may not be there
out=/dev/null err=/dev/null # of the VMM that runs, or ran last
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# --- one case runs in a shell of its own, which ends at the first failure ---

fail() {
    echo "FAIL $case: $*"
    for log in "$err" "$out"; do
        echo "--- $log" && tail -n 10 "$log" && echo
    done
    exit 1
}

ok() { echo "ok $case: $*"; }

now_ms() {
    read -r now _ </proc/uptime
    echo "${now%.*}${now#*.}0"
}

# start NAME ARGUMENT...: a VMM in the background; what the guest says goes to NAME.out.
start() {
    out=$case.$1.out err=$case.$1.err
    shift
    # Opened for reading too, so that the guest's input never ends.
    [ -p "$case.in" ] || mkfifo "$case.in"
    exec 3<>"$case.in"
    : >"$out"
    started=$(now_ms)
    busybox timeout -s KILL $limit_s vmm "$@" <"$case.in" >"$out" 2>"$err" 3>&- &
    pid=$!
    trap 'kill -9 $pid 2>/dev/null' EXIT
}

boot() {
    name=$1
    shift
    start "$name" --kernel "path=$payload/vmlinuz,cmdline=\"$cmdline\"" \
        --initrd "path=$payload/guest.initramfs" --memory size_mib=128 --serial out=stdio "$@"
}

type_line() { echo "$*" >&3; }

# ends STATUS: the VMM must end by itself, with that status.
ends() {
    wait "$pid"
    status=$?
    trap - EXIT
    [ $status -eq "$1" ] || fail "$out: the vmm ended with status $status, not $1"
}

# alive WHAT: one turn of waiting for WHAT.
alive() {
    kill -0 "$pid" 2>/dev/null || fail "$out: the vmm ended before $1"
    [ $(($(now_ms) - started)) -lt $((limit_s * 1000)) ] || fail "$out: timed out before $1"
    sleep 0.1
}

# says PATTERN: waits for a whole line.
says() {
    until sed '$d' "$out" | grep -q "$1"; do alive "it said '$1'"; done
}

beats() { grep -c '^beat ' "$out"; }

# Waits for that many more beats.
more_beats() {
    target=$(($(beats) + $1))
    until [ "$(beats)" -ge $target ]; do alive "beat $target of this process"; done
}

# The guest is well: it answers, its memory is whole, and its reset ends the VMM.
finish() {
    type_line "ping $case"
    says "^pong $case nonce="
    type_line check
    says '^check ok nonce='
    more_beats 3
    type_line reboot
    ends 0
}

# history FILE...: one guest's whole output; see check_beats.awk.
history() {
    summary=$(cat "$@" | awk -v word=beat -v step_ms="$step_ms" -v late="$late" \
        -f "$payload/check_beats.awk") || fail "$*: $summary"
    grep -q '^rebooting' "$out" || fail "$out: the guest did not say that it reboots"
}

is_whole() {
    [ "$(stat -c %a "$1")" = 600 ] || fail "$1 has mode $(stat -c %a "$1")"
    snapshot-inspect verify "$1" >"$case.verify" 2>&1 || fail "verify $1: $(tail -n 1 "$case.verify")"
}

# --- the cases ---

case_freeze() {
    boot boot --snapshot-out 'path=base.snap,on_output=beat 10 nonce'
    ends 0
    booted=$(($(now_ms) - started))
    cp "$out" base.out
    is_whole base.snap
    ok "booted, beat and frozen in $booted ms, $(stat -c %s base.snap) bytes"
}

# The clock's bound holds without exception here. Noise passes; a clock that counts the time on disk
# breaks it every time.
case_thaw() {
    late=0
    sleep 3
    for try in 1 2 3; do
        (thaw_once $try) >try.log && break
    done
    cat try.log
    grep -q '^ok' try.log
}

thaw_once() {
    start "$1" --restore base.snap
    until grep -q '^vmm: thawed' "$err"; do alive 'it thawed'; done
    thawed=$(now_ms)
    says '^beat '
    first=$(($(now_ms) - thawed))
    [ $first -le $first_beat_limit_ms ] || fail "the first beat came $first ms after the thaw"
    more_beats 20
    finish
    history base.out "$out"
    ok "$summary; read and checked in $((thawed - started)) ms, first beat $first ms later"
}

case_generations() {
    cp base.snap next.snap
    cp base.out all.out
    generation=1
    while [ $generation -le 20 ]; do
        if [ $((generation % 2)) -eq 0 ]; then
            start "$generation" --restore next.snap --snapshot-out path=next.snap,after_ms=400
        else
            start "$generation" --restore next.snap --snapshot-out path=next.snap,on_output=beat
        fi
        type_line "ping $generation" # it may arrive in any later generation, but once
        ends 0
        cat "$out" >>all.out
        generation=$((generation + 1))
    done
    is_whole next.snap
    start last --restore next.snap
    more_beats 5
    finish
    history all.out "$out"
    cat all.out "$out" | grep -o '^pong [0-9][0-9]*' | cut -d ' ' -f 2 >pongs
    busybox seq 20 | cmp -s - pongs || fail "answers: $(tr '\n' ' ' <pongs)"
    ok "20 generations, $summary"
}

case_resume() {
    step_ms=0 # a guest that is saved in place lives through the pause: no limit
    start live --restore base.snap --snapshot-out path=resumed.snap,after_ms=1000,then=resume
    until [ -f resumed.snap ]; do alive 'the file was there'; done
    more_beats 10
    finish
    history base.out "$out"
    live=$summary
    is_whole resumed.snap
    start thaw --restore resumed.snap
    more_beats 10
    finish
    # Where the file cut the first guest's output cannot be seen from outside: take it up at a line.
    sed 1d "$out" >thaw.out
    history thaw.out
    ok "went on: $live; thawed: $summary"
}

case_signal() {
    start live --restore base.snap --snapshot-out signal.snap
    more_beats 3
    kill -USR1 "$pid"
    ends 0
    cp "$out" live.out
    is_whole signal.snap
    start thaw --restore signal.snap
    more_beats 3
    finish
    history base.out live.out "$out"
    ok "$summary"
}

case_signal_without_path() {
    start live --restore base.snap
    more_beats 3
    before=$(wc -l <"$err")
    kill -USR1 "$pid"
    more_beats 10
    [ "$(wc -l <"$err")" -eq $((before + 1)) ] || fail "not one line on stderr"
    finish
    history base.out "$out"
    ok "$(tail -n 1 "$err"); $summary"
}

case_later_trigger_replaces() {
    step_ms=0 # as in case_resume
    start live --restore base.snap --snapshot-out path=twice.snap,then=resume
    more_beats 3
    kill -USR1 "$pid"
    until [ -f twice.snap ]; do alive 'the file was there'; done
    first=$(stat -c %i twice.snap)
    more_beats 3
    kill -USR1 "$pid"
    until [ "$(stat -c %i twice.snap)" != "$first" ]; do alive 'the file was replaced'; done
    finish
    history base.out "$out"
    is_whole twice.snap
    start thaw --restore twice.snap
    more_beats 3
    finish
    ok "$(grep -m 1 -o '^beat [0-9]*' base.out) first, thawed at $(grep -m 1 -o '^beat [0-9]*' "$out")"
}

# While the kernel starts: before its timers and its IO-APIC work, between its CPUs and its clock
# source, with the clock source new, and just before its first process.
case_freeze_in_boot() {
    cmdline='console=ttyS0 reboot=k panic=-1'
    boot 0 --snapshot-out 'path=early.snap,on_output=Memory:'
    ends 0
    stage=0
    for text in 'smp: Brought up' 'Switched to clocksource' 'Run /init'; do
        cat "$out" >>early.out
        stage=$((stage + 1))
        start $stage --restore early.snap --snapshot-out "path=early.snap,on_output=$text"
        ends 0
    done
    cat "$out" >>early.out
    ! grep -q '^guest up' early.out || fail "the guest was up already"
    start thaw --restore early.snap
    says '^beat 5 '
    finish
    history early.out "$out"
    ok "frozen four times on its way up, then $summary"
}

case_baseline() {
    boot boot --cpu baseline --snapshot-out 'path=baseline.snap,on_output=beat 5 nonce'
    ends 0
    cp "$out" baseline.out
    start thaw --restore baseline.snap
    more_beats 10
    finish
    history baseline.out "$out"
    ok "$summary"
}

# freeze_for_core WORD: leaves the snapshot in the outbox, for core.sh to open outside; and what the
# guest knows and the core must show.
freeze_for_core() {
    if [ ! -d "$outbox" ]; then
        echo "skip $case: nothing can be carried out of this rig"
        return
    fi
    cmdline="$cmdline $1"
    boot boot --snapshot-out "path=$outbox/$case.snap,on_output= said"
    says '^guest up'
    type_line banner
    ends 0
    sed -n 's/^banner \([0-9a-f]*\) .*/\1/p' "$out" >"$outbox/$case.banner"
    [ -s "$outbox/$case.banner" ] || fail "the guest did not say where its banner is"
    is_whole "$outbox/$case.snap"
    ok "linux_banner is at $(cat "$outbox/$case.banner")"
}

case_core_kaslr() { freeze_for_core ''; }

case_core_nokaslr() { freeze_for_core nokaslr; }

failed=0
for case in "$@"; do
    # A subshell's failed status must not depend on what it printed last.
    ("case_$case") || failed=$((failed + 1))
    # A folder in RAM has room for a few snapshots only; base.snap is everyone's.
    find . -name '*.snap*' ! -name base.snap -exec rm {} +
done
[ $failed -eq 0 ]
