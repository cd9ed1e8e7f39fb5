# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The methods of the control socket, one function each; vmm-control(7) describes them.

A function returns a Request, which a connection sends (stasis.machine and stasis.aio have the same
methods, and run these). A test compares names and parameters with the table of vmm.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Callable, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Version:
    """What answers: release of vmm, and number of its process."""

    version: str
    pid: int


@dataclass(frozen=True)
class Status:
    """State of the VM. Bytes of a snapshot are those of the one that is being saved."""

    state: str  # opened, running, pausing, paused, saving or ended
    paused: bool
    generation: int  # how often the guest was saved
    saved_bytes: int
    total_bytes: int
    balloon_bytes: int | None = None  # None: the guest has no balloon
    balloon_target_bytes: int | None = None


@dataclass(frozen=True)
class Saved:
    """A snapshot that was written."""

    path: str
    file_bytes: int
    stored_bytes: int  # bytes of memory that the file holds
    zero_bytes: int  # bytes of memory that are zero and not stored
    pause_us: int  # from the start of the freeze until the file was complete
    root: str | None = None  # what a layer on it can name as parent
    layer: bool = False
    more: dict[str, Any] = field(default_factory=dict)  # what a later release says besides


@dataclass(frozen=True)
class Event:
    """What happened: a name of vmm-control(7), EVENTS, and its members."""

    name: str
    members: dict[str, Any]


@dataclass(frozen=True)
class Request(Generic[T]):
    """A method, its parameters, and what makes a result of the answer.

    `folder` is a path whose descriptor goes with the request.
    """

    method: str
    params: dict[str, str]
    result: Callable[[dict[str, Any]], T]
    folder: str | None = None


def _given(**params: object) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}


def _nothing(_: dict[str, Any]) -> None:
    return None


KINDS: dict[str, type] = {"str": str, "int": int, "bool": bool}


def _members(kind: type[Any], names: tuple[str, ...], answer: dict[str, Any]) -> dict[str, Any]:
    """The members with these names, of the types that `kind` has. TypeError: one is of another."""
    found = {name: answer[name] for name in names if name in answer}
    for name, value in found.items():
        wanted, _, none = kind.__dataclass_fields__[name].type.partition(" | ")
        if type(value) is not KINDS[wanted] and not (none and value is None):
            raise TypeError(f"{name} is {value!r}")
    return found


def _known(kind: type[T], names: tuple[str, ...], answer: dict[str, Any]) -> T:
    """An object of `kind`; members of a later release are left out."""
    return kind(**_members(kind, names, answer))


def version() -> Request[Version]:
    """The release of vmm."""
    return Request("version", {}, lambda a: _known(Version, ("version", "pid"), a))


def status() -> Request[Status]:
    """The state of the VM."""
    names = tuple(Status.__dataclass_fields__)
    return Request("status", {}, lambda a: _known(Status, names, a))


def pause() -> Request[None]:
    """Stop the virtual CPUs."""
    return Request("pause", {}, _nothing)


def resume() -> Request[None]:
    """Let a paused guest run."""
    return Request("resume", {}, _nothing)


def snapshot(path: str | os.PathLike[str], **params: str | None) -> Request[Saved]:
    """Save the guest to a file; the folder of `path` is opened here."""
    folder, name = os.path.split(os.fspath(path))
    names = ("file_bytes", "stored_bytes", "zero_bytes", "pause_us", "root", "layer")

    def result(answer: dict[str, Any]) -> Saved:
        more = {k: v for k, v in answer.items() if k not in names and k != "name"}
        known = _members(Saved, names, answer)
        return Saved(os.fspath(path), **known, more=more)

    return Request("snapshot", {"name": name, **_given(**params)}, result, folder or ".")


def cancel(of: str | None = None) -> Request[None]:
    """Give up the snapshot that is being saved."""
    return Request("cancel", _given(of=of), _nothing)


def power_button() -> Request[None]:
    """Press the power button."""
    return Request("power-button", {}, _nothing)


def reset() -> Request[None]:
    """Reset the machine."""
    return Request("reset", {}, _nothing)


def balloon(target_mib: int) -> Request[None]:
    """Ask the guest for memory."""
    return Request("balloon", _given(target_mib=target_mib), _nothing)


def metrics() -> Request[dict[str, Any]]:
    """All counters."""
    return Request("metrics", {}, dict)


def metrics_text() -> Request[str]:
    """All counters as OpenMetrics text."""
    return Request("metrics", {"format": "openmetrics"}, lambda a: str(a["text"]))


def config() -> Request[dict[str, Any]]:
    """The configuration, defaults included."""
    return Request("config", {}, dict)


def subscribe() -> Request[None]:
    """Send events by this connection from now on."""
    return Request("subscribe", {}, _nothing)


def quit() -> Request[None]:
    """End the VM."""
    return Request("quit", {}, _nothing)
