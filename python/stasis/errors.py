# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What can go wrong, as exceptions."""

from __future__ import annotations

from typing import Any


class Error(Exception):
    """A request or a program of Stasis failed.

    str() is one line for people. `code` is the exit status that vmm(1) lists for the cause, or a
    negative number of JSON-RPC. `name` is a word for programs, such as GUEST_PAUSED. `remedy` is
    the part of the message that says what to do.
    """

    def __init__(self, message: str, code: int = 1, name: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.remedy = remedy


class Ended(Error):
    """The VM has ended, so that nothing can be asked of it; `code` is the exit status of vmm."""


def from_answer(error: dict[str, Any]) -> Error:
    """The exception for the member "error" of an answer."""
    data = error.get("data")
    data = data if isinstance(data, dict) else {}
    return Error(
        str(data.get("message") or error.get("message") or "the VM refuses the request"),
        error["code"] if isinstance(error.get("code"), int) else 1,
        str(data.get("name", "")),
        str(data.get("remedy", "")),
    )
