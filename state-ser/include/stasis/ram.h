/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Guest RAM out of an opened snapshot, at once or while the guest runs already. No KVM: whoever
 * maps memory can have it filled. docs/architecture.md, "Memory of a thawed guest".
 *
 * Threads: attach, wait and free belong to the thread that owns the object; the getters, and
 * stasis_ram_discard(), may be called from any. The engine's own threads block every signal but
 * those of faults.
 */
#ifndef STASIS_RAM_H
#define STASIS_RAM_H

#include "stasis/snap.h"

STASIS_BEGIN_DECLS

/* How memory comes from the file. LAZY and COPY let nobody see a byte that was not verified. */
enum stasis_ram_mode {
    STASIS_RAM_AUTO = 0, /* the fastest that verifies before use: LAZY where it can be, or COPY */
    STASIS_RAM_COPY,     /* read and verified in full before attach returns */
    STASIS_RAM_MAP,      /* the file mapped privately; verified in the background, after use */
    STASIS_RAM_LAZY,     /* each chunk read and verified when it is first touched (userfaultfd) */
};

struct stasis_ram_opts {
    size_t size; /* sizeof(struct stasis_ram_opts): lets the struct grow */
    enum stasis_ram_mode mode;
    unsigned threads; /* of copy, fill and verification; 0: one per core */
    /* LAZY: load what is touched only; MAP: verify nothing before stasis_ram_finish(). */
    bool no_prefetch;
    /* LAZY: a descriptor of /dev/userfaultfd, which stays the caller's, for a process that may
     * not open that; 0: none. A userfaultfd that another process has made is of no use: it is for
     * that process's memory. */
    int uffd_fd;

    /* Called once, from a thread of the engine or within stasis_ram_finish() and saves, when a
     * chunk turns out bad or can no longer be had: the guest must stop. What is not there is
     * never shown as zeros: who touches it gets SIGBUS (LAZY, where the kernel has UFFDIO_POISON;
     * MAP of a truncated file), or waits until the memory is detached or the process ends. Must not
     * call stasis_ram_free(). May be NULL. */
    void (*failed)(void *ctx, const struct stasis_error *err);
    void *ctx;

    /* COPY: called on the caller's thread, within attach, with bytes of RAM done and in all, and
     * with the same ctx. False ends the load, and attach returns STASIS_ERR_CANCELLED. The other
     * modes return before they load. May be NULL. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);

    /* LAZY, MAP: called with the same ctx on each thread that loads or verifies in the background,
     * as it begins, to limit what the thread can do. An error is a failure, as of `failed`. May be
     * NULL. */
    int (*thread_begins)(void *ctx, struct stasis_error *err);
};

struct stasis_ram;

/* Backs the snapshot's RAM: hosts[i] is region i, its whole size mapped by the caller as private
 * anonymous memory; on a boundary of 2 MiB, and with MADV_HUGEPAGE, it gets huge pages. What the
 * memory held before is lost; nobody may touch it meanwhile. Guests may be run on it as soon as
 * this returns.
 *
 * The mode may turn out another than the one asked for: MAP of more than 4096 ranges, or of a file
 * that cannot be mapped, becomes LAZY; LAZY where userfaultfd is not permitted becomes COPY; both
 * become COPY in memory of another kind (shared, of a file, left over from MAP) or locked by
 * mlock(2), whose content cannot be discarded. MAP of a layer maps blocks of 2 MiB whose chunks are
 * each in one place of one file, and loads the others as LAZY does. stasis_ram_mode() and
 * stasis_ram_reason() tell. The snapshot may be freed at once; its file must keep its content, but
 * may be unlinked or replaced by rename. While it is mapped it bears a shared flock(2).
 * STASIS_ERR_CORRUPT names the chunk; on failure the memory holds rubbish. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_ram_attach(struct stasis_snap *snap, void *const *hosts,
                                                      const struct stasis_ram_opts *opts,
                                                      struct stasis_ram **ret_ram,
                                                      struct stasis_error *err);

/* Whether this process may have its memory loaded when it is touched (LAZY), with that descriptor
 * of struct stasis_ram_opts. STASIS_ERR_UNAVAILABLE says why not, and what would permit it;
 * STASIS_ERR_ARG: the descriptor is another one. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_ram_check_lazy(int uffd_fd, struct stasis_error *err);

/* Stops every thread. Memory that was not loaded becomes inaccessible (never zeros), the rest stays
 * as it is; all of it is the caller's to unmap. free(NULL) is fine. */
