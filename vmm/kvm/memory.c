/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_memory.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "fail.h"

#define HUGE_PAGE UINT64_C(0x200000)

/* Anonymous memory whose start is 2 MiB-aligned, so that huge pages can back all of it: mapped
 * with room to spare, the rest given back. MAP_NORESERVE since a guest rarely touches all. */
static void *map_aligned(uint64_t size)
{
    size_t whole = (size_t)(size + HUGE_PAGE);
    uint8_t *raw = mmap(NULL, whole, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t before, behind;

    if (raw == MAP_FAILED)
        return NULL;
    before = (size_t)(-(uintptr_t)raw & (HUGE_PAGE - 1));
    behind = whole - before - (size_t)size;
    if (before)
        munmap(raw, before);
    if (behind)
        munmap(raw + before + size, behind);
    return raw + before;
}

static int map_region(struct stasis_memory_region *region, struct stasis_error *err)
{
    region->host = map_aligned(region->size);
    if (!region->host)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "cannot map %" PRIu64 " MiB of guest memory", region->size >> 20);
    /* Advice only: a kernel without it gives small pages or larger core dumps, nothing worse. */
    (void)madvise(region->host, region->size, MADV_HUGEPAGE);
    (void)madvise(region->host, region->size, MADV_DONTDUMP);
    return 0;
}

static int check_region(const struct stasis_memory_region *region, struct stasis_error *err)
{
    if (!region->size || region->size % STASIS_MEMORY_PAGE || region->gpa % STASIS_MEMORY_PAGE)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "guest memory at 0x%" PRIx64 ": 0x%" PRIx64 " bytes are not whole "
                             "pages",
                             region->gpa, region->size);
    if (region->gpa + (region->size - 1) < region->gpa || region->size > UINT64_MAX - HUGE_PAGE)
        return STASIS_REFUSE(err, EOVERFLOW, STASIS_ERR_RANGE,
                             "guest memory at 0x%" PRIx64 ": 0x%" PRIx64
                             " bytes end behind the last address",
                             region->gpa, region->size);
    return 0;
}

static int check_layout(const struct stasis_memory_region *layout, uint32_t count,
                        struct stasis_error *err)
{
    int rc = 0;

    if (count > STASIS_MEMORY_REGION_MAX)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "guest memory of %" PRIu32 " regions; use %d at most", count,
                             STASIS_MEMORY_REGION_MAX);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = check_region(&layout[i], err);
    return rc;
}

int stasis_memory_init(struct stasis_memory *memory, const struct stasis_memory_region *layout,
                       uint32_t count, struct stasis_error *err)
{
    int rc = check_layout(layout, count, err);

    memset(memory, 0, sizeof(*memory));
    if (rc)
        return rc;
    for (uint32_t i = 0; i < count; i++) {
        struct stasis_memory_region *region = &memory->regions[i];

        region->gpa = layout[i].gpa;
        region->size = layout[i].size;
        rc = map_region(region, err);
        if (rc) {
            stasis_memory_fini(memory);
            return rc;
        }
        memory->region_count++;
    }
    return 0;
}

void stasis_memory_fini(struct stasis_memory *memory)
{
    for (uint32_t i = 0; i < memory->region_count; i++)
        munmap(memory->regions[i].host, memory->regions[i].size);
    memset(memory, 0, sizeof(*memory));
}

const void *stasis_memory_at(const struct stasis_memory *memory, uint64_t gpa, uint64_t len)
{
    for (uint32_t i = 0; i < memory->region_count; i++) {
        const struct stasis_memory_region *region = &memory->regions[i];

        if (gpa >= region->gpa && gpa - region->gpa <= region->size &&
            len <= region->size - (gpa - region->gpa))
            return region->host + (gpa - region->gpa);
    }
    return NULL;
}

void *stasis_memory_writable(const struct stasis_memory *memory, uint64_t gpa, uint64_t len)
{
    void *at = (void *)(uintptr_t)stasis_memory_at(memory, gpa, len);

    if (at && len && memory->watcher.changes)
        memory->watcher.changes(memory->watcher.ctx, gpa, len);
    return at;
}

int stasis_memory_write(const struct stasis_memory *memory, uint64_t gpa, const void *bytes,
                        uint64_t len, const char *what, struct stasis_error *err)
{
    void *at = stasis_memory_writable(memory, gpa, len);

    if (!at)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s: %" PRIu64 " bytes at guest address 0x%" PRIx64
                           " do not fit into RAM",
                           what, len, gpa);
    memcpy(at, bytes, len);
    return 0;
}

/* MADV_FREE tells the kind: the kernel refuses it for anything but private anonymous memory, where
 * MADV_DONTNEED could leave the content. */
static void discard(void *at, size_t len)
{
    if (madvise(at, len, MADV_FREE) || madvise(at, len, MADV_DONTNEED))
        memset(at, 0, len);
}

int stasis_memory_discard(const struct stasis_memory *memory, uint64_t gpa, uint64_t len,
                          struct stasis_error *err)
{
    void *at = stasis_memory_writable(memory, gpa, len);

    if (!at || !len || gpa % STASIS_MEMORY_PAGE || len % STASIS_MEMORY_PAGE)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "0x%" PRIx64 " bytes to give back at guest address 0x%" PRIx64
                             " are not whole pages of RAM",
                             len, gpa);
    if (memory->source.discard)
        return memory->source.discard(memory->source.ctx, at, len, err);
    discard(at, (size_t)len);
    return 0;
}

uint64_t stasis_memory_size(const struct stasis_memory *memory)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < memory->region_count; i++)
        size += memory->regions[i].size;
    return size;
}
