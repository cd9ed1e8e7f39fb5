# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Reads the commands of a page and what they print, and runs them.

A block `console` has commands behind "$ ", each with its output below; a line that ends in a backslash or
in a pipe goes on in the next. A block `sh` is one command, whose output is in the block `text` behind it, if there
is one. All commands run one after another in one shell, in an empty folder, without standard input.

In an output that a page shows, a line "..." stands for any lines, and "..." in a line for any text. What
differs from run to run need not be marked: times, dates, sizes with a unit, process numbers, addresses and long
hexadecimal numbers are only compared by their form.
"""
import os
import re
import signal
import subprocess

MARK = "\x1e"  # in front of what a command ended with
VARYING = (
    (r"^\[ *\d+\.\d+\] ", "[TIME] "),
    (r'("(?:generation|\w+_bytes|pause_us|pid|created_ns|file_len)": ?)\d+', r"\1N"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?", "DATE"),
    (r"\b0x[0-9a-f]+\b", "0xN"),
    (r"\b[0-9a-f]{16,}\b", "HEX"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
    (r"\b\d+(\.\d+)? (ns|us|ms|s|seconds|bytes|KiB|MiB|GiB|kHz|MHz)\b", r"N \2"),
    (r"\b(bytes|rtc=|chunks stored|PID) ?\d+\b", r"\1 N"),
    (r"\bstasis \d+\.\d+\.\d+ or later\b", "stasis RELEASE or later"),
)


def blocks(text):
    """(language, content) of each fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)


def commands(content):
    """(command, output) of a console block."""
    for part in re.split(r"^\$ ", content, flags=re.M)[1:]:
        command, newline, output = part.partition("\n")
        while command.endswith(("\\", "|")):
            more, newline, output = output.partition("\n")
            command += "\n" + more
        yield command, output if newline else ""


def steps(text):
    """(command, output or None) of a page; None where it shows nothing that could be compared."""
    found = []
    for language, content in blocks(text):
        if language == "console":
            found += commands(content)
        elif language == "sh":
            found.append((content.rstrip("\n"), None))
        elif language == "text" and found:
            found[-1] = (found[-1][0], content)
    return found


def plain(text):
    """Without what differs from run to run, and without what a serial port adds to the end of a line."""
    text = text.replace("\r", "")
    for pattern, replacement in VARYING:
        text = re.sub(pattern, replacement, text, flags=re.M)
    return text


def matches(shown, printed):
    """Whether a page may show this for what was printed."""
    pattern = ""
    for line in plain(shown).splitlines():
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(part) for part in line.split("...")) + r"\n"
    end = "\n" if printed and not printed.endswith("\n") else ""
    return re.fullmatch(pattern, plain(printed + end)) is not None


def script(found):
    """For a shell: the commands, and behind each the mark and the status that it leaves to the next."""
    lines = ["_done() { local status=$?; printf '%s%d\\n' '" + MARK + "' $status; return $status; }"]
    for command, _ in found:
        lines += [command, "_done"]
    return "\n".join(lines + ["wait", "_done", ""])


class Failure(Exception):
    """A command that does not do what its page says."""


def check(found, said):
    """Compares what the script has said, and yields each command."""
    parts = re.split(MARK + r"(\d+)\n", said)
    for at, (command, output) in enumerate(found):
        if 2 * at + 1 >= len(parts):
            raise Failure(f"this did not end:\n{command}\nand printed\n{parts[-1]}")
        printed, status = parts[2 * at], int(parts[2 * at + 1])
        status_is_shown = at + 1 < len(found) and found[at + 1][0] == "echo $?"
        if output is not None and not matches(output, printed):
            raise Failure(f"{command}\nprinted\n{printed}instead of\n{output}")
        if status and not status_is_shown:
            raise Failure(f"{command}\nended with status {status} and printed\n{printed}")
        yield command
    if 2 * len(found) + 1 >= len(parts):
        raise Failure("what the page has started in the background does not end")


def run(found, folder, environment, limit_s):
    """Runs the commands; returns what they print, also where one of them does not end."""
    path = os.path.join(folder, ".page.sh")
    with open(path, "w", encoding="utf-8") as file:
        file.write(script(found))
    with subprocess.Popen(
        ["bash", path], cwd=folder, env=environment, text=True, errors="replace", stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    ) as shell:
        try:
            said, _ = shell.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            said, _ = shell.communicate()
    return said
