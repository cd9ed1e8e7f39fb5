/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The order in which a machine ends whose memory is lost, without KVM: a machine that is memory and
 * nothing else, with threads and reads that are held back at the moments that matter.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/machine/machine.h"
#include "vmm/snapshot/ram_failure.h"

#define CHUNKS 4u
#define BAD    2u /* the damaged chunk */

/* ---- a machine of memory ---- */

struct scene {
    struct stasis_machine machine;
    char path[128];
    void *host;
    uint64_t offset[CHUNKS]; /* of chunks in the file */
};

static struct scene scene; /* as a whole: threads of a child use it until it ends */

static void damage(void)
{
    int fd = open(scene.path, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, (off_t)scene.offset[BAD]), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)scene.offset[BAD]), 1);
    close(fd);
}

static void make_file(void)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct built built;

    snprintf(scene.path, sizeof(scene.path), "%s/ram.snap", folder_make());
    built_init(&built);
    built_add(&built, 0, CHUNKS * STASIS_CHUNK_SIZE);
    fill_random(built.ram[0], CHUNKS * STASIS_CHUNK_SIZE, 1);
    if (stasis_snap_save(built.snap, scene.path, NULL, NULL, &err) ||
        stasis_snap_open(scene.path, NULL, &snap, &err))
        fail_msg("%s", err.msg);
    for (unsigned i = 0; i < CHUNKS; i++)
        scene.offset[i] = stasis_snap_chunk_at(snap, i).offset;
    stasis_snap_free(snap);
    built_fini(&built);
    damage();
}

static void attach(enum stasis_ram_mode mode, bool background)
{
    const struct stasis_ram_opts opts = {
        .size = sizeof(opts), .mode = mode, .threads = 1, .no_prefetch = !background};
    struct stasis_error err = {0};
    struct stasis_snap *snap;

    if (stasis_snap_open(scene.path, NULL, &snap, &err))
        fail_msg("%s", err.msg);
    scene.host = mmap(NULL, CHUNKS * STASIS_CHUNK_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(scene.host != MAP_FAILED);
    memset(&scene.machine, 0, sizeof(scene.machine));
    scene.machine.vm.fd = scene.machine.kvm.fd = -1;
    scene.machine.end_fd = eventfd(0, EFD_CLOEXEC);
    scene.machine.end_limit_ms = STASIS_END_LIMIT_MS;
    pthread_mutex_init(&scene.machine.lock, NULL);
    if (stasis_ram_failure_attach(&scene.machine, snap, &scene.host, &opts, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(snap);
}

static void wait_for_end(void)
{
    uint64_t count;

    assert_int_equal(read(scene.machine.end_fd, &count, sizeof(count)), sizeof(count));
    assert_int_equal(atomic_load(&scene.machine.end), STASIS_EXIT_CRASHED);
    assert_int_equal(scene.machine.end_error.code, STASIS_ERR_CORRUPT);
    assert_non_null(strstr(scene.machine.end_error.msg, "chunk 2,"));
}

static void scene_fini(void)
{
    munmap(scene.host, CHUNKS * STASIS_CHUNK_SIZE);
    folder_remove();
}

/* ---- threads and reads, watched ---- */

static struct {
    bool on;
    bool hold_watchdog; /* until fini() joins its first thread */
    unsigned created, joined;
    int end_at_watchdog; /* machine.end when the watchdog was made */
    uint64_t hang_at;    /* a read of this offset never returns */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool hangs;
} watched = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
                          void *arg);
int __real_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result);
ssize_t __real_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);
ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);

