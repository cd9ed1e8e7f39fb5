/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/sandbox/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filters.h"
#include "stasis/fault_signals.h"
#include "vmm/sandbox/filter_pid.h"

struct filter {
    const char *thread;
    const struct sock_filter *code;
    size_t count;
};

#define SI_SECCOMP 1 /* SYS_SECCOMP, which not all C libraries have */

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const struct filter filters[] = {
    [STASIS_SANDBOX_OPEN] = {"the thread that opens the VM", open_filter, LENGTH(open_filter)},
    [STASIS_SANDBOX_LOOP] = {"the event loop", loop_filter, LENGTH(loop_filter)},
    [STASIS_SANDBOX_SAVE] = {"the thread that saves", save_filter, LENGTH(save_filter)},
    [STASIS_SANDBOX_VCPU] = {"a vCPU's thread", vcpu_filter, LENGTH(vcpu_filter)},
    [STASIS_SANDBOX_IO] = {"a device's thread", io_filter, LENGTH(io_filter)},
    [STASIS_SANDBOX_RAM] = {"a thread that loads RAM", ram_filter, LENGTH(ram_filter)},
    [STASIS_SANDBOX_METRICS] = {"the thread that writes metrics", metrics_filter,
                                LENGTH(metrics_filter)},
    [STASIS_SANDBOX_OPEN_CONNECTING] = {"the thread that opens the VM", open_connecting_filter,
                                        LENGTH(open_connecting_filter)},
    [STASIS_SANDBOX_LOOP_CONNECTING] = {"the event loop", loop_connecting_filter,
                                        LENGTH(loop_connecting_filter)},
    [STASIS_SANDBOX_MAKER] = {"the process that makes files", maker_filter, LENGTH(maker_filter)},
};

static _Thread_local const char *own_kind; /* NULL: a helper of another thread */

static struct {
    void (*end)(void *ctx, const struct stasis_error *err);
    void *ctx;
} refused; /* written before the handler is installed */

/* ---- the end of a thread that makes another call ---- */

/* The call has not been made. The signal is the thread's own, between two of its instructions that
 * are no library's lock: what is called here may be called anywhere (snprintf() of strings and
 * numbers). */
static void on_refused(int number, siginfo_t *info, void *context)
{
    const int call = info->si_syscall;
    const char *name = call >= 0 && (size_t)call < LENGTH(call_names) ? call_names[call] : NULL;
    struct stasis_error err;

    (void)context;
    if (info->si_code != SI_SECCOMP) { /* somebody has sent it */
        (void)signal(number, SIG_DFL);
        (void)stasis_signal_raise(number);
        return;
    }
    (void)stasis_fail(&err, STASIS_ERR_SANDBOX,
                      "the sandbox refuses %s the system call %s (%d): somebody attacks it, or "
                      "this is a fault of vmm; report it, and turn the sandbox off until it is "
                      "mended",
                      own_kind ? own_kind : "a helper's thread", name ? name : "without a name",
                      call);
    refused.end(refused.ctx, &err);
}

int stasis_sandbox_on_refused(void (*end)(void *ctx, const struct stasis_error *err), void *ctx,
                              struct stasis_error *err)
{
    struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO};

    refused.end = end;
    refused.ctx = ctx;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSYS, &action, NULL))
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "cannot take SIGSYS");
    return 0;
}

/* ---- filters ---- */

/* The process's own id takes the place of the one that the build has put there. */
static void put_pid(struct sock_filter *code, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (code[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && code[i].k == STASIS_FILTER_PID)
            code[i].k = (uint32_t)getpid();
}

int stasis_sandbox_filter(enum stasis_sandbox_thread thread, struct stasis_error *err)
{
    const struct filter *filter = &filters[thread];
    struct sock_filter code[STASIS_FILTER_MAX];
    const struct sock_fprog program = {(unsigned short)filter->count, code};

    memcpy(code, filter->code, filter->count * sizeof(code[0]));
    put_pid(code, filter->count);
    own_kind = filter->thread;
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "system calls are not limited, for which the kernel needs seccomp "
                                 "filters (CONFIG_SECCOMP_FILTER)");
    return 0;
}
