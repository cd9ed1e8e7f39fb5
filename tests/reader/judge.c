/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/reader/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void judge_pipe(int fd, void (*judge)(int, const char *, struct verdict *),
                       struct verdict *verdict)
{
    struct feed feed = {.from = fd};
    pthread_t thread;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC))
        abort();
    feed.to = ends[1];
    if (pthread_create(&thread, NULL, pump, &feed))
        abort();
    judge(ends[0], NULL, verdict);
    close(ends[0]);
    pthread_join(thread, NULL);
}

int judge_all(void (*judge)(int fd, const char *path, struct verdict *verdict), FILE *in, FILE *out)
{
    char how[8], path[4096];

    signal(SIGPIPE, SIG_IGN);
    while (fscanf(in, "%7s %4095s", how, path) == 2) {
        struct verdict verdict = {.stage = "none"};
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0) {
            fprintf(stderr, "%s: %s\n", path, strerror(errno));
            return 1;
        }
        if (strcmp(how, "pipe") != 0)
            judge(fd, path, &verdict);
        else
            judge_pipe(fd, judge, &verdict);
        close(fd);
        fprintf(out, "%d %s %s\n", verdict.status, verdict.stage, verdict.message);
        fflush(out);
    }
    return 0;
}
