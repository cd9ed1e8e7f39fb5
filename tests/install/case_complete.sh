# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# Nothing public is left out, and nothing of the tree it was built in is left in.
for folder in base state core state-ser vmm/kvm vmm/virtio vmm/api; do
    while read -r header; do
        cmp -s "$root/$folder/include/$header" "$prefix/include/$header" ||
            fail "$folder/include/$header is not installed"
    done < <(cd "$root/$folder/include" && find . -type f)
done
for library in base state core ser lock snap kvm virtio vmm; do
    for file in "$libdir/libstasis-$library.a" "$libdir/libstasis-$library.so" \
        "$libdir/libstasis-$library.so.$STASIS_VERSION" "$libdir/pkgconfig/stasis-$library.pc" \
        "$libdir/cmake/stasis-$library/stasis-$library-config.cmake"; do
        [ -s "$file" ] || fail "no $file"
    done
done
for file in "$libdir/pkgconfig/stasis.pc" "$libdir/cmake/stasis/stasis-config.cmake"; do
    [ -s "$file" ] || fail "no $file"
done
# Programs and pages: the vmm is for x86-64 only.
programs=(snapshot-inspect)
[ ! -x "$build/bin/vmm" ] || programs+=(vmm)
for program in "${programs[@]}"; do
    "$prefix/bin/$program" --version | grep -qF "$STASIS_VERSION" || fail "$program --version"
done
released=$(grep -m 1 -oE '^## .*[0-9]{4}-[0-9]{2}-[0-9]{2}$' "$root/CHANGELOG.md" | grep -oE '[0-9-]{10}$')
if command -v scdoc >/dev/null; then
    for program in "${programs[@]}"; do
        page=$prefix/share/man/man1/$program.1
        [ -s "$page" ] || fail "no page of $program"
        # Not the day of the build: the same source gives the same pages.
        [ -n "${SOURCE_DATE_EPOCH:-}" ] || grep -qF "\"1\" \"$released\"" "$page" ||
            fail "$page is not dated $released, as the newest release in CHANGELOG.md is"
    done
    say "manual pages"
else
    echo "skip manual pages: scdoc is missing (scripts/test installs it)"
fi
awk '/^```/ { inside = $0 == "```c"; next } inside' "$root/docs/embedding.md" |
    head -n "$(wc -l <"$root/examples/quickstart.c")" | cmp - "$root/examples/quickstart.c" ||
    fail "docs/embedding.md does not quote examples/quickstart.c as it is"
for document in README.md LICENSE-APACHE docs/architecture.md docs/embedding.md examples/quickstart.c; do
    cmp -s "$root/$document" "$prefix/share/doc/stasis/$document" || fail "no $document"
done
traces=$(grep -rIlF -e "$root" -e "$build" "$prefix" || true)
[ -z "$traces" ] || fail "the tree is named in: $traces"
for file in "$libdir"/*.so; do
    # shellcheck disable=SC2016
    if readelf -d "$file" | grep -E 'R(UN)?PATH' | grep -vF '[$ORIGIN]'; then
        fail "$file has a search path"
    fi
done
say "complete"
