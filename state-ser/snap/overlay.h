/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of an overlay in use: overlay.c (reading and writing), overlay_open.c (making and
 * opening), overlay_map.c (where each page is), overlay_places.c (which places of the file are
 * free), overlay_log.c (commits, as they are written), overlay_recover.c (as they are read),
 * overlay_state.c (the STATE section), overlay_seal.c and overlay_trailer.c (sealing),
 * overlay_digests.c (SHA-256 of what is sealed), overlay_index_make.c and overlay_index.c (where
 * its pages are), overlay_chain.c and overlay_find.c (what it lies on), overlay_look.c and
 * overlay_verify.c (for reading only). docs/snapshot-format.md, "Overlay in use".
 */
#ifndef STASIS_SNAP_OVERLAY_H
#define STASIS_SNAP_OVERLAY_H

#include "header.h"
#include "stasis/overlay.h"
#include "stasis/state.h"

#define STASIS_OVERLAY_PAGE STASIS_PAGE_SIZE

/* A place is a page of the file, by its number. The first ones are those of the header and of the
 * slots, so their numbers are free for what has no place. */
enum {
    STASIS_PLACE_BELOW = 0, /* the page is that of the base */
    STASIS_PLACE_ZERO = 1,
    STASIS_PLACE_SLOT = 1, /* two of them */
    STASIS_PLACE_FIRST = 3,
};

/* ---- where each page of the disk is ---- */

#define STASIS_LEAF_PAGES 512u

struct stasis_overlay_leaf {
    uint32_t place[STASIS_LEAF_PAGES];
    uint32_t crc[STASIS_LEAF_PAGES];
    uint16_t file[STASIS_LEAF_PAGES];       /* 0: the overlay; else a sealed one below */
    uint64_t dirty[STASIS_LEAF_PAGES / 64]; /* since the last commit: its place is in none */
};

struct stasis_overlay_map {
    uint32_t pages; /* of the disk */
    size_t leaf_count;
    struct stasis_overlay_leaf **leaves; /* NULL: none of its pages is stored: */
    uint16_t *zeros;                     /* they are zeros of this sealed file; 0: all below */
    uint64_t *dirty_leaves;
    uint64_t mapped, dirty; /* pages of the overlay itself */
};

struct stasis_overlay_entry {
    uint32_t place;
    uint32_t crc;
    uint16_t file;
};

/* False: no memory. */
bool stasis_overlay_map_init(struct stasis_overlay_map *map, uint32_t pages);
void stasis_overlay_map_fini(struct stasis_overlay_map *map);

/* Before the first put to any of these pages. False: no memory. */
bool stasis_overlay_map_own(struct stasis_overlay_map *map, uint32_t first, uint32_t count);

struct stasis_overlay_entry stasis_overlay_map_get(const struct stasis_overlay_map *map,
                                                   uint32_t page);
bool stasis_overlay_map_is_dirty(const struct stasis_overlay_map *map, uint32_t page);

/* The page is the overlay's, and dirty, then. */
void stasis_overlay_map_put(struct stasis_overlay_map *map, uint32_t page,
                            struct stasis_overlay_entry entry);

/* The page is that of a sealed file, entry.file. */
void stasis_overlay_map_lay(struct stasis_overlay_map *map, uint32_t page,
                            struct stasis_overlay_entry entry);

/* The pages are zeros of that sealed file. Takes no memory for each. False: no memory. */
bool stasis_overlay_map_lay_zeros(struct stasis_overlay_map *map, uint32_t first, uint32_t count,
                                  uint16_t file);

/* All pages of the overlay are those of the sealed file of that number from here on. */
void stasis_overlay_map_seal(struct stasis_overlay_map *map, uint16_t file);

/* The first page from `page` on that the overlay has, or that is dirty; map->pages: there is none.
 */
uint32_t stasis_overlay_map_next(const struct stasis_overlay_map *map, uint32_t page,
                                 bool only_dirty);

/* No page is dirty any more. */
void stasis_overlay_map_clean(struct stasis_overlay_map *map);

/* ---- which places are free ---- */

