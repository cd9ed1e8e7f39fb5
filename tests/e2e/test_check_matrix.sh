# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# check_matrix.awk accepts matrix.txt, and refuses it without any one of its rows, and with a wrong one.
#   test_check_matrix.sh CHECK
set -u
check=$(realpath "$1")
matrix=${check%/*}/matrix.txt
failed=0
ran=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

judge() { # NAME STATUS
    busybox awk -f "$check" changed >said
    status=$?
    ran=$((ran + 1))
    [ $status -eq "$2" ] && return
    echo "FAIL $1: status $status: $(cat said)"
    failed=$((failed + 1))
}

# changed_row NAME WORDS: the first row with other words.
changed_row() {
    awk -v words="$2" '/^[0-9]/ && !n++ { print words; next } { print }' "$matrix" >changed
    judge "$1" 1
}

cp "$matrix" changed
judge whole 0
rows=$(grep -c '^[0-9]' "$matrix")
row=1
while [ $row -le "$rows" ]; do
    awk -v row=$row '!/^[0-9]/ || ++n != row' "$matrix" >changed
    judge "without row $row" 1
    row=$((row + 1))
done
changed_row unknown '6.1 1 513 elf host'
changed_row short '6.1 1 512'
changed_row twice '6.12 1 8192 bzimage host'
grep -v '^values' "$matrix" >changed
judge no_values 1
: >changed
judge empty 1

echo "$ran cases, $failed failed"
[ $failed -eq 0 ] && [ $ran -eq $((rows + 6)) ] && [ "$rows" -ge 15 ]
