# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# Cases of linux.sh, which brings this in: Debian as it comes, with its own kernel and initrd, on a disk
# that scripts/rootfs has made. To the machine that runs the cases it is a disk whose serial number is
# the name of Debian's init; the guest writes to it.

# screen: what the guest has said, without what a shell says to a terminal alone.
screen() { tr -d '\r\033' <"$out" | sed 's/\[?2004[hl]//g'; }

# prompts TEXT: waits for what has no newline behind it.
prompts() {
    until screen | grep -q "$1"; do alive "it asked '$1'"; done
}

# replies WORD COMMAND: types a command into a shell and waits for a line that begins with WORD, as none
# does that was typed; `reply` is what follows.
replies() {
    lines=$(screen | grep -c "^$1 ")
    type_line "$2"
    until [ "$(screen | sed '$d' | grep -c "^$1 ")" -gt "$lines" ]; do alive "it answered '$2'"; done
    reply=$(screen | sed -n "s/^$1 //p" | tail -n 1)
}

log_in() {
    prompts 'guest login: '
    booted=$(($(now_ms) - started))
    type_line root
    prompts 'Password: '
    type_line guest
    prompts 'root@guest:~# '
    replies user "echo user \$(id -un) on \$(tty), Linux \$(uname -r), \$(readlink /proc/1/exe)"
}

# The files of two packages are copied, and the guest is frozen amidst.
sums='/var/lib/dpkg/info/coreutils.md5sums /var/lib/dpkg/info/perl-base.md5sums'
copy_over_a_freeze() {
    copy="cut -c 35- $sums | xargs cp --parents -t /copy && sync; echo copied \$?"
    replies begun "mkdir /copy; cd /; ($copy) & echo begun \$?"
    kill -USR1 "$pid"
    ends 0
    ! screen | grep -q '^copied' || fail 'the copy was over before the freeze'
    is_whole debian.snap
    start thaw --restore debian.snap --block "path=$disk,id=root"
    until screen | grep -q '^copied 0'; do alive 'the copy was whole'; done
}

# sums_are_right FOLDER: of what is on the disk, not in the guest's memory.
sums_are_right() {
    replies sums "cd $1; echo 3 >/proc/sys/vm/drop_caches; cat $sums | md5sum --quiet -c; echo sums \$?"
    [ "$reply" = 0 ] || fail "$out: files in $1 differ"
}

# distribution INIT
distribution() {
    limit_s=3000
    disk=$(grep -lx "$1" /sys/block/*/serial)
    disk=/dev/$(basename "${disk%/serial}")
    start boot --kernel "path=$payload/$1.vmlinuz,cmdline=\"console=ttyS0 ro quiet\"" \
        --initrd "path=$payload/$1.initrd" --memory size_mib=256 --serial out=stdio \
        --block "path=$disk,id=root" --snapshot-out debian.snap
    log_in
    said=$reply
    copy_over_a_freeze
    sums_are_right /copy
    sums_are_right /
    replies files "cat $sums | wc -l | sed 's/^/files /'"
    type_line poweroff
    ends 0
    e2fsck -fn "$disk" >debian.fsck 2>&1 || fail "e2fsck: $(tail -n 3 debian.fsck | tr '\n' ' ')"
    ok "$said: asked for a login after $booted ms; $reply files of packages copied over a freeze, their" \
        "sums are right, e2fsck is content"
}

case_distribution_sysvinit() { distribution sysvinit; }

case_distribution_systemd() { distribution systemd; }
