# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# The two halves of cpu_models.sh, each in a machine of its own.
#   cpu_models_guest.sh leave      freezes the built-in guest on each CPU model, into outbox/
#   cpu_models_guest.sh find       foretells, then tries, a thaw of each
set -u

failed=0

# leave MODEL
leave() {
    vmm --demo --cpu "$1" --snapshot-out "path=outbox/$1.snap,on_output=tick 3 " \
        </dev/null >/dev/null || {
        echo "FAIL $1: not frozen"
        failed=1
    }
}

# One of the objects that the dry run names is in the message of the refusal.
has_a_reason() {
    sed -n 's/^ *"object": "\(.*\)",$/\1/p' said >objects
    grep -qFf objects err
}

# find MODEL STATUS [FEATURE]: what the dry run must say.
find_guest() {
    vmm --restore "/payload/$1.snap" --dry-run json >said
    said=$?
    vmm --restore "path=/payload/$1.snap,memory=copy" \
        --snapshot-out 'path=again.snap,on_output=tick 6 ' </dev/null >out 2>err
    came=$?
    reasons=$(grep -c '"object"' said)
    why=
    [ $said -eq "$2" ] || why="the dry run ended with $said instead of $2"
    [ $said -eq $came ] || why="foretold $said, came $came"
    if [ $came -eq 0 ]; then
        grep -q '^tick 6 ' out || why="the guest did not run on"
    else
        has_a_reason || why="the refusal has none of the reasons"
        grep -q "\"object\": \"$3\"" said || why="$3 is not named"
    fi
    if [ -n "$why" ]; then
        echo "FAIL $1: $why"
        cat said err
        failed=1
    else
        echo "ok $1: status $came, $reasons reasons and warnings"
    fi
}

case $1 in
    leave)
        for model in host baseline x86-64-v2 x86-64-v3; do leave $model; done
        ;;
    find)
        find_guest host 4 avx2
        find_guest x86-64-v3 4 movbe
        find_guest x86-64-v2 0
        find_guest baseline 0
        ;;
esac
exit $failed
