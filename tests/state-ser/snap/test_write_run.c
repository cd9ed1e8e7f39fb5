/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Progress of a save, and its end by it: shown by the order of events, with other threads held at
 * the worst moment until the save waits for them.
 */
#include "tests/state-ser/snap/fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state-ser/snap/object.h"

#define THREADS 3u
#define RANGES  8u /* batches of chunks: more than enough for every thread to get one */
#define SIZE    ((size_t)RANGES * STASIS_BATCH_CHUNKS * STASIS_CHUNK_SIZE)

enum event { LOOK, WRITE, EVENTS };

static struct {
    pthread_t saver;
    bool cancel_during[EVENTS]; /* the phase in which to cancel */
    unsigned hold;              /* other threads that are to be held before that */
    unsigned patience;          /* of how many times asked in that phase */
    enum event phase;
    sem_t held; /* posted by each of them */
    atomic_bool released;
    atomic_bool cancelled;
    atomic_uint before[EVENTS], after[EVENTS]; /* the answer of false */
    unsigned calls;
    uint64_t size; /* of RAM */
    uint64_t done; /* last told */
    bool cancel_at_once;
    bool cancel_while_finding;
    unsigned found; /* how many times pages were looked for */
    uint64_t done_before_writing;
} seen;

/* Other threads stop at their first event of the phase, in the middle of a range. */
static void note(enum event event)
{
    static _Thread_local bool held;

    if (atomic_load(&seen.cancelled))
        atomic_fetch_add(&seen.after[event], 1);
    else
        atomic_fetch_add(&seen.before[event], 1);
    if (!seen.hold || !seen.cancel_during[event] || held ||
        pthread_equal(pthread_self(), seen.saver))
        return;
    held = true;
    sem_post(&seen.held);
    while (!atomic_load(&seen.released))
        sched_yield();
}

void __real_stasis_populated_find(const struct stasis_populated *populated, uintptr_t start,
                                  uintptr_t end,
                                  void (*found)(void *ctx, uintptr_t start, uintptr_t end),
                                  void *ctx);
void __wrap_stasis_populated_find(const struct stasis_populated *populated, uintptr_t start,
                                  uintptr_t end,
                                  void (*found)(void *ctx, uintptr_t start, uintptr_t end),
                                  void *ctx);
void __wrap_stasis_populated_find(const struct stasis_populated *populated, uintptr_t start,
                                  uintptr_t end,
                                  void (*found)(void *ctx, uintptr_t start, uintptr_t end),
                                  void *ctx)
{
    if (seen.cancel_while_finding) /* on one thread */
        seen.found++;
    __real_stasis_populated_find(populated, start, end, found, ctx);
}

uint16_t __real_stasis_chunk_page_mask_among(const void *bytes, uint16_t among);
uint16_t __wrap_stasis_chunk_page_mask_among(const void *bytes, uint16_t among);
uint16_t __wrap_stasis_chunk_page_mask_among(const void *bytes, uint16_t among)
{
    note(LOOK);
    return __real_stasis_chunk_page_mask_among(bytes, among);
}

int __real_stasis_io_pwrite(int fd, const void *buf, size_t len, uint64_t offset);
int __wrap_stasis_io_pwrite(int fd, const void *buf, size_t len, uint64_t offset);
int __wrap_stasis_io_pwrite(int fd, const void *buf, size_t len, uint64_t offset)
{
    note(WRITE);
    return __real_stasis_io_pwrite(fd, buf, len, offset);
}

int __real_stasis_io_write(int fd, const void *buf, size_t len);
int __wrap_stasis_io_write(int fd, const void *buf, size_t len);
int __wrap_stasis_io_write(int fd, const void *buf, size_t len)
{
    note(WRITE);
    return __real_stasis_io_write(fd, buf, len);
}

/* The save waits for its threads: whatever it had to tell them, it has told. */
int __real_pthread_join(pthread_t thread, void **ret_value);
int __wrap_pthread_join(pthread_t thread, void **ret_value);
int __wrap_pthread_join(pthread_t thread, void **ret_value)
{
    if (atomic_load(&seen.cancelled))
        atomic_store(&seen.released, true);
    return __real_pthread_join(thread, ret_value);
}

