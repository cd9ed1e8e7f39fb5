/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Small snapshots for tests, and ways to damage them.
 */
#ifndef STASIS_TESTS_SNAP_FIXTURE_H
#define STASIS_TESTS_SNAP_FIXTURE_H

#include "support/cmocka_all.h"

#include "stasis/snap.h"
#include "stasis/state.h"

#include "state-ser/snap/header.h"

/* For a test's own loops over much RAM: quick in every build. What is tested is not in them. */
#ifdef __clang__
#define QUICK __attribute__((no_sanitize("address", "undefined", "thread")))
#else
#define QUICK __attribute__((optimize("O2"), no_sanitize("address", "undefined", "thread")))
#endif

/* A snapshot that is being built, with one record and its RAM. */
struct built {
    struct stasis_snap *snap;
    uint32_t region_count;
    uint64_t gpa[4];
    size_t size[4];
    uint8_t *ram[4];
};

void built_init(struct built *built);
void built_add(struct built *built, uint64_t gpa, size_t size); /* RAM is zero at first */
void built_fini(struct built *built);

/* The standard ones: 8 KiB of RAM that is one short raw chunk, and 3 chunks: raw, zero, raw; and
 * 1 MiB + 8 KiB, a hole, 5 MiB with runs, holes and a filled huge page. */
void built_small(struct built *built);
void built_large(struct built *built);

/* Bytes that no compressor likes and that are never all zero. */
void fill_random(uint8_t *bytes, size_t len, uint32_t seed);

/* A file's bytes. */
struct image {
    uint8_t *bytes;
    size_t len;
};

struct image image_of(struct built *built);        /* saved to a file */
struct image image_of_stream(struct built *built); /* saved to a pipe */
struct image image_of_with(struct built *built, const struct stasis_save_opts *opts);
struct image image_of_stream_with(struct built *built, const struct stasis_save_opts *opts);
struct image image_read(const char *path);
struct image image_copy(const struct image *image);
void image_resize(struct image *image, size_t len); /* new bytes are zero */
void image_fini(struct image *image);

/* Offset of the header that has the section table, and entries of that table. */
size_t image_header(const struct image *image);
uint8_t *image_section(const struct image *image, enum stasis_section_type type);
uint64_t section_offset(const uint8_t *entry);
uint64_t section_length(const uint8_t *entry);

/* Appends an optional section of that type and length, behind all others of a file (no stream). */
void image_add_section(struct image *image, uint32_t type, size_t len);

/* Zeroes what is different in every save: UUID, time and the headers' CRCs. */
void image_wipe_identity(struct image *image);

/* Put the CRCs right after a change: of one section; of those that every file has, and of both
 * headers. */
void image_reseal_section(struct image *image, enum stasis_section_type type);
void image_reseal(struct image *image);

/* The bytes in an unnamed file, and the same through a pipe; the caller closes. */
int image_fd(const struct image *image);

/* Opens it; fails the test where that is refused. */
struct stasis_snap *image_reopen(const struct image *image);
int image_pipe(const struct image *image, int *ret_child);
void child_wait(int child);

/* Descriptors of this process, for comparison. */
unsigned open_files(void);

/* Opens, loads every region and verifies; the first failure, 0 if there is none. */
int check_fd(int fd, struct stasis_error *err);
int check_image(const struct image *image, struct stasis_error *err);

/* Loads every region and compares with what was built. */
void assert_same_ram(struct stasis_snap *snap, const struct built *built, unsigned threads);

/* A folder of the test's own, removed with all that is in it. */
const char *folder_make(void);
size_t folder_entries(const char *folder);
void folder_remove(void);
void folder_empty(const char *path); /* removes another one in the same way */

#endif
