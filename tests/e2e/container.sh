# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# A case of linux.sh, which brings this in: the part of docs/guides/container.md from the boot on, as
# tests/guides/container.py has made it. What it prints is compared outside.
case_container() {
    if [ ! -d "$outbox" ]; then
        echo "skip $case: nothing can be carried out of this rig"
        return
    fi
    mkdir container
    cd container || exit 1
    ln -s "$payload/vmlinuz" "$payload/container.cpio.gz" .
    mv container.cpio.gz root.cpio.gz
    began=$(now_ms)
    busybox timeout -s KILL "$limit_s" sh "$payload/container.page" </dev/null >"$outbox/container.said" 2>&1
    out=$outbox/container.said
    [ -f ready.snap ] || fail "there is no snapshot"
    ok "the page's commands took $(($(now_ms) - began)) ms"
    cd ..
    rm -r container
}
