#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# check.sh TARBALL: what scripts/tarball packed is complete, needs no library, and runs.
. "$(dirname "$0")/../../scripts/lib.sh"

tarball=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C

say_ok() { printf 'ok %s\n' "$*"; }

fail() {
    printf 'FAIL %s\n' "$*"
    exit 1
}

# Nothing of who made it, or when: one owner, one time, names in order, no folder of that machine.
check_headers() {
    local list
    list=$(tar -tvf "$tarball" --numeric-owner --full-time)
    [ "$(awk '{ print $2, $4, $5 }' <<<"$list" | sort -u | wc -l)" -eq 1 ] || fail "owners or times differ"
    awk '{ print $6 }' <<<"$list" | sort -c || fail "the names are not in order"
    ! grep -rlF "$STASIS_ROOT" "$top" || fail "the tree is named"
    say_ok "headers"
}

check_files() {
    local file
    for file in share/man/man1/{vmm,snapshot-inspect}.1 share/man/man7/vmm-control.7 \
        share/bash-completion/completions/{vmm,snapshot-inspect} share/zsh/site-functions/_{vmm,snapshot-inspect} \
        share/fish/vendor_completions.d/{vmm,snapshot-inspect}.fish \
        share/doc/stasis/licences/{musl,libgcc,libcrypto,libdeflate,jansson,msgpack-c}; do
        [ -s "$top/$file" ] || fail "no $file"
    done
    for file in README.md CHANGELOG.md LICENSE-APACHE LICENSE-BSD-3-CLAUSE docs/embedding.md; do
        cmp "$STASIS_ROOT/$file" "$top/share/doc/stasis/$file" || fail "no $file"
    done
    say_ok "files"
}

check_programs() {
    local program golden
    for program in vmm snapshot-inspect; do
        [ "$("$top/bin/$program" --version | head -n 1)" = "$program (stasis) $version" ] ||
            fail "$program --version"
        ! readelf -lW "$top/bin/$program" | grep -q INTERP || fail "$program needs a loader"
        ! readelf -SW "$top/bin/$program" | grep -q '\.debug_' || fail "$program is not stripped"
    done
    "$top/bin/vmm" --version | grep -qx 'left out of this build: STASIS_SHARED' ||
        fail "more or less is left out than README.md says"
    for golden in "$STASIS_ROOT"/tests/golden/0.1.0/*.snap; do
        "$top/bin/snapshot-inspect" verify "$golden" || fail "verify $golden"
    done
    say_ok "programs"
}

check_demo() {
    case $(kvm_kind) in
        pvm | hardware) ;;
        *)
            echo "skip demo: no KVM that runs it"
            return 0
            ;;
    esac
    ln -s "$STASIS_ROOT/tests/e2e/check_beats.awk" "$work"
    PATH=$top/bin:$PATH bash "$STASIS_ROOT/scripts/story.sh" "$work" builtin || fail "the demo"
    say_ok "demo"
}

tar -xf "$tarball" -C "$work"
top=$(echo "$work"/stasis-*)
version=$(sed -n 's/^project(Stasis VERSION \([0-9.]*\).*/\1/p' "$STASIS_ROOT/CMakeLists.txt")
check_headers
check_files
check_programs
check_demo
