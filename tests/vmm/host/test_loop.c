/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/host/loop.h"

/* A source that counts its reports, reads what is there, and arms itself again if told to. */
struct watcher {
    struct stasis_loop_source source;
    struct stasis_loop *loop;
    uint32_t rearm;
    unsigned count;
    unsigned stop_at;
    uint32_t events;
    size_t bytes;
    struct stasis_loop_source *remove;
};

static void on_ready(void *ctx, uint32_t events)
{
    struct watcher *watcher = ctx;
    uint8_t bytes[4];
    ssize_t n = events & EPOLLIN ? read(watcher->source.fd, bytes, sizeof(bytes)) : 0;

    watcher->count++;
    watcher->events = events;
    watcher->bytes += n > 0 ? (size_t)n : 0;
    if (watcher->remove)
        stasis_loop_remove(watcher->loop, watcher->remove);
    if (watcher->rearm && n > 0)
        assert_int_equal(stasis_loop_arm(watcher->loop, &watcher->source, watcher->rearm, NULL), 0);
    if (watcher->count == watcher->stop_at)
        stasis_loop_stop(watcher->loop);
}

static struct watcher watch(struct stasis_loop *loop, int fd)
{
    struct watcher watcher = {.loop = loop};

    watcher.source = (struct stasis_loop_source){.fd = fd, .ready = on_ready};
    return watcher;
}

static void arm(struct watcher *watcher, uint32_t events)
{
    watcher->source.ctx = watcher;
    assert_int_equal(stasis_loop_arm(watcher->loop, &watcher->source, events, NULL), 0);
}

