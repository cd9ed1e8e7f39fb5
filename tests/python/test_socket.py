# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Sockets that lie, are of a newer vmm, or end: every one is an exception of the module."""

import asyncio
import json
import os
import socket
import tempfile
import threading
import unittest
import unittest.mock

import stasis
from stasis import aio


class Liar:
    """Answers the first line that comes with the given bytes, and closes the connection."""

    def __init__(self, answer):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "s")
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen()
        self.answer = answer
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        peer, _ = self.server.accept()
        with peer:
            peer.recv(65536)
            try:
                peer.sendall(self.answer)
            except OSError:
                pass  # the client had enough of it

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        self.thread.join()
        self.server.close()
        self.folder.cleanup()


def line(**members):
    return json.dumps({"jsonrpc": "2.0", **members}).encode() + b"\n"


async def ask_async(path):
    machine = await aio.connect(path)
    try:
        return await machine.status()
    finally:
        await machine.close()


def ask(path):
    with stasis.connect(path) as machine:
        return machine.status()


WAYS = (ask, lambda path: asyncio.run(ask_async(path)))
STATUS = {"state": "running", "paused": False, "generation": 1, "saved_bytes": 0, "total_bytes": 0}

LIES = {
    "nothing": b"",
    "no JSON": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "no object": b"[1]\n",
    "half a line": b'{"jsonrpc"',
    "no text": b"\xff\xfe\n",
    "deep": b"[" * 100000 + b"\n",
    "no result": line(id=1),
    "no members": line(id=1, result={}),
    "a list": line(id=1, result=[1, 2]),
    "a number for a text": line(id=1, result={**STATUS, "state": 5}),
    "a text for a number": line(id=1, result={**STATUS, "generation": "1"}),
    "a truth for a number": line(id=1, result={**STATUS, "saved_bytes": True}),
    "nothing for a number": line(id=1, result={**STATUS, "total_bytes": None}),
    "another id": line(id=2, result=STATUS),
    "an error that is none": line(id=1, error=7),
    "an empty error": line(id=1, error={}),
    "data that is none": line(id=1, error={"code": "x", "message": 5, "data": [1]}),
    "without end": b"x" * (17 << 20),
}


class Late(Liar):
    """Reads when it is told to, and answers every request that comes until the end."""

    def __init__(self):
        self.go = threading.Event()
        super().__init__(b"")

    def serve(self):
        peer, _ = self.server.accept()
        self.go.wait()
        with peer, peer.makefile("rb") as lines:
            for request in lines:
                peer.sendall(line(id=json.loads(request)["id"], error={"code": 2}))


