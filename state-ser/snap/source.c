/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One file: from the header down, nothing is believed before what guards it has been checked, and
 * nothing is allocated that the length of the file does not vouch for.
 */
#include "source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "index_runs.h"
#include "io.h"
#include "object.h"

struct stasis_source *stasis_source_new(const char *name)
{
    struct stasis_source *source = calloc(1, sizeof(*source));

    if (!source)
        return NULL;
    source->input.fd = -1;
    source->name = strdup(name);
    if (source->name)
        return source;
    free(source);
    return NULL;
}

struct stasis_source *stasis_source_share(struct stasis_source *source)
{
    atomic_fetch_add(&source->sharers, 1);
    return source;
}

void stasis_source_free(struct stasis_source *source)
{
    if (!source || atomic_fetch_sub(&source->sharers, 1) > 0)
        return;
    stasis_io_close(source->input.fd);
    free(source->name);
    free(source);
}

/* ---- reading ---- */

int stasis_snap_read_exactly(const struct stasis_input *input, void *buf, size_t len,
                             uint64_t offset, struct stasis_error *err)
{
    ssize_t n = stasis_input_read(input, buf, len, offset);

    if (n < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ, "reading %zu bytes at %" PRIu64 " (%s)", len,
                                 offset, stasis_input_remedy(input));
    if ((size_t)n < len)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "truncated at %" PRIu64, offset + (uint64_t)n);
    return 0;
}

static int read_leading(const struct stasis_input *input, uint64_t file_len,
                        uint8_t bytes[STASIS_HEADER_LEN], struct stasis_error *err)
{
    size_t len = file_len < STASIS_HEADER_LEN ? (size_t)file_len : STASIS_HEADER_LEN;
    int rc = stasis_snap_read_exactly(input, bytes, len, 0, err);

    if (rc)
        return rc;
    if (!len || !stasis_header_has_magic(bytes, len))
        return stasis_fail(err, STASIS_ERR_CORRUPT, "not a Stasis snapshot");
    if (len < STASIS_HEADER_LEN)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "truncated: %zu bytes, a header has %u", len,
                           STASIS_HEADER_LEN);
    return 0;
}

static int check_length(const struct stasis_snap_info *info, uint64_t file_len,
                        struct stasis_error *err)
{
    if (file_len < info->file_len)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "truncated: %" PRIu64 " of %" PRIu64 " bytes",
                           file_len, info->file_len);
    if (file_len > info->file_len)
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "%" PRIu64 " bytes, longer than the %" PRIu64 " it says it has",
                           file_len, info->file_len);
    return stasis_file_check_len(file_len, info->ram_bytes, stasis_index_form_of(info),
                                 STASIS_ERR_CORRUPT, err);
}

/* The trailer of a stream is its last 1024 bytes. */
static int read_trailer(const struct stasis_input *input, uint64_t file_len,
                        const uint8_t leading[STASIS_HEADER_LEN], struct stasis_header *ret_header,
                        struct stasis_error *err)
{
    uint8_t bytes[STASIS_HEADER_LEN];
    int rc;

    if (file_len < 2 * STASIS_HEADER_LEN)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "truncated: the stream has no trailer");
    rc = stasis_snap_read_exactly(input, bytes, sizeof(bytes), file_len - STASIS_HEADER_LEN, err);
    if (!rc && !stasis_header_has_magic(bytes, sizeof(bytes)))
        rc = stasis_fail(err, STASIS_ERR_CORRUPT,
                         "truncated or longer than it was: no trailer at the end of the stream");
    if (!rc)
        rc = stasis_header_decode(bytes, ret_header, err);
    if (!rc)
        rc = stasis_header_check_trailer(leading, bytes, err);
    return rc;
}

