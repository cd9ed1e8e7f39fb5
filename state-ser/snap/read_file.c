/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Opening: from the header down, nothing is believed before what guards it has been checked, and
 * nothing is allocated that the length of the file does not vouch for.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "index_runs.h"
#include "io.h"
#include "object.h"

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

static int read_header(const struct stasis_input *input, struct stasis_header *ret_header,
                       struct stasis_error *err)
{
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
        *ret_header = header;
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

/* Reads a section of at most `max` bytes and checks its CRC. */
static int read_section(const struct stasis_snap *snap, enum stasis_section_type type,
                        const char *name, uint64_t max, uint8_t **ret_bytes, size_t *ret_len,
                        struct stasis_error *err)
{
    const struct stasis_section *section = stasis_header_section(&snap->header, type);
    uint8_t *bytes;
    int rc = stasis_snap_check_section(section, name, max, err);

    if (rc)
        return rc;
    bytes = malloc(section->length);
    if (!bytes)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the %s section", name);
    rc = stasis_snap_read_exactly(&snap->input, bytes, section->length, section->offset, err);
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

static void put_hex(const uint8_t digest[STASIS_DIGEST_SIZE],
                    char ret_text[2 * STASIS_DIGEST_SIZE + 1])
{
    for (size_t i = 0; i < STASIS_DIGEST_SIZE; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", digest[i]);
}

/* Of the state section's bytes. The root is that of content which was read, whatever the header
 * says. */
static int check_root(const struct stasis_snap *snap, const uint8_t *state, size_t len,
                      const uint8_t *expected, struct stasis_error *err)
{
    uint8_t digest[STASIS_DIGEST_SIZE];
    uint8_t root[STASIS_DIGEST_SIZE];
    char has[2 * STASIS_DIGEST_SIZE + 1], wanted[2 * STASIS_DIGEST_SIZE + 1];

    if (snap->opened.format_version == 1)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "format version 1 has no root to compare; use a snapshot that this "
                           "release saved");
    stasis_sha256(state, len, digest);
    stasis_runs_root(&snap->index, &snap->opened, digest, root);
    if (!memcmp(root, expected, sizeof(root)))
        return 0;
    put_hex(root, has);
    put_hex(expected, wanted);
    return stasis_fail(err, STASIS_ERR_CORRUPT, "its root is %s, not %s", has, wanted);
}

int stasis_snap_check_root(const struct stasis_snap *snap, struct stasis_error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = read_section(snap, STASIS_SECTION_STATE, "state", STASIS_STATE_MAX, &bytes, &len, err);

    if (!rc)
        rc = check_root(snap, bytes, len, snap->opened.root, err);
    free(bytes);
    return rc ? stasis_wrap(err, rc, "%s", snap->name) : 0;
}

static int read_state(struct stasis_snap *snap, const struct stasis_parse_opts *opts,
                      struct stasis_error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = read_section(snap, STASIS_SECTION_STATE, "state", STASIS_STATE_MAX, &bytes, &len, err);

    if (!rc && opts && opts->root)
        rc = check_root(snap, bytes, len, opts->root, err);
    if (rc) {
        free(bytes);
        return rc;
    }
    rc = stasis_records_parse(bytes, len, opts, &snap->records, err);
    free(bytes);
    return rc == STASIS_ERR_VERSION
               ? stasis_wrap(err, rc, "written by %s", snap->header.info.producer)
               : rc;
}

static int read_schemas(struct stasis_snap *snap, struct stasis_error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = read_section(snap, STASIS_SECTION_SCHEMA, "schema", STASIS_SCHEMA_SET_MAX, &bytes,
                          &len, err);

    if (rc)
        return rc;
    rc = stasis_schema_set_parse(bytes, len, &snap->schemas, err);
    free(bytes);
    return rc ? rc : stasis_records_use_embedded_schemas(snap->records, snap->schemas, err);
}

int stasis_snap_read_schemas(struct stasis_snap *snap, struct stasis_error *err)
{
    int rc;

    if (!stasis_input_is_open(&snap->input))
        return stasis_fail(err, STASIS_ERR_ARG, "only an opened snapshot came with schemas");
    if (snap->schemas || !stasis_header_section(&snap->header, STASIS_SECTION_SCHEMA))
        return 0;
    rc = read_schemas(snap, err);
    return rc ? stasis_wrap(err, rc, "%s", snap->name) : 0;
}

int stasis_snap_parse_notes(const struct stasis_snap *snap, struct stasis_notes **ret_notes,
                            struct stasis_error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = read_section(snap, STASIS_SECTION_NOTES, "notes", STASIS_NOTES_SECTION_MAX, &bytes,
                          &len, err);

    if (!rc)
        rc = stasis_notes_parse(bytes, len, ret_notes, err);
    free(bytes);
    return rc ? stasis_wrap(err, rc, "%s", snap->name) : 0;
}

int stasis_snap_read_notes(struct stasis_snap *snap, struct stasis_error *err)
{
    struct stasis_notes *notes = NULL;
    int rc;

    if (!stasis_input_is_open(&snap->input))
        return stasis_fail(err, STASIS_ERR_ARG, "only an opened snapshot came with notes");
    if (snap->notes_read || !stasis_header_section(&snap->header, STASIS_SECTION_NOTES))
        return 0;
    rc = stasis_snap_parse_notes(snap, &notes, err);
    if (rc)
        return rc;
    stasis_notes_free(snap->notes);
    snap->notes = notes;
    snap->notes_read = true;
    return 0;
}

const struct stasis_schema_set *stasis_snap_schemas(const struct stasis_snap *snap)
{
    return snap->schemas;
}

/* An input of our own that can be read at any offset. */
static int make_seekable(const struct stasis_input *from, const struct stasis_parse_opts *opts,
                         struct stasis_input *ret_input, struct stasis_error *err)
{
    if (from->sequential)
        return stasis_snap_spool(from, opts, &ret_input->fd, err);
    if (from->fd < 0) {
        ret_input->storage = from->storage;
        return 0;
    }
    ret_input->fd = stasis_io_dup(from->fd);
    return ret_input->fd < 0 ? stasis_fail_errno(err, STASIS_ERR_IO, "keeping the descriptor") : 0;
}

static int open_input(const struct stasis_input *from, const char *name,
                      const struct stasis_parse_opts *opts, struct stasis_snap **ret_snap,
                      struct stasis_error *err)
{
    struct stasis_snap *snap;
    int rc;

