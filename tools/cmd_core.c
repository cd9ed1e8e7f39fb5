/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A snapshot as an ELF core for gdb and crash.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/state.h"
#include "tools/core.h"
#include "tools/inspect.h"
#include "tools/picture.h"
#include "common/progress.h"
#include "tools/text.h"

enum { OPTION_OUTPUT, OPTION_USER };

struct core {
    struct stasis_snap *snap;
    struct stasis_inspect_ram ram;
    struct stasis_paging paging;
    struct stasis_output *file;
    struct stasis_core_cpus cpus;
    bool has_info;
    struct stasis_vmcoreinfo info;
};

static int copy_ram(struct core *core, struct stasis_error *err)
{
    struct stasis_progress progress;
    int rc;

    stasis_progress_init(&progress, "copying RAM");
    rc = stasis_core_put_ram(&core->ram, core->file, stasis_progress_show, &progress,
                             &core->has_info, &core->info, err);
    stasis_progress_clear(&progress);
    return rc;
}

/* The tables of the vCPUs; and Linux's own, since a vCPU that runs a process may, against Meltdown,
 * have tables without the kernel. */
static int map(struct core *core, bool user, struct stasis_error *err)
{
    int rc =
        stasis_core_map(stasis_snap_records(core->snap), user, &core->paging, &core->cpus, err);

    if (!rc && core->has_info && core->cpus.paged)
        rc = stasis_paging_walk(&core->paging, core->info.page_tables, core->info.levels,
                                STASIS_PAGING_UPPER, err);
    if (!rc)
        stasis_paging_sort(&core->paging);
    return rc;
}

static int put_headers(struct core *core, struct stasis_error *err)
{
    char *notes = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&notes, &len);
    int rc;

    if (!out)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the notes");
    stasis_core_notes(stasis_snap_records(core->snap), core->has_info ? &core->info : NULL, out);
    if (fclose(out))
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the notes");
    else
        rc = stasis_core_put_headers(&core->paging, core->cpus.paged, notes, len, core->file, err);
    free(notes);
    return rc;
}

static void print_linux(const struct core *core, const char *path, FILE *out)
{
    fprintf(out, "Linux %s, ", core->info.release);
    if (!core->info.kaslr) {
        fputs("at the addresses it was linked to: gdb vmlinux ", out);
        stasis_text_put(out, path);
    } else {
        fprintf(out,
                "moved by 0x%" PRIx64 " (KASLR): gdb -ex 'symbol-file -o 0x%" PRIx64
                " vmlinux' -c ",
                core->info.kaslr, core->info.kaslr);
        stasis_text_put(out, path);
    }
    fputs("; crash vmlinux ", out);
    stasis_text_put(out, path);
    fputc('\n', out);
}

static void report(const struct core *core, const char *path, FILE *out)
{
    const struct stasis_core_cpus *cpus = &core->cpus;
    char ram[STASIS_TEXT_MAX];
    char copied[STASIS_TEXT_MAX];
    struct stasis_picture_tally tallies[STASIS_PICTURE_KINDS];
    uint64_t bytes = stasis_snap_info(core->snap)->ram_bytes;

    stasis_picture_count(core->snap, tallies);
    stasis_text_size(bytes, ram);
    stasis_text_size(bytes - tallies[STASIS_PICTURE_ZERO].bytes, copied);
    stasis_text_put(out, path);
    fprintf(out,
            ": ELF core, %zu vCPU%s, %s of RAM (%s not zero), %zu range%s of virtual addresses%s\n",
            cpus->count, cpus->count == 1 ? "" : "s", ram, copied, core->paging.count,
            core->paging.count == 1 ? "" : "s",
            core->paging.full ? " (there are more, which are left out)" : "");
    if (cpus->paged)
        fprintf(out, "physical address A is at 0x%" PRIx64 " + A\n", STASIS_CORE_PHYSICAL);
    else
        fprintf(out, "addresses are physical%s\n",
                cpus->others ? ": 32-bit paging is not followed" : "");
    if (core->has_info)
        print_linux(core, path, out);
}

static int write_core(struct core *core, struct stasis_outputs *outputs, const char *path,
                      bool user, struct stasis_error *err)
{
    int rc = stasis_inspect_ram_init(&core->ram, core->snap, err);

    if (!rc)
        rc = stasis_paging_init(&core->paging, &core->ram, err);
    if (!rc)
        rc = stasis_inspect_create(outputs, path, &core->file, err);
    if (!rc)
        rc = copy_ram(core, err);
    if (!rc)
        rc = map(core, user, err);
    if (!rc)
        rc = put_headers(core, err);
    if (!rc)
        rc = stasis_inspect_finish(core->file, stasis_core_len(core->snap), err);
    return rc;
}

/* A vCPU that cannot be read would be missing from the core without a word. */
static int check_vcpus(struct stasis_snap *snap, struct stasis_error *err)
{
    static const struct stasis_schema *const needed[] = {
        &stasis_x86_regs_schema, &stasis_x86_sregs_schema, &stasis_x86_xsave_schema};
    const struct stasis_records *records = stasis_snap_records(snap);

    for (size_t i = 0; i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);

        for (size_t k = 0; k < sizeof(needed) / sizeof(needed[0]); k++)
            if (stasis_inspect_is_unknown(&record) && !strcmp(record.type, needed[k]->type))
                return stasis_fail(err, STASIS_ERR_VERSION,
                                   "%s: written by %s: record %s %s is of version %" PRIu32
                                   ", this release reads up to %u",
                                   stasis_snap_name(snap), stasis_snap_info(snap)->producer,
                                   record.type, record.instance, record.version,
                                   needed[k]->version);
    }
    return 0;
}

int stasis_inspect_core(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err)
{
    struct core *core = calloc(1, sizeof(*core));
    const char *path = args->values[OPTION_OUTPUT];
    int rc;

    if (!core)
        return stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");
    if (!path)
        rc = stasis_fail(err, STASIS_ERR_ARG, "core: -o is missing: name the core to write");
    else
        rc = stasis_inspect_open_any(args, args->operands[0], &core->snap, err);
    if (!rc && stasis_snap_info(core->snap)->arch != STASIS_ARCH_X86_64)
        rc = stasis_fail(err, STASIS_ERR_ARG, "%s: cores are made of x86_64 guests only",
                         args->operands[0]);
    if (!rc)
        rc = check_vcpus(core->snap, err);
    if (!rc)
        rc = write_core(core, args->outputs, path, args->values[OPTION_USER], err);
    if (!rc)
        report(core, path, out);
    stasis_output_close(core->file);
    stasis_paging_fini(&core->paging);
    stasis_inspect_ram_fini(&core->ram);
    stasis_snap_free(core->snap);
    free(core);
    return rc;
}
