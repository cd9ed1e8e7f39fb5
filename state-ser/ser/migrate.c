/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Records as an older release writes them. docs/architecture.md, "Versions".
 */
#include "stasis/migrate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "encoding.h"
#include "stasis/cpu_models.h"
#include "stasis/state.h"

struct convert {
    const struct stasis_records *set;
    const struct stasis_release *release;
    struct stasis_convert_opts opts;
    struct stasis_records *out;
    struct stasis_board_state *board;   /* NULL: the set has none */
    const struct stasis_record *record; /* at hand */
    char refusal[512];                  /* the first loss, if none is allowed */
};

const struct stasis_release_record *stasis_release_record_find(const struct stasis_release *release,
                                                               const char *type)
{
    for (size_t i = 0; i < release->record_count; i++) {
        if (!strcmp(release->records[i].type, type))
            return &release->records[i];
    }
    return NULL;
}

/* ---- drops ---- */

/* A stasis_dropped_fn. */
static void report_dropped(void *ctx, const char *what)
{
    struct convert *convert = ctx;
    char line[sizeof(convert->refusal)];

    snprintf(line, sizeof(line), "record %s %s: %s", convert->record->type,
             convert->record->instance, what);
    if (convert->opts.allow_drop && convert->opts.dropped)
        convert->opts.dropped(convert->opts.ctx, line);
    if (!convert->opts.allow_drop && !convert->refusal[0])
        memcpy(convert->refusal, line, sizeof(line));
}

static int refuse_drops(const struct convert *convert, struct stasis_error *err)
{
    if (!convert->refusal[0])
        return 0;
    return stasis_fail(err, STASIS_ERR_VERSION,
                       "%s; release %s cannot represent that: %s, or allow it to be dropped",
                       convert->refusal, convert->release->name,
                       strncmp(convert->refusal, "record stasis.board ", 20) == 0
                           ? "start the guest on the board of that release"
                           : "bring the guest to the default");
}

/* ---- the board ---- */

static bool device_fits(const struct stasis_release *release,
                        const struct stasis_board_device_state *device)
{
    const struct stasis_release_record *row = stasis_release_record_find(release, device->type);

    return row && row->behaviour >= device->version;
}

/* Whether the record is the state of a device that the release lacks. */
static bool is_of_lost_device(const struct convert *convert, const struct stasis_record *record)
{
    for (uint32_t i = 0; convert->board && i < convert->board->devices_count; i++) {
        const struct stasis_board_device_state *device = &convert->board->devices[i];

        if (!strcmp(device->type, record->type) && !strcmp(device->instance, record->instance))
            return !device_fits(convert->release, device);
    }
    return false;
}

static int fit_board(struct convert *convert, struct stasis_board_state *board,
                     struct stasis_error *err)
{
    uint32_t kept = 0;

    if (board->vcpus > convert->release->vcpus)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "the board has %" PRIu32 " vCPUs, release %s runs at most %" PRIu32
                           "; use a later release as the target, or a guest with fewer vCPUs",
                           board->vcpus, convert->release->name, convert->release->vcpus);
    /* An embedder's board may have a model of its own, which no table of ours has. */
    if (stasis_cpu_model_is_newer(board->cpu_model, convert->release->cpu_models))
        return stasis_fail(
            err, STASIS_ERR_VERSION,
            "the board has the CPU model %s, which release %s does not know; use a later "
            "release as the target, or a guest with another model",
            board->cpu_model, convert->release->name);
    for (uint32_t i = 0; i < board->devices_count; i++) {
        const struct stasis_board_device_state *device = &board->devices[i];
        char what[160];

        snprintf(what, sizeof(what), "device %s %s, behaviour %" PRIu32, device->type,
                 device->instance, device->version);
        if (device_fits(convert->release, device))
            board->devices[kept++] = *device;
        else
            report_dropped(convert, what);
    }
    memset(&board->devices[kept], 0, (board->devices_count - kept) * sizeof(board->devices[0]));
    board->devices_count = kept;
    return refuse_drops(convert, err);
}

/* ---- records ---- */

/* What the older release will read must be something that it accepts. */
static int check_encoded(const struct stasis_record *record, const struct stasis_buffer *buffer,
                         size_t fields_at, void *scratch, struct stasis_error *err)
{
    struct stasis_reader reader;
    int rc;

    stasis_state_fini(record->schema, scratch);
    stasis_reader_init(&reader, buffer->data + fields_at, buffer->len - fields_at);
    rc = stasis_decode_fields(&reader, record, record->schema, scratch, err);
    if (rc == STASIS_ERR_CORRUPT) {
        rc = stasis_wrap(err, STASIS_ERR_VERSION, "version %" PRIu32 " cannot say it",
                         record->version);
        if (err)
            err->code = STASIS_ERR_VERSION;
    }
    return rc;
}

