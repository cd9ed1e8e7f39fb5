/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/sandbox/attacks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <termios.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449 /* musl 1.2.3 has it not */
#endif

static char in_folder[160], file[160], new_file[160], version[160];
static int root = -1; /* of the host, as any folder that is held leads to it */
static long parent;

static uint8_t page[4096] __attribute__((aligned(4096)));
static char *const no_words[] = {NULL};
static struct iovec here = {page, 1}, there = {page, 1};
static struct rlimit limit = {64, 64};
static struct __user_cap_header_struct caps = {.version = _LINUX_CAPABILITY_VERSION_3};
static struct __user_cap_data_struct sets[2];
static struct sockaddr_un journal = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

#define P(pointer) (long)(uintptr_t)(pointer)
#define RW         (PROT_READ | PROT_WRITE)
#define RWX        (RW | PROT_EXEC)
/* Linux 6.14 lets no filter see these: they are its own trampolines, and SIGILL for all else. */
#define URETPROBE 335
#define UPROBE    336
#define PRIVATE   (MAP_PRIVATE | MAP_ANONYMOUS)

static const struct attack {
    const char *name;
    const char *allowed; /* to these threads, which need the call */
    long call;
    long args[6];
} attacks[] = {
    /* files */
    {"read what is not its own", "", SYS_openat, {AT_FDCWD, P(version), O_RDONLY}},
    {"read it by open()", "", SYS_open, {P(version), O_RDONLY}},
    {"read a file of the user's", "", SYS_openat, {AT_FDCWD, P(file), O_RDONLY}},
    {"write to it", "", SYS_openat, {AT_FDCWD, P(file), O_WRONLY}},
    {"make a file", "", SYS_openat, {AT_FDCWD, P(new_file), O_WRONLY | O_CREAT, 0600}},
    {"make a file by creat()", "", SYS_creat, {P(new_file), 0600}},
    {"make a file without a name",
     "F",
     SYS_openat,
     {AT_FDCWD, P(in_folder), O_RDWR | O_TMPFILE, 0600}},
    {"open by openat2()", "", SYS_openat2, {AT_FDCWD, P(file), P(page), 24}},
    {"list a folder", "", SYS_openat, {AT_FDCWD, P(in_folder), O_RDONLY | O_DIRECTORY}},
    {"rename", "", SYS_rename, {P(file), P(new_file)}},
    {"rename by renameat()", "F", SYS_renameat, {AT_FDCWD, P(file), AT_FDCWD, P(new_file)}},
    {"rename by renameat2()", "", SYS_renameat2, {AT_FDCWD, P(file), AT_FDCWD, P(new_file), 0}},
    {"link", "F", SYS_linkat, {AT_FDCWD, P(file), AT_FDCWD, P(new_file), 0}},
    {"make a symbolic link", "", SYS_symlinkat, {P("/etc/passwd"), AT_FDCWD, P(new_file)}},
    {"remove", "F", SYS_unlinkat, {AT_FDCWD, P(file), 0}},
    {"remove by unlink()", "", SYS_unlink, {P(file)}},
    {"make a folder", "", SYS_mkdir, {P(new_file), 0700}},
    {"remove a folder", "", SYS_rmdir, {P(in_folder)}},
    {"make a device", "", SYS_mknodat, {AT_FDCWD, P(new_file), S_IFCHR | 0600, 0x103}},
    {"make a pipe", "", SYS_mknodat, {AT_FDCWD, P(new_file), S_IFIFO | 0600, 0}},
    {"chmod", "", SYS_chmod, {P(file), 0777}},
    {"chown", "", SYS_chown, {P(file), 1, 1}},
    {"truncate", "", SYS_truncate, {P(file), 0}},
    {"set an attribute", "", SYS_setxattr, {P(file), P("user.a"), P("b"), 1, 0}},
    {"change a file's times", "", SYS_utimensat, {AT_FDCWD, P(file), 0, 0}},
    {"chdir", "O", SYS_chdir, {P("/")}},
    {"fchdir", "O", SYS_fchdir, {0}},
    {"open by handle", "", SYS_open_by_handle_at, {AT_FDCWD, P(page), O_RDONLY}},
    {"watch files", "", SYS_inotify_init1, {0}},
    {"watch all files", "", SYS_fanotify_init, {0, 0}},
    /* programs and processes */
    {"execve", "", SYS_execve, {P("/bin/true"), P(no_words), P(no_words)}},
    {"execveat", "", SYS_execveat, {AT_FDCWD, P("/bin/true"), P(no_words), P(no_words), 0}},
    {"fork", "", SYS_fork, {0}},
    {"vfork by clone()", "", SYS_clone, {CLONE_VM | CLONE_VFORK | SIGCHLD, 0}},
    {"fork by clone()", "F", SYS_clone, {SIGCHLD, 0}},
    {"fork by clone3()", "", SYS_clone3, {P(page), 64}},
    {"signal another process", "", SYS_kill, {0 /* parent */, 0}},
    {"signal all processes", "", SYS_kill, {-1, 0}},
    {"signal a thread of another", "", SYS_tgkill, {0 /* parent */, 0 /* parent */, 0}},
    {"signal it without its process", "", SYS_tkill, {0 /* parent */, 0}},
    {"signal it with data", "", SYS_rt_sigqueueinfo, {0 /* parent */, 0, P(page)}},
    {"let a descriptor signal another", "", SYS_fcntl, {2, F_SETOWN, 0 /* parent */}},
    {"with any signal", "", SYS_fcntl, {2, F_SETSIG, SIGKILL}},
    {"whenever it is ready", "", SYS_fcntl, {2, F_SETFL, O_ASYNC}},
    {"another process's priority", "", SYS_setpriority, {PRIO_PROCESS, 0 /* parent */, 0}},
    {"the priority of a user", "", SYS_setpriority, {PRIO_USER, 65534, 0}},
    {"trace another process", "", SYS_ptrace, {PTRACE_SEIZE, 0 /* parent */, 0, 0}},
    {"read its memory", "", SYS_process_vm_readv, {0 /* parent */, P(&here), 1, P(&there), 1, 0}},
    {"write to its memory",
     "",
     SYS_process_vm_writev,
     {0 /* parent */, P(&here), 1, P(&there), 1, 0}},
    {"hold it", "", SYS_pidfd_open, {0 /* parent */, 0}},
    {"take its descriptors", "", SYS_pidfd_getfd, {0, 0, 0}},
    {"change its limits", "", SYS_prlimit64, {0 /* parent */, RLIMIT_NOFILE, P(&limit), 0}},
    {"raise own limits", "", SYS_prlimit64, {0, RLIMIT_NOFILE, P(&limit), 0}},
    /* the network, and messages */
    {"a TCP or UDP socket", "", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
    {"an IPv6 socket", "", SYS_socket, {AF_INET6, SOCK_DGRAM, 0}},
    {"a netlink socket", "", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}},
    {"a packet socket", "", SYS_socket, {AF_PACKET, SOCK_RAW, 0}},
    {"a vsock socket", "", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}},
    {"a Unix socket", "", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
    {"a pair of sockets that send to any", "", SYS_socketpair, {AF_UNIX, SOCK_DGRAM, 0, P(page)}},
    {"connect", "C", SYS_connect, {0, P(page), 2}},
    {"send to a socket by its name",
     "",
     SYS_sendto,
     {0, P(page), 1, 0, P(&journal), sizeof(journal)}},
    {"shared memory", "", SYS_shmget, {0, 4096, 01600}},
    {"a message queue", "", SYS_msgget, {0, 01600}},
    {"a POSIX message queue", "", SYS_mq_open, {P("a"), O_RDONLY, 0, 0}},
    /* code */
    {"map executable", "", SYS_mmap, {0, 4096, RWX, PRIVATE, -1, 0}},
    {"make executable", "", SYS_mprotect, {P(page), 4096, RWX}},
    {"make executable with a key", "", SYS_pkey_mprotect, {P(page), 4096, RWX, -1}},
    {"an executable file in memory", "", SYS_memfd_create, {P("a"), 0}},
    {"attach executable memory", "", SYS_shmat, {0, 0, 0100000}},
    /* the kernel */
    {"mount", "", SYS_mount, {P("none"), P("/"), P("tmpfs"), 0, 0}},
    {"unmount", "", SYS_umount2, {P("/proc"), 2}},
    {"open a mount", "", SYS_open_tree, {AT_FDCWD, P("/"), 1}},
    {"pivot_root", "", SYS_pivot_root, {P("."), P(".")}},
    {"chroot", "O", SYS_chroot, {P("/")}},
    {"new namespaces", "", SYS_unshare, {CLONE_NEWUSER | CLONE_NEWNS}},
    {"new namespaces by clone()", "", SYS_clone, {CLONE_NEWUSER | SIGCHLD, 0}},
    {"a thread in new namespaces",
     "",
     SYS_clone,
     {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
          CLONE_NEWNET,
      0}},
    {"enter a namespace", "", SYS_setns, {0, 0}},
    {"bpf", "", SYS_bpf, {0, P(page), 48}},
    {"io_uring", "", SYS_io_uring_setup, {1, P(page)}},
    {"userfaultfd", "O", SYS_userfaultfd, {0}},
    {"perf_event_open", "", SYS_perf_event_open, {P(page), 0, -1, -1, 0}},
    {"keys", "", SYS_add_key, {P("user"), P("a"), P("b"), 1, -4}},
    {"load a module", "", SYS_finit_module, {0, P(""), 0}},
    {"load a kernel", "", SYS_kexec_load, {0, 0, 0, 0}},
    {"reboot", "", SYS_reboot, {0, 0, 0, 0}},
    {"I/O ports", "", SYS_iopl, {3}},
    {"ioperm", "", SYS_ioperm, {0x80, 1, 1}},
    {"set the clock", "", SYS_clock_settime, {0, P(page)}},
    {"set the host's name", "", SYS_sethostname, {P("a"), 1}},
    {"swap", "", SYS_swapon, {P("/dev/null"), 0}},
    {"the kernel's log", "", SYS_syslog, {3, P(page), 1}},
    {"segments", "", SYS_modify_ldt, {0, P(page), 16}},
    {"personality", "", SYS_personality, {0}},
    {"own memory's bounds", "", SYS_prctl, {PR_SET_MM, 1, 0, 0, 0}},
    {"be traced", "", SYS_prctl, {PR_SET_DUMPABLE, 1}},
    {"be another user", "", SYS_setresuid, {1, 1, 1}},
    {"be in another group", "", SYS_setresgid, {1, 1, 1}},
    {"capabilities", "O", SYS_capset, {P(&caps), P(sets)}},
    {"type on the terminal", "", SYS_ioctl, {0, TIOCSTI, P("a")}},
    {"attributes of a file", "", SYS_ioctl, {0, 0x40086602, P(page)}},
    {"real time", "", SYS_sched_setscheduler, {0, 1, P(page)}},
};

