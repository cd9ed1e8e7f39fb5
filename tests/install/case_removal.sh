# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# The command of README.md removes all that was installed, and nothing of others.
cp -a "$prefix" "$work/prefix"
[ "$STASIS_LIBDIR" = lib ] || rm -f "$work/prefix/lib" # a link of the quick start's
touch "$work/prefix/bin/vmmx" "$work/prefix/share/man/man1/vmm.1x"
awk '/^```/ { inside = $0 == "```bash"; next } inside' "$root/README.md" >"$work/commands"
grep -q '^cd /usr/local$' "$work/commands" || fail "README.md has no command that removes an installation"
sed -i "s,^cd .*,cd $work/prefix," "$work/commands"
bash -e "$work/commands" || fail "the command of README.md"
left=$(find "$work/prefix" \( -type f -o -type l \) | sort)
[ "$left" = "$work/prefix/bin/vmmx"$'\n'"$work/prefix/share/man/man1/vmm.1x" ] || fail "it leaves, or takes: $left"
say "removal"
