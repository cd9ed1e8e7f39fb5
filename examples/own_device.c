/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A device that was there before Stasis: its struct stays as it is, and the table below is bound to
 * the members that are saved. It has had two versions: the first release kept the level in percent,
 * the second keeps it in per mille and can fade. Files of both are read; files for the first
 * release are written, unless that would lose something.
 */
#include <stasis/bind.h>
#include <stasis/migrate.h>

#include <stdlib.h>

/* `changed` is not in the table, and so not saved. */
struct dimmer {
    void (*changed)(struct dimmer *dimmer);
    uint16_t level; /* per mille */
    uint16_t fade_ms;
    uint8_t queue[8]; /* commands that wait */
    uint32_t queued;
    uint8_t old_percent; /* of version 1; only dimmer_up() and dimmer_down() see it */
};

static const struct stasis_field dimmer_fields[] = {
    STASIS_BIND_INT(struct dimmer, old_percent, 1, STASIS_REMOVED(1, 2), 0, 0x7f, "level, percent"),
    STASIS_BIND_BUF(struct dimmer, queue, queued, 2, 1, 1, "commands that wait"),
    STASIS_BIND_INT(struct dimmer, level, 3, 2, 0, 0x7ff, "level, per mille"),
    STASIS_BIND_INT(struct dimmer, fade_ms, 4, 2, 0, UINT16_MAX, "time of a change, milliseconds"),
};

static void dimmer_up(void *state)
{
    struct dimmer *dimmer = state;

    dimmer->level = (uint16_t)(dimmer->old_percent * 10);
}

/* A level in whole percent is said by the old field alone; what stays in the new one is a loss. */
static void dimmer_down(void *state)
{
    struct dimmer *dimmer = state;
    uint16_t percent = dimmer->level / 10;

    dimmer->old_percent = percent > 0x7f ? 0x7f : (uint8_t)percent;
    if (dimmer->level == dimmer->old_percent * 10)
        dimmer->level = 0;
}

static const struct stasis_migration dimmer_migrations[] = {{2, dimmer_up, dimmer_down}, {0}};

static const struct stasis_schema dimmer_schema = {
    .type = "acme.dimmer",
    .version = 2,
    STASIS_BIND_FIELDS(struct dimmer, dimmer_fields),
    .migrations = dimmer_migrations,
    .doc = "dimmer",
};

static const struct stasis_schema *const own[] = {&dimmer_schema};
static const struct stasis_parse_opts opts = {
    .size = sizeof(opts), .schemas = own, .schema_count = 1};

/* The first release of the program was built on Stasis 0.1.0, and had version 1 of the record. */
static const struct stasis_release_record first_own[] = {{"acme.dimmer", 1, 0}};

static int first_release(struct stasis_release **ret_release, struct stasis_error *err)
{
    const struct stasis_release *base;
    int rc = stasis_release_get("0.1.0", &base, err);

    return rc ? rc : stasis_release_new("acme 1.0", base, first_own, 1, ret_release, err);
}

/* The bytes that the first release would have written for the device. */
static int write_first(const struct dimmer *dimmer, uint8_t **ret_bytes, size_t *ret_len,
                       struct stasis_error *err)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_records *old = NULL;
    struct stasis_release *first = NULL;
    int rc = set ? stasis_records_add(set, &dimmer_schema, "hall", dimmer, err)
                 : stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");

    if (!rc)
        rc = first_release(&first, err);
    if (!rc)
        rc = stasis_records_convert(set, first, NULL, &old, err);
    if (!rc)
        rc = stasis_records_encode(old, ret_bytes, ret_len, err);
    stasis_release_free(first);
    stasis_records_free(old);
    stasis_records_free(set);
    return rc;
}

/* Whatever version the bytes have. The live device keeps what is not saved. */
static int read_any(const uint8_t *bytes, size_t len, struct dimmer *dimmer,
                    struct stasis_error *err)
{
    struct stasis_records *set = NULL;
    struct dimmer read;
    int rc = stasis_records_parse(bytes, len, &opts, &set, err);

    if (!rc)
        rc = stasis_records_get(set, &dimmer_schema, "hall", &read, err);
    if (!rc) {
        printf("version %u\n", stasis_records_at(set, 0).version);
        stasis_state_copy(&dimmer_schema, &read, dimmer);
        dimmer->changed(dimmer);
    }
    stasis_records_free(set);
    return rc;
}

static void show(struct dimmer *dimmer)
{
    printf("level %u, fade %u ms, %u queued\n", dimmer->level, dimmer->fade_ms, dimmer->queued);
}

int main(void)
{
    struct dimmer saved = {.level = 420, .queue = {7}, .queued = 1};
    struct dimmer live = {.changed = show};
    struct stasis_error err = {0};
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = stasis_schema_check(&dimmer_schema, &err); /* once, in a test of yours */

    if (!rc)
        rc = write_first(&saved, &bytes, &len, &err);
    if (!rc)
        rc = read_any(bytes, len, &live, &err);
    free(bytes);
    if (rc) {
        fprintf(stderr, "own-device: %s\n", err.msg);
        return stasis_err_exit_status(rc);
    }
    saved.fade_ms = 250;
    rc = write_first(&saved, &bytes, &len, &err);
    printf("refused: %s\n", err.msg);
    return rc == STASIS_ERR_VERSION ? 0 : 1;
}
