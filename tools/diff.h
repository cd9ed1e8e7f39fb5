/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is different in two snapshots, told piece by piece to somebody who prints it.
 */
#ifndef STASIS_TOOLS_DIFF_H
#define STASIS_TOOLS_DIFF_H

#include "stasis/snap.h"
#include "tools/fields.h"

enum stasis_diff_where { STASIS_DIFF_BOTH, STASIS_DIFF_ONLY_A, STASIS_DIFF_ONLY_B };

/* A record, of both snapshots or of one; `a` or `b` is not set if the record is not there. */
struct stasis_diff_record {
    enum stasis_diff_where where;
    struct stasis_record a;
    struct stasis_record b;
};

/* Who prints. Both name what they are told; RAM comes as ranges of pages, ascending. */
struct stasis_diff_out {
    /* A record that is different: its fields, if a schema describes each side, then the end. */
    void (*record_begin)(void *ctx, const struct stasis_diff_record *record);
    stasis_fields_fn *field;
    void (*record_end)(void *ctx);
    void (*range)(void *ctx, uint64_t gpa, uint64_t size, enum stasis_diff_where where);
    /* A note that is different; NULL: the side does not have it. */
    void (*note)(void *ctx, const char *key, const char *a, const char *b);
    void *ctx;
    /* May be NULL: how many bytes of RAM have been compared. False cancels. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
};

struct stasis_diff_counts {
    size_t notes;          /* keys of both or either */
    size_t notes_differ;   /* of them, those of one only included */
    size_t records;        /* of both or either */
    size_t records_differ; /* of them, those of one only included */
    uint64_t pages;        /* of RAM that both have */
    uint64_t pages_differ;
    uint64_t pages_only[2];
};

/* Whether a schema says what is in the record, on the sides that have it. */
bool stasis_diff_is_described(const struct stasis_diff_record *record);

/* Adds to *counts. */
void stasis_diff_notes(const struct stasis_notes *a, const struct stasis_notes *b,
                       const struct stasis_diff_out *out, struct stasis_diff_counts *counts);

/* The same. The errors of reading, and STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_diff_records(struct stasis_snap *a, struct stasis_snap *b,
                                          const struct stasis_diff_out *out,
                                          struct stasis_diff_counts *counts,
                                          struct stasis_error *err);
STASIS_MUST_CHECK int stasis_diff_ram(const struct stasis_snap *a, const struct stasis_snap *b,
                                      const struct stasis_diff_out *out,
                                      struct stasis_diff_counts *counts, struct stasis_error *err);

/* The two who print. `names` are the files, as people called them; a printer is used once. */
struct stasis_diff_text {
    FILE *out;
    const char *names[2];
    enum stasis_diff_where where; /* of the record at hand */
    const char *type;
    bool described;
    uint64_t ranges; /* told so far */
    uint64_t left_out_pages;
};

void stasis_diff_text_init(struct stasis_diff_text *text, FILE *out, const char *const names[2],
                           struct stasis_diff_out *ret_out);
void stasis_diff_text_arch(const struct stasis_diff_text *text, uint32_t a, uint32_t b);
void stasis_diff_text_end(const struct stasis_diff_text *text,
                          const struct stasis_diff_counts *counts, bool differs);

/* All of it, as `diff` prints it, for snapshots whose notes have been read. The errors of the three
 * above. */
STASIS_MUST_CHECK int stasis_diff_print_text(struct stasis_snap *const snaps[2],
                                             const char *const names[2], FILE *out,
                                             bool *ret_differs, struct stasis_error *err);

struct stasis_diff_json {
    struct stasis_json json;
    const char *type; /* of the record */
};

void stasis_diff_json_init(struct stasis_diff_json *diff, FILE *out,
                           struct stasis_diff_out *ret_out);
void stasis_diff_json_header(struct stasis_json *json, const struct stasis_snap_info *a,
                             const struct stasis_snap_info *b);

#endif
