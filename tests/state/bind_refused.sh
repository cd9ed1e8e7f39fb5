#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# bind_refused.sh FILE COMPILER ARGUMENT...: case 0 of FILE compiles, and each other is refused with
# the text that FILE has behind it.
set -euo pipefail

file=$1
shift
fail() {
    printf 'FAIL %s\n' "$*" "$(tail -n 20 <<<"${said:-}")"
    exit 1
}

said=$("$@" -DCASE=0 -fsyntax-only "$file" 2>&1) || fail "case 0 does not compile"
[ -z "$said" ] || fail "case 0 warns"
count=0
while read -r number text; do
    if said=$("$@" -DCASE="$number" -fsyntax-only "$file" 2>&1); then
        fail "case $number compiles"
    fi
    grep -qE "error: .*$text" <<<"$said" || fail "case $number does not say: $text"
    count=$((count + 1))
done < <(sed -nE 's|^#elif CASE == ([0-9]+) +/\* "(.*)" \*/|\1 \2|p' "$file")
[ "$count" -gt 0 ] || fail "no cases"
[ "$count" -eq "$(grep -c '^#elif CASE' "$file")" ] || fail "$count cases only"
echo "ok $count rows refused"
