#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""check_filters.py MAKE_FILTERS: a thread's filter, which lies on that of the first thread, lets through
what one that lies on nothing would, and no more. Runs both (BPF) with every number, and with arguments
about all constants that are in them."""
import itertools
import re
import struct
import subprocess
import sys

NATIVE = 0xc000003e  # x86-64
OTHERS = (0x40000003, 0xc000003e ^ 1)
CALLS = [*range(470), 0x40000000, 0x40000027, 0xffffffff]
ALLOW, ERRNO, TRAP, KILL = 0x7fff0000, 0x00050000, 0x00030000, 0x80000000
STRICTEST = (KILL, TRAP, ERRNO, ALLOW)
MEMBER = re.compile(r"{0x([0-9a-f]+), (\d+), (\d+), 0x([0-9a-f]+)}")


def filters(*args):
    text = subprocess.run([sys.argv[1], *args], check=True, capture_output=True, text=True).stdout
    found = {}
    for name, body in re.findall(r"sock_filter (\w+)_filter\[\] = {\n(.*?)};", text, re.S):
        found[name] = [(int(code, 16), int(jt), int(jf), int(k, 16))
                       for code, jt, jf, k in MEMBER.findall(body)]
    return found


def run(code, data):
    """What the filter says of a call, by seccomp(2)."""
    at = a = 0
    while True:
        op, jt, jf, k = code[at]
        at += 1
        if op == 0x20:
            a = struct.unpack_from("<I", data, k)[0]
        elif op == 0x54:
            a &= k
        elif op == 0x06:
            return k
        elif op == 0x05:
            at += k
        else:
            at += jt if {0x15: a == k, 0x25: a > k, 0x35: a >= k}[op] else jf


def both(first, code, data):
    results = [run(first, data), run(code, data)]
    return min(results, key=lambda result: STRICTEST.index(result & 0xffff0000))


def constants(code, number):
    """What the halves of arguments are compared with for that call, and what is beside it; by offset."""
    found, todo, seen = {}, [(0, None, None, None)], set()
    while todo:
        state = todo.pop()
        if state in seen:
            continue
        seen.add(state)
        at, known, loaded, mask = state
        op, jt, jf, k = code[at]
        at += 1
        if op == 0x20:
            todo.append((at, {0: number, 4: NATIVE}.get(k), k, 0xffffffff))
        elif op == 0x54:
            todo.append((at, known, loaded, k))
        elif op == 0x05:
            todo.append((at + k, known, loaded, mask))
        elif op != 0x06 and known is not None:
            is_so = {0x15: known == k, 0x25: known > k, 0x35: known >= k}[op]
            todo.append((at + (jt if is_so else jf), known, loaded, mask))
        elif op != 0x06:
            found.setdefault(loaded, {0, 0xffffffff}).update(
                {k, k | ~mask & 0xffffffff, k ^ 1, k ^ (mask & -mask), k ^ (1 << max(mask.bit_length() - 1, 0))})
            todo += [(at + jt, None, loaded, mask), (at + jf, None, loaded, mask)]
    return found


def calls(number, codes):
    """The data of calls with that number, as many as these filters could tell apart."""
    halves = {}
    for code in codes:
        for offset, values in constants(code, number).items():
            halves.setdefault(offset, set()).update(values)
    for values in itertools.product(*halves.values()):
        data = bytearray(struct.pack("<IIQ6Q", number, NATIVE, 0, *[0] * 6))
        for offset, value in zip(halves, values):
            struct.pack_into("<I", data, offset, value)
        yield bytes(data)


def pairs(names):
    """(filter of the first thread, one that lies on it). Threads of a VM that connects to sockets have the
    same filters as others, but for the loop. The maker of files is no thread."""
    for base in "open", "open_connecting":
        for name in names:
            if name == "maker" or name in ("open", "loop") and base != "open" or "connecting" in name and base == "open":
                continue
            yield base, name


def main():
    narrow, whole = filters(), filters("whole")
    tried = 0
    for base, name in pairs(narrow):
        first, code = narrow[base], narrow[name]
        for number in CALLS:
            for data in calls(number, (first, code, whole[name])):
                tried += 1
                if both(first, code, data) != both(first, whole[name], data):
                    sys.exit(f"{name} on {base}: call {number} with {data[16:].hex()} is another")
        for arch in OTHERS:
            if run(code, struct.pack("<IIQ6Q", 1, arch, 0, *[0] * 6)) != KILL:
                sys.exit(f"{name}: architecture {arch:#x} is let through")
    if run(narrow["maker"], struct.pack("<IIQ6Q", 1, OTHERS[0], 0, *[0] * 6)) != KILL:
        sys.exit("maker: another architecture is let through")
    if len(narrow) != 10 or tried < 10000:
        sys.exit(f"only {len(narrow)} filters and {tried} calls")
    print(f"{len(narrow)} filters, {tried} calls")


if __name__ == "__main__":
    main()
