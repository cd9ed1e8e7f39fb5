/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Waiting for the disk: a save that is cancelled meanwhile does not wait, leaves nothing, and
 * publishes nothing later; and what the disk still has to do at the end is bounded. By the order of
 * events, with a disk that answers when it is told to.
 */
#include "tests/state-ser/snap/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stasis/output.h"

#define MIB ((size_t)1 << 20)

static struct {
    bool slow_close;     /* so does what frees a file, */
    atomic_bool closing; /* from the cancel on */
    bool slow;           /* the disk answers when it is told to */
    int error;           /* its answer */
    bool no_thread;      /* none can be made */
    sem_t begun;         /* posted by fsync */
    sem_t answer;        /* awaited by it */
    sem_t gone;          /* posted when it returns */
    atomic_uint syncs;
    bool cancel; /* once fsync has begun */
    bool begun_seen;
    uint64_t told;  /* the progress does not go back */
    unsigned asked; /* since then */
    pthread_t saver;
    bool stuck;                     /* so does what is awaited on the way */
    atomic_uint waiting;            /* for that */
    int wait_error;                 /* of what is awaited on the way */
    atomic_ullong started, awaited; /* ends of what was */
    atomic_ullong lag;              /* the most that lay between them */
} disk;

int __real_stasis_io_sync(int fd);
int __wrap_stasis_io_sync(int fd);
int __wrap_stasis_io_sync(int fd)
{
    bool first = atomic_fetch_add(&disk.syncs, 1) == 0;

    if (first && disk.slow) {
        assert_false(pthread_equal(pthread_self(), disk.saver));
        sem_post(&disk.begun);
        while (sem_wait(&disk.answer))
            ;
        sem_post(&disk.gone);
    }
    if (first && disk.error) {
        errno = disk.error;
        return -1;
    }
    return __real_stasis_io_sync(fd);
}

/* The ranges that were given to the disk on the way. */
#define PUSHED_MAX 256u
static struct {
    atomic_uint count;
    uint64_t start[PUSHED_MAX], end[PUSHED_MAX];
} pushed;

void __wrap_stasis_io_start_sync(int fd, uint64_t offset, uint64_t len);
void __wrap_stasis_io_start_sync(int fd, uint64_t offset, uint64_t len)
{
    unsigned i = atomic_fetch_add(&pushed.count, 1);

    (void)fd;
    if (i < PUSHED_MAX) {
        pushed.start[i] = offset;
        pushed.end[i] = offset + len;
    }
    atomic_store(&disk.started, offset + len);
}

int __wrap_stasis_io_wait_sync(int fd, uint64_t offset, uint64_t len);
int __wrap_stasis_io_wait_sync(int fd, uint64_t offset, uint64_t len)
{
    uint64_t lag = atomic_load(&disk.started) - (offset + len);

    (void)fd;
    if (disk.stuck) {
        assert_false(pthread_equal(pthread_self(), disk.saver));
        atomic_fetch_add(&disk.waiting, 1);
        sem_post(&disk.begun);
        while (sem_wait(&disk.answer))
            ;
        return 0;
    }
    assert_in_range(offset, 0, atomic_load(&disk.awaited)); /* nothing is left out */
    assert_in_range(len, 1, atomic_load(&disk.started));    /* or begins too early */
    atomic_store(&disk.awaited, offset + len);
    if (lag > atomic_load(&disk.lag))
        atomic_store(&disk.lag, lag);
    errno = disk.wait_error;
    return disk.wait_error ? -1 : 0;
}

void __real_stasis_io_close(int fd);
void __wrap_stasis_io_close(int fd);
void __wrap_stasis_io_close(int fd)
{
    if (atomic_load(&disk.closing) && !pthread_equal(pthread_self(), disk.saver))
        while (sem_wait(&disk.answer))
            ;
    __real_stasis_io_close(fd);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
                          void *arg);

/* Threads that nobody joins use what belongs to the case: it ends behind them. */
static atomic_uint threads_made;
static sem_t thread_ended;

struct thread {
    void *(*body)(void *);
    void *arg;
};

static void *run_thread(void *arg)
{
    struct thread thread = *(struct thread *)arg;
    void *result;

    free(arg);
    result = thread.body(thread.arg);
    sem_post(&thread_ended);
    return result;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
                          void *arg)
{
    struct thread *own;

    if (disk.no_thread)
        return EAGAIN;
    own = malloc(sizeof(*own));
    assert_non_null(own);
    *own = (struct thread){body, arg};
    atomic_fetch_add(&threads_made, 1);
    return __real_pthread_create(thread, attr, run_thread, own);
}

