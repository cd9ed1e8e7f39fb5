#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# check.sh: what scripts/package has made, installed into a new Debian and tried there: programs, manuals,
# completions, Python, the libraries by CMake and by pkg-config; an upgrade below a running machine; and
# removal, which leaves nothing. Needs root, and a network to take Debian from.
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

# within COMMAND...: in the new Debian, whose root this is.
within() { chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LC_ALL=C "$@"; }

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
    for file in man/man1/{vmm,snapshot-inspect}.1.gz man/man7/vmm-control.7.gz bash-completion/completions/{vmm,snapshot-inspect} \
        zsh/vendor-completions/_{vmm,snapshot-inspect} fish/vendor_completions.d/{vmm,snapshot-inspect}.fish \
        doc/stasis/{README.md,README.Debian,copyright,changelog.gz} doc/stasis/examples/quickstart.c; do
        [ -s "$root/usr/share/$file" ] || fail "no /usr/share/$file"
    done
    [ "$(within vmm --version | head -n 1)" = "vmm (stasis) $version" ] || fail "vmm --version"
    cp tests/golden/0.1.0/*.snap "$root/tmp"
    for file in "$root"/tmp/*.snap; do
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

# Half an installation, as after a power cut, is taken up again.
check_half() {
    within sh -c 'dpkg --unpack /srv/stasis_*.deb && dpkg --configure -a' >"$work/log" 2>&1 || fail "a half installation: $(tail -n 3 "$work/log")"
    [ "$(within dpkg-query -W -f '${Status}' stasis)" = "install ok installed" ] || fail "stasis is not configured"
    say_ok "half an installation"
}

check_removal() {
    local left
    within dpkg --purge python3-stasis libstasis-dev libstasis stasis >"$work/log" 2>&1 || { cat "$work/log"; fail "removal"; }
    left=$(find "$root" -xdev \( -path "$root/proc" -o -path "$root/dev" -o -path "$root/var" -o -path "$root/tmp" -o -path "$root/srv" \) -prune -o \
        -iname '*stasis*' -print)
    [ -z "$left" ] || fail "removal leaves: $left"
    say_ok "removal leaves nothing"
}

version=$(sed -n 's/^project(Stasis VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
ensure_packages "${PACKAGES_PACKAGE[@]}"
[ "$(find "$packages" -name '*.deb' | wc -l)" -eq 4 ] || fail "scripts/package has not made four packages"
make_root
check_files
check_python_reader
check_python
check_libraries
check_upgrade
check_half
check_removal
