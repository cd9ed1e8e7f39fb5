# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# examples cmake|pkgconfig shared|static: builds the installed examples in one of four ways, runs
# them, and holds them to their sizes.
with=$1 linkage=$2
examples=$prefix/share/doc/stasis/examples
warnings=(-std=gnu17 -Wall -Wextra -Wpedantic -Werror)
names=(quickstart own_device own_members own_lock own_serial own_files own_layers memory_slots edit_snapshot tiny_vmm vmm unicorn_guest)
if ! pkg-config --exists unicorn; then
    echo "skip unicorn_guest: libunicorn-dev is missing (scripts/test installs it)"
    unset 'names[-1]'
fi
export LD_LIBRARY_PATH=

# The packages that an example needs: what it is not linked with, it does not use.
packages_of() {
    case $1 in
        tiny_vmm) echo stasis-kvm ;;
        vmm) echo stasis-vmm ;;
        *) echo stasis-snap stasis-core stasis-lock ;;
    esac
}

build_cmake() {
    local suffix=
    [ "$linkage" = shared ] || suffix=_static
    if ! {
        CFLAGS="${warnings[*]} ${cflags[*]}" cmake -S "$examples" -B "$work/build" \
            -DCMAKE_PREFIX_PATH="$prefix" -DLINKAGE=$suffix && cmake --build "$work/build"
    } >"$work/log" 2>&1; then
        fail "the build"$'\n'"$(tail -n 30 "$work/log")"
    fi
    for name in "${names[@]}"; do
        mv "$work/build/${name/_/-}" "$work/$name"
    done
}

build_pkgconfig() {
    local name packages flags libs
    export PKG_CONFIG_PATH=$libdir/pkgconfig
    for name in "${names[@]}"; do
        read -ra packages < <(packages_of "$name")
        read -ra flags < <(pkg-config --cflags "${packages[@]}")
        if [ "$linkage" = static ]; then
            read -ra libs < <(pkg-config --static --libs "${packages[@]}")
            libs=("-Wl,-Bstatic" "${libs[@]}" "-Wl,-Bdynamic")
        else
            read -ra libs < <(pkg-config --libs "${packages[@]}")
            LD_LIBRARY_PATH=$libdir
        fi
        [ "$name" != unicorn_guest ] || libs+=(-lunicorn)
        "$CC" "${warnings[@]}" "${cflags[@]}" "${flags[@]}" -I"$examples" -o "$work/$name" \
            "$examples/$name.c" "${libs[@]}" || fail "the build of $name"
    done
}

build_"$with"
for name in "${names[@]}"; do
    needed=$(readelf -d "$work/$name" | grep -c 'NEEDED.*libstasis' || true)
    case $linkage:$needed in
        shared:0 | static:[1-9]*) fail "$name needs $needed shared libraries of ours" ;;
    esac
done

cd "$work" || exit
[ "$(wc -l <"$examples/quickstart.c")" -le 30 ] || fail "quickstart.c has more than 30 lines"
[ "$(./quickstart)" = "what the guest wrote" ] || fail "quickstart"
[ "$(stat -c %a vm.snap)" = 600 ] || fail "the mode of vm.snap"
"$prefix/bin/snapshot-inspect" json vm.snap | grep -q '"ticks": 42' ||
    fail "snapshot-inspect does not know a type of others by its file"
say "quickstart"

expected='version 1
level 420, fade 0 ms, 1 queued
refused: record acme.dimmer hall: field fade_ms is 0xfa, not its default 0x0'
[[ $(./own_device) == "$expected"* ]] || fail "own_device"
say "own_device"

expected='pen -3, origin -6, axis -1 from -20
goes to -7, writes hello, 2 tools, the last from -9'
[ "$(./own_members)" = "$expected" ] || fail "own_members"
say "own_members"

frozen=$examples/own_lock_1.0.schema
expected='allowed 1.0: acme.port.rate defaulted to "0x2580", now to "0x1c200": needs-migration
allowed 1.0: acme.port.parity (id 2) is new, since version 2: compatible'
[ "$(./own_lock check "$frozen")" = "$expected" ] || fail "own_lock check"
./own_lock freeze 2.0 >own_lock_2.0.schema || fail "own_lock freeze"
./own_lock check "$frozen" own_lock_2.0.schema >/dev/null || fail "own_lock check of what it froze"
sed 's/default=0x2580/default=0x2581/' "$frozen" >other.schema # which no migration converts
refuses '1 changes since release 1.0 are refused' ./own_lock check other.schema
say "own_lock"

./own_serial >own_serial.out || fail "own_serial"
for text in '"divisor": 384' '"tx_fifo": "68656c6c6f"' 'refused: tx_fifo holds 17 bytes, of which 16 fit'; do
    grep -qF "$text" own_serial.out || fail "own_serial does not say $text"
done
say "own_serial"

expected='own.snap is by acme-emu 3.1, of a RISC-V board
  image: blinker-2
