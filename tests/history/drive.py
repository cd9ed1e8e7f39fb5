# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Drives the vmm of an earlier release, which STASIS_VMM names, with the Python module of this tree.

drive.py RELEASE FOLDER: every method that this release has, a freeze, a layer on it, and its thaw. A release
without a control socket has to be named as too old.
"""

import os
import sys

import stasis
from stasis import aio

release, folder = sys.argv[1:]
first, layer, last = (os.path.join(folder, f"{name}.snap") for name in ("first", "layer", "last"))


def check(holds, what):
    if not holds:
        sys.exit(f"{what} is wrong")


def drive():
    with stasis.start(demo=True, memory=2, cpu="baseline", balloon={"id": "b"}) as vm:
        check(vm.version().version == release, "the version")
        events = vm.subscribe()
        vm.console.wait_for("tick 2 ")
        check(not vm.snapshot(first, parent="none", digest="sha256").layer, "a whole snapshot")
        saved = next(event for event in events if event.name in ("snapshot_done", "snapshot_failed"))
        check(saved.members["name"] == "first.snap", f"an event: {saved}")
        check(vm.snapshot(layer, parent="auto", compress="zlib:1").layer, "a layer")
        vm.pause()
        check(vm.status().state == "paused" and vm.status().generation == 2, "the status")
        vm.resume()
        vm.balloon(1)
        check(vm.metrics() and vm.metrics_text() and vm.config()["demo"], "a report")
        try:
            vm.cancel()
        except stasis.Error as error:
            check(error.name == "NO_SNAPSHOT_RUNS" and error.remedy, f"an error: {error.name}, {error}")
        vm.snapshot(last, then="exit")
        check(vm.wait() == 0, "the exit status")
    with stasis.restore(layer) as vm:
        vm.console.wait_for("tick 4 ")
        check(vm.status().generation == 2, "the generation of a thawed guest")
        vm.power_button()
        vm.console.write("q")  # which has the guest power itself off
        check(vm.wait() == 0, "the exit status of a guest that powers itself off")
    check(stasis.dry_run(last), "the dry run")
    with stasis.open_snapshot(layer) as snapshot:
        snapshot.verify()
        check(snapshot.info.producer == f"stasis {release}", "the producer")


async def drive_async():
    async with await aio.restore(last) as vm:
        await vm.wait_for("tick ")
        check((await vm.version()).version == release, "the version, by asyncio")
        await vm.quit()


def is_too_old():
    try:
        stasis.start(demo=True, memory=2)
    except stasis.Ended as error:
        check(f"{release} is too old for this module" in str(error), f"\"{error}\"")
        print(error)
    else:
        sys.exit("a release without a control socket was started")


if release == "0.1.0":
    is_too_old()
else:
    import asyncio

    drive()
    asyncio.run(drive_async())
