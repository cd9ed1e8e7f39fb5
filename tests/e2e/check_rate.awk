# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# How fast a guest's monotonic clock runs in one process, measured from outside:
#   awk -v name=NAME -f check_rate.awk
# NAME.out holds two bursts of lines `clock 1 mono=NS ...` and `clock 2 ...`, and NAME.out.at says
# when each line of it arrived (stamp.c). Of each burst the line counts that arrived soonest after
# the guest read its clock. Prints one line and ends with status 0 when the clock is off by 100 ppm
# at most; else says what is wrong and ends with status 1.

BEGIN {
    file = name ".out"
    while ((getline line < file) > 0 && (getline at < (file ".at")) > 0) {
        if (line !~ /^clock [12] mono=[0-9]+ nonce=[0-9a-f]+\r?$/) continue
        split(line, field, /[ =]/)
        number = field[2]
        offset = at - field[4]
        if (!count[number]++ || offset < least[number]) {
            least[number] = offset
            arrived[number] = at
        }
    }
    if (count[1] < 10 || count[2] < 10) {
        print file " has " count[1] + 0 " and " count[2] + 0 " readings, too few to measure by"
        exit 1
    }
    apart = arrived[2] - arrived[1]
    ppm = (least[1] - least[2]) / apart * 1000000
    printf "clock off by %.1f ppm in %.1f s (%d and %d readings)\n", ppm, apart / 1e9, count[1], count[2]
    exit !(ppm >= -100 && ppm <= 100 && apart > 0)
}
