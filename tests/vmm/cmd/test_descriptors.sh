#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# test_descriptors.sh VMM: a descriptor that nobody has opened is refused, and is not the first one that
# vmm opens for itself.
set -euo pipefail
vmm=$1
said=$(mktemp)
trap 'rm -f "$said"' EXIT

fail() {
    echo "FAIL $*"
    exit 1
}

# refused NAME ARG...: with status 2 and one line that names the option.
refused() {
    local name=$1 status=0
    shift
    # By KILL: whoever has lost its signals takes no other.
    timeout -s KILL 60 "$vmm" "$@" 3>&- </dev/null >/dev/null 2>"$said" || status=$?
    [ "$status" -eq 2 ] || fail "$*: status $status: $(<"$said")"
    [ "$(<"$said")" = "vmm: $name: descriptor 3 is not open; open it in the shell, for example by 3<>FILE" ] ||
        fail "$*: $(<"$said")"
    echo "ok $*"
}

refused --ready-fd --demo --ready-fd 3
refused '--log fd' --demo --log info,fd=3
refused --kvm --demo --kvm 3
refused --kvm --restore none --dry-run --kvm 3
refused '--restore uffd_fd' --restore none,uffd_fd=3
"$vmm" --demo --ready-fd 3 --print-config 3>&- >/dev/null || fail "--print-config looks at descriptors"
