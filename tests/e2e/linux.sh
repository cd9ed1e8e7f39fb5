# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# Freezes and thaws Debian's stock kernel under our VMM: run by busybox sh beside a usable /dev/kvm,
# with vmm, snapshot-inspect, e2e-socket and e2e-stamp in PATH (tests/e2e/run does that).
#   linux.sh [-s] [-n N] PAYLOAD CASE...   PAYLOAD holds vmlinuz, guest.initramfs, check_*.awk and the
#                                     cases beside this file; and for the case elf vmlinux
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
generations=6 smp_generations=4 load_generations=10 hwrng_generations=3 layers=10 layers_thawed=3
outage_s=6 # a clock that counts the time on disk is off by it
if [ "$1" = -s ]; then
    step_min_ms=-5 step_max_ms=100 first_beat_limit_ms=1000
    rate_seconds=60 rate_readings=1000 outage_s=60 generations=50 smp_generations=50 hwrng_generations=10
    shift
fi
if [ "$1" = -n ]; then
    generations=$2 smp_generations=$2 load_generations=$2 layers=$2 layers_thawed=10
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

# --- one case runs in a shell of its own, which ends at the first failure ---

fail() {
    echo "FAIL $case: $*"
    for log in "$err" "$out"; do
        echo "--- $log" && tail -n 10 "$log" && echo
    done
    echo '--- kernel' && dmesg | tail -n 10
    exit 1
}

ok() { echo "ok $case: $*"; }

now_ms() {
    read -r now _ </proc/uptime
    echo "${now%.*}${now#*.}0"
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
    e2e-stamp "$out" <"$case.stdout" 3>&- &
    stamps=$!
    e2e-stamp "$err" <"$case.stderr" 3>&- &
    stamps="$stamps $!"
    started=$(now_ms)
    LD_PRELOAD=$preload busybox timeout -s KILL $limit_s vmm "$@" <"$case.in" >"$case.stdout" 2>"$case.stderr" 3>&- &
    pid=$!
    trap 'kill -9 $pid 2>/dev/null' EXIT
}

boot() {
    boot_name=$1
    shift
    start "$boot_name" --kernel "path=$payload/$kernel,cmdline=\"$cmdline\"" \
        --initrd "path=$payload/guest.initramfs" --memory size_mib=$memory_mib --serial out=stdio "$@"
}

type_line() { echo "$*" >&3; }

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
        [ $(($(now_ms) - started)) -lt $(((limit_s + 10) * 1000)) ] || stuck
        sleep 0.05
    done
    wait "$pid"
    status=$?
    trap - EXIT
    # shellcheck disable=SC2086
    wait $stamps
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
    summary=$(cat "$@" | awk -v word=beat -v late=$late_beats -f "$payload/check_beats.awk") || fail "$*: $summary"
    grep -q '^powering off' "$out" || fail "$out: the guest did not say that it powers off"
}

