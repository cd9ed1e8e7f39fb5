/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The command line: first it is taken apart, then the file of --config is read, then the values of
 * the command line are set over it.
 */
#include "vmm/cmd/cli_internal.h"
#include "vmm/cmd/cli_paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct value {
    unsigned place; /* of its option */
    const char *text;
};

struct parser {
    struct stasis_options options;
    uint32_t seen;        /* options, by place */
    struct value *values; /* as given, in argv and its order */
    unsigned values_count;
    struct stasis_error *err;
};

/* ---- options ---- */

/* How alike two names are: length of what they share at the start and at the end. */
static size_t likeness(const char *a, const char *b)
{
    size_t start = 0;
    size_t end = 0;
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    size_t shorter = a_len < b_len ? a_len : b_len;

    while (start < shorter && a[start] == b[start])
        start++;
    while (end < shorter - start && a[a_len - 1 - end] == b[b_len - 1 - end])
        end++;
    return start + end;
}

static int unknown_option(const char *arg, struct stasis_error *err)
{
    const char *name = arg + strspn(arg, "-");
    const char *nearest = "help";
    size_t most = 2; /* fewer letters in common are chance */

    if (arg[0] != '-')
        return stasis_fail(
            err, STASIS_ERR_ARG,
            "%.60s is not an option; to thaw a snapshot give --restore FILE, to boot "
            "a kernel --kernel FILE; put a value that holds spaces in quotes; see --help",
            arg);

    for (unsigned i = 0; i < STASIS_CLI_COUNT; i++) {
        size_t alike = likeness(name, stasis_cli_option(i)->name);

        if (alike > most) {
            most = alike;
            nearest = stasis_cli_option(i)->name;
        }
    }
    return stasis_fail(err, STASIS_ERR_ARG, "%.60s is not an option; %s --%s%s", arg,
                       most > 2 ? "did you mean" : "see", nearest, most > 2 ? "?" : "");
}

/* Index of the option that arg names ("--name" or "--name=value"), or -1; *ret_value is behind the
 * "=", or NULL. */
static int find_option(const char *arg, const char **ret_value)
{
    size_t len = strcspn(arg, "=");

    *ret_value = arg[len] ? arg + len + 1 : NULL;
    for (unsigned i = 0; i < STASIS_CLI_COUNT; i++) {
        const char *name = stasis_cli_option(i)->name;

        if (len == strlen(name) + 2 && !memcmp(arg, "--", 2) && !memcmp(arg + 2, name, len - 2))
            return (int)i;
    }
    return -1;
}

static int refuse_absent(const struct parser *parser, const struct stasis_option *option)
{
    char name[32];

    snprintf(name, sizeof(name), "--%s", option->name);
    return stasis_fail_absent(parser->err, name, option->absent);
}

static int check_value(const struct parser *parser, const struct stasis_option *option,
                       const char *value)
{
    if (!option->keys)
        return value ? stasis_fail(parser->err, STASIS_ERR_ARG,
                                   "--%s takes no value; leave out =%.60s", option->name, value)
                     : 0;
    if (!value && !option->is_whole)
        return stasis_fail(parser->err, STASIS_ERR_ARG, "--%s needs a value: --%s %s=%s",
                           option->name, option->name, option->keys->name, option->keys->arg);
    return 0;
}

/* Takes the option at argv[0] and its value; *ret_used is how many arguments that was. */
static int take_option(struct parser *parser, int argc, char *const *argv, int *ret_used)
{
    const struct stasis_option *option;
    const char *value;
    int place = find_option(argv[0], &value);

    if (place < 0)
        return unknown_option(argv[0], parser->err);
    option = stasis_cli_option((unsigned)place);
    if (option->absent)
        return refuse_absent(parser, option);
    if (parser->seen & STASIS_OPTION_BIT(place) && !stasis_option_is_list(option))
        return stasis_fail(parser->err, STASIS_ERR_ARG, "--%s is given twice; give it once",
                           option->name);
    parser->seen |= STASIS_OPTION_BIT(place);
    *ret_used = 1;
    if (option->keys && !value && argc > 1 && strncmp(argv[1], "--", 2) != 0) {
        value = argv[1];
        *ret_used = 2;
    }
    if (option->keys && value)
        parser->values[parser->values_count++] = (struct value){(unsigned)place, value};
    return check_value(parser, option, value);
}

/* ---- values ---- */

