/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * stasis-snap: snapshot files. Collect states and RAM in a snapshot object, save it atomically;
 * open a file, and every byte is verified before it is believed. No KVM: any VMM or emulator can
 * use it. docs/snapshot-format.md is the specification of the file.
 *
 * Threads: one object belongs to one thread at a time; saves and loads use threads of their own,
 * with every signal blocked. A program that must live on when a save fails ignores SIGXFSZ (file
 * too large) and SIGPIPE (stream closed).
 */
#ifndef STASIS_SNAP_H
#define STASIS_SNAP_H

#include "stasis/notes.h"
#include "stasis/schema_set.h"
#include "stasis/snap_version.h"

STASIS_BEGIN_DECLS

#define STASIS_CHUNK_SIZE     65536u /* RAM is stored in chunks of this size */
#define STASIS_PAGE_SIZE      4096u
#define STASIS_RAM_REGION_MAX 4096u
#define STASIS_UUID_SIZE      16u
#define STASIS_PRODUCER_MAX   32u
#define STASIS_DIGEST_SIZE    32u /* SHA-256 */
#define STASIS_EXTENTS_MAX    16u /* of a chunk */
#define STASIS_FORMAT_VERSION 2u  /* of the file: the newest that this release knows */

/* Architectures of guests are e_machine numbers of ELF (EM_... of <elf.h>). These are the two that
 * Stasis has states for; a file may be of any other. */
enum { STASIS_ARCH_X86_64 = 62, STASIS_ARCH_AARCH64 = 183 };

enum stasis_chunk_kind {
    STASIS_CHUNK_ABSENT = 0, /* only in a file that holds a difference to a parent */
    STASIS_CHUNK_ZERO = 1,
    STASIS_CHUNK_RAW = 2,
    STASIS_CHUNK_ZLIB = 3,    /* compressed, in zlib format (RFC 1950) */
    STASIS_CHUNK_EXTENTS = 4, /* of a layer: see stasis_snap_extent_at() */
};

struct stasis_snap;
struct stasis_output;

/* ---- building and saving ---- */

/* An empty snapshot of a guest of this architecture, any number; NULL when memory is short.
 * free(NULL) is fine and closes what is open. */
STASIS_EXPORT struct stasis_snap *stasis_snap_new(uint32_t arch);
STASIS_EXPORT void stasis_snap_free(struct stasis_snap *snap);

/* The snapshot's records, to add, replace and remove states or to read them; they belong to the
 * snapshot. */
STASIS_EXPORT struct stasis_records *stasis_snap_records(struct stasis_snap *snap);

/* Puts other records in their place, which the snapshot owns from then on; the old ones are freed.
 * For those that stasis_records_convert() made. */
STASIS_EXPORT void stasis_snap_set_records(struct stasis_snap *snap,
                                           struct stasis_records *records);

/* The snapshot's notes, to set (stasis_notes_set) before a save and to read after
 * stasis_snap_read_notes(); they belong to the snapshot. */
STASIS_EXPORT struct stasis_notes *stasis_snap_notes(struct stasis_snap *snap);

/* Adds a range of guest RAM: `host` holds `size` bytes for guest physical address `gpa`, and must
 * stay there until the last save, and must not change during one. It may be memory of any kind. A
 * save does not touch pages of private anonymous memory that nobody touched before. gpa and size
 * are multiples of STASIS_PAGE_SIZE; ranges do not overlap (STASIS_ERR_EXISTS) and are added in
 * ascending order (STASIS_ERR_ARG), at most STASIS_RAM_REGION_MAX of them (STASIS_ERR_FULL). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_add_ram(struct stasis_snap *snap, uint64_t gpa,
                                                        const void *host, uint64_t size,
                                                        struct stasis_error *err);

/* Lets the snapshot that is being built be saved as a layer: a file that holds the whole state, and
 * of RAM what differs from `parent`, a snapshot that was opened. It is opened and read only where
 * the parent is found, and changes nothing in it. The parent has a root (format version 2), the
 * architecture and the ranges of RAM of the snapshot (STASIS_ERR_ARG), which get no more; it is
 * shared, and freed by both. NULL: it is saved with all its RAM again. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_set_parent(struct stasis_snap *snap,
                                                           struct stasis_snap *parent,
                                                           struct stasis_error *err);

/* Whether the file of an opened snapshot, or one that it lies on, has no name any more: it was
 * removed or replaced, and a layer on it could not be opened. Of a snapshot from a stream or
 * storage its own file is not asked for. */
