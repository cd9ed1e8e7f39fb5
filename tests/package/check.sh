#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# check.sh: what scripts/package has made, installed into a new Debian and tried there: programs, manuals,
# completions, Python, the libraries by CMake and by pkg-config; an upgrade below a running machine; dpkg killed
# in the middle; removal, which leaves nothing; and the packages over those of 0.2.0, and over an installation of
# 0.1.0 by CMake. Needs root, and a network to take Debian from.
# shellcheck disable=SC2016 # what runs in the new Debian expands there
. "$(dirname "$0")/../../scripts/lib.sh"

cd "$STASIS_ROOT"
export LC_ALL=C
packages=$STASIS_ROOT/build/packages
work=$(mktemp -d)
root=$work/root
running=

finish() {
    [ -z "$running" ] || kill "$running" 2>/dev/null || true
    for folder in dev proc; do umount -l "$root/$folder" 2>/dev/null || true; done
    rm -rf --one-file-system "$work"
}
trap finish EXIT

say_ok() { printf 'ok %s\n' "$*"; }
fail() {
    printf 'FAIL %s\n' "$*"
    exit 1
}

# within COMMAND...: in the new Debian, whose root this is, with the PATH that a login has there.
clean=(/usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C)
within() { chroot "$root" "${clean[@]}" "$@"; }

make_root() {
    quietly build/package.root.log mmdebstrap --variant=apt \
        --include=gcc,libc6-dev,cmake,make,pkg-config,python3 \
        --customize-hook="copy-in $(echo "$packages"/*.deb | tr '\n' ' ') /srv" \
        --customize-hook='chroot "$1" sh -c "apt-get install -y --no-install-recommends /srv/*.deb"' \
        bookworm "$root" || fail "the packages cannot be installed"
    for folder in dev proc; do mount --rbind --make-rslave "/$folder" "$root/$folder"; done
    say_ok "installed: $(within dpkg-query -W -f '${Package} ' stasis libstasis libstasis-dev python3-stasis)"
}

check_files() {
    local file
    for file in man/man1/{vmm,snapshot-inspect}.1.gz man/man7/vmm-control.7.gz \
        bash-completion/completions/{vmm,snapshot-inspect} \
        zsh/vendor-completions/_{vmm,snapshot-inspect} fish/vendor_completions.d/{vmm,snapshot-inspect}.fish \
        doc/stasis/{README.md,README.Debian,copyright,changelog.gz} doc/stasis/examples/quickstart.c; do
        [ -s "$root/usr/share/$file" ] || fail "no /usr/share/$file"
    done
    [ "$(within vmm --version | head -n 1)" = "vmm (stasis) $version" ] || fail "vmm --version"
    cp tests/golden/0.1.0/*.snap "$root/tmp"
    for file in tests/golden/0.1.0/*.snap; do
        within snapshot-inspect verify "/tmp/${file##*/}" >"$work/log" || fail "verify ${file##*/}"
    done
    say_ok "programs, manuals, completions, documents"
}

# have_kvm: or say that what needs it is left out.
have_kvm() {
    case $(kvm_kind) in
        pvm | hardware) ;;
        *)
            echo "skip $1: no KVM that runs it"
            return 1
            ;;
    esac
}

