#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# What `vmm --restore FILE --dry-run` foretells between two CPU models comes true: guests of every
# --cpu model are frozen in one emulated machine, and thawed in another whose CPU has less.
#   cpu_models.sh BUILD        BUILD is a build folder (build/release)
# Where the rig's tools are missing the run is skipped: 77.
. "$(dirname "$0")/../../scripts/lib.sh"

readonly E2E=$STASIS_ROOT/tests/e2e LESS=max,-avx,-avx2,-fma,-f16c,-bmi1,-bmi2,-movbe
[ $# -eq 1 ] || die "$STATUS_USAGE" "usage: cpu_models.sh BUILD"
build=$(realpath "$1")

skip() {
    echo "skipped: $*"
    exit "$STATUS_SKIPPED"
}

for tool in qemu-system-x86_64 busybox cpio lz4; do
    command -v "$tool" >/dev/null || skip "$tool is missing (scripts/test installs it)"
done
find_kernel || skip "Debian's kernel is not in .cache (scripts/test fetches it)"

between=$(mktemp -d)
trap 'rm -rf "$between"' EXIT

# emulate CPU OPTION... -- ARGUMENT...: once more where the emulator stood still.
emulate() {
    local cpu=$1 options=() tries=0 status
    shift
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    while :; do
        status=0
        STASIS_NESTED_CPU=$cpu "$STASIS_ROOT/scripts/nested" -t 900 "${options[@]}" \
            -b "$build/bin/vmm" "$E2E/cpu_models_guest.sh" "$@" || status=$?
        tries=$((tries + 1))
        [ $status -eq "$STATUS_STILL" ] && [ $tries -lt 3 ] || return $status
    done
}

emulate max -x "$between" -- leave
files=()
for file in "$between"/*.snap; do files+=(-f "$file"); done
emulate "$LESS" "${files[@]}" -- find | tee "$between/log"
[ "$(grep -ac '^ok ' "$between/log")" -eq 4 ] && ! grep -aq '^FAIL ' "$between/log"
