# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Machines, for programs that wait for each answer. stasis.aio has the same for asyncio."""

from __future__ import annotations

import os
import socket
from typing import Any, Iterator, TypeVar

from . import requests, wire
from .closing import Closing
from .console import Console
from .errors import Ended, Error
from .options import Option
from .process import Process, restore_options
from .requests import Event, Request, Saved, Status, Version

T = TypeVar("T")
GOING = 60  # seconds that a vmm may take to end once it has closed its socket


class Connection:
    """One connection to a control socket; one request at a time."""

    def __init__(self, path: str | os.PathLike[str], process: Process | None = None) -> None:
        self._process = process
        self._number = 0
        self._lines = wire.Lines()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(os.fspath(path))
        except OSError as fault:
            self._socket.close()
            raise self._gone(f"{os.fspath(path)}: {fault.strerror}; is its VM running?") from None

    def _gone(self, message: str) -> Error:
        try:
            if self._process:
                self._process.wait(GOING)
                return self._process.ended()
        except Error:
            pass
        return Ended(message, 2, "ENDED")

    def _message(self) -> dict[str, Any]:
        while (message := self._lines.next()) is None:
            try:
                data = self._socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                raise self._gone("the VM has closed its control socket: it has ended")
            self._lines.add(data)
        return message

    def _send(self, request: Request[Any]) -> None:
        line = wire.encode(self._number, request)
        folder = []
        try:
            if request.folder is not None:
                folder.append(os.open(request.folder, os.O_RDONLY | os.O_DIRECTORY))
        except OSError as fault:
            raise Error(f"{request.folder}: {fault.strerror}; name another folder", 2) from None
        try:
            sent = socket.send_fds(self._socket, [line], folder)
            if sent < len(line):
                self._socket.sendall(line[sent:])
        except OSError:
            raise self._gone("the VM has closed its control socket: it has ended") from None
        finally:
            for fd in folder:
                os.close(fd)

    def run(self, request: Request[T]) -> T:
        """Sends a request and waits for its result. Events are skipped."""
        self._number += 1
        self._send(request)
        while True:
            message = self._message()
            if "id" in message and message["id"] == self._number:
                return wire.result_of(message, request)  # type: ignore[no-any-return]

    def events(self) -> Iterator[Event]:
        """Events of a connection that has subscribed, until the VM ends."""
        while True:
            event = wire.event_of(self._message())
            if event:
                yield event
            if event and event.name == "ended":
                return

    def close(self) -> None:
        """Closes the connection; the VM goes on."""
        self._socket.close()


class Machine(Closing):
    """A VM: one that start() or restore() made, or one that connect() found.

    A context manager: at its end a VM of one's own is ended, and a connection closed. For one
    thread at a time. Every method raises Error if the VM refuses it, and Ended if there is no VM
    any more.
    """

    def __init__(self, connection: Connection, path: str, process: Process | None = None) -> None:
        self._connection = connection
        self._path = path
        self._process = process

    def __repr__(self) -> str:
        return f"<stasis.Machine at {self._path!r}>"

    # ---- the methods of the control socket, vmm-control(7) ----

    def version(self) -> Version:
        """Release and process number of vmm."""
        return self._connection.run(requests.version())

    def status(self) -> Status:
        """The state of the VM."""
        return self._connection.run(requests.status())

    def pause(self) -> None:
        """Stop the virtual CPUs, and return when they stand still."""
        self._connection.run(requests.pause())

    def resume(self) -> None:
        """Let a paused guest run."""
        self._connection.run(requests.resume())

    def snapshot(
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
        """Save the guest to the file `path`, and return when it is complete.

        The parameters take the words of vmm-control(7): then="resume" or "exit",
        compress="none" or "zlib:N", digest="sha256", sync="none", target="0.1.0", drop="allow".
        parent="auto" writes a layer on the last snapshot if it can, parent=ROOT a layer on the
        snapshot with this root or nothing, and parent="none" a whole snapshot, on which the next one
        can be a layer.
        """
        return self._connection.run(
            requests.snapshot(
                path,
                then=then,
                compress=compress,
                digest=digest,
                sync=sync,
                target=target,
                parent=parent,
                drop=drop,
            )
        )

    def cancel(self, *, of: str | None = None) -> None:
        """Give up the snapshot that is being saved, which some other connection asked for."""
        self._connection.run(requests.cancel(of))

    def power_button(self) -> None:
        """Press the power button of the guest."""
        self._connection.run(requests.power_button())

    def reset(self) -> None:
        """Reset the machine."""
        self._connection.run(requests.reset())

    def balloon(self, target_mib: int) -> None:
        """Ask the guest for so many MiB of memory in all, by its balloon; 0 gives all back."""
        self._connection.run(requests.balloon(target_mib))

    def metrics(self) -> dict[str, Any]:
        """All counters, as vmm --metrics writes them."""
        return self._connection.run(requests.metrics())

    def metrics_text(self) -> str:
        """All counters as OpenMetrics text."""
        return self._connection.run(requests.metrics_text())

    def config(self) -> dict[str, Any]:
        """The configuration, defaults included; vmm --config takes it."""
        return self._connection.run(requests.config())

    def subscribe(self) -> Iterator[Event]:
        """Events from now on, by a connection of their own; the last one is "ended"."""
        connection = Connection(self._path, self._process)
        try:
            connection.run(requests.subscribe())
        except BaseException:
            connection.close()
            raise
        return _events(connection)

    def quit(self) -> None:
        """End the VM."""
        self._connection.run(requests.quit())

    # ---- a VM of one's own ----

    @property
    def console(self) -> Console:
        """The serial port. Error: this VM was not started here."""
        return self._own().console

    def messages(self) -> str:
        """What vmm has said on standard error. Error: this VM was not started here."""
        return self._own().messages()

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the VM has ended, and return the exit status of vmm."""
        return self._own().wait(timeout)

    def _own(self) -> Process:
        if not self._process:
            raise Error("this VM was not started here; its console and messages are elsewhere", 2)
        return self._process

    def close(self) -> None:
        """Ends a VM of one's own, and frees all that belongs to it."""
        try:
            if self._process and not self._process.has_ended():
                self.quit()
        except Ended:
            pass
        finally:
            self._connection.close()
            if self._process:
                self._process.close()


def _events(connection: Connection) -> Iterator[Event]:
    try:
        yield from connection.events()
    finally:
        connection.close()


def start(*, snapshots: str | os.PathLike[str] | None = None, **options: Option) -> Machine:
    """Start a VM with these options of vmm(1): start(demo=True, memory={"size_mib": 64}).

    `snapshots` is the only folder, with those below it, that the sandbox lets the VM write
    snapshots to; None: any. Ended: vmm has ended at once, and str() says why.
    """
    process = Process(snapshots, **options)
    connection = None
    try:
        process.wait_until_it_listens()
        connection = Connection(process.socket, process)
        connection.run(requests.version())  # is answered once the guest is there
        return Machine(connection, process.socket, process)
    except BaseException:
        if connection:
            connection.close()
        process.close(patience=0)
        raise


def restore(path: str | os.PathLike[str], **options: Option) -> Machine:
    """Thaw the snapshot `path`, with options of vmm(1) that fit: restore("a.snap", ignore="tsc").

    `restore` may hold further keys of --restore: restore("a.snap", restore={"memory": "map"}).
    """
    return start(**restore_options(path, options))  # type: ignore[arg-type]


def connect(path: str | os.PathLike[str]) -> Machine:
    """A VM that runs already, by its control socket."""
    return Machine(Connection(path), os.fspath(path))
