#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# scripts/release in a repository of its own, with the programs of BUILD and a cmake that does
# nothing:   test_release.sh SOURCE BUILD
set -euo pipefail

source=$1 build=$2
# shellcheck disable=SC1091
if [ "$(. /etc/os-release && echo "$ID")" != debian ] || ! command -v git >/dev/null; then
    echo "skipped: scripts/release is for Debian with git"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t GIT_COMMITTER_NAME=t \
    GIT_COMMITTER_EMAIL=t
mkdir -p "$tree"/{scripts,state,state-ser/ser/frozen,tests/history,build/dev} "$work/bin"
cp "$source"/scripts/{lib.sh,release} "$tree/scripts"
ln -s "$build/bin" "$tree/build/dev/bin"
printf '#!/bin/sh\n' >"$work/bin/cmake"
chmod +x "$work/bin/cmake"
export PATH=$work/bin:$PATH
cd "$tree"
echo 'project(Stasis VERSION 7.8.9 LANGUAGES C' >CMakeLists.txt
echo '7.8.8 0123' >tests/history/releases.txt
echo 'old' >state/lock.def
echo '/build/' >.gitignore
git init -q . && git add -A && git commit -q -m start

# refused TEXT VERSION: nothing is written.
refused() {
    local status=0
    scripts/release "$2" >"$work/out" 2>&1 || status=$?
    if [ $status -ne 1 ] || ! grep -qF "$1" "$work/out"; then
        echo "FAIL wanted \"$1\", status $status:"
        cat "$work/out"
        exit 1
    fi
    git checkout -q HEAD -- tests
    [ "$(cat state/lock.def)" = old ]
    [ -z "$(git status --porcelain -- state state-ser)" ]
    echo "ok refused: $1"
}

refused 'CMakeLists.txt says version 7.8.9: change it to 7.9.0 first' 7.9.0
echo '7.8.9 4567' >>tests/history/releases.txt
refused 'release 7.8.9 was made' 7.8.9
echo changed >>tests/history/releases.txt
refused 'the tree has changes' 7.8.9

scripts/release 7.8.9 >"$work/out" 2>&1
[ "$(git status --porcelain -uall | wc -l)" -eq 3 ]
grep -q '^release 7.8.9$' state-ser/ser/frozen/7.8.9.schema
grep -q '^STASIS_FROZEN("stasis.serial", [0-9]*, [1-9]' state-ser/ser/frozen/7.8.9.def
grep -q '^STASIS_LOCK(serial, [0-9]*, 0x' state/lock.def
grep -qF 'The states of 7.8.9 are frozen' "$work/out"
echo "ok frozen"

# Again, before it is made; but never against a release that was.
git add -A && git commit -q -m frozen
scripts/release 7.8.9 >"$work/out" 2>&1
[ -z "$(git status --porcelain)" ]
echo "ok frozen again"
sed 's/^release .*/release 7.8.8/; s/^\(field 1 ier .*\) mask=[^ ]*/\1 mask=0xff/' \
    state-ser/ser/frozen/7.8.9.schema >state-ser/ser/frozen/7.8.8.schema
echo old >state/lock.def
git add -A && git commit -q -m "an older release"
refused 'stasis.serial.ier had mask 0xff, has 0xf: breaking' 7.8.9