/* Which threads may make a call, whatever its arguments. */
static const struct row {
    long call;
    const char *threads;
} rows[] = {
#define STASIS_CALL(name, threads, arguments, reason)   {SYS_##name, threads},
#define STASIS_CALL_FAILS(name, threads, error, reason) {SYS_##name, threads},
#include "vmm/sandbox/calls.def"
};

size_t attacks_count(void)
{
    return sizeof(attacks) / sizeof(attacks[0]);
}

const char *attacks_name(size_t i)
{
    return attacks[i].name;
}

void attacks_set_target(const char *folder, const char *target)
{
    snprintf(in_folder, sizeof(in_folder), "%s", folder);
    snprintf(file, sizeof(file), "%s", target);
    snprintf(new_file, sizeof(new_file), "%s/new", folder);
    snprintf(version, sizeof(version), "/proc/version");
    parent = getppid();
    root = open("/", O_PATH | O_CLOEXEC);
}

/* Where names lead to nothing any more, they are given from the descriptor of a folder: its name is
 * a number, in the working folder. */
static void name_from_root(void)
{
    char *const names[] = {in_folder, file, new_file, version};
    char path[160];
    struct stat st;

    if (!syscall(SYS_newfstatat, AT_FDCWD, "/proc", &st, 0))
        return;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s", names[i]);
        snprintf(names[i], sizeof(in_folder), "%d%.140s", root, path);
    }
}