STASIS_EXPORT bool stasis_snap_is_removed(const struct stasis_snap *snap);

/* Whether a layer on an opened snapshot may need more files than a chain can have; whether it does
 * depends on what it hides of them (STASIS_ERR_FULL). */
STASIS_EXPORT bool stasis_snap_is_full(const struct stasis_snap *snap);

/* Whether an output would replace that file, or one that it lies on: no layer on it can be written
 * there. */
STASIS_EXPORT bool stasis_snap_is_replaced(const struct stasis_snap *snap,
                                           const struct stasis_output *output);

/* Which pages of a range of RAM may differ from the parent's: bit n of word n / 64 stands for page
 * n. All others must be as in the parent; a save as a layer does not look at them. Pages that were
 * taken away, and read as zeros, count as written. `bits` must stay there until the last save, and
 * must not change during one. NULL, and a range without: any page may differ. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_set_dirty(struct stasis_snap *snap, uint32_t region,
                                                          const uint64_t *bits,
                                                          struct stasis_error *err);

struct stasis_save_opts {
    size_t size;         /* sizeof(struct stasis_save_opts): lets the struct grow */
    unsigned threads;    /* 0: one per core */
    bool no_sync;        /* do not wait for the disk: a crash of the host may lose the file */
    unsigned zlib_level; /* 0: RAM is stored as it is; 1 (fast) to 12 (small): compressed */
    /* Called from time to time on the caller's thread with bytes of RAM done and in all, while RAM
     * is searched for zeros, while it is written, and while the disk is waited for. False ends the
     * save with STASIS_ERR_CANCELLED: no thread reads or writes another chunk, and nothing is left
     * of the save. A thread whose fsync(2) is under way is not waited for: it keeps the nameless
     * file open until the disk has answered, and reads no memory of the guest. May be NULL. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    /* Name and version of your program, as "acme-emu 3.1": 1 to STASIS_PRODUCER_MAX printable
     * characters of ASCII. Messages name this program where the file cannot be read. NULL: the name
     * and version of this library. */
    const char *producer;
    /* UUID (STASIS_UUID_SIZE bytes) and time (nanoseconds since 1970) of the file, so that equal
     * machines give equal files. Give each content a UUID of its own. NULL: a random UUID; now. */
    const uint8_t *uuid;
    const uint64_t *created_ns;
    /* You know that no userfaultfd fills the RAM but that of its source
     * (stasis_snap_set_ram_source()), from here or from another process. A save then finds the
     * pages that were never touched without /proc/self/smaps, for which the kernel walks all page
     * tables (36 ms per GiB in pages of 4 KiB). As long as another userfaultfd is open in this
     * process, smaps is read nevertheless. */
    bool no_userfaultfd;
    /* Format version of the file: 0 for the newest; struct stasis_release says which one an older
     * release reads. Version 1 holds at most 64 ranges of RAM (STASIS_ERR_FULL), and no digests. */
    uint32_t format_version;
    /* A SHA-256 digest of each chunk, which is then checked wherever the chunk's CRC is. An opened
     * snapshot that has digests keeps them without, and so does a layer if its parent has them, but
     * no other layer can have them (STASIS_ERR_ARG). */
    bool digests;
    /* Receives the snapshot that was saved, opened by the descriptor that was written, to be the
     * parent of the next one: records of types of your own are not known in it. The caller frees
     * it. On failure it is not touched. NULL: not wanted. Only for a file: a stream or storage is
     * not read back (STASIS_ERR_ARG). */
    struct stasis_snap **saved;
    /* Of a process that cannot open them any more: its /proc/self/maps and /proc/self/pagemap, open
     * for reading. They stay open. With the first it is as with no_userfaultfd, and other
     * userfaultfds are not looked for. 0: they are opened. */
    int maps_fd;
    int pagemap_fd;
};

struct stasis_save_stats {
    uint64_t file_bytes;       /* length of the file */
    uint64_t stored_bytes;     /* of it, RAM */
    uint64_t compressed_bytes; /* of these, compressed */
    uint64_t zero_bytes;       /* RAM left out because it is zero */
    uint64_t below_bytes;      /* of a layer: RAM left out because it is as in the parent */
    uint64_t index_bytes;      /* of the file */
    bool whole_index;    /* of a layer: it says of all RAM where it is, and not only what differs */
    uint64_t publish_us; /* what it took, when all was written, until the file was on the disk and
                            had its name */
};

