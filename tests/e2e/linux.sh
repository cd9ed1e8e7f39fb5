# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# Freezes and thaws Debian's stock kernel under our VMM: run by busybox sh beside a usable /dev/kvm,
# with vmm, snapshot-inspect, e2e-socket and e2e-stamp in PATH (tests/e2e/run does that).
#   linux.sh [-s] [-n N] PAYLOAD CASE...   PAYLOAD holds vmlinuz, guest.initramfs, check_*.awk and the
#                                     files beside this one that it brings in; and for the case matrix
#                                     matrix.txt and vmlinux, the kernel without the bzImage around it
#   -s  holds the guest to times that only a quiet machine keeps
#   -n N  freezes and thaws it N times in the cases of many generations
# Each case prints `ok CASE: what was seen` or `FAIL CASE: why`; the cases after `freeze` use its file.
set -u

# Far beyond what any step needs in an emulated machine beside busy processes; only a hang gets there.
limit_s=600
# What a clock is off by that counted the time on disk (case thaw), or that began anew.
step_min_ms=-2000 step_max_ms=2000 first_beat_limit_ms=0
# Between the two bursts of readings that say how fast a clock is, and how many are in each.
rate_seconds=6 rate_readings=100
generations=6 smp_generations=5 load_generations=10 hwrng_generations=3 layers=10 layers_thawed=3 layer_files=1
outage_s=6 # a clock that counts the time on disk is off by it
if [ "$1" = -s ]; then
    step_min_ms=-5 step_max_ms=100 first_beat_limit_ms=1000
    rate_seconds=60 rate_readings=1000 outage_s=60 generations=50 smp_generations=50 hwrng_generations=10
    shift
fi
if [ "$1" = -n ]; then
    generations=$2 smp_generations=$2 load_generations=$2 layers=$2 layers_thawed=10 layer_files=3
    shift 2
fi
payload=$1
shift
late_beats=0 # in a row, that may need no interrupt (check_beats.awk)
memory_mib=128
kernel=vmlinuz
idle_limit_percent=10 # of its RAM, what the snapshot of an idle guest takes on the disk
cmdline='console=ttyS0 reboot=k panic=-1 quiet'
preload=            # into the VMM
tsc_changes_rate=   # the guest may know that it cannot keep time by its TSC

outbox=${OUTBOX:-/tmp/outbox} # may not be there
out=/dev/null err=/dev/null # of the VMM that runs, or ran last
base=freeze.boot            # of the one that left base.snap
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

case_freeze() {
    boot boot --snapshot-out 'path=base.snap,on_output=beat 10 nonce'
    ends 0
    booted=$(($(now_ms) - started))
    is_whole base.snap
    ok "booted, beat and frozen in $booted ms, $(stat -c %s base.snap) bytes"
}

case_thaw() {
    sleep $outage_s
    start thaw --restore base.snap
    more_beats 20
    finish
    thawed_well $base "$name" $first_beat_limit_ms
    history $base.out "$out"
    ok "$step; $summary"
}

# last_beat FILE: the number of the last whole one.
last_beat() { sed -n 's/^beat \([0-9]*\) .* loc=[0-9]*$/\1/p' "$1" | tail -n 1; }

# range FIELD: least and greatest of what check_step.awk said.
range() {
    cut -d ' ' -f "$1" steps | sort -n | sed -n '1p;$p' | paste -s -d '/' | sed 's,/, to ,'
}

# Each lives for some beats, for its clock is measured by them. By turns it is cut off within a line,
# and anywhere. Each is a layer on the one before.
case_generations() {
    cp base.snap generation0.snap
    cp $base.out all.out
    generation=1 previous=$base next=generation0.snap
    : >steps
    while [ $generation -le "$generations" ]; do
        cut_beat=$(($(last_beat "$previous.out") + 8))
        [ $((generation % 2)) -eq 1 ] || cut_beat=never
        start $generation --restore $next \
            --snapshot-out "path=generation$generation.snap,parent=auto,on_output=beat $cut_beat "
        next=generation$generation.snap
        type_line "ping $generation" # it may arrive in any later generation, but once
        if [ $cut_beat = never ]; then
            more_beats 6
            kill -USR1 "$pid"
        fi
        ends 0
        thawed_well "$previous" "$name"
        echo "$step" >>steps
        cat "$out" >>all.out
        generation=$((generation + 1)) previous=$name
    done
    is_whole $next
    [ "$(stat -c %b $next)" -lt "$(stat -c %b base.snap)" ] ||
        fail "the last layer takes $(stat -c %b $next) blocks, and base.snap $(stat -c %b base.snap)"
    start last --restore $next
    more_beats 5
    finish
    thawed_well "$previous" "$name"
    echo "$step" >>steps
    history all.out "$out"
    cat all.out "$out" | grep -o '^pong [0-9][0-9]*' | cut -d ' ' -f 2 >pongs
    busybox seq "$generations" | cmp -s - pongs || fail "answers: $(tr '\n' ' ' <pongs)"
    ok "$generations generations, clock steps $(range 3) ms, first beats $(range 10) ms after the thaw; $summary"
}