# thawed_well BEFORE AFTER [BEAT_MS]: names of two processes of one guest; see check_step.awk.
thawed_well() {
    step=$(awk -v before="$1" -v after="$2" -v beat_ms="${3:-0}" -v min=$step_min_ms \
        -v max=$step_max_ms -f "$payload/check_step.awk") ||
        fail "$step"
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

# has_cpus N: all run, as cores of one socket with one thread each, by the numbers CPUID gives them.
has_cpus() {
    type_line cpus
    says "^cpus $1 nonce="
    cpu=0
    while [ $cpu -lt "$1" ]; do
        grep -q "^cpu $cpu apicid=$cpu x2apicid=$cpu package=0 core=$cpu threads=$cpu loc=[1-9]" "$out" ||
            fail "CPU $cpu of $1: $(grep "^cpu $cpu " "$out")"
        cpu=$((cpu + 1))
    done
}

# The kernel warns of nothing but what this machine is known to lack (PCI, a mouse, and ACPI's table of
# processor speeds, which Linux 6.12 expects of AMD), and what a busy host does to it.
has_no_warning() {
    type_line warnings
    says '^warnings [0-9]* nonce='
    grep '^kernel: ' "$out" | grep -v -e 'PCI: ' -e 'i8042: .* AUX port' -e 'amd_pstate: the _CPC object' \
        -e 'hrtimer: interrupt took' \
        -e 'hogged CPU for' \
        -e 'clocksource: Long readout interval' -e 'clocksource: .* read-back delay' >"$case.warnings"
    [ ! -s "$case.warnings" ] || fail "$(head -n 20 "$case.warnings")"
}

# The emulator that runs these tests does not tell KVM of an XSETBV, which Linux would warn of. Linux
# calls a CPU stalled only when no busy host can be why.
for_smp() {
    cmdline="$cmdline noxsave rcupdate.rcu_cpu_stall_timeout=300 watchdog_thresh=60"
    cmdline="$cmdline workqueue.watchdog_thresh=300 mitigations=off"
}

# smp N: booted with that many vCPUs, and thawed.
smp() {
    for_smp
    boot boot --vcpu "$1" --snapshot-out path=smp.snap
    says '^beat 5 '
    has_cpus "$1"
    has_no_warning
    kill -USR1 "$pid"
    ends 0
    is_whole smp.snap
    start thaw --restore smp.snap
    more_beats 10
    has_cpus "$1"
    has_no_warning
    finish
    # On a busy host one CPU beats while the other sends, late: such beats do not tell the clock's step.
    step='step of the clock not measured'
    [ $first_beat_limit_ms -eq 0 ] || thawed_well "$case.boot" "$name"
    history "$case.boot.out" "$out"
    ok "$1 CPUs; $step; $summary"
}

case_smp_two() { smp 2; }

case_smp_four() { smp 4; }

# say_load WORDS: the guest's answer: turns of each CPU, and that no clock went back.
say_load() {
    lines=$(grep -c '^load ' "$out")
    type_line "$*"
    until [ "$(sed '$d' "$out" | grep -c '^load ')" -gt "$lines" ]; do alive "it answered '$*'"; done
    turns=$(sed -n 's/^load back=0 turns=\([0-9,]*\) .*/\1/p' "$out" | tail -n 1)
    { [ -n "$turns" ] && grep '^load ' "$out" | tail -n 1 | grep -q ' back=0 '; } ||
        fail "$out: $(grep '^load ' "$out" | tail -n 1)"
}

# Every CPU goes on: none has lost the interrupt of its timer.
all_turn() {
    say_load load
    first=$turns
    until echo "$first $turns" | busybox awk '{
            n = split($1, before, ","); split($2, now, ",")
            for (i = 1; i <= n; i++) if (now[i] < before[i] + 3) exit 1 }'; do
        alive "each of its CPUs did 3 turns more than $first: $turns"
        more_beats 1
        say_load load
    done
}

# All CPUs work, and are frozen together again and again.
case_smp_load() {
    for_smp
    boot boot --vcpu num=4 --snapshot-out path=next.snap
    says '^beat 3 '
    say_load load start
    all_turn
    generation=0
    while [ $generation -lt "$smp_generations" ]; do
        kill -USR1 "$pid"
        ends 0
        generation=$((generation + 1))
        start $generation --restore next.snap --snapshot-out path=next.snap
        all_turn
    done
    is_whole next.snap
    has_cpus 4
    has_no_warning
    finish
    ok "4 CPUs in $generation generations, turns $turns, no clock went back; $(wc -l <"$case.warnings") warnings"
}

