/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What follows the name of a sub-command, by the command's row.
 */
#include <getopt.h>
#include <string.h>

#include "tools/inspect.h"

/* What getopt_long() returns for option i of the row: beyond every character. */
#define OPTION_BASE 0x100

/* The row's options as getopt_long() takes them. */
struct spelling {
    struct option words[STASIS_INSPECT_OPTIONS_MAX + 2];
    char letters[2 * STASIS_INSPECT_OPTIONS_MAX + 3];
};

static void spell(const struct stasis_inspect_option *options, struct spelling *ret_spelling)
{
    struct spelling spelling = {.letters = ":h"};
    char *letter = spelling.letters + strlen(spelling.letters);
    size_t count = 0;

    for (; options && options[count].name; count++) {
        spelling.words[count] = (struct option){
            options[count].name, options[count].arg ? required_argument : no_argument, NULL,
            OPTION_BASE + (int)count};
        if (options[count].letter) {
            *letter++ = options[count].letter;
            if (options[count].arg)
                *letter++ = ':';
        }
    }
    spelling.words[count] = (struct option){"help", no_argument, NULL, 'h'};
    *ret_spelling = spelling;
}

/* Which option getopt_long() means by what it returned; -1 for none of the row. */
static int option_of(const struct stasis_inspect_option *options, int found)
{
    for (int i = 0; options && options[i].name; i++)
        if (found == OPTION_BASE + i || (found && found == options[i].letter))
            return i;
    return -1;
}

static int bad_option(const struct stasis_inspect_command *command, int found, char *const *argv,
                      struct stasis_error *err)
{
    const char *given = argv[optind - 1];
    int option = option_of(command->options, optopt);

    if (found == ':')
        return stasis_fail(err, STASIS_ERR_ARG, "--%s needs a value: --%s %s",
                           command->options[option].name, command->options[option].name,
                           command->options[option].arg);
    if (option >= 0 || optopt == 'h')
        return stasis_fail(err, STASIS_ERR_ARG, "%.60s: the option takes no value", given);
    if (optopt)
        return stasis_fail(err, STASIS_ERR_ARG, "-%c is not an option; see %s help %s", optopt,
                           STASIS_INSPECT_NAME, command->name);
    return stasis_fail(err, STASIS_ERR_ARG, "%.60s is not an option; see %s help %s", given,
                       STASIS_INSPECT_NAME, command->name);
}

static int parse_options(const struct stasis_inspect_command *command, int argc, char **argv,
                         struct stasis_inspect_args *args, struct stasis_error *err)
{
    struct spelling spelling;
    int found;

    spell(command->options, &spelling);
    optind = 0; /* glibc: begin anew */
    opterr = 0; /* the messages are ours */
    /* The program's options have been parsed: no other thread is there yet. */
    while ((found = getopt_long(argc, argv, spelling.letters, spelling.words, NULL)) !=
           -1) { /* NOLINT */
        int option = option_of(command->options, found);

        if (found == 'h')
            args->help = true;
        else if (option < 0)
            return bad_option(command, found, argv, err);
        else if (args->values[option])
            return stasis_fail(err, STASIS_ERR_ARG, "--%s is given twice; give it once",
                               command->options[option].name);
        else
            args->values[option] = optarg ? optarg : "";
        if (option >= 0 && !strcmp(command->options[option].name, "layers"))
            args->layers = optarg;
    }
    return 0;
}

int stasis_inspect_parse(const struct stasis_inspect_command *command, int argc, char **argv,
                         struct stasis_inspect_args *ret_args, struct stasis_error *err)
{
    struct stasis_inspect_args args = {0};
    int rc = parse_options(command, argc, argv, &args, err);
    char usage[STASIS_INSPECT_USAGE_MAX];
    size_t count;

    if (rc)
        return stasis_wrap(err, rc, "%s", command->name);
    count = (size_t)(argc - optind);
    stasis_inspect_usage(command, usage);
    if (!args.help && (count < command->operands_min || count > command->operands_max))
        return stasis_fail(err, STASIS_ERR_ARG, "%s: %s; usage: %s", command->name,
                           count < command->operands_min ? "a name is missing" : "too many names",
                           usage);
    if (!args.help) {
        args.operands = argv + optind;
        args.operand_count = count;
    }
    *ret_args = args;
    return 0;
}