/* The second thread made is the watchdog: the first is the engine's. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
                          void *arg)
{
    pthread_mutex_lock(&watched.lock);
    if (watched.on && ++watched.created == 2) {
        watched.end_at_watchdog = atomic_load(&scene.machine.end);
        pthread_cond_broadcast(&watched.changed);
        while (watched.hold_watchdog && !watched.joined)
            pthread_cond_wait(&watched.changed, &watched.lock);
    }
    pthread_mutex_unlock(&watched.lock);
    return __real_pthread_create(thread, attr, body, arg);
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
    pthread_mutex_lock(&watched.lock);
    if (watched.on) {
        watched.joined++;
        pthread_cond_broadcast(&watched.changed);
    }
    pthread_mutex_unlock(&watched.lock);
    return __real_pthread_join(thread, result);
}

ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset)
{
    pthread_mutex_lock(&watched.lock);
    while (watched.hang_at && offset == watched.hang_at) {
        watched.hangs = true;
        pthread_cond_broadcast(&watched.changed);
        pthread_cond_wait(&watched.changed, &watched.lock);
    }
    pthread_mutex_unlock(&watched.lock);
    return __real_stasis_io_pread(fd, buf, len, offset);
}

static void wait_for_hang(void)
{
    pthread_mutex_lock(&watched.lock);
    while (!watched.hangs)
        pthread_cond_wait(&watched.changed, &watched.lock);
    pthread_mutex_unlock(&watched.lock);
}

static void wait_for_watchdog(void)
{
    pthread_mutex_lock(&watched.lock);
    while (watched.created < 2)
        pthread_cond_wait(&watched.changed, &watched.lock);
    pthread_mutex_unlock(&watched.lock);
}

static void watch_threads(bool hold_watchdog)
{
    watched.created = watched.joined = 0;
    watched.hold_watchdog = hold_watchdog;
    watched.on = true;
}

/* ---- cases ---- */

static void watchdog_is_there_before_the_end_is_known(void **state)
{
    (void)state;
    make_file();
    watch_threads(false);
    attach(STASIS_RAM_MAP, true);
    wait_for_end();
    stasis_machine_fini(&scene.machine);
    watched.on = false;
    assert_int_equal(watched.created, 2);
    assert_int_equal(watched.joined, 2);
    assert_int_equal(watched.end_at_watchdog, STASIS_EXIT_NONE);
    scene_fini();
}

/* The owner frees the machine while the engine's thread is about to make the watchdog. */
static void no_thread_outlives_the_machine(void **state)
{
    (void)state;
    make_file();
    watch_threads(true);
    attach(STASIS_RAM_MAP, true);
    wait_for_watchdog();
    stasis_machine_fini(&scene.machine);
    watched.on = false;
    assert_int_equal(watched.joined, watched.created);
    scene_fini();
}

static void *end_machine(void *arg)
{
    const struct stasis_error err = {.code = STASIS_ERR_GUEST, .msg = "because"};

    (void)arg;
    stasis_machine_shutdown(&scene.machine, STASIS_EXIT_CRASHED, &err);
    return NULL;
}

/* Whoever sees the end finds its error, whoever told it. */
static void end_is_published_with_its_error(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        pthread_t threads[4];

        memset(&scene.machine, 0, sizeof(scene.machine));
        scene.machine.end_fd = eventfd(0, EFD_CLOEXEC);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, end_machine, NULL), 0);
        while (atomic_load(&scene.machine.end) == STASIS_EXIT_NONE)
            ;
        assert_string_equal(scene.machine.end_error.msg, "because");
        for (unsigned i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        close(scene.machine.end_fd);
    }
}

static void park(int number)
{
    (void)number;
    for (;;)
        pause();
}

static void *touch_for_ever(void *arg)
{
    return (void *)(uintptr_t) * (const volatile uint8_t *)arg;
}

static unsigned runs; /* of KVM that are still to be interrupted by a SIGBUS */

bool __wrap_stasis_vcpu_is_in_run(void);
bool __wrap_stasis_vcpu_is_in_run(void)
{
    return runs && runs--;
}

static void end_process(void *ctx, const struct stasis_error *err)
{
    (void)ctx;
    _exit(runs ? 1 : stasis_err_exit_status(err->code));
}

static void assert_exits(pid_t child, int code)
{
    int status = -1;

    assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), stasis_err_exit_status(code));
}

/* Nothing ends in order where a read hangs. */
#define END_LIMIT_MS 500

