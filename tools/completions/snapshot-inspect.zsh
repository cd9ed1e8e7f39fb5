#compdef snapshot-inspect
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# zsh completion of snapshot-inspect, which is asked what it can do.
_snapshot_inspect() {
    if [[ $CURRENT -eq 2 || ( $CURRENT -eq 3 && $words[2] == help ) ]]; then
        compadd -- $(snapshot-inspect help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')
    elif [[ $words[CURRENT] == -* ]]; then
        compadd -- $(snapshot-inspect help $words[2] 2>/dev/null | sed -n 's/^  .*\(--[a-z-]*\).*/\1/p')
    else
        _files
    fi
}
_snapshot_inspect "$@"