# keeps_time: how fast the guest's clock is, in this process; see check_rate.awk.
keeps_time() {
    for burst in 1 2; do
        [ $burst -eq 1 ] || sleep $rate_seconds
        type_line "burst $burst $rate_readings"
        until [ "$(grep -c "^clock $burst .*nonce=................................" "$out")" -ge $rate_readings ]; do
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

# The same kernel without the bzImage around it: its file says nothing of what a loader owes it.
case_elf() {
    kernel=vmlinux
    boot boot --snapshot-out 'path=elf.snap,on_output=beat 5 nonce'
    ends 0
    is_whole elf.snap
    start thaw --restore elf.snap
    more_beats 10
    finish
    thawed_well elf.boot "$name"
    history elf.boot.out "$out"
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

# memory WORDS: the guest's answer, which has the number of pages that were wrong.
memory() {
    lines=$(grep -c '^memory ' "$out")
    type_line "memory $*"
    until [ "$(sed '$d' "$out" | grep -c '^memory ')" -gt "$lines" ]; do alive "it answered 'memory $*'"; done
    grep '^memory ' "$out" | tail -n 1 | grep -q '^memory ok count=0 ' ||
        fail "$out: memory $*: $(grep '^memory ' "$out" | tail -n 1)"
}

# given_back MIB: waits until the guest has given back that much in this process, and gives no more.
given_back() {
    given=0 before=-1
    until [ "$given" -ge $(($1 << 20)) ] && [ "$given" -eq "$before" ]; do
        alive "it gave back $1 MiB: $given bytes"
        sleep 5
        before=$given
        given=$(vmm ctl "$PWD/sock" metrics | grep -o '"discarded_bytes": *[0-9]*' |
            awk -F : '{ sum += $2 } END { printf "%d", sum }')
    done
}

# What a guest does not use costs nothing; nor what it has used and gives back.
case_idle() {
    memory_mib=1024
    boot boot --balloon balloon --snapshot-out idle.snap
    more_beats 30 # what is left to do after the boot is done
    kill -USR1 "$pid"
    ends 0
    is_whole idle.snap
    kib=$(($(stat -c '%b * %B' idle.snap) / 1024))
    percent=$((kib * 100 / (memory_mib * 1024)))
    [ $((kib * 100)) -le $((memory_mib * 1024 * idle_limit_percent)) ] ||
        fail "$kib KiB on the disk are $percent % of $memory_mib MiB"
    start used --restore idle.snap --control "$PWD/sock" --snapshot-out used.snap
    memory fill 128
    memory drop
    given_back 120
    kill -USR1 "$pid"
    ends 0
    used_kib=$(($(stat -c '%b * %B' used.snap) / 1024))
    [ $((used_kib * 10)) -le $((kib * 12)) ] ||
        fail "$used_kib KiB on the disk after 128 MiB of page cache, $kib KiB before"
    start thaw --restore used.snap
    more_beats 3
    finish
    ok "$kib KiB on the disk, $percent % of $memory_mib MiB; $used_kib KiB after 128 MiB of page cache"
}

# read_hwrng: what the guest reads of its entropy device, and of its interrupts so far.
read_hwrng() {
    lines=$(grep -c '^hwrng ' "$out")
    type_line hwrng
    until [ "$(sed '$d' "$out" | grep -c '^hwrng ')" -gt "$lines" ]; do alive 'it read /dev/hwrng'; done
    read -r bytes irqs <<LINE
$(sed -n 's/^hwrng virtio_rng\.[0-9]* \([0-9a-f]\{32\}\) irqs=\([0-9]*\) .*/\1 \2/p' "$out" | tail -n 1)
LINE
    [ -n "$irqs" ] || fail "$out: $(grep '^hwrng ' "$out" | tail -n 1)"
}

# The guest's kernel finds the device by ACPI, and goes on with it after each thaw. Its memory is zero
# when it is free: 32 MiB that it gives back while they are mapped from the file have to stay so.
case_hwrng() {
    memory_mib=192 # init_on_free touches all of it
    cmdline="$cmdline init_on_free=1"
    boot boot --balloon balloon --snapshot-out next.snap
    says '^guest up'
    memory fill 32
    generation=0
    : >seen
    while [ $generation -lt $hwrng_generations ]; do
        before=${irqs:-0}
        read_hwrng
        echo "$bytes" >>seen
        read_hwrng
        echo "$bytes" >>seen
        [ "$irqs" -gt "$before" ] || fail "$out: no interrupt of the device in generation $generation"
        kill -USR1 "$pid"
        ends 0
        is_whole next.snap
        snapshot-inspect info next.snap | grep -A 1 'rng (stasis.virtio_rng)' | grep -q 'in use' ||
            fail 'info does not show the device in use'
        generation=$((generation + 1))
        start "thaw$generation" --restore path=next.snap,memory=map --control "$PWD/sock" --snapshot-out next.snap
        [ $generation -gt 1 ] || {
            memory drop
            given_back 16
            memory take 80
        }
    done
    finish
    [ "$(sort -u seen | wc -l)" -eq $((2 * hwrng_generations)) ] || fail "not all different: $(tr '\n' ' ' <seen)"
    ok "$((2 * hwrng_generations)) different reads in $generation generations, $irqs interrupts"
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
# no driver of it, its 6.12 has.
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
    # A subshell's failed status must not depend on what it printed last.
    ("case_$case") || failed=$((failed + 1))
    # A folder in RAM has room for a few snapshots only; base.snap is everyone's.
    find . -name '*.snap*' ! -name base.snap -exec rm {} +
done
[ $failed -eq 0 ]
