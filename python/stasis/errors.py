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
    kind = Ended if data.get("name") == "ENDED" else Error
    return kind(
        str(data.get("message") or error.get("message") or "the VM refuses the request"),
        error["code"] if isinstance(error.get("code"), int) else 1,
        str(data.get("name", "")),
        str(data.get("remedy", "")),
    )


def printable(path: str) -> str:
    """For a line: a name may hold line breaks, escape sequences, and bytes that are no text."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path)


class FileError(Error):
    """A snapshot, or a file that it lies on, was refused.

    str() is one line: the file, what is wrong with it, and what to do. `path` is the file, and
    `message` says what is wrong without it. `code` is the exit status that vmm(1) and
    snapshot-inspect(1) have for the cause.
    """

    status = 3
    word = "DAMAGED"
    advice = ""

    def __init__(self, message: str, code: int | None = None, remedy: str | None = None) -> None:
        remedy = self.advice if remedy is None else remedy
        super().__init__(message, self.status if code is None else code, self.word, remedy)
        self.message = message
        self.path = ""
        self.producer = ""

    def __str__(self) -> str:
        place = f"{printable(self.path)}: " if self.path else ""
        maker = f"made by {self.producer}: " if self.producer and isinstance(self, Newer) else ""
        return f"{place}{maker}{self.message}" + (f"; {self.remedy}" if self.remedy else "")


class Damaged(FileError):
    """The file breaks a rule of the format: it was cut short, or changed since it was written."""

    advice = "restore the file from a copy"


class Foreign(FileError):
    """The file is no snapshot of a guest: something else, or the overlay of a disk (code 4)."""

    word = "FOREIGN"
    advice = "name a snapshot"


class Newer(FileError):
    """The file is sound, but has something that this release does not know.

    `producer` is the program that wrote it, such as "stasis 0.3.0": that release reads it.
    """

    status, word = 4, "NEWER"
    advice = "use the release that made it, or a later one"


class MissingParent(FileError):
    """The file is a layer, and a file that it lies on is not where it was looked for."""

    status, word = 2, "MISSING_PARENT"
    advice = "name the folder of the files that it lies on by layers="


class InUse(FileError):
    """The file is the overlay of a disk that a guest uses: it changes while it is read."""

    status, word = 2, "IN_USE"
    advice = "end the guest, or name an overlay that is sealed"
