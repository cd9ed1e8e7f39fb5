# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Reads what ctest printed and then its LastTest.log (only the first tells a skip from a pass, only
# the second has every test's output), and prints a line a test: `passed NAME`, `failed NAME` or
# `skipped NAME: why`; one for each case that a passing program left out, too; `cases N`;
# `stalls N`, how often an emulated machine stood still; and `inside N M`, how many tests ran vmm in
# its sandbox, and how often.

function outcome(line) {
    if (line ~ /\*\*\*Skipped/) return "skipped"
    return line ~ / Passed / ? "passed" : "failed"
}

FNR == NR {
    if ($0 ~ /^ *[0-9]+\/[0-9]+ Test +#[0-9]+: /) {
        sub(/^.*#[0-9]+: /, "")
        result[$1] = outcome($0)
        order[++tests] = $1
    }
    next
}
/^[0-9]+\/[0-9]+ Testing: / { name = $3; inside = 0; next }
/^Output:$/ { inside = 1; next }
/^<end of output>$/ { inside = 0; next }
!inside || /^-+$/ || NF == 0 { next }
# cmocka's cases, and those of the end-to-end runs.
/^\[ *OK *\] / || /^ok / { cases++; next }
/^inside the sandbox: / { inside_tests += !told_inside[name]++; inside_runs += $4; next }
/^stalls: / { stalls++; next }
/^\[ *SKIPPED *\] / && !/test\(s\)/ {
    # cmocka says it twice.
    if (!said[name, $NF]++) left_out = left_out "skipped " name ", case " $NF ": " why[name] "\n"
    next
}
/^skip / { left_out = left_out "skipped " name ", case " substr($0, 6) "\n"; next }
!/^\[ *(RUN|PASSED|=+|SKIPPED|FAILED) *\]/ {
    sub(/^skipped: /, "")
    why[name] = $0
}

END {
    for (i = 1; i <= tests; i++) {
        name = order[i]
        print result[name] " " name (result[name] == "skipped" ? ": " why[name] : "")
    }
    printf "%scases %d\nstalls %d\ninside %d %d\n", left_out, cases, stalls, inside_tests, inside_runs
}
