# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""A vmm of one's own: its process, its folder for the control socket, and how it ended."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
from typing import Mapping

from .console import Console
from .errors import Ended, Error
from .options import Option, arguments

VMM = os.environ.get("STASIS_VMM", "vmm")  # the program, found by PATH
POLL = 0.002  # seconds between two looks for the socket of a VM that starts


def _missing(fault: OSError) -> Error:
    text = f"{VMM}: {fault.strerror}; install Stasis, or name its vmm in STASIS_VMM"
    return Error(text, 2)


def _release() -> str:
    """What vmm calls itself: "vmm (stasis) 0.3.0"."""
    vmm = subprocess.run([VMM, "--version"], capture_output=True, check=False)
    return vmm.stdout.decode(errors="replace").partition("\n")[0] or "it"


class Process:
    """vmm with a control socket in a new folder, which only this user can enter.

    Frees what it holds when it is closed; `console` and `messages()` live on.
    """

    def __init__(self, snapshots: str | os.PathLike[str] | None, **options: Option) -> None:
        if "control" in options:
            raise Error("the control socket is the module's own; name a folder by snapshots=", 2)
        self._folder = tempfile.mkdtemp(prefix="stasis-")
        self.socket = os.path.join(self._folder, "vm.sock")
        control: dict[str, str] = {"path": self.socket}
        if snapshots is not None:
            control["dir"] = os.fspath(snapshots)
        self._log = open(os.path.join(self._folder, "messages"), "w+b")
        try:
            self._vmm = subprocess.Popen(
                [VMM, *arguments(control=control, **options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log.fileno(),
            )
        except BaseException as fault:
            self._log.close()
            shutil.rmtree(self._folder)
            if isinstance(fault, OSError):
                raise _missing(fault) from None
            raise
        assert self._vmm.stdin and self._vmm.stdout
        self.console = Console(self._vmm.stdout, self._vmm.stdin)
        self.pid = self._vmm.pid
        self._owner = os.getpid()
        atexit.register(self._end_with_the_program)

    def _end_with_the_program(self) -> None:
        """For a program that ends without close(); not for a child of it, which has a copy."""
        if os.getpid() == self._owner:
            self.close(0)

    def messages(self) -> str:
        """What vmm has said on standard error so far."""
        if not self._log.closed:
            self._said = os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace")
        return self._said

    def is_listening(self) -> bool:
        """Whether somebody can connect to the socket. Ended: vmm has ended instead."""
        with socket.socket(socket.AF_UNIX) as trial:
            if trial.connect_ex(self.socket) == 0:
                return True
        if self._vmm.poll() is not None:
            raise self.ended()
        return False

    def wait_until_it_listens(self) -> None:
        """Until the socket is there. Ended: vmm has ended instead."""
        while not self.is_listening():
            time.sleep(POLL)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status of vmm, once it has ended; vmm(1) lists them. Error: not in time."""
        try:
            return self._vmm.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Error(f"the VM has not ended in {timeout} s", name="TIMEOUT") from None

    def has_ended(self) -> bool:
        """Whether vmm has ended."""
        return self._vmm.poll() is not None

    def ended(self) -> Ended:
        """The exception that says how a vmm ended that has."""
        status = self._vmm.wait()
        said = self.messages().strip().splitlines()
        text = said[-1] if said else f"vmm has ended with status {status}"
        if "--control" in text and "is not an option" in text:
            text = f"{VMM}: {_release()} is too old for this module; install 0.2.0 or later"
        return Ended(text, status, "ENDED")

    def close(self, patience: float = 60.0) -> None:
        """Frees all; a vmm that has not ended by then, in `patience` seconds, is killed."""
        if self._log.closed:
            return
        atexit.unregister(self._end_with_the_program)
        try:
            self._vmm.wait(patience)
        except subprocess.TimeoutExpired:
            self._vmm.kill()
            self._vmm.wait()
        self.console.close()
        self.messages()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def restore_options(path: str | os.PathLike[str], options: dict[str, Option]) -> dict[str, Option]:
    """The options of a start that thaws `path`; `restore` among them has further keys of it."""
    more = options.get("restore")
    if more is not None and not isinstance(more, Mapping):
        raise Error("restore takes a dictionary of further keys of --restore", 2)
    return {**options, "restore": {"path": os.fspath(path), **(more or {})}}


class DryRun:
    """What vmm --restore --dry-run says: whether a snapshot would be thawed on this host."""

    def __init__(self, snapshot: str | os.PathLike[str], **options: Option) -> None:
        options = restore_options(snapshot, options)
        line = [VMM, *arguments(dry_run={"format": "text"}, **options)]
        try:
            vmm = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError as fault:
            raise _missing(fault) from None
        self.status = vmm.returncode  # that of a restore, vmm(1)
        self.text = (vmm.stdout + vmm.stderr).decode(errors="replace")

    def __bool__(self) -> bool:
        """Would it be thawed?"""
        return self.status == 0

    def __str__(self) -> str:
        return self.text


def dry_run(snapshot: str | os.PathLike[str], **options: Option) -> DryRun:
    """Asks whether a snapshot would be thawed here, with these options, and if not, why."""
    return DryRun(snapshot, **options)
