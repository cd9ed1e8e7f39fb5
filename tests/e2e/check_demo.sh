#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# check_demo.sh BIN: what scripts/demo shows of the built-in guest is short, is plain text in a pipe, and
# ends with a picture of what changed; and the commands that README.md begins with do what it says.
. "$(dirname "$0")/../../scripts/lib.sh"

case $(kvm_kind) in
    pvm | hardware) ;;
    *)
        echo "skip: no KVM that runs the built-in guest"
        exit "$STATUS_SKIPPED"
        ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH=$1:$PATH
fail() { die "$STATUS_FAILURE" "$* in $(cat "$work/shown")"; }

ln -s "$STASIS_ROOT/tests/e2e/check_beats.awk" "$work"
LC_ALL=C bash "$STASIS_ROOT/scripts/story.sh" "$work" builtin "$work" >"$work/shown" </dev/null || fail "a failure"
# scripts/demo says two lines before: where the guest runs, and that it builds. What the guest says until
# it is told to end takes as long as the host does.
[ "$(grep -vcE '^tick ([89]|[0-9]{2})' "$work/shown")" -le 38 ] || fail "more than 40 lines"
[ "$(LC_ALL=C tr -d '\n\r -~' <"$work/shown" | wc -c)" -eq 0 ] || fail "characters that are no plain text"
(cd "$work" && LC_ALL=C snapshot-inspect memory monday.snap tuesday.snap) >"$work/picture"
tail -n "$(wc -l <"$work/picture")" "$work/shown" | cmp - "$work/picture" || fail "no picture at the end"
grep -q '^     0x00000000 -' "$work/picture" || fail "no page of the guest"
grep -q '^  differs .* [1-9][0-9]* pages$' "$work/picture" || fail "no page that changed"

# The picture in README.md is one of these: all but its numbers is the same.
shape() {
    sed -E 's/0x[0-9a-f]+/ADDRESS/g; s/[0-9.]+ (bytes|[KMGT]iB)/SIZE/g; s/"[0-9]+"/"N"/g; s/[0-9]+ pages/N pages/
        s/class="c[1-4ez]"/class="c"/; s/: (zero|equal|differs in (up to )?[0-9]+ %)</: KIND</' "$1" | sort -u
}
(cd "$work" && snapshot-inspect memory monday.snap tuesday.snap --svg changed.svg >/dev/null)
shape "$work/changed.svg" >"$work/shape"
shape "$STASIS_ROOT/docs/pictures/changed.svg" | diff - "$work/shape" ||
    die "$STATUS_FAILURE" "docs/pictures/changed.svg is not what snapshot-inspect draws: run scripts/pictures"

# The commands that README.md begins with: the demo, a freeze, a thaw.
mapfile -t commands < <(awk '/^```/ { if (inside) exit; inside = 1; next } inside { sub(/ *#.*/, ""); print }' \
    "$STASIS_ROOT/README.md")
if [ "${commands[0]}" != scripts/demo ] || [ ${#commands[@]} -ne 3 ]; then
    fail "other commands in README.md: ${commands[*]}"
fi
cd "$work"
say_goodbye() {
    for _ in {1..600}; do
        ! grep -q '^tick [0-9]* nonce' thawed || break
        sleep 0.1
    done
    echo q
}
: >thawed
bash -c "${commands[1]#build/release/bin/}" </dev/null >/dev/null || fail "${commands[1]}"
say_goodbye | bash -c "${commands[2]#build/release/bin/}" >thawed || fail "${commands[2]}"

# Those of its sessions with a kernel are read only, and a dry run of the thaw: not every KVM runs Linux, and
# tests/e2e/run boots it elsewhere.
mapfile -t commands < <(awk '/^```/ { inside = $0 == "```console"; next } inside && sub(/^\$ /, "")' "$STASIS_ROOT/README.md")
[ ${#commands[@]} -ge 4 ] || fail "fewer sessions in README.md: ${commands[*]}"
for command in "${commands[@]}"; do
    case $command in
        vmm*--restore*) bash -c "$command --dry-run" >said 2>&1 </dev/null || fail "$command: $(tail -n 1 said)" ;;
        vmm*) bash -c "$command --print-config" >said 2>&1 </dev/null || fail "$command: $(tail -n 1 said)" ;;
        passt*)
            if ! command -v passt >/dev/null; then
                echo "skip readme.passt: it is missing (scripts/test installs it)"
                continue
            fi
            passt --help >said 2>&1 || true # status 1 in Debian 12
            for word in $command; do
                [[ $word != --* ]] || grep -q -e "$word" said || fail "passt has no $word: $command"
            done
            ;;
        *) fail "nobody runs this command of README.md: $command" ;;
    esac
    echo "ok readme: $command"
done