case_resume() {
    start live --restore base.snap --snapshot-out path=resumed.snap,after_ms=1000,then=resume
    until [ -f resumed.snap ]; do alive 'the file was there'; done
    more_beats 10
    finish
    history $base.out "$out"
    live=$summary
    is_whole resumed.snap
    start thaw --restore resumed.snap
    more_beats 10
    finish
    # Where the file cut the first guest's output cannot be seen from outside: take it up at a line.
    sed 1d "$out" >thaw.out
    history thaw.out
    rm resumed.snap # the machine's memory
    ok "went on: $live; thawed: $summary"
}

case_signal() {
    start live --restore base.snap --snapshot-out signal.snap
    more_beats 3
    kill -USR1 "$pid"
    ends 0
    is_whole signal.snap
    start thaw --restore signal.snap
    more_beats 3
    finish
    history $base.out signal.live.out "$out"
    rm signal.snap
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
    history $base.out "$out"
    ok "$(tail -n 1 "$err"); $summary"
}

# The CMOS clock shows the time of the host, and goes on where it stood after a thaw.
tells_rtc() {
    type_line rtc
    says '^rtc [0-9]* nonce='
    rtc=$(sed -n 's/^rtc \([0-9]*\) nonce=.*/\1/p' "$out" | tail -n 1)
}

case_clock() {
    boot boot --snapshot-out path=clock.snap
    says '^beat 3 '
    began=$(date +%s)
    tells_rtc
    ended=$(date +%s)
    { [ "$rtc" -ge "$began" ] && [ "$rtc" -le "$ended" ]; } ||
        fail "the clock shows $rtc, between $began and $ended"
    kill -USR1 "$pid"
    ends 0
    before=$rtc
    sleep $outage_s
    start advanced --restore path=clock.snap,clock=advance
    more_beats 3
    tells_rtc
    now=$(date +%s)
    { [ "$rtc" -le "$now" ] && [ "$rtc" -ge $((before + outage_s)) ]; } ||
        fail "advanced, the clock shows $rtc at $now"
    finish
    ok "rtc_cmos showed the time of the host, and $((rtc - before)) s later after an outage of $outage_s s"
}

# As a user presses it: the guest's own driver hears it.
case_button() {
    start live --restore base.snap --control "$PWD/sock"
    more_beats 3
    type_line button
    says '^button ready '
    vmm ctl "$PWD/sock" power-button >"$case.ctl" 2>&1 || fail "ctl: $(cat "$case.ctl")"
    ends 0
    history $base.out "$out"
    ok "powered off by the button; $summary"
}

# A reset has a status of its own: whoever supervises the guest starts it again.
case_reset() {
    start live --restore base.snap
    more_beats 3
    type_line reboot
    ends 11
    grep -q '^rebooting' "$out" || fail "$out: the guest did not say that it reboots"
    ok "the vmm ended with status 11"
}

case_later_trigger_replaces() {
    start live --restore base.snap --snapshot-out path=twice.snap,then=resume
    more_beats 3
    kill -USR1 "$pid"
    until [ -f twice.snap ]; do alive 'the file was there'; done
    first=$(stat -c %i twice.snap)
    more_beats 3
    kill -USR1 "$pid"
    until [ "$(stat -c %i twice.snap)" != "$first" ]; do alive 'the file was replaced'; done
    finish
    history $base.out "$out"
    is_whole twice.snap
    start thaw --restore twice.snap
    more_beats 3
    finish
    ok "$(grep -m 1 -o '^beat [0-9]*' $base.out) first, thawed at $(grep -m 1 -o '^beat [0-9]*' "$out")"
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
    start thaw --restore baseline.snap
    more_beats 10
    finish
    thawed_well baseline.boot "$name"
    history baseline.boot.out "$out"
    ok "$step; $summary"
}

