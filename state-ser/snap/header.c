/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "header.h"

#include <inttypes.h>
#include <string.h>

#include "chunk.h"
#include "le.h"
#include "stasis/bytes.h"

static const uint8_t magic[8] = {0x89, 'S', 'T', 'A', 'S', 'I', 'S', '\n'};

static void encode_section(const struct stasis_section *section, uint8_t *p)
{
    stasis_le32_put(p, section->type);
    stasis_le32_put(p + 4, section->flags);
    stasis_le64_put(p + 8, section->offset);
    stasis_le64_put(p + 16, section->length);
    stasis_le32_put(p + 24, section->crc);
}

static void decode_section(const uint8_t *p, struct stasis_section *ret_section)
{
    ret_section->type = stasis_le32_get(p);
    ret_section->flags = stasis_le32_get(p + 4);
    ret_section->offset = stasis_le64_get(p + 8);
    ret_section->length = stasis_le64_get(p + 16);
    ret_section->crc = stasis_le32_get(p + 24);
}

/* The CRC is taken with its own field as zero. */
static uint32_t header_crc(const uint8_t bytes[STASIS_HEADER_LEN])
{
    static const uint8_t zero[4];
    uint32_t crc = stasis_crc32(bytes, STASIS_HDR_CRC);

    crc = stasis_crc32_more(crc, zero, sizeof(zero));
    return stasis_crc32_more(crc, bytes + STASIS_HDR_CRC + 4,
                             STASIS_HEADER_LEN - STASIS_HDR_CRC - 4);
}

void stasis_header_encode(const struct stasis_header *header, uint8_t ret_bytes[STASIS_HEADER_LEN])
{
    const struct stasis_snap_info *info = &header->info;
    uint8_t *p = ret_bytes;

    memset(p, 0, STASIS_HEADER_LEN);
    memcpy(p + STASIS_HDR_MAGIC, magic, sizeof(magic));
    stasis_le32_put(p + STASIS_HDR_LENGTH, STASIS_HEADER_LEN);
    stasis_le32_put(p + STASIS_HDR_VERSION, info->format_version);
    stasis_le32_put(p + STASIS_HDR_ARCH, info->arch);
    stasis_le64_put(p + STASIS_HDR_INCOMPATIBLE, info->incompatible);
    stasis_le64_put(p + STASIS_HDR_COMPATIBLE, info->compatible);
    memcpy(p + STASIS_HDR_PRODUCER, info->producer, strlen(info->producer));
    memcpy(p + STASIS_HDR_UUID, info->uuid, STASIS_UUID_SIZE);
    memcpy(p + STASIS_HDR_PARENT, info->parent_uuid, STASIS_UUID_SIZE);
    memcpy(p + STASIS_HDR_ROOT, info->root, STASIS_DIGEST_SIZE);
    memcpy(p + STASIS_HDR_PARENT_ROOT, info->parent_root, STASIS_DIGEST_SIZE);
    stasis_le64_put(p + STASIS_HDR_CREATED, info->created_ns);
    stasis_le64_put(p + STASIS_HDR_FILE_LEN, info->file_len);
    stasis_le64_put(p + STASIS_HDR_RAM_BYTES, info->ram_bytes);
    stasis_le64_put(p + STASIS_HDR_STORED_BYTES, info->stored_bytes);
    stasis_le32_put(p + STASIS_HDR_CHUNK_SIZE, STASIS_CHUNK_SIZE);
    stasis_le32_put(p + STASIS_HDR_PAGE_SIZE, STASIS_PAGE_SIZE);
    stasis_le32_put(p + STASIS_HDR_SECTION_COUNT, header->section_count);
    stasis_le32_put(p + STASIS_HDR_SECTION_SIZE, STASIS_SECTION_ENTRY_LEN);
    for (uint32_t i = 0; i < header->section_count; i++)
        encode_section(&header->sections[i],
                       p + STASIS_HDR_SECTIONS + (size_t)i * STASIS_SECTION_ENTRY_LEN);
    stasis_le32_put(p + STASIS_HDR_CRC, header_crc(p));
}

bool stasis_header_has_magic(const uint8_t *bytes, size_t len)
{
    return !memcmp(bytes, magic, len < sizeof(magic) ? len : sizeof(magic));
}

static int check_magic_and_crc(const uint8_t *p, struct stasis_error *err)
{
    uint32_t len = stasis_le32_get(p + STASIS_HDR_LENGTH);

    if (!stasis_header_has_magic(p, STASIS_HEADER_LEN))
        return stasis_fail(err, STASIS_ERR_CORRUPT, "not a Stasis snapshot");
    if (len != STASIS_HEADER_LEN)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the header says it has %" PRIu32 " bytes",
                           len);
    if (stasis_le32_get(p + STASIS_HDR_CRC) != header_crc(p))
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the header is damaged (CRC)");
    return 0;
}

