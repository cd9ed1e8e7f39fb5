/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A snapshot as another release writes it. The old file is verified as `verify` does it, RAM is
 * loaded from it, verified where it lies, and saved from there, so that nobody who writes to the
 * old file meanwhile changes the new one, which appears when it is whole.
 */
#include <inttypes.h>
#include <sys/mman.h>

#include "stasis/migrate.h"
#include "stasis/ram.h"
#include "tools/guest_ram.h"
#include "tools/inspect.h"
#include "common/progress.h"

enum { OPTION_TO, OPTION_ALLOW_DROP };

struct migration {
    const struct stasis_release *release;
    struct stasis_output *output;
    struct stasis_snap *from;
    struct stasis_snap *to;
    struct stasis_ram *ram;
    void *hosts[STASIS_RAM_REGION_MAX];
    FILE *out;
    struct stasis_progress progress;
};

static int find_release(const char *name, const struct stasis_release **ret_release,
                        struct stasis_error *err)
{
    int rc = name ? stasis_release_get(name, ret_release, err)
                  : stasis_fail(err, STASIS_ERR_ARG, "missing; give a release, for example 0.1.0");

    return rc ? stasis_wrap(err, rc, "--to") : 0;
}

static void say_dropped(void *ctx, const char *what)
{
    struct migration *migration = ctx;

    fprintf(migration->out, "left out: %s\n", what);
}

/* What no release knows cannot be carried over: an unknown section may speak of places in the file
 * that change, an unknown feature of bytes that are left out. */
static int give_up(struct migration *migration, const char *what, bool allow_drop,
                   struct stasis_error *err)
{
    if (!allow_drop)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "written by %s: %s is unknown to this release and would be left out: "
                           "use the program that wrote it, or allow it to be dropped",
                           stasis_snap_info(migration->from)->producer, what);
    say_dropped(migration, what);
    return 0;
}

static int give_up_unknown(struct migration *migration, bool allow_drop, struct stasis_error *err)
{
    uint64_t features = stasis_snap_info(migration->from)->compatible;
    char what[80];
    int rc = 0;

    for (uint32_t i = 0; !rc && i < stasis_snap_unknown_count(migration->from); i++) {
        struct stasis_snap_section section = stasis_snap_unknown_at(migration->from, i);

        snprintf(what, sizeof(what), "the optional section of type %" PRIu32 " (%" PRIu64 " bytes)",
                 section.type, section.length);
        rc = give_up(migration, what, allow_drop, err);
    }
    for (; !rc && features; features &= features - 1) {
        snprintf(what, sizeof(what), "compatible feature bit %d", __builtin_ctzll(features));
        rc = give_up(migration, what, allow_drop, err);
    }
    return rc;
}

static int copy_notes(struct migration *migration, struct stasis_error *err)
{
    int rc = stasis_snap_read_notes(migration->from, err);

    return rc ? rc
              : stasis_notes_copy(stasis_snap_notes(migration->from),
                                  stasis_snap_notes(migration->to), err);
}

static int convert(struct migration *migration, bool allow_drop, struct stasis_error *err)
{
    const struct stasis_convert_opts opts = {
        .size = sizeof(opts), .allow_drop = allow_drop, .dropped = say_dropped, .ctx = migration};
    struct stasis_records *records;
    int rc = stasis_records_convert(stasis_snap_records(migration->from), migration->release, &opts,
                                    &records, err);

    if (rc)
        return rc;
    migration->to = stasis_snap_new(stasis_snap_info(migration->from)->arch);
    if (!migration->to) {
        stasis_records_free(records);
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the snapshot");
    }
    stasis_snap_set_records(migration->to, records);
    return copy_notes(migration, err);
}

