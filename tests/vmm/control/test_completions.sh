#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# test_completions.sh FOLDER TOOLS [PROGRAMS]: the completions that the build made there, and those of
# snapshot-inspect in TOOLS if it is in PROGRAMS, in the shells that are here.
set -eu
folder=$1
tools=$2
programs=${3:-}
PATH=${programs:+$programs:}$PATH
failed=0

# expect NAME WORD COMMAND...: the output has the word on a line or between spaces
expect() {
    local name=$1 word=$2
    shift 2
    if ! "$@" 2>&1 | tr ' \t' '\n' | grep -qxF -- "$word"; then
        echo "$name: $word is not offered"
        failed=1
    fi
}

# The words of a command line as bash splits them; the last one is completed.
in_bash() {
    bash -c '. "$1/vmm.bash"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _vmm; printf "%s\n" "${COMPREPLY[@]}"' \
        bash "$folder" "$@"
}
bash -n "$folder/vmm.bash"
expect bash --control in_bash vmm --con
expect bash ctl in_bash vmm c
expect bash snapshot in_bash vmm ctl sock snap
expect bash --wait in_bash vmm ctl --w
expect bash snapshot in_bash vmm ctl --wait sock snap
expect bash exit in_bash vmm ctl --wait sock snapshot 'then' = ex
[ -z "$(in_bash vmm ctl so)" ] || failed=1 # so that bash completes the file
expect bash compress= in_bash vmm ctl sock snapshot comp
expect bash exit in_bash vmm ctl sock snapshot 'then' = ex
expect bash resume in_bash vmm ctl sock snapshot 'then' =
[ -z "$(in_bash vmm ctl sock nothing x)" ] || failed=1
expect bash baseline in_bash vmm --demo --cpu bas
expect bash baseline in_bash vmm --demo --cpu model = ''
expect bash baseline in_bash vmm --demo --cpu =
expect bash resume in_bash vmm --demo --snapshot-out path = x,then = r
expect bash resume in_bash vmm --demo --snapshot-out x,then =
expect bash x,then= in_bash vmm --demo --snapshot-out path = x,th
expect bash x,a=b,then= in_bash vmm --demo --snapshot-out x,a=b,th
[ -z "$(in_bash vmm --demo --kernel vml)" ] || failed=1 # so that bash completes the file

inspect_in_bash() {
    bash -c '. "$1/snapshot-inspect.bash"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _snapshot_inspect; printf "%s\n" "${COMPREPLY[@]}"' \
        bash "$tools" "$@"
}
bash -n "$tools/snapshot-inspect.bash"
if [ -n "$programs" ]; then
    expect bash flatten inspect_in_bash snapshot-inspect fl
    expect bash memory inspect_in_bash snapshot-inspect help mem
    expect bash --layers inspect_in_bash snapshot-inspect info --l
    expect bash --output inspect_in_bash snapshot-inspect report -
    [ -z "$(inspect_in_bash snapshot-inspect info x)" ] || failed=1 # so that bash completes the file
fi

if command -v zsh >/dev/null; then
    zsh -n "$folder/vmm.zsh" || failed=1
    zsh -n "$tools/snapshot-inspect.zsh" || failed=1
    # shellcheck disable=SC2016
    [ -z "$programs" ] || expect zsh --output zsh -fc 'compadd() { print -l -- "$@" }
        words=(snapshot-inspect report --) CURRENT=3; . "$1/snapshot-inspect.zsh"' zsh "$tools"
    # shellcheck disable=SC2016
    expect zsh snapshot zsh -fc 'compadd() { print -l -- "$@" }; _files() { :; }
        words=(vmm ctl --wait sock x) CURRENT=5; . "$1/vmm.zsh"' zsh "$folder"
    # shellcheck disable=SC2016
    expect zsh snapshot zsh -fc 'compadd() { print -l -- "$@" }; _files() { :; }
        words=(vmm ctl sock x) CURRENT=4; . "$1/vmm.zsh"' zsh "$folder"
    grep -q -- "--cpu.*:model:(host baseline " "$folder/vmm.zsh" || failed=1
    # shellcheck disable=SC2016
    expect zsh then=exit zsh -fc 'compadd() { print -l -- "$@" }
        words=(vmm ctl sock snapshot x) CURRENT=5; . "$1/vmm.zsh"' zsh "$folder"
else
    echo "skipped: zsh is missing"
fi
if command -v fish >/dev/null; then
    fish --no-execute "$folder/vmm.fish" || failed=1
    fish --no-execute "$tools/snapshot-inspect.fish" || failed=1
    home=$(mktemp -d)
    trap 'rm -rf "$home"' EXIT
    # shellcheck disable=SC2016,SC2317
    in_fish() { HOME=$home fish -Pc 'source $argv[1]/vmm.fish; complete -C $argv[2]' "$folder" "$1"; }
    # shellcheck disable=SC2016,SC2317
    inspect_in_fish() {
        HOME=$home fish -Pc 'source $argv[1]/snapshot-inspect.fish; complete -C $argv[2]' "$tools" "$1"
    }
    if [ -n "$programs" ]; then
        expect fish flatten inspect_in_fish "snapshot-inspect fl"
        expect fish --output inspect_in_fish "snapshot-inspect report --o"
    fi
    expect fish --control in_fish "vmm --con"
    expect fish snapshot in_fish "vmm ctl sock sn"
    expect fish --wait in_fish "vmm ctl --w"
    expect fish snapshot in_fish "vmm ctl --wait sock sn"
    expect fish baseline in_fish "vmm --demo --cpu ba"
    expect fish then=exit in_fish "vmm ctl sock snapshot the"
else
    echo "skipped: fish is missing"
fi
exit $failed
