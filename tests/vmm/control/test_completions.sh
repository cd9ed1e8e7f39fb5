#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# test_completions.sh FOLDER: the completions that the build made there, in the shells that are here.
set -eu
folder=$1
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
expect bash compress= in_bash vmm ctl sock snapshot comp
expect bash exit in_bash vmm ctl sock snapshot 'then' = ex
expect bash continue in_bash vmm ctl sock snapshot 'then' =
[ -z "$(in_bash vmm ctl sock nothing x)" ] || failed=1

if command -v zsh >/dev/null; then
    zsh -n "$folder/vmm.zsh" || failed=1
    # shellcheck disable=SC2016
    expect zsh snapshot zsh -fc 'compadd() { print -l -- "$@" }; _files() { :; }
        words=(vmm ctl sock x) CURRENT=4; . "$1/vmm.zsh"' zsh "$folder"
    # shellcheck disable=SC2016
    expect zsh then=exit zsh -fc 'compadd() { print -l -- "$@" }
        words=(vmm ctl sock snapshot x) CURRENT=5; . "$1/vmm.zsh"' zsh "$folder"
else
    echo "skipped: zsh is missing"
fi
if command -v fish >/dev/null; then
    fish --no-execute "$folder/vmm.fish" || failed=1
    home=$(mktemp -d)
    trap 'rm -rf "$home"' EXIT
    # shellcheck disable=SC2016,SC2317
    in_fish() { HOME=$home fish -Pc 'source $argv[1]/vmm.fish; complete -C $argv[2]' "$folder" "$1"; }
    expect fish --control in_fish "vmm --con"
    expect fish snapshot in_fish "vmm ctl sock sn"
    expect fish then=exit in_fish "vmm ctl sock snapshot the"
else
    echo "skipped: fish is missing"
fi
exit $failed