/* Address space only: what the file stores is loaded into it, the rest stays untouched. */
static int map(struct migration *migration, struct stasis_error *err)
{
    for (uint32_t i = 0; i < stasis_snap_region_count(migration->from); i++) {
        struct stasis_snap_region region = stasis_snap_region_at(migration->from, i);
        void *host = mmap(NULL, region.size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        int rc;

        if (host == MAP_FAILED)
            return stasis_fail_errno(err, STASIS_ERR_NOMEM, "address space for %" PRIu64 " bytes",
                                     region.size);
        migration->hosts[i] = host;
        rc = stasis_snap_add_ram(migration->to, region.gpa, host, region.size, err);
        if (rc)
            return rc;
    }
    return 0;
}

static void unmap(struct migration *migration)
{
    for (uint32_t i = 0; i < stasis_snap_region_count(migration->from); i++) {
        if (migration->hosts[i])
            munmap(migration->hosts[i], stasis_snap_region_at(migration->from, i).size);
    }
}

/* Every byte: what stasis_ram_wait() leaves out are page masks, padding and sections. */
static int verify(struct migration *migration, struct stasis_error *err)
{
    int rc;

    stasis_progress_init(&migration->progress, STASIS_INSPECT_NAME ": verifying");
    rc = stasis_snap_verify(migration->from, 0, stasis_progress_show, &migration->progress, err);
    stasis_progress_clear(&migration->progress);
    return rc;
}

static int attach(struct migration *migration, struct stasis_error *err)
{
    const struct stasis_ram_opts opts = {.size = sizeof(opts),
                                         .mode = STASIS_RAM_COPY,
                                         .progress = stasis_progress_show,
                                         .ctx = &migration->progress};
    int rc;

    stasis_progress_init(&migration->progress, STASIS_INSPECT_NAME ": loading");
    rc = stasis_ram_attach(migration->from, migration->hosts, &opts, &migration->ram, err);
    stasis_progress_clear(&migration->progress);
    return rc ? rc : stasis_ram_wait(migration->ram, err);
}

static int save(struct migration *migration, struct stasis_error *err)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts),
                                          .format_version = migration->release->format_version,
                                          .zlib_level =
                                              stasis_inspect_is_compressed(migration->from),
                                          .progress = stasis_progress_show,
                                          .ctx = &migration->progress};
    struct stasis_save_stats stats;
    int rc;

    stasis_progress_init(&migration->progress, STASIS_INSPECT_NAME ": saving");
    rc = stasis_snap_save_output(migration->to, migration->output, &opts, &stats, err);
    stasis_progress_clear(&migration->progress);
    if (!rc)
        fprintf(migration->out, "%s: %" PRIu64 " bytes\n", stasis_output_path(migration->output),
                stats.file_bytes);
    return rc;
}

static void fini(struct migration *migration)
{
    stasis_output_close(migration->output);
    stasis_ram_free(migration->ram);
    unmap(migration);
    stasis_snap_free(migration->to);
    stasis_snap_free(migration->from);
}

/* Reads the whole of IN, so that nothing but the saving can fail after it. */
static int prepare(struct migration *migration, const struct stasis_inspect_args *args,
                   struct stasis_error *err)
{
    bool allow_drop = args->values[OPTION_ALLOW_DROP];
    int rc = verify(migration, err); /* names the file itself, as attach() does */

    if (rc)
        return rc;
    rc = give_up_unknown(migration, allow_drop, err);
    if (!rc)
        rc = convert(migration, allow_drop, err);
    if (!rc)
        rc = map(migration, err);
    return rc ? stasis_wrap(err, rc, "%s", args->operands[0]) : attach(migration, err);
}

int stasis_inspect_migrate(const struct stasis_inspect_args *args, FILE *out,
                           struct stasis_error *err)
{
    struct migration migration = {.out = out};
    int rc = find_release(args->values[OPTION_TO], &migration.release, err);

    if (rc)
        return rc;
    rc = stasis_inspect_open(args, args->operands[0], &migration.from, err);
    if (rc)
        return rc;
    rc = stasis_inspect_open_copy(args->outputs, migration.from, args->operands[1],
                                  &migration.output, err);
    if (!rc)
        rc = prepare(&migration, args, err);
    if (!rc)
        rc = save(&migration, err);
    fini(&migration);
    return rc;
}
