# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# docs/guides/emulator.md works as it is typed.
if [ ${#cflags[@]} -gt 0 ]; then
    echo "skip the guide: it links libraries without a sanitizer"
    exit 77
fi
export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir
python3 -B "$root/tests/guides/test_guide.py" "$root/docs/guides/emulator.md" "$prefix/bin"