int stasis_source_read_header(struct stasis_source *source, struct stasis_error *err)
{
    const struct stasis_input *input = &source->input;
    uint8_t leading[STASIS_HEADER_LEN];
    struct stasis_header header;
    uint64_t file_len;
    uint64_t end;
    int rc;

    if (stasis_input_length(input, &file_len))
        return stasis_fail_errno(err, STASIS_ERR_READ, "asking for its length");
    rc = read_leading(input, file_len, leading, err);
    if (!rc)
        rc = stasis_header_decode(leading, &header, err);
    if (!rc && header.info.streamed) {
        rc = stasis_header_check_leading(&header, err);
        if (!rc)
            rc = read_trailer(input, file_len, leading, &header, err);
    }
    if (!rc)
        rc = check_length(&header.info, file_len, err);
    if (rc)
        return rc;
    end = header.info.streamed ? file_len - STASIS_HEADER_LEN : file_len;
    rc = stasis_header_check_sections(&header, end, err);
    if (!rc)
        source->header = header;
    return rc;
}

int stasis_snap_check_section(const struct stasis_section *section, const char *name, uint64_t max,
                              struct stasis_error *err)
{
    if (section->length && section->length <= max)
        return 0;
    return stasis_fail(err, STASIS_ERR_CORRUPT,
                       "the %s section has %" PRIu64 " bytes, at most %" PRIu64, name,
                       section->length, max);
}

int stasis_source_read_section(const struct stasis_source *source, enum stasis_section_type type,
                               const char *name, uint64_t max, uint8_t **ret_bytes, size_t *ret_len,
                               struct stasis_error *err)
{
    const struct stasis_section *section = stasis_header_section(&source->header, type);
    uint8_t *bytes;
    int rc = stasis_snap_check_section(section, name, max, err);

    if (rc)
        return rc;
    bytes = malloc(section->length);
    if (!bytes)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the %s section", name);
    rc = stasis_snap_read_exactly(&source->input, bytes, section->length, section->offset, err);
    if (!rc && stasis_crc32(bytes, section->length) != section->crc)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "the %s section is damaged (CRC)", name);
    if (rc) {
        free(bytes);
        return rc;
    }
    *ret_bytes = bytes;
    *ret_len = section->length;
    return 0;
}

/* ---- the root ---- */

static void put_hex(const uint8_t digest[STASIS_DIGEST_SIZE],
                    char ret_text[2 * STASIS_DIGEST_SIZE + 1])
{
    for (size_t i = 0; i < STASIS_DIGEST_SIZE; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", digest[i]);
}

/* The root is that of content which was read, whatever the header says. */
int stasis_source_compare_root(const struct stasis_source *source, const struct stasis_index *index,
                               const uint8_t *state, size_t len,
                               const uint8_t expected[STASIS_DIGEST_SIZE], struct stasis_error *err)
{
    uint8_t digest[STASIS_DIGEST_SIZE];
    uint8_t root[STASIS_DIGEST_SIZE];
    char has[2 * STASIS_DIGEST_SIZE + 1], wanted[2 * STASIS_DIGEST_SIZE + 1];

    if (source->header.info.format_version == 1)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "format version 1 has no root to compare; use a snapshot that this "
                           "release saved");
    stasis_sha256(state, len, digest);
    stasis_runs_root(index, &source->header.info, digest, root);
    if (!memcmp(root, expected, sizeof(root)))
        return 0;
    put_hex(root, has);
    put_hex(expected, wanted);
    return stasis_fail(err, STASIS_ERR_CORRUPT, "its root is %s, not %s", has, wanted);
}

int stasis_source_check_root(const struct stasis_source *source, const struct stasis_index *index,
                             const uint8_t expected[STASIS_DIGEST_SIZE], struct stasis_error *err)
{
    struct stasis_index read = {0};
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = index ? 0 : stasis_index_read(&source->input, &source->header, &read, err);

    if (!rc)
        rc = stasis_source_read_section(source, STASIS_SECTION_STATE, "state", STASIS_STATE_MAX,
                                        &bytes, &len, err);
    if (!rc)
        rc = stasis_source_compare_root(source, index ? index : &read, bytes, len, expected, err);
    free(bytes);
    stasis_index_fini(&read);
    return rc ? stasis_wrap(err, rc, "%s", source->name) : 0;
}
