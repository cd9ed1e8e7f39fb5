# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# The package "stasis" brings all libraries, or those that are named, by CMake and by pkg-config.
mkdir "$work/user"
cp "$prefix/share/doc/stasis/examples/quickstart.c" "$work/user"
cat >"$work/user/CMakeLists.txt" <<'USER'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(stasis REQUIRED ${WANTED})
foreach(target ${TARGETS})
    string(REPLACE "::" "-" name ${target})
    add_executable(${name} quickstart.c)
    target_link_libraries(${name} PRIVATE ${target})
endforeach()
message("kvm: ${stasis_kvm_FOUND}, other: ${stasis_other_FOUND}")
USER

# configure NAME [OPTION]...
configure() {
    local name=$1
    shift
    CFLAGS="-std=gnu17 ${cflags[*]}" cmake -S "$work/user" -B "$work/$name" -DCMAKE_PREFIX_PATH="$prefix" "$@"
}

runs() {
    (cd "$work" && [ "$("$@")" = "what the guest wrote" ]) || fail "$1 does not run"
}

configure all '-DTARGETS=Stasis::stasis;Stasis::stasis_static' >"$work/log" 2>&1 || fail "find_package: $(cat "$work/log")"
grep -q 'kvm: 1' "$work/log" || fail "find_package does not bring stasis-kvm"
cmake --build "$work/all" >>"$work/log" 2>&1 || fail "the build: $(tail -n 20 "$work/log")"
runs "$work/all/Stasis-stasis"
runs "$work/all/Stasis-stasis_static"
say "find_package(stasis)"

configure some '-DWANTED=COMPONENTS;snap;OPTIONAL_COMPONENTS;other' -DTARGETS=Stasis::snap >"$work/log" 2>&1 ||
    fail "find_package with components: $(cat "$work/log")"
grep -q 'kvm: , other: FALSE' "$work/log" || fail "components that were not asked for: $(grep kvm: "$work/log")"
cmake --build "$work/some" >>"$work/log" 2>&1 || fail "the build: $(tail -n 20 "$work/log")"
runs "$work/some/Stasis-snap"
refuses "there is no library other; known: base, state, core, " configure none '-DWANTED=COMPONENTS;snap;other'
say "components"

export PKG_CONFIG_PATH=$libdir/pkgconfig
read -ra flags < <(pkg-config --cflags --libs stasis)
"$CC" -std=gnu17 "${cflags[@]}" -o "$work/shared" "$work/user/quickstart.c" "${flags[@]}" || fail "linking by pkg-config"
LD_LIBRARY_PATH=$libdir runs "$work/shared"
read -ra flags < <(pkg-config --static --cflags --libs stasis)
"$CC" -std=gnu17 "${cflags[@]}" -o "$work/static" "$work/user/quickstart.c" -Wl,-Bstatic "${flags[@]}" -Wl,-Bdynamic ||
    fail "linking statically by pkg-config"
runs "$work/static"
say "pkg-config"
