#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# check_refused.sh VMM OPTION...: a vmm that was built without these parts says so, and refuses by name
# what needs them.
set -eu
vmm=$1
shift
left_out=$*

fail() {
    echo "FAIL $*"
    exit 1
}

# refuses PART WORD...: with status 2, and names the part and the CMake option.
refuses() {
    part=$1
    shift
    status=0
    said=$("$vmm" "$@" 2>&1 </dev/null) || status=$?
    [ $status -eq 2 ] || fail "vmm $*: status $status, not 2: $said"
    case $said in
        *"this build has no $part; rebuild it with -D$option=ON"*) echo "ok vmm $*: $said" ;;
        *) fail "vmm $*: does not name $part and $option: $said" ;;
    esac
}

"$vmm" --version | grep -qx "left out of this build: $left_out" || fail "--version does not list $left_out"
for option in $left_out; do
    case $option in
        STASIS_SANDBOX) refuses --sandbox --sandbox on ;;
        STASIS_DEMO) refuses --demo --demo ;;
        STASIS_JSON)
            refuses --control --control path=socket
            refuses --config --config path=file
            refuses "vmm ctl" ctl socket status
            ;;
        STASIS_TOOLS | STASIS_SHARED | STASIS_MANUALS | STASIS_PYTHON) ;; # not vmm's
        *) fail "no case for $option" ;;
    esac
done