struct stasis_overlay_places {
    uint64_t *used;    /* a bit for each place below `end` */
    uint64_t *leaving; /* of used ones: free after the next commit */
    size_t words;      /* that both have room for */
    uint32_t end;      /* no place from here on was ever used */
    uint32_t cursor;   /* where the next search begins */
    uint64_t free;     /* below end */
    uint64_t leaving_count;
};

/* All below `end` are free. False: no memory. */
bool stasis_overlay_places_init(struct stasis_overlay_places *places, uint32_t end);
void stasis_overlay_places_fini(struct stasis_overlay_places *places);

/* Takes up to `want` places that follow each other, a free one or behind all others; returns the
 * first and says how many. 0: no memory, or the file is as long as it can be. */
uint32_t stasis_overlay_places_take(struct stasis_overlay_places *places, uint32_t want,
                                    uint32_t *ret_got);
/* Exactly `count` places behind all others. 0: as above. */
uint32_t stasis_overlay_places_append(struct stasis_overlay_places *places, uint32_t count);

/* False: one of them is used already, or is not below end. */
bool stasis_overlay_places_use(struct stasis_overlay_places *places, uint32_t first,
                               uint32_t count);
void stasis_overlay_places_give(struct stasis_overlay_places *places, uint32_t first,
                                uint32_t count);
/* Free ones at the end are no places any more. */
void stasis_overlay_places_trim(struct stasis_overlay_places *places);
/* Of one that a commit names: given after the next. */
void stasis_overlay_places_leave(struct stasis_overlay_places *places, uint32_t place);
void stasis_overlay_places_commit(struct stasis_overlay_places *places);

/* ---- the log ---- */

/* A log holds commits, one behind the other; the first one has all that is mapped, and the state.
 */
struct stasis_overlay_log {
    uint32_t first, count; /* places */
    uint8_t salt[16];      /* in the slot and in each of its commits */
};

/* A sealed file that the overlay lies on. */
struct stasis_overlay_below {
    int fd;
    char *name; /* its path, for messages, or NULL: it was sealed here */
    struct stasis_snap_info info;
    uint32_t end;                           /* place behind its DATA section */
    struct stasis_overlay_digests *digests; /* of all that its index says, or, sealed here, of its
                                             * own pages; NULL: none, or its index was not read */
};

/* What belongs to the file that is written to, and changes with it. */
struct stasis_overlay_use {
    int fd;
    struct stasis_header header; /* the leading one */
    struct stasis_overlay_places places;
    struct stasis_overlay_log log;
    struct stasis_overlay_log spare; /* room for the next log; no places: there is none */
    uint64_t generation;             /* of the slot */
    uint64_t commits;                /* number of the last one */
    uint32_t log_used;               /* places of the log that hold commits */
    bool is_proven;                  /* the last commit counts without a look at its pages */
    bool is_suspect;                 /* a sync failed: what is dirty may be lost */
    bool lacks_slot;                 /* none is known to lead to the log */
    uint8_t *state;                  /* the STATE section */
    size_t state_len;
};

struct stasis_overlay {
    struct stasis_output *output;
    struct stasis_overlay_base base;
    struct stasis_overlay_map map;
    struct stasis_overlay_use use;      /* the descriptor is the output's */
    bool lacks_name;                    /* its folder is not known to have it, on the disk */
    struct stasis_overlay_below *below; /* by their number less 1 */
    uint16_t below_count;
    uint16_t whole;       /* number of the one, not sealed here, whose index was read, and says of
                           * those below it, too; 0: none */
    uint64_t partial_len; /* of the indexes of those above it, or above the lowest */
    uint8_t page[STASIS_OVERLAY_PAGE]; /* of which a part is read or written */
    bool only_looks;   /* for a dry run: nothing is made, written, or stays locked */
    uint64_t foreseen; /* then: features of the file below that finishing a sealing would add */
    /* Opened for reading only: there may be no base, and nothing is written. */
    bool is_for_reading;
    char *name;                     /* of the file that was named */
    bool is_sealed;                 /* the file is the last one of `below`, and fd is -1 */
    struct stasis_section data;     /* of a sealed one */
    bool was_cut_off;               /* while it was sealed */
    struct stasis_disk_state image; /* what the lowest of its files says of it */
};