refused: newer.snap: written by acme-emu 4.0: record acme.board main has version 2, this release reads up to 1: use the program that wrote it
own.snap: loading the memory was cancelled'
[ "$(./own_files)" = "$expected" ] || fail "own_files"
cmp own.snap again.snap || fail "own_files: equal machines, but not equal files"
"$prefix/bin/snapshot-inspect" info own.snap | grep -q '^  producer    acme-emu 3.1, .* riscv$' ||
    fail "snapshot-inspect does not name the producer"
say "own_files"

mkdir layers
[ "$(./own_layers layers | tail -n 1)" = '4 files, RAM is the same' ] || fail "own_layers"
"$prefix/bin/snapshot-inspect" verify layers/3.snap >/dev/null || fail "own_layers: a file is damaged"
[ "$(stat -c %s layers/3.snap)" -lt 500000 ] || fail "own_layers: a layer is as large as the guest"
say "own_layers"

./memory_slots >memory_slots.out || fail "memory_slots"
sed -n 's/^at //p' memory_slots.out >first
sed -n 's/^again at //p' memory_slots.out >second
if [ ! -s first ] || ! cmp -s first second; then
    fail "memory_slots: another state after it was rewound"
fi
grep -q '^refused: slot 2: .*damaged' memory_slots.out || fail "memory_slots took a damaged slot"
say "memory_slots"

{ ./edit_snapshot edit.snap new && ./edit_snapshot edit.snap 700 && ./edit_snapshot edit.snap 250; } ||
    fail "edit_snapshot"
[ "$(./edit_snapshot edit.snap)" = "level 250, 2 edits, RAM: what the guest wrote" ] ||
    fail "edit_snapshot: $(./edit_snapshot edit.snap)"
refuses 'level is 0x1388, outside its mask' ./edit_snapshot edit.snap 5000
[ "$(./edit_snapshot edit.snap)" = "level 250, 2 edits, RAM: what the guest wrote" ] ||
    fail "edit_snapshot changed a file that it refused to edit"
printf '\377' | dd of=edit.snap bs=1 seek=$(($(stat -c %s edit.snap) - 100)) conv=notrunc 2>/dev/null
refuses 'edit.snap.*damaged' ./edit_snapshot edit.snap 500
say "edit_snapshot"

[ "$(wc -l <"$examples/tiny_vmm.c")" -le 60 ] || fail "tiny_vmm.c has more than 60 lines"
if readelf -d tiny_vmm | grep -q 'NEEDED.*libstasis-\(state\|core\|ser\|snap\)'; then
    fail "tiny_vmm needs more than stasis-kvm and stasis-base"
fi
status=0
./tiny_vmm >tiny_vmm.out 2>tiny_vmm.err || status=$?
case $status in
    0) [ "$(cat tiny_vmm.out)" = "Hello from a guest" ] || fail "tiny_vmm: $(cat tiny_vmm.out)" ;;
    5) echo "skip tiny_vmm: $(cat tiny_vmm.err)" ;;
    *) fail "tiny_vmm: status $status, $(cat tiny_vmm.err)" ;;
esac
[ "$status" != 0 ] || say "tiny_vmm"

[ "$(wc -l <"$examples/vmm.c")" -le 100 ] || fail "vmm.c has more than 100 lines"
mkdir vmm_files
status=0
./vmm vmm_files </dev/null >vmm.out 2>vmm.err || status=$?
case $status in
    0)
        grep -oE '^tick [0-9]+ ' vmm.out | tr -d '\n' | grep -qx 'tick 1 tick 2 tick 3 tick 4 tick 5 tick 6 ' ||
            fail "vmm: $(cat vmm.out vmm.err)"
        "$prefix/bin/snapshot-inspect" verify vmm_files/copy.snap vmm_files/guest.snap >/dev/null ||
            fail "vmm: the snapshots"
        say "vmm"
        ;;
    5) echo "skip vmm: $(cat vmm.err)" ;;
    *) fail "vmm: status $status, $(cat vmm.err)" ;;
esac

[ -x unicorn_guest ] || exit 0
[ "$(wc -l <"$examples/unicorn_guest.c")" -le 150 ] || fail "unicorn_guest.c has more than 150 lines"
whole=$(./unicorn_guest)
for count in 1 2 500000 1500000; do
    ./unicorn_guest guest.snap $count || fail "freezing after $count instructions"
    thawed=$(./unicorn_guest guest.snap) || fail "thawing after $count instructions"
    [ "$thawed" = "$whole" ] || fail "after $count instructions: $thawed, not $whole"
    say "unicorn_guest, frozen after $count instructions"
done
printf '\377' | dd of=guest.snap bs=1 seek=$(($(stat -c %s guest.snap) - 100000)) conv=notrunc 2>/dev/null
refuses 'guest.snap.*damaged' ./unicorn_guest guest.snap
say "unicorn_guest, a damaged file"
