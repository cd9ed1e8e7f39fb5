# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The state section of a snapshot: canonical msgpack, records, and the names of their fields.

"Format:" in the comments is a heading of docs/snapshot-format.md, from whose tables the schemas
are read."""
import collections
import pathlib
import re

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "snapshot-format.md"
OPTIONAL_BIT, MAX_RECORDS, MAX_DEPTH = 1, 4096, 8


class SnapshotError(Exception):
    """Why a file is refused; `status` is the exit status for it."""
    status = 1


class Corrupt(SnapshotError):
    """The file breaks a rule of the format."""
    status = 3


class Incompatible(SnapshotError):
    """The file is whole but asks for something this reader does not know."""
    status = 4


class Missing(SnapshotError):
    """The file lies on another one, which is not there."""
    status = 2


def require(condition, message):
    if not condition:
        raise Corrupt(message)


# ---- Format: Schemas ------------------------------------------------------------------------

# until: the last version that has the field; earlier: {first version without it: mask or limit}
Field = collections.namedtuple(
    "Field", "id name kind limit width state since default mask until earlier",
    defaults=(65535, {}))
Record = collections.namedtuple("Record", "type version optional fields")

HEADING = re.compile(r"(###|####) `([a-z0-9._-]+)`: .*")
BEFORE = re.compile(r" ?\(before version (\d+): (\w+)\)")
ABOUT = re.compile(r"Version (\d+), (mandatory|optional)\.")
TYPES = [(kind, re.compile(pattern)) for kind, pattern in (
    ("uint", r"uint(?P<width>8|16|32|64)"),
    ("int", r"int(?P<width>64)"),
    ("array", r"array of (?P<limit>\d+) uint(?P<width>8|16|32|64)"),
    ("bytes", r"bytes, at most (?P<limit>\d+)(, registers of (?P<width>\d+))?"),
    ("string", r"string, at most (?P<limit>\d+)"),
    ("list", r"list of (?P<state>\w+), at most (?P<limit>\d+)"),
    ("state", r"(?P<state>\w+)"))]


def parse_field(row):
    """One row of a schema table: | id | `name` | type | since | default | mask | meaning |"""
    number, name, spelling, since, default, mask = [cell.strip() for cell in row.split("|")[1:7]]
    earlier = {int(v): int(bound, 0) for v, bound in BEFORE.findall(spelling + mask)}
    spelling, mask = BEFORE.sub("", spelling), BEFORE.sub("", mask)
    first, _, last = since.partition(" to ")
    for kind, pattern in TYPES:
        match = pattern.fullmatch(spelling)
        if match:
            break
    else:
        raise ValueError("the document has a field of an unknown type: " + row)
    part = match.groupdict()
    width = int(part.get("width") or 0)
    bits = (1 << width) - 1 if kind in ("uint", "array") else 0
    value = default.strip('"') if kind == "string" else int(default or "0", 0)
    return Field(int(number), name.strip("`"), kind, int(part.get("limit") or 0), width,
                 part.get("state"), int(first), value, int(mask, 0) if mask else bits,
                 int(last or 65535), earlier)


def bound(field, version, newest):
    """A mask or limit as it was in that version, where `newest` is today's."""
    later = [before for before in field.earlier if before > version]
    return field.earlier[min(later)] if later else newest