    if (opts && opts->size != sizeof(*opts))
        return stasis_fail(err, STASIS_ERR_ARG, "parse options of %zu bytes, expected %zu",
                           opts->size, sizeof(*opts));
    snap = calloc(1, sizeof(*snap));
    if (!snap)
        return stasis_fail(err, STASIS_ERR_NOMEM, "%s: no memory to open it", name);
    snap->input.fd = -1;
    snap->name = strdup(name);
    snap->notes = stasis_notes_new();
    rc = snap->name && snap->notes ? make_seekable(from, opts, &snap->input, err)
                                   : stasis_fail(err, STASIS_ERR_NOMEM, "no memory to open it");
    if (!rc)
        rc = read_header(&snap->input, &snap->header, err);
    snap->opened = snap->header.info;
    if (!rc)
        rc = stasis_index_read(&snap->input, &snap->header, &snap->index, err);
    if (!rc)
        rc = read_state(snap, opts, err);
    if (rc) {
        stasis_snap_free(snap);
        return stasis_wrap(err, rc, "%s", name);
    }
    *ret_snap = snap;
    return 0;
}

int stasis_snap_open_fd(int fd, const char *name, const struct stasis_parse_opts *opts,
                        struct stasis_snap **ret_snap, struct stasis_error *err)
{
    struct stasis_input input = {.fd = fd};
    struct stat st;

    if (stasis_io_stat(fd, &st))
        return stasis_fail_errno(err, STASIS_ERR_READ, "%s: asking what it is", name);
    if (S_ISDIR(st.st_mode))
        return stasis_fail(err, STASIS_ERR_ARG, "%s: it is a folder; name a snapshot file", name);
    input.sequential = !S_ISREG(st.st_mode);
    return open_input(&input, name, opts, ret_snap, err);
}

int stasis_snap_open_storage(const struct stasis_storage *storage,
                             const struct stasis_parse_opts *opts, struct stasis_snap **ret_snap,
                             struct stasis_error *err)
{
    struct stasis_input input = {.fd = -1};
    int rc = stasis_storage_check(storage, err);

    if (rc)
        return rc;
    if (!storage->read)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s: opening needs the function read of its storage", storage->name);
    input.sequential = storage->sequential;
    input.storage = *storage;
    return open_input(&input, storage->name, opts, ret_snap, err);
}

int stasis_snap_open_file(const char *path, int *ret_fd, struct stasis_error *err)
{
    int fd = stasis_io_open(AT_FDCWD, path, O_RDONLY | O_NOCTTY, 0);

    if (fd < 0 && errno == ENOENT)
        return stasis_fail_errno(err, STASIS_ERR_NOT_FOUND, "%s", path);
    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ,
                                 "%s: opening it to read (check its permissions and the disk)",
                                 path);
    *ret_fd = fd;
    return 0;
}

int stasis_snap_open(const char *path, const struct stasis_parse_opts *opts,
                     struct stasis_snap **ret_snap, struct stasis_error *err)
{
    int fd = -1;
    int rc = stasis_snap_open_file(path, &fd, err);

    if (rc)
        return rc;
    rc = stasis_snap_open_fd(fd, path, opts, ret_snap, err);
    stasis_io_close(fd);
    return rc;
}
