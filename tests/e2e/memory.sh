# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# Cases of linux.sh, which brings this in: guests that give memory back to the host by a balloon, one of
# them beside an entropy device that it uses.

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
    more_beats 30 # Linux 6.7 and later keep pages on lists of their CPUs for some seconds
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
# when it is free: 32 MiB that it gives back while they are mapped from the file have to stay so. It has
# less than 512 MiB, for Linux clears huge pages once more.
case_hwrng() {
    memory_mib=192 # init_on_free touches all of it; of 144 MiB Linux reported no free pages
    cmdline="$cmdline init_on_free=1"
    boot boot --balloon balloon --snapshot-out next.snap
    says '^guest up'
    memory fill 32
    generation=0
    : >seen
    while [ $generation -lt "$hwrng_generations" ]; do
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
            memory take all but 12
            taken=$(sed -n 's/^taken \([0-9]* MiB\) nonce=.*/\1/p' "$out")
        }
    done
    finish
    [ "$(sort -u seen | wc -l)" -eq $((2 * hwrng_generations)) ] || fail "not all different: $(tr '\n' ' ' <seen)"
    ok "$((2 * hwrng_generations)) different reads in $generation generations, $irqs interrupts;" \
        "$taken of free memory were zero"
}
