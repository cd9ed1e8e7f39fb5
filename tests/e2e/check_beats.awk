# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Reads all that a guest said over its whole history, in however many processes it lived, as one
# stream, and accepts it only when no byte can be missing, doubled or out of place:
#   cat FILE... | awk -v word=beat [-v late=N] -f check_beats.awk
# Every line is whole and known, the numbers rise by one, the nonce stays, the monotonic clock and
# the timer's interrupts rise (how far the clock may step, check_step.awk says). Prints one
# line and ends with status 0, or says what is wrong and ends with status 1.

function refuse(text) {
    if (!refused) print "line " NR ": " text ": " $0
    refused = 1
}

# The value of `name=value` in this line, "" when it is not there.
function value(name, pattern,   i, text) {
    for (i = 3; i <= NF; i++) {
        if (index($i, name "=") == 1) {
            text = substr($i, length(name) + 2)
            if (text !~ pattern) refuse("bad " name)
            return text
        }
    }
    return ""
}

function check_nonce(   nonce) {
    nonce = value("nonce", "^[0-9a-f]+$")
    if (length(nonce) != 32) refuse("bad nonce")
    if (first_nonce == "") first_nonce = nonce
    if (nonce != first_nonce) refuse("the nonce was " first_nonce)
}

function check_clock(mono) {
    step = (mono - last_mono) / 1000000
    if (beats > 1) {
        if (step <= 0) refuse("the monotonic clock did not rise")
        if (step > longest) longest = step
    }
    last_mono = mono + 0
}

# A beat that makes up for a late one needs no interrupt: it does not wait. Nor do up to `late` beats in
# a row: those of a guest under loads are so late that one's interrupt is counted for that before it.
function check_timer(loc) {
    still = beats > 1 && loc + 0 == last_loc && step >= 50 ? still + 1 : 0
    if (beats > 1 && (loc + 0 < last_loc || still > late + 0)) refuse("no timer interrupt since the last beat")
    last_loc = loc + 0
}

function check_beat(   text) {
    if ($2 !~ /^[0-9]+$/) refuse("bad number")
    if (beats++ == 0) first = $2 + 0
    else if ($2 + 0 != last + 1) refuse("expected " word " " (last + 1))
    last = $2 + 0
    check_nonce()
    if ((text = value("mono", "^[0-9]+$")) != "") check_clock(text)
    if ((text = value("loc", "^[0-9]+$")) != "") check_timer(text)
}

{ sub(/\r$/, "") }
# Before the guest is up and after it has asked for its end, the kernel speaks.
$1 == word || /^guest up / { up = 1 }
!up || done { next }
$1 == word { check_beat(); next }
NF == 3 && $1 == "guest" && $2 == "up" { check_nonce(); next }
NF == 3 && $1 == "pong" { pongs++; check_nonce(); next }
NF == 3 && $1 == "check" && $2 == "ok" { check_nonce(); next }
NF == 3 && $1 == "tsc" && $2 == "ok" { check_nonce(); next }
NF == 3 && $1 == "rtc" && $2 ~ /^[0-9]+$/ { check_nonce(); next }
NF == 3 && $1 == "button" && $2 == "ready" { check_nonce(); next }
NF == 4 && $1 == "clock" && $3 ~ /^mono=[0-9]+$/ { check_nonce(); next }
NF == 9 && $1 == "cpu" && $3 ~ /^apicid=[0-9]+$/ { check_nonce(); next }
NF == 4 && $1 == "load" && $2 == "back=0" && $3 ~ /^turns=[0-9,]+$/ { check_nonce(); next }
NF == 4 && $1 ~ /^(disks?|net|talk|vsock)$/ && $2 == "ok" && $3 ~ /^count=[0-9]+$/ { check_nonce(); next }
NF == 3 && ($1 == "cpus" || $1 == "warnings" || $1 == "machine") { check_nonce(); next }
$1 == "kernel:" || $1 == "machine:" { next } # who asked for these judges them
$0 == "rebooting" || $0 == "powering off" { done = 1; next }
{ refuse("not a line of the guest") }

END {
    if (!beats && !refused) { print "no " word " at all"; refused = 1 }
    if (refused) exit 1
    printf "%s %d to %d without a gap, nonce %s", word, first, last, first_nonce
    if (longest) printf ", largest gap %d ms", longest
    if (pongs) printf ", %d answers", pongs
    print ""
}
