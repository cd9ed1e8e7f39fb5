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

cat >"$work/program.cpp" <<'PROGRAM'
#include <stasis/snap.h>
#include <stasis/state.h>

int main()
{
    struct stasis_serial_state serial;
    struct stasis_error err;
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);

    stasis_state_init(&stasis_serial_schema, &serial);
    int rc = stasis_records_add(stasis_snap_records(snap), &stasis_serial_schema, "com1", &serial, &err);
    stasis_snap_free(snap);
    return rc;
}
PROGRAM
read -ra flags < <(PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --cflags --libs stasis-snap)
"$CXX" "${warnings[@]}" "${cflags[@]}" -o "$work/program" "$work/program.cpp" "${flags[@]}" ||
    fail "linking C++"
LD_LIBRARY_PATH=$libdir "$work/program" || fail "a program in C++"
say "a program in C++"
