# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The methods of the module are those of the control socket, with the same parameters; and options
are written as vmm reads them."""

import inspect
import json
import os
import re
import subprocess
import unittest

import stasis
from stasis import aio, requests

# What the module has otherwise: the descriptor of a folder comes with path, and subscribe() gives
# the events themselves.
RENAMED = {"snapshot": ({"name"}, set())}
# Python has a function for each type of result.
SPLIT = {"metrics": {"metrics", "metrics_text"}}


def table():
    """{method: parameters}, from the table by which vmm dispatches."""
    text = subprocess.run(
        [os.environ["STASIS_DOCS"], "man"],
        input="@methods@\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    methods, name = {}, None
    for line in text.splitlines():
        if found := re.fullmatch(r"## (.*)", line):
            name = found[1].replace("\\", "")
            methods[name] = set()
        elif found := re.fullmatch(r"\*([a-z\\_]+)\*=_.*", line):
            methods[name].add(found[1].replace("\\", ""))
    return methods


def parameters(function):
    return set(inspect.signature(function).parameters) - {"self"}


class Table(unittest.TestCase):
    def test_methods(self):
        methods = table()
        self.assertGreater(len(methods), 12)
        for kind in (stasis.Machine, aio.Machine):
            for name, wanted in methods.items():
                for python in SPLIT.get(name, {name.replace("-", "_")}):
                    function = getattr(kind, python, None)
                    self.assertIsNotNone(function, f"{kind} lacks {name}")
                    self.assertTrue(function.__doc__, f"{kind}.{python} has no docstring")
                    gone, more = RENAMED.get(name, (set(), set()))
                    expected = set() if name in SPLIT else wanted - gone | more
                    self.assertEqual(parameters(function), expected, f"{kind}.{python}")

    def test_requests_have_no_method_of_their_own(self):
        methods = table()
        for name, function in inspect.getmembers(requests, inspect.isfunction):
            if function.__module__ == requests.__name__ and not name.startswith("_"):
                self.assertTrue(
                    name.replace("_", "-") in methods
                    or any(name in some for some in SPLIT.values()),
                    name,
                )

    def test_all_that_is_public_is_documented(self):
        for module in (stasis, aio):
            for name in module.__all__:
                thing = getattr(module, name)
                self.assertTrue(inspect.getdoc(thing), f"{module.__name__}.{name}")


class Options(unittest.TestCase):
    def test_line(self):
        line = stasis.arguments(
            demo=True,
            paused=False,
            initrd=None,
            memory=64,
            snapshot_out={"path": "a,b", "after_ms": 5},
        )
        self.assertEqual(line, ["--demo", "--memory=64", '--snapshot-out=path="a,b",after_ms=5'])

    def test_list_repeats(self):
        line = stasis.arguments(
            block=[{"path": "a", "readonly": True}, {"path": "b", "root": False}]
        )
        self.assertEqual(line, ["--block=path=a,readonly=on", "--block=path=b,root=off"])

    def test_vmm_reads_what_is_quoted(self):
        for text in ('a"b', "'x", '"y', "a\\,b", 'p"q,r\\"', "plain"):
            kernel = {"path": "/nowhere/k", "cmdline": text}
            line = stasis.arguments(kernel=kernel, print_config=True)
            run = subprocess.run(
                [os.environ["STASIS_VMM"], *line], capture_output=True, text=True, check=False
            )
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual(json.loads(run.stdout)["kernel"]["cmdline"], text)


if __name__ == "__main__":
    unittest.main()
