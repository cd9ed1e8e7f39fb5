# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2034
# What scripts/{test,demo,nested,bochs,format} share. Sourced, never run.
set -euo pipefail

STASIS_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STASIS_CACHE=$STASIS_ROOT/.cache
# Presets name no generator; an existing build folder keeps its own.
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}

# Exit statuses are the product's own: 1 our failure, 2 usage, 5 the host lacks something.
readonly STATUS_FAILURE=1 STATUS_USAGE=2 STATUS_HOST=5 STATUS_SKIPPED=77
# An emulator that stopped emulating: nobody's failure, and worth a second try.
readonly STATUS_STILL=75

readonly PACKAGES_BUILD=(gcc libc6-dev linux-libc-dev cmake ninja-build pkg-config
    libmsgpack-dev zlib1g-dev libdeflate-dev libssl-dev libjansson-dev libseccomp-dev libcmocka-dev python3
    python3-msgpack)
readonly PACKAGES_LINT=(clang clang-tidy clang-format shellcheck mypy)
readonly PACKAGES_TEST=(acpica-tools fish gdb g++ libunicorn-dev passt python3-jsonrpclib-pelix
    python3-prometheus-client scdoc socat zsh)
readonly PACKAGES_PACKAGE=(debhelper dh-python dpkg-dev fakeroot lintian mmdebstrap scdoc strace)
readonly PACKAGES_FUZZ=(clang libclang-rt-14-dev)
readonly PACKAGES_S390X=(gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user-static)
readonly PACKAGES_RIG=(qemu-system-x86 busybox-static cpio e2fsprogs lz4 xz-utils zstd)
readonly PACKAGES_ROOTFS=(mmdebstrap e2fsprogs)
readonly PACKAGES_PICTURES=(chromium fonts-dejavu-core pngquant)
readonly PACKAGES_BOCHS=(bochs bochs-term bochsbios vgabios isolinux syslinux-common genisoimage
    bsdutils busybox-static cpio e2fsprogs lz4 xz-utils zstd)

say() { printf '== %s\n' "$*" >&2; }

# die STATUS TEXT...
die() {
    local status=$1
    shift
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit "$status"
}

# shellcheck disable=SC1091
os_field() { (. /etc/os-release 2>/dev/null && eval "printf '%s' \"\${$1:-}\""); }

# Runs a command as root: as it is, or by sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die $STATUS_HOST "needs root or sudo for: $*"
    fi
}

apt_update() {
    say "refreshing the package lists"
    as_root apt-get -q=2 update || die $STATUS_HOST "apt-get update failed: is the network there?"
}

package_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# ensure_packages NAME...: installs those that are missing; asks the network only when one is.
ensure_packages() {
    local name missing=()
    if [ "$(os_field ID)" != debian ]; then
        die $STATUS_HOST "this script installs packages on Debian 12 only;" \
            "elsewhere install what these stand for and build with cmake: $*"
    fi
    for name in "$@"; do
        package_installed "$name" || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    apt_update
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q=2 -o Dpkg::Use-Pty=0 \
        install --no-install-recommends -y "${missing[@]}" >/dev/null ||
        die $STATUS_HOST "could not install: ${missing[*]}"
}

# kvm_kind: none, denied (exists, but not for us), pvm (no hardware virtualization: guests are
# emulated instruction by instruction, too slow for Linux) or hardware.
kvm_kind() {
    if [ ! -e /dev/kvm ]; then
        echo none
    elif ! (exec 9<>/dev/kvm) 2>/dev/null; then
        echo denied
    elif grep -qwE 'svm|vmx' /proc/cpuinfo; then
        echo hardware
    else
        echo pvm
    fi
}

# kvm_kind_text KIND: the same for people.
kvm_kind_text() {
    case $1 in
        none) echo "there is no /dev/kvm here" ;;
        denied) echo "/dev/kvm is here, but $(id -un) may not open it (as root: adduser $(id -un) kvm)" ;;
        pvm) echo "/dev/kvm is here, without hardware virtualization (PVM)" ;;
        hardware) echo "/dev/kvm is here, with hardware virtualization" ;;
    esac
}

