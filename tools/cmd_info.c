/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A summary for people, from header, index and state: RAM is not read.
 */
#include "tools/cmd_info.h"

#include <inttypes.h>
#include <time.h>

#include "stasis/state.h"
#include "tools/disk.h"
#include "tools/each.h"
#include "tools/picture.h"
#include "tools/text.h"

static void label(FILE *out, const char *name)
{
    fprintf(out, "  %-12s", name);
}

/* The state says when the guest stopped; the header, a moment later, is for files without one. */
static void print_times(FILE *out, const struct stasis_snap_info *info,
                        const struct stasis_machine_state *machine)
{
    uint64_t then_ns = machine ? machine->frozen_realtime_ns : info->created_ns;
    char when[STASIS_TEXT_MAX];
    char age[STASIS_TEXT_MAX];
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    stasis_text_time(then_ns, when);
    stasis_text_age(then_ns, (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec,
                    age);
    label(out, "frozen");
    fprintf(out, "%s, %s\n", when, age);
}

static void print_notes(FILE *out, const struct stasis_notes *notes)
{
    for (size_t i = 0; i < stasis_notes_count(notes); i++) {
        label(out, i ? "" : "notes");
        fprintf(out, "%s=", stasis_notes_at(notes, i).key);
        stasis_text_put(out, stasis_notes_at(notes, i).value);
        fputc('\n', out);
    }
}

static void print_machine(FILE *out, const struct stasis_machine_state *machine)
{
    label(out, "generation");
    fprintf(out, "%" PRIu64 " (times it was frozen before)\n", machine->generation);
    label(out, "host");
    stasis_text_put(out, machine->host_kernel[0] ? machine->host_kernel : "unknown kernel");
    fputs(", ", out);
    stasis_text_put(out, machine->host_cpu[0] ? machine->host_cpu : "unknown CPU");
    fputc('\n', out);
}

static void print_memory(FILE *out, const struct stasis_snap *snap)
{
    const struct stasis_snap_info *info = stasis_snap_info(snap);
    uint32_t regions = stasis_snap_region_count(snap);
    struct stasis_picture_tally tallies[STASIS_PICTURE_KINDS];
    const struct stasis_picture_tally *packed = &tallies[STASIS_PICTURE_COMPRESSED];
    char text[STASIS_TEXT_MAX];

    stasis_picture_count(snap, tallies);
    label(out, "memory");
    stasis_text_size(info->ram_bytes, text);
    fprintf(out, "%s in %" PRIu32 " region%s: ", text, regions, regions == 1 ? "" : "s");
    stasis_text_size(tallies[STASIS_PICTURE_STORED].bytes, text);
    fprintf(out, "%s stored, ", text);
    if (packed->chunks) {
        stasis_text_size(packed->bytes, text);
        fprintf(out, "%s compressed to ", text);
        stasis_text_size(packed->in_file, text);
        fprintf(out, "%s, ", text);
    }
    stasis_text_size(tallies[STASIS_PICTURE_ZERO].bytes, text);
    fprintf(out, "%s zero\n", text);
}

static void print_file_size(FILE *out, const struct stasis_snap_info *info)
{
    char text[STASIS_TEXT_MAX];

    label(out, "file");
    stasis_text_size(info->file_len, text);
    fprintf(out, "%s%s\n", text, info->streamed ? ", streamed" : "");
}

static void print_records(FILE *out, const struct stasis_records *records)
{
    size_t count = stasis_records_count(records);
    size_t unknown = stasis_inspect_unknown_count(records);

    label(out, "state");
    fprintf(out, "%zu record%s", count, count == 1 ? "" : "s");
    if (unknown)
        fprintf(out, ", %zu unknown to this release", unknown);
    fputc('\n', out);
}

/* What the root stands for depends on it whether there are digests. */
static void print_root(FILE *out, const struct stasis_snap_info *info)
{
    char root[STASIS_TEXT_MAX];

    stasis_text_root(info->root, root);
    label(out, "root");
    fprintf(out, "%s, %s\n", root, info->digests ? "SHA-256" : "of checksums");
}

static void print_summary(FILE *out, const struct stasis_inspect_args *args,
                          struct stasis_snap *snap)
{
    const struct stasis_snap_info *info = stasis_snap_info(snap);
    const struct stasis_records *records = stasis_snap_records(snap);
    struct stasis_machine_state machine;
    char uuid[STASIS_TEXT_MAX];
    char arch[STASIS_TEXT_MAX];
    bool has_machine = !stasis_records_get(records, &stasis_machine_schema, NULL, &machine, NULL);

    stasis_text_uuid(info->uuid, uuid);
    stasis_text_arch(info->arch, arch);
    label(out, "producer");
    stasis_text_put(out, info->producer);
    fprintf(out, ", format %" PRIu32 ", architecture %s\n", info->format_version, arch);
    print_times(out, info, has_machine ? &machine : NULL);
    label(out, "UUID");
    fprintf(out, "%s\n", uuid);
    if (info->format_version > 1)
        print_root(out, info);
    if (info->layer)
        stasis_inspect_info_parent(out, info);
    print_notes(out, stasis_snap_notes(snap));
    if (has_machine)
        print_machine(out, &machine);
    if (info->layer)
        stasis_inspect_info_layer_sizes(out, snap);
    else
        print_memory(out, snap);
    print_file_size(out, info);
    if (info->layer)
        stasis_inspect_info_below(out, args);
    print_records(out, records);
}

static int print_all(FILE *out, const struct stasis_inspect_args *args, struct stasis_snap *snap,
                     struct stasis_error *err)
{
    stasis_text_put(out, args->operands[0]);
    fprintf(out, ": a Stasis snapshot%s\n", stasis_snap_info(snap)->layer ? ", a layer" : "");
    print_summary(out, args, snap);
    stasis_inspect_info_vcpus(out, stasis_snap_records(snap));
    stasis_inspect_info_board(out, stasis_snap_records(snap));
    return stasis_inspect_info_unknown(out, snap, err);
}

/* "2026-01-31 12:34:56 UTC, generation 2, 256 MiB of memory, 40 MiB stored, by stasis 0.1.0" */
static int print_line(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err)
{
    struct stasis_snap *snap;
    const struct stasis_snap_info *info;
    struct stasis_machine_state machine = {0};
    char when[STASIS_TEXT_MAX], size[STASIS_TEXT_MAX], stored[STASIS_TEXT_MAX];
    int rc;

    if (stasis_overlay_is_at(args->operands[0]))
        return stasis_disk_print_line(args, out, err);
    rc = stasis_inspect_open_any_alone(args, args->operands[0], &snap, err);
    if (rc)
        return rc;
    info = stasis_snap_info(snap);
    rc =
        stasis_records_get(stasis_snap_records(snap), &stasis_machine_schema, NULL, &machine, NULL);
    stasis_text_time(rc ? info->created_ns : machine.frozen_realtime_ns, when);
    stasis_text_size(info->ram_bytes, size);
    stasis_text_size(info->stored_bytes, stored);
    stasis_text_put(out, args->operands[0]);
    fprintf(out, ": frozen %s, generation %" PRIu64 ", %s of memory, %s stored, by ", when,
            machine.generation, size, stored);
    stasis_text_put(out, info->producer);
    fputc('\n', out);
    stasis_snap_free(snap);
    return 0;
}

static int print_file(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err)
{
    struct stasis_snap *snap;
    int rc;

    if (stasis_overlay_is_at(args->operands[0]))
        return stasis_disk_print(args, out, err);
    rc = stasis_inspect_open_any_alone(args, args->operands[0], &snap, err);
    if (rc)
        return rc;
    rc = stasis_inspect_read_notes(snap, err);
    if (!rc)
        rc = print_all(out, args, snap, err);
    stasis_snap_free(snap);
    return rc;
}

int stasis_inspect_info(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err)
{
    return args->operand_count == 1 ? print_file(args, out, err)
                                    : stasis_inspect_each(args, print_line, "readable", out, err);
}