static bool told(void *ctx, uint64_t done, uint64_t total)
{
    enum event phase = atomic_load(&seen.before[WRITE]) > *(unsigned *)ctx ? WRITE : LOOK;

    assert_true(pthread_equal(pthread_self(), seen.saver));
    assert_int_equal(total, seen.size);
    assert_in_range(done, seen.done, total);
    seen.done = done;
    seen.calls++;
    if (phase == LOOK)
        seen.done_before_writing = done;
    if (seen.cancel_at_once || (seen.cancel_while_finding && seen.found))
        return false;
    if (!seen.cancel_during[phase] || !atomic_load(&seen.before[phase]))
        return true;
    if (seen.patience) {
        seen.patience--;
        return true;
    }
    for (unsigned i = 0; i < seen.hold; i++)
        while (sem_wait(&seen.held))
            ;
    atomic_store(&seen.cancelled, true);
    return false;
}

/* Every other chunk holds something: a range has eight runs. */
static struct built *guest(void)
{
    static struct built built;

    built_init(&built);
    built_add(&built, 0, seen.size = SIZE);
    for (size_t at = 0; at < SIZE; at += 2 * (size_t)STASIS_CHUNK_SIZE)
        fill_random(built.ram[0] + at, 8192, (uint32_t)at);
    return &built;
}

struct kind {
    bool stream;
    unsigned zlib_level;
    unsigned threads;
};

static int save(const struct kind *kind, struct built *built)
{
    unsigned header_writes = kind->stream ? 1 : 0; /* before RAM */
    const struct stasis_save_opts opts = {.size = sizeof(opts),
                                          .threads = kind->threads,
                                          .zlib_level = kind->zlib_level,
                                          .progress = told,
                                          .ctx = &header_writes};
    const char *folder = folder_make();
    struct stasis_error err = {0};
    char path[128];
    int rc;

    seen.saver = pthread_self();
    sem_init(&seen.held, 0, 0);
    snprintf(path, sizeof(path), "%s/snap", folder);
    if (kind->stream) {
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        rc = stasis_snap_save_stream(built->snap, fd, &opts, NULL, &err);
        close(fd);
        unlink(path);
    } else {
        rc = stasis_snap_save(built->snap, path, &opts, NULL, &err);
    }
    if (rc) {
        assert_int_equal(err.code, rc);
        assert_int_equal(folder_entries(folder), 0);
    }
    folder_remove();
    sem_destroy(&seen.held);
    return rc;
}

static void cancel(struct kind *kind, enum event phase)
{
    struct built *built;

    /* In a compressed file the saver may be asked while it has the turn. A third thread, which
     * waits for that turn, could not be held then. */
    if (!kind->stream && kind->zlib_level && phase == WRITE && kind->threads > 2)
        kind->threads = 2;

    memset(&seen, 0, sizeof(seen));
    built = guest();
    seen.cancel_during[phase] = true;
    seen.hold = kind->threads - 1;
    /* In a stream one has the turn, and the saver waits for its own; or it writes alone. */
    if (kind->stream && phase == WRITE && seen.hold)
        seen.hold = seen.patience = kind->zlib_level ? 1 : 0;
    assert_int_equal(save(kind, built), STASIS_ERR_CANCELLED);
    assert_true(atomic_load(&seen.cancelled));
    assert_in_range(atomic_load(&seen.before[phase]), 1,
                    (kind->threads + 1) *
                        STASIS_BATCH_CHUNKS); /* of RANGES * STASIS_BATCH_CHUNKS */
    /* In a stream the gap before a chunk is a write of its own. */
    if ((seen.hold || kind->threads == 1) &&
        (atomic_load(&seen.after[LOOK]) || atomic_load(&seen.after[WRITE]) > kind->stream))
        fail_msg("%u threads, %s, level %u: after the cancel %u chunks looked at, %u writes",
                 kind->threads, kind->stream ? "stream" : "file", kind->zlib_level,
                 atomic_load(&seen.after[LOOK]), atomic_load(&seen.after[WRITE]));
    if (phase == LOOK)
        assert_in_range(atomic_load(&seen.before[WRITE]), 0, kind->stream);
    built_fini(built);
}

static void after_a_cancel_nothing_is_looked_at_or_written(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= THREADS; threads += THREADS - 1)
        for (unsigned level = 0; level < 2; level++)
            for (unsigned stream = 0; stream < 2; stream++)
                for (unsigned phase = 0; phase < EVENTS; phase++)
                    cancel(&(struct kind){stream, level, threads}, (enum event)phase);
}

static void progress_is_told_throughout(void **state)
{
    (void)state;
    for (unsigned level = 0; level < 2; level++)
        for (unsigned stream = 0; stream < 2; stream++) {
            const struct kind kind = {stream, level, 1};
            struct built *built;

            memset(&seen, 0, sizeof(seen));
            built = guest();
            assert_int_equal(save(&kind, built), 0);
            assert_int_equal(seen.done, SIZE);
            assert_int_equal(seen.done_before_writing, SIZE / 8);
            assert_true(seen.calls >= 2 * RANGES);
            built_fini(built);
        }
}