/* Saves to `path`: a temporary file in the same folder, fsync, rename, fsync of the folder, so
 * that a reader sees the old file or the whole new one. Mode 0600. An existing `path` that is not
 * a regular file is refused (STASIS_ERR_ARG); a symbolic link is followed as
 * far as the kernel permits it. On failure the old file
 * is whole, and the temporary one gone; but when only the fsync of the folder fails, the new file
 * is in place, and the message says so. opts and ret_stats may be NULL. A snapshot may be saved
 * many times; each file has a UUID of its own unless one is given, which stasis_snap_info() then
 * tells.
 *
 * A snapshot that was opened can be saved, too, with its records as they are by then. Its RAM is
 * copied as it is stored (zlib_level must be 0), and so are optional sections that this release
 * does not know; both are verified meanwhile as by stasis_snap_verify(). Of a layer, RAM is put
 * together and stored anew, so that the file lies on nothing. Its notes are kept, unless
 * stasis_snap_notes() holds others. It may be saved onto the file that it was opened from. A file
 * with a compatible feature (stasis_snap_info()) is refused.
 *
 * STASIS_ERR_WRITE names the file and the reason; STASIS_ERR_CANCELLED; STASIS_ERR_EXISTS: a layer
 * would replace a file that it lies on; of an opened snapshot STASIS_ERR_CORRUPT, STASIS_ERR_READ,
 * and STASIS_ERR_VERSION for a compatible feature. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_save(struct stasis_snap *snap, const char *path,
                                                     const struct stasis_save_opts *opts,
                                                     struct stasis_save_stats *ret_stats,
                                                     struct stasis_error *err);

/* The same to an output that was opened before (stasis/output.h, STASIS_OUTPUT_REPLACED, snapshot):
 * compared with the other files of the process, and in the folder that it was opened in. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_save_output(struct stasis_snap *snap,
                                                            struct stasis_output *output,
                                                            const struct stasis_save_opts *opts,
                                                            struct stasis_save_stats *ret_stats,
                                                            struct stasis_error *err);

/* Saves to a descriptor that need not seek, in the streamed layout. The descriptor stays open; one
 * that would block is waited for. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_save_stream(struct stasis_snap *snap, int fd,
                                                            const struct stasis_save_opts *opts,
                                                            struct stasis_save_stats *ret_stats,
                                                            struct stasis_error *err);

/* ---- reading ---- */

/* The header of a snapshot, decoded. */
struct stasis_snap_info {
    uint32_t format_version;
    uint64_t incompatible; /* feature bits */
    uint64_t compatible;
    char producer[STASIS_PRODUCER_MAX + 1]; /* the program that wrote it: "acme-emu 3.1" */
    uint32_t arch;                          /* any; whoever restores the guest compares it */
    uint8_t uuid[STASIS_UUID_SIZE];
    uint64_t created_ns; /* CLOCK_REALTIME */
    uint64_t file_len;
    uint64_t ram_bytes;
    uint64_t stored_bytes;
    bool streamed;
    /* Stands for state and RAM, and with `digests` for every byte of them. Zero in version 1. */
    uint8_t root[STASIS_DIGEST_SIZE];
    bool digests; /* there is a SHA-256 digest of each chunk */
    /* A layer has of RAM what differs from another file, its parent: */
    bool layer;
    uint8_t parent_uuid[STASIS_UUID_SIZE];
    uint8_t parent_root[STASIS_DIGEST_SIZE];
    /* Of an opened file: its index tells where all RAM (or of a sealed overlay, the disk) is,
     * without that of the parent; and the length of the indexes that do not, of this file and of
     * those below it down to one that does. */
    bool whole;
    uint64_t partial_index_bytes;
};

struct stasis_snap_region {
    uint64_t gpa;
    uint64_t size;
    uint64_t first_chunk; /* index of its first chunk; the last chunk may be short */
};