static bool told(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    assert_true(pthread_equal(pthread_self(), disk.saver));
    assert_in_range(done, disk.told, total);
    disk.told = done;
    if (disk.stuck)
        return sem_trywait(&disk.begun) != 0; /* cancelled as soon as something waits */
    if (disk.slow && !sem_trywait(&disk.begun))
        disk.begun_seen = true;
    if (disk.slow_close && done) /* something was read and closed before */
        atomic_store(&disk.closing, true);
    if (atomic_load(&disk.closing))
        return false;
    if (!disk.begun_seen)
        return true;
    assert_int_equal(done, total);
    disk.asked++;
    if (!disk.cancel &&
        disk.asked == 3) /* it is asked again and again, and then the disk answers */
        sem_post(&disk.answer);
    return !disk.cancel;
}

static const char *where; /* every case has a folder of its own */

static int setup(void **state)
{
    (void)state;
    memset(&disk, 0, sizeof(disk));
    disk.saver = pthread_self();
    alarm(300); /* a save that waits for the disk */
    return sem_init(&disk.begun, 0, 0) || sem_init(&disk.answer, 0, 0) ||
           sem_init(&disk.gone, 0, 0) || !(where = folder_make());
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned left = atomic_exchange(&threads_made, 0); left; left--)
        while (sem_wait(&thread_ended))
            ;
    alarm(0);
    folder_remove();
    return 0;
}

static int save_with(struct built *built, unsigned threads, struct stasis_error *err)
{
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .threads = threads, .progress = told};
    char path[160];

    disk.told = 0;
    snprintf(path, sizeof(path), "%s/snap", where);
    return stasis_snap_save(built->snap, path, &opts, NULL, err);
}

static int save(struct built *built, struct stasis_error *err)
{
    return save_with(built, 1, err);
}

static void a_cancel_does_not_wait_for_the_disk(void **state)
{
    struct built built;
    struct stasis_error err = {0};
    unsigned before = open_files();

    (void)state;
    built_small(&built);
    disk.slow = disk.cancel = true;
    /* It comes back although the disk has not answered: nobody has told it to. */
    assert_int_equal(save(&built, &err), STASIS_ERR_CANCELLED);
    assert_non_null(strstr(err.msg, "nothing is left of it"));
    assert_int_equal(disk.asked, 1);
    assert_int_equal(folder_entries(where), 0);
    built_fini(&built); /* the thread that is left reads nothing of it */
    sem_post(&disk.answer);
    while (sem_wait(&disk.gone))
        ;
    while (open_files() != before) /* its descriptor is the last that it lets go */
        sched_yield();
    assert_int_equal(atomic_load(&disk.syncs), 1);
    assert_int_equal(folder_entries(where), 0);
}

/* What was written is freed by the last one who closes it. */
static void a_cancel_does_not_wait_for_the_file_to_be_freed(void **state)
{
    struct built built;
    unsigned before = open_files();

    (void)state;
    built_small(&built);
    disk.slow_close = true;
    assert_int_equal(save(&built, NULL), STASIS_ERR_CANCELLED);
    assert_int_equal(open_files(), before + 1);
    assert_int_equal(folder_entries(where), 0);
    built_fini(&built);
    sem_post(&disk.answer);
    while (open_files() != before)
        sched_yield();
}

static void the_disk_answers_while_it_is_waited_for(void **state)
{
    struct built built;
    unsigned before = open_files();

    (void)state;
    built_small(&built);
    disk.slow = true;
    assert_int_equal(save(&built, NULL), 0);
    assert_in_range(disk.asked, 3, UINT32_MAX);
    assert_int_equal(folder_entries(where), 1);
    assert_int_equal(open_files(), before);
    built_fini(&built);
}

static void the_disk_answers_with_an_error(void **state)
{
    struct built built;
    struct stasis_error err = {0};

    (void)state;
    built_small(&built);
    for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
        atomic_store(&disk.syncs, 0);
        disk.no_thread = no_thread;
        disk.error = EIO;
        assert_int_equal(save(&built, &err), STASIS_ERR_WRITE);
        assert_int_equal(err.os_errno, EIO);
        assert_int_equal(folder_entries(where), 0);
    }
    built_fini(&built);
}

