/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every CRC and every invariant. Opening checks header, index and state; the rest is RAM, sections
 * that this release does not know, and the bytes that nothing owns.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/progress.h"
#include "common/x86_lint.h"
#include "tools/disk.h"
#include "tools/each.h"
#include "tools/text.h"
#include "tools/vcpus.h"
#include "tools/virtio.h"

static int check(struct stasis_snap *snap, struct stasis_error *err)
{
    struct stasis_progress progress;
    int rc;

    stasis_progress_init(&progress, "verifying");
    rc = stasis_snap_verify(snap, 0, stasis_progress_show, &progress, err);
    stasis_progress_clear(&progress);
    return rc;
}

static void report(FILE *out, const char *file, struct stasis_snap *snap)
{
    const struct stasis_snap_info *info = stasis_snap_info(snap);
    uint64_t chunks = stasis_snap_chunk_count(snap);
    uint64_t stored = 0;

    for (uint64_t i = 0; i < chunks; i = stasis_snap_run_end(snap, i, chunks))
        stored += stasis_snap_chunk_at(snap, i).stored_len != 0;
    stasis_text_put(out, file);
    fprintf(out,
            ": whole; checked header, state (records %zu), index (chunks %" PRIu64
            "), data (chunks stored %" PRIu64 ", bytes %" PRIu64 ") and padding: %" PRIu64
            " bytes in all",
            stasis_records_count(stasis_snap_records(snap)), chunks, stored, info->stored_bytes,
            info->file_len);
    if (info->layer)
        fprintf(out, "; and all memory, files %" PRIu32, stasis_snap_file_count(snap));
    fputc('\n', out);
}

/* What they mean is for the release that wrote them to check. */
static void report_unknown(FILE *out, struct stasis_snap *snap)
{
    const struct stasis_records *records = stasis_snap_records(snap);

    for (size_t i = 0; i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);

        if (!stasis_inspect_is_unknown(&record))
            continue;
        fputs("unknown to this release, checked for its form only: ", out);
        stasis_inspect_put_record(out, &record);
        fputs(record.schema ? " (as its schema in the file says)\n"
                            : " (no schema in the file describes it)\n",
              out);
    }
}

/* ---- states that no CPU can be in ---- */

struct vcpu {
    FILE *out;
    const char *name;
};

static void put_lint(void *opaque, const struct stasis_x86_lint *lint)
{
    const struct vcpu *vcpu = opaque;

    fprintf(vcpu->out, "%s: vCPU %s: %s (%s)%s\n", lint->is_error ? "impossible state" : "warning",
            vcpu->name, lint->text, lint->section, lint->is_error ? "; vmm refuses the guest" : "");
}

struct vcpu_records {
    struct stasis_x86_regs_state regs;
    struct stasis_x86_sregs_state sregs;
    struct stasis_x86_lapic_state lapic;
    struct stasis_x86_mp_state_state mp_state;
    struct stasis_x86_events_state events;
    struct stasis_x86_xcrs_state xcrs;
    struct stasis_x86_xsave_state xsave;
    struct stasis_x86_debugregs_state debugregs;
};

static void lint_vcpu(FILE *out, const struct stasis_records *records, const char *name,
                      struct vcpu_records *own)
{
    struct vcpu vcpu = {.out = out, .name = name};
    struct stasis_x86_vcpu_states states = {0};

#define GET(part)                                                                                  \
    do {                                                                                           \
        if (!stasis_records_get(records, &stasis_x86_##part##_schema, name, &own->part, NULL))     \
            states.part = &own->part;                                                              \
    } while (0)
    GET(regs);
    GET(sregs);
    GET(lapic);
    GET(mp_state);
    GET(events);
    GET(xcrs);
    GET(xsave);
    GET(debugregs);
#undef GET
    stasis_x86_lint(&states, put_lint, &vcpu);
}

/* They do not change the verdict: the file is whole, and only the guest is none. */
static int report_vcpus(FILE *out, struct stasis_snap *snap, struct stasis_error *err)
{
    const struct stasis_records *records = stasis_snap_records(snap);
    struct vcpu_records *own = malloc(sizeof(*own));
    const char *name = NULL;

    if (!own)
        return stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");
    while ((name = stasis_vcpus_next(records, name)))
        lint_vcpu(out, records, name, own);
    free(own);
    return 0;
}

/* ---- the verdict ---- */

/* A file may be whole and yet none that this release can thaw: read as a restore reads it, it is
 * refused in the same words. This is the verdict; what is found in RAM, sections and padding comes
 * after it. */
static int check_readable(struct stasis_snap *snap, struct stasis_error *err)
{
    struct stasis_records *strict = NULL;
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = stasis_records_encode(stasis_snap_records(snap), &bytes, &len, err);

    if (!rc)
        rc = stasis_records_parse(bytes, len, NULL, &strict, err);
    stasis_records_free(strict);
    free(bytes);
    return rc ? stasis_wrap(err, rc, "%s: written by %s", stasis_snap_name(snap),
                            stasis_snap_info(snap)->producer)
              : 0;
}

/* A file that this release cannot read may be damaged as well. */
static void report_damage(FILE *out, const struct stasis_error *damage)
{
    stasis_text_put(out, damage->msg);
    fputc('\n', out);
}

static int verify(const char *file, struct stasis_snap *snap, FILE *out, struct stasis_error *err)
{
    int unreadable = check_readable(snap, err);
    struct stasis_error damage;
    int rc = check(snap, &damage);

    if (!rc) {
        report(out, file, snap);
        report_unknown(out, snap);
        rc = report_vcpus(out, snap, err);
        if (!rc)
            rc = stasis_inspect_virtio_report(out, snap, err);
        return unreadable ? unreadable : rc;
    }
    if (unreadable)
        report_damage(out, &damage);
    else
        *err = damage;
    return unreadable ? unreadable : rc;
}

static int verify_file(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err)
{
    struct stasis_snap *snap;
    int rc;

    if (stasis_overlay_is_at(args->operands[0]))
        return stasis_disk_verify(args, out, err);
    rc = stasis_inspect_open_tolerant(args, args->operands[0], &snap, err);
    if (rc)
        return rc;
    rc = verify(args->operands[0], snap, out, err);
    stasis_snap_free(snap);
    return rc;
}

int stasis_inspect_verify(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err)
{
    return args->operand_count == 1 ? verify_file(args, out, err)
                                    : stasis_inspect_each(args, verify_file, "whole", out, err);
}
