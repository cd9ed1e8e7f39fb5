#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# A baseline guest of Debian's kernel is frozen in one machine and thawed in another, whose TSC has
# another rate and cannot scale: two of Bochs's, with other numbers of instructions a second.
#   rates.sh [-s] BUILD
set -euo pipefail
run=$(dirname "$0")/run
between=$(mktemp -d)
trap 'rm -rf "$between"' EXIT
options=()
if [ "${1:-}" = -s ]; then
    options=(-s)
    shift
fi
STASIS_BOCHS_IPS=50000000 "$run" -x "$between" "${options[@]}" bochs linux "$1" rate_leave
STASIS_BOCHS_IPS=65000000 "$run" -f "$between/rate.snap" "${options[@]}" bochs linux "$1" rate_find