/* RAM that was never touched is nothing to look at, but to find that out may take its time. */
static void cancel_while_pages_are_found(enum stasis_populated_by by)
{
    const struct kind kind = {.threads = 1};
    struct built built;

    memset(&seen, 0, sizeof(seen));
    built_init(&built);
    built_add(&built, 0, seen.size = (size_t)8 << 30);
    built.snap->populated_by = by;
    assert_int_equal(save(&kind, &built), 0);
    assert_true(seen.calls >= 8);
    assert_int_equal(seen.done, seen.size);
    assert_int_equal(atomic_load(&seen.before[LOOK]), 0);
    seen.calls = 0;
    seen.done = 0;
    seen.cancel_at_once = true;
    assert_int_equal(save(&kind, &built), STASIS_ERR_CANCELLED);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.done, 0);
    /* Between two pieces of RAM only the search itself can hear it. */
    seen.cancel_at_once = false;
    seen.cancel_while_finding = true;
    assert_int_equal(save(&kind, &built), STASIS_ERR_CANCELLED);
    assert_int_equal(seen.found, 1);
    built_fini(&built);
}

static void a_cancel_is_heard_while_pages_are_found(void **state)
{
    (void)state;
    if (sysconf(_SC_PAGESIZE) != STASIS_PAGE_SIZE || access("/proc/self/pagemap", R_OK) ||
        access("/proc/self/smaps", R_OK)) {
        printf("skipped: nothing tells of pages here\n");
        skip();
    }
    cancel_while_pages_are_found(STASIS_POPULATED_BY_SCAN);
    cancel_while_pages_are_found(STASIS_POPULATED_BY_PAGEMAP);
}

static struct {
    atomic_bool stuck;
    sem_t begun;
    sem_t go_on;
    sem_t ended;
} reading;

bool __real_stasis_mappings_read(struct stasis_mappings *mappings, enum stasis_mappings_from from,
                                 int fd, uintptr_t start, uintptr_t end);
bool __wrap_stasis_mappings_read(struct stasis_mappings *mappings, enum stasis_mappings_from from,
                                 int fd, uintptr_t start, uintptr_t end);
bool __wrap_stasis_mappings_read(struct stasis_mappings *mappings, enum stasis_mappings_from from,
                                 int fd, uintptr_t start, uintptr_t end)
{
    if (!reading.stuck)
        return __real_stasis_mappings_read(mappings, from, fd, start, end);
    assert_false(pthread_equal(pthread_self(), seen.saver));
    sem_post(&reading.begun);
    while (sem_wait(&reading.go_on))
        ;
    *mappings = (struct stasis_mappings){0};
    sem_post(&reading.ended);
    return true;
}

static bool cancel_while_reading(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)total;
    assert_int_equal(done, 0);
    return sem_trywait(&reading.begun) != 0;
}

/* The kernel walks the page tables of all RAM for it. */
static void a_cancel_does_not_wait_for_the_mappings_to_be_read(void **state)
{
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .threads = 1, .progress = cancel_while_reading};
    const char *folder = folder_make();
    struct built *built;
    char path[128];

    (void)state;
    if (sysconf(_SC_PAGESIZE) != STASIS_PAGE_SIZE)
        skip();
    alarm(120); /* a save that waits for it */
    memset(&seen, 0, sizeof(seen));
    seen.saver = pthread_self();
    sem_init(&reading.begun, 0, 0);
    sem_init(&reading.go_on, 0, 0);
    sem_init(&reading.ended, 0, 0);
    reading.stuck = true;
    built = guest();
    snprintf(path, sizeof(path), "%s/snap", folder);
    assert_int_equal(stasis_snap_save(built->snap, path, &opts, NULL, NULL), STASIS_ERR_CANCELLED);
    assert_int_equal(folder_entries(folder), 0);
    sem_post(&reading.go_on);
    while (sem_wait(&reading.ended))
        ;
    reading.stuck = false;
    alarm(0);
    built_fini(built);
    folder_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_cancel_nothing_is_looked_at_or_written),
        cmocka_unit_test(progress_is_told_throughout),
        cmocka_unit_test(a_cancel_is_heard_while_pages_are_found),
        cmocka_unit_test(a_cancel_does_not_wait_for_the_mappings_to_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
