#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# vmlinux.sh BZIMAGE OUT: the ELF file that a bzImage compressed by LZ4 or zstd holds. Linux's Documentation/
# arch/x86/boot.rst, payload_offset: the last four bytes of the payload are its unpacked length.
set -euo pipefail

image=$1 out=$2

# field OFFSET BYTES: of the setup header.
field() { od -An -v -t "u$2" -j $(($1)) -N "$2" "$image" | tr -d ' '; }

start=$((($(field 0x1f1 1) + 1) * 512 + $(field 0x248 4)))
length=$(($(field 0x24c 4) - 4))
case $(od -An -v -t x1 -j $start -N 4 "$image" | tr -d ' ') in
    28b52ffd) unpack=zstd ;;
    *) unpack=lz4 ;;
esac
dd if="$image" bs=1M iflag=skip_bytes,count_bytes skip=$start count=$length status=none |
    $unpack -dcq >"$out"
[ "$(head -c 4 "$out" | tail -c 3)" = ELF ] || {
    echo "vmlinux.sh: $image holds no ELF file" >&2
    exit 1
}
[ "$(stat -c %s "$out")" -eq "$(field $((start + length)) 4)" ] || {
    echo "vmlinux.sh: $out has not the length that $image states" >&2
    exit 1
}