static int encode(struct convert *convert, uint32_t version, void *state, struct stasis_error *err)
{
    struct stasis_record record = *convert->record;
    struct stasis_buffer buffer = {0};
    size_t fields_at;
    int rc;

    record.version = version;
    stasis_encode_record(&buffer, record.schema, version, record.instance, state, &fields_at);
    rc = buffer.failed ? stasis_fail(err, STASIS_ERR_NOMEM, "record %s %s: out of memory",
                                     record.type, record.instance)
                       : check_encoded(&record, &buffer, fields_at, state, err);
    if (!rc)
        rc = stasis_records_insert(convert->out, stasis_records_count(convert->out), &record,
                                   buffer.data, buffer.len, fields_at, err);
    stasis_buffer_fini(&buffer);
    return rc;
}

static int rewrite(struct convert *convert, uint32_t version, void *state, struct stasis_error *err)
{
    const struct stasis_schema *schema = convert->record->schema;
    int rc = 0;

    if (version > schema->version)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "release %s writes version %" PRIu32 " of %s, this one up to %u",
                           convert->release->name, version, schema->type, schema->version);
    if (convert->board && !strcmp(schema->type, stasis_board_schema.type))
        rc = fit_board(convert, state, err);
    if (rc)
        return rc;
    stasis_migrations_down(schema, version, state);
    stasis_state_downgrade(schema, version, state, report_dropped, convert);
    rc = refuse_drops(convert, err);
    return rc ? rc : encode(convert, version, state, err);
}

/* The release does not know the type: nothing may be lost but defaults. */
static int drop(struct convert *convert, void *state, struct stasis_error *err)
{
    stasis_state_downgrade(convert->record->schema, 0, state, report_dropped, convert);
    return refuse_drops(convert, err);
}

static int convert_known(struct convert *convert, const struct stasis_release_record *row,
                         struct stasis_error *err)
{
    const struct stasis_record *record = convert->record;
    void *state = calloc(1, record->schema->size);
    int rc;

    if (!state)
        return stasis_fail(err, STASIS_ERR_NOMEM, "record %s: out of memory", record->type);
    rc = stasis_records_get(convert->set, record->schema, record->instance, state, err);
    if (!rc)
        rc = row ? rewrite(convert, row->version, state, err) : drop(convert, state, err);
    stasis_state_fini(record->schema, state);
    free(state);
    return rc;
}

static int convert_any(struct convert *convert, size_t index, struct stasis_error *err)
{
    const struct stasis_record *record = convert->record;

    if (is_of_lost_device(convert, record))
        return 0; /* told of, or to be told of, with the board */
    if (record->schema && !record->embedded)
        return convert_known(convert, stasis_release_record_find(convert->release, record->type),
                             err);
    if (record->optional)
        return stasis_records_copy(convert->set, index, convert->out, err);
    return stasis_fail(err, STASIS_ERR_VERSION,
                       "record %s %s is of a type that this release does not know: "
                       "use the program that wrote it",
                       record->type, record->instance);
}

static int convert_record(struct convert *convert, size_t index, struct stasis_error *err)
{
    struct stasis_record record = stasis_records_at(convert->set, index);
    int rc;

    convert->record = &record;
    rc = convert_any(convert, index, err);
    convert->record = NULL;
    return rc;
}

static int read_board(struct convert *convert, struct stasis_error *err)
{
    size_t index = stasis_records_find(convert->set, stasis_board_schema.type, NULL);

    if (index == SIZE_MAX || !stasis_records_at(convert->set, index).schema)
        return 0;
    convert->board = malloc(sizeof(*convert->board));
    if (!convert->board)
        return stasis_fail(err, STASIS_ERR_NOMEM, "the board: out of memory");
    return stasis_records_get(convert->set, &stasis_board_schema, NULL, convert->board, err);
}

int stasis_records_convert(const struct stasis_records *set, const struct stasis_release *release,
                           const struct stasis_convert_opts *opts, struct stasis_records **ret_set,
                           struct stasis_error *err)
{
    struct convert convert = {.set = set, .release = release};
    int rc;

    if (opts && opts->size != sizeof(*opts))
        return stasis_fail(err, STASIS_ERR_ARG, "convert options of %zu bytes, expected %zu",
                           opts->size, sizeof(*opts));
    if (opts)
        convert.opts = *opts;
    convert.out = stasis_records_new();
    rc = convert.out ? read_board(&convert, err)
                     : stasis_fail(err, STASIS_ERR_NOMEM, "records: out of memory");
    for (size_t i = 0; !rc && i < stasis_records_count(set); i++)
        rc = convert_record(&convert, i, err);
    if (!rc) {
        *ret_set = convert.out;
        convert.out = NULL;
    }
    stasis_records_free(convert.out);
    free(convert.board);
    return rc;
}