static void put(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Runs the loop for some time, so that reports come which should not; returns the milliseconds of
 * CPU time that took. */
static long run_for(struct stasis_loop *loop, int ms)
{
    const struct itimerspec when = {.it_value.tv_nsec = ms * 1000000L};
    struct watcher timer = watch(loop, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    struct rusage before;
    struct rusage after;

    timer.stop_at = 1;
    assert_int_equal(timerfd_settime(timer.source.fd, 0, &when, NULL), 0);
    arm(&timer, EPOLLIN);
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(stasis_loop_run(loop, NULL), 0);
    getrusage(RUSAGE_SELF, &after);
    stasis_loop_remove(loop, &timer.source);
    close(timer.source.fd);
    return (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000 +
           (after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1000 +
           (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000 +
           (after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1000;
}

/* Runs the loop until the watcher has had that many reports in all. */
static void run_until(struct watcher *watcher, unsigned count)
{
    watcher->stop_at = count;
    alarm(300); /* reports that do not come */
    assert_int_equal(stasis_loop_run(watcher->loop, NULL), 0);
    alarm(0);
    assert_int_equal(watcher->count, count);
}

#define SPIN_MS 300
#define CPU_MS  100 /* a spinning loop takes all 300 */

static void reports_once_for_each_arm(void **state)
{
    struct stasis_loop loop;
    int fds[2];
    struct watcher reader;

    (void)state;
    assert_int_equal(stasis_loop_init(&loop, NULL), 0);
    assert_int_equal(pipe(fds), 0);
    reader = watch(&loop, fds[0]);
    put(fds[1], "more than one read takes");
    arm(&reader, EPOLLIN);
    run_until(&reader, 1);
    run_for(&loop, 20);
    assert_int_equal(reader.count, 1);
    arm(&reader, EPOLLIN);
    run_until(&reader, 2);
    reader.rearm = EPOLLIN;
    arm(&reader, EPOLLIN);
    run_until(&reader, 6);
    assert_int_equal(reader.bytes, 24);
    stasis_loop_remove(&loop, &reader.source);
    close(fds[0]);
    close(fds[1]);
    stasis_loop_fini(&loop);
}

/* A writer that has gone hangs the pipe up for ever: reported once, and no CPU time after. */
static void does_not_spin_on_a_vanished_writer(void **state)
{
    struct stasis_loop loop;
    int fds[2];
    struct watcher reader;

    (void)state;
    assert_int_equal(stasis_loop_init(&loop, NULL), 0);
    assert_int_equal(pipe(fds), 0);
    reader = watch(&loop, fds[0]);
    reader.rearm = EPOLLIN;
    arm(&reader, EPOLLIN);
    put(fds[1], "last");
    close(fds[1]);
    run_until(&reader, 2); /* its bytes, its end */
    assert_true(run_for(&loop, SPIN_MS) < CPU_MS);
    assert_int_equal(reader.bytes, 4);
    assert_int_equal(reader.count, 2);
    assert_true(reader.events & EPOLLHUP);
    stasis_loop_remove(&loop, &reader.source);
    close(fds[0]);
    stasis_loop_fini(&loop);
}

/* The guest does not take what its writer has for it: nobody arms, nothing is reported. */
static void does_not_spin_on_a_busy_writer(void **state)
{
    struct stasis_loop loop;
    int fds[2];
    struct watcher reader;

    (void)state;
    assert_int_equal(stasis_loop_init(&loop, NULL), 0);
    assert_int_equal(pipe(fds), 0);
    reader = watch(&loop, fds[0]);
    arm(&reader, EPOLLIN);
    for (int i = 0; i < 1000; i++)
        put(fds[1], "typing");
    run_until(&reader, 1);
    assert_true(run_for(&loop, SPIN_MS) < CPU_MS);
    assert_int_equal(reader.count, 1);
    stasis_loop_remove(&loop, &reader.source);
    close(fds[0]);
    close(fds[1]);
    stasis_loop_fini(&loop);
}

/* Waiting for room in a pipe whose reader is slow, and then goes away: one report, EPOLLERR. */
static void does_not_spin_on_a_slow_or_vanished_reader(void **state)
{
    struct stasis_loop loop;
    int fds[2];
    struct watcher writer;
    char block[4096] = "";

    (void)state;
    assert_int_equal(stasis_loop_init(&loop, NULL), 0);
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    while (write(fds[1], block, sizeof(block)) > 0)
        ;
    writer = watch(&loop, fds[1]);
    arm(&writer, EPOLLOUT);
    assert_true(run_for(&loop, SPIN_MS) < CPU_MS);
    assert_int_equal(writer.count, 0);
    close(fds[0]);
    run_until(&writer, 1);
    assert_true(run_for(&loop, SPIN_MS) < CPU_MS);
    assert_int_equal(writer.count, 1);
    assert_true(writer.events & EPOLLERR);
    stasis_loop_remove(&loop, &writer.source);
    close(fds[1]);
    stasis_loop_fini(&loop);
}

static void serves_files_that_epoll_refuses(void **state)
{
    char path[] = "/tmp/stasis-loop-XXXXXX";
    struct stasis_loop loop;
    int fd = mkstemp(path);
    struct watcher file;
    struct watcher null;

    (void)state;
    assert_true(fd >= 0);
    unlink(path);
    put(fd, "ten bytes.");
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(stasis_loop_init(&loop, NULL), 0);
    file = watch(&loop, fd);
    null = watch(&loop, open("/dev/null", O_RDONLY));
    file.rearm = null.rearm = EPOLLIN;
    arm(&file, EPOLLIN);
    arm(&null, EPOLLIN);
    arm(&null, EPOLLIN);
    run_until(&file, 4); /* 4 + 4 + 2 bytes, end */
    assert_true(run_for(&loop, SPIN_MS) < CPU_MS);
    assert_int_equal(file.bytes, 10);
    assert_int_equal(file.count, 4);
    assert_int_equal(null.count, 1);
    stasis_loop_remove(&loop, &file.source);
    stasis_loop_remove(&loop, &null.source);
    close(fd);
    close(null.source.fd);
    stasis_loop_fini(&loop);
}

/* Two sources that are ready at the same time, and remove each other: one is called. */
static void check_mutual_removal(struct stasis_loop *loop, int fd_a, int fd_b)
{
    struct watcher a = watch(loop, fd_a);
    struct watcher b = watch(loop, fd_b);

    a.remove = &b.source;
    b.remove = &a.source;
    arm(&a, EPOLLIN);
    arm(&b, EPOLLIN);
    a.stop_at = b.stop_at = 1;
    assert_int_equal(stasis_loop_run(loop, NULL), 0);
    run_for(loop, 20);
    assert_int_equal(a.count + b.count, 1);
    stasis_loop_remove(loop, &a.source);
    stasis_loop_remove(loop, &b.source);
    close(fd_a);
    close(fd_b);
}

static void forgets_a_source_that_a_callback_removes(void **state)
{
    struct stasis_loop loop;
    int fds[2];

    (void)state;
    assert_int_equal(stasis_loop_init(&loop, NULL), 0);
    assert_int_equal(pipe(fds), 0);
    put(fds[1], "ready for both");
    check_mutual_removal(&loop, fds[0], dup(fds[0]));
    close(fds[1]);
    check_mutual_removal(&loop, open("/dev/null", O_RDONLY), open("/dev/null", O_RDONLY));
    stasis_loop_fini(&loop);
}

static void *stop_later(void *loop)
{
    poll(NULL, 0, 30);
    stasis_loop_stop(loop);
    return NULL;
}

static void *arm_later(void *watcher)
{
    poll(NULL, 0, 30);
    arm(watcher, EPOLLIN);
    return NULL;
}

static void is_stopped_and_armed_from_other_threads(void **state)
{
    struct stasis_loop loop;
    struct watcher null;
    pthread_t thread;

    (void)state;
    assert_int_equal(stasis_loop_init(&loop, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, stop_later, &loop), 0);
    assert_int_equal(stasis_loop_run(&loop, NULL), 0);
    pthread_join(thread, NULL);

    null = watch(&loop, open("/dev/null", O_RDONLY));
    null.stop_at = 1;
    assert_int_equal(pthread_create(&thread, NULL, arm_later, &null), 0);
    assert_int_equal(stasis_loop_run(&loop, NULL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(null.count, 1);
    close(null.source.fd);
    stasis_loop_fini(&loop);
}

static void remembers_a_stop_before_it_runs(void **state)
{
    struct stasis_loop loop;
    struct watcher null;

    (void)state;
    assert_int_equal(stasis_loop_init(&loop, NULL), 0);
    null = watch(&loop, open("/dev/null", O_RDONLY));
    arm(&null, EPOLLIN);
    stasis_loop_stop(&loop);
    assert_int_equal(stasis_loop_run(&loop, NULL), 0);
    assert_int_equal(null.count, 0);
    run_until(&null, 1);
    close(null.source.fd);
    stasis_loop_fini(&loop);
}

static void refuses_what_is_no_descriptor(void **state)
{
    struct stasis_loop loop;
    struct watcher closed;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_loop_init(&loop, NULL), 0);
    closed = watch(&loop, 1000);
    assert_int_equal(stasis_loop_arm(&loop, &closed.source, EPOLLIN, &err), STASIS_ERR_IO);
    assert_non_null(strstr(err.msg, "1000"));
    stasis_loop_remove(&loop, &closed.source);
    stasis_loop_fini(&loop);
}

static void one_source_for_each_descriptor(void **state)
{
    struct stasis_loop loop;
    struct watcher first, second;
    struct stasis_error err;
    int fds[2];

    (void)state;
    assert_int_equal(stasis_loop_init(&loop, NULL), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    first = watch(&loop, fds[0]);
    second = watch(&loop, fds[0]);
    second.source.ctx = &second;
    arm(&first, EPOLLIN);
    assert_int_equal(stasis_loop_arm(&loop, &second.source, EPOLLIN, &err), STASIS_ERR_EXISTS);
    assert_non_null(strstr(err.msg, "is being watched"));
    stasis_loop_remove(&loop, &second.source); /* and not the other one */
    put(fds[1], "text");
    run_until(&first, 1);
    stasis_loop_remove(&loop, &first.source);
    arm(&second, EPOLLIN);
    stasis_loop_remove(&loop, &second.source);
    close(fds[0]);
    close(fds[1]);
    stasis_loop_fini(&loop);
}

static bool has_work(const struct stasis_loop *loop)
{
    struct pollfd wait = {.fd = stasis_loop_fd(loop), .events = POLLIN};

    return poll(&wait, 1, 0) == 1;
}

static void dispatch(struct stasis_loop *loop)
{
    assert_int_equal(stasis_loop_dispatch(loop, NULL), 0);
}

/* The descriptor says when there is something to do, of both sorts of sources, and dispatch returns
 * though there is more. */
static void loop_around_it(void **state)
{
    struct stasis_loop loop;
    struct watcher pipe_watcher, file_watcher;
    int fds[2];

    (void)state;
    assert_int_equal(stasis_loop_init(&loop, NULL), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pipe_watcher = watch(&loop, fds[0]);
    pipe_watcher.rearm = EPOLLIN;
    arm(&pipe_watcher, EPOLLIN);
    dispatch(&loop);
    assert_false(has_work(&loop));
    put(fds[1], "12345678");
    assert_true(has_work(&loop));
    dispatch(&loop);
    assert_int_equal(pipe_watcher.bytes, 8);
    assert_false(has_work(&loop));

    file_watcher = watch(&loop, open("/dev/zero", O_RDONLY | O_CLOEXEC));
    file_watcher.rearm = EPOLLIN; /* ready for ever */
    arm(&file_watcher, EPOLLIN);
    assert_true(has_work(&loop));
    dispatch(&loop);
    assert_true(file_watcher.count > 0);
    assert_true(has_work(&loop));
    stasis_loop_remove(&loop, &file_watcher.source);
    stasis_loop_remove(&loop, &pipe_watcher.source);
    close(file_watcher.source.fd);
    close(fds[0]);
    close(fds[1]);
    stasis_loop_fini(&loop);
}

/* A loop around it goes on when run has been told to stop: what is left is served, and then there
 * is nothing more to do. */
static void loop_around_it_after_a_stop(void **state)
{
    struct stasis_loop loop;
    struct watcher null;

    (void)state;
    assert_int_equal(stasis_loop_init(&loop, NULL), 0);
    null = watch(&loop, open("/dev/null", O_RDONLY | O_CLOEXEC));
    arm(&null, EPOLLIN);
    stasis_loop_stop(&loop);
    dispatch(&loop);
    assert_int_equal(null.count, 1);
    assert_false(has_work(&loop));
    assert_int_equal(stasis_loop_run(&loop, NULL), 0); /* the stop is still there */
    stasis_loop_remove(&loop, &null.source);
    close(null.source.fd);
    stasis_loop_fini(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_once_for_each_arm),
        cmocka_unit_test(does_not_spin_on_a_vanished_writer),
        cmocka_unit_test(does_not_spin_on_a_busy_writer),
        cmocka_unit_test(does_not_spin_on_a_slow_or_vanished_reader),
        cmocka_unit_test(serves_files_that_epoll_refuses),
        cmocka_unit_test(forgets_a_source_that_a_callback_removes),
        cmocka_unit_test(is_stopped_and_armed_from_other_threads),
        cmocka_unit_test(remembers_a_stop_before_it_runs),
        cmocka_unit_test(refuses_what_is_no_descriptor),
        cmocka_unit_test(one_source_for_each_descriptor),
        cmocka_unit_test(loop_around_it),
        cmocka_unit_test(loop_around_it_after_a_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
