# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Machines for asyncio. Requests may be under way at once: status() while snapshot() saves.

    import asyncio
    from stasis import aio

    async def clones(snapshot, number):
        vms = await asyncio.gather(*(aio.restore(snapshot) for _ in range(number)))
        await asyncio.gather(*(vm.wait_for("ready") for vm in vms))
        await asyncio.gather(*(vm.close() for vm in vms))

The methods are those of stasis.Machine, which says more about each. A machine belongs to one event
loop.
"""

from __future__ import annotations

import asyncio
import os
import socket
from types import TracebackType
from typing import Any, AsyncIterator, TypeVar

from . import process as _process
from . import requests, wire
from .errors import Ended, Error
from .machine import GOING
from .options import Option
from .process import DryRun, Process
from .requests import Event, Request, Saved, Status, Version

T = TypeVar("T")

__all__ = ["Connection", "Machine", "connect", "dry_run", "restore", "start"]


class Connection:
    """One connection to a control socket, on which many requests can be under way."""

    def __init__(self, sock: socket.socket, process: Process | None) -> None:
        self._socket = sock
        self._process = process
        self._number = 0
        self._waiting: dict[int, tuple[Request[Any], asyncio.Future[Any]]] = {}
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._sending = asyncio.Lock()
        self._end: Error | None = None
        self._reader = asyncio.get_running_loop().create_task(self._read())

    @staticmethod
    async def open(path: str | os.PathLike[str], process: Process | None = None) -> Connection:
        """Connects. Ended: nobody listens there."""
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, os.fspath(path))
        except OSError as fault:
            sock.close()
            text = f"{os.fspath(path)}: {fault.strerror}; is its VM running?"
            raise Ended(text, 2, "ENDED") from None
        return Connection(sock, process)

    async def _read(self) -> None:
        lines = wire.Lines()
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._socket, 65536):
                lines.add(data)
                while (message := lines.next()) is not None:
                    self._take(message)
            self._fail(await self._gone())
        except OSError:
            self._fail(await self._gone())
        except Error as fault:
            self._fail(fault)

    async def _gone(self) -> Error:
        if self._process:
            try:
                await asyncio.to_thread(self._process.wait, GOING)
                return self._process.ended()
            except Error:
                pass
        return Ended("the VM has closed its control socket: it has ended", 2, "ENDED")

    def _take(self, message: dict[str, Any]) -> None:
        event = wire.event_of(message)
        if event:
            self._events.put_nowait(event)
            return
        number = message.get("id")
        request, future = (
            self._waiting.pop(number, (None, None)) if isinstance(number, int) else (None, None)
        )
        if request is None or future is None or future.done():
            return
        try:
            future.set_result(wire.result_of(message, request))
        except Error as fault:
            future.set_exception(fault)

    def _fail(self, fault: Error) -> None:
        self._end = fault
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(fault)
        self._waiting.clear()
        self._events.put_nowait(None)

    async def _send(self, line: bytes, folder: str | None) -> None:
        fds = []
        try:
            if folder is not None:
                fds.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
        except OSError as fault:
            raise Error(f"{folder}: {fault.strerror}; name another folder", 2) from None
        try:
            # A line that does not fit at once is finished by the loop; the descriptor goes first.
            sent = await self._send_with(line, fds) if fds else 0
            if sent < len(line):
                await asyncio.get_running_loop().sock_sendall(self._socket, line[sent:])
        finally:
            for fd in fds:
                os.close(fd)

    async def _send_with(self, line: bytes, fds: list[int]) -> int:
        while True:
            try:
                return socket.send_fds(self._socket, [line], fds)
            except BlockingIOError:  # the VM has not read what was sent before
                await asyncio.sleep(_process.POLL)

    async def run(self, request: Request[T]) -> T:
        """Sends a request and waits for its result."""
        if self._end:
            raise self._end
        self._number += 1
        number = self._number
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (request, future)
        try:
            async with self._sending:
                await self._send(wire.encode(number, request), request.folder)
            return await future
        except OSError:
            raise self._end or await self._gone() from None
        finally:
            self._waiting.pop(number, None)

    async def events(self) -> AsyncIterator[Event]:
        """Events of a connection that has subscribed, until the VM ends."""
        while event := await self._events.get():
            yield event
            if event.name == "ended":
                return

    async def close(self) -> None:
        """Closes the connection; the VM goes on."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self._fail(Ended("the connection has been closed", 2, "CLOSED"))
        self._socket.close()


