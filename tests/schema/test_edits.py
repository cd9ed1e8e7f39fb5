#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Edits the lists of states, one at a time, and wants the lock to catch what would break files.

The sources are copied and frozen as they are. Each edit is then compiled twice: with the lock of
that freeze, and with an empty one, as if somebody had written it anew; what compiles is checked
against the frozen text. Usage: test_edits.py SOURCE_DIR LIB_DIR SANITIZERS COMPILER...
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from multiprocessing.pool import ThreadPool

SOURCE, LIBS, SANITIZERS = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
COMPILER = sys.argv[4:] + ["-std=gnu17", "-D_GNU_SOURCE", "-O0"]
COMPILER += [f"-fsanitize={SANITIZERS}"] if SANITIZERS else []

LISTS = "state/include/stasis/state/"
ALL, ENUMS, SCHEMAS = LISTS + "all.def", LISTS + "enums.def", "state/schemas.c"
LOCK = "state/lock.def"


class Tree:
    """A copy of the sources, in which an edit that does not apply is an error."""

    def __init__(self, root):
        self.root = root
        shutil.copytree(SOURCE / "state", root / "state")

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8")

    def sub(self, path, pattern, new):
        text, count = re.subn(pattern, new, self.text(path), flags=re.MULTILINE)
        assert count == 1, f"{path}: {pattern} is there {count} times"
        (self.root / path).write_text(text, encoding="utf-8")

    def append(self, path, line):
        (self.root / path).write_text(self.text(path) + line + "\n", encoding="utf-8")

    def version(self, record):
        return int(re.search(rf'RECORD\({record}, "[^"]+", (\d+),', self.text(ALL))[1])

    def next_id(self, state):
        return len(re.findall(r"^STASIS_(?!WAS)", self.text(f"{LISTS}{state}.def"),
                              re.MULTILINE)) + 1


# ---- what an edit is made of: functions of a tree ----

def row(state, pattern, new):
    return lambda tree: tree.sub(f"{LISTS}{state}.def", pattern, new)


def record(name, pattern, new):
    return lambda tree: tree.sub(ALL, rf'^(STASIS_RECORD\({name}, .*){pattern}', new)


def bump(name, by=1):
    return lambda tree: tree.sub(ALL, rf'RECORD\({name}, ("[^"]+"), \d+,',
                                 rf"RECORD({name}, \1, {tree.version(name) + by},")


FIELD = 'STASIS_INT({id}, uint8_t, x, {since}, 0, 1, "x")'


def add(state, text, held_by=None, since=0):
    """Adds a row; `since` counts from the record's version in the tree."""
    def edit(tree):
        version = tree.version(held_by or state) + since
        tree.append(f"{LISTS}{state}.def",
                    text.format(id=tree.next_id(state), since=version, before=version))
    return edit


def migration(name, up="", down=""):
    """Gives the record, bumped before, a migration to its version; up and down are statements about
    `own`, its state."""
    def edit(tree):
        functions = "".join(
            f"static void {which}(void *state)\n{{\n    struct stasis_{name}_state *own = state;\n"
            f"    (void)own;\n    {code}\n}}\n" for which, code in (("up", up), ("down", down)))
        tree.sub(SCHEMAS, r"^(#define STASIS_SCHEMA\()", functions +
                 "static const struct stasis_migration seeded[] "
                 rf"= {{{{{tree.version(name)}, up, down}}, {{0}}}};\n\1")
        tree.sub(ALL, rf"^(STASIS_RECORD\({name}, .*), NULL, ", r"\1, seeded, ")
    return edit


def retire(state, name, until=0):
    """The record, bumped before, loses a field; `until` counts from its version."""
    def edit(tree):
        tree.sub(f"{LISTS}{state}.def", rf"(, {name}), 1,",
                 rf"\1, STASIS_REMOVED(1, {tree.version(state) + until}),")
    return edit