/* The call has not been made: it fails with EPERM, and the thread goes on. */
static volatile sig_atomic_t trapped;

static void on_trap(int number, siginfo_t *info, void *context)
{
    ucontext_t *at = context;

    (void)number, (void)info;
    trapped = 1;
    at->uc_mcontext.gregs[REG_RAX] = -EPERM;
}

/* Which of the arguments of a call are another process's id, as a set of bits. */
static unsigned parents(long call)
{
    switch (call) {
    case SYS_fcntl:
        return 4;
    case SYS_tgkill:
        return 3;
    case SYS_ptrace:
    case SYS_setpriority:
        return 2;
    case SYS_kill:
    case SYS_tkill:
    case SYS_rt_sigqueueinfo:
    case SYS_process_vm_readv:
    case SYS_process_vm_writev:
    case SYS_pidfd_open:
        return 1;
    default:
        return 0;
    }
}

static long attempt(const struct attack *attack)
{
    long args[6];

    memcpy(args, attack->args, sizeof(args));
    for (unsigned i = 0; i < 3; i++)
        if (parents(attack->call) >> i & 1 && !args[i])
            args[i] = parent;
    if (strstr(attack->name, "its limits"))
        args[0] = parent;
    return syscall(attack->call, args[0], args[1], args[2], args[3], args[4], args[5]);
}