class Lies(unittest.TestCase):
    def test_lies(self):
        for name, answer in LIES.items():
            for way in WAYS:
                with self.subTest(name), Liar(answer) as path:
                    self.assertRaises(stasis.Error, way, path)

    def test_a_list_for_an_object(self):
        async def save(path):
            machine = await aio.connect(path)
            try:
                await machine.snapshot("x.snap")
            finally:
                await machine.close()

        for way in (lambda p: stasis.connect(p).snapshot("x.snap"), lambda p: asyncio.run(save(p))):
            with Liar(line(id=1, result=[])) as path:
                self.assertRaisesRegex(stasis.Error, "no result", way, path)

    def test_more_requests_than_the_socket_holds(self):
        late = Late()

        async def ask_all():
            machine = await aio.connect(late.path)
            asks = [asyncio.create_task(machine.snapshot("x.snap")) for _ in range(600)]
            await asyncio.sleep(0)  # each has begun
            late.go.set()
            try:
                return await asyncio.gather(*asks, return_exceptions=True)
            finally:
                await machine.close()

        with late:
            for answer in asyncio.run(ask_all()):
                self.assertEqual((type(answer), answer.code), (stasis.Error, 2))

    def test_a_newer_vmm(self):
        answer = line(method="news", params={"x": 1}) + line(
            id=1, result={**STATUS, "new": {"a": 1}}
        )
        for way in WAYS:
            with Liar(answer) as path:
                self.assertEqual(way(path).state, "running")

    def test_an_older_vmm(self):
        answer = line(id=1, error={"code": -32601, "message": "Method not found"})
        for way in WAYS:
            with Liar(answer) as path, self.assertRaises(stasis.Error) as caught:
                way(path)
            self.assertEqual(
                (caught.exception.code, str(caught.exception)), (-32601, "Method not found")
            )

    def test_an_error_in_full(self):
        data = {"name": "GUEST_RUNS", "message": "cannot: it runs", "remedy": "pause it"}
        with Liar(line(id=1, error={"code": 2, "message": "m", "data": data})) as path:
            with self.assertRaises(stasis.Error) as caught:
                ask(path)
        error = caught.exception
        self.assertEqual((error.code, error.name, str(error), error.remedy), (2, *data.values()))

    def test_an_answer_of_a_vm_that_has_ended(self):
        data = {"name": "ENDED", "message": "cannot: the VM has ended", "remedy": "start it again"}
        for way in WAYS:
            with Liar(line(id=1, error={"code": 2, "message": "m", "data": data})) as path:
                self.assertRaises(stasis.Ended, way, path)

    def test_a_start_that_fails_leaves_no_folder(self):
        patch = unittest.mock.patch
        with tempfile.TemporaryDirectory() as folder, patch("tempfile.tempdir", folder):
            self.assertRaisesRegex(stasis.Error, "by snapshots=", stasis.start, control="x")
            self.assertRaises(ValueError, stasis.start, name="\0")
            self.assertEqual(os.listdir(folder), [])

    def test_a_saved_snapshot_of_another_kind(self):
        result = {"file_bytes": 1, "stored_bytes": 2, "zero_bytes": 3, "pause_us": 4}
        for change in ({"root": 5}, {"layer": 1}, {"file_bytes": [1]}, {"pause_us": 1.5}):
            answer = line(id=1, result={**result, **change})
            with self.subTest(change=change), Liar(answer) as path, stasis.connect(path) as vm:
                self.assertRaisesRegex(stasis.Error, "lacks", vm.snapshot, "x.snap")
        with Liar(line(id=1, result=result)) as path, stasis.connect(path) as vm:
            self.assertIsNone(vm.snapshot("x.snap").root)

    def test_nobody(self):
        for way in WAYS:
            with self.assertRaisesRegex(stasis.Ended, "/nowhere/s: No such file"):
                way("/nowhere/s")


# Programs in place of vmm: {0} is its socket.
LATE_VMM = """#!/usr/bin/env python3
import socket, sys
path = next(a for a in sys.argv if a.startswith("--control=")).split("path=")[1].split(",")[0]
with socket.socket(socket.AF_UNIX) as server:
    server.bind(path)
    server.listen()
    while True:
        peer, _ = server.accept()
        if peer.recv(65536):
            peer.sendall({answer!r})
        peer.close()
"""
OLD_VMM = """#!/bin/sh
echo "vmm: unknown option '--control'; --help lists them" >&2
exit 2
"""


class Programs(unittest.TestCase):
    """Whatever STASIS_VMM names: nothing of it is left, neither process nor folder."""

    def start(self, script):
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "vmm")
            with open(program, "w", encoding="utf-8") as file:
                file.write(script)
            os.chmod(program, 0o700)
            left = os.path.join(folder, "left")
            os.mkdir(left)
            patch = unittest.mock.patch
            for start in (stasis.start, lambda **options: asyncio.run(aio.start(**options))):
                with (
                    patch("tempfile.tempdir", left),
                    patch("stasis.process.VMM", program),
                    patch("stasis.machine.GOING", 0.1),
                    patch("stasis.aio.GOING", 0.1),
                    self.assertRaises(stasis.Error) as caught,
                ):
                    start(demo=True)
                self.assertEqual(os.listdir(left), [])
                yield caught.exception

    def test_an_older_vmm_without_a_control_socket(self):
        for error in self.start(OLD_VMM):
            self.assertEqual((type(error), error.code), (stasis.Ended, 2))
            self.assertIn("unknown option '--control'", str(error))

    def test_a_vmm_that_lies_is_ended(self):
        lies = (b"HTTP/1.1 400 Bad Request\r\n", line(id=1, result={"version": 2, "pid": 3}),
                line(id=1, error={"code": -32601, "message": "Method not found"}), b"")
        for answer in lies:
            with self.subTest(answer=answer):
                for error in self.start(LATE_VMM.format(answer=answer)):
                    self.assertTrue(str(error))

    def test_no_vmm(self):
        for content in ("", "#!/nowhere/sh\n"):
            for error in self.start(content):
                self.assertTrue(str(error))


if __name__ == "__main__":
    unittest.main()
