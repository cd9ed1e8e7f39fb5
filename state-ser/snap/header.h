/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The header of a snapshot file: fixed, little-endian, outside the codec, so that every future
 * version can read it. docs/snapshot-format.md, "Header", is the specification.
 */
#ifndef STASIS_SNAP_HEADER_H
#define STASIS_SNAP_HEADER_H

#include "stasis/snap.h"

#define STASIS_HEADER_LEN   1024u
#define STASIS_SECTIONS_MAX 25u
/* STASIS_FORMAT_VERSION, the newest, is public; this is the oldest. */
#define STASIS_FORMAT_OLDEST 1u

/* Incompatible features. */
#define STASIS_FEATURE_TRAILER (UINT64_C(1) << 0)
#define STASIS_FEATURE_ZLIB    (UINT64_C(1) << 1) /* chunks may be compressed */
#define STASIS_FEATURE_DIGESTS (UINT64_C(1) << 3) /* version 2: SHA-256 of what is stored */
#define STASIS_FEATURE_LAYER   (UINT64_C(1) << 4) /* version 2: lies on another file */
#define STASIS_FEATURE_DISK    (UINT64_C(1) << 5) /* version 2: blocks of a disk, not RAM */
/* Version 2, in the trailer of a disk alone: SHA-256 of its pages; an index that says of those of
 * the files below, too. */
#define STASIS_FEATURE_DISK_DIGESTS (UINT64_C(1) << 6)
#define STASIS_FEATURE_DISK_WHOLE   (UINT64_C(1) << 7)
#define STASIS_FEATURES_DISK_LATE   (STASIS_FEATURE_DISK_DIGESTS | STASIS_FEATURE_DISK_WHOLE)

/* Byte offsets of the fields. */
enum {
    STASIS_HDR_MAGIC = 0,
    STASIS_HDR_LENGTH = 8,
    STASIS_HDR_CRC = 12,
    STASIS_HDR_VERSION = 16,
    STASIS_HDR_ARCH = 20,
    STASIS_HDR_INCOMPATIBLE = 24,
    STASIS_HDR_COMPATIBLE = 32,
    STASIS_HDR_PRODUCER = 40,
    STASIS_HDR_UUID = 72,
    STASIS_HDR_CREATED = 88,
    STASIS_HDR_FILE_LEN = 96,
    STASIS_HDR_RAM_BYTES = 104,
    STASIS_HDR_STORED_BYTES = 112,
    STASIS_HDR_CHUNK_SIZE = 120,
    STASIS_HDR_PAGE_SIZE = 124,
    STASIS_HDR_PARENT = 128,      /* of a layer, or zero */
    STASIS_HDR_ROOT = 144,        /* version 1: must be zero */
    STASIS_HDR_PARENT_ROOT = 176, /* of a layer, or zero */
    STASIS_HDR_SECTION_COUNT = 208,
    STASIS_HDR_SECTION_SIZE = 212,
    STASIS_HDR_RESERVED = 216,
    STASIS_HDR_SECTIONS = 224,
    STASIS_SECTION_ENTRY_LEN = 32,
};

enum stasis_section_type {
    STASIS_SECTION_STATE = 1,
    STASIS_SECTION_INDEX = 2,
    STASIS_SECTION_DATA = 3,
    STASIS_SECTION_SCHEMA = 4, /* optional: for display */
    STASIS_SECTION_NOTES = 5,  /* optional: for display */
};

#define STASIS_SECTION_OPTIONAL 1u

struct stasis_section {
    uint32_t type;
    uint32_t flags;
    uint64_t offset;
    uint64_t length;
    uint32_t crc; /* 0 for DATA */
};

/* True for an optional section that this release skips. */
static inline bool stasis_section_is_unknown(const struct stasis_section *section)
{
    return section->type > STASIS_SECTION_NOTES;
}

struct stasis_header {
    struct stasis_snap_info info;
    uint32_t section_count;
    struct stasis_section sections[STASIS_SECTIONS_MAX]; /* ascending offsets */
};

void stasis_header_encode(const struct stasis_header *header, uint8_t ret_bytes[STASIS_HEADER_LEN]);

/* True if a header can hold these `len` bytes as its producer, which goes into messages: 1 to
 * STASIS_PRODUCER_MAX printable characters of ASCII. */
bool stasis_header_is_producer(const char *text, size_t len);

/* True if the first `len` bytes of a header could be these. */
bool stasis_header_has_magic(const uint8_t *bytes, size_t len);

/* The UUID in the header of a file of any version; false: it is no header, or a damaged one. */
bool stasis_header_identify(const uint8_t bytes[STASIS_HEADER_LEN],
                            uint8_t ret_uuid[STASIS_UUID_SIZE]);

/* Checks and decodes in the order that keeps later versions readable: magic, length, CRC, and only
 * then version and features, and only then all else that does not depend on the file.
 * STASIS_ERR_CORRUPT, STASIS_ERR_VERSION. */
int stasis_header_decode(const uint8_t bytes[STASIS_HEADER_LEN], struct stasis_header *ret_header,
                         struct stasis_error *err);

/* The same of a file that holds a disk (STASIS_FEATURE_DISK), which the other refuses.
 * STASIS_ERR_ARG: it holds none. */
int stasis_header_decode_disk(const uint8_t bytes[STASIS_HEADER_LEN],
                              struct stasis_header *ret_header, struct stasis_error *err);

/* The rules for the header of a stream, which knows nothing of what follows; for a trailer, which
 * must repeat its header (both as bytes); and for the header that holds the section table, where
 * `end` is the end of the last section. */
int stasis_header_check_leading(const struct stasis_header *header, struct stasis_error *err);
int stasis_header_check_trailer(const uint8_t leading[STASIS_HEADER_LEN],
                                const uint8_t trailer[STASIS_HEADER_LEN], struct stasis_error *err);
int stasis_header_check_sections(const struct stasis_header *header, uint64_t end,
                                 struct stasis_error *err);

/* The section of this type, or NULL. */
const struct stasis_section *stasis_header_section(const struct stasis_header *header,
                                                   enum stasis_section_type type);

#endif
