/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The table of sub-commands.
 */
#include <string.h>

#include "tools/inspect.h"

/* Of every command that reads the RAM of a layer. */
#define LAYERS_OPTION                                                                              \
    {                                                                                              \
        "layers", "DIR", "look for the files that a layer lies on in this folder"                  \
    }

static const struct stasis_inspect_option chain_options[] = {
    LAYERS_OPTION,
    {0},
};
static const struct stasis_inspect_option flatten_options[] = {
    LAYERS_OPTION,
    {"base", "IMAGE", "of an overlay: the raw image at the lowest end"},
    {"allow-changed", NULL, "take this image, although it is another one, or was written to"},
    {0},
};
static const struct stasis_inspect_option layers_options[] = {
    {"json", NULL, "print JSON"},
    {"svg", "OUT", "also draw the tree to this file, as SVG"},
    LAYERS_OPTION,
    {0},
};
static const struct stasis_inspect_option memory_options[] = {
    {"svg", "OUT", "also draw it to this file, as SVG"},
    LAYERS_OPTION,
    {0},
};
static const struct stasis_inspect_option extract_options[] = {
    {"gpa", "ADDRESS", "guest physical address of the first byte, for example 0x100000 or 1M",
     .required = true},
    {"len", "BYTES", "number of bytes, for example 4096, 0x1000 or 4K", .required = true},
    {"output", "OUT", "write to this file; it is created when it is complete", 'o'},
    {"force", NULL, "write even if standard output is a terminal"},
    LAYERS_OPTION,
    {0},
};
static const struct stasis_inspect_option core_options[] = {
    {"output", "OUT", "the core file to write; it is created when it is complete", 'o', true},
    {"user", NULL, "also map the lower half of the first vCPU's address space"},
    LAYERS_OPTION,
    {0},
};
static const struct stasis_inspect_option json_options[] = {
    {"json", NULL, "print JSON"},
    {0},
};
static const struct stasis_inspect_option diff_options[] = {
    {"json", NULL, "print JSON"},
    LAYERS_OPTION,
    {0},
};
static const struct stasis_inspect_option migrate_options[] = {
    {"to", "RELEASE", "the release that is to read OUT, for example 0.1.0", .required = true},
    {"allow-drop", NULL, "leave out what that release cannot represent, and list it"},
    LAYERS_OPTION,
    {0},
};
static const struct stasis_inspect_option report_options[] = {
    {"output", "OUT", "the HTML file to write; it is created when it is complete", 'o', true},
    LAYERS_OPTION,
    {0},
};
static const struct stasis_inspect_option ring_options[] = {
    {"raw", NULL, "do not escape control characters on a terminal"},
    {0},
};

const struct stasis_inspect_command stasis_inspect_commands[] = {
    {"info", stasis_inspect_info, "FILE...", 1, SIZE_MAX, "print a summary of a snapshot",
     chain_options},
    {"json", stasis_inspect_json, "FILE", 1, 1, "print everything except memory as JSON"},
    {"verify", stasis_inspect_verify, "FILE...", 1, SIZE_MAX, "check every byte of a snapshot",
     chain_options},
    {"requires", stasis_inspect_requires, "FILE", 1, 1, "list what a host needs to thaw a snapshot",
     json_options},
    {"memory", stasis_inspect_memory, "FILE [NEWER]", 1, 2,
     "draw a map of the memory, or of what changed in it", memory_options},
    {"extract", stasis_inspect_extract, "FILE", 1, 1, "write a range of memory, verified",
     extract_options},
    {"core", stasis_inspect_core, "FILE", 1, 1, "write an ELF core for gdb and crash",
     core_options},
    {"diff", stasis_inspect_diff, "A B", 2, 2,
     "compare two snapshots; exit status 0 equal, 1 different", diff_options},
    {"report", stasis_inspect_report, "A [B]", 1, 2,
     "write a page about a snapshot, or about two and what differs", report_options},
    {"schema", stasis_inspect_schema, "[FILE]", 0, 1, "print the fields of each record type",
     json_options},
    {"migrate", stasis_inspect_migrate, "IN OUT", 2, 2, "write a snapshot for another release",
     migrate_options},
    {"layers", stasis_inspect_layers, "FILE...", 1, SIZE_MAX,
     "show which snapshot or disk lies on which, and what it takes from it", layers_options},
    {"flatten", stasis_inspect_flatten, "IN OUT", 2, 2,
     "write one file of a layer, or of an overlay's disk, and what it lies on", flatten_options},
    {"ring", stasis_inspect_ring, "FILE", 1, 1, "print a ring file of vmm --serial out=ring:FILE",
     ring_options},
    {"help", stasis_inspect_help, "[COMMAND]", 0, 1, "print this help, or help on one command"},
    {"schema-markdown", stasis_inspect_schema_markdown, "", 0, 0,
     "print the field tables of docs/snapshot-format.md", NULL, true},
    {0},
};

const struct stasis_inspect_command *stasis_inspect_find(const char *name)
{
    for (const struct stasis_inspect_command *row = stasis_inspect_commands; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

int stasis_inspect_unknown(const char *name, struct stasis_error *err)
{
    char known[200] = "";
    size_t used = 0;

    for (const struct stasis_inspect_command *row = stasis_inspect_commands; row->name; row++)
        if (!row->hidden && used < sizeof(known))
            used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "",
                                     row->name);
    return stasis_fail(err, STASIS_ERR_ARG, "%.60s is not a command; there are %s", name, known);
}
