/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A compressed save beside zlib's own compress2() of the same chunks on as many threads, in turns:
 *   bench-zlib CONTENT FILE PAIRS
 * RAM is filled with CONTENT and saved to FILE, which is removed. Prints one JSON object: times in
 * nanoseconds, sizes in bytes.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "stasis/snap.h"
#include "vmm/base/clock.h"

#define LEVEL       1
#define THREADS_MAX 64

struct content {
    uint8_t *bytes;
    size_t len; /* whole chunks */
};

/* ---- the rival ---- */

struct rival {
    const struct content *content;
    _Atomic size_t next;
    _Atomic uint64_t packed;
};

static void *rival_thread(void *arg)
{
    struct rival *rival = arg;
    static _Thread_local uint8_t out[STASIS_CHUNK_SIZE * 2];
    size_t at;

    while ((at = atomic_fetch_add(&rival->next, STASIS_CHUNK_SIZE)) < rival->content->len) {
        uLongf len = sizeof(out);

        if (compress2(out, &len, rival->content->bytes + at, STASIS_CHUNK_SIZE, LEVEL) != Z_OK)
            abort();
        atomic_fetch_add(&rival->packed, len);
    }
    return NULL;
}

static uint64_t run_rival(const struct content *content, unsigned threads, uint64_t *ret_packed)
{
    struct rival rival = {.content = content};
    pthread_t ids[THREADS_MAX];
    uint64_t start = stasis_monotonic_ns(), ns;

    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&ids[i], NULL, rival_thread, &rival))
            abort();
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    ns = stasis_monotonic_ns() - start;
    *ret_packed = rival.packed;
    return ns;
}

/* ---- ours ---- */

static int run_save(struct stasis_snap *snap, const char *path, uint64_t *ret_ns,
                    struct stasis_save_stats *ret_stats)
{
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .no_sync = true, .zlib_level = LEVEL};
    uint64_t start = stasis_monotonic_ns();
    struct stasis_error err;

    if (stasis_snap_save(snap, path, &opts, ret_stats, &err)) {
        fprintf(stderr, "bench-zlib: %s\n", err.msg);
        return -1;
    }
    *ret_ns = stasis_monotonic_ns() - start;
    (void)unlink(path);
    return 0;
}

/* Anonymous memory, as a guest's is. */
static int load(const char *path, struct content *ret_content)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    size_t done = 0;

    if (fd < 0 || fstat(fd, &st))
        return -1;
    ret_content->len = (size_t)st.st_size / STASIS_CHUNK_SIZE * STASIS_CHUNK_SIZE;
    ret_content->bytes =
        mmap(NULL, ret_content->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ret_content->bytes == MAP_FAILED)
        return -1;
    while (done < ret_content->len) {
        ssize_t n = read(fd, ret_content->bytes + done, ret_content->len - done);

        if (n <= 0)
            return -1;
        done += (size_t)n;
    }
    close(fd);
    return 0;
}

/* The first pair warms up and does not count. */
static int measure(struct stasis_snap *snap, const struct content *content, const char *path,
                   unsigned pairs)
{
    unsigned threads = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    struct stasis_save_stats stats = {0};
    uint64_t packed = 0, ours, theirs;

    threads = threads < THREADS_MAX ? threads : THREADS_MAX;
    printf("{\"pairs\": [");
    for (unsigned i = 0; i <= pairs; i++) {
        if (run_save(snap, path, &ours, &stats))
            return -1;
        theirs = run_rival(content, threads, &packed);
        if (i)
            printf("%s[%llu, %llu]", i > 1 ? ", " : "", (unsigned long long)ours,
                   (unsigned long long)theirs);
    }
    printf("], \"bytes\": %zu, \"threads\": %u, \"packed\": %llu, \"rival_packed\": %llu}\n",
           content->len, threads, (unsigned long long)stats.stored_bytes,
           (unsigned long long)packed);
    return 0;
}

int main(int argc, char **argv)
{
    struct stasis_snap *snap;
    struct stasis_error err;
    struct content content;
    int rc;

    if (argc != 4)
        return 2;
    if (load(argv[1], &content)) {
        perror(argv[1]);
        return 1;
    }
    snap = stasis_snap_new(STASIS_ARCH_X86_64);
    rc = snap ? stasis_snap_add_ram(snap, 0, content.bytes, content.len, &err) : -1;
    if (!rc)
        rc = measure(snap, &content, argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    stasis_snap_free(snap);
    return rc ? 1 : 0;
}