STASIS_EXPORT void stasis_ram_free(struct stasis_ram *ram);

/* After a failure: whoever waits for memory is sent away with a fault (EFAULT from KVM), never with
 * zeros. Without it KVM may wait, on kernels without UFFDIO_POISON, and not let the process end.
 * Waits for no thread of the engine. Any thread, until stasis_ram_free() begins. */
STASIS_EXPORT void stasis_ram_cancel_waiters(struct stasis_ram *ram);

/* Gives [host, host + len) of the memory back to the host: whole pages of one region. They read as
 * zero from then on, until somebody writes to them: nothing that is loaded later, or that the file
 * has there, comes back. Who touches them meanwhile finds what was there, or zeros. Zeros are
 * written instead, and the host gets nothing, where memory is of another kind or locked, and where
 * MAP is in thousands of pieces by now. Any thread, until stasis_ram_free() begins. STASIS_ERR_ARG:
 * these are not whole pages of one region. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_ram_discard(struct stasis_ram *ram, void *host,
                                                       uint64_t len, struct stasis_error *err);

/* Memory must not leave this process less verified than its reader expects: verifies, and loads
 * (LAZY), now and at the caller's priority all that is not yet, with `threads` threads (0: one per
 * core). Whoever copies the memory elsewhere calls this first; saves of a snapshot whose source
 * is set do it themselves. `progress` (may be NULL) gets bytes of stored RAM done and in all,
 * on the caller's thread; false ends it with STASIS_ERR_CANCELLED, also while a read of the file
 * does not return, and the background work continues.
 * STASIS_ERR_CORRUPT names the chunk; that is a failure as any other: `failed` is called. For the
 * thread that owns the object. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_ram_finish(struct stasis_ram *ram, unsigned threads,
                                                      bool (*progress)(void *ctx, uint64_t done,
                                                                       uint64_t total),
                                                      void *ctx, struct stasis_error *err);

/* The RAM that was, or will be, added to `snap` is what `ram` loads. Each save then begins with
 * stasis_ram_finish() (of a layer, all of whose ranges have bitmaps of dirty pages, LAZY loads what
 * these name only), writes nothing if that fails, and holds back the background work until it
 * ends. `ram` must live until the last save; NULL: no source. */
STASIS_EXPORT void stasis_snap_set_ram_source(struct stasis_snap *snap, struct stasis_ram *ram);

/* The mode in use, never AUTO. */
STASIS_EXPORT enum stasis_ram_mode stasis_ram_mode(const struct stasis_ram *ram);

/* One line that says why it is not the one asked for, or NULL. For AUTO, that is LAZY. */
STASIS_EXPORT const char *stasis_ram_reason(const struct stasis_ram *ram);

/* "copy", "map", "lazy". */
STASIS_EXPORT const char *stasis_ram_mode_name(enum stasis_ram_mode mode);

struct stasis_ram_metrics {
    uint64_t stored_bytes; /* RAM that the file stores, before compression */
    /* Of it, in memory by the engine's doing; MAP: the kernel's business. What was given back
     * before it was loaded counts here, and in verified_bytes. */
    uint64_t populated_bytes;
    uint64_t verified_bytes; /* of it, checked against its CRC */
    uint64_t faults;         /* touches that waited for a chunk */
    uint64_t ranges;         /* MAP: mappings of the file; LAZY: ranges watched at the start */
    bool complete;           /* all stored RAM is verified, and (but for MAP) in memory */
    uint64_t complete_ns;    /* CLOCK_MONOTONIC when that came about, or 0 */
    bool failed;
};

STASIS_EXPORT void stasis_ram_get_metrics(const struct stasis_ram *ram,
                                          struct stasis_ram_metrics *ret_metrics);

/* Waits for the background work to verify, and load (LAZY), all. The failure, if there was one;
 * STASIS_ERR_ARG without background work that could end. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_ram_wait(struct stasis_ram *ram,
                                                    struct stasis_error *err);

/* For a caller that got SIGBUS at `address`, or EFAULT from a kernel that touched the memory for
 * it. True if the address lies in the memory; *err then says which chunk can no longer be had, and
 * why, as far as it can be known: STASIS_ERR_CORRUPT. Address NULL: unknown; true if a mapped file
 * has been cut. Takes no lock and allocates nothing: for use in a signal handler. */
STASIS_EXPORT bool stasis_ram_describe_failure(const struct stasis_ram *ram, const void *address,
                                               struct stasis_error *err);

STASIS_END_DECLS

#endif