def drop(state, name):
    """Removes a row and closes the gap in the ids."""
    def edit(tree):
        path = f"{LISTS}{state}.def"
        gone = int(re.search(rf"^STASIS_\w+\((\d+), .*\b{name}, ", tree.text(path),
                             re.MULTILINE)[1])
        tree.sub(path, rf"^STASIS_\w+\({gone}, .*\n", "")
        for number in range(gone + 1, tree.next_id(state) + 1):
            tree.sub(path, rf"^(STASIS_\w+)\({number}, ", rf"\1({number - 1}, ")
    return edit


def squeeze_in(state, number, text):
    """Puts a row before id `number` and shifts the others."""
    def edit(tree):
        path = f"{LISTS}{state}.def"
        for last in range(tree.next_id(state) - 1, number - 1, -1):
            tree.sub(path, rf"^(STASIS_\w+)\({last}, ", rf"\1({last + 1}, ")
        tree.sub(path, rf"^(STASIS_\w+\({number + 1}, )", text + r"\n\1")
    return edit


def swap(state, one, other):
    """Two rows change places; each place keeps its id."""
    def edit(tree):
        path = f"{LISTS}{state}.def"
        rows = {name: re.search(rf"^STASIS_\w+\(\d+(, .*\b{name}, .*)$", tree.text(path),
                                re.MULTILINE)[1] for name in (one, other)}
        for name, new in ((one, other), (other, one)):
            tree.sub(path, re.escape(rows[name]) + "$", rows[new].replace("\\", r"\\") + " ")
    return edit


def enum(pattern, new):
    return lambda tree: tree.sub(ENUMS, pattern, new)


def new_type(tree):
    """A record type more, in every place that needs it."""
    shutil.copy(tree.root / f"{LISTS}x86_tsc.def", tree.root / f"{LISTS}x86_new.def")
    tree.sub(ALL, r'^(STASIS_RECORD\(x86_pic, )', r'STASIS_RECORD(x86_new, "x86.new", 1, false, '
             r'NULL, "new")\n\1')
    tree.sub("state/checks.h", r"^(#define stasis_check_machine )",
             r"#define stasis_check_x86_new NULL\n\1")
    tree.sub("state/include/stasis/state.h", r'^#define STASIS_DEF "stasis/state/x86_tsc.def"',
             '#define STASIS_DEF "stasis/state/x86_new.def"\nstruct stasis_x86_new_state {\n'
             '#include "stasis/def_struct.h"\n};\n\\g<0>')
    tree.sub(SCHEMAS, r"^#define STASIS_NAME x86_tsc$", "#define STASIS_NAME x86_new\n"
             '#define STASIS_DEF  "stasis/state/x86_new.def"\n'
             f'#include "{include_of(tree)}"\n\n\\g<0>')


def include_of(tree):
    return re.search(r'#include "(\S*def_fields.h)"', tree.text(SCHEMAS))[1]


# ---- the edits ----

SEEN = "changed without a version migration"  # what the compiler says where the lock sees it
SAME = "compatible, without a version migration"
MIGRATION, BREAKING = "needs-migration", "breaking"

