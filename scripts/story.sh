# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# The demo itself: boot, freeze, look, thaw, and prove that the guest went on. Run by any shell with
# pipefail (bash, busybox sh), on the host or in the emulated machine, with vmm and snapshot-inspect
# in PATH.
#   story.sh PAYLOAD builtin|linux     PAYLOAD holds check_beats.awk; for linux the guest's files too
set -eu
# shellcheck disable=SC3040
set -o pipefail

payload=$1 guest=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

step() { printf '\n--- %s\n' "$*"; }

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

step "Process 1 boots the $guest guest and freezes it as it says '$word 10'"
vmm "$@" --serial out=stdio --snapshot-out "path=guest.snap,on_output=$word 10 nonce" </dev/null |
    tee before

step "What the file holds"
ls -l guest.snap
snapshot-inspect info guest.snap
snapshot-inspect verify guest.snap 2>&1 | cat # a terminal would be shown its progress

step "Process 2 thaws it; when '$word 20' is out it is told to end"
say_goodbye() {
    tries=0
    until grep -q "^$word 21 " after || [ $tries -ge 6000 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    echo "$bye"
}
: >after
say_goodbye | vmm --restore guest.snap | tee after

step "Both processes' output as one"
# The answer to our typing may stand anywhere behind that.
cat before after | sed -n "1,/^$word 20 /p" | awk -v word="$word" -f "$payload/check_beats.awk"
before_nonce=$(grep -o 'nonce=[0-9a-f]\{32\}' before | tail -n 1)
after_nonce=$(grep -o 'nonce=[0-9a-f]\{32\}' after | tail -n 1)
echo "before the freeze: $before_nonce"
echo "after the thaw:    $after_nonce"
[ -n "$before_nonce" ] && [ "$before_nonce" = "$after_nonce" ]
echo "The guest went on in another process as if nothing had happened."
