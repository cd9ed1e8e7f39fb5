/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/snapshot/kvm_faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define STATUS_LEAK   99 /* unlike any of the program's own */
#define CHILD_SECONDS 600

/* ---- the faulty ioctl ---- */

struct kvm_faults *kvm_faults;

bool kvm_faults_init(void)
{
    void *shared =
        mmap(NULL, sizeof(*kvm_faults), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared != MAP_FAILED)
        kvm_faults = shared;
    return shared != MAP_FAILED;
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* Whether this is the call that was waited for. */
static bool count_down(void)
{
    unsigned left = atomic_load(&kvm_faults->left);

    while (left && !atomic_compare_exchange_weak(&kvm_faults->left, &left, left - 1))
        ;
    return left == 1;
}

/* What a vCPU's thread asks for, while its guest runs, is no part of a freeze. */
static bool fails_now(unsigned long request)
{
    static _Thread_local bool runs_guest;

    runs_guest |= request == KVM_RUN;
    if (request == KVM_RUN && atomic_load(&kvm_faults->until_run))
        atomic_store(&kvm_faults->left, 0);
    if (_IOC_TYPE(request) != KVMIO || runs_guest || !count_down())
        return false;
    atomic_store(&kvm_faults->failed, request);
    errno = EIO;
    return true;
}

static bool interrupted_now(unsigned long request)
{
    static _Thread_local bool again;

    if (!atomic_load(&kvm_faults->interrupt_each) || _IOC_TYPE(request) != KVMIO ||
        request == KVM_RUN)
        return false;
    again = !again;
    if (!again)
        return false;
    atomic_fetch_add(&kvm_faults->interrupted, 1);
    errno = EINTR;
    return true;
}

static void note(unsigned long request)
{
    if (request == KVM_GET_SUPPORTED_CPUID)
        atomic_fetch_add(&kvm_faults->cpuid_asked, 1);
    else if (request == KVM_RUN)
        atomic_store(&kvm_faults->has_run, true);
    else if (request == KVM_KVMCLOCK_CTRL)
        atomic_fetch_add(
            atomic_load(&kvm_faults->has_run) ? &kvm_faults->told_later : &kvm_faults->told_new, 1);
    else if (request == KVM_CREATE_IRQCHIP || request == KVM_CREATE_PIT2)
        atomic_store(&kvm_faults->has_chips, true);
    else if (request == KVM_SET_USER_MEMORY_REGION)
        atomic_fetch_add(atomic_load(&kvm_faults->has_chips) ? &kvm_faults->late_slots
                                                             : &kvm_faults->early_slots,
                         1);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (kvm_faults)
        note(request);
    if (kvm_faults && (fails_now(request) || interrupted_now(request)))
        return -1;
    if (kvm_faults && atomic_load(&kvm_faults->drops_tsc) && request == KVM_SET_DEVICE_ATTR)
        return 0;
    return __real_ioctl(fd, request, arg);
}

/* ---- the program in a child ---- */

static unsigned count_entries(DIR *folder)
{
    unsigned count = 0;

    rewinddir(folder);
    while (readdir(folder))
        count++;
    return count;
}

/* Does what main() does, and sees that no descriptor is left of it. Names lead nowhere then. */
static int run_program(int argc, const char *const *argv)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned fds = folder ? count_entries(folder) : 0;
    int status = session_main(argc, (char **)(uintptr_t)argv);

    if (!folder || count_entries(folder) != fds)
        status = STATUS_LEAK;
    if (folder)
        closedir(folder);
    return status;
}

static void become_program(int argc, const char *const *argv, int theirs[3], int ours[3])
{
    static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};

    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
        (void)signal(deadly[i], SIG_DFL); /* cmocka would go on in our copy of it */
    for (int i = 0; i < 3; i++) {
        dup2(theirs[i], i);
        close(theirs[i]);
        close(ours[i]);
    }
    alarm(CHILD_SECONDS);
    exit(run_program(argc, argv)); /* by way of the leak check, if there is one */
}

void kvm_faults_start(struct session *session, int argc, const char *const *argv)
{
    int in[2], out[2], err[2];

    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
    memset(session, 0, sizeof(*session));
    session->in = in[1];
    session->out = out[0];
    session->err = err[0];
    (void)fflush(NULL);
    session->pid = fork();
    assert_true(session->pid >= 0);
    if (!session->pid)
        become_program(argc, argv, (int[]){in[0], out[1], err[1]}, (int[]){in[1], out[0], err[0]});
    close(in[0]);
    close(out[1]);
    close(err[1]);
}
