# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# A shared library exports what its headers declare with STASIS_EXPORT, under its release's version,
# and nothing else.
for header in "$prefix"/include/stasis/*.h; do
    case $header in */def_*.h) ;; *) echo "#include \"stasis/${header##*/}\"" ;; esac
done >"$work/all.c"
"$CC" -E -P -I"$prefix/include" "$work/all.c" >"$work/all.i"
# One declaration a line; what is visible by default is exported, its name stands before "(", "[" or ";".
tr '\n' ' ' <"$work/all.i" | sed 's/;/;\n/g' >"$work/lines"
if grep -vE 'visibility\("default"\)|static inline|return ' "$work/lines" | grep -E 'stasis_[a-z0-9_]+ *\([^*]'; then
    fail "declared without STASIS_EXPORT"
fi
grep -F 'visibility("default")' "$work/lines" |
    sed -E 's/__attribute__ *\(\([^()]*(\([^()]*\))?\)\)//g' |
    grep -oE 'stasis_[a-z0-9_]+ *[[(;]' | sed -E 's/ *[[(;]$//' | sort -u >"$work/declared"

for library in base state core ser lock snap kvm virtio vmm; do
    node=STASIS_${library^^}_${STASIS_VERSION//./_}
    nm -D --defined-only --with-symbol-versions "$libdir/libstasis-$library.so" |
        awk '$2 != "A" { print $3 }' >"$work/$library"
    if grep -vE "^stasis_[a-z0-9_]+@@$node\$" "$work/$library"; then
        fail "libstasis-$library exports these without version $node"
    fi
    sed 's/@@.*//' "$work/$library" >>"$work/found"
done
sort -o "$work/found" "$work/found"
diff "$work/declared" "$work/found" || fail "declared (<) and exported (>) differ"
[ "$(wc -l <"$work/found")" -gt 50 ] || fail "too few"
say "$(wc -l <"$work/found") symbols"
