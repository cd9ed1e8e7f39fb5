# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Guests that Python starts, freezes and thaws, one after the other and many at once."""

import asyncio
import os
import subprocess
import sys
import tempfile
import unittest

import stasis
from stasis import aio

DEMO = {"demo": True, "memory": {"size_mib": 4}}
LONG = 600  # seconds: only a hang gets there


class Machines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.snapshot = os.path.join(cls.folder.name, "warm.snap")
        with stasis.start(**DEMO) as vm:
            vm.console.wait_for("tick 2", LONG)
            cls.saved = vm.snapshot(cls.snapshot, then="exit")
            cls.status = vm.wait(LONG)
            cls.said = vm.messages()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_snapshot(self):
        self.assertEqual(self.saved.file_bytes, os.path.getsize(self.snapshot))
        self.assertEqual(self.status, 0)
        self.assertIn("frozen to", self.said)

    def test_restore(self):
        with stasis.restore(self.snapshot, restore={"memory": "copy"}) as vm:
            end = vm.console.wait_for("tick 4", LONG)
            vm.console.wait_for(" nonce=", LONG, start=end)
            self.assertEqual(vm.status().generation, 1)
            self.assertEqual(vm.config()["restore"]["memory"], "copy")
            self.assertGreater(vm.version().pid, 1)
            self.assertNotIn(b"tick 1 ", vm.console.output)

    def test_methods(self):
        with stasis.restore(self.snapshot) as vm:
            events = vm.subscribe()
            vm.pause()
            with self.assertRaises(stasis.Error) as caught:
                vm.pause()
            self.assertEqual(caught.exception.name, "GUEST_PAUSED")
            second = os.path.join(self.folder.name, "second.snap")
            self.assertEqual(vm.snapshot(second, compress="zlib:1", digest="sha256").path, second)
            vm.resume()
            self.assertIn("# EOF", vm.metrics_text())
            self.assertEqual(vm.metrics()["freezes"]["saved"], 1)
            self.assertRaises(stasis.Error, vm.cancel)
            self.assertRaises(stasis.Error, vm.balloon, 1)
            self.assertRaisesRegex(stasis.Error, "/nowhere", vm.snapshot, "/nowhere/x.snap")
            with stasis.connect(vm._path) as other:
                self.assertEqual(other.status().state, "running")
                self.assertRaises(stasis.Error, lambda: other.console)
            vm.quit()
            names = [event.name for event in events]
            self.assertEqual((names[0], names[-1]), ("paused", "ended"))
            self.assertIn("snapshot_done", names)
            vm.wait(LONG)
            self.assertRaises(stasis.Ended, vm.status)
            self.assertRaises(stasis.Error, vm.console.wait_for, "tick 99999", LONG)

    def test_reset_ends(self):
        with stasis.restore(self.snapshot) as vm:
            vm.reset()
            self.assertEqual(vm.wait(LONG), 11)

    def test_dry_run(self):
        self.assertTrue(stasis.dry_run(self.snapshot))
        missing = stasis.dry_run("/nowhere/x.snap")
        self.assertFalse(missing)
        self.assertIn("/nowhere/x.snap", str(missing))

    def test_what_cannot_start(self):
        with self.assertRaisesRegex(stasis.Ended, "--memory") as caught:
            stasis.start(demo=True, memory={"size_mib": "x"})
        self.assertEqual(caught.exception.code, 2)
        self.assertRaisesRegex(stasis.Ended, "/nowhere/x.snap", stasis.restore, "/nowhere/x.snap")
        self.assertRaises(stasis.Error, stasis.restore, self.snapshot, restore="x")

    def test_folder_of_snapshots(self):
        with stasis.restore(self.snapshot, snapshots=self.folder.name) as vm:
            vm.snapshot(os.path.join(self.folder.name, "in.snap"), sync="none")
            self.assertEqual(vm.status().generation, 2)

    def test_many_at_once(self):
        async def clones():
            vms = await asyncio.gather(*(aio.restore(self.snapshot) for _ in range(5)))
            await asyncio.gather(*(vm.wait_for("tick 3", LONG) for vm in vms))
            events = await vms[0].subscribe()
            third = os.path.join(self.folder.name, "third.snap")
            saved, status = await asyncio.gather(vms[0].snapshot(third), vms[0].status())
            self.assertEqual(saved.path, third)
            self.assertIn(status.state, ("running", "saving"))
            await vms[0].quit()
            self.assertEqual([e.name async for e in events][-1], "ended")
            self.assertEqual(await vms[0].wait(LONG), 0)
            with self.assertRaises(stasis.Ended):
                await vms[0].status()
            await asyncio.gather(*(vm.close() for vm in vms))
            with self.assertRaisesRegex(stasis.Ended, "/nowhere/x.snap"):
                await aio.restore("/nowhere/x.snap")
            self.assertTrue(await aio.dry_run(self.snapshot))

        asyncio.run(clones())

    def test_nothing_is_left(self):
        before = set(os.listdir(tempfile.gettempdir()))
        with stasis.restore(self.snapshot) as vm:
            path = vm._path
            self.assertTrue(os.path.exists(path))
            self.assertEqual(repr(vm), f"<stasis.Machine at {path!r}>")
        self.assertFalse(os.path.exists(os.path.dirname(path)))
        self.assertRaises(stasis.Ended, stasis.restore, "/nowhere/x.snap")
        left = set(os.listdir(tempfile.gettempdir())) - before
        self.assertFalse([name for name in left if name == os.path.basename(os.path.dirname(path))])

    def test_a_program_that_closes_nothing_leaves_nothing(self):
        program = (
            "import os, stasis\n"
            f"vm = stasis.start(**{DEMO!r})\n"
            "if os.fork() == 0: raise SystemExit\n"
            "os.wait()\n"
            "print(vm.status().state, vm._process.pid, vm._path)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, timeout=LONG
        )
        state, pid, path = done.stdout.decode().split()
        self.assertEqual(state, "running")
        self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.assertFalse(os.path.exists(os.path.dirname(path)))


if __name__ == "__main__":
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: this host has no KVM that this user may use")
        sys.exit(77)
    unittest.main()