static bool refuse(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)total;
    return done == 0;
}

/* Who cancels closes the file itself then. */
static void without_a_thread_it_is_cancelled_too(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .threads = 1, .progress = refuse};
    unsigned before = open_files();
    struct built built;
    char path[160];

    (void)state;
    built_small(&built);
    disk.no_thread = true;
    snprintf(path, sizeof(path), "%s/snap", where);
    assert_int_equal(stasis_snap_save(built.snap, path, &opts, NULL, NULL), STASIS_ERR_CANCELLED);
    assert_int_equal(folder_entries(where), 0);
    assert_int_equal(open_files(), before);
    built_fini(&built);
}

static void without_a_thread_it_is_saved_too(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    disk.no_thread = true;
    assert_int_equal(save(&built, NULL), 0);
    assert_int_equal(folder_entries(where), 1);
    built_fini(&built);
}

/* 80 MiB of content; so much is written that what is on its way has to be waited for. */
static void built_long(struct built *built)
{
    built_init(built);
    built_add(built, 0, 80 * MIB);
    fill_random(built->ram[0], 80 * MIB, 7);
}

static void bytes_on_their_way_to_the_disk_are_bounded(void **state)
{
    struct built built;

    (void)state;
    built_long(&built);
    assert_int_equal(save(&built, NULL), 0);
    assert_in_range(atomic_load(&disk.started), 80 * MIB, 83 * MIB);
    assert_in_range(atomic_load(&disk.lag), 1, 18 * MIB);
    assert_in_range(atomic_load(&disk.awaited), 62 * MIB, 83 * MIB);
    built_fini(&built);
}

/* Bytes that were pushed between two offsets of the file; none of them twice. */
static uint64_t pushed_between(uint64_t start, uint64_t end)
{
    uint64_t sum = 0;

    assert_in_range(atomic_load(&pushed.count), 0, PUSHED_MAX);
    for (unsigned i = 0; i < atomic_load(&pushed.count); i++) {
        for (unsigned k = 0; k < i; k++)
            assert_true(pushed.end[k] <= pushed.start[i] || pushed.end[i] <= pushed.start[k]);
        if (pushed.start[i] >= start && pushed.end[i] <= end)
            sum += pushed.end[i] - pushed.start[i];
    }
    return sum;
}

/* By one thread, from `snap`; and opened from `path`. */
static struct stasis_snap *save_and_reopen(struct stasis_snap *snap, const char *path,
                                           unsigned zlib_level)
{
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .threads = 1, .zlib_level = zlib_level, .format_version = 1};
    struct stasis_snap *opened = NULL;
    struct stasis_error err = {0};

    atomic_store(&pushed.count, 0);
    if (stasis_snap_save(snap, path, &opts, NULL, &err) ||
        stasis_snap_open(path, NULL, &opened, &err))
        fail_msg("%s", err.msg);
    return opened;
}

/* Every stored byte of RAM, and no other; in compressed files also the gaps before raw chunks. */
static void assert_ram_was_pushed(struct stasis_snap *opened)
{
    uint64_t count = stasis_snap_chunk_count(opened);
    struct stasis_snap_chunk first = stasis_snap_chunk_at(opened, 0);
    struct stasis_snap_chunk last = stasis_snap_chunk_at(opened, count - 1);
    uint64_t end = last.offset + last.stored_len;

    assert_in_range(pushed_between(first.offset, end), stasis_snap_info(opened)->stored_bytes,
                    end - first.offset);
    assert_int_equal(pushed_between(0, UINT64_MAX), pushed_between(first.offset, end));
}

static void bytes_written_go_to_the_disk_once(void **state)
{
    struct stasis_snap *raw, *compressed, *again;
    char path[3][160];
    struct built built;

    (void)state;
    for (int i = 0; i < 3; i++)
        snprintf(path[i], sizeof(path[i]), "%s/%d", where, i);
    built_init(&built);
    built_add(&built, 0, 8 * MIB);
    fill_random(built.ram[0], 3 * MIB, 1);
    fill_random(built.ram[0] + 5 * MIB, 3 * MIB, 2);
    raw = save_and_reopen(built.snap, path[0], 0);
    assert_ram_was_pushed(raw);
    compressed = save_and_reopen(built.snap, path[1], 1);
    assert_int_equal(stasis_snap_chunk_at(compressed, 0).kind, STASIS_CHUNK_ZLIB);
    assert_ram_was_pushed(compressed);
    again = save_and_reopen(compressed, path[2], 0);
    assert_ram_was_pushed(again);
    stasis_snap_free(again);
    stasis_snap_free(compressed);
    again = save_and_reopen(raw, path[2], 0);
    assert_ram_was_pushed(again);
    stasis_snap_free(again);
    stasis_snap_free(raw);
    built_fini(&built);
}

