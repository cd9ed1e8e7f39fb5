/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/ram_rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "state-ser/snap/ram_io.h"

static void on_failed(void *ctx, const struct stasis_error *err)
{
    struct rig *rig = ctx;

    rig->error = *err;
    atomic_fetch_add(&rig->failures, 1);
}

static uint8_t *map_memfd(size_t size, unsigned kind, int sharing)
{
    int fd = memfd_create("stasis-test", kind | MFD_CLOEXEC);
    void *host;

    assert_true(fd >= 0 && !ftruncate(fd, (off_t)size));
    host = mmap(NULL, size, PROT_READ | PROT_WRITE, sharing, fd, 0);
    close(fd);
    return host;
}

static uint8_t *map_anonymous(size_t size, int flags)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
}

static uint8_t *map(size_t size, enum rig_memory kind)
{
    switch (kind) {
    case RIG_SHARED:
        return map_anonymous(size, MAP_SHARED);
    case RIG_MEMFD:
        return map_memfd(size, 0, MAP_SHARED);
    case RIG_MEMFD_PRIVATE:
        return map_memfd(size, 0, MAP_PRIVATE);
    case RIG_HUGE:
        return map_anonymous(size, MAP_PRIVATE | MAP_HUGETLB);
    case RIG_HUGE_MEMFD:
        return map_memfd(size, MFD_HUGETLB, MAP_SHARED);
    case RIG_FRESH:
    case RIG_USED:
    case RIG_LOCKED:
        break;
    }
    return stasis_ram_io_scratch(size);
}

uint8_t *rig_memory_new(size_t size, enum rig_memory kind, size_t *ret_mapped)
{
    size_t whole = kind >= RIG_HUGE ? (size + STASIS_HUGE_PAGE - 1) & -STASIS_HUGE_PAGE : size;
    uint8_t *host = map(whole, kind);

    if (!host || host == MAP_FAILED)
        fail_msg("no memory for the test");
    /* Not by mlock(): a sanitizer's does nothing. */
    if (kind == RIG_LOCKED && syscall(SYS_mlock, host, size))
        fail_msg("mlock");
    if (kind != RIG_FRESH)
        memset(host, 0xa5, size);
    *ret_mapped = whole;
    return host;
}

int rig_try(struct rig *rig, int fd, struct stasis_ram_opts opts, struct stasis_error *err)
{
    return rig_try_in(rig, fd, RIG_FRESH, opts, err);
}

int rig_try_in(struct rig *rig, int fd, enum rig_memory kind, struct stasis_ram_opts opts,
               struct stasis_error *err)
{
    struct stasis_snap *snap = NULL;
    int rc;

    if (stasis_snap_open_fd(fd, "test", NULL, &snap, err))
        fail_msg("%s", err->msg);
    rc = rig_try_snap(rig, snap, kind, opts, err);
    stasis_snap_free(snap);
    return rc;
}

int rig_try_snap(struct rig *rig, struct stasis_snap *snap, enum rig_memory kind,
                 struct stasis_ram_opts opts, struct stasis_error *err)
{
    *rig = (struct rig){0};
    rig->region_count = stasis_snap_region_count(snap);
    for (uint32_t r = 0; r < rig->region_count; r++) {
        rig->size[r] = stasis_snap_region_at(snap, r).size;
        rig->host[r] = rig_memory_new(rig->size[r], kind, &rig->mapped[r]);
    }
    opts.size = sizeof(opts);
    opts.failed = on_failed;
    opts.ctx = rig;
    return stasis_ram_attach(snap, rig->host, &opts, &rig->ram, err);
}

void rig_attach(struct rig *rig, int fd, enum stasis_ram_mode mode, bool background)
{
    const struct stasis_ram_opts opts = {.mode = mode, .no_prefetch = !background};
    struct stasis_error err = {0};

    if (rig_try(rig, fd, opts, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(stasis_ram_mode(rig->ram), mode);
    assert_null(stasis_ram_reason(rig->ram));
}

void rig_fini(struct rig *rig)
{
    stasis_ram_free(rig->ram);
    for (uint32_t r = 0; r < rig->region_count; r++)
        munmap(rig->host[r], rig->mapped[r]);
    *rig = (struct rig){0};
}

static sigjmp_buf back;

static void on_fault(int number)
{
    siglongjmp(back, number);
}

int touch(const void *at)
{
    struct sigaction action = {.sa_handler = on_fault}, bus, segv;
    volatile int result;

    sigaction(SIGBUS, &action, &bus);
    sigaction(SIGSEGV, &action, &segv);
    result = sigsetjmp(back, 1);
    if (!result)
        (void)*(const volatile uint8_t *)at;
    sigaction(SIGBUS, &bus, NULL);
    sigaction(SIGSEGV, &segv, NULL);
    return result;
}

void assert_same(const struct rig *rig, const struct built *built)
{
    assert_int_equal(rig->region_count, built->region_count);
    for (uint32_t r = 0; r < rig->region_count; r++) {
        assert_int_equal(rig->size[r], built->size[r]);
        assert_true(!memcmp(rig->host[r], built->ram[r], rig->size[r]));
    }
}

void rig_wait(struct rig *rig)
{
    struct stasis_error err;

    if (stasis_ram_wait(rig->ram, &err))
        fail_msg("%s", err.msg);
}

struct stasis_ram_metrics rig_metrics(const struct rig *rig)
{
    struct stasis_ram_metrics metrics;

    stasis_ram_get_metrics(rig->ram, &metrics);
    return metrics;
}

void rig_wait_verified(const struct rig *rig, uint64_t bytes)
{
    for (unsigned i = 0; i < 300000 && rig_metrics(rig).verified_bytes < bytes; i++)
        usleep(1000);
    assert_int_equal(rig_metrics(rig).verified_bytes, bytes);
}

bool has_lazy(void)
{
    struct stasis_uffd uffd;

    if (stasis_uffd_open(0, &uffd)) {
        print_message("left out: userfaultfd is not permitted here\n");
        return false;
    }
    stasis_uffd_close(&uffd);
    return true;
}

const enum stasis_ram_mode rig_modes[RIG_MODES] = {STASIS_RAM_COPY, STASIS_RAM_MAP,
                                                   STASIS_RAM_LAZY};

bool rig_can(enum stasis_ram_mode mode)
{
    return mode != STASIS_RAM_LAZY || has_lazy();
}

bool has_poison(void)
{
    struct stasis_uffd uffd;
    uint8_t *page = stasis_ram_io_scratch(4096);
    bool has;

    if (stasis_uffd_open(0, &uffd)) {
        print_message("left out: userfaultfd is not permitted here\n");
        return false;
    }
    assert_int_equal(stasis_uffd_watch(&uffd, page, 4096), 0);
    has = uffd.can_poison;
    if (!has)
        print_message("left out: this kernel has no UFFDIO_POISON\n");
    stasis_uffd_close(&uffd);
    stasis_ram_io_scratch_free(page, 4096);
    return has;
}

size_t chunk_offset(int fd, uint64_t chunk)
{
    struct stasis_snap *snap = NULL;
    struct stasis_error err;
    size_t offset;

    if (stasis_snap_open_fd(fd, "test", NULL, &snap, &err))
        fail_msg("%s", err.msg);
    offset = stasis_snap_chunk_at(snap, chunk).offset;
    stasis_snap_free(snap);
    return offset;
}

void flip_bit(int fd, size_t at, unsigned bit)
{
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= (uint8_t)(1u << bit);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}
