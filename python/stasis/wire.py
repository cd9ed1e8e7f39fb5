# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Lines of JSON-RPC 2.0, as vmm-control(7) has them."""

from __future__ import annotations

import json
from typing import Any

from .errors import Error, from_answer
from .requests import Event, Request

LINE_MAX = 16 << 20  # bytes; what is longer does not come from vmm


def encode(number: int, request: Request[Any]) -> bytes:
    """The line of a request."""
    line = {"jsonrpc": "2.0", "id": number, "method": request.method, "params": request.params}
    return json.dumps(line).encode() + b"\n"


class Lines:
    """Takes bytes as they arrive, and gives messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._searched = 0

    def add(self, data: bytes) -> None:
        """Bytes that came. Error: too many of them without an end of line."""
        self._bytes += data
        if len(self._bytes) > LINE_MAX and b"\n" not in self._bytes:
            raise Error("the control socket sends a line without an end; is it that of a VM?")

    def next(self) -> dict[str, Any] | None:
        """The next whole message; None: more has to come. Error: it is none."""
        end = self._bytes.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._bytes)
            return None
        line = bytes(self._bytes[:end])
        del self._bytes[: end + 1]
        self._searched = 0
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise Error("the control socket sends what is no message; is it that of a VM?")
        return message


def event_of(message: dict[str, Any]) -> Event | None:
    """The event that a message is, or None."""
    name, members = message.get("method"), message.get("params", {})
    if not isinstance(name, str) or "id" in message or not isinstance(members, dict):
        return None
    return Event(name, members)


def result_of(message: dict[str, Any], request: Request[Any]) -> Any:
    """The result that an answer holds; raises the error that it holds."""
    if isinstance(message.get("error"), dict):
        raise from_answer(message["error"])
    answer = message.get("result")
    if not isinstance(answer, dict):
        raise Error(f"the answer to {request.method} is no result; is it that of a VM?")
    try:
        return request.result(answer)
    except (KeyError, TypeError, ValueError) as fault:
        raise Error(f"the answer to {request.method} lacks what it must have: {fault}") from None
