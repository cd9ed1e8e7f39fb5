# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# A case of linux.sh, which brings this in: a guest of two CPUs that runs on, and writes files to its
# disk all the time, leaves snapshot after snapshot. Of memory each is a layer on the one before, and
# what the disk had is sealed with it. Some of them are thawed: all files are as they were written, and
# the disk, with the overlay that it then had, goes into the outbox for disks.sh.

# ends_well: the guest's files and memory are right. `finish` would wait for beats, one in a second here.
ends_well() {
    say_count disk stop
    type_line check
    says '^check ok nonce='
    type_line poweroff
    ends 0
}

# thaw_layer N: the guest of that snapshot writes on, reads its last files back and ends. The last of a few
# snapshots, which has bytes of all of them, stands for them when all bytes are verified.
thaw_layer() {
    start "thaw$1" --restore "layer$1.snap" --block "path=disk.img,id=root,overlay=thaw$1.overlay"
    say_count disk more 1
    ends_well
    [ "$layers" -gt 10 ] || [ "$1" -eq $((layers - 1)) ] || return 0
    snapshot-inspect verify "layer$1.snap" >"$case.verify" 2>&1 ||
        fail "verify layer$1.snap: $(tail -n 1 "$case.verify")"
}

# carry_disks: what the thawed ones lie on, and what it takes on the disk.
carry_disks() {
    [ -d "$outbox" ] || return 0
    mkdir "$outbox/disks"
    # Moved, since both are in memory, which has no room for two of each.
    mv disk.img disk.overlay.* thaw*.overlay "$outbox/disks" || fail "the disks did not come into $outbox"
    busybox du -k "$outbox"/disks/disk.overlay.* | awk '{ sum += $1 } END { print sum }' >"$outbox/disks/sealed_kib"
}

case_layers() {
    for_smp
    limit_s=$((limit_s + 60 * layers)) # of one process
    cp "$payload/ext4.img" disk.img
    boot boot --vcpu num=2 --block path=disk.img,id=root,overlay=disk.overlay --control "$PWD/sock"
    says '^guest up'
    say_load load start # beats ten times a second would leave no time for anything else
    say_count disk start
    number=0
    : >saved
    while [ $number -lt "$layers" ]; do
        say_count disk more "$layer_files"
        vmm ctl "$PWD/sock" snapshot "path=$PWD/layer$number.snap" parent=auto >"$case.ctl" 2>&1 ||
            fail "snapshot $number: $(cat "$case.ctl")"
        [ $number -eq 0 ] || grep -q '"layer":true' "$case.ctl" || fail "no layer: $(cat "$case.ctl")"
        cat "$case.ctl" >>saved
        number=$((number + 1))
    done
    has_cpus 2
    ends_well
    files=$count
    sums=$(sed 's/.*"file_bytes":\([0-9]*\),"stored_bytes":\([0-9]*\),.*/\1 \2/' saved |
        awk '{ f += $1; s += $2 } NR == 1 { first = f }
             END { printf "%d KiB and then %d KiB", first / 1024, (f - first) / 1024; exit (f > 1.1 * s) }') ||
        fail "of $sums more than 1/11 is no memory: $(cat saved)"
    for number in $(busybox seq 0 $((layers - 2)) | busybox shuf -n $((layers_thawed - 1))) $((layers - 1)); do
        thaw_layer "$number"
    done
    carry_disks
    ok "$layers snapshots of a guest that ran on, $sums;" \
        "it wrote $files files of 128 KiB; $layers_thawed were thawed, wrote on, and read the last 32 back"
}