/* Byte layouts: a slot, the head of a commit, and an entry {page, place, CRC}. */
#define STASIS_SLOT_MAGIC       "stasis overlay"
#define STASIS_COMMIT_MAGIC     "stasis commit"
#define STASIS_LOG_MAGIC_LEN    16u
#define STASIS_SLOT_LEN         64u
#define STASIS_COMMIT_HEAD_LEN  64u
#define STASIS_COMMIT_ENTRY_LEN 12u
enum {
    STASIS_SLOT_GENERATION = 16,
    STASIS_SLOT_OFFSET = 24,
    STASIS_SLOT_LENGTH = 32,
    STASIS_SLOT_SALT = 40,
    STASIS_SLOT_CRC = 60,
    STASIS_COMMIT_SALT = 16,
    STASIS_COMMIT_NUMBER = 32,
    STASIS_COMMIT_ENTRIES = 40,
    STASIS_COMMIT_STATE_LEN = 44,
    STASIS_COMMIT_CRC = 60,
};

/* Bytes of a commit; it takes whole places. */
static inline uint64_t stasis_commit_len(uint64_t entries, uint64_t state_len)
{
    return STASIS_COMMIT_HEAD_LEN + (state_len + 3) / 4 * 4 + entries * STASIS_COMMIT_ENTRY_LEN;
}

static inline uint64_t stasis_commit_places(uint64_t len)
{
    return (len + STASIS_OVERLAY_PAGE - 1) / STASIS_OVERLAY_PAGE;
}

/* A log has room for as much as its first commit again, and 1 MiB. */
#define STASIS_LOG_ROOM 256u

static inline uint64_t stasis_log_places(uint64_t first_commit)
{
    return 2 * first_commit + STASIS_LOG_ROOM;
}

/* The CRC of bytes with the four at `at` taken as zero. */
uint32_t stasis_overlay_crc(const uint8_t *bytes, size_t len, size_t at);

/* Writes what is dirty as a commit, of a log of its own where the last one has no room for it.
 * STASIS_ERR_WRITE, STASIS_ERR_NOMEM, and with is_suspect the errors of reading. */
int stasis_overlay_commit(struct stasis_overlay *overlay, struct stasis_error *err);

/* overlay_recover.c: the map as of the last whole commit, of a file of `len` bytes. *ret_has_slot:
 * there is a slot, else nothing was changed. STASIS_ERR_CORRUPT, STASIS_ERR_READ, _WRITE, _NOMEM.
 */
int stasis_overlay_recover(struct stasis_overlay *overlay, uint64_t len, bool *ret_has_slot,
                           struct stasis_error *err);

/* Whether there is a slot. STASIS_ERR_CORRUPT, STASIS_ERR_READ. */
int stasis_overlay_find_slot(struct stasis_overlay *overlay, bool *ret_has_slot,
                             struct stasis_error *err);

/* overlay_state.c: makes the STATE section, once, which names the image only of an overlay that
 * lies on it; and checks that of a disk file, whose header says whether it lies on another, against
 * the base. STASIS_ERR_NOMEM; STASIS_ERR_ARG: it lies on another base; STASIS_ERR_CORRUPT,
 * STASIS_ERR_VERSION. */
int stasis_overlay_state_make(struct stasis_overlay *overlay, struct stasis_error *err);
int stasis_overlay_state_check(struct stasis_overlay *overlay, bool is_layer, const uint8_t *bytes,
                               size_t len, struct stasis_error *err);

/* ---- sealed files ---- */

#define STASIS_OVERLAY_CHAIN_MAX 4095u

/* overlay_digests.c: of a file's pages that are stored, in their order; free() frees them. */
struct stasis_overlay_digest {
    uint32_t page;
    uint8_t sum[STASIS_DIGEST_SIZE];
};

struct stasis_overlay_digests {
    uint32_t count;
    struct stasis_overlay_digest list[];
};

/* With room for `max`. NULL: no memory. Pages are added in their order. */
struct stasis_overlay_digests *stasis_overlay_digests_new(uint32_t max);
void stasis_overlay_digests_add(struct stasis_overlay_digests *digests, uint32_t page,
                                const uint8_t sum[STASIS_DIGEST_SIZE]);