struct stasis_snap_chunk {
    enum stasis_chunk_kind kind;
    uint16_t page_mask;  /* bit n: page n of the chunk is not zero (information) */
    uint32_t crc;        /* CRC-32 of the stored bytes; EXTENTS: 0 */
    uint64_t offset;     /* in the file; EXTENTS: 0 */
    uint32_t stored_len; /* EXTENTS: of all of them */
    uint64_t gpa;
    uint32_t size; /* of the chunk in RAM */
};

/* A place that pages of a chunk come from. Those that no extent takes are zero. */
struct stasis_snap_extent {
    uint16_t stored_pages;           /* bit n: page n of the chunk is among the stored bytes */
    uint16_t taken_pages;            /* of these, what counts */
    enum stasis_chunk_kind encoding; /* RAW, ZLIB */
    uint32_t file;                   /* stasis_snap_file_at() */
    uint32_t stored_len;
    uint32_t crc; /* CRC-32 of the stored bytes */
    uint64_t offset;
};

/* A file that an opened snapshot takes bytes from. */
struct stasis_snap_file {
    const char *name; /* its path, for messages; lives as long as the snapshot */
    uint8_t uuid[STASIS_UUID_SIZE];
    uint8_t root[STASIS_DIGEST_SIZE];
    uint64_t file_len;
};

/* Opens a snapshot file, or, from a descriptor that cannot seek, spools it to an unlinked file
 * first. Checks length, header, every section's CRC, all state (canonical form, schemas) and every
 * invariant of the index, before anything is returned; RAM is verified when it is loaded.
 * STASIS_ERR_CORRUPT, STASIS_ERR_VERSION (a future format, feature or record; another architecture
 * is for the caller to refuse), STASIS_ERR_READ (it cannot be read: permissions, the disk),
 * STASIS_ERR_WRITE (no temporary file, or no room in it), STASIS_ERR_NOMEM,
 * STASIS_ERR_NOT_FOUND (no such file), STASIS_ERR_ARG (a folder). `name` is for messages. The
 * descriptor stays the caller's, who may close it; a file is read from its start, wherever the
 * descriptor stands.
 *
 * What a layer lies on is opened, too: as far down as it takes to know where RAM is, and then what
 * has some of it. It is found by UUID and root. STASIS_ERR_NOT_FOUND: some of it is not there;
 * STASIS_ERR_CORRUPT: it is there with another root only, damaged, of another guest, lies on itself
 * or on more than 4096 files; STASIS_ERR_READ: too many files are open. All stay open, a descriptor
 * each, until the snapshot is freed. opts (may be NULL) says which records are known, and has a
 * progress: STASIS_ERR_CANCELLED. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_open(const char *path,
                                                     const struct stasis_parse_opts *opts,
                                                     struct stasis_snap **ret_snap,
                                                     struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_open_fd(int fd, const char *name,
                                                        const struct stasis_parse_opts *opts,
                                                        struct stasis_snap **ret_snap,
                                                        struct stasis_error *err);

/* Reads the schemas that came with an opened file, if it has any, and lets records of a tolerant
 * open be shown by them. For tools: nothing is restored by them. STASIS_ERR_CORRUPT, STASIS_ERR_IO,
 * STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_read_schemas(struct stasis_snap *snap,
                                                             struct stasis_error *err);

/* Reads the notes that came with an opened file, if it has any, in place of those that
 * stasis_snap_notes() returned before; the first time only. Opening does not read them, since a
 * machine can be restored without. STASIS_ERR_CORRUPT, STASIS_ERR_READ, STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_read_notes(struct stasis_snap *snap,
                                                           struct stasis_error *err);

/* What stasis_snap_read_schemas() found, or NULL; lives as long as the snapshot. */
STASIS_EXPORT const struct stasis_schema_set *stasis_snap_schemas(const struct stasis_snap *snap);

/* The name that messages give an opened snapshot: its path, or the name given to open_fd; "the
 * snapshot" for one that is being built. Lives as long as the object. */
STASIS_EXPORT const char *stasis_snap_name(const struct stasis_snap *snap);

/* Of an opened snapshot, or of one that was saved. The indexes are below their counts; chunks are
 * known of an opened snapshot only. */
STASIS_EXPORT const struct stasis_snap_info *stasis_snap_info(const struct stasis_snap *snap);
STASIS_EXPORT uint32_t stasis_snap_region_count(const struct stasis_snap *snap);
STASIS_EXPORT struct stasis_snap_region stasis_snap_region_at(const struct stasis_snap *snap,
                                                              uint32_t index);