bool stasis_header_is_producer(const char *text, size_t len)
{
    bool good = len > 0 && len <= STASIS_PRODUCER_MAX;

    for (size_t i = 0; i < len; i++)
        good = good && text[i] >= 0x20 && text[i] < 0x7f;
    return good;
}

/* Text, then NULs to the end. */
static int decode_producer(const uint8_t *p, struct stasis_snap_info *info,
                           struct stasis_error *err)
{
    size_t len = strnlen((const char *)p, STASIS_PRODUCER_MAX);

    if (!stasis_header_is_producer((const char *)p, len) ||
        !stasis_is_zero(p + len, STASIS_PRODUCER_MAX - len))
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the header's producer is not text");
    memset(info->producer, 0, sizeof(info->producer));
    memcpy(info->producer, p, len);
    return 0;
}

bool stasis_header_identify(const uint8_t bytes[STASIS_HEADER_LEN],
                            uint8_t ret_uuid[STASIS_UUID_SIZE])
{
    struct stasis_snap_info info;

    if (check_magic_and_crc(bytes, NULL) ||
        decode_producer(bytes + STASIS_HDR_PRODUCER, &info, NULL))
        return false;
    memcpy(ret_uuid, bytes + STASIS_HDR_UUID, STASIS_UUID_SIZE);
    return true;
}

static const char *feature_name(uint32_t version, unsigned bit)
{
    static const char *const names[][6] = {
        {"trailer", "compressed chunks", "parent snapshot"},
        {"trailer", "compressed chunks", NULL, "digests", "layer"},
    };
    const char *name = bit < 6 ? names[version - STASIS_FORMAT_OLDEST][bit] : NULL;

    return name ? name : "a feature of a later version";
}

static uint64_t features_of(uint32_t version)
{
    return STASIS_FEATURE_TRAILER | STASIS_FEATURE_ZLIB |
           (version > 1 ? STASIS_FEATURE_DIGESTS | STASIS_FEATURE_LAYER : 0);
}

static int check_version(const uint8_t *p, const struct stasis_snap_info *info, uint64_t more,
                         struct stasis_error *err)
{
    uint64_t unknown = info->incompatible &
                       ~(features_of(info->format_version) | (info->format_version > 1 ? more : 0));

    if (info->format_version < STASIS_FORMAT_OLDEST || info->format_version > STASIS_FORMAT_VERSION)
        return stasis_fail(
            err, STASIS_ERR_VERSION,
            "format version %" PRIu32 ", written by %s; this is stasis " STASIS_VERSION
            ", which reads versions %u to %u",
            info->format_version, info->producer, STASIS_FORMAT_OLDEST, STASIS_FORMAT_VERSION);
    if (info->format_version > 1 && unknown & STASIS_FEATURE_DISK)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "it holds a disk, not a guest (incompatible feature bit 5), written by "
                           "%s; give it to a guest by vmm --block overlay=FILE",
                           info->producer);
    if (unknown) {
        unsigned bit = (unsigned)__builtin_ctzll(unknown);

        return stasis_fail(err, STASIS_ERR_VERSION,
                           "needs incompatible feature bit %u (%s), written by %s; this is "
                           "stasis " STASIS_VERSION,
                           bit, feature_name(info->format_version, bit), info->producer);
    }
    if (stasis_le32_get(p + STASIS_HDR_CHUNK_SIZE) != STASIS_CHUNK_SIZE ||
        stasis_le32_get(p + STASIS_HDR_PAGE_SIZE) != STASIS_PAGE_SIZE ||
        stasis_le32_get(p + STASIS_HDR_SECTION_SIZE) != STASIS_SECTION_ENTRY_LEN)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "other sizes of chunks, pages or table entries than this release reads, "
                           "written by %s",
                           info->producer);
    return 0;
}

/* Reserved bytes are zero, but may belong to a compatible feature that this release ignores. */
static int check_reserved(const uint8_t *p, const struct stasis_header *header,
                          struct stasis_error *err)
{
    size_t used = STASIS_HDR_SECTIONS + (size_t)header->section_count * STASIS_SECTION_ENTRY_LEN;
    bool has_root = header->info.format_version > 1;
    bool has_parent = header->info.layer;
    bool zero =
        (has_parent || stasis_is_zero(p + STASIS_HDR_PARENT, STASIS_UUID_SIZE)) &&
        (has_root || stasis_is_zero(p + STASIS_HDR_ROOT, STASIS_DIGEST_SIZE)) &&
        (has_parent || stasis_is_zero(p + STASIS_HDR_PARENT_ROOT, STASIS_DIGEST_SIZE)) &&
        stasis_is_zero(p + STASIS_HDR_RESERVED, STASIS_HDR_SECTIONS - STASIS_HDR_RESERVED) &&
        stasis_is_zero(p + used, STASIS_HEADER_LEN - used);

