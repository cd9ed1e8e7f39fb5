# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The command line of vmm, from Python values.

The names of options and keys are those of vmm(1); this module knows none of them, so every option
of every release can be given.
"""

from __future__ import annotations

import os
from typing import Any, Mapping, Sequence, Union

Value = Union[bool, int, float, str, "os.PathLike[str]", None]
Option = Union[Value, Mapping[str, Value], Sequence[Any]]


def _quoted(text: str) -> str:
    """vmm(1), QUOTING: what holds a comma, or begins like a quotation."""
    if "," not in text and not text.startswith(("'", '"')):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _words(value: Option) -> list[str]:
    """What stands behind the name of an option: a list, since an option may be repeated."""
    if isinstance(value, Mapping):
        keys = (f"{k}={_quoted(_text(v))}" for k, v in value.items() if v is not None)
        return [",".join(keys)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [word for one in value for word in _words(one)]
    return [_text(value)]


def arguments(**options: Option) -> list[str]:
    """The arguments for these options.

    memory=512 is --memory 512, and so is memory={"size_mib": 512}. demo=True is --demo; None and
    False leave an option out. A list repeats it: block=[{"path": "a.img"}, {"path": "b.img"}].
    Values of keys are quoted; a string in place of a dictionary is taken as it is.
    """
    line: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            line.append(flag)
        else:
            line += [f"{flag}={word}" for word in _words(value)]
    return line
