# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2034
# The machine that scripts/nested and scripts/bochs emulate, called L1: Debian's cloud kernel with
# KVM's modules, an initramfs of busybox and a payload, and a script that it runs. Guests of the
# payload's own VMM are L2. Sourced after lib.sh, never run.

# The status travels on a serial port of its own, where no guest's output can forge it.
# A busy host makes the emulated TSC look unstable to L1's watchdog; KVM would then stop L2's TSC
# whenever its vCPU sleeps, and with it every deadline timer. There, too, too few timer interrupts
# come in the moment in which Linux looks for them as it boots, and it panics: no_timer_check.
RIG_ARGUMENTS='console=ttyS0 panic=-1 quiet mitigations=off nokaslr tsc=reliable no_timer_check'

rig_usage() {
    cat >&2 <<TEXT
usage: scripts/${0##*/} [OPTION]... SCRIPT [ARGUMENT]...
Runs SCRIPT (for busybox sh) as root in an emulated machine that has /dev/kvm with $1.
Everything named lands in /payload there, which is in PATH; the folder to write in is /tmp.
STASIS_RIG is the name of this script there.
  -f FILE[:NAME]  takes a file along
  -b PROGRAM      takes a program along, with the libraries that it needs
  -k              takes Debian's kernel along, as /payload/vmlinuz
  -t SECONDS      time limit (default $2)
  -m MIB          memory (default $3)
  -c CPUS         processors (default $4)
  -o LOG          keeps the console's output in LOG too
  -x FOLDER       brings what the script leaves in /tmp/outbox out into FOLDER
  -d FILE:SERIAL  is a disk there, of that serial number; what is written to it is thrown away
                  (scripts/nested only; may be repeated)
The exit status is the script's own; 124 means out of time.
TEXT
    exit "$STATUS_USAGE"
}

# rig_parse TEXT SECONDS MIB CPUS ARGUMENT...: fills the RIG_ variables, and the stage folder.
rig_parse() {
    local text=$1 option
    RIG_SECONDS=$2 RIG_MIB=$3 RIG_CPUS=$4 RIG_LOG='' RIG_OUTBOX='' RIG_DISKS=()
    local defaults=("$2" "$3" "$4") files=() programs=() kernel=
    shift 4
    while getopts f:b:kt:m:c:o:x:d: option; do
        case $option in
            f) files+=("$OPTARG") ;;
            b) programs+=("$OPTARG") ;;
            k) kernel=yes ;;
            t) RIG_SECONDS=$OPTARG ;;
            m) RIG_MIB=$OPTARG ;;
            c) RIG_CPUS=$OPTARG ;;
            o) RIG_LOG=$OPTARG ;;
            x) RIG_OUTBOX=$OPTARG ;;
            d) RIG_DISKS+=("$OPTARG") ;;
            *) rig_usage "$text" "${defaults[@]}" ;;
        esac
    done
    shift $((OPTIND - 1))
    [ $# -ge 1 ] || rig_usage "$text" "${defaults[@]}"

    RIG_WORK=$(mktemp -d)
    trap 'rm -rf "$RIG_WORK"' EXIT
    RIG_STAGE=$RIG_WORK/stage
    rig_stage_base
    [ -z "$kernel" ] || files+=("$KERNEL_IMAGE:vmlinuz")
    for option in "${files[@]}"; do rig_stage_file "$option"; done
    for option in "${programs[@]}"; do rig_stage_program "$option"; done
    rig_stage_file "$1:script"
    shift
    printf 'export STASIS_RIG=%q\n' "${0##*/}" >"$RIG_STAGE/payload/run"
    printf '%q ' sh /payload/script "$@" >>"$RIG_STAGE/payload/run"
}

rig_stage_file() {
    local source=${1%%:*} name=${1##*:}
    [ -f "$source" ] || die "$STATUS_USAGE" "no such file: $source"
    cp -L "$source" "$RIG_STAGE/payload/${name##*/}"
}

# rig_stage_program PROGRAM: libraries keep their paths; a static program has none.
rig_stage_program() {
    local library
    rig_stage_file "$1"
    for library in $(ldd "$1" 2>/dev/null | grep -oE '/[^ )]+'); do
        mkdir -p "$RIG_STAGE${library%/*}"
        cp -L "$library" "$RIG_STAGE$library"
    done
}

# rig_module NAME FILE: a module of the kernel; it may be compressed there.
rig_module() {
    local file
    file=$(find "$KERNEL_MODULES" -name "$1.ko*" -print -quit)
    case $file in
        *.ko) cp "$file" "$2" ;;
        *.ko.xz) xz -dc "$file" >"$2" ;;
        *) die "$STATUS_FAILURE" "kernel $KERNEL_RELEASE has no module $1" ;;
    esac
}

# rig_stage_module NAME FOLDER
rig_stage_module() { rig_module "$1" "$RIG_STAGE/lib/$2/$1.ko"; }