# check_no_kvm WHAT MESSAGE SETUP [COMMAND]...: with the /dev that SETUP makes, vmm, and the Python module by it, say
# MESSAGE, and the reading side does without. The COMMAND runs what is tried.
check_no_kvm() {
    local what=$1 message=$2 setup=$3
    shift 3
    unshare -m sh -ec "mount -t tmpfs none \"\$0/dev\"; $setup"'; exec chroot "$0" "$@"' "$root" "${clean[@]}" "$@" sh -c '
vmm --demo
echo status $?
snapshot-inspect verify /tmp/*.snap
python3 -c "import stasis; stasis.start(demo=True)" 2>&1 | tail -n 1' </dev/null >"$work/log" 2>&1 ||
        { cat "$work/log"; fail "$what"; }
    if [ "$(grep -c "$message" "$work/log")" != 2 ] || ! grep -qx 'status 5' "$work/log"; then
        cat "$work/log"
        fail "$what something else is told"
    fi
    say_ok "$what"
}

check_without_kvm() { check_no_kvm "without /dev/kvm" 'no /dev/kvm: ' :; }

# A user whose /dev/kvm is of a group that he is not in. The file stands for the device: it is not opened.
# shellcheck disable=SC2016 # for the shell that makes it
check_denied_kvm() {
    check_no_kvm "with /dev/kvm denied" '/dev/kvm may not be opened: join its group, which is games' \
        ': >"$0/dev/kvm"; chmod 660 "$0/dev/kvm"; chgrp games "$0/dev/kvm"' \
        setpriv --reuid=nobody --regid=nogroup --clear-groups
}

# Without KVM: the reading side needs none.
check_python_reader() {
    within python3 -c '
import glob, stasis
for path in sorted(glob.glob("/tmp/*.snap")):
    with stasis.open_snapshot(path) as snapshot:
        snapshot.verify()
        print(path, snapshot.info.producer, len(snapshot.records))
' >"$work/log" 2>&1 || { cat "$work/log"; fail "the reader of the Python module"; }
    [[ -s $work/log ]] || fail "the reader of the Python module: no golden snapshot"
    say_ok "python: $(wc -l <"$work/log") snapshots of 0.1.0 read"
}

check_python() {
    have_kvm python || return 0
    within python3 -c '
import os, stasis
os.chdir("/tmp")
with stasis.start(demo=True, memory={"size_mib": 64}) as vm:
    vm.console.wait_for("tick 2")
    vm.snapshot("warm.snap", then="exit")
with stasis.restore("warm.snap") as vm:
    vm.console.wait_for("tick 4")
' || fail "the Python module"
    say_ok "python: started, frozen and thawed"
}

check_libraries() {
    within sh -ec '
cd /tmp
cp -r /usr/share/doc/stasis/examples .
cmake -S examples -B by-cmake >/dev/null
cmake --build by-cmake >/dev/null
set -- $(pkg-config --cflags --libs stasis-snap stasis-core)
gcc -std=c17 examples/quickstart.c -o by-pkg-config "$@"
[ "$(./by-pkg-config)" = "what the guest wrote" ]
mkdir umbrella
cat >umbrella/CMakeLists.txt <<USER
cmake_minimum_required(VERSION 3.25)
project(user C)
find_package(stasis REQUIRED)
add_executable(quickstart ../examples/quickstart.c)
target_link_libraries(quickstart PRIVATE Stasis::stasis)
USER
cmake -S umbrella -B by-umbrella >/dev/null
cmake --build by-umbrella >/dev/null
[ "$(by-umbrella/quickstart)" = "what the guest wrote" ]
pkg-config --exists stasis' >"$work/log" 2>&1 || { cat "$work/log"; fail "the examples"; }
    say_ok "libraries: $(find "$root/tmp/by-cmake" -maxdepth 1 -type f -executable | wc -l) examples by CMake, one by pkg-config"
}

# The program of a running machine is replaced below it: it runs on, and saves.
check_upgrade() {
    have_kvm upgrade || return 0
    within sh -c 'cd /tmp && exec vmm --demo --memory 64 --control path=vm.sock,dir=/tmp --serial out=none' \
        </dev/null >"$work/vm.log" 2>&1 &
    running=$!
    until within vmm ctl /tmp/vm.sock status >/dev/null 2>&1; do
        kill -0 $running || fail "the machine did not start: $(cat "$work/vm.log")"
        sleep 0.1
    done
    within sh -c 'dpkg -i /srv/*.deb' >"$work/log" 2>&1 || fail "installing over what is there: $(tail -n 3 "$work/log")"
    within vmm ctl /tmp/vm.sock snapshot path=/tmp/upgraded.snap then=exit >"$work/log" || fail "the machine after an upgrade"
    wait $running || fail "the machine ended badly: $(cat "$work/vm.log")"
    running=
    within snapshot-inspect verify /tmp/upgraded.snap >"$work/log" || fail "its snapshot"
    say_ok "upgrade below a running machine"
}

# install_packages WHAT: over what is there.
install_packages() {
    within sh -c 'dpkg -i /srv/*.deb' >"$work/log" 2>&1 || { tail -n 5 "$work/log"; fail "installing $1"; }
    [ -z "$(within dpkg --audit)" ] || fail "dpkg --audit says of $1: $(within dpkg --audit)"
    [ -z "$(within dpkg --verify stasis libstasis libstasis-dev python3-stasis)" ] ||
        fail "files are not as in the packages, installing $1"
}

# killed CALL NUMBER COMMAND...: the command, killed at its system call of that number, if it makes so many.
killed() {
    local status
    # without the shell's own words on what was killed
    {
        status=$(
            strace -f -qq -o /dev/null -e trace="$1" -e inject="$1:signal=SIGKILL:when=$2" \
                chroot "$root" "${clean[@]}" "${@:3}" >"$work/log" 2>&1
            echo $?
        ) || true
    } 2>/dev/null
    [ "$status" -eq 137 ]
}

# What half an installation or removal leaves, as after a power cut, is taken up again.
check_half() {
    local installs=0 removals=0 call
    local -a all=(python3-stasis libstasis-dev libstasis stasis)
    within sh -c 'dpkg --unpack /srv/stasis_*.deb && dpkg --configure -a' >"$work/log" 2>&1 ||
        fail "an installation that was not configured: $(tail -n 3 "$work/log")"
    for ((call = 1; ; call = call * 2 + 1)); do
        within dpkg --purge "${all[@]}" >"$work/log" 2>&1 || fail "removal before half an installation"
        killed rename "$call" sh -c 'exec dpkg -i /srv/*.deb' || break
        install_packages "over half an installation"
        installs=$((installs + 1))
    done
    install_packages "before half a removal"
    for ((call = 1; ; call = call * 2 + 1)); do
        killed rename "$call" dpkg --purge "${all[@]}" || break
        within dpkg --configure -a >"$work/log" 2>&1 || fail "half a removal: $(tail -n 3 "$work/log")"
        install_packages "over half a removal"
        removals=$((removals + 1))
    done
    if [ $installs -lt 5 ] || [ $removals -lt 3 ]; then fail "dpkg was killed $installs and $removals times only"; fi
    check_nothing_left
    install_packages "after half a removal"
    say_ok "dpkg was killed in $installs installations and $removals removals"
}

check_nothing_left() {
    local left
    left=$(find "$root" -xdev \( -path "$root/proc" -o -path "$root/dev" -o -path "$root/var" \
        -o -path "$root/tmp" -o -path "$root/srv" \) -prune -o \
        \( -iname '*stasis*' -o -name 'vmm' -o -name 'vmm[.-]*' -o -name '*snapshot-inspect*' -o -name '*.dpkg-*' \) -print)
    [ -z "$left" ] || fail "removal leaves: $left"
}

check_removal() {
    within dpkg --purge python3-stasis libstasis-dev libstasis stasis >"$work/log" 2>&1 || { cat "$work/log"; fail "removal"; }
    check_nothing_left
    say_ok "removal leaves nothing"
}

# release_commit RELEASE
release_commit() { awk -v release="$1" '$1 == release { print $2 }' tests/history/releases.txt; }

# build_old: the first release, once, from git.
build_old() {
    old=$STASIS_ROOT/build/package-old/0.1.0
    [ ! -e "$old/done" ] || return 0
    rm -rf "$old" && mkdir -p "$old/source"
    git archive "$(release_commit 0.1.0)" | tar -x -C "$old/source"
    {
        cmake -S "$old/source" -B "$old/build" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF &&
            cmake --build "$old/build" -j "$(nproc)"
    } >"$work/log" 2>&1 || { tail -n 5 "$work/log"; fail "building 0.1.0"; }
    touch "$old/done"
}

# The packages of the release before, once, from git; then today's over them.
check_older() {
    local made=$STASIS_ROOT/build/package-old/0.2.0
    if ! [ -e "$made/done" ]; then
        rm -rf "$made" && git clone -q --shared --no-checkout . "$made"
        git -C "$made" checkout -q "$(release_commit 0.2.0)"
        "$made/scripts/package" >"$work/log" 2>&1 || { tail -n 5 "$work/log"; fail "the packages of 0.2.0"; }
        touch "$made/done"
    fi
    mkdir "$root/srv/0.2.0"
    cp "$made"/build/packages/*.deb "$root/srv/0.2.0"
    within sh -c 'dpkg -i /srv/0.2.0/*.deb' >"$work/log" 2>&1 || { tail -n 5 "$work/log"; fail "installing 0.2.0"; }
    expect_found 0.2.0
    install_packages "over the packages of 0.2.0"
    check_files
    expect_found "$version"
    check_removal
    say_ok "over the packages of 0.2.0"
}

# found_by_cmake: the release of stasis-snap that find_package() finds in the new Debian.
found_by_cmake() {
    within sh -ec '
cd /tmp
rm -rf find && mkdir find
cat >find/CMakeLists.txt <<USER
cmake_minimum_required(VERSION 3.25)
project(user C)
find_package(stasis-snap REQUIRED)
message("found \${stasis-snap_VERSION}")
USER
cmake -S find -B find/build 2>&1 | sed -n "s/^found //p"'
}

# expect_found RELEASE: what is found first there of each kind.
expect_found() {
    [ "$(within vmm --version | head -n 1)" = "vmm (stasis) $1" ] || fail "vmm in PATH is not that of $1"
    [ "$(within pkg-config --modversion stasis-snap)" = "$1" ] || fail "pkg-config does not find $1"
    [ "$(found_by_cmake)" = "$1" ] || fail "CMake does not find $1, but $(found_by_cmake)"
}

# check_over PREFIX: the packages over 0.1.0 in that prefix, which is removed as README.md says.
check_over() {
    DESTDIR=$root cmake --install "$old/build" --prefix "$1" >"$work/log" || fail "installing 0.1.0 in $1"
    expect_found 0.1.0
    install_packages "over 0.1.0 in $1"
    [ "$(grep -c "^\(stasis\|libstasis-dev\): .* in $1" "$work/log")" = 2 ] || fail "what is in $1 is not told of"
    [ "$1" != /usr/local ] || expect_found 0.1.0 # as README.Debian says
    awk '/^```/ { inside = $0 == "```bash"; next } inside' "$root/usr/share/doc/stasis/README.md" |
        sed "s,^cd .*,cd $1," >"$root/tmp/remove"
    within bash -e /tmp/remove >"$work/log" 2>&1 || { cat "$work/log"; fail "the removal of README.md from $1"; }
    install_packages "anew behind a removal from $1"
    if grep -q "^\(stasis\|libstasis-dev\): " "$work/log"; then fail "something is told of, behind a removal from $1"; fi
    check_files
    expect_found "$version"
    check_removal
    say_ok "over 0.1.0 in $1"
}

version=$(sed -n 's/^project(Stasis VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
ensure_packages "${PACKAGES_PACKAGE[@]}"
[ "$(find "$packages" -name '*.deb' | wc -l)" -eq 4 ] || fail "scripts/package has not made four packages"
make_root
check_files
check_without_kvm
check_denied_kvm
check_python_reader
check_python
check_libraries
check_upgrade
check_half
check_removal
check_older
build_old
check_over /usr/local
check_over /usr
