# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The rival: QEMU with KVM, our guest as its firmware, nothing else on board."""
import json
import os
import shutil
import socket
import time

from rig import Session, Skipped

PROGRAM = "qemu-system-x86_64"
DEFAULT_BANDWIDTH = 128 << 20  # bytes a second: QEMU's own limit of a migration (7.2)


class Qemu:
    def __init__(self, rig):
        self.rig = rig
        if not shutil.which(PROGRAM):
            raise Skipped(f"{PROGRAM} is not installed")
        self.rom = rig.once("rom", lambda path: rig.run(
            [rig.program("bench-guest"), "rom", path]) or path)

    def command(self):
        return [PROGRAM, "-accel", "kvm", "-M", "pc", "-m", str(self.rig.sizes.main[0]),
                "-nodefaults", "-no-user-config", "-display", "none", "-bios", self.rom,
                "-serial", "stdio"]

    def saved(self):
        """A file to come back from."""
        def make(path):
            with Running(self) as guest:
                guest.save_best(path)
            with open(path, "rb") as file:
                os.fsync(file.fileno())
            return path
        return self.rig.once("qemu.saved", make)

    def incoming_file(self):
        """The file read by QEMU itself: the fastest way that it has."""
        return ["sh", "-c", f'exec "$@" 3<{self.saved()}', "sh", *self.command(),
                "-incoming", "fd:3"]

    def incoming_cat(self):
        """As its manual has it: out of a pipe."""
        return [*self.command(), "-incoming", f"exec:cat {self.saved()}"]


class DiskReader:
    """QEMU as a microvm with a virtio disk over MMIO and a thread for it, and our driver."""

    def __init__(self, rig):
        self.rig = rig
        if not shutil.which(PROGRAM):
            raise Skipped(f"{PROGRAM} is not installed")

    def command(self, words):
        ram, rom = self.rig.path("disk.ram"), self.rig.path("disk.rom")
        self.rig.run([self.rig.program("bench-disk"), "image", *words, ram, rom])
        return [PROGRAM, "-accel", "kvm", "-cpu", "host", "-M",
                "microvm,acpi=off,pit=off,rtc=off,auto-kernel-cmdline=off,x-option-roms=off",
                "-m", "32", "-nodefaults", "-no-user-config", "-display", "none", "-bios", rom,
                "-serial", "stdio", "-device", f"loader,file={ram},addr=0,force-raw=on",
                "-global", "virtio-mmio.force-legacy=false", "-object", "iothread,id=thread",
                "-drive", f"if=none,id=disk,file={words[0]},format=raw,readonly=on",
                "-device", "virtio-blk-device,drive=disk,iothread=thread"]


class Running(Session):
    """QEMU with a guest that has the random bytes in its memory."""

    def __init__(self, qemu):
        self.folder = qemu.rig.folder
        path = os.path.join(self.folder, "qmp")
        super().__init__([*qemu.command(), "-qmp", f"unix:{path},server=on,wait=off", "-device",
                          f"loader,file={qemu.rig.random_file()},addr=0x100000,force-raw=on"])
        self.answer()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.execute("qmp_capabilities")
        self.ask(b"x")

    def __exit__(self, *error):
        self.lines.close()
        self.socket.close()
        super().__exit__(*error)

    def execute(self, command, fds=(), **arguments):
        message = json.dumps({"execute": command, "arguments": arguments}).encode()
        socket.send_fds(self.socket, [message], fds)
        while True:
            reply = json.loads(self.lines.readline())
            if "error" in reply:
                raise RuntimeError(f"QEMU: {command}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]

    def migrate(self, uri):
        """Seconds until it is done; the guest goes on then."""
        start = time.monotonic()
        self.execute("migrate", uri=uri)
        while (status := self.execute("query-migrate")["status"]) != "completed":
            if status == "failed":
                raise RuntimeError("QEMU could not save its guest")
            time.sleep(0.0005)
        seconds = time.monotonic() - start
        while self.execute("query-status")["status"] != "postmigrate":
            time.sleep(0.001)
        self.execute("cont")
        return seconds

    def save_best(self, path):
        """Straight into the new file, no limit to the rate."""
        self.execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.execute("getfd", [fd], fdname="file")
        os.close(fd)
        return self.migrate("fd:file")

    def save_plain(self, path):
        """As its manual has it, with QEMU's own limit of the rate."""
        self.execute("migrate-set-parameters", **{"max-bandwidth": DEFAULT_BANDWIDTH})
        return self.migrate(f"exec:cat > {path}")
