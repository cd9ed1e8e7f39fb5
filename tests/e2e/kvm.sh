# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# Runs test programs, and the built-in guest's freeze and thaw, beside another kind of /dev/kvm.
#   kvm.sh [-s] PAYLOAD CASE...     PAYLOAD holds the programs, vmm, snapshot-inspect and the story
#   -s  lets clocks run for a minute before they are compared, and compares them in 100,000 hand-overs
# A case is a program, or `demo`, the built-in guest. Prints `ok CASE`, `skip CASE: why` or
# `FAIL CASE: why` for each, and `skip PROGRAM.TEST: why` for each test that a program leaves out.
set -u

if [ "$1" = -s ]; then
    export STASIS_TEST_SECONDS=60 STASIS_TEST_HANDOVERS=50000 # by each of two vCPUs
    shift
fi

payload=$1
shift
failed=0 inside=0
limit_s=900 # only a hang gets there
log=$(mktemp)
trap 'rm -f "$log"' EXIT

now_s() {
    read -r now _ </proc/uptime
    echo "${now%.*}"
}

# left_out PROGRAM: what cmocka says twice of a test, after the line that says why.
left_out() {
    awk -v program="$1" '
        /^\[ *RUN *\]/ { why = "" }
        /^\[ *SKIPPED *\] / && !/test\(s\)/ && !said[$NF]++ { print "skip " program "." $NF ": " why }
        !/^\[/ { sub(/^skipped: /, ""); why = $0 }' "$log"
}

judge() { # CASE STATUS SECONDS
    case $2 in
        0)
            echo "ok $1: $3 s, $(grep 'without a gap' "$log" || grep -m 1 'test(s) run' "$log")"
            left_out "$1"
            ;;
        77) echo "skip $1: $(tail -n 1 "$log")" ;;
        *)
            echo "FAIL $1: status $2 after $3 s"
            tail -n 40 "$log"
            failed=$((failed + 1))
            ;;
    esac
}

for case in "$@"; do
    set -- "$payload/$case"
    [ "$case" != demo ] || set -- sh "$payload/story.sh" "$payload" builtin
    began=$(now_s)
    busybox timeout -s KILL $limit_s "$@" >"$log" 2>&1
    judge "$case" $? $(($(now_s) - began))
    inside=$((inside + $(awk '/^inside the sandbox: / { n += $4 } END { print n + 0 }' "$log")))
done
echo "inside the sandbox: $inside runs of vmm"
[ $failed -eq 0 ]