def parse_schemas(path=DOCUMENT):
    """({record type: Record}, {nested state: [Field]}) from the document's tables."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    text = text.split("<!-- schemas begin -->")[1].split("<!-- schemas end -->")[0]
    records, states, fields = {}, {}, None
    for line in text.splitlines():
        if heading := HEADING.fullmatch(line):
            fields, name = [], heading[2]
            if heading[1] == "####":
                states[name] = fields
        elif about := ABOUT.fullmatch(line):
            records[name] = Record(name, int(about[1]), about[2] == "optional", fields)
        elif re.match(r"\| \d", line):
            fields.append(parse_field(line))
    return records, states


# ---- Format: State section ------------------------------------------------------------------

# First byte: kind, bytes of the number behind it, smallest number that needs so many.
FORMS = {
    0xcc: ("uint", 1, 1 << 7), 0xcd: ("uint", 2, 1 << 8),
    0xce: ("uint", 4, 1 << 16), 0xcf: ("uint", 8, 1 << 32),
    0xd0: ("int", 1, (1 << 5) + 1), 0xd1: ("int", 2, (1 << 7) + 1),
    0xd2: ("int", 4, (1 << 15) + 1), 0xd3: ("int", 8, (1 << 31) + 1),
    0xd9: ("string", 1, 32), 0xda: ("string", 2, 1 << 8), 0xdb: ("string", 4, 1 << 16),
    0xc4: ("bytes", 1, 0), 0xc5: ("bytes", 2, 1 << 8), 0xc6: ("bytes", 4, 1 << 16),
    0xdc: ("array", 2, 16), 0xdd: ("array", 4, 1 << 16),
    0xde: ("map", 2, 16), 0xdf: ("map", 4, 1 << 16)}
CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")


class Decoder:
    """Canonical msgpack, the subset of the format. Reads forwards and allocates nothing ahead."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        require(count <= len(self.data) - self.at, f"state, byte {self.at}: cut off")
        self.at += count
        return self.data[self.at - count:self.at]

    def head(self):
        """(kind, number): the value of an integer, the length of all else."""
        start, byte = self.at, self.take(1)[0]
        if byte < 0x80:
            return "uint", byte
        if byte >= 0xe0:
            return "int", byte - 0x100
        if byte < 0xc0:
            kind, number = (("map", byte & 15) if byte < 0x90 else
                            ("array", byte & 15) if byte < 0xa0 else ("string", byte & 31))
        else:
            require(byte in FORMS, f"state, byte {start}: form {byte:#x} is not in the subset")
            kind, size, least = FORMS[byte]
            number = int.from_bytes(self.take(size), "big", signed=kind == "int")
            require((-number if kind == "int" else number) >= least,
                    f"state, byte {start}: not the shortest form")
        left = (len(self.data) - self.at) // (2 if kind == "map" else 1)
        require(kind in ("uint", "int") or number <= left,
                f"state, byte {start}: {kind} is longer than the bytes that are left")
        return kind, number

    def expect(self, *kinds):
        start = self.at
        kind, number = self.head()
        require(kind in kinds, f"state, byte {start}: {kind} instead of {' or '.join(kinds)}")
        return number

    def bytes(self):
        return self.take(self.expect("bytes"))

    def string(self, length=None):
        start = self.at
        try:
            text = self.take(self.expect("string") if length is None else length).decode("utf-8")
        except UnicodeDecodeError:
            raise Corrupt(f"state, byte {start}: not UTF-8") from None
        require(not CONTROL.search(text), f"state, byte {start}: control character in a string")
        return text

    def keys(self, count):
        """The keys of a map; the caller takes each value before it asks for the next key."""
        last = 0
        for _ in range(count):
            start, key = self.at, self.expect("uint")
            require(key > last, f"state, byte {start}: map keys are not ascending")
            last = key
            yield key

    def any(self, depth=1):
        """A value of unknown meaning; `depth` is its level if it nests."""
        kind, number = self.head()
        if kind in ("uint", "int"):
            return number
        if kind == "string":
            return self.string(number)
        if kind == "bytes":
            return self.take(number).hex()
        require(depth <= MAX_DEPTH, f"state, byte {self.at}: nested too deeply")
        if kind == "array":
            return [self.any(depth + 1) for _ in range(number)]
        return {str(key): self.any(depth + 1) for key in self.keys(number)}


# ---- Format: Rules between fields -----------------------------------------------------------

def ascending(keys):
    return all(a < b for a, b in zip(keys, keys[1:]))


def rules_board(s):
    yield "no vCPU", s["vcpus"] >= 1
    yield "no RAM", s["ram"]
    end = 0
    for part in s["ram"]:
        yield "RAM is empty or wraps around", 0 < part["size"] <= (1 << 64) - 1 - part["gpa"]
        yield "RAM is not ascending", part["gpa"] >= end
        end = part["gpa"] + part["size"]
    names = [(device["type"], device["instance"]) for device in s["devices"]]
    yield "a device without type or instance", all(all(name) for name in names)
    yield "a device is on the board twice", len(set(names)) == len(names)
    for device in s["devices"]:
        top = (1 << 64) - 1 if device["bus"] else 1 << 16
        yield "a device leaves its bus", 0 < device["size"] <= top - device["base"]


