# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Stasis: freeze running virtual machines to files, and thaw them.

    import stasis

    with stasis.start(demo=True, memory={"size_mib": 64}) as vm:
        vm.console.wait_for("tick 3")
        vm.snapshot("warm.snap", then="exit")
    with stasis.restore("warm.snap") as vm:
        vm.console.wait_for("tick 5")

Only the standard library is needed. vmm is found by PATH, or named by STASIS_VMM. stasis.aio has the
same machines for asyncio.
"""

from .console import Console
from .errors import Ended, Error
from .machine import Connection, Machine, connect, restore, start
from .options import arguments
from .process import DryRun, dry_run
from .requests import Event, Snapshot, Status, Version

__all__ = [
    "Connection",
    "Console",
    "DryRun",
    "Ended",
    "Error",
    "Event",
    "Machine",
    "Snapshot",
    "Status",
    "Version",
    "arguments",
    "connect",
    "dry_run",
    "restore",
    "start",
]
