/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/crash_calls.h"

#include "support/cmocka_all.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(nr)                                                                                  \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* The low half of the argument, whatever the byte order. */
#define ARGUMENT(n)                                                                                \
    ((uint32_t)offsetof(struct seccomp_data, args[n]) +                                            \
     (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0))

/* What belongs to the thread itself cannot be done for it by another. */
static const struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(__NR_futex),
    ALLOW(__NR_exit),
    ALLOW(__NR_exit_group),
    ALLOW(__NR_clone),
    ALLOW(__NR_clone3),
    ALLOW(__NR_set_robust_list),
    ALLOW(__NR_rseq),
    ALLOW(__NR_gettid),
    ALLOW(__NR_getpid),
    ALLOW(__NR_tgkill),
    ALLOW(__NR_prctl),
    ALLOW(__NR_sched_yield),
    ALLOW(__NR_sched_getaffinity),
    ALLOW(__NR_rt_sigaction),
    ALLOW(__NR_rt_sigprocmask),
    ALLOW(__NR_rt_sigreturn),
    ALLOW(__NR_sigaltstack),
    ALLOW(__NR_nanosleep),
    ALLOW(__NR_clock_nanosleep),
    ALLOW(__NR_brk),
    ALLOW(__NR_munmap),
    ALLOW(__NR_mremap),
    ALLOW(__NR_mprotect),
    ALLOW(__NR_madvise),
    /* mmap without a file: the fifth argument is -1. */
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(4)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UINT32_MAX, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
};

struct watched {
    const struct crash_watch *watch;
    int listener; /* or -1 */
    sem_t ready;
};

static int listen_to_this_thread(void)
{
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]),
                                 (struct sock_filter *)(uintptr_t)filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return -1;
    return (int)syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                        &program);
}

static void *watched_thread(void *arg)
{
    struct watched *watched = arg;
    int listener = listen_to_this_thread();

    watched->listener = listener;
    sem_post(&watched->ready);
    if (listener >= 0)
        watched->watch->body(watched->watch->body_ctx);
    return NULL;
}

long crash_call_make(const struct crash_call *call)
{
    long rc = syscall(call->nr, call->args[0], call->args[1], call->args[2], call->args[3],
                      call->args[4], call->args[5]);

    return rc == -1 ? -errno : rc;
}

/* False: nobody is left to make calls. */
static bool serve(const struct watched *watched)
{
    /* The kernel fills in what it knows of, which can be more than this header did. */
    union {
        struct seccomp_notif notif;
        uint8_t room[512];
    } in = {.room = {0}};
    union {
        struct seccomp_notif_resp resp;
        uint8_t room[512];
    } out = {.room = {0}};
    struct pollfd poll_fd = {.fd = watched->listener, .events = POLLIN};
    struct crash_call call;
    long rc;

    assert_int_equal(poll(&poll_fd, 1, -1), 1);
    if (!(poll_fd.revents & POLLIN))
        return false;
    assert_int_equal(ioctl(watched->listener, SECCOMP_IOCTL_NOTIF_RECV, &in.notif), 0);
    call = (struct crash_call){.nr = in.notif.data.nr};
    for (unsigned i = 0; i < 6; i++)
        call.args[i] = in.notif.data.args[i];
    rc = watched->watch->on_call(watched->watch->ctx, &call);
    out.resp.id = in.notif.id;
    out.resp.val = rc < 0 ? 0 : rc;
    out.resp.error = rc < 0 ? (int)rc : 0;
    assert_int_equal(ioctl(watched->listener, SECCOMP_IOCTL_NOTIF_SEND, &out.resp), 0);
    return true;
}

bool crash_watch(const struct crash_watch *watch)
{
    struct watched watched = {.watch = watch, .listener = -1};
    pthread_t thread;

    assert_int_equal(sem_init(&watched.ready, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, watched_thread, &watched), 0);
    while (sem_wait(&watched.ready))
        ;
    while (watched.listener >= 0 && serve(&watched))
        ;
    assert_int_equal(pthread_join(thread, NULL), 0);
    sem_destroy(&watched.ready);
    if (watched.listener < 0)
        return false;
    close(watched.listener);
    return true;
}