    for (size_t at = STASIS_HDR_SECTIONS; at < used; at += STASIS_SECTION_ENTRY_LEN)
        zero = zero && stasis_le32_get(p + at + 28) == 0;
    if (!zero && !header->info.compatible)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "reserved bytes of the header are not zero");
    return 0;
}

static void decode_info(const uint8_t *p, struct stasis_snap_info *info)
{
    info->format_version = stasis_le32_get(p + STASIS_HDR_VERSION);
    info->arch = stasis_le32_get(p + STASIS_HDR_ARCH);
    info->incompatible = stasis_le64_get(p + STASIS_HDR_INCOMPATIBLE);
    info->compatible = stasis_le64_get(p + STASIS_HDR_COMPATIBLE);
    info->streamed = info->incompatible & STASIS_FEATURE_TRAILER;
    info->digests =
        info->incompatible & (info->incompatible & STASIS_FEATURE_DISK ? STASIS_FEATURE_DISK_DIGESTS
                                                                       : STASIS_FEATURE_DIGESTS);
    info->whole = (info->incompatible & (STASIS_FEATURE_DISK | STASIS_FEATURE_DISK_WHOLE)) ==
                  (STASIS_FEATURE_DISK | STASIS_FEATURE_DISK_WHOLE);
    memcpy(info->uuid, p + STASIS_HDR_UUID, STASIS_UUID_SIZE);
    if (info->format_version > 1)
        memcpy(info->root, p + STASIS_HDR_ROOT, STASIS_DIGEST_SIZE);
    info->layer = info->format_version > 1 && info->incompatible & STASIS_FEATURE_LAYER;
    if (info->layer) {
        memcpy(info->parent_uuid, p + STASIS_HDR_PARENT, STASIS_UUID_SIZE);
        memcpy(info->parent_root, p + STASIS_HDR_PARENT_ROOT, STASIS_DIGEST_SIZE);
    }
    info->created_ns = stasis_le64_get(p + STASIS_HDR_CREATED);
    info->file_len = stasis_le64_get(p + STASIS_HDR_FILE_LEN);
    info->ram_bytes = stasis_le64_get(p + STASIS_HDR_RAM_BYTES);
    info->stored_bytes = stasis_le64_get(p + STASIS_HDR_STORED_BYTES);
}

static int decode_sections(const uint8_t *p, struct stasis_header *header, struct stasis_error *err)
{
    header->section_count = stasis_le32_get(p + STASIS_HDR_SECTION_COUNT);
    if (header->section_count > STASIS_SECTIONS_MAX)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "%" PRIu32 " sections, at most %u",
                           header->section_count, STASIS_SECTIONS_MAX);
    for (uint32_t i = 0; i < header->section_count; i++)
        decode_section(p + STASIS_HDR_SECTIONS + (size_t)i * STASIS_SECTION_ENTRY_LEN,
                       &header->sections[i]);
    return 0;
}

static int decode(const uint8_t bytes[STASIS_HEADER_LEN], uint64_t more,
                  struct stasis_header *ret_header, struct stasis_error *err)
{
    struct stasis_header header = {0};
    int rc = check_magic_and_crc(bytes, err);

    if (!rc)
        rc = decode_producer(bytes + STASIS_HDR_PRODUCER, &header.info, err);
    if (rc)
        return rc;
    decode_info(bytes, &header.info);
    rc = check_version(bytes, &header.info, more, err);
    if (!rc && header.info.ram_bytes > STASIS_RAM_MAX)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "%" PRIu64 " bytes of RAM, at most %" PRIu64,
                         header.info.ram_bytes, STASIS_RAM_MAX);
    if (!rc)
        rc = decode_sections(bytes, &header, err);
    if (!rc)
        rc = check_reserved(bytes, &header, err);
    if (!rc)
        *ret_header = header;
    return rc;
}

int stasis_header_decode(const uint8_t bytes[STASIS_HEADER_LEN], struct stasis_header *ret_header,
                         struct stasis_error *err)
{
    return decode(bytes, 0, ret_header, err);
}

int stasis_header_decode_disk(const uint8_t bytes[STASIS_HEADER_LEN],
                              struct stasis_header *ret_header, struct stasis_error *err)
{
    int rc = decode(bytes, STASIS_FEATURE_DISK | STASIS_FEATURES_DISK_LATE, ret_header, err);

    if (!rc && !(ret_header->info.incompatible & STASIS_FEATURE_DISK))
        rc = stasis_fail(err, STASIS_ERR_ARG, "it is a snapshot of a guest, not a disk");
    return rc;
}

