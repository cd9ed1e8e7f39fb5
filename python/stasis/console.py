# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The serial port of a guest, as the standard input and output of its vmm."""

from __future__ import annotations

import os
import threading
import time
from typing import IO

from .errors import Error

KEEP = 16 << 20  # bytes of output that are kept; what is older is dropped


class Console:
    """What the guest prints is collected by a thread, so that the guest never waits for a reader."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        self._reader = reader
        self._writer = writer
        self._output = bytearray()
        self._dropped = 0
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        while data := os.read(self._reader.fileno(), 65536):
            with self._changed:
                self._output += data
                if len(self._output) > KEEP:
                    self._dropped += len(self._output) - KEEP
                    del self._output[: len(self._output) - KEEP]
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> bytes:
        """All that the guest has printed, as far as it is kept (the last 16 MiB)."""
        with self._changed:
            return bytes(self._output)

    def write(self, data: bytes | str) -> None:
        """Type into the serial port. Error: nobody takes it any more."""
        try:
            self._writer.write(data.encode() if isinstance(data, str) else data)
            self._writer.flush()
        except (BrokenPipeError, ValueError):
            raise Error("the console takes no input any more: the VM has ended") from None

    def wait_for(self, text: bytes | str, timeout: float | None = None, start: int = 0) -> int:
        """Wait until the guest has printed `text`, and return how many bytes were printed up to
        the end of it.

        `start` is such a number, from which on `text` counts. Error: the VM has ended, or
        `timeout` seconds have gone by, before.
        """
        wanted = text.encode() if isinstance(text, str) else text
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while (found := self._output.find(wanted, max(0, start - self._dropped))) < 0:
                left = None if deadline is None else deadline - time.monotonic()
                if self._ended:
                    raise Error(f"the guest ended, and has not printed {wanted!r}")
                if left is not None and left <= 0:
                    raise Error(
                        f"the guest has not printed {wanted!r} in {timeout} s", name="TIMEOUT"
                    )
                self._changed.wait(left)
            return self._dropped + found + len(wanted)

    def close(self) -> None:
        """After the VM has ended: what it printed stays to be read."""
        try:
            self._writer.close()
        except BrokenPipeError:
            pass
        self._thread.join()
        self._reader.close()
