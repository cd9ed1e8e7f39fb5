# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What the fields of one state must be to each other: "Rules between fields" of
docs/snapshot-format.md."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence

State = Mapping[str, Any]
Rules = Iterator[tuple[str, object]]  # (what is wrong, whether it is right)


def ascending(keys: Sequence[tuple[int, ...]]) -> bool:
    """Whether each is greater than the one before."""
    return all(a < b for a, b in zip(keys, keys[1:]))


def rules_board(s: State) -> Rules:
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


def rules_serial(s: State) -> Rules:
    limit = 64 if s["fcr"] & 1 else 1
    yield "fcr bits without bit 0", s["fcr"] & 1 or not s["fcr"]
    yield "bytes in a FIFO that is off", max(len(s["rx_fifo"]), len(s["tx_fifo"])) // 2 <= limit
    yield "thre_pending", not s["thre_pending"] or (s["ier"] & 2 and not s["tx_fifo"])
    waiting = len(s["rx_fifo"]) // 2
    yield "rx_breaks", not s["rx_breaks"] & ~((1 << max(waiting, 1)) - 2)


def rules_i8042(s: State) -> Rules:
    yield "output without output_full", s["output_full"] or not (s["output"] or s["timeout"])
    yield "pending_command", s["pending_command"] in I8042_TAKES_DATA
    yield "pending_command after data", s["last_was_command"] or not s["pending_command"]
    yield "the machine is in reset", s["output_port"] & 1


def rules_mc146818(s: State) -> Rules:
    ram = s["ram"]
    stopped = ram[0x0b] & 0x80 or ram[0x0a] & 0x60 == 0x60
    yield "registers A, C and D", not (ram[0x0a] & 0x80 or ram[0x0c] & 0x8f or ram[0x0d])
    yield "a time though the clock runs", stopped or not any(
        ram[i] for i in (0, 2, 4, 6, 7, 8, 9, 0x32))
    yield "counter_ns", s["counter_ns"] < (1 if stopped else 16725225600) * 10**9


def rules_xsave(s: State) -> Rules:
    yield "xstate_bv has unknown components", not s["xstate_bv"] & ~0x2ff
    for bit, name, size in XSAVE_COMPONENTS:
        wanted = size if s["xstate_bv"] >> bit & 1 else 0
        yield f"{name} is not as xstate_bv says", len(s[name]) == wanted


def power_of_two(number: int) -> bool:
    """Whether it is one."""
    return number > 0 and not number & (number - 1)


def rules_virtio_queue(s: State) -> Rules:
    if not s["ready"]:
        yield "used though not ready", not (s["next_avail"] or s["next_used"])
        return
    yield "size is no power of two", power_of_two(s["size"])
    for name, align, size in (("desc", 16, 16 * s["size"]), ("driver", 2, 6 + 2 * s["size"]),
                              ("device", 4, 6 + 8 * s["size"])):
        yield f"{name} is misaligned", s[name] % align == 0
        yield f"{name} leaves the address space", s[name] <= (1 << 64) - 1 - size
    yield "in flight", (s["next_avail"] - s["next_used"]) % 65536 <= s["size"]


def rules_virtio(s: State) -> Rules:
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


def rules_virtio_rng(s: State) -> Rules:
    yield from rules_virtio(s["mmio"])
    yield "more than one queue", len(s["mmio"]["queues"]) <= 1
    for queue in s["mmio"]["queues"]:
        yield "requests in flight", queue["next_avail"] == queue["next_used"]


def rules_virtio_blk(s: State) -> Rules:
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


def rules_virtio_net(s: State) -> Rules:
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


def rules_virtio_balloon(s: State) -> Rules:
    mmio = s["mmio"]
    yield from rules_virtio(mmio)
    yield "more than five queues", len(mmio["queues"]) <= 5
    for queue in mmio["queues"]:
        yield "requests in flight", queue["next_avail"] == queue["next_used"]
    yield "poison_val", not s["poison_val"] or mmio["device_features"] >> 4 & 1


def rules_virtio_vsock(s: State) -> Rules:
    mmio = s["mmio"]
    yield from rules_virtio(mmio)
    yield "more than three queues", len(mmio["queues"]) <= 3
    for queue in mmio["queues"]:
        yield "buffers in flight", queue["next_avail"] == queue["next_used"]
    yield "guest_cid", 3 <= s["guest_cid"] <= 0xfffffffe
    yield "next_port", s["next_port"] >= 1 << 30


I8042_TAKES_DATA = (0, 0x60, 0xD1, 0xD2, 0xD3)
XSAVE_COMPONENTS = (
    (0, "st", 8),
    (1, "xmm", 16),
    (2, "ymm_high", 16),
    (3, "bndregs", 4),
    (4, "bndcsr", 8),
    (5, "opmask", 8),
    (6, "zmm_high", 16),
    (7, "zmm_16_31", 16),
    (9, "pkru", 1),
)


def rules_cpuid(s: State) -> Rules:
    leaves = [(leaf["function"], leaf["index"]) for leaf in s["leaves"]]
    yield "leaves are not ascending", ascending(leaves)


def rules_msrs(s: State) -> Rules:
    yield "msrs are not ascending", ascending([(msr["index"],) for msr in s["msrs"]])


RULES: Mapping[str, Callable[[State], Iterable[tuple[str, object]]]] = {
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
    "x86.cpuid": rules_cpuid,
    "x86.mp_state": lambda s: [("mp_state", s["mp_state"] <= 4)],
    "x86.msrs": rules_msrs,
    "x86.pit": lambda s: [("not three channels", len(s["channels"]) == 3)],
    "x86.tsc": lambda s: [("khz is 0", s["khz"])],
    "x86.xcrs": lambda s: [("xcr0 without bit 0", s["xcr0"] & 1)],
    "x86.xsave": rules_xsave,
}
