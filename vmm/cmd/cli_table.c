/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The options of the program alone. Those of its VM are in vmm/api/config_table.c.
 */
#include "vmm/cmd/cli_internal.h"

#include <assert.h>
#include <stddef.h>

#include "stasis_options.h"

#define AT(member) offsetof(struct stasis_options, member)

static_assert(sizeof(enum stasis_cli_dry_run) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_confine_mode) == sizeof(unsigned), "enum size");
static_assert(STASIS_CLI_COUNT <= 32, "sets of options fit 32 bits");

/* In the order of enum stasis_cli_dry_run. */
static const char *const format_words[] = {"text", "json", NULL};

static const struct stasis_option_key config_keys[] = {
    {"path", STASIS_OPTION_TEXT, AT(config_path), "FILE", "give the name of a file"},
    {0},
};

static const struct stasis_option_key dry_run_keys[] = {
    {"format", STASIS_OPTION_WORD, AT(dry_run_format), "text|json",
     "give text or json; the snapshot goes to --restore", .words = format_words},
    {0},
};

static const struct stasis_option_key control_keys[] = {
    {"path", STASIS_OPTION_TEXT, AT(control.path), "SOCK", "give the name of a socket"},
    {"dir", STASIS_OPTION_TEXT, AT(control.dir), "FOLDER", "give the name of a folder"},
    {0},
};

/* In the order of enum stasis_confine_mode. */
static const char *const sandbox_words[] = {"on", "off", "require", NULL};

static const struct stasis_option_key sandbox_keys[] = {
    {"mode", STASIS_OPTION_WORD, AT(sandbox), "on|off|require", "give on, off or require",
     .words = sandbox_words},
    {0},
};

static const struct stasis_option own_options[STASIS_CLI_COUNT - STASIS_CONFIG_COUNT] = {
    {"config", config_keys,
     "Take options from FILE, which is JSON. Those of the command line win,\n"
     "key by key.\n",
     "The program:", .absent = STASIS_WITH_JSON ? NULL : "STASIS_JSON"},
    {"print-config", NULL,
     "Only write the options, with defaults, to standard output as JSON for\n"
     "--config.\n",
     .flag = AT(print_config)},
    {"dry-run", dry_run_keys,
     "With --restore: only say whether the guest would be thawed here, and\n"
     "if not, all reasons, on standard output, as text (default) or JSON.\n",
     .is_whole = true},
    {"control", control_keys,
     "Listen on the Unix socket SOCK for vmm ctl and other clients.\n"
     "dir: where requests may write snapshots by name alone.\n",
     .absent = STASIS_WITH_JSON ? NULL : "STASIS_JSON"},
    {"sandbox", sandbox_keys,
     "on (default): give up rights that vmm does not need, as far as the\n"
     "kernel can take them; require: end with status 5 if it cannot;\n"
     "off: keep them, to debug.\n",
     .absent = STASIS_WITH_SANDBOX ? NULL : "STASIS_SANDBOX"},
    {"help", NULL, "Print this help.\n", .flag = AT(help)},
    {"version", NULL, "Print the version.\n", .flag = AT(version)},
};

const struct stasis_option *stasis_cli_option(unsigned place)
{
    return place < STASIS_CONFIG_COUNT ? &stasis_config_options[place]
                                       : &own_options[place - STASIS_CONFIG_COUNT];
}