# What was done, how, what the compiler says (None: it cannot see it), what the check says.
WRONG = [
    # Without a new version of the record.
    ("field added", [add("serial", FIELD)],
     SEEN, rf"serial\.x \(id \d+\) is new.*{SAME}.*since"),
    ("field added in the middle", [squeeze_in(
        "pl031", 2, 'STASIS_INT(2, uint32_t, x, 1, 0, 1, "x")')],
     SEEN, rf"pl031\.mr had id 2, has 3: {BREAKING}"),
    ("last field removed", [drop("pl031", "ris")], SEEN, rf"pl031\.ris is gone: {BREAKING}"),
    ("field in the middle removed", [drop("x86_pic", "poll")],
     SEEN, rf"pic\.special_mask had id \d+, has \d+: {BREAKING}"),
    ("unlike fields reordered", [swap("pl031", "counter_ns", "mr")],
     SEEN, rf"mr had id 2, has 1: {BREAKING}"),
    ("like fields reordered", [swap("x86_regs", "rsi", "rdi")],
     None, rf"rsi had id 5, has 6: {BREAKING}"),
    ("field retyped to signed", [row("x86_clock", r"uint64_t, clock_ns", "int64_t, clock_ns")],
     SEEN, rf"clock_ns was kind=int size=8 .*, is .*size=8 signed=1 .*: {BREAKING}"),
    ("field widened", [row("pl031", r"uint32_t, mr,", "uint64_t, mr,")],
     SEEN, rf"mr was kind=int size=4 .*, is kind=int size=8 .*: {BREAKING}"),
    ("field narrowed", [row("pl031", r"uint32_t, imsc,", "uint8_t, imsc,")],
     SEEN, rf"imsc was kind=int size=4 .*, is kind=int size=1 .*: {BREAKING}"),
    ("integer made an array", [row("pl031", r"INT\((3, uint32_t, lr), 1, 0,", r"INTS(\1, 1, 1,")],
     SEEN, rf"lr was kind=int .*, is kind=ints .*: {BREAKING}"),
    ("integer made an array that counts what it defaulted to", [
        row("board", r"INT(\(7, uint32_t, pit_speaker_dummy,)", r"INTS\1")],
     SEEN, rf"pit_speaker_dummy was kind=int .*, is kind=ints .*: {BREAKING}"),
    ("array resized", [row("x86_debugregs", r"db, 4,", "db, 8,")],
     SEEN, rf"db was .*count=4 .*is .*count=8 .*: {BREAKING}"),
    ("field renamed", [row("serial", r"\bscr\b", "scratch")],
     None, rf"scr \(id 7\) is named scratch: {SAME}"),
    ("default changed", [row("serial", r"msr, 1, 0xb0", "msr, 1, 0x30")],
     SEEN, rf'msr defaulted to "0xb0", now to "0x30": {MIGRATION}, without .*and register a migration'),
    ("string default replaced", [row("board", r'"host"', '"best"')],
     None, rf'cpu_model defaulted to "host", now to "best": {MIGRATION}'),
    ("string default longer", [row("board", r'"host"', '"hosts"')],
     SEEN, rf"cpu_model defaulted .*: {MIGRATION}"),
    ("mask grown", [row("i8042", r"0x05, 0x7f", "0x05, 0xff")],
     SEEN, rf"command_byte had mask 0x7f, has 0xff: {SAME}.*STASIS_OLD_BOUND"),
    ("mask narrowed", [row("serial", r"mcr, 1, 0, 0x1f", "mcr, 1, 0, 0x0f")],
     SEEN, rf"mcr had mask 0x1f, has 0xf: {BREAKING}"),
    ("mask of an array narrowed", [row("x86_ioapic", r"24, 1, UINT64_MAX", "24, 1, UINT32_MAX")],
     SEEN, rf"redirtbl had mask .*: {BREAKING}"),
    ("buffer grown", [row("serial", r"rx_fifo, 64", "rx_fifo, 128")],
     SEEN, rf"rx_fifo had maximum 0x40, has 0x80: {SAME}.*STASIS_OLD_BOUND"),
    ("buffer shrunk", [row("serial", r"tx_fifo, 64", "tx_fifo, 32")],
     SEEN, rf"tx_fifo had maximum 0x40, has 0x20: {BREAKING}"),
    ("registers of a buffer resized", [row("x86_xsave", r"st, 128, 16", "st, 128, 8")],
     SEEN, rf"st was kind=bytes size=16 .*, is kind=bytes size=8 .*: {BREAKING}"),
    ("string grown", [row("machine", r"host_cpu, 128", "host_cpu, 256")],
     SEEN, rf"host_cpu had maximum .*: {SAME}"),
    ("list grown", [row("x86_msrs", r"msrs, 512", "msrs, 1024")],
     SEEN, rf"msrs had maximum .*: {SAME}"),
    ("list shrunk", [row("board", r"devices, 32", "devices, 16")],
     SEEN, rf"devices had maximum .*: {BREAKING}"),
    ("field of a nested state changed", [row("x86_segment", r"dpl, 1, 0, 3", "dpl, 1, 0, 1")],
     SEEN, rf"x86\.sregs/x86_segment\.dpl had mask 0x3, has 0x1: {BREAKING}"),
    ("field of a nested state added", [add("x86_msr", FIELD,
                                           held_by="x86_msrs")],
     SEEN, rf"x86\.msrs/x86_msr\.x .*is new.*{SAME}"),
    ("another state nested", [row("x86_sregs", r"x86_dtable, gdt", "x86_segment, gdt")],
     SEEN, rf"gdt was .*sub=x86_dtable, is .*sub=x86_segment: {BREAKING}"),
    ("field retired", [retire("pl031", "lr", 1)],
     SEEN, r"pl031\.lr: gone from version \d+, but .*has version"),
    ("field said to be new", [row("pl031", r"(, lr), 1,", r"\1, 99,")],
     SEEN, r"pl031\.lr: since version 99, but .* has version \d+; raise that"),
    ("record made optional", [record("x86_clock", "false", r"\1true")],
     SEEN, rf"x86\.clock was mandatory, is optional: {BREAKING}"),
    ("version lowered", [record("x86_clock", r", \d+,", r"\1, 0,")],
     SEEN, r"has version 0; raise that"),
    ("record type removed", [lambda tree: tree.sub(ALL, r"^STASIS_RECORD\(x86_clock, .*\n", "")],
     "x86_clock_version.* undeclared|undeclared.*x86_clock_version",
     rf"x86\.clock is gone: {BREAKING}"),
    ("record type renamed", [record("x86_clock", r'"x86\.clock"', r'\1"x86.cloc"')],
     None, rf"x86\.clock is gone: {BREAKING}"),
    ("named number changed", [enum(r"MMIO, 1,", "MMIO, 2,")],
     "was renumbered", rf"stasis\.board/BUS\.MMIO was 1, is 2: {BREAKING}"),
    ("named numbers swapped", [enum(r"HALTED, 3,", "SIPI_RECEIVED, 3,"),
                               enum(r"SIPI_RECEIVED, 4,", "HALTED, 4,")],
     "was renumbered", rf"MP_STATE\.HALTED was 3, is 4: {BREAKING}"),
    ("named number removed", [enum(r"^STASIS_ENUM\(MP_STATE, SIPI_RECEIVED.*\n", "")],
     "undeclared", rf"SIPI_RECEIVED \(4\) is gone: {BREAKING}"),
    ("named number renamed", [enum(r"MP_STATE, HALTED", "MP_STATE, STOPPED")],
     "undeclared", rf"HALTED \(3\) is named STOPPED: {SAME}"),
    ("named number added", [enum(r"\Z", 'STASIS_ENUM(MP_STATE, X, 5, 1, "x")\n')],
     None, rf"MP_STATE has 6 values in released versions, had 5: {SAME}"),
    # With a new version, which the compiler takes for an answer; the check does not.
    ("field widened in a new version", [
        bump("pl031"), row("pl031", r"uint32_t, mr,", "uint64_t, mr,")],
     None, rf"mr was kind=int size=4 .*: {BREAKING}"),
    ("last field removed in a new version", [bump("pl031"), drop("pl031", "ris")],
     None, rf"ris is gone: {BREAKING}: put the row back"),
    ("like fields reordered in a new version", [bump("x86_regs"), swap("x86_regs", "rsi", "rdi")],
     None, rf"rsi had id 5, has 6: {BREAKING}"),
    ("field added to the old version", [bump("serial"), add("serial", FIELD, since=-1)],
     None, r"x \(id \d+\) is new, since version \d+: compatible: give the row"),
    ("id reused", [bump("pl031"), row("pl031", r"uint32_t, lr, 1,", "uint32_t, new_lr, 2,")],
     None, rf"lr \(id 3\) came with version 1, now with 2 and as new_lr: {BREAKING}"),
    ("mask grown without its past", [bump("i8042"), row("i8042", r"0x05, 0x7f", "0x05, 0xff")],
     None, r"command_byte had mask 0x7f, has 0xff: compatible: add a row STASIS_OLD_BOUND"),
    ("mask narrowed with its past", [
        bump("serial"), row("serial", r"mcr, 1, 0, 0x1f", "mcr, 1, 0, 0x0f"),
        add("serial", "STASIS_OLD_BOUND({before}, 4, mcr, 0x1f)")],
     None, rf"mcr had mask 0x1f, has 0xf: {BREAKING}"),
    ("past that never was", [
        bump("serial"), row("serial", r"mcr, 1, 0, 0x1f", "mcr, 1, 0, 0x3f"),
        add("serial", "STASIS_OLD_BOUND({before}, 4, mcr, 0x0f)")],
     None, rf"mcr had mask 0x1f, which STASIS_OLD_BOUND calls 0xf: {BREAKING}"),
    ("past of a version to come", [
        bump("serial"), row("serial", r"mcr, 1, 0, 0x1f", "mcr, 1, 0, 0x3f"),
        add("serial", "STASIS_OLD_BOUND({before}, 4, mcr, 0x1f)", since=1)],
     None, r"serial: STASIS_OLD_BOUND\(\d+, 4, \.\.\.\), but .* has version"),
    ("field retired without a migration", [bump("pl031"), retire("pl031", "lr")],
     None, rf"lr is gone from version \d+: {MIGRATION}: register a migration"),
    ("default changed without a migration", [
        bump("serial"), row("serial", r"msr, 1, 0xb0", "msr, 1, 0x30")],
     None, rf"msr defaulted .*: {MIGRATION}: register a migration"),
    ("default changed with a migration of nothing", [
        bump("serial"), row("serial", r"msr, 1, 0xb0", "msr, 1, 0x30"), migration("serial")],
     None, rf"msr defaulted .*: {MIGRATION}: register a migration"),
    ("default changed with a migration of another field", [
        bump("serial"), row("serial", r"msr, 1, 0xb0", "msr, 1, 0x30"),
        migration("serial", "own->mcr ^= 1;", "own->mcr ^= 1;")],
     None, rf"msr defaulted .*: {MIGRATION}: register a migration"),
    ("default changed with no way back", [
        bump("serial"), row("serial", r"msr, 1, 0xb0", "msr, 1, 0x30"),
        migration("serial", "own->msr ^= 0x80;")],
     None, rf"msr defaulted .*: {MIGRATION}: register a migration"),
    ("default of a nested state changed with a migration of one place", [
        bump("x86_sregs"), row("x86_dtable", r"base, 1, 0,", "base, 1, 8,"),
        migration("x86_sregs", "own->gdt.base ^= 8;", "own->gdt.base ^= 8;")],
     None, rf"x86_dtable\.base defaulted .*: {MIGRATION}: register a migration"),
    ("record made optional in a new version", [
        bump("x86_clock"), record("x86_clock", "false", r"\1true")],
     None, rf"was mandatory, is optional: {BREAKING}"),
    ("state nested in two records", [bump("x86_xcrs"), add(
        "x86_xcrs", 'STASIS_STRUCT({id}, x86_dtable, x, {since}, "x")')],
     None, r"x86_dtable is in x86\.sregs and in x86\.xcrs"),
    ("migration to no version", [bump("pl031"), migration("pl031"), bump("pl031", -1)],
     None, r"stasis\.pl031: a migration to version"),
]

