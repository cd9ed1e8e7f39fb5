#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The tool itself, on a program of a few lines: which changes it makes, and its verdicts on some.

usage: test_mutants.py C_COMPILER
"""
import json
import os
import subprocess
import sys
import tempfile
import types
import unittest

import mutations
import mutants
import reach

HERE = os.path.dirname(os.path.abspath(__file__))
TOY = """\
int toy_max(int a, int b);
int toy_loop(int n);
int toy_unseen(int n);

int toy_max(int a, int b)
{
    if (a > b)
        return a;
    return b;
}

int toy_loop(int n)
{
    int i = 0;

    while (n > 0 && i >= 0)
        n -= 1;
    return n;
}

int toy_unseen(int n)
{
    return n + (n & 1);
}
"""
TEST = """\
int toy_max(int a, int b);
int toy_loop(int n);
int toy_unseen(int n);
int main(void)
{
    toy_unseen(1);
    return toy_max(1, 2) != 2 || toy_max(4, 3) != 4 || toy_loop(3);
}
"""
NINJA = """\
rule cc
  command = {cc} -c $in -o $out
rule ar
  command = rm -f $out; ar rc $out $in
rule link
  command = : && {cc} tests/toy.o -o bin/toy libtoy.a && :
build core/toy.o: cc {root}/core/toy.c
build tests/toy.o: cc {root}/tests/toy.c
build libtoy.a: ar core/toy.o
build bin/toy: link tests/toy.o | libtoy.a || core/toy.o
"""
LISTED = """\
core/toy.c toy_max
- if (a > b)
+ if (a >= b)
= equal numbers are the same, whichever is returned