def rules_serial(s):
    limit = 64 if s["fcr"] & 1 else 1
    yield "fcr bits without bit 0", s["fcr"] & 1 or not s["fcr"]
    yield "bytes in a FIFO that is off", max(len(s["rx_fifo"]), len(s["tx_fifo"])) // 2 <= limit
    yield "thre_pending", not s["thre_pending"] or (s["ier"] & 2 and not s["tx_fifo"])
    waiting = len(s["rx_fifo"]) // 2
    yield "rx_breaks", not s["rx_breaks"] & ~((1 << max(waiting, 1)) - 2)


def rules_i8042(s):
    yield "output without output_full", s["output_full"] or not (s["output"] or s["timeout"])
    yield "pending_command", s["pending_command"] in I8042_TAKES_DATA
    yield "pending_command after data", s["last_was_command"] or not s["pending_command"]
    yield "the machine is in reset", s["output_port"] & 1


def rules_mc146818(s):
    ram = s["ram"]
    stopped = ram[0x0b] & 0x80 or ram[0x0a] & 0x60 == 0x60
    yield "registers A, C and D", not (ram[0x0a] & 0x80 or ram[0x0c] & 0x8f or ram[0x0d])
    yield "a time though the clock runs", stopped or not any(
        ram[i] for i in (0, 2, 4, 6, 7, 8, 9, 0x32))
    yield "counter_ns", s["counter_ns"] < (1 if stopped else 16725225600) * 10**9


def rules_xsave(s):
    yield "xstate_bv has unknown components", not s["xstate_bv"] & ~0x2ff
    for bit, name, size in XSAVE_COMPONENTS:
        wanted = size if s["xstate_bv"] >> bit & 1 else 0
        yield f"{name} is not as xstate_bv says", len(s[name]) == wanted


def power_of_two(number):
    return number > 0 and not number & (number - 1)


def rules_virtio_queue(s):
    if not s["ready"]:
        yield "used though not ready", not (s["next_avail"] or s["next_used"])
        return
    yield "size is no power of two", power_of_two(s["size"])
    for name, align, size in (("desc", 16, 16 * s["size"]), ("driver", 2, 6 + 2 * s["size"]),
                              ("device", 4, 6 + 8 * s["size"])):
        yield f"{name} is misaligned", s[name] % align == 0
        yield f"{name} leaves the address space", s[name] <= (1 << 64) - 1 - size
    yield "in flight", (s["next_avail"] - s["next_used"]) % 65536 <= s["size"]


def rules_virtio(s):
    for queue in s["queues"]:
        yield from rules_virtio_queue(queue)
    status = s["status"]
    for bit, before in ((2, 1), (8, 2), (4, 8)):
        yield "a step before another", not status & bit or status & before
    if status & 8:
        yield "features", not s["driver_features_unknown"] and \
            not s["driver_features"] & ~s["device_features"] and s["driver_features"] & 1 << 32
    yield "interrupt_status without DRIVER_OK", not s["interrupt_status"] or status & 4
    for queue in s["queues"]:
        yield "ready without FEATURES_OK", not queue["ready"] or status & 8


def rules_virtio_rng(s):
    yield from rules_virtio(s["mmio"])
    yield "more than one queue", len(s["mmio"]["queues"]) <= 1
    for queue in s["mmio"]["queues"]:
        yield "requests in flight", queue["next_avail"] == queue["next_used"]


