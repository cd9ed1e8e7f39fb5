#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What an ordinary user does: test_ordinary_user.py VMM. As root, the cases become the user nobody,
without groups and capabilities, and what that user may not open is passed as a descriptor. Anybody
else runs them as himself. A case that this host cannot have is skipped by its name."""
import fcntl
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time

from inside import Vmm

SKIPPED = 77
LIMIT_S = 300  # only a hang gets there
NOBODY = 65534
IS_ROOT = os.geteuid() == 0
KVM_CREATE_VM = 0xae01


def drop():
    if IS_ROOT:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def may(code):
    """Whether the ordinary user can run this Python code."""
    return subprocess.run([sys.executable, "-c", code], preexec_fn=drop, check=False,
                          stderr=subprocess.DEVNULL).returncode == 0


def may_open(path):
    return may(f"import os; os.open({path!r}, os.O_RDWR)")


def appears(path, process):
    """Waits for a file that the process makes; False: it ended without."""
    while not os.path.exists(path):
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    return True


class Skipped(Exception):
    pass


class User:
    def __init__(self, vmm, folder):
        self.folder = folder
        self.vmm = shutil.copy(vmm, os.path.join(folder, "vmm"))  # where this user can read it
        self.kvm = os.open("/dev/kvm", os.O_RDWR)
        self.null = os.open("/dev/null", os.O_RDWR)
        self.wrong = []  # that one case passes
        self.vm = fcntl.ioctl(self.kvm, KVM_CREATE_VM, 0)  # which no other process may use
        try:
            self.uffd = os.open("/dev/userfaultfd", os.O_RDWR)
        except OSError:
            self.uffd = None
        if IS_ROOT:
            os.chown(folder, NOBODY, NOBODY)

    def start(self, *args):
        fds = [fd for fd in (self.kvm, self.null, self.vm, self.uffd, *self.wrong) if fd is not None]
        return Vmm([self.vmm, *args], cwd=self.folder, preexec_fn=drop, pass_fds=fds,
                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, status, *args):
        """What it wrote to standard output and error."""
        with self.start(*args) as process:
            out, err = process.communicate(timeout=LIMIT_S)
        if process.returncode != status:
            sys.exit(f"vmm {' '.join(args)}: status {process.returncode}, not {status}\n{err}")
        return out, err

    def quits(self, *args):
        """Powers the guest off when it has ticked; what it wrote to standard error."""
        with self.start(*args) as process:
            process.stdout.readline()  # a thawed guest may be in the middle of one
            line = process.stdout.readline()
            _, err = process.communicate("q", timeout=LIMIT_S)
        if process.returncode != 0 or not line.startswith("tick "):
            sys.exit(f"vmm {' '.join(args)}: status {process.returncode}, {line!r}\n{err}")
        return err

    def path(self, name):
        return os.path.join(self.folder, name)

    def has_kvm(self):
        """Options by which vmm gets KVM."""
        return ["--kvm", str(self.kvm)]

    def mode_of_memory(self):
        with open(self.path("metrics"), encoding="utf-8") as file:
            return json.load(file)["memory"]["mode"]


def check(condition, what, text=""):
    if not condition:
        sys.exit(f"{what}\n{text}")


def has_one_line(text, *words):
    lines = text.splitlines()
    check(len(lines) == 1 and all(word in text for word in words), f"not one line with {words}", text)


def kvm_that_may_not_be_opened(user):
    """The message says what to do: join the group that may, or pass a descriptor."""
    if may_open("/dev/kvm"):
        raise Skipped("this user may open /dev/kvm")
    device = os.stat("/dev/kvm")
    _, err = user.run(5, "--demo")
    has_one_line(err, "/dev/kvm may not be opened", "pass a descriptor of it")
    check(("join its group" in err) == (device.st_mode & 0o060 == 0o060), "the wrong remedy", err)


def demo_and_freeze(user):
    user.run(0, *user.has_kvm(), "--demo", "--snapshot-out", "vm.snap,on_output=tick 3")
    made = os.stat(user.path("vm.snap"))
    check(stat.S_IMODE(made.st_mode) == 0o600 and (not IS_ROOT or made.st_uid == NOBODY),
          "the snapshot is not this user's")


def lazy_thaw_by_a_descriptor(user):
    if user.uffd is None:
        raise Skipped("no /dev/userfaultfd that could be passed")
    err = user.quits(*user.has_kvm(), "--restore", f"vm.snap,memory=lazy,uffd_fd={user.uffd}",
                     "--metrics", "metrics")
    check(user.mode_of_memory() == "lazy", "not lazy", err)


def lazy_thaw_by_permission(user):
    if not may_open("/dev/userfaultfd"):
        raise Skipped("this user may not open /dev/userfaultfd")
    err = user.quits(*user.has_kvm(), "--restore", "vm.snap", "--metrics", "metrics")
    check(user.mode_of_memory() == "lazy", "not lazy", err)


def thaw_without_userfaultfd(user):
    if may_open("/dev/userfaultfd"):
        raise Skipped("this user may open /dev/userfaultfd")
    with open("/proc/sys/vm/unprivileged_userfaultfd", encoding="ascii") as file:
        if file.read().strip() != "0":
            raise Skipped("userfaultfd is permitted to all")
    for mode in ("auto", "lazy"):
        err = user.quits(*user.has_kvm(), "--restore", f"vm.snap,memory={mode}", "--metrics", "metrics")
        has_line = [line for line in err.splitlines() if "userfaultfd is not permitted" in line]
        check(len(has_line) == 1 and "pass a descriptor of it as uffd_fd; memory=copy" in has_line[0],
              "no remedy", err)
        check(user.mode_of_memory() == "copy", "not copied", err)


def thaw_by_map(user):
    user.quits(*user.has_kvm(), "--restore", "vm.snap,memory=map", "--metrics", "metrics")
    check(user.mode_of_memory() == "map", "not mapped")


def dry_run(user):
    out, _ = user.run(0, *user.has_kvm(), "--restore", "vm.snap", "--dry-run")
    check("can be thawed here" in out, "cannot be thawed", out)


def control(user):
    with user.start(*user.has_kvm(), "--demo", "--control", "vm.sock") as process:
        process.stdout.readline()
        for request in (["status"], ["pause"], ["snapshot", "path=./other.snap"], ["resume"]):
            out, err = user.run(0, "ctl", "vm.sock", *request)
            check(out or request != ["status"], "no answer", err)
        _, err = process.communicate("q", timeout=LIMIT_S)
        check(process.returncode == 0, "the guest did not power off", err)
    out, _ = user.run(0, *user.has_kvm(), "--restore", "other.snap", "--dry-run")
    check("can be thawed here" in out, "cannot be thawed", out)


EMPTY = "/proc/tty/ldisc"


def empty_root(proc):
    """What the root folder is then; a /proc with subset=pid lacks the empty one."""
    if not os.path.isdir(EMPTY):
        return f"{proc}/fdinfo"
    check(not os.listdir(EMPTY), "its root is not empty", EMPTY)
    return EMPTY


def roots_of(process):
    """Its root and working folder; None: it has not the whole sandbox."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        if "NoNewPrivs:\t1" not in file.read():
            return None
    return [os.readlink(f"/proc/{process.pid}/{name}") for name in ("root", "cwd")]