/* Sets what the option at a place says in base; `have` and *ret_given are sets of its keys. */
static int set_option(const struct parser *parser, unsigned place, void *base, uint32_t have,
                      uint32_t *ret_given)
{
    const struct stasis_option *option = stasis_cli_option(place);
    uint32_t given;
    int rc = 0;

    *ret_given = 0;
    if (!(parser->seen & STASIS_OPTION_BIT(place)))
        return 0;
    if (!option->keys)
        *((bool *)base + option->flag) = true;
    for (unsigned i = 0; !rc && i < parser->values_count; i++)
        if (parser->values[i].place == place) {
            rc = stasis_option_parse(option, base, parser->values[i].text, have, &given,
                                     parser->err);
            *ret_given |= given;
        }
    if (!*ret_given)
        *ret_given = 1; /* it has no value */
    return rc ? stasis_wrap(parser->err, rc, "--%s", option->name) : 0;
}

static int set_own(struct parser *parser)
{
    uint32_t given;
    int rc = 0;

    for (unsigned i = STASIS_CONFIG_COUNT; !rc && i < STASIS_CLI_COUNT; i++)
        rc = set_option(parser, i, &parser->options, 0, &given);
    parser->options.dry_run = parser->seen & STASIS_OPTION_BIT(STASIS_CLI_DRY_RUN);
    return rc;
}

/* Into a configuration of its own: says which keys the command line gives, and refuses what is
 * wrong in it before a file is read. */
static int try_config(const struct parser *parser, struct stasis_config_given *ret_given)
{
    const uint32_t have = parser->options.config_path ? 1 : 0; /* the file may have it */
    struct stasis_vmm_config config = {.demo = false};
    int rc = 0;

    for (unsigned i = 0; !rc && i < STASIS_CONFIG_COUNT; i++)
        rc = set_option(parser, i, &config, have, &ret_given->keys[i]);
    stasis_vmm_config_fini(&config);
    return rc;
}

static int set_config(struct parser *parser, struct stasis_config_given *given)
{
    struct stasis_vmm_config *config = &parser->options.config;
    int rc = 0;

    for (unsigned i = 0; !rc && i < STASIS_CONFIG_COUNT; i++) {
        uint32_t keys;

        rc = set_option(parser, i, config, given->keys[i], &keys);
        given->keys[i] |= keys;
    }
    return rc;
}

/* ---- all of it ---- */

static int check(const struct parser *parser, const struct stasis_config_given *given)
{
    const struct stasis_vmm_config *config = &parser->options.config;
    int rc;

    if (!config->kernel.path && !config->demo && !config->restore.path)
        return stasis_fail(
            parser->err, STASIS_ERR_ARG,
            "nothing to run; give --kernel FILE, --demo or --restore FILE; see --help");
    if (parser->options.dry_run && !config->restore.path)
        return stasis_fail(parser->err, STASIS_ERR_ARG,
                           "--dry-run is for thawing; give --restore FILE, or leave out --dry-run");
    rc = stasis_config_check(config, given, parser->err);
    if (rc && parser->err)
        stasis_cli_name_options_in(&parser->options.by_file, true, parser->err);
    return rc;
}

static int fill(struct parser *parser)
{
    struct stasis_options *options = &parser->options;
    struct stasis_config_given given, by_line = {.keys = {0}};
    struct stat file;
    int rc = set_own(parser);

    if (!rc)
        rc = try_config(parser, &by_line);
    if (!rc && options->config_path)
        rc = stasis_cli_read_config(options->config_path, &options->config, &options->by_file,
                                    &file, parser->err);
    if (rc)
        return rc;
    stasis_config_give_way(&options->config, &options->by_file, &by_line);
    given = options->by_file;
    for (unsigned i = 0; i < STASIS_CONFIG_COUNT; i++)
        options->by_file.keys[i] &= ~by_line.keys[i];
    rc = set_config(parser, &given);
    if (!rc)
        rc = check(parser, &given);
    if (!rc && options->config_path)
        rc = stasis_cli_check_outputs(&options->config, options->config_path, &file, parser->err);
    return rc;
}

static bool has_arg(int argc, char *const *argv, const char *arg)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], arg))
            return true;
    return false;
}

int stasis_cli_parse(int argc, char *const *argv, struct stasis_options *ret_options,
                     struct stasis_error *err)
{
    struct parser parser = {
        .options = {.help = has_arg(argc, argv, "--help"),
                    .version = has_arg(argc, argv, "--version")},
        .err = err,
    };
    int rc = 0;

    parser.values = calloc((size_t)argc + 1, sizeof(*parser.values));
    if (!parser.values)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the options");
    if (!parser.options.help && !parser.options.version) {
        int used;

        for (int i = 1; i < argc && !rc; i += used) {
            used = 1;
            rc = take_option(&parser, argc - i, argv + i, &used);
        }
        if (!rc)
            rc = fill(&parser);
    }
    free(parser.values);
    if (rc)
        stasis_cli_fini(&parser.options);
    else
        *ret_options = parser.options;
    return rc;
}

void stasis_cli_fini(struct stasis_options *options)
{
    stasis_vmm_config_fini(&options->config);
    free(options->config_path);
    free(options->control.path);
    free(options->control.dir);
}