/* The handler meets the damaged chunk, and then hangs in a read. */
static void hang_and_end(void)
{
    pthread_t threads[2];

    (void)alarm(120);
    (void)signal(SIGBUS, park);
    (void)signal(SIGSEGV, park); /* of who still waits when the machine is freed */
    watched.hang_at = scene.offset[BAD + 1];
    stasis_ram_failure_on_fatal(end_process, NULL);
    attach(STASIS_RAM_LAZY, false);
    scene.machine.end_limit_ms = END_LIMIT_MS;
    for (unsigned i = 0; i < 2; i++) {
        if (pthread_create(&threads[i], NULL, touch_for_ever,
                           (uint8_t *)scene.host + (BAD + i) * (size_t)STASIS_CHUNK_SIZE))
            _exit(1);
        if (!i)
            wait_for_end();
    }
    wait_for_hang();
    stasis_machine_fini(&scene.machine);
    _exit(0);
}

static void hanging_read_does_not_keep_the_process(void **state)
{
    pid_t child;

    (void)state;
    if (!has_lazy())
        return;
    make_file();
    child = fork();
    if (!child)
        hang_and_end();
    assert_exits(child, STASIS_ERR_CORRUPT);
    folder_remove();
}

/* The guest has ended in order, and a thread of the engine hangs in a read. */
static void hang_and_end_in_order(enum stasis_ram_mode mode)
{
    (void)alarm(120);
    watched.hang_at = scene.offset[0];
    stasis_ram_failure_on_fatal(end_process, NULL);
    attach(mode, true);
    scene.machine.end_limit_ms = END_LIMIT_MS;
    wait_for_hang();
    stasis_ram_failure_watch(&scene.machine); /* nothing to wait for */
    stasis_ram_failure_unwatch(&scene.machine);
    stasis_machine_fini(&scene.machine);
    _exit(0);
}

static void hanging_read_does_not_keep_an_orderly_end(void **state)
{
    static const enum stasis_ram_mode modes[] = {STASIS_RAM_MAP, STASIS_RAM_LAZY};
    pid_t children[2];

    (void)state;
    make_file();
    for (size_t i = 0; i < 2; i++) {
        children[i] = fork();
        if (!children[i])
            hang_and_end_in_order(has_lazy() ? modes[i] : STASIS_RAM_MAP);
    }
    for (size_t i = 0; i < 2; i++)
        assert_exits(children[i], STASIS_ERR_READ);
    folder_remove();
}

/* Before what the handler looks at is freed. */
static void machine_that_ends_gives_its_signals_back(void **state)
{
    struct sigaction before, now;

    (void)state;
    make_file();
    assert_int_equal(sigaction(SIGBUS, NULL, &before), 0);
    attach(STASIS_RAM_MAP, false);
    assert_int_equal(stasis_ram_failure_catch(&scene.machine, NULL), 0);
    assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
    assert_true(now.sa_sigaction != before.sa_sigaction);
    stasis_machine_fini(&scene.machine);
    assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
    assert_true(now.sa_sigaction == before.sa_sigaction);
    scene_fini();
}

/* KVM_RUN returns after its SIGBUS; a device of ours would meet the damaged chunk for ever. */
static void only_kvm_is_let_go_on(void **state)
{
    pid_t child;

    (void)state;
    if (!has_lazy())
        return;
    make_file();
    child = fork();
    if (!child) {
        (void)alarm(120);
        stasis_ram_failure_on_fatal(end_process, NULL);
        attach(STASIS_RAM_LAZY, false);
        runs = stasis_ram_failure_catch(&scene.machine, NULL) ? 0 : 2;
        (void)touch_for_ever((uint8_t *)scene.host + BAD * (size_t)STASIS_CHUNK_SIZE);
        _exit(1);
    }
    assert_exits(child, STASIS_ERR_CORRUPT);
    folder_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_kvm_is_let_go_on),
        cmocka_unit_test(watchdog_is_there_before_the_end_is_known),
        cmocka_unit_test(no_thread_outlives_the_machine),
        cmocka_unit_test(end_is_published_with_its_error),
        cmocka_unit_test(machine_that_ends_gives_its_signals_back),
        cmocka_unit_test(hanging_read_does_not_keep_the_process),
        cmocka_unit_test(hanging_read_does_not_keep_an_orderly_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