STASIS_EXPORT uint64_t stasis_snap_chunk_count(const struct stasis_snap *snap);
STASIS_EXPORT struct stasis_snap_chunk stasis_snap_chunk_at(const struct stasis_snap *snap,
                                                            uint64_t index);

/* End of the run of zero chunks that begins with chunk `index`, at most `end`; `index` itself if
 * that is not zero. Passes over a run in one step, however long it is: a small file may claim
 * terabytes of RAM. `end` is at most the count of chunks. */
STASIS_EXPORT uint64_t stasis_snap_zero_end(const struct stasis_snap *snap, uint64_t index,
                                            uint64_t end);

/* The same for walking over all chunks: end of the run that begins with chunk `index`, which is
 * below `end`: chunks that are all zero, or all as in the parent; or a chunk that is stored, alone.
 */
STASIS_EXPORT uint64_t stasis_snap_run_end(const struct stasis_snap *snap, uint64_t index,
                                           uint64_t end);

/* The files of an opened snapshot, itself the first: those that it lies on follow. 0 for one that
 * is being built; the index is below the count. */
STASIS_EXPORT uint32_t stasis_snap_file_count(const struct stasis_snap *snap);
STASIS_EXPORT struct stasis_snap_file stasis_snap_file_at(const struct stasis_snap *snap,
                                                          uint32_t index);

/* The places of a chunk's bytes, by file, each below its count: one for a chunk of kind RAW or
 * ZLIB, none for zeros. */
STASIS_EXPORT uint32_t stasis_snap_extent_count(const struct stasis_snap *snap, uint64_t chunk);
STASIS_EXPORT struct stasis_snap_extent stasis_snap_extent_at(const struct stasis_snap *snap,
                                                              uint64_t chunk, uint32_t index);

/* Optional sections of an opened snapshot that this release does not know and skips; in file order,
 * `index` is below their count. */
struct stasis_snap_section {
    uint32_t type;
    uint64_t length;
};

STASIS_EXPORT uint32_t stasis_snap_unknown_count(const struct stasis_snap *snap);
STASIS_EXPORT struct stasis_snap_section stasis_snap_unknown_at(const struct stasis_snap *snap,
                                                                uint32_t index);

/* Reads one region into `host` (its whole size), verifying every chunk before it returns, with
 * `threads` threads (0: one per core). Whatever `host` held before, it then holds what the file
 * does: zero chunks are read and, where they are not zero, cleared. To fill fresh memory without
 * touching what stays zero, use stasis_ram_attach(). `progress` (may be NULL) is called on the
 * caller's thread with bytes of the region done and in all; false ends the load with
 * STASIS_ERR_CANCELLED: no thread begins another piece of 1 MiB, and none writes to `host` any more
 * when this returns. STASIS_ERR_CORRUPT names the chunk; on failure `host` holds anything. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_snap_load_ram(struct stasis_snap *snap, uint32_t region, void *host, unsigned threads,
                     bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                     struct stasis_error *err);

/* The counterpart of stasis_snap_add_ram(): the same, one thread per core, for the range at `gpa`,
 * which must be of `size` bytes in the file too. STASIS_ERR_NOT_FOUND if there is no such range. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_snap_get_ram(struct stasis_snap *snap, uint64_t gpa, void *host, uint64_t size,
                    bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                    struct stasis_error *err);

/* Reads one chunk into `host` (its size), zeros for a zero chunk, verified before it returns; on
 * failure `host` holds anything. Many threads may do so at once. STASIS_ERR_CORRUPT names the
 * chunk. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_read_chunk(const struct stasis_snap *snap,
                                                           uint64_t index, void *host,
                                                           struct stasis_error *err);

/* Checks what opening did not: every chunk's CRC and that it is not all zero and its page mask
 * true, and that every byte no section owns is zero. Reports the first fault with its place.
 * `progress` (may be NULL) is called on the caller's thread with bytes of RAM done and in all;
 * false ends it with STASIS_ERR_CANCELLED, and nothing is known of the file. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_verify(struct stasis_snap *snap, unsigned threads,
                                                       bool (*progress)(void *ctx, uint64_t done,
                                                                        uint64_t total),
                                                       void *ctx, struct stasis_error *err);

STASIS_END_DECLS

#endif
