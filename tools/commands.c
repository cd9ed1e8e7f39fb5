/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The table of sub-commands.
 */
#include <string.h>

#include "tools/inspect.h"

static const struct stasis_inspect_option memory_options[] = {
    {"svg", "OUT", "draw it to this file too, as SVG"},
    {0},
};
static const struct stasis_inspect_option extract_options[] = {
    {"gpa", "ADDRESS", "guest physical address of the first byte: 0x100000, 1M"},
    {"len", "BYTES", "how many: 4096, 0x1000, 4K"},
    {"output", "OUT", "write to this file, which appears when it is whole", 'o'},
    {"force", NULL, "write to a terminal"},
    {0},
};
static const struct stasis_inspect_option core_options[] = {
    {"output", "OUT", "the core to write; it appears when it is whole", 'o'},
    {"user", NULL, "map the lower half of the first vCPU's addresses too"},
    {0},
};
static const struct stasis_inspect_option json_options[] = {
    {"json", NULL, "as JSON, for programs"},
    {0},
};
static const struct stasis_inspect_option migrate_options[] = {
    {"to", "RELEASE", "the release that is to read it, for example 0.1.0"},
    {"allow-loss", NULL, "leave out what that release cannot say, and list it"},
    {0},
};
static const struct stasis_inspect_option ring_options[] = {
    {"raw", NULL, "send control characters to a terminal too"},
    {0},
};

const struct stasis_inspect_command stasis_inspect_commands[] = {
    {"info", stasis_inspect_info, "FILE", 1, 1, "what a snapshot holds, for people"},
    {"json", stasis_inspect_json, "FILE", 1, 1, "all of it but RAM, for programs"},
    {"verify", stasis_inspect_verify, "FILE", 1, 1, "check every byte of a snapshot"},
    {"memory", stasis_inspect_memory, "FILE", 1, 1, "draw what is in RAM", memory_options},
    {"extract", stasis_inspect_extract, "FILE", 1, 1, "verified bytes of RAM, as they are",
     extract_options},
    {"core", stasis_inspect_core, "FILE", 1, 1, "an ELF core for gdb and crash", core_options},
    {"diff", stasis_inspect_diff, "A B", 2, 2, "what is different; exit status 0 same, 1 different",
     json_options},
    {"schema", stasis_inspect_schema, "[FILE]", 0, 1, "what the records of a snapshot are made of",
     json_options},
    {"migrate", stasis_inspect_migrate, "IN OUT", 2, 2, "a snapshot as another release writes it",
     migrate_options},
    {"ring", stasis_inspect_ring, "FILE", 1, 1, "print a ring file of vmm --serial out=ring:FILE",
     ring_options},
    {"help", stasis_inspect_help, "[COMMAND]", 0, 1, "this, or help on one command"},
    {"schema-markdown", stasis_inspect_schema_markdown, "", 0, 0,
     "field tables for docs/snapshot-format.md", NULL, true},
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
