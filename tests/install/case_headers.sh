# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# Each public header compiles alone, and twice, as C and as C++, without a warning. The two that are
# expanded by a list (def_*.h) are not for including alone; state.h includes the one of them.
if ! command -v "$CXX" >/dev/null; then
    echo "skipped: no C++ compiler (scripts/test installs g++)"
    exit 77
fi
# -Wshadow for C alone: g++ has it warn of a struct and a function of one name, which C++ allows.
warnings=(-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wundef -Werror)

count=0
while read -r header; do
    case $header in */def_*.h) continue ;; esac
    printf '#include <stasis/%s>\n#include <stasis/%s>\n' "${header##*/}" "${header##*/}" >"$work/alone.c"
    printf 'extern int nothing;\nint nothing;\n' >>"$work/alone.c"
    for standard in c11 c17 gnu17; do
        "$CC" -std=$standard "${warnings[@]}" -Wshadow -Wstrict-prototypes -fsyntax-only \
            -I"$prefix/include" "$work/alone.c" || fail "$header as $standard"
    done
    for standard in c++11 c++17 c++20; do
        "$CXX" -std=$standard "${warnings[@]}" -fsyntax-only -x c++ \
            -I"$prefix/include" "$work/alone.c" || fail "$header as $standard"
    done
    count=$((count + 1))
done < <(find "$prefix/include" -name '*.h')
[ "$count" -gt 10 ] || fail "only $count headers"
say "$count headers"