# quietly LOG COMMAND...: the output goes to LOG; its end is shown when the command fails.
quietly() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    "$@" >"$log" 2>&1 && return 0
    tail -n 60 "$log" >&2
    return 1
}

# build_preset PRESET [TARGET...]
build_preset() {
    local preset=$1 target=()
    shift
    [ $# -eq 0 ] || target=(--target "$@")
    say "building $preset${*:+ ($*)}"
    (cd "$STASIS_ROOT" &&
        quietly "build/$preset.configure.log" cmake --preset "$preset" &&
        quietly "build/$preset.build.log" \
            cmake --build --preset "$preset" -j "$(nproc)" "${target[@]}")
}

# fetch_kernel [META FOLDER]: unpacks Debian's cloud kernel, or another meta package's, into the
# cache, once, and installs nothing. Sets KERNEL_RELEASE, KERNEL_IMAGE and KERNEL_MODULES.
# shellcheck disable=SC2120
fetch_kernel() {
    local meta=${1:-linux-image-cloud-amd64} folder=${2:-kernel} name
    find_kernel "$folder" && return 0
    mkdir -p "$STASIS_CACHE/$folder"
    name=$(kernel_package_name "$meta")
    # Lists older than the archive name a package that is gone.
    if [ -z "$name" ] || ! kernel_download "$name" "$folder" 2>/dev/null; then
        apt_update
        name=$(kernel_package_name "$meta")
        [ -n "$name" ] || die $STATUS_HOST "the package lists have no $meta"
        kernel_download "$name" "$folder" || die $STATUS_HOST "could not download $name"
    fi
    find_kernel "$folder" || die $STATUS_FAILURE "$name holds no kernel"
}

# fetch_s390x: unpacks Debian's libraries for s390x into the cache, once. Lists and downloads are
# kept apart, so that this machine's apt does not learn of another architecture.
fetch_s390x() (
    local work=$STASIS_CACHE/s390x.part apt
    [ ! -e "$STASIS_CACHE/s390x/usr/include/openssl/sha.h" ] || return 0
    say "downloading libraries for s390x"
    rm -rf "$work" && mkdir -p "$work"/{state/lists/partial,cache/archives/partial,tree}
    apt=(apt-get -q=2 -o APT::Architecture=s390x -o APT::Architectures=s390x
        -o APT::Sandbox::User=root -o Dir::State="$work/state" -o Dir::State::status=/dev/null
        -o Dir::Cache="$work/cache")
    cd "$work"
    if ! "${apt[@]}" update || ! "${apt[@]}" download libdeflate0 libdeflate-dev libssl-dev libcmocka0 \
        libcmocka-dev zlib1g zlib1g-dev libmsgpack-dev >/dev/null; then
        die $STATUS_HOST "could not download libraries for s390x"
    fi
    for deb in ./*.deb; do dpkg -x "$deb" tree; done
    rm -rf "$STASIS_CACHE/s390x"
    mv tree "$STASIS_CACHE/s390x" && cd / && rm -rf "$work"
)

# find_kernel [FOLDER]: the same from the cache alone; false when it is not there.
find_kernel() {
    local folder=$STASIS_CACHE/${1:-kernel} image
    for image in "$folder"/boot/vmlinuz-*; do
        [ -f "$image" ] || return 1
        KERNEL_IMAGE=$image
        KERNEL_RELEASE=${image##*/vmlinuz-}
        KERNEL_MODULES=$folder/lib/modules/$KERNEL_RELEASE
    done
}

# The meta package's real, versioned one.
kernel_package_name() {
    apt-cache show --no-all-versions "$1" 2>/dev/null |
        sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p'
}

# kernel_download NAME FOLDER: unpacks next to the final place and renames, so that a cut leaves
# nothing.
kernel_download() (
    local folder=$STASIS_CACHE/$2 work=$STASIS_CACHE/$2.part
    say "downloading $1"
    rm -rf "$work" && mkdir -p "$work" && cd "$work" &&
        apt-get -q=2 -o APT::Sandbox::User=root download "$1" >/dev/null &&
        dpkg -x ./*.deb tree && rm -rf "$folder" && mv tree "$folder" &&
        cd / && rm -rf "$work"
)