int stasis_header_check_leading(const struct stasis_header *header, struct stasis_error *err)
{
    const struct stasis_snap_info *info = &header->info;

    if (header->section_count || info->file_len || info->stored_bytes ||
        !stasis_is_zero(info->root, sizeof(info->root)))
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "the header of a stream tells what only its trailer can know");
    return 0;
}

int stasis_header_check_trailer(const uint8_t leading[STASIS_HEADER_LEN],
                                const uint8_t trailer[STASIS_HEADER_LEN], struct stasis_error *err)
{
    uint64_t features = stasis_le64_get(leading + STASIS_HDR_INCOMPATIBLE);
    uint8_t expected[STASIS_HEADER_LEN];

    /* What only the trailer knows is taken from it, all else from the header: also bytes whose
     * meaning belongs to a compatible feature that this release ignores. */
    memcpy(expected, leading, STASIS_HEADER_LEN);
    memcpy(expected + STASIS_HDR_CRC, trailer + STASIS_HDR_CRC, 4);
    if (features & STASIS_FEATURE_DISK)
        features |= stasis_le64_get(trailer + STASIS_HDR_INCOMPATIBLE) & STASIS_FEATURES_DISK_LATE;
    stasis_le64_put(expected + STASIS_HDR_INCOMPATIBLE, features);
    memcpy(expected + STASIS_HDR_FILE_LEN, trailer + STASIS_HDR_FILE_LEN, 8);
    memcpy(expected + STASIS_HDR_STORED_BYTES, trailer + STASIS_HDR_STORED_BYTES, 8);
    if (stasis_le32_get(leading + STASIS_HDR_VERSION) > 1)
        memcpy(expected + STASIS_HDR_ROOT, trailer + STASIS_HDR_ROOT, STASIS_DIGEST_SIZE);
    memcpy(expected + STASIS_HDR_SECTION_COUNT, trailer + STASIS_HDR_SECTION_COUNT, 4);
    memcpy(expected + STASIS_HDR_SECTIONS, trailer + STASIS_HDR_SECTIONS,
           STASIS_HEADER_LEN - STASIS_HDR_SECTIONS);
    if (memcmp(expected, trailer, STASIS_HEADER_LEN) != 0)
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "header and trailer belong to different snapshots");
    return 0;
}

static int check_section(const struct stasis_header *header, uint32_t i, uint64_t start,
                         uint64_t end, struct stasis_error *err)
{
    const struct stasis_section *section = &header->sections[i];
    uint64_t stop;

    if (section->offset < start ||
        __builtin_add_overflow(section->offset, section->length, &stop) || stop > end)
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "section %" PRIu32 " overlaps its neighbour or leaves the file", i);
    if (section->flags & ~STASIS_SECTION_OPTIONAL ||
        (section->type > STASIS_SECTION_DATA && !(section->flags & STASIS_SECTION_OPTIONAL)))
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "section %" PRIu32 " of type %" PRIu32
                           " is unknown to stasis " STASIS_VERSION ", written by %s",
                           i, section->type, header->info.producer);
    if (section->type <= STASIS_SECTION_DATA &&
        (section->type == 0 || section->flags ||
         stasis_header_section(header, (enum stasis_section_type)section->type) != section))
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "section %" PRIu32 " of type %" PRIu32
                           " has no type, is optional, or is a second one",
                           i, section->type);
    if (section->type <= STASIS_SECTION_NOTES &&
        stasis_header_section(header, (enum stasis_section_type)section->type) != section)
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "section %" PRIu32 " of type %" PRIu32 " is a second one", i,
                           section->type);
    return 0;
}

int stasis_header_check_sections(const struct stasis_header *header, uint64_t end,
                                 struct stasis_error *err)
{
    uint64_t pos = STASIS_HEADER_LEN;

    for (uint32_t i = 0; i < header->section_count; i++) {
        int rc = check_section(header, i, pos, end, err);
        if (rc)
            return rc;
        pos = header->sections[i].offset + header->sections[i].length;
    }
    for (unsigned type = STASIS_SECTION_STATE; type <= STASIS_SECTION_DATA; type++) {
        const struct stasis_section *section =
            stasis_header_section(header, (enum stasis_section_type)type);

        if (!section)
            return stasis_fail(err, STASIS_ERR_CORRUPT, "section %u is missing", type);
        if (type == STASIS_SECTION_DATA && (section->crc || section->offset % STASIS_PAGE_SIZE))
            return stasis_fail(err, STASIS_ERR_CORRUPT,
                               "the data section has a CRC, or is not on a page boundary");
    }
    if (pos != end)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the last section does not end the file");
    return 0;
}

const struct stasis_section *stasis_header_section(const struct stasis_header *header,
                                                   enum stasis_section_type type)
{
    for (uint32_t i = 0; i < header->section_count; i++)
        if (header->sections[i].type == (uint32_t)type)
            return &header->sections[i];
    return NULL;
}
