# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# The demo itself: boot and freeze, thaw and freeze a layer, thaw that, and prove that the guest went
# on; then show what changed between the two files. Run by any shell with pipefail (bash, busybox sh),
# on the host or in the emulated machine, with vmm and snapshot-inspect in PATH.
#   story.sh PAYLOAD builtin|linux [FOLDER]
# PAYLOAD holds check_beats.awk; for linux the guest's files too. FOLDER gets the two snapshots.
set -eu
# shellcheck disable=SC3040
set -o pipefail

payload=$1 guest=$2 keep=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

step() { printf -- '--- %s\n' "$*"; }

# run OUTPUT ARGUMENT...: what the guest says comes first, then what vmm has to say.
run() {
    output=$1
    shift
    vmm "$@" --serial out=stdio 2>said | tee "$output" || {
        cat said >&2
        return 1
    }
    [ -z "$(tail -c 1 "$output")" ] || echo # it was frozen inside a line
    cat said
}

case $guest in
    builtin)
        word=tick bye=q
        set -- --demo
        ;;
    linux)
        word=beat bye=poweroff
        set -- --kernel "path=$payload/vmlinuz,cmdline=\"console=ttyS0 reboot=k panic=-1 quiet\"" \
            --initrd "path=$payload/guest.initramfs" --memory size_mib=128
        ;;
    *)
        echo "story.sh: unknown guest $guest" >&2
        exit 2
        ;;
esac

step "Process 1 boots the $guest guest, and freezes it inside a line: at '$word 2 nonce'"
run first "$@" --snapshot-out "path=monday.snap,on_output=$word 2 nonce" </dev/null

step "Process 2 thaws it, and freezes it later as a layer: what has changed since, at '$word 4 nonce'"
run second --restore monday.snap --snapshot-out "path=tuesday.snap,parent=auto,on_output=$word 4 nonce" </dev/null

step "Which file lies on which, and whether every byte is right"
snapshot-inspect layers tuesday.snap
snapshot-inspect verify tuesday.snap 2>&1 | sed 's/; checked .*//' # and what was checked

step "Process 3 thaws the layer; when '$word 6' is out it is told to end"
say_goodbye() {
    tries=0
    until grep -q "^$word 7 " third || [ $tries -ge 6000 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    echo "$bye"
}
: >third
say_goodbye | run third --restore tuesday.snap

step "What the guest said in three processes, read as one"
# The answer to our typing may stand anywhere behind that.
cat first second third | sed -n "1,/^$word 6 /p" | awk -v word="$word" -f "$payload/check_beats.awk"

step "What changed in its memory from one file to the other"
snapshot-inspect memory monday.snap tuesday.snap 2>&1 | cat
[ -z "$keep" ] || cp monday.snap tuesday.snap "$keep"