/* A stream is nobody's file, and without a sync the disk is left to the kernel. */
static void nothing_is_pushed_that_nobody_waits_for(void **state)
{
    struct stasis_save_opts opts = {.size = sizeof(opts), .threads = 1};
    struct built built;
    char path[160];
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "%s/stream", where);
    built_init(&built);
    built_add(&built, 0, 2 * MIB);
    fill_random(built.ram[0], 2 * MIB, 1);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (opts.zlib_level = 0; opts.zlib_level < 2; opts.zlib_level++) {
        atomic_store(&pushed.count, 0);
        opts.no_sync = false;
        assert_int_equal(stasis_snap_save_stream(built.snap, fd, &opts, NULL, NULL), 0);
        opts.no_sync = true;
        assert_int_equal(stasis_snap_save(built.snap, path, &opts, NULL, NULL), 0);
        assert_int_equal(atomic_load(&pushed.count), 0);
        opts.no_sync = false;
        assert_int_equal(stasis_snap_save(built.snap, path, &opts, NULL, NULL), 0);
        assert_int_not_equal(atomic_load(&pushed.count), 0);
    }
    close(fd);
    built_fini(&built);
}

/* That of 16 GiB, which nobody touched, has 6 MiB. */
static void an_index_goes_to_the_disk_once(void **state)
{
    struct stasis_snap *opened;
    char path[160];
    struct built built;

    (void)state;
    snprintf(path, sizeof(path), "%s/index", where);
    built_init(&built);
    built_add(&built, 0, 16384 * MIB);
    opened = save_and_reopen(built.snap, path, 0);
    assert_in_range(pushed_between(0, stasis_snap_info(opened)->file_len), 5 * MIB, 6 * MIB + 4096);
    stasis_snap_free(opened);
    built_fini(&built);
}

/* What the kernel has told once, fsync() does not tell again. */
static void a_failure_on_the_way_is_one_of_the_save(void **state)
{
    struct built built;
    struct stasis_error err = {0};

    (void)state;
    built_long(&built);
    disk.wait_error = EIO;
    assert_int_equal(save(&built, &err), STASIS_ERR_WRITE);
    assert_int_equal(err.os_errno, EIO);
    assert_int_equal(folder_entries(where), 0);
    built_fini(&built);
}

static void a_cancel_does_not_wait_for_what_is_on_its_way(void **state)
{
    struct built built;
    unsigned before = open_files();

    (void)state;
    built_long(&built);
    disk.stuck = true;
    for (unsigned threads = 1; threads <= 2; threads++) {
        assert_int_equal(save_with(&built, threads, NULL), STASIS_ERR_CANCELLED);
        assert_int_equal(folder_entries(where), 0);
        for (unsigned left = atomic_exchange(&disk.waiting, 0); left; left--)
            sem_post(&disk.answer);
        while (open_files() != before)
            sched_yield();
        while (!sem_trywait(&disk.begun))
            ;
    }
    built_fini(&built);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_cancel_does_not_wait_for_the_disk),
        CASE(a_cancel_does_not_wait_for_the_file_to_be_freed),
        CASE(the_disk_answers_while_it_is_waited_for),
        CASE(the_disk_answers_with_an_error),
        CASE(without_a_thread_it_is_cancelled_too),
        CASE(without_a_thread_it_is_saved_too),
        CASE(bytes_on_their_way_to_the_disk_are_bounded),
        CASE(bytes_written_go_to_the_disk_once),
        CASE(nothing_is_pushed_that_nobody_waits_for),
        CASE(an_index_goes_to_the_disk_once),
        CASE(a_failure_on_the_way_is_one_of_the_save),
        CASE(a_cancel_does_not_wait_for_what_is_on_its_way),
    };

    sem_init(&thread_ended, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