/* Those of the pages that the overlay has itself, which are read, and verified. STASIS_ERR_READ,
 * STASIS_ERR_CORRUPT, STASIS_ERR_NOMEM. */
int stasis_overlay_digests_make(struct stasis_overlay *overlay,
                                struct stasis_overlay_digests **ret_digests,
                                struct stasis_error *err);

/* Those that the pages of a sealed file are checked with; NULL: none. */
const struct stasis_overlay_digests *stasis_overlay_digests_of(const struct stasis_overlay *overlay,
                                                               uint16_t file);

/* That of a page; NULL: it has none. */
const uint8_t *stasis_overlay_digests_find(const struct stasis_overlay_digests *digests,
                                           uint32_t page);

/* Whether a page is what its digest says. */
bool stasis_overlay_digests_match(const struct stasis_overlay_digests *digests, uint32_t page,
                                  const uint8_t bytes[STASIS_OVERLAY_PAGE]);

/* overlay_index_make.c: the INDEX section of what the overlay has itself, or a whole one, with
 * digests or (NULL) without, which the caller frees; NULL: no memory. */
uint8_t *stasis_overlay_index_make(const struct stasis_overlay *overlay,
                                   const struct stasis_overlay_digests *digests, bool whole,
                                   size_t *ret_len);

/* Whether it can be whole: it lies on others, and all have digests, or none has. And whether it is
 * time for it. */
bool stasis_overlay_index_can_be_whole(const struct stasis_overlay *overlay, bool has_digests);
bool stasis_overlay_index_is_due(const struct stasis_overlay *overlay, bool has_digests);

/* overlay_index.c: the root of a file with that section. */
void stasis_overlay_index_root(const uint8_t *index, const struct stasis_snap_info *info,
                               const uint8_t *state, size_t state_len,
                               uint8_t ret_root[STASIS_DIGEST_SIZE]);

/* The greatest length of the section; and a check of its counts against its length and the header.
 * STASIS_ERR_CORRUPT. */
uint64_t stasis_overlay_index_max(uint64_t ram_bytes);
int stasis_overlay_index_check(const struct stasis_snap_info *info, const uint8_t *index,
                               size_t len, struct stasis_error *err);

/* Checks all else of the section of the last file of overlay->below, and lays the pages onto the
 * map: its own, and, if it is whole, those of the files below; `alone`: these are not there.
 * STASIS_ERR_CORRUPT, STASIS_ERR_NOMEM. */
int stasis_overlay_index_lay(struct stasis_overlay *overlay, const uint8_t *index, size_t len,
                             bool alone, struct stasis_error *err);

/* Where sealed files are sought. */
struct stasis_overlay_folder {
    int fd;
    const char *path;                         /* for messages, or NULL */
    const struct stasis_overlay_folder *next; /* where what is not in it is sought, or NULL */
};

/* overlay_find.c: the sealed file of this root and UUID (NULL: any); *ret_name, which the caller
 * frees, is its path, or NULL. STASIS_ERR_NOT_FOUND, STASIS_ERR_READ, STASIS_ERR_NOMEM. */
int stasis_overlay_find(const struct stasis_overlay_folder *folder, const uint8_t *uuid,
                        const uint8_t *root, int *ret_fd, char **ret_name,
                        struct stasis_error *err);

/* overlay_chain.c: finds the sealed file of this root and UUID (NULL: any), and those below, in a
 * folder, and lays their pages onto the map, which is empty. *ret_uuid is that of the first.
 * STASIS_ERR_NOT_FOUND, STASIS_ERR_ARG: it lies on another image; STASIS_ERR_CORRUPT,
 * STASIS_ERR_VERSION, STASIS_ERR_READ, STASIS_ERR_NOMEM. */
int stasis_overlay_load_chain(struct stasis_overlay *overlay,
                              const struct stasis_overlay_folder *folder, const uint8_t *uuid,
                              const uint8_t root[STASIS_DIGEST_SIZE],
                              uint8_t ret_uuid[STASIS_UUID_SIZE], struct stasis_error *err);

/* Of a file below, in messages about outputs. */
#define STASIS_OVERLAY_BELOW_ROLE "a sealed overlay that a disk lies on"