def rules_virtio_blk(s):
    mmio, size = s["mmio"], s["block_size"]
    yield from rules_virtio(mmio)
    yield "more than one queue", len(mmio["queues"]) <= 1
    yield "block_size", power_of_two(size)
    yield "sectors are not whole blocks", size < 512 or s["sectors"] % (size // 512) == 0
    for queue in mmio["queues"] or [{"next_avail": 0, "next_used": 0, "size": 0}]:
        flying = (queue["next_avail"] - queue["next_used"]) % 65536
        yield "requests in flight", len(s["requests"]) == flying
        for request in s["requests"]:
            yield "head", request["head"] < queue["size"]


NET_REQUIRES = {7: 1 << 1, 8: 1 << 1, 10: 1 << 1, 9: 1 << 7 | 1 << 8,
                11: 1, 12: 1, 14: 1, 13: 1 << 11 | 1 << 12}


def rules_virtio_net(s):
    mmio = s["mmio"]
    yield from rules_virtio(mmio)
    yield "more than two queues", len(mmio["queues"]) <= 2
    for queue in mmio["queues"]:
        yield "buffers in flight", queue["next_avail"] == queue["next_used"]
    for bit, one_of in NET_REQUIRES.items():
        yield "a feature without another", not mmio["status"] & 8 or \
            not mmio["driver_features"] >> bit & 1 or mmio["driver_features"] & one_of
    yield "mac", s["mac"]
    yield "mtu", s["mtu"] >= 68


def rules_virtio_balloon(s):
    mmio = s["mmio"]
    yield from rules_virtio(mmio)
    yield "more than five queues", len(mmio["queues"]) <= 5
    for queue in mmio["queues"]:
        yield "requests in flight", queue["next_avail"] == queue["next_used"]
    yield "poison_val", not s["poison_val"] or mmio["device_features"] >> 4 & 1


def rules_virtio_vsock(s):
    mmio = s["mmio"]
    yield from rules_virtio(mmio)
    yield "more than three queues", len(mmio["queues"]) <= 3
    for queue in mmio["queues"]:
        yield "buffers in flight", queue["next_avail"] == queue["next_used"]
    yield "guest_cid", 3 <= s["guest_cid"] <= 0xfffffffe
    yield "next_port", s["next_port"] >= 1 << 30


I8042_TAKES_DATA = (0, 0x60, 0xd1, 0xd2, 0xd3)
XSAVE_COMPONENTS = ((0, "st", 8), (1, "xmm", 16), (2, "ymm_high", 16), (3, "bndregs", 4),
                    (4, "bndcsr", 8), (5, "opmask", 8), (6, "zmm_high", 16), (7, "zmm_16_31", 16),
                    (9, "pkru", 1))
RULES = {
    "stasis.board": rules_board,
    "stasis.i8042": rules_i8042,
    "stasis.mc146818": rules_mc146818,
    "stasis.pl031": lambda s: [("counter_ns", s["counter_ns"] < 10**9 << 32)],
    "stasis.serial": rules_serial,
    "stasis.virtio_balloon": rules_virtio_balloon,
    "stasis.virtio_blk": rules_virtio_blk,
    "stasis.virtio_net": rules_virtio_net,
    "stasis.virtio_rng": rules_virtio_rng,
    "stasis.virtio_vsock": rules_virtio_vsock,
    "x86.cpuid": lambda s: [("leaves are not ascending", ascending(
        [(leaf["function"], leaf["index"]) for leaf in s["leaves"]]))],
    "x86.mp_state": lambda s: [("mp_state", s["mp_state"] <= 4)],
    "x86.msrs": lambda s: [("msrs are not ascending", ascending(
        [msr["index"] for msr in s["msrs"]]))],
    "x86.pit": lambda s: [("not three channels", len(s["channels"]) == 3)],
    "x86.tsc": lambda s: [("khz is 0", s["khz"])],
    "x86.xcrs": lambda s: [("xcr0 without bit 0", s["xcr0"] & 1)],
    "x86.xsave": rules_xsave}


class StateReader:
    """Records from the state section, with the names of the document."""

    def __init__(self, data, schemas):
        self.decoder = Decoder(data)
        self.known, self.states = schemas
        self.unknown = {}  # (type, instance): bytes of the map

    def records(self):
        count, last, found = self.decoder.expect("array"), None, []
        require(count <= MAX_RECORDS, f"{count} records")
        for _ in range(count):
            found.append(self.record(last))
            last = found[-1]["type"], found[-1]["instance"]
        require(self.decoder.at == len(self.decoder.data), "bytes behind the last record")
        return found

    def name(self):
        name = self.decoder.string()
        require(re.fullmatch("[a-z0-9._-]{1,32}", name), f"a record is named {name!r}")
        return name

    def record(self, last):
        """The next record; `last` is type and instance of the one before it, or None."""
        decoder = self.decoder
        require(decoder.expect("array") == 5, "a record has not five parts")
        kind, instance = self.name(), self.name()
        title = f"record {kind} of {instance}"
        version, flags = decoder.expect("uint"), decoder.expect("uint")
        require(1 <= version <= 65535, f"{title} has version {version}")
        require(last is None or (kind, instance) > last, f"{title} is out of order")
        if flags & ~OPTIONAL_BIT:
            raise Incompatible(f"{title} has unknown flags {flags:#x}")
        schema = self.known.get(kind)
        if schema is None and not flags:
            raise Incompatible(f"{title} is of an unknown type")
        require(not schema or bool(flags) == schema.optional, f"{title}: wrong optional flag")
        if schema and version > schema.version:
            raise Incompatible(f"{title} has version {version}, known is {schema.version}")
        if schema:
            state = self.state(schema.fields, version, title)
            for rule, holds in RULES.get(kind, lambda _: ())(state):
                require(holds, f"{title}: {rule}")
        else:
            start = decoder.at
            state = {str(key): decoder.any(2) for key in decoder.keys(decoder.expect("map"))}
            self.unknown[kind, instance] = decoder.data[start:decoder.at]
        return {"type": kind, "instance": instance, "version": version, "optional": bool(flags),
                "known": schema is not None, "state": state}

    def state(self, fields, version, title):
        present = [field for field in fields if field.since <= version <= field.until]
        keys = self.decoder.keys(self.decoder.expect("map"))
        values = {}
        for field in present:
            require(next(keys, None) == field.id, f"{title}: field {field.name} is missing")
            values[field.name] = self.value(field, version, f"{title}, {field.name}")
        require(next(keys, None) is None, f"{title}: unknown field")
        return {field.name: values[field.name] if field in present else self.default(field)
                for field in fields}

    def value(self, field, version, title):
        decoder, kind = self.decoder, field.kind
        if kind == "uint":
            return self.unsigned(field, version, title)
        if kind == "int":
            number = decoder.expect("uint", "int")
            require(number < 1 << 63, f"{title}: does not fit")
            return number
        if kind == "state":
            return self.state(self.states[field.state], version, title)
        if kind == "string":
            text = decoder.string()
            require(len(text.encode()) <= bound(field, version, field.limit), f"{title}: too long")
            return text
        if kind == "bytes":
            return self.registers(field, decoder.bytes(), version, title)
        count = decoder.expect("array")
        if kind == "array":
            require(count == field.limit, f"{title}: {count} elements instead of {field.limit}")
            return [self.unsigned(field, version, title) for _ in range(count)]
        limit = bound(field, version, field.limit)
        require(count <= limit, f"{title}: {count} elements, at most {limit}")
        return [self.state(self.states[field.state], version, title) for _ in range(count)]

    def unsigned(self, field, version, title):
        number, mask = self.decoder.expect("uint"), bound(field, version, field.mask)
        require(not number & ~mask, f"{title}: {number:#x} has bits outside {mask:#x}")
        return number

    @staticmethod
    def registers(field, data, version, title):
        require(len(data) <= bound(field, version, field.limit), f"{title}: too long")
        if not field.width:
            return data.hex()
        require(len(data) % field.width == 0, f"{title}: no multiple of {field.width} bytes")
        return [data[i:i + field.width].hex() for i in range(0, len(data), field.width)]

    def default(self, field):
        """The value of a field that the record's version did not have yet."""
        if field.kind == "state":
            return {inner.name: self.default(inner) for inner in self.states[field.state]}
        if field.kind == "array":
            return [field.default] * field.limit
        if field.kind == "list" or field.width and field.kind == "bytes":
            return []
        return "" if field.kind == "bytes" else field.default
