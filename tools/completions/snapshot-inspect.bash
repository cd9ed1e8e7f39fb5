# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# bash completion of snapshot-inspect, which is asked what it can do.
_snapshot_inspect() {
    local cur=${COMP_WORDS[COMP_CWORD]} words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ] || { [ "$COMP_CWORD" -eq 2 ] && [ "${COMP_WORDS[1]}" = help ]; }; then
        words=$(snapshot-inspect help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')
    elif [ "${cur#-}" != "$cur" ]; then
        words=$(snapshot-inspect help "${COMP_WORDS[1]}" 2>/dev/null | sed -n 's/^  .*\(--[a-z-]*\).*/\1/p')
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _snapshot_inspect snapshot-inspect
