# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# check_beats.awk accepts a whole history and refuses each way in which one can be broken.
#   test_check_beats.sh CHECK
set -u
check=$1
failed=0
ran=0
said=$(mktemp)
trap 'rm -f "$said"' EXIT
n1=00112233445566778899aabbccddeeff
n2=00112233445566778899aabbccddeefe

beat() { echo "beat $1 nonce=$2 mono=$3 real=5.000 loc=$4"; }

# judge NAME STATUS [LATE]: what the guest said is in a file, for a pipe would count in a subshell.
judge() {
    busybox awk -v word=beat -v late="${3:-0}" -f "$check" <"$said" >/dev/null
    status=$?
    ran=$((ran + 1))
    [ $status -eq "$2" ] && return
    echo "FAIL $1: status $status"
    failed=$((failed + 1))
}

{
    printf '[    0.1] Linux\r\nguest up nonce=%s\n' $n1
    beat 1 $n1 100000000 7
    beat 2 $n1 200000000 9
    printf 'pong x nonce=%s\ncheck ok nonce=%s\n' $n1 $n1
    printf 'cpu 1 apicid=1 x2apicid=1 package=0 core=1 threads=1 loc=7 nonce=%s\n' $n1
    printf 'cpus 2 nonce=%s\nkernel: <4>a warning\nwarnings 1 nonce=%s\n' $n1 $n1
    printf 'load back=0 turns=7,9 nonce=%s\ndisks ok count=8 nonce=%s\nnet ok count=1 nonce=%s\n' $n1 $n1 $n1
    beat 3 $n1 399000000 10
    printf 'rebooting\n[    9.1] reboot: Restarting system\r\n'
} >"$said"
judge whole 0
{ beat 1 $n1 100000000 7; printf 'powering off\n[    9.1] reboot: Power down\r\n'; } >"$said"
judge 'powered off' 0
{ beat 1 $n1 100000000 7; beat 3 $n1 200000000 9; } >"$said"
judge lost 1
{ beat 1 $n1 100000000 7; beat 1 $n1 200000000 9; } >"$said"
judge doubled 1
{ beat 1 $n1 100000000 7; beat 2 $n2 200000000 9; } >"$said"
judge 'other nonce' 1
{ beat 1 $n1 100000000 7; echo "pong x nonce=$n2"; } >"$said"
judge 'answer of another guest' 1
{ beat 1 $n1 100000000 7; echo "cpus 2 nonce=$n2"; } >"$said"
judge 'CPUs of another guest' 1
{ beat 1 ${n1#0} 100000000 7; } >"$said"
judge 'short nonce' 1
{ beat 1 $n1 200000000 7; beat 2 $n1 100000000 9; } >"$said"
judge 'clock back' 1
{ beat 1 $n1 100000000 7; beat 2 $n1 100000000 9; } >"$said"
judge 'clock stands' 1
{ beat 1 $n1 100000000 7; beat 2 $n1 200000000 7; } >"$said"
judge 'dead timer' 1
judge 'late one under loads' 0 1
{ beat 1 $n1 100000000 7; beat 2 $n1 200000000 7; beat 3 $n1 300000000 7; } >"$said"
judge 'dead timer under loads' 1 1
{ beat 1 $n1 100000000 7; beat 2 $n1 149000000 7; } >"$said"
judge 'late beat made up for' 0
{ beat 1 $n1 100000000 7; beat 2 $n1 149000000 6; } >"$said"
judge 'interrupts lost' 1
{ beat 1 $n1 100000000 7; beat 2 $n1 200000000 9 | cut -c 2-; } >"$said"
judge 'first byte lost' 1
{ beat 1 $n1 100000000 7 | tr -d '\n'; beat 2 $n1 200000000 9; } >"$said"
judge 'line end lost' 1
{ beat 1 $n1 100000000 7; echo "check BAD nonce=$n1"; } >"$said"
judge 'memory damaged' 1
{ beat 1 $n1 100000000 7; echo '[    9.1] WARNING: at xstate.c'; } >"$said"
judge 'kernel warning' 1
{ beat 1 $n1 100000000 7; echo "load back=1 turns=7,9 nonce=$n1"; } >"$said"
judge 'clock of a CPU back' 1
{ beat 1 $n1 100000000 7; echo "disk a file could not be written count=1 nonce=$n1"; } >"$said"
judge 'disk failed' 1
{ beat 1 $n1 100000000 7; echo "vsock ok count=1 nonce=$n2"; } >"$said"
judge 'sockets of another guest' 1
echo '[    0.1] Kernel panic' >"$said"
judge 'no beat' 1

echo "$ran cases, $failed failed"
[ $failed -eq 0 ] && [ $ran -eq 23 ]
