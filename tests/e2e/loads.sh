# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# A case of linux.sh, which brings this in: a guest of two CPUs under all loads at once, frozen and
# thawed again and again. Its CPUs compute and wait for their timers, files are written to a disk, data
# go to the host and back by one TCP connection, guest and host talk by sockets in both directions, and
# by the serial port. e2e-socket and e2fsck are in PATH; the payload holds ext4.img, an empty file system,
# and tun.ko, the module of the machine that runs the case, if it is none of its kernel's own.

# say_count disk|disks|net|talk|vsock [start|more N|stop]: the guest's answer, whose count is left in `count`.
say_count() {
    lines=$(grep -c "^$1 " "$out")
    type_line "$*"
    until [ "$(sed '$d' "$out" | grep -c "^$1 ")" -gt "$lines" ]; do alive "it answered '$*'"; done
    answer=$(sed '$d' "$out" | grep "^$1 " | tail -n 1)
    count=${answer#"$1 ok count="}
    [ "$count" != "$answer" ] || fail "$out: $answer"
    count=${count%% *}
}

# more_count disk|net|talk N: waits until that many more have been done.
more_count() {
    say_count "$1"
    goal=$((count + $2))
    until [ "$count" -ge $goal ]; do say_count "$1"; done
}

# A tap device, whose host sends back what it gets on TCP port 7. Only root can make one.
make_network() {
    insmod "$payload/tun.ko" 2>/dev/null
    busybox tunctl -t e2e0 >/dev/null 2>&1 &&
        busybox ifconfig e2e0 192.0.2.1 netmask 255.255.255.0 up || return
    busybox nc -ll -p 7 -e busybox cat 2>/dev/null &
    echo=$!
    undo=undo_network
}

undo_network() {
    kill "$echo"
    busybox tunctl -d e2e0 >/dev/null
}

# talks N: guest and host talk by sockets, in both directions; a connection that was to stay open has
# ended with each of N thaws.
talks() {
    until [ -S "$sock" ]; do alive "it listened at $sock"; done
    said=$(e2e-socket ask "$sock" 52 "hello $1") || fail "the guest does not answer at $sock"
    [ "$said" = "guest hello $1" ] || fail "the guest says '$said' at $sock"
    until say_count vsock && [ "$count" -ge "$1" ]; do alive "its connection ended"; done
    [ "$count" -eq "$1" ] || fail "a connection ended $count times in $1 thaws"
}

# answers N: the host's end of the sockets of the guest's life number N.
answers() {
    [ -z "$answering" ] || kill "$answering"
    sock=v$1.sock
    e2e-socket answer "$sock"_7 &
    answering=$!
}

# As many as a guest can have, the last of which have lines of ISA, answer.
all_disks_answer() {
    say_count disks
    [ "$count" -eq 8 ] || fail "$out: $count disks answer"
}

# The disk that is written to, seven small ones beside it, and the network if there can be one.
make_devices() {
    cp "$payload/ext4.img" disk.img
    devices='--block path=disk.img,id=root' echo='' answering=''
    for i in 1 2 3 4 5 6 7; do
        truncate -s 1M "disk$i.img"
        devices="$devices --block path=disk$i.img,iops=10"
    done
    [ ! -f "$payload/tun.ko" ] || make_network
    [ -z "$echo" ] || devices="$devices --net tap=e2e0"
}

start_loads() {
    says '^guest up'
    say_count vsock start
    say_count disk start
    [ -z "$echo" ] || say_count net start
    say_load load start
}

# tells_clock N: ten readings, numbered N, by which the step of its clock is measured: beats are late
# under loads.
tells_clock() {
    type_line "burst $1 10"
    until [ "$(grep -c "^clock $1 .*nonce=................................" "$out")" -ge 10 ]; do
        alive "it told its clock"
    done
}

# goes_on N: in its life number N the guest does more of everything: no interrupt is missing.
goes_on() {
    tells_clock 1
    talks "$1"
    all_disks_answer
    more_count disk 2
    more_count talk 16
    [ -z "$echo" ] || more_count net 2
    all_turn
    tells_clock 2
}

stop_loads() {
    say_count talk
    lines_talked=$count pieces=0
    if [ -n "$echo" ]; then
        say_count net lost
        [ "$count" -eq 0 ] || fail "$count connections were lost"
        say_count net stop
        pieces=$count
    fi
    say_count disk stop
    files=$count
}

# live N OPTION...: its life number N. Of ten lives, one begins only after an outage.
live() {
    life=$1
    shift
    [ $((life % 10)) -ne 1 ] || sleep "$outage_s"
    answers "$life"
    # shellcheck disable=SC2086
    start "thaw$life" --restore loads.snap $devices --vsock "$sock" "$@"
    goes_on "$life"
    thawed_well "$previous" "$name"
    echo "$step" >>steps
}

# freeze_loads N: ends the life number N, while the guest reads and writes by its serial port.
freeze_loads() {
    cut=$((3 + $1)) # 1 and 2 are of goes_on
    type_line "burst $cut $cut_lines"
    says "^clock $cut "
    type_line "ping $1" # it may arrive in any later life, but once
    kill -USR1 "$pid"
    ends 0
    is_whole loads.snap
    [ "$(grep -c "^clock $cut .*nonce=................................\$" "$out")" -eq "$cut_lines" ] ||
        cuts=$((cuts + 1))
    cat "$out" >>all.out
    previous=$name
}

case_loads() {
    step_min_ms=-2000 step_max_ms=2000 late_beats=1 # loads delay what the guest says
    cut_lines=10 # of which a freeze cuts some off
    limit_s=$((limit_s * 4)) # of a life, which takes half a minute on a host that is idle
    make_devices
    for_smp
    answers 0
    # shellcheck disable=SC2086
    boot boot --vcpu 2 $devices --vsock "path=$sock,cid=42" --snapshot-out loads.snap
    start_loads
    goes_on 0
    generation=1 cuts=0
    : >all.out
    : >steps
    while [ $generation -lt "$load_generations" ]; do
        freeze_loads $((generation - 1))
        live $generation --snapshot-out loads.snap
        generation=$((generation + 1))
    done
    freeze_loads $((generation - 1))
    live "$load_generations"
    stop_loads
    has_cpus 2
    has_no_warning
    finish
    kill "$answering"
    history all.out "$out"
    cat all.out "$out" | sed -n 's/^pong \([0-9][0-9]*\) .*/\1/p' >pongs
    busybox seq 0 $((load_generations - 1)) | cmp -s - pongs || fail "answers: $(tr '\n' ' ' <pongs)"
    lines=$(cat all.out "$out" | awk '$1 == "clock" && $2 >= 3' | wc -l)
    [ "$lines" -eq $((cut_lines * load_generations)) ] || fail "it wrote $lines lines before its freezes"
    e2fsck -fn disk.img >loads.fsck 2>&1 || fail "e2fsck: $(tail -n 3 loads.fsck | tr '\n' ' ')"
    ok "$load_generations freezes and thaws of 2 CPUs under all loads: turns $turns, no clock went back," \
        "clock steps $(range 3) ms; $files files of 128 KiB written, the last 32 read back, e2fsck is" \
        "content; $pieces pieces of 64 KiB sent there and back by one connection; $lines_talked lines" \
        "answered by sockets, in both directions; $cuts freezes cut its serial output;" \
        "$(wc -l <"$case.warnings") warnings; $summary"
}
