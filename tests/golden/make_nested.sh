# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# What make.sh has made in an emulated machine: make_nested.sh MODEL...
# Leaves the built-in guest on each CPU model, and what it had printed, in outbox/.
set -eu

for model in "$@"; do
    vmm --demo --cpu "$model" --memory size_mib=2 --serial "file:outbox/$model.out" \
        --snapshot-out "path=outbox/$model.snap,on_output=tick 5 nonce,compress=zlib:9" </dev/null
done
