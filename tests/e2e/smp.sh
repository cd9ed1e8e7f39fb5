# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# What linux.sh, which brings this in, knows of guests with more than one CPU: that each is there and goes
# on, and that their kernel warns of nothing.

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
        -e 'hrtimer: interrupt took' -e 'APIC calibration not consistent with PM-Timer' \
        -e 'hogged CPU for' -e 'sched: DL replenish lagged too much' \
        -e 'clocksource: Long readout interval' -e 'clocksource: .* read-back delay' >"$case.warnings"
    [ ! -s "$case.warnings" ] || fail "$(head -n 20 "$case.warnings")"
}

# The emulator that runs these tests does not tell KVM of an XSETBV, which Linux would warn of. Linux
# calls a CPU stalled only when no busy host can be why.
for_smp() {
    cmdline="$cmdline noxsave rcupdate.rcu_cpu_stall_timeout=300 watchdog_thresh=60"
    cmdline="$cmdline workqueue.watchdog_thresh=300 mitigations=off"
}

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

# one_life N: all CPUs go on in its life number N, and its clock is told as it begins and as it ends.
one_life() {
    tells_clock 1
    all_turn
    tells_clock 2
    [ "$1" -eq 0 ] || thawed_well "$previous" "$name"
    previous=$name
}

# All CPUs work, and are frozen together again and again. A clock that counts the time on disk is off by the
# outage before the first thaw.
case_smp_load() {
    for_smp
    step_min_ms=-2000 step_max_ms=2000 late_beats=1 # load delays what the guest says
    boot boot --vcpu num=4 --snapshot-out path=next.snap
    says '^guest up'
    say_load load start
    generation=0
    : >all.out
    : >steps
    one_life 0
    while [ $generation -lt "$smp_generations" ]; do
        type_line "ping $generation" # it may arrive in any later life, but once
        kill -USR1 "$pid"
        ends 0
        cat "$out" >>all.out
        [ $generation -gt 0 ] || sleep "$outage_s"
        generation=$((generation + 1))
        start $generation --restore next.snap --snapshot-out path=next.snap
        one_life $generation
        echo "$step" >>steps
    done
    is_whole next.snap
    has_cpus 4
    has_no_warning
    finish
    history all.out "$out"
    cat all.out "$out" | sed -n 's/^pong \([0-9][0-9]*\) .*/\1/p' >pongs
    busybox seq 0 $((smp_generations - 1)) | cmp -s - pongs || fail "answers: $(tr '\n' ' ' <pongs)"
    ok "4 CPUs in $generation generations, turns $turns, no clock went back, clock steps $(range 3) ms;" \
        "$(wc -l <"$case.warnings") warnings; $summary"
}
