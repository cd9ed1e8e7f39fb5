# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""How a file is refused."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

from ..errors import Damaged, FileError


def require(condition: object, message: str) -> None:
    """Damaged: the condition does not hold."""
    if not condition:
        raise Damaged(message)


@contextmanager
def about(path: str, producer: str = "") -> Iterator[None]:
    """Errors that name no file yet are about this one."""
    try:
        yield
    except FileError as fault:
        fault.path = fault.path or path
        fault.producer = fault.producer or producer
        raise
