# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# A case of linux.sh, which brings this in: a Linux guest by a row of matrix.txt, frozen and thawed under
# load on each of its CPUs. Its kernel has the CPUs and the memory that the machine was made with.
# The case matrix_VCPUS_MIB is the row with these two. lscpu and its libraries are in the guest's /lscpu.

# is_row: fills the variables of the row from matrix.txt.
is_row() {
    read -r release cpus memory_mib image model <<LINE
$(awk -v row="$case" '"matrix_" $2 "_" $3 == row' "$payload/matrix.txt")
LINE
    [ -n "$model" ] || fail "matrix.txt has no such row"
    [ "$image" = bzimage ] || kernel=vmlinux
}

# RAM goes on at 4 GiB where the MMIO gap is in its way. Of the first MiB some is not RAM.
has_memory() {
    sees=$(awk -v mib="$memory_mib" '
        $1 == "memtotal" { total = $2 / 1024 }
        $1 == "ram" { ram += ($3 + 1 - $2) / 1048576; end = ($3 + 1) / 1048576
                      if ($2 / 1048576 < 4096 && end > 3328) wrong = 1 }
        END { printf "%.1f MiB of RAM up to %.1f MiB, %d of them in use by Linux", ram, end, total
              exit (wrong || end != (mib > 3328 ? mib + 4096 - 3328 : mib) || ram > mib || ram < mib - 1 ||
                    total < mib * 0.85) }' "$case.machine") || fail "not $memory_mib MiB: $sees"
}

# is_machine: the guest has the row's kernel, CPUs and memory.
is_machine() {
    type_line machine
    says '^machine told nonce='
    sed -n 's/^machine: //p' "$out" >"$case.machine"
    online=0 # lscpu says 0,1 of two
    [ "$cpus" -eq 1 ] || online="0[,-]$((cpus - 1))"
    # lscpu is of Debian, whose loader runs on no CPU that it cannot ask for its features.
    name_of_cpu='.*'
    [ "$model" = host ] || name_of_cpu="Stasis $model CPU"
    for said in "release $release\..*" "lscpu CPU(s): *$cpus" "lscpu  *On-line CPU(s) list: *$online" \
        "lscpu  *Thread(s) per core: *1" "lscpu  *Core(s) per socket: *$cpus" 'lscpu  *Socket(s): *1' \
        "lscpu Model name: *$name_of_cpu" 'lscpu Hypervisor vendor: *KVM' 'lscpu Virtualization type: *full'; do
        grep -qx "$said" "$case.machine" || fail "no '$said' in: $(cat "$case.machine")"
    done
    has_memory
    has_cpus "$cpus"
}

case_matrix() {
    is_row
    for_smp
    step_min_ms=-2000 step_max_ms=2000 late_beats=1 # load delays what the guest says
    limit_s=$((limit_s * 2)) # four CPUs and their loads share the one of the emulated machine
    boot boot --cpu "$model" --vcpu "num=$cpus" --snapshot-out path=matrix.snap
    says '^guest up'
    say_load load start
    all_turn
    tells_clock 1
    kill -USR1 "$pid"
    ends 0
    is_whole matrix.snap
    start thaw --restore matrix.snap
    tells_clock 2
    all_turn
    is_machine
    has_no_warning
    finish
    thawed_well "$case.boot" "$name"
    history "$case.boot.out" "$out"
    ok "Linux $release ($image, $model), lscpu shows $cpus CPUs, $sees; turns $turns; $step; $summary"
}