class Machine:
    """A VM: one that start() or restore() made, or one that connect() found.

    An asynchronous context manager: at its end a VM of one's own is ended.
    """

    def __init__(self, connection: Connection, path: str, process: Process | None = None) -> None:
        self._connection = connection
        self._path = path
        self._process = process

    def __repr__(self) -> str:
        return f"<stasis.aio.Machine at {self._path!r}>"

    # ---- the methods of the control socket, vmm-control(7) ----

    async def version(self) -> Version:
        """Release and process number of vmm."""
        return await self._connection.run(requests.version())

    async def status(self) -> Status:
        """The state of the VM."""
        return await self._connection.run(requests.status())

    async def pause(self) -> None:
        """Stop the virtual CPUs, and return when they stand still."""
        await self._connection.run(requests.pause())

    async def resume(self) -> None:
        """Let a paused guest run."""
        await self._connection.run(requests.resume())

    async def snapshot(
        self,
        path: str | os.PathLike[str],
        *,
        then: str | None = None,
        compress: str | None = None,
        digest: str | None = None,
        sync: str | None = None,
        parent: str | None = None,
        target: str | None = None,
        drop: str | None = None,
    ) -> Saved:
        """Save the guest to the file `path`; see stasis.Machine.snapshot()."""
        request = requests.snapshot(
            path,
            then=then,
            compress=compress,
            digest=digest,
            sync=sync,
            parent=parent,
            target=target,
            drop=drop,
        )
        return await self._connection.run(request)

    async def cancel(self, *, of: str | None = None) -> None:
        """Give up the snapshot that is being saved; of="own": only one of this machine's."""
        await self._connection.run(requests.cancel(of))

    async def power_button(self) -> None:
        """Press the power button of the guest."""
        await self._connection.run(requests.power_button())

    async def reset(self) -> None:
        """Reset the machine."""
        await self._connection.run(requests.reset())

    async def balloon(self, target_mib: int) -> None:
        """Ask the guest for so many MiB of memory in all, by its balloon; 0 gives all back."""
        await self._connection.run(requests.balloon(target_mib))

    async def metrics(self) -> dict[str, Any]:
        """All counters, as vmm --metrics writes them."""
        return await self._connection.run(requests.metrics())

    async def metrics_text(self) -> str:
        """All counters as OpenMetrics text."""
        return await self._connection.run(requests.metrics_text())

    async def config(self) -> dict[str, Any]:
        """The configuration, defaults included; vmm --config takes it."""
        return await self._connection.run(requests.config())

    async def subscribe(self) -> AsyncIterator[Event]:
        """Events from now on, by a connection of their own; the last one is "ended"."""
        connection = await Connection.open(self._path, self._process)
        try:
            await connection.run(requests.subscribe())
        except BaseException:
            await connection.close()
            raise
        return _events(connection)

    async def quit(self) -> None:
        """End the VM."""
        await self._connection.run(requests.quit())

    # ---- a VM of one's own ----

    def _own(self) -> Process:
        if not self._process:
            raise Error("this VM was not started here; its console and messages are elsewhere", 2)
        return self._process

    @property
    def output(self) -> bytes:
        """All that the guest has printed."""
        return self._own().console.output

    def write(self, data: bytes | str) -> None:
        """Type into the serial port."""
        self._own().console.write(data)

    async def wait_for(
        self, text: bytes | str, timeout: float | None = None, start: int = 0
    ) -> int:
        """Wait until the guest has printed `text`; see stasis.Console.wait_for()."""
        return await asyncio.to_thread(self._own().console.wait_for, text, timeout, start)

    def messages(self) -> str:
        """What vmm has said on standard error."""
        return self._own().messages()

    async def wait(self, timeout: float | None = None) -> int:
        """Wait until the VM has ended, and return the exit status of vmm."""
        return await asyncio.to_thread(self._own().wait, timeout)

    async def close(self) -> None:
        """Ends a VM of one's own, and frees all that belongs to it."""
        try:
            if self._process and not self._process.has_ended():
                await self.quit()
        except Ended:
            pass
        finally:
            await self._connection.close()
            if self._process:
                await asyncio.to_thread(self._process.close)

    async def __aenter__(self) -> Machine:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


async def _events(connection: Connection) -> AsyncIterator[Event]:
    try:
        async for event in connection.events():
            yield event
    finally:
        await connection.close()


async def start(*, snapshots: str | os.PathLike[str] | None = None, **options: Option) -> Machine:
    """Start a VM with these options of vmm(1); see stasis.start()."""
    process = Process(snapshots, **options)
    connection = None
    try:
        while not process.is_listening():
            await asyncio.sleep(_process.POLL)
        connection = await Connection.open(process.socket, process)
        await connection.run(requests.version())  # is answered once the guest is there
        return Machine(connection, process.socket, process)
    except BaseException:
        if connection:
            await connection.close()
        process.close(patience=0)
        raise


async def restore(path: str | os.PathLike[str], **options: Option) -> Machine:
    """Thaw the snapshot `path`; see stasis.restore()."""
    return await start(**_process.restore_options(path, options))  # type: ignore[arg-type]


async def connect(path: str | os.PathLike[str]) -> Machine:
    """A VM that runs already, by its control socket."""
    return Machine(await Connection.open(path), os.fspath(path))


async def dry_run(snapshot: str | os.PathLike[str], **options: Option) -> DryRun:
    """Asks whether a snapshot would be thawed here, and if not, why."""
    return await asyncio.to_thread(_process.dry_run, snapshot, **options)
