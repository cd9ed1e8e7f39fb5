/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <string.h>

#include "tools/inspect.h"

/* " --name ARG" or " -x ARG", in brackets if it may be left out. */
static size_t put_option(const struct stasis_inspect_option *option, char *buf, size_t size)
{
    char letter[3] = {'-', option->letter};
    int len = snprintf(buf, size, " %s%s%s%s%s%s", option->required ? "" : "[",
                       option->letter ? "" : "--", option->letter ? letter : option->name,
                       option->arg ? " " : "", option->arg ? option->arg : "",
                       option->required ? "" : "]");

    return len > 0 && (size_t)len < size ? (size_t)len : size - 1;
}

void stasis_inspect_usage(const struct stasis_inspect_command *command,
                          char ret_usage[STASIS_INSPECT_USAGE_MAX])
{
    size_t used = (size_t)snprintf(ret_usage, STASIS_INSPECT_USAGE_MAX, STASIS_INSPECT_NAME " %s",
                                   command->name);

    for (const struct stasis_inspect_option *option = command->options; option && option->name;
         option++)
        used += put_option(option, ret_usage + used, STASIS_INSPECT_USAGE_MAX - used);
    snprintf(ret_usage + used, STASIS_INSPECT_USAGE_MAX - used, "%s%s",
             *command->operands ? " " : "", command->operands);
}

static void print_usage(const struct stasis_inspect_command *command, FILE *out)
{
    char usage[STASIS_INSPECT_USAGE_MAX];

    stasis_inspect_usage(command, usage);
    fprintf(out, "Usage: %s\n", usage);
}

static void print_command(const struct stasis_inspect_command *command, FILE *out)
{
    fprintf(out, "%s: %s\n\n", command->name, command->help);
    print_usage(command, out);
    for (const struct stasis_inspect_option *option = command->options; option && option->name;
         option++) {
        fputs("  ", out);
        if (option->letter)
            fprintf(out, "-%c, ", option->letter);
        fprintf(out, "--%s%s%s\n      %s\n", option->name, option->arg ? " " : "",
                option->arg ? option->arg : "", option->help);
    }
}

static void print_all(FILE *out)
{
    fputs(STASIS_INSPECT_NAME ": inspect the files that vmm writes\n\n"
                              "Usage: " STASIS_INSPECT_NAME " COMMAND [option]... FILE\n\n",
          out);
    for (const struct stasis_inspect_command *row = stasis_inspect_commands; row->name; row++)
        if (!row->hidden)
            fprintf(out, "  %s %-*s%s\n", row->name, 19 - (int)strlen(row->name), row->operands,
                    row->help);
    fputs("  --help, --version\n\n"
          "If FILE is -, standard input is read.\n"
          "Exit status: 0 success, 1 internal failure, 2 usage error or no such file, 3 corrupt\n"
          "or not a snapshot, 4 incompatible version, 7 the output could not be written, 9 the\n"
          "file could not be read. For diff: 0 equal, 1 different, 5 internal failure.\n\n"
          "See " STASIS_INSPECT_NAME "(1) for the full manual.\n",
          out);
}

void stasis_inspect_print_help(const struct stasis_inspect_command *command, FILE *out)
{
    if (command)
        print_command(command, out);
    else
        print_all(out);
}

int stasis_inspect_help(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err)
{
    const struct stasis_inspect_command *command = NULL;

    if (args->operand_count) {
        command = stasis_inspect_find(args->operands[0]);
        if (!command)
            return stasis_inspect_unknown(args->operands[0], err);
    }
    stasis_inspect_print_help(command, out);
    return 0;
}
