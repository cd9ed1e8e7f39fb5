# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# By how much a guest's monotonic clock stepped from one process to the next, measured from outside:
#   awk -v before=NAME -v after=NAME -v min=MS -v max=MS [-v beat_ms=N] -f check_step.awk
# NAME.out is what the guest said in that process, NAME.err what the vmm said; NAME.out.at and
# NAME.err.at say for each line when it arrived (stamp.c). Prints one line and ends with status 0
# when the clock stepped by min to max, and the first beat came no later than beat_ms after the thaw
# (0: whenever); else says what is wrong and ends with status 1.
#
# A gap between two beats will not do: it mixes the clock's step with the slowness of a guest that
# has just been thawed. But what lies between the guest's reading of its clock and the arrival of
# the beat, an offset, has a smallest value that does not depend on that. Had the clock stood from
# freeze to thaw, the offset would have grown by the time between them. The step is what is missing.

function refuse(text) {
    print text
    refused = 1
    exit 1
}

# Arrival in ms of the first line of `file` with this text; the line is then in `said`.
function arrival(file, text,   at) {
    while ((getline said < file) > 0 && (getline at < (file ".at")) > 0) {
        if (index(said, text) == 1) {
            close(file)
            close(file ".at")
            return at / 1000000
        }
    }
    refuse(file " does not say '" text "'")
}

# Fills offset[1..count] and first_beat, from the whole beats that the guest said by itself, and from
# the readings of its clock that it was asked for.
function read_beats(file,   line, at) {
    count = 0
    while ((getline line < file) > 0 && (getline at < (file ".at")) > 0) {
        if (line !~ /^(beat [0-9]+ .* mono=[0-9]+ real=|clock [0-9]+ mono=[0-9]+ nonce=)/) continue
        if (!count++) first_beat = at / 1000000
        sub(/^.* mono=/, "", line)
        sub(/ .*$/, "", line)
        offset[count] = (at - line) / 1000000
    }
    if (count < 4) refuse(file " has " count " beats, too few to measure by")
}

function least(from, to,   i, value) {
    if (from < 1) from = 1
    if (to > count) to = count
    value = offset[from]
    for (i = from; i <= to; i++) if (offset[i] < value) value = offset[i]
    return value
}

BEGIN {
    frozen = arrival(before ".err", "vmm: frozen to ")
    if (!match(said, / in [0-9]+\.[0-9] ms: /)) refuse("how long did the pause last? " said)
    frozen -= substr(said, RSTART + 4, RLENGTH - 9)
    thawed = arrival(after ".err", "vmm: thawed ")
    read_beats(before ".out")
    offset_before = least(count - 9, count)
    read_beats(after ".out")
    step = thawed - frozen - (least(1, 10) - offset_before)
    text = sprintf("clock step %.1f ms over %d ms, first beat %d ms after the thaw", step,
                   thawed - frozen, first_beat - thawed)
    if (step < min || step > max) refuse(after ": " text ": not within " min " to " max " ms")
    if (beat_ms && first_beat - thawed > beat_ms) refuse(after ": " text ": not within " beat_ms " ms")
    print text
}
