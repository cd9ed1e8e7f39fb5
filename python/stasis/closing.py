# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What is closed at the end of a with statement."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

T = TypeVar("T", bound="Closing")


class Closing:
    """A context manager whose end is close()."""

    def close(self) -> None:
        """Frees all that the object holds."""
        raise NotImplementedError

    def __enter__(self: T) -> T:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
