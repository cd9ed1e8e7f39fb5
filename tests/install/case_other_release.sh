# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# One library of the next release among those of this one: refused when configuring, when compiling
# and when loading, by a message that names it; while whole releases live side by side.
other=${STASIS_VERSION%.*}.$((${STASIS_VERSION##*.} + 1))
node=STASIS_STATE_${STASIS_VERSION//./_}
mixed=$work/mixed
mixed_lib=$mixed/$STASIS_LIBDIR

# The next release of stasis-state, with the stasis-base that it needs, over a copy of what is installed.
mkdir "$work/source"
(cd "$root" && cp -r CMakeLists.txt README.md CHANGELOG.md LICENSE-* \
    cmake common base state core state-ser tools vmm python docs examples "$work/source")
sed -i -E "s/^(project\\(Stasis VERSION )[0-9.]+/\\1$other/" "$work/source/CMakeLists.txt"
cmake -S "$work/source" -B "$work/build" -DCMAKE_INSTALL_LIBDIR="$STASIS_LIBDIR" \
    -DBUILD_TESTING=OFF >"$work/log" || fail "configuring the next release"
cmake --build "$work/build" --target stasis_base stasis_base_shared \
    stasis_state stasis_state_shared >>"$work/log" ||
    fail "building the next release"
cp -a "$prefix" "$mixed"
for component in stasis-base stasis-state; do
    cmake --install "$work/build" --component $component --prefix "$mixed" >>"$work/log" ||
        fail "installing the next release"
done

cat >"$work/program.c" <<'PROGRAM'
#include <stasis/ser.h>
#include <stdio.h>

int main(void)
{
    struct stasis_records *set = stasis_records_new();

    puts(set ? stasis_err_str(0) : "no memory");
    stasis_records_free(set);
    return 0;
}
PROGRAM

# When configuring: CMake, pkg-config.
mkdir "$work/user"
cat >"$work/user/CMakeLists.txt" <<'USER'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(stasis-ser REQUIRED)
USER
cmake -S "$work/user" -B "$work/user/good" -DCMAKE_PREFIX_PATH="$prefix" >>"$work/log" ||
    fail "find_package among libraries of one release"
refuses "\"stasis-state\" that exactly matches requested version \"$STASIS_VERSION\".*version: $other" \
    cmake -S "$work/user" -B "$work/user/bad" -DCMAKE_PREFIX_PATH="$mixed"
sed -i 's/stasis-ser/stasis/' "$work/user/CMakeLists.txt"
refuses "stasis-base $STASIS_VERSION, or what that needs, is not there; install all libraries of one release" \
    cmake -S "$work/user" -B "$work/user/all" -DCMAKE_PREFIX_PATH="$mixed"
say "find_package refuses"
PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --exists --print-errors stasis-ser ||
    fail "pkg-config among libraries of one release"
PKG_CONFIG_PATH=$mixed_lib/pkgconfig refuses \
    "'stasis-state' has version '$other', required version is '= $STASIS_VERSION'" \
    pkg-config --exists --print-errors stasis-ser
say "pkg-config refuses"

# When compiling.
refuses "error: .*stasis-ser $STASIS_VERSION needs the headers of stasis-state $STASIS_VERSION" \
    "$CC" -I"$mixed/include" -fsyntax-only "$work/program.c"
echo '#include <stasis/serial.h>' >"$work/core.c"
refuses "error: .*stasis-core $STASIS_VERSION needs the headers of stasis-state $STASIS_VERSION" \
    "$CC" -I"$mixed/include" -fsyntax-only "$work/core.c"
say "headers refuse"

# When loading: both releases in one folder, and then the wrong one under the right one's name.
"$CC" "${cflags[@]}" -I"$prefix/include" -o "$work/program" "$work/program.c" \
    -L"$libdir" -lstasis-ser -lstasis-state -lstasis-base
for release in "$other" "$STASIS_VERSION"; do
    [ -e "$mixed_lib/libstasis-state.so.$release" ] || fail "the releases do not live side by side"
done
LD_LIBRARY_PATH=$mixed_lib "$work/program" >"$work/said" || fail "a program beside the next release"
say "releases live side by side"
ln -sf "libstasis-state.so.$other" "$mixed_lib/libstasis-state.so.$STASIS_VERSION"
LD_LIBRARY_PATH=$mixed_lib refuses "libstasis-state.so.$STASIS_VERSION: version .$node' not found" \
    "$work/program"
say "the dynamic linker refuses"
