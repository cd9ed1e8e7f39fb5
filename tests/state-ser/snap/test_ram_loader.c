/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The background loading of LAZY where the kernel cannot move pages: whoever touches memory waits
 * for one chunk of it at most, also while the thread that serves faults gets no processor. Shown by
 * the order of the loader's reads; that thread is held all the while.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "state-ser/snap/ram_internal.h"

#define SIZE  ((size_t)8 << 20) /* four blocks */
#define TOUCH 2u                /* number of the read during which memory is touched */
#define READS (TOUCH + 2)       /* that are looked at */

static struct {
    pthread_t owner;
    sem_t reading; /* posted by the loader */
    sem_t touch_is_near;
    sem_t handler_may_run;
    int uffd;
    unsigned count;
    uint64_t offsets[READS];
} seen;

int __real_stasis_uffd_wait(const struct stasis_uffd *uffd, int stop_fd, uint64_t *ret_address);
int __wrap_stasis_uffd_wait(const struct stasis_uffd *uffd, int stop_fd, uint64_t *ret_address);
size_t __wrap_stasis_uffd_move(const struct stasis_uffd *uffd, uint8_t *host, uint8_t *from,
                               size_t len);
ssize_t __real_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);
ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);

static void take(sem_t *sem)
{
    while (sem_wait(sem))
        ;
}

int __wrap_stasis_uffd_wait(const struct stasis_uffd *uffd, int stop_fd, uint64_t *ret_address)
{
    take(&seen.handler_may_run);
    sem_post(&seen.handler_may_run);
    return __real_stasis_uffd_wait(uffd, stop_fd, ret_address);
}

/* As before Linux 6.8. */
size_t __wrap_stasis_uffd_move(const struct stasis_uffd *uffd, uint8_t *host, uint8_t *from,
                               size_t len)
{
    (void)uffd, (void)host, (void)from, (void)len;
    return 0;
}

static void wait_for_fault(void)
{
    struct pollfd fault = {.events = POLLIN};

    sem_post(&seen.reading);
    take(&seen.touch_is_near);
    fault.fd = seen.uffd;
    while (poll(&fault, 1, -1) < 1)
        ;
}

/* All but the owner's are the one loader's. */
ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset)
{
    if (!pthread_equal(pthread_self(), seen.owner) && len <= STASIS_CHUNK_SIZE &&
        seen.count < READS) {
        seen.offsets[seen.count] = offset;
        if (seen.count++ == TOUCH)
            wait_for_fault();
    }
    return __real_stasis_io_pread(fd, buf, len, offset);
}

static void *touch_it(void *at)
{
    return (void *)(uintptr_t)touch(at);
}

static uint64_t offset_of(int fd, uint64_t chunk)
{
    struct stasis_snap *snap = NULL;
    struct stasis_error err;
    uint64_t offset;

    if (stasis_snap_open_fd(fd, "test", NULL, &snap, &err))
        fail_msg("%s", err.msg);
    offset = stasis_snap_chunk_at(snap, chunk).offset;
    stasis_snap_free(snap);
    return offset;
}

static void fault_is_served_within_a_block(void **state)
{
    const struct stasis_ram_opts opts = {.mode = STASIS_RAM_LAZY, .threads = 1};
    struct stasis_error err = {0};
    struct built built;
    struct image image;
    pthread_t toucher;
    struct rig rig;
    void *result;
    int fd;

    (void)state;
    if (!has_lazy())
        return;
    alarm(300); /* a loader that serves no fault, and does not end either */
    seen.owner = pthread_self();
    sem_init(&seen.reading, 0, 0);
    sem_init(&seen.touch_is_near, 0, 0);
    sem_init(&seen.handler_may_run, 0, 0);
    built_init(&built);
    built_add(&built, 0, SIZE);
    fill_random(built.ram[0], SIZE, 1);
    image = image_of(&built);
    fd = image_fd(&image);
    if (rig_try(&rig, fd, opts, &err))
        fail_msg("%s", err.msg);
    seen.uffd = rig.ram->uffd.fd;
    take(&seen.reading);
    assert_int_equal(pthread_create(&toucher, NULL, touch_it, (uint8_t *)rig.host[0] + SIZE - 1),
                     0);
    sem_post(&seen.touch_is_near);
    pthread_join(toucher, &result);
    assert_null(result);
    sem_post(&seen.handler_may_run);
    rig_wait(&rig);
    for (uint64_t i = 0; i <= TOUCH; i++)
        assert_int_equal(seen.offsets[i], offset_of(fd, i));
    assert_int_equal(seen.offsets[TOUCH + 1], offset_of(fd, SIZE / STASIS_CHUNK_SIZE - 1));
    assert_same(&rig, &built);
    rig_fini(&rig);
    alarm(0);
    close(fd);
    image_fini(&image);
    built_fini(&built);
    sem_destroy(&seen.reading);
    sem_destroy(&seen.touch_is_near);
    sem_destroy(&seen.handler_may_run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fault_is_served_within_a_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