bool attacks_are_allowed(size_t i, const char *letters)
{
    return strpbrk(attacks[i].allowed, letters) != NULL;
}

bool attacks_succeed(size_t i)
{
    return attempt(&attacks[i]) >= 0 || errno == ENOSYS;
}

static bool make(const struct attack *attack)
{
    char line[128];
    long rc;
    int error, len;
    const char *by;

    trapped = 0;
    rc = attempt(attack);
    error = rc < 0 ? errno : 0;
    if (trapped)
        by = "seccomp";
    else if (error == EACCES)
        by = "EACCES";
    else if (error == ENOSYS)
        by = "ENOSYS";
    else
        by = "NOT REFUSED";
    len = snprintf(line, sizeof(line), "attack %s: %s\n", attack->name, by);
    return write(STDERR_FILENO, line, (size_t)len) == len && strcmp(by, "NOT REFUSED") != 0;
}

bool attacks_have_row(long call, const char *letters)
{
    if (call == UPROBE || call == URETPROBE)
        return true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].call == call && strpbrk(rows[i].threads, letters))
            return true;
    return false;
}

/* All that are in no row, by their numbers, and some that no kernel has. */
static bool make_others(const char *letters)
{
    char line[64];
    unsigned made = 0, refused = 0;
    int len;

    for (long call = 0; call < ATTACK_CALLS; call++) {
        if (attacks_have_row(call, letters))
            continue;
        trapped = 0;
        (void)syscall(call, 0, 0, 0, 0, 0, 0);
        made++;
        refused += trapped != 0;
    }
    len = snprintf(line, sizeof(line), "others: %u made, %u refused\n", made, refused);
    return write(STDERR_FILENO, line, (size_t)len) == len && refused == made;
}

void attacks_make(const char *letters)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    bool refused = true;

    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGSYS, &action, NULL);
    name_from_root();
    for (size_t i = 0; i < attacks_count(); i++)
        if (!attacks_are_allowed(i, letters))
            refused &= make(&attacks[i]);
    refused &= make_others(letters);
    _exit(refused ? 0 : 1);
}