# The same done as it should be: what was done, how, and what the check says that it allows.
RIGHT = [
    ("field added", [bump("serial"), add("serial", FIELD)],
     r"serial\.x \(id \d+\) is new, since version \d+: compatible$"),
    ("field of a nested state added", [bump("x86_msrs"), add("x86_msr", FIELD, held_by="x86_msrs")],
     r"x86_msr\.x .*is new, since version \d+: compatible$"),
    ("field renamed", [bump("serial"), row("serial", r"\bscr\b", "scratch")],
     r"scr \(id 7\) is named scratch: compatible$"),
    ("mask grown", [bump("i8042"), row("i8042", r"0x05, 0x7f", "0x05, 0xff"),
                    add("i8042", "STASIS_OLD_BOUND({before}, 1, command_byte, 0x7f)")],
     r"command_byte had mask 0x7f, has 0xff: compatible$"),
    ("buffer grown", [bump("serial"), row("serial", r"rx_fifo, 64", "rx_fifo, 128"),
                      add("serial", "STASIS_OLD_BOUND({before}, 12, rx_fifo, 64)")],
     r"rx_fifo had maximum 0x40, has 0x80: compatible$"),
    ("list grown", [bump("x86_msrs"), row("x86_msrs", r"msrs, 512", "msrs, 1024"),
                    add("x86_msrs", "STASIS_OLD_BOUND({before}, 1, msrs, 512)")],
     r"msrs had maximum .*: compatible$"),
    ("field retired", [bump("pl031"), retire("pl031", "lr"), migration("pl031")],
     rf"lr is gone from version \d+: {MIGRATION}$"),
    ("default changed", [
        bump("serial"), row("serial", r"msr, 1, 0xb0", "msr, 1, 0x30"),
        migration("serial", "own->msr ^= 0x80;", "own->msr ^= 0x80;")],
     rf"msr defaulted .*: {MIGRATION}$"),
    ("default of a nested state changed", [
        bump("x86_sregs"), row("x86_dtable", r"base, 1, 0,", "base, 1, 8,"),
        migration("x86_sregs", "own->gdt.base ^= 8; own->idt.base ^= 8;",
                  "own->gdt.base ^= 8; own->idt.base ^= 8;")],
     rf"x86_dtable\.base defaulted .*: {MIGRATION}$"),
    ("string default changed", [
        bump("board"), row("board", r'"host"', '"best"'),
        migration("board", 'if (!strcmp(own->cpu_model, "host")) strcpy(own->cpu_model, "best");',
                  'if (!strcmp(own->cpu_model, "best")) strcpy(own->cpu_model, "host");'),
        lambda tree: tree.sub(SCHEMAS, r'\A', '#include <string.h>\n')],
     rf"cpu_model defaulted .*: {MIGRATION}$"),
    ("named number added", [bump("x86_mp_state"),
                            enum(r"\Z", 'STASIS_ENUM(MP_STATE, X, 5, 2, "x")\n')],
     r"MP_STATE\.X \(5\) is new, since version \d+: compatible$"),
    ("named number renamed", [bump("x86_mp_state"), enum(r"MP_STATE, HALTED", "MP_STATE, STOPPED"),
                              lambda tree: tree.sub(LOCK, r"HALTED", "STOPPED")],
     r"HALTED \(3\) is named STOPPED: compatible$"),
    ("record type added", [new_type], None),
]

