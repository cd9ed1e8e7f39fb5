#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Compares the messages in the sources with those that the tests have provoked.

Every call of stasis_fail(), stasis_fail_errno() and STASIS_REFUSE() is a site. The tests note the formats that they
reach, and the lines that programs print (tests/support/messages.c). Each site must be among them or
stand in unprovoked.txt with the reason, and so must each error of errors.def; a few new ones may
wait for their test (LATER_MAX), since what a test reaches depends a little on the host. Formats are held to the form of a
message: one line, no full stop, no capital letter that is no name.

usage: test_sites.py SOURCE_FOLDER NOTES_FOLDER [TEST...]

With TESTs, all of these must have left notes, else the comparison is skipped (status 77).
"""
import os
import re
import sys

LATER_MAX = 12
FOLDERS = ("base", "common", "core", "state", "state-ser", "tools", "vmm")
UNPROVOKED = "no test provokes this message"
CALL = re.compile(r"\b(?:stasis_fail(?:_errno)?|(STASIS_REFUSE))\s*\(")
TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([A-Za-z_]\w*)|(\s+)|(.)', re.S)
PRINTF = {"64": "l", "32": "", "16": "", "8": ""}


def without_comments(text):
    pattern = re.compile(r'"(?:[^"\\\n]|\\.)*"|/\*.*?\*/|//[^\n]*', re.S)
    return pattern.sub(lambda m: m[0] if m[0][0] == '"' else re.sub(r"[^\n]", " ", m[0]), text)


def arguments(text, at):
    """The arguments of the call whose parenthesis opens before `at`."""
    found, depth, start, quoted = [], 0, at, False
    while True:
        char = text[at]
        if quoted:
            at += char == "\\"
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in "([{":
            depth += 1
        elif char in ")]}" and depth:
            depth -= 1
        elif char in ",)" and not depth:
            found.append(text[start:at].strip())
            start = at + 1
            if char == ")":
                return found
        at += 1


def format_of(argument, defines):
    """The string that a format argument is, or None if it is not a literal."""
    text = ""
    for literal, name, _, other in TOKEN.findall(argument):
        printf = re.fullmatch(r"PRI([diuxX])(64|32|16|8)", name)
        if printf:
            text += PRINTF[printf[2]] + printf[1]
        elif name in defines:
            text += defines[name]
        elif name or other:
            return None
        else:
            text += literal
    return text.encode().decode("unicode_escape")


def sites_of(path, text):
    text = without_comments(text)
    defines = dict(re.findall(r'#define\s+(\w+)\s+"((?:[^"\\]|\\.)*)"', text))
    for call in CALL.finditer(text):
        args = arguments(text, call.end())
        if call[1]:
            del args[1:2]  # the errno that the library gives
        if len(args) < 3 or args[1] == "code" or args[1].startswith("enum "):
            continue  # its own definition, or a function that is told the format
        yield path, text.count("\n", 0, call.start()) + 1, format_of(args[2], defines)


def sites(root):
    found = []
    for folder in FOLDERS:
        for place, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                path = os.path.join(place, name)
                if name.endswith(".c") and name != "error.c":
                    with open(path, encoding="utf-8") as file:
                        found += sites_of(os.path.relpath(path, root), file.read())
    return found


def listed(root):
    """{(path, format): reason} of unprovoked.txt: "path | format | reason"."""
    found = {}
    with open(os.path.join(root, "tests/messages/unprovoked.txt"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                path, text, reason = (part.strip() for part in line.split(" | "))
                found[path, text] = reason
    return found


def errors(root):
    with open(os.path.join(root, "base/include/stasis/errors.def"), encoding="utf-8") as file:
        return {int(number): name
                for name, number in re.findall(r"^STASIS_ERROR\((\w+), (\d+),", file.read(), re.M)}


class Notes:
    """What was noted, which is used up."""

    def __init__(self, folder):
        self.formats, self.codes, self.lines = set(), set(), set()
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    self.add(*line.rstrip("\n").partition(" ")[::2])
            os.unlink(path)
        self.printed = "\n".join(sorted(self.lines))

    def add(self, code, text):
        if code == ">":
            self.lines.add(text)
        elif code.isdigit():
            self.codes.add(int(code))
            self.formats.add(text)

    def have(self, text):
        if text in self.formats:
            return True
        words = re.split(r"%[-+ #0]*[\d.*]*(?:hh|h|ll|l|z|j)?[a-zA-Z%]", text)
        if sum(map(len, words)) < 12:  # it would be found in any line
            return False
        return re.search("[^\n]*".join(map(re.escape, words)), self.printed) is not None


def bad_form(text):
    if not text or text != text.strip() or re.search(r"[\x00-\x1f\x7f]", text):
        return "is not one line of text"
    if text[-1] in ".!":
        return "ends with a full stop"
    if re.match(r"[A-Z][a-z]", text):
        return "begins with a capital letter"
    return None


def check(found, noted, known, names):
    """What is wrong, line by line."""
    for path, line, text in found:
        key = path, text or "(chosen at run time)"
        if text is None and key not in known:
            yield f"{path}:{line}: the format is chosen at run time; list it in unprovoked.txt"
        elif text is not None and bad_form(text):
            yield f"{path}:{line}: the message {bad_form(text)}: {text}"
        elif text is not None and key not in known and not noted.have(text):
            yield f"{path}:{line}: {UNPROVOKED}: {text}"
    present = {(path, text or "(chosen at run time)") for path, _, text in found}
    present |= {("errors.def", name) for name in names.values()}
    for path, text in known:
        if (path, text) not in present:
            yield f"unprovoked.txt: there is no such message any more: {path}: {text}"
    for number, name in names.items():
        if number not in noted.codes and ("errors.def", name) not in known:
            yield f"no test provokes STASIS_ERR_{name}"


def main():
    root, folder = sys.argv[1:3]
    missing = [name for name in sys.argv[3:] if not os.path.exists(os.path.join(folder, name))]
    if missing:
        print(f"skipped: {len(missing)} tests have left no notes, {missing[0]} is one: run all unit "
              "tests together with this one")
        return 77
    noted = Notes(folder)
    found, known, names = sites(root), listed(root), errors(root)
    wrong = list(check(found, noted, known, names))
    print("\n".join(wrong))
    provoked = sum(1 for _, _, text in found if text is not None and noted.have(text))
    print(f"{len(found)} sites: {provoked} provoked, {len(known)} listed with a reason; "
          f"{len(noted.codes & set(names))} of {len(names)} errors provoked; {len(wrong)} faults")
    later = sum(1 for line in wrong if UNPROVOKED in line)
    return 1 if later > LATER_MAX or later < len(wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
