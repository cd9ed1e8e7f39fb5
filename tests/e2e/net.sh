# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# A case of linux.sh, which brings this in: a guest whose network is passt, which has no rights of its
# own on the network of the machine. The payload holds passt, and tun.ko, the module of the machine that
# runs the case, if it is none of its kernel's own. It uses functions of loads.sh.

# passt ends a TCP connection for which it has data when the guest has acknowledged nothing for 16 s: it
# sends them again every 2 s, seven times. Only a guest that is there is told; passt of 2023 gives no answer
# to what the guest sends later. A guest that has been away for less than this has time to acknowledge.
readonly away_max_ms=10000

# An interface for passt to take its addresses from, and a program that sends back what it gets by TCP.
make_host() {
    insmod "$payload/tun.ko" 2>/dev/null
    { busybox tunctl -t e2e1 >/dev/null 2>&1 && busybox ifconfig e2e1 192.0.2.1 netmask 255.255.255.0 up &&
        busybox route add default gw 192.0.2.254; } || fail 'cannot make an interface'
    busybox ifconfig lo 127.0.0.1 up
    echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range
    busybox nc -ll -p 7 -e busybox cat 2>/dev/null &
    echo=$!
}

# passt shuts itself into an empty root (pivot_root(2)), which cannot be done from that of an initramfs.
make_jail() {
    { mkdir jail && mount -t tmpfs jail jail && mkdir jail/dev jail/proc jail/tmp &&
        cp -a /lib "$payload/passt" jail; } || fail 'cannot make a root for passt'
    [ ! -d /lib64 ] || cp -a /lib64 jail
}

# As the user of the vmm, which has no capabilities in its sandbox. It keeps the frames of the case.
start_passt() {
    rm -f jail/tmp/passt.sock
    # shellcheck disable=SC2016
    (cd jail && exec busybox unshare -m sh -c 'mount -t devtmpfs dev dev && mount -t proc proc proc &&
        mount -o move . / && exec chroot . /passt --runas 0 --foreground --stderr --pcap /tmp/passt.pcap \
        --socket /tmp/passt.sock --mtu 1500 -4 -a 192.0.2.2 -n 24 -g 192.0.2.1 -i e2e1') \
        >>"$case.passt" 2>&1 3>&- &
    passt=$!
    until grep -q ' 00010000 .*passt.sock' /proc/net/unix; do # it listens
        kill -0 "$passt" 2>/dev/null || fail "passt: $(tail -n 1 "$case.passt")"
        sleep 0.1
    done
}

end_passt() {
    kill "$passt"
    wait "$passt"
    passt=''
}

undo_passt() {
    [ -z "$passt" ] || end_passt
    kill "$echo"
    [ ! -d "$outbox" ] || cp jail/tmp/passt.pcap "$outbox"
    umount jail && rmdir jail
    busybox tunctl -d e2e1 >/dev/null
}

# lost_connections: leaves how many the guest has lost so far in `lost`.
lost_connections() {
    say_count net lost
    lost=$count
}

# freeze_with_passt N: with data on their way; in its life number N the guest gets more, by the same
# connection, but where passt's patience has come to an end.
freeze_with_passt() {
    lost_connections
    before=$lost
    frozen=$(now_ms)
    kill -USR1 "$pid"
    ends 0
    start "thaw$1" --restore passt.snap --control "$control" --net passt=jail/tmp/passt.sock \
        --snapshot-out passt.snap
    more_beats 1
    away=$(($(now_ms) - frozen))
    is_whole passt.snap
    more_count net 5
    lost_connections
    [ "$lost" -eq "$before" ] || [ $away -gt $away_max_ms ] ||
        fail "a connection was lost, though the guest was away for $away ms only"
    aways="$aways $away"
}

case_passt() {
    make_host
    undo=undo_passt passt='' case_log=$case.passt control=$PWD/sock aways=''
    make_jail
    start_passt
    boot boot --control "$control" --net passt=jail/tmp/passt.sock --snapshot-out passt.snap
    says '^guest up'
    say_count net start # when the host has answered a ping
    more_count net 5
    for life in 1 2 3; do freeze_with_passt $life; done
    say_count net stop
    pieces=$count
    end_passt
    until grep -q "the guest's link is down until passt is back" "$err"; do alive 'it missed passt'; done
    start_passt
    until grep -q "the guest's link is up" "$err"; do alive 'it connected again'; done
    say_count net start
    more_count net 5
    say_count net stop
    finish
    ok "the host answers pings; $pieces pieces of 64 KiB sent there and back over 3 freezes and thaws" \
        "(the guest was away for$aways ms; connections lost: $lost), and $count by a passt that was started anew"
}