core/toy.c gone
- if (a)
+ if (!(a))
= the function is gone
"""


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def changes(text):
    return [(mutations.squeezed(m.old), mutations.squeezed(m.new))
            for m in mutations.mutations("toy.c", text)]


class Changes(unittest.TestCase):
    def body(self, text):
        found = changes("int f(int *a, int b)\n{\n" + text + "\n    return 0;\n}\n")
        return [change for change in found if change[0] != "return 0;"]

    def test_bounds_and_operators(self):
        self.assertEqual(self.body("    if (b < 7)\n        b <<= 2;"), [
            ("if (b < 7)", "if (!(b < 7))"), ("if (b < 7)", "if (b <= 7)"),
            ("if (b < 7)", "if (b >= 7)"), ("if (b < 7)", "if (b < 8)"), ("if (b < 7)", "if (b < 6)"),
            ("b <<= 2;", "b >>= 2;"), ("b <<= 2;", "b <<= 3;"), ("b <<= 2;", "b <<= 1;"),
            ("b <<= 2;", ";")])

    def test_calls(self):
        self.assertEqual(self.body("    g(a, \"x\", b);"), [
            ('g(a, "x", b);', 'g("x", a, b);'), ('g(a, "x", b);', 'g(a, b, "x");'),
            ('g(a, "x", b);', ";")])

    def test_returns_and_branches(self):
        self.assertEqual(self.body("    if (!b)\n        return *a ? b : -b;")[2:], [
            ("return *a ? b : -b;", "return *a ? -b : b;"),
            ("return *a ? b : -b;", "return *a ? b : b;"),
            ("return *a ? b : -b;", ";"), ("return *a ? b : -b;", "return 0;")])

    def test_initializers_and_declarations(self):
        self.assertEqual(self.body("    struct s s = {.a = b, .c = true};\n    char d[4];"), [
            ("struct s s = {.a = b, .c = true};", "struct s s = {.a = 0, .c = true};"),
            ("struct s s = {.a = b, .c = true};", "struct s s = {.a = b, .c = 0};"),
            ("struct s s = {.a = b, .c = true};", "struct s s = {.a = b, .c = false};")])
        self.assertEqual(changes("static const int level[] = {0x10};\n"), [
            ("static const int level[] = {0x10};", "static const int level[] = {0x11};"),
            ("static const int level[] = {0x10};", "static const int level[] = {0xf};")])

    def test_no_change_of_the_length_of_an_array(self):
        self.assertEqual(self.body("    char d[4], e[5] = \"\", *f[6];"), [])
        self.assertEqual(len(self.body("    a[4] = g(a, a[5]);")), 6)

    def test_no_more_room_and_no_other_order_of_calloc(self):
        self.assertEqual(self.body("    a = calloc(1, b);"), [
            ("a = calloc(1, b);", "a = calloc(0, b);"), ("a = calloc(1, b);", ";")])

    def test_no_other_number_for_no_descriptor(self):
        self.assertEqual(self.body("    a.fd = -1;"), [
            ("a.fd = -1;", "a.fd = 1;"), ("a.fd = -1;", "a.fd = -0;"), ("a.fd = -1;", ";")])
        self.assertIn(("a = -1;", "a = -2;"), self.body("    a = -1;"))

    def test_no_change_of_what_is_expected(self):
        self.assertNotIn("return __builtin_expect(b, false);",
                         [new for _, new in self.body("    return __builtin_expect(b, true);")])

    def test_no_change_in_checks_comments_and_macros(self):
        self.assertEqual(self.body("#define A(x) (x + 1)\n    assert(b < 7); /* 1 + 2 */"), [])

    def test_a_name_in_brackets_is_that_of_the_function(self):
        for head in ("int f(int a)", "int(f)(int a)"):
            found = mutations.mutations("f.c", head + "\n{\n    return a;\n}\n")
            self.assertEqual({m.function for m in found}, {"f"})

    def test_ids_outlive_moves_and_lines_stay(self):
        for before, after in zip(mutations.mutations("f.c", TOY), mutations.mutations("f.c", "\n" + TOY)):
            self.assertEqual((before.id, before.line + 1), (after.id, after.line))
            self.assertEqual(mutations.apply(TOY, before.edits).count("\n"), TOY.count("\n"))

    def test_every_room_has_a_goal(self):
        self.assertEqual(sorted(mutants.LIBRARIES + ("vmm",)), sorted(mutants.ROOMS))

    def test_too_few_are_no_result(self):
        outcomes = [types.SimpleNamespace(mutation=types.SimpleNamespace(file="vmm/a.c"),
                                          result=mutants.SURVIVED) for _ in range(7)]
        bad = list(mutants.missed(outcomes, 25, 8))
        self.assertEqual(mutants.status_of(outcomes, bad, 8), mutants.SKIPPED)
        bad = list(mutants.missed(outcomes, 25, 7))
        self.assertEqual(mutants.status_of(outcomes, bad, 7), 1)

    def test_a_seed_is_an_order(self):
        found = list(mutations.mutations("f.c", TOY))
        order = mutants.in_order(found, "1")
        self.assertEqual(order, mutants.in_order(found[::-1], "1"))
        self.assertNotEqual(order, mutants.in_order(found, "2"))
        lines = {m.line for m in found}
        self.assertEqual({m.line for m in order[:len(lines)]}, lines)


    def test_the_first_tests_are_tried_whatever_they_take(self):
        def names(tests):
            return "".join(test.name for test in tests)

        tests = [types.SimpleNamespace(name=name) for name in "abcdef"]
        times = {"a": 50, "b": 50, "c": 50, "d": 20, "e": 60, "f": 9}
        tried, left = mutants.within(tests, 200, times)
        self.assertEqual((names(tried), names(left)), ("abcdf", "e"))
        tried, left = mutants.within(tests, 1, times)
        self.assertEqual((names(tried), names(left)), ("abc", "def"))
        self.assertEqual(mutants.within(tests, float("inf"), times), (tests, []))


class Reached(unittest.TestCase):
    """What is known of a test that was ended, of one that was not, and of one without the file."""

    def test_a_test_that_was_ended_may_reach_all_that_it_holds(self):
        mutation = next(m for m in mutations.mutations("f.c", TOY) if m.function == "toy_max")
        reached = reach.Reach.__new__(reach.Reach)
        reached.build = types.SimpleNamespace(holders=lambda file: {"bin/a", "bin/b"})
        reached.needed = {"a": {"bin/a"}, "b": {"bin/b"}, "c": {"bin/c"}}
        reached.lines = {"f.c": {"toy_max": [mutation.line]}}
        reached.tests = {
            "a": {"ended": False, "files": {"f.c": {"toy_max": [mutation.line]}}},
            "b": {"ended": True, "files": {}}, "c": {"ended": True, "files": {}}}
        self.assertEqual(reached.of(mutation), ({"a"}, {"b"}))


class Verdicts(unittest.TestCase):
    def setUp(self):
        # pylint: disable=consider-using-with
        self.folder = tempfile.TemporaryDirectory(prefix="stasis-mutants-")
        self.addCleanup(self.folder.cleanup)
        root = self.root = os.path.join(self.folder.name, "root")
        build = os.path.join(root, "build/dev")
        write(f"{root}/core/toy.c", TOY)
        write(f"{root}/tests/toy.c", TEST)
        write(f"{root}/equivalent.txt", LISTED)
        write(f"{build}/build.ninja", NINJA.format(cc=sys.argv[1], root=root))
        write(f"{build}/compile_commands.json", json.dumps([
            {"directory": build, "file": f"{root}/core/toy.c",
             "command": f"{sys.argv[1]} -o core/toy.o -c {root}/core/toy.c"}]))
        write(f"{build}/CTestTestfile.cmake", f"add_test(toy \"{build}/bin/toy\")\n"
              "set_tests_properties(toy PROPERTIES LABELS unit)\n")
        subprocess.run(["ninja", "-C", build, "bin/toy"], check=True, stdout=subprocess.DEVNULL)

    def judge(self, *wanted, options=()):
        """{(line before, after): what the log says}, and the whole run."""
        ids = {m.id: (mutations.squeezed(m.old), mutations.squeezed(m.new))
               for m in mutations.mutations("core/toy.c", TOY)}
        picked = [f"-m{i}" for i, change in ids.items() if change in wanted]
        self.assertEqual(len(picked), len(wanted))
        result = subprocess.run(
            [sys.executable, "-B", os.path.join(HERE, "mutants.py"), "--quick", "--root", self.root,
             "--equivalent", f"{self.root}/equivalent.txt", *picked, *options],
            text=True, capture_output=True, check=False)
        with open(f"{self.root}/build/mutants/log", encoding="utf-8") as file:
            rows = [line.split() for line in file]
        return {ids[words[i + 1]]: " ".join(words[:i]).rstrip(":") for words in rows
                for i, word in enumerate(words) if word.startswith("core/toy.c:")}, result

    def test_verdicts(self):
        expected = {
            ("if (a > b)", "if (a <= b)"): "killed",
            ("return n + (n & 1);", "return n - (n & 1);"): "survived",
            ("if (a > b)", "if (a >= b)"): "listed",
            ("int i = 0;", "int i = 1;"): "same object code",
        }
        found, result = self.judge(*expected)
        self.assertEqual(found, expected, result.stderr)
        self.assertEqual(result.returncode, 1)
        self.assertIn("core/toy.c:23: toy_unseen: operator", result.stdout)
        self.assertIn("stale, no such change is made any more: core/toy.c gone", result.stderr)
        with open(f"{self.root}/core/toy.c", encoding="utf-8") as file:
            self.assertEqual(file.read(), TOY)

    def test_tests_of_other_names_are_not_run(self):
        killed = ("if (a > b)", "if (a <= b)")
        for pattern, expected in (("^t.y$", "killed"), ("other", "survived")):
            found, result = self.judge(killed, options=("-t", pattern))
            self.assertEqual(found, {killed: expected}, result.stderr)

    def test_mutant_running_at_the_end_of_the_time_is_not_judged(self):
        hangs = ("n -= 1;", ";")
        found, result = self.judge(hangs, options=("--seconds", "1"))
        self.assertEqual((found, result.returncode), ({}, mutants.SKIPPED), result.stderr)
        self.assertIn("\njudged: 0\n", result.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