def needs_namespaces():
    if not may("import ctypes; assert not ctypes.CDLL(None).unshare(0x10000000)"):
        raise Skipped("this user may make no user namespace")


def names_of_the_host(user):
    """Once the VM is open they lead nowhere, and no descriptor is that of a folder."""
    needs_namespaces()
    with user.start(*user.has_kvm(), "--demo", "--control", "vm.sock") as process:
        process.stdout.readline()
        proc = f"/proc/{process.pid}"
        roots = roots_of(process)
        folders = [fd for fd in os.listdir(f"{proc}/fd") if os.path.isdir(f"{proc}/fd/{fd}")]
        _, err = process.communicate("q", timeout=LIMIT_S)
    if not roots or "--sandbox:" in err:
        raise Skipped("no whole sandbox")
    check(roots == [empty_root(proc)] * 2, "names lead to files", str(roots))
    check(not folders, "descriptors of folders", str(folders))


def uses_its_folders(user, listener):
    """Both connections are made, that to passt once more, and a snapshot."""
    listener.accept()[0].close()
    listener.accept()
    with socket.socket(socket.AF_UNIX) as program:
        program.settimeout(LIMIT_S)
        program.connect(user.path("host.sock"))
        program.send(b"no line\n")
        check(program.recv(1) == b"", "vmm has not taken the program's connection")
    out, err = user.run(0, "ctl", "held.sock", "snapshot", "path=held.snap")
    check(os.path.exists(user.path("held.snap")), "no snapshot", out + err)


def names_of_the_host_beside_folders(user):
    """Who holds folders has that root, too, and finds what is open by its working folder."""
    needs_namespaces()
    with open(user.path("held.img"), "wb") as file:
        file.truncate(1 << 20)
    os.chmod(user.path("held.img"), 0o666)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(LIMIT_S)
        listener.bind(user.path("held.net"))
        os.chmod(user.path("held.net"), 0o666)
        listener.listen(16)
        with user.start(*user.has_kvm(), "--demo", "--control", "held.sock,dir=.", "--net", "passt=held.net",
                        "--vsock", "host.sock", "--block", "path=held.img,overlay=held.disk",
                        "--snapshot-out", "frozen.snap", "--metrics", "held.json,every_ms=100") as process:
            appears(user.path("held.json"), process)
            proc = f"/proc/{process.pid}"
            roots = roots_of(process)
            opened = {os.readlink(f"{proc}/fd/{fd}") for fd in os.listdir(f"{proc}/fd")}
            uses_its_folders(user, listener)
            _, err = process.communicate("q", timeout=LIMIT_S)
    if not roots or "--sandbox:" in err:
        raise Skipped("no whole sandbox")
    check(roots == [empty_root(proc), f"{proc}/fd"], "names lead to files", str(roots))
    wanted = {f"{proc}/maps", f"{proc}/pagemap", "/proc/cpuinfo"}  # what snapshots read
    check(wanted <= opened, "cannot be opened any more", str(wanted - opened))
    check(process.returncode == 0 and not os.path.exists(user.path("host.sock")), "no clean end", err)


