# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# The quick start of docs/embedding.md works as it is typed, shared and static: every shell command of
# the document but those that build and install, which `tree` has done, in a home of its own.
if [ ${#cflags[@]} -gt 0 ]; then
    echo "skip the quick start: it links libraries without a sanitizer"
    exit 77
fi
mkdir "$work/home"
ln -s "$prefix" "$work/home/stasis"
[ "$STASIS_LIBDIR" = lib ] || ln -sfn "$STASIS_LIBDIR" "$prefix/lib"

awk '/^```/ { inside = $0 == "```sh"; next } inside && !/^cmake /' "$root/docs/embedding.md" >"$work/commands"
said=$(cd "$work" && env -u LD_LIBRARY_PATH -u PKG_CONFIG_PATH HOME="$work/home" sh -e commands 2>&1) ||
    fail "the commands of docs/embedding.md"$'\n'"$said"
[ "$said" = "what the guest wrote"$'\n'"what the guest wrote" ] || fail "the programs print $said"
say "quick start, shared and static"
