/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The VMM as a judge of snapshots, many of them in one process: for each line "file PATH" or
 * "pipe PATH" of standard input, a line "STATUS STAGE MESSAGE". It goes the way of `vmm --restore`
 * with memory=copy: the file is opened, the board and its records are checked, the machine is built
 * and restored. Beneath the last step is a KVM that takes everything (tests/support/fake_kvm.c),
 * since there may be no /dev/kvm. STAGE is how far it came: open, machine, thaw, or runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/fake_kvm.h"
#include "vmm/snapshot/thaw_internal.h"

/* ---- a machine without a host ---- */

static size_t serial_out(void *ctx, const uint8_t *bytes, size_t len)
{
    (void)ctx;
    (void)bytes;
    return len;
}

static void rx_ready(void *ctx, const struct stasis_device *from)
{
    (void)ctx;
    (void)from;
}

static uint64_t now_ns(void *ctx)
{
    (void)ctx;
    return UINT64_C(1700000000) * 1000000000;
}

static void arm(void *ctx, const struct stasis_device *from, bool on, uint64_t deadline_ns)
{
    (void)ctx;
    (void)from;
    (void)on;
    (void)deadline_ns;
}

static const struct stasis_device_host host = {.serial_out = {serial_out, NULL},
                                               .serial_rx_ready = rx_ready,
                                               .rtc_now_ns = now_ns,
                                               .rtc_arm = arm};

/* ---- the judge ---- */

struct verdict {
    const char *stage;
    struct stasis_error err;
};

static int thaw(struct stasis_snap *snap, struct verdict *verdict)
{
    static struct stasis_machine machine;
    const struct stasis_thaw_options options = {.memory = STASIS_RAM_COPY};
    struct stasis_board_state board;
    struct stasis_thaw_result result;
    int rc = stasis_thaw_check_file(snap, &board, &verdict->err);

    verdict->stage = "machine";
    if (rc)
        return rc;
    verdict->stage = "thaw";
    fake_kvm = (struct fake_kvm){0};
    rc = stasis_thaw(&machine, snap, &options, &host, &result, &verdict->err);
    if (rc)
        return rc;
    verdict->stage = "runs";
    stasis_machine_fini(&machine);
    return 0;
}

static int judge(int fd, struct verdict *verdict)
{
    struct stasis_snap *snap = NULL;
    int rc = stasis_snap_open_fd(fd, "mutant", NULL, &snap, &verdict->err);

    verdict->stage = "open";
    if (!rc)
        rc = thaw(snap, verdict);
    stasis_snap_free(snap);
    return rc;
}

/* ---- through a pipe ---- */

struct feed {
    int from;
    int to;
};

static void *pump(void *arg)
{
    const struct feed *feed = arg;
    char bytes[65536];
    ssize_t len;

    while ((len = read(feed->from, bytes, sizeof(bytes))) > 0) {
        for (ssize_t at = 0; at < len;) {
            ssize_t put = write(feed->to, bytes + at, (size_t)(len - at));

            if (put < 0) {
                len = 0; /* the reader has seen enough */
                break;
            }
            at += put;
        }
        if (!len)
            break;
    }
    close(feed->to);
    return NULL;
}

static int judge_pipe(int fd, struct verdict *verdict)
{
    struct feed feed = {.from = fd};
    pthread_t thread;
    int ends[2], rc;

    if (pipe2(ends, O_CLOEXEC))
        return stasis_fail_errno(&verdict->err, STASIS_ERR_IO, "a pipe");
    feed.to = ends[1];
    if (pthread_create(&thread, NULL, pump, &feed))
        abort();
    rc = judge(ends[0], verdict);
    close(ends[0]);
    pthread_join(thread, NULL);
    return rc;
}

int main(void)
{
    char how[8], path[4096];

    signal(SIGPIPE, SIG_IGN);
    while (scanf("%7s %4095s", how, path) == 2) {
        struct verdict verdict = {.stage = "none"};
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        int rc;

        if (fd < 0) {
            fprintf(stderr, "judge_vmm: %s: %s\n", path, strerror(errno));
            return 1;
        }
        rc = (strcmp(how, "pipe") != 0 ? judge : judge_pipe)(fd, &verdict);
        close(fd);
        printf("%d %s %s\n", stasis_err_exit_status(rc), verdict.stage, rc ? verdict.err.msg : "");
        fflush(stdout);
    }
    return 0;
}