def descriptors_that_are_others(user):
    null = str(user.null)
    _, err = user.run(5, "--kvm", null, "--demo")
    has_one_line(err, f"descriptor {null} is not /dev/kvm", "pass it")
    _, err = user.run(2, "--kvm", "999", "--demo")
    has_one_line(err, "--kvm: descriptor 999 is not open")
    _, err = user.run(5, "--kvm", null, "--restore", "vm.snap")
    has_one_line(err, f"descriptor {null} is not /dev/kvm")
    _, err = user.run(5, "--kvm", str(user.vm), "--demo")
    has_one_line(err, f"descriptor {user.vm} is not /dev/kvm", "pass it")
    for other in (user.null, user.kvm, user.vm):
        _, err = user.run(2, *user.has_kvm(), "--restore", f"vm.snap,uffd_fd={other}")
        has_one_line(err, f"descriptor {other} is not /dev/userfaultfd", "pass it as uffd_fd")
        _, err = user.run(2, *user.has_kvm(), "--demo", "--net", f"fd={other}")
        has_one_line(err, f"--net fd={other}: it is attached to no tap device")


def descriptors_that_cannot_be_written_to(user):
    closed = "is not open for writing; open it in the shell"
    no_writing = "is of a kind that cannot be written to; pass a file, a pipe"
    user.wrong = [os.open("/", os.O_RDONLY), os.open("/dev/null", os.O_RDONLY)]
    for other, words in ((user.wrong[0], closed), (user.wrong[1], closed), (user.kvm, no_writing),
                         (user.vm, no_writing)):
        _, err = user.run(2, *user.has_kvm(), "--demo", "--ready-fd", str(other))
        has_one_line(err, f"--ready-fd={other}: descriptor {other} {words}")
        _, err = user.run(2, *user.has_kvm(), "--demo", "--log", f"info,fd={other}")
        has_one_line(err, f"--log fd={other}: the log cannot be written: descriptor {other} {words}")
    while user.wrong:
        os.close(user.wrong.pop())


def network(user):
    """By the socket of a passt that does nothing; a thawed guest needs it again, by its name."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(user.path("net.sock"))
        os.chmod(user.path("net.sock"), 0o666)
        listener.listen(16)
        user.run(0, *user.has_kvm(), "--demo", "--net", "passt=net.sock,id=lan",
                 "--snapshot-out", "net.snap,on_output=tick 2")
        for words, args in (("the guest's network lan is missing", []),
                            ("the guest has no network net0", ["--net", "passt=net.sock"]),
                            ("had MTU 1500 at the freeze", ["--net", "passt=net.sock,id=lan,mtu=1400"]),
                            ("cannot connect to it", ["--net", "passt=none.sock,id=lan"])):
            out, _ = user.run(2, *user.has_kvm(), "--restore", "net.snap", "--dry-run", *args)
            check(words in out and "lan" in out + words, f"no reason: {words}", out)
            user.run(2, *user.has_kvm(), "--restore", "net.snap", *args)
        out, _ = user.run(0, *user.has_kvm(), "--restore", "net.snap", "--dry-run",
                          "--net", "passt=net.sock,id=lan")
        check("can be thawed here" in out, "cannot be thawed", out)
        user.quits(*user.has_kvm(), "--restore", "net.snap", "--net", "passt=net.sock,id=lan")


def network_by_passt(user):
    if not shutil.which("passt"):
        raise Skipped("no passt")
    path = user.path("passt.sock")
    with subprocess.Popen(["passt", "--foreground", "--socket", path, "--mtu", "1500"],
                          preexec_fn=drop, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as passt:
        try:
            if not appears(path, passt):
                raise Skipped("passt does not start for this user")
            user.quits(*user.has_kvm(), "--demo", "--net", f"passt={path}")
        finally:
            passt.kill()


CASES = (kvm_that_may_not_be_opened, demo_and_freeze, lazy_thaw_by_a_descriptor,
         lazy_thaw_by_permission, thaw_without_userfaultfd, thaw_by_map, dry_run, control,
         names_of_the_host, names_of_the_host_beside_folders, descriptors_that_are_others,
         descriptors_that_cannot_be_written_to, network, network_by_passt)


def main():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: no /dev/kvm")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        user = User(sys.argv[1], folder)
        for case in CASES:
            try:
                case(user)
                print(f"ok {case.__name__}")
            except Skipped as why:
                print(f"skip {case.__name__}: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
