# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Thaws a snapshot by the Python module, again and again: each time until the guest has printed, and
the machine has ended. Prints the nanoseconds that all took, as bench-run -s does.

thaws.py TIMES SNAPSHOT [KEY=VALUE]..."""
import sys
import time

import stasis

TIMES, SNAPSHOT = int(sys.argv[1]), sys.argv[2]
KEYS = dict(argument.split("=") for argument in sys.argv[3:])


def thaw():
    with stasis.restore(SNAPSHOT, restore=KEYS) as vm:
        vm.console.wait_for("p")


start = time.monotonic_ns()
for _ in range(TIMES):
    thaw()
print(time.monotonic_ns() - start)
