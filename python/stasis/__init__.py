# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Stasis: freeze running virtual machines to files, and thaw them.

    import stasis

    with stasis.start(demo=True, memory={"size_mib": 64}) as vm:
        vm.console.wait_for("tick 3")
        vm.snapshot("warm.snap", then="exit")
    with stasis.restore("warm.snap") as vm:
        vm.console.wait_for("tick 5")

    with stasis.open_snapshot("warm.snap") as snapshot:
        print(snapshot.info.producer, snapshot.memory.read(0x1000, 16).hex())

Only the standard library is needed. vmm is found by PATH, or named by STASIS_VMM. stasis.aio has the
same machines for asyncio. Reading snapshots (stasis.reader) needs neither vmm nor KVM.
"""

from .console import Console
from .errors import Damaged, Ended, Error, FileError, Foreign, InUse, MissingParent, Newer
from .machine import Connection, Machine, connect, restore, start
from .options import arguments
from .process import DryRun, dry_run
from .reader import Snapshot, identify, open_disk, open_snapshot
from .requests import Event, Saved, Status, Version

__all__ = [
    "Connection",
    "Console",
    "Damaged",
    "DryRun",
    "Ended",
    "Error",
    "Event",
    "FileError",
    "Foreign",
    "Machine",
    "InUse",
    "MissingParent",
    "Newer",
    "Saved",
    "Snapshot",
    "Status",
    "Version",
    "arguments",
    "connect",
    "dry_run",
    "identify",
    "open_disk",
    "open_snapshot",
    "restore",
    "start",
]