rig_stage_base() {
    local module
    mkdir -p "$RIG_STAGE"/{bin,dev,proc,sys,tmp,payload,lib/kvm}
    cp "$(command -v busybox)" "$RIG_STAGE/bin/busybox"
    for module in irqbypass kvm kvm-amd kvm-intel; do rig_stage_module $module kvm; done
    if [ ${#RIG_DISKS[@]} -gt 0 ] || { [ -n "$RIG_OUTBOX" ] && [ "$RIG_WAY_OUT" = disk ]; }; then
        rig_stage_disks
    fi
    [ -z "$RIG_OUTBOX" ] || rig_stage_outbox
    cat >"$RIG_STAGE/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/payload HOME=/tmp
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/pts
mount -t devpts none /dev/pts
mount -t tmpfs none /tmp
stty -opost
# The rig sends bytes there that mean nothing (scripts/nested); a port that nobody has open makes no
# interrupts.
stty -opost -echo </dev/ttyS1
cat /dev/ttyS1 >/dev/null &
while :; do
    echo alive >/dev/ttyS1
    sleep 5
done &
# When its module is loaded, KVM takes the TSC's rate for that of every guest to come. Should Linux
# then correct that by more than 250 ppm, guests of an AMD CPU without TSC scaling get a TSC that
# stands at 0 for KVM, and timers that fire a lifetime late. Linux is done when it uses the TSC.
clock=/sys/devices/system/clocksource/clocksource0/current_clocksource
tries=0
while grep -qw svm /proc/cpuinfo && ! grep -qx tsc $clock && [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
insmod /lib/kvm/irqbypass.ko
insmod /lib/kvm/kvm.ko
grep -qw svm /proc/cpuinfo && insmod /lib/kvm/kvm-amd.ko
grep -qw vmx /proc/cpuinfo && insmod /lib/kvm/kvm-intel.ko
[ ! -d /lib/disks ] || . /lib/disks/load
cd /tmp
[ ! -d /lib/outbox ] || mkdir outbox
. /payload/run </dev/null
status=$?
[ ! -d /lib/outbox ] || . /lib/outbox/carry_out
stty -opost # waits until all that was said is out
echo 0 >/proc/sys/kernel/printk
echo "status $status" >/dev/ttyS1
stty -opost -echo </dev/ttyS1 # the same, of the status: a reset loses what the UART still holds
sync
exec reboot -f
INIT
    chmod +x "$RIG_STAGE/init"
}

# Disks are virtio devices, whose drivers Debian has as modules.
rig_stage_disks() {
    local module modules=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev
        virtio_pci virtio_blk)
    mkdir -p "$RIG_STAGE/lib/disks"
    for module in "${modules[@]}"; do rig_stage_module "$module" disks; done
    printf 'insmod /lib/disks/%s.ko\n' "${modules[@]}" >"$RIG_STAGE/lib/disks/load"
}

# The ways out for more than a few bytes. A disk, which the emulator must have as a virtio device, is
# as raw as it gets: an archive from its first byte on. Bochs, which has no such device, writes what
# comes through its third serial port to a file; that is slow, so the archive is compressed.
rig_stage_outbox() {
    mkdir -p "$RIG_STAGE/lib/outbox" "$RIG_OUTBOX"
    if [ "$RIG_WAY_OUT" = port ]; then
        : >"$RIG_WORK/outbox"
        cat >"$RIG_STAGE/lib/outbox/carry_out" <<'PORT'
stty raw -echo </dev/ttyS2
tar -cz -C /tmp/outbox . >/dev/ttyS2
stty raw </dev/ttyS2
PORT
        return
    fi
    cat >"$RIG_STAGE/lib/outbox/carry_out" <<'DISK'
disk=$(grep -lx outbox /sys/block/vd?/serial)
tar -cf "/dev/$(basename "${disk%/serial}")" -C /tmp/outbox .
DISK
    truncate -s 2G "$RIG_WORK/outbox"
}

# rig_open_outbox: after the run; the outbox of a machine that died holds nothing, or less.
rig_open_outbox() {
    [ -z "$RIG_OUTBOX" ] || tar -xaf "$RIG_WORK/outbox" -C "$RIG_OUTBOX" ||
        say "the outbox did not come out whole"
}

# rig_pack FOLDER FILE: plain cpio, which an emulated processor unpacks faster than gzip.
rig_pack() {
    (cd "$1" && find . | cpio --quiet -o -H newc -R 0:0) >"$2"
}

# rig_finish EMULATOR_STATUS STATUS_FILE: ends with the script's status.
rig_finish() {
    local status
    [ "$1" -ne 124 ] || die 124 "the machine did not end within $RIG_SECONDS s"
    status=$(tr -d '\r' <"$2" | sed -n 's/^status \([0-9]*\)$/\1/p')
    [ -n "$status" ] || die "$STATUS_FAILURE" "the emulated machine died (emulator status $1)"
    exit "$status"
}

# rig_guest_initramfs INIT FILE [MODULE]...: what an L2 Linux boots into: one static program, modules
# that it may load, and in /lib the drivers of our devices that it loads, in their order, unless they
# are built in.
rig_guest_initramfs() {
    local tree module number=0
    tree=$(mktemp -d)
    mkdir "$tree"/{dev,lib,proc,sys}
    for module in virtio_ring virtio virtio_mmio virtio-rng virtio_balloon virtio_blk \
        failover net_failover virtio_net \
        vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport; do
        number=$((number + 1))
        grep -q "/$module\.ko\$" "$KERNEL_MODULES/modules.builtin" ||
            rig_module "$module" "$tree/lib/$(printf %02d $number)-$module.ko"
    done
    cp "$1" "$tree/init"
    strip "$tree/init"
    [ $# -le 2 ] || cp "${@:3}" "$tree"
    rig_pack "$tree" "$2"
    rm -rf "$tree"
}