HARMLESS = [
    ("comment added", [row("serial", r"^(STASIS_INT\(3, )", r"/* a comment, with , and ) */\n\1")]),
    ("doc text changed", [row("serial", r'"SCR: scratch"', '"SCR, a longer text"')]),
    ("doc text of a record changed", [record("serial", '"16550A serial port"', r'\1"a port"')]),
    ("doc text of a named number changed", [enum('"port I/O"', '"ports"')]),
    ("nested states declared in another order", [lambda tree: tree.sub(
        ALL, r"^(STASIS_NESTED\(x86_msr, .*\n)(STASIS_NESTED\(x86_cpuid_leaf, .*\n)", r"\2\1")]),
    ("tables expanded in another order", [lambda tree: tree.sub(
        SCHEMAS, r"^(#define STASIS_NAME x86_regs\n.*\n.*\n)\n"
        r"(#define STASIS_NAME x86_sregs\n.*\n.*\n)", r"\2\n\1")]),
    ("structs declared in another order", [lambda tree: tree.sub(
        "state/include/stasis/state.h",
        r'^(#define STASIS_DEF "stasis/state/serial.def"\n.*\n.*\n};\n)\n((?:.*\n){3}};\n)',
        r"\2\n\1")]),
    ("number spelt otherwise", [row("i8042", r"0x05, 0x7f", "5, 127")]),
    ("blanks added", [
        row("serial", r"^STASIS_INT\(4, uint8_t,", "STASIS_INT(4,\n           uint8_t,")]),
    ("version raised alone", [bump("serial")]),
]


