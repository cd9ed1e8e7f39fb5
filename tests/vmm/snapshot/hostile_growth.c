/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/snapshot/hostile_growth.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>

#include "vmm/kvm_guest.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
size_t __sanitizer_get_current_allocated_bytes(void); /* of a header that gcc does not have */
#endif

static size_t heap_bytes(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return __sanitizer_get_current_allocated_bytes();
#elif defined(__GLIBC__)
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
#else
    return 0;
#endif
}

static unsigned count_lines(const char *path)
{
    FILE *file = fopen(path, "re");
    unsigned lines = 0;
    int c;

    assert_non_null(file);
    while ((c = fgetc(file)) != EOF)
        lines += c == '\n';
    (void)fclose(file);
    return lines;
}

static unsigned count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

struct hostile_size hostile_size(void)
{
    return (struct hostile_size){kvm_open_fds(), count_threads(), count_lines("/proc/self/maps"),
                                 heap_bytes()};
}

/* Allocators split and join their own mappings, and AddressSanitizer's keeps 256 MiB that were
 * freed, which takes it an hour to have; what leaks with each round, or now and then, is more than
 * that. What a thread keeps of the heap for its next allocations is no growth. */
#ifdef __SANITIZE_ADDRESS__
#define MAPPINGS_OF_ALLOCATORS 128
#else
#define MAPPINGS_OF_ALLOCATORS 32
#endif
#define ROUNDS_PER_MAPPING 100
#define HEAP_OF_ALLOCATORS 65536

void hostile_assert_no_growth(const struct hostile_size *then, unsigned rounds)
{
    struct hostile_size now;

    /* Threads that have been joined, and those that load memory, are seen a little longer. */
    kvm_wait(count_threads() <= then->threads && kvm_open_fds() <= then->descriptors);
    now = hostile_size();
    print_message("%zu bytes of the heap and %u mappings, %zd and %d more than %u rounds ago\n",
                  now.heap, now.mappings, (ssize_t)(now.heap - then->heap),
                  (int)(now.mappings - then->mappings), rounds);
    assert_in_range(now.mappings, 0,
                    then->mappings + MAPPINGS_OF_ALLOCATORS + rounds / ROUNDS_PER_MAPPING);
    assert_in_range(now.heap, 0, then->heap + HEAP_OF_ALLOCATORS);
}