/* Notes the lowest `count` files below as inputs, which no output may replace. */
int stasis_overlay_note_below(const struct stasis_overlay *overlay, unsigned count,
                              struct stasis_outputs *outputs, const char *role,
                              struct stasis_error *err);

/* The same from a sealed file on that is open already, and is the overlay's from here on; `alone`:
 * without those below. *ret_data: where its DATA section is. */
int stasis_overlay_load_sealed(struct stasis_overlay *overlay,
                               const struct stasis_overlay_folder *folder, int fd, bool alone,
                               struct stasis_section *ret_data, struct stasis_error *err);

/* overlay_open.c: what a base must be; what a leading header must be, but for the size of the
 * disk; and that it is of another disk than the base: STASIS_ERR_ARG. */
int stasis_overlay_check_base(const struct stasis_overlay_base *base, struct stasis_error *err);
int stasis_overlay_refuse_size(const struct stasis_overlay *overlay, uint64_t bytes,
                               struct stasis_error *err);
int stasis_overlay_check_header(struct stasis_overlay *overlay, const uint8_t *bytes,
                                struct stasis_error *err);

/* overlay_open.c: that a disk has no features but those of an overlay, and `more`: who writes into
 * a file must know all that is in it. STASIS_ERR_VERSION. */
int stasis_overlay_check_features(const struct stasis_snap_info *info, uint64_t more,
                                  struct stasis_error *err);

/* overlay_open.c: stasis_io_lock(); for who only looks, whether it could be locked. */
int stasis_overlay_lock(const struct stasis_overlay *overlay, int fd);

/* overlay_open.c: makes the file that is open on overlay->use.fd an overlay in use, on the sealed
 * file of this UUID and root, or on none. STASIS_ERR_WRITE, STASIS_ERR_NOMEM. */
struct stasis_overlay_parent {
    uint8_t uuid[STASIS_UUID_SIZE];
    uint8_t root[STASIS_DIGEST_SIZE];
};
int stasis_overlay_make(struct stasis_overlay *overlay, const struct stasis_overlay_parent *parent,
                        struct stasis_error *err);

/* overlay_trailer.c: what is behind the data of what is sealed. */
struct stasis_overlay_end {
    struct stasis_header trailer; /* with the root; without sections until it is written */
    uint8_t *index;
    size_t index_len;
    struct stasis_overlay_digests *digests; /* NULL: none */
};

/* Makes it, with these of STASIS_FEATURES_DISK_LATE, and writes it, on the disk. STASIS_ERR_WRITE,
 * STASIS_ERR_NOMEM; with digests also STASIS_ERR_READ, STASIS_ERR_CORRUPT. */
int stasis_overlay_end_make(struct stasis_overlay *overlay, uint64_t features,
                            struct stasis_overlay_end *ret_end, struct stasis_error *err);
int stasis_overlay_end_write(struct stasis_overlay *overlay, struct stasis_overlay_end *end,
                             struct stasis_error *err);
void stasis_overlay_end_fini(struct stasis_overlay_end *end);

/* overlay_seal.c: if sealing of a file of `len` bytes was cut off, it is done now, since others may
 * lie on the file; who only looks gets the overlay as it would be then. *ret_is_sealed: it was done
 * as far as that it has the name of a sealed one. The errors of sealing. */
int stasis_overlay_finish_sealing(struct stasis_overlay *overlay, uint64_t len, bool *ret_is_sealed,
                                  struct stasis_error *err);

/* Whether a file has the name that sealing gives to one of this root. */
bool stasis_overlay_has_sealed_name(const char *name, const uint8_t root[STASIS_DIGEST_SIZE]);

/* overlay.c: its name is on the disk. STASIS_ERR_WRITE. */
int stasis_overlay_keep_name(struct stasis_overlay *overlay, struct stasis_error *err);

/* overlay.c: a page as it is now; and its place in the file, verified. */
int stasis_overlay_read_page(struct stasis_overlay *overlay, uint32_t page, uint8_t *ret_bytes,
                             struct stasis_error *err);
/* Writes whole pages to new places. */
int stasis_overlay_write_pages(struct stasis_overlay *overlay, uint32_t first, uint32_t count,
                               const uint8_t *bytes, struct stasis_error *err);

#endif