# ---- the machinery ----

class Lab:
    def __init__(self, work):
        self.work = work
        self.main = work / "stasis_lock.o"
        run(COMPILER + ["-I", str(SOURCE), "-I", str(SOURCE / "state/include"), "-I",
                        str(SOURCE / "state-ser/include"), "-I", str(SOURCE / "base/include"), "-c", "-o", str(self.main),
                        str(SOURCE / "tools/stasis_lock.c")], must=True)
        base = Tree(work / "base")
        (base.root / LOCK).write_text("", encoding="utf-8")
        program, text = self.build(base)
        assert program, text
        self.frozen = work / "frozen.schema"
        self.frozen.write_text(run([program, "schema", "9.9.9"], must=True)[1], encoding="utf-8")
        self.lock = run([program, "locks"], must=True)[1]

    def build(self, tree):
        """Compiles what the lists expand to; returns the program or None, and what was said."""
        program = tree.root / "lock"
        sources = [str(tree.root / "state" / name) for name in ("schemas.c", "checks.c", "enums.c")]
        status, text = run(COMPILER + ["-I", str(tree.root / "state/include"), "-I", str(SOURCE / "base/include"),
                                       "-I", str(tree.root), "-o", str(program)] + sources + [
                                           str(self.main), str(LIBS / "libstasis-lock.a"),
                                           str(LIBS / "libstasis-state.a"),
                                           str(LIBS / "libstasis-base.a")])
        return (None if status else str(program)), text

    def tree(self, edits, lock):
        tree = Tree(pathlib.Path(tempfile.mkdtemp(dir=self.work)))
        (tree.root / LOCK).write_text(self.lock if lock else "", encoding="utf-8")
        for edit in edits:
            edit(tree)
        return tree

    def check(self, program):
        return run([program, "check", str(self.frozen)])

    def wrong(self, what, edits, said, checked):
        """The lock stops the compiler; without it, the check finds the same."""
        program, text = self.build(self.tree(edits, lock=True))
        if said:
            expect(not program and re.search(said, text), what, f"the compiler to say {said}", text)
            program, text = self.build(self.tree(edits, lock=False))
        expect(program, what, "to compile", text)
        status, text = self.check(program)
        expect(status in (1, 2) and re.search(checked, text, re.MULTILINE), what,
               f"the check to refuse with {checked}", f"status {status}\n{text}")

    def right(self, what, edits, allowed):
        program, text = self.build(self.tree(edits, lock=True))
        expect(program, what, "to compile", text)
        status, text = self.check(program)
        seen = not allowed or re.search("^allowed .*" + allowed, text, re.MULTILINE)
        expect(status == 0 and seen, what, f"the check to allow {allowed}",
               f"status {status}\n{text}")

    def harmless(self, what, edits):
        program, text = self.build(self.tree(edits, lock=True))
        expect(program, what, "to compile", text)
        status, text = self.check(program)
        expect(status == 0 and " 0 changes allowed, 0 refused" in text, what, "no change", text)


