/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Records between releases. Reading needs nothing of this: every older version of a record is read
 * by stasis_records_get(), for ever. This is for writing what an older release reads.
 *
 * Threads: all functions are pure; a set may be read by many threads at once.
 */
#ifndef STASIS_MIGRATE_H
#define STASIS_MIGRATE_H

#include "stasis/ser.h"

STASIS_BEGIN_DECLS

#define STASIS_RELEASE_NAME_MAX 63 /* bytes of the name of a program's release */

/* What a release knows of one record type. */
struct stasis_release_record {
    const char *type;
    uint16_t version;   /* of the record */
    uint16_t behaviour; /* newest of the device that the type names; 0: it names no device */
};

struct stasis_release {
    const char *name;                            /* "0.1.0" */
    uint32_t vcpus;                              /* most it runs */
    const struct stasis_release_record *records; /* ascending by type */
    size_t record_count;
    /* The release of Stasis whose CPU models it knows, and none that a later one added
     * (stasis/cpu_models.h); NULL: all. It outlives this one. */
    const char *cpu_models;
    uint32_t format_version; /* newest of the file that it reads; 0: the newest there is */
};

/* Every release that was made, oldest first. */
STASIS_EXPORT const struct stasis_release *stasis_release_all(size_t *ret_count);

/* The release of that name. STASIS_ERR_ARG names those there are. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_release_get(const char *name,
                                                       const struct stasis_release **ret_release,
                                                       struct stasis_error *err);

/* A release of another program, in *ret_release, which is the caller's to free: it knows the
 * records of `base` (the release of Stasis that it was built on; NULL: none) and `count` types of
 * its own, in any order. It runs as many vCPUs as `base`, the same CPU models, and reads the same
 * format version; without one any. Everything is copied. STASIS_ERR_ARG: the name is not 1 to 63
 * printable characters, an own type is no type, has version 0, or is known already; the message
 * names it. STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_release_new(const char *name, const struct stasis_release *base,
                   const struct stasis_release_record *own, size_t count,
                   struct stasis_release **ret_release, struct stasis_error *err);

/* Frees what stasis_release_new() made; NULL is allowed. */
STASIS_EXPORT void stasis_release_free(struct stasis_release *release);

/* What the release knows of a type, or NULL. */
STASIS_EXPORT const struct stasis_release_record *
stasis_release_record_find(const struct stasis_release *release, const char *type);

struct stasis_convert_opts {
    size_t size; /* sizeof(struct stasis_convert_opts): lets the struct grow */
    /* Instead of refusing, leave out what the release lacks. `dropped` (may be NULL) is called for
     * each piece: one line without a newline, which lives as long as the call. */
    bool allow_drop;
    void (*dropped)(void *ctx, const char *what);
    void *ctx;
};

/* The same records as that release writes them, in *ret_set, which is the caller's to free. A
 * field, record or device that the release lacks must hold its default or be absent, else
 * STASIS_ERR_VERSION names it and its value; more vCPUs than it runs are never allowed. Records of
 * a type that this program does not know are kept as they are if they are optional, else refused.
 * opts may be NULL. STASIS_ERR_CORRUPT, STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_records_convert(const struct stasis_records *set,
                                                           const struct stasis_release *release,
                                                           const struct stasis_convert_opts *opts,
                                                           struct stasis_records **ret_set,
                                                           struct stasis_error *err);

STASIS_END_DECLS

#endif