# One guest at two times: what is different is told by name.
case_diff() {
    start live --restore base.snap --snapshot-out later.snap
    more_beats 3
    kill -USR1 "$pid"
    ends 0
    snapshot-inspect diff base.snap base.snap >same || fail "a snapshot differs from itself"
    status=0
    snapshot-inspect diff base.snap later.snap >different || status=$?
    [ $status -eq 1 ] || fail "two snapshots of a guest: diff ended with status $status"
    grep -q '^ *generation .*0x0 -> 0x1$' different || fail "diff does not show the generation"
    grep -q '^x86.msrs cpu0' different || fail "diff does not show that the TSC has moved on"
    head -n 40 different
    rm later.snap
    ok "$(grep -c -- ' -> ' different) fields differ; $(grep 'pages' different | tail -n 1 | sed 's/^ *//')"
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

# The driver reports the panic before the reset that panic=1 asks for, which the thawed guest goes on to.
case_core_panic() {
    if [ ! -d "$outbox" ]; then
        echo "skip $case: nothing can be carried out of this rig"
        return
    fi
    cmdline='console=ttyS0 reboot=k panic=1 quiet'
    boot boot --on-crash "snapshot=$outbox/$case.snap"
    says '^guest up'
    type_line banner
    says '^banner '
    sed -n 's/^banner \([0-9a-f]*\) .*/\1/p' "$out" >"$outbox/$case.banner"
    type_line panic
    ends 6
    grep -q "^vmm: the guest panicked: .* pvpanic; .* $outbox/$case.snap\$" "$err" || fail "$err: no such line"
    said=$(cat "$err")
    is_whole "$outbox/$case.snap"
    start thaw --restore "$outbox/$case.snap"
    ends 11
    ok "${said#vmm: }; thawed, it resets"
}

# tells_fork: how often the guest's kernel was told of a thaw, and its random bytes.
tells_fork() {
    type_line fork
    says '^fork count=[0-9]* random=[0-9a-f]* nonce='
    read -r forks random <<LINE
$(sed -n 's/^fork count=\([0-9]*\) random=\([0-9a-f]*\) .*/\1 \2/p' "$out" | tail -n 1)
LINE
}

# Two guests from one file are told of it by the generation id, and reseed. Debian's 6.1 cloud kernel has
# no driver of it; its full 6.1 kernel and 6.12 have.
case_fork() {
    cmdline='console=ttyS0 reboot=k panic=-1 loglevel=3 printk.devkmsg=on'
    boot boot --snapshot-out path=fork.snap
    says '^beat 3 '
    tells_fork
    [ "$forks" -eq 0 ] || fail "the guest was told of $forks thaws before it had one"
    kill -USR1 "$pid"
    ends 0
    : >randoms
    generation=1
    while [ $generation -le 2 ]; do
        cp fork.snap once.snap
        for thaw in one two; do
            start $thaw$generation --restore once.snap --snapshot-out path=fork.snap
            until [ "${forks:-0}" -eq $generation ]; do
                more_beats 1
                tells_fork
            done
            echo "$random" >>randoms
            [ $thaw = one ] || kill -USR1 "$pid"
            [ $thaw = two ] || type_line poweroff
            ends 0
            forks=$((generation - 1))
        done
        generation=$((generation + 1))
    done
    [ "$(sort -u randoms | wc -l)" -eq 4 ] || fail "not all different: $(tr '\n' ' ' <randoms)"
    ok "each of 4 thaws announced, the random bytes of all are different"
}

# shellcheck source=tests/e2e/guest.sh
. "$payload/guest.sh"
# shellcheck source=tests/e2e/rate.sh
. "$payload/rate.sh"
# shellcheck source=tests/e2e/memory.sh
. "$payload/memory.sh"
# shellcheck source=tests/e2e/smp.sh
. "$payload/smp.sh"
# shellcheck source=tests/e2e/matrix.sh
. "$payload/matrix.sh"
# shellcheck source=tests/e2e/loads.sh
. "$payload/loads.sh"
# shellcheck source=tests/e2e/layers.sh
. "$payload/layers.sh"
# shellcheck source=tests/e2e/net.sh
. "$payload/net.sh"
# shellcheck source=tests/e2e/distribution.sh
. "$payload/distribution.sh"
# shellcheck source=tests/e2e/container.sh
. "$payload/container.sh"

failed=0
for case in "$@"; do
    # A subshell's failed status must not depend on what it printed last. Numbers behind the name, as in
    # matrix_2_512, are for the case itself.
    (trap end_case EXIT && "case_${case%%_[0-9]*}") || failed=$((failed + 1))
    # A folder in RAM has room for a few snapshots only; base.snap is everyone's.
    find . -name '*.snap*' ! -name base.snap -exec rm {} +
done
# vmm says which part of it this kernel lacks.
echo "inside the sandbox: $(find . -name '*.err' -exec grep -L -e '--sandbox:' {} + | wc -l) runs of vmm"
[ $failed -eq 0 ]