def run(command, must=False):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    assert not must or done.returncode == 0, done.stdout
    return done.returncode, done.stdout


class Failure(Exception):
    pass


def expect(condition, what, wanted, text):
    if not condition:
        raise Failure(f"{what}: wanted {wanted}; got:\n{text}")


def attempt(case):
    kind, method, arguments = case
    try:
        method(*arguments)
        return f"ok {kind}: {arguments[0]}", True
    except (Failure, AssertionError, TypeError) as failure:
        return f"FAIL {kind}: {arguments[0]}: {failure}", False


def main():
    assert len(WRONG) >= 50 and len(RIGHT) >= 10 and len(HARMLESS) >= 8
    work = pathlib.Path(tempfile.mkdtemp(prefix="stasis-edits-"))
    try:
        lab = Lab(work)
        cases = ([("caught", lab.wrong, edit) for edit in WRONG] +
                 [("allowed", lab.right, edit) for edit in RIGHT] +
                 [("harmless", lab.harmless, edit) for edit in HARMLESS])
        with ThreadPool(min(4, os.cpu_count() or 1)) as pool:
            results = pool.map(attempt, cases, chunksize=1)
    finally:
        shutil.rmtree(work)
    print("\n".join(text for text, _ in results))
    good = sum(ok for _, ok in results)
    print(f"{good} of {len(cases)} edits: {len(WRONG)} to be caught, {len(RIGHT)} to be allowed, "
          f"{len(HARMLESS)} harmless")
    return 0 if good == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
