# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""A build folder made by CMake and Ninja: which programs hold a source file, how it is compiled, how
they are linked, and the tests that run them."""
import collections
import json
import os
import re
import shlex
import subprocess

Test = collections.namedtuple("Test", "name command labels skip_status environment has_deadline")

# A mutant may warn. What only looks like a mutant, since C converts anything, does not compile.
STRICT = ["-Werror=incompatible-pointer-types", "-Werror=int-conversion", "-Werror=format",
          "-Werror=return-type", "-Werror=implicit-function-declaration"]
TEST_BUILD = ["-O0", "-g0"]
USERS_BUILD = ["-O2", "-g0", "-DNDEBUG"]


class Build:
    """The folder, made from the sources in `root`."""

    def __init__(self, root, folder):
        self.root, self.folder = root, folder
        self.edges = {}
        self.links = {}
        self._read_edges()
        with open(os.path.join(folder, "compile_commands.json"), encoding="utf-8") as file:
            commands = json.load(file)
        self.commands = {os.path.relpath(c["file"], root): c for c in commands}
        self.executables = sorted(out for out in self.edges if out.startswith("bin/") and
                                  os.path.exists(os.path.join(folder, out)))
        self._sources = {exe: self._closure(exe, 2) for exe in self.executables}
        self._needs = {exe: {other for other in self._closure(exe, 3) if other in self._sources}
                       for exe in self.executables}

    def _read_edges(self):
        """{output: (rule, inputs, implicit inputs, inputs that need only be there)}"""
        with open(os.path.join(self.folder, "build.ninja"), encoding="utf-8") as file:
            text = file.read().replace("$\n", "")
        for line in re.findall(r"^build (.*)$", text, re.M):
            outs, _, rest = re.sub(r"\$ ", "\0", line).partition(": ")
            parts = re.split(r" (\|\|?) ", rest.split(" |@ ")[0] + " ")
            rule, *inputs = parts[0].split()
            groups = {"": inputs, "|": [], "||": []}
            for mark, names in zip(parts[1::2], parts[2::2]):
                groups[mark] = names.split()
            for out in outs.split():
                if out != "|":
                    self.edges[out] = (rule, *groups.values())

    def _closure(self, out, kinds):
        """All that `out` is made from; the first `kinds` of its inputs count, at every step."""
        found, queue = set(), [out]
        while queue:
            edge = self.edges.get(queue.pop())
            for names in edge[1:1 + kinds] if edge else ():
                queue += [name for name in names if name not in found]
                found.update(names)
        found.add(out)
        return found

    def object_of(self, file):
        command = self.commands[file]
        out = shlex.split(command["command"])
        return os.path.relpath(os.path.join(command["directory"], out[out.index("-o") + 1]),
                               self.folder)

    def holders(self, file):
        """The executables that are linked with the file, or with its library."""
        wanted = self.object_of(file)
        return {exe for exe in self.executables if wanted in self._sources[exe]}

    def needed(self, test):
        """The executables that a test starts."""
        named = {os.path.relpath(word, self.folder) for word in test.command if word[:1] == "/"}
        return set().union(*(self._needs[exe] for exe in named if exe in self._needs))

    def tests(self):
        out = subprocess.check_output(
            ["ctest", "--test-dir", self.folder, "--show-only=json-v1"], text=True)
        for test in json.loads(out)["tests"]:
            props = {p["name"]: p["value"] for p in test.get("properties", ())}
            if "command" in test and {"unit", "kvm"} & set(props.get("LABELS", ())):
                yield Test(test["name"], test["command"], props["LABELS"],
                           props.get("SKIP_RETURN_CODE", -1), props.get("ENVIRONMENT", []),
                           "TIMEOUT" in props)

    def times(self):
        """{test: seconds it took in ctest, as far as known}"""
        path = os.path.join(self.folder, "Testing/Temporary/CTestCostData.txt")
        try:
            with open(path, encoding="utf-8") as file:
                rows = [line.split() for line in file]
        except OSError:
            return {}
        return {row[0]: float(row[2]) for row in rows if len(row) == 3 and int(row[1])}

    def compile(self, file, text, flags, out):
        """Whether `text` in place of the file's compiles; the source folder is not touched."""
        command = self.commands[file]
        path = os.path.join(self.root, file)
        words, kept = iter(shlex.split(command["command"])), []
        for word in words:
            if word in ("-o", "-c"):
                next(words)
            elif os.path.basename(word) != "ccache" and not re.match(r"-W(?!l,)|-[gO]", word):
                kept.append(word)
        kept += [*STRICT, *flags, "-iquote", os.path.dirname(path), "-x", "c", "-c", "-o", out, "-"]
        result = subprocess.run(kept, cwd=command["directory"], input=f'# 1 "{path}"\n{text}',
                                text=True, stderr=subprocess.DEVNULL, check=False)
        return result.returncode == 0

    def link(self, exe, file, mutant, out):
        """Links an executable with `mutant` in place of the file's object."""
        if exe not in self.links:
            self.links[exe] = subprocess.check_output(
                ["ninja", "-C", self.folder, "-t", "commands", "-s", exe], text=True).splitlines()[-1]
        words = shlex.split(self.links[exe])
        words = words[2:-2] if words[0] == ":" else words
        original = self.object_of(file)
        at = words.index("-o")
        words[at + 1] = out
        if original in words:
            words[words.index(original)] = mutant
        else:
            words.insert(at, mutant)  # so that the one in the archive is not asked for
        subprocess.run([*words, "-Wl,--strip-debug"], cwd=self.folder, check=True,
                       stdout=subprocess.DEVNULL)
