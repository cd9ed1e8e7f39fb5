#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# sandbox.sh ROOT OWN: lays out a mount namespace of its own, in which root can run tests of mutants
# without harm to others, says so, and keeps it until its input ends. In there no device can be
# replaced, ROOT cannot be written but for OWN, and /tmp is OWN/tmp.
set -e
root=$1 own=$2
mount --make-rprivate /
dev=$own/dev
mkdir -p "$dev" "$own/tmp"
mount -t tmpfs -o mode=755 dev "$dev"
for node in null zero full random urandom tty kvm userfaultfd; do
    [ -e /dev/$node ] || continue
    : >"$dev/$node"
    mount --bind /dev/$node "$dev/$node"
done
mkdir "$dev/pts" "$dev/shm"
mount --rbind /dev/pts "$dev/pts"
mount -t tmpfs -o mode=1777 shm "$dev/shm"
ln -s pts/ptmx "$dev/ptmx"
ln -s /proc/self/fd "$dev/fd"
for i in 0 1 2; do ln -s /proc/self/fd/$i "$dev/std$(echo $i | sed 's/0/in/; s/1/out/; s/2/err/')"; done
mount --rbind "$dev" /dev
mount --bind "$own" "$own"
mount --rbind "$root" "$root"
mount -o remount,bind,ro "$root"
case $root in
    /tmp/*)
        mkdir -p "$own/tmp/${root#/tmp/}"
        mount --rbind "$root" "$own/tmp/${root#/tmp/}"
        ;;
esac
mount --rbind "$own/tmp" /tmp
echo ready
exec cat
