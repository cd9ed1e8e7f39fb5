/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The engine of the option table in cli_table.c; cli_check.c then looks at what goes together.
 */
#include "vmm/cmd/cli_internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/number.h"
#include "vmm/api/keyval.h"

/* Words are stored through an unsigned int. */
_Static_assert(sizeof(enum stasis_vmm_cpu) == sizeof(unsigned), "enum size");
_Static_assert(sizeof(enum stasis_vmm_then) == sizeof(unsigned), "enum size");
_Static_assert(sizeof(enum stasis_cli_dry_run) == sizeof(unsigned), "enum size");
_Static_assert(sizeof(enum stasis_vmm_clock) == sizeof(unsigned), "enum size");
_Static_assert(sizeof(enum stasis_vmm_prefetch) == sizeof(unsigned), "enum size");
_Static_assert(sizeof(enum stasis_ram_mode) == sizeof(unsigned), "enum size");
_Static_assert(sizeof(enum stasis_vmm_metrics_format) == sizeof(unsigned), "enum size");
_Static_assert(sizeof(enum stasis_vmm_on_guest_error) == sizeof(unsigned), "enum size");
_Static_assert(sizeof(enum stasis_vmm_guest_errors_of) == sizeof(unsigned), "enum size");
_Static_assert(sizeof(enum stasis_vmm_log_level) == sizeof(unsigned), "enum size");
_Static_assert(sizeof(enum stasis_vmm_log_time) == sizeof(unsigned), "enum size");
_Static_assert(sizeof(bool) == 1 && STASIS_CLI_COUNT <= 32, "sets of options fit 32 bits");

struct parser {
    struct stasis_options options;
    struct stasis_cli_given given;
    struct stasis_error *err;
};

/* ---- values ---- */

int stasis_cli_copy(const char *value, char **ret_copy, struct stasis_error *err)
{
    char *copy = strdup(value);

    if (!copy)
        return stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");
    *ret_copy = copy;
    return 0;
}

int stasis_cli_word(const char *const *words, const char *value, size_t len)
{
    for (int i = 0; words[i]; i++)
        if (strlen(words[i]) == len && !memcmp(words[i], value, len))
            return i;
    return -1;
}

static bool level_of(const struct stasis_cli_key *key, const char *value, uint64_t *ret_level)
{
    size_t len = strcspn(value, ":");
    int word = stasis_cli_word(key->words, value, len);

    if (word == 0 && !value[len]) {
        *ret_level = 0;
        return true;
    }
    *ret_level = key->min;
    if (word != 1 || !value[len])
        return word == 1;
    return stasis_number_read(value + len + 1, false, ret_level) && *ret_level >= key->min &&
           *ret_level <= key->max;
}

static int set_value(struct parser *parser, const struct stasis_cli_key *key, const char *value)
{
    void *at = (char *)&parser->options + key->offset;
    uint64_t number;
    int word;

    switch (key->kind) {
    case STASIS_CLI_TEXT:
        if (!*value || (key->max && strlen(value) > key->max))
            break;
        return stasis_cli_copy(value, at, parser->err);
    case STASIS_CLI_EMPTY_TEXT:
        return stasis_cli_copy(value, at, parser->err);
    case STASIS_CLI_FD:
        if (!stasis_number_read(value, false, &number) || number <= STDERR_FILENO ||
            number > INT_MAX)
            break;
        *(int *)at = (int)number;
        return 0;
    case STASIS_CLI_NUMBER:
    case STASIS_CLI_SIZE:
        if (!stasis_number_read(value, key->kind == STASIS_CLI_SIZE, &number) ||
            number < key->min || number > key->max)
            break;
        *(uint64_t *)at = number;
        return 0;
    case STASIS_CLI_WORD:
    case STASIS_CLI_SWITCH:
        word = stasis_cli_word(key->words, value, strlen(value));
        if (word < 0)
            break;
        if (key->kind == STASIS_CLI_SWITCH)
            *(bool *)at = true;
        else
            *(unsigned *)at = (unsigned)word;
        return 0;
    case STASIS_CLI_LEVEL:
        if (!level_of(key, value, &number))
            break;
        *(uint64_t *)at = number;
        return 0;
    case STASIS_CLI_NOTE:
        return stasis_cli_note(at, value, parser->err);
    case STASIS_CLI_OUT:
        return stasis_cli_serial_out(&parser->options.config, key, value, parser->err);
    }
    return stasis_fail(parser->err, STASIS_ERR_ARG, "%s", key->remedy);
}

/* ---- keys ---- */

static int unknown_key(const struct stasis_cli_option *option, const char *name,
                       struct stasis_error *err)
{
    char known[200];
    size_t used = 0;

    for (const struct stasis_cli_key *key = option->keys; key->name && used < sizeof(known); key++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "",
                                 key->name);
    return stasis_fail(err, STASIS_ERR_ARG, "unknown key %s; known: %s", name, known);
}

/* The key that an item is for; the first one when the item, also the first one, names none. */
static int find_key(const struct stasis_cli_option *option, const struct stasis_keyval *item,
                    uint32_t seen, uint32_t *ret_index, struct stasis_error *err)
{
    uint32_t index = 0;

    if (!item->key && seen)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s is not key=value; put a value that holds commas in quotes",
                           item->value);
    while (item->key && option->keys[index].name &&
           strcmp(option->keys[index].name, item->key) != 0)
        index++;
    if (!option->keys[index].name)
        return unknown_key(option, item->key, err);
    if (seen & STASIS_CLI_BIT(index) && option->keys[index].kind != STASIS_CLI_NOTE)
        return stasis_fail(err, STASIS_ERR_ARG, "%s is given twice; give it once",
                           option->keys[index].name);
    *ret_index = index;
    return 0;
}

static int parse_items(struct parser *parser, const struct stasis_cli_option *option, char *text)
{
    uint32_t seen = 0;
    struct stasis_keyval item;
    int rc;

    while ((rc = stasis_keyval_next(&text, &item, parser->err)) > 0) {
        uint32_t index = 0;

        rc = find_key(option, &item, seen, &index, parser->err);
        if (rc)
            return rc;
        rc = set_value(parser, &option->keys[index], item.value);
        if (rc)
            return stasis_wrap(parser->err, rc, "%s=%.60s", option->keys[index].name, item.value);
        seen |= STASIS_CLI_BIT(index);
    }
    if (!rc && !(seen & 1))
        return stasis_fail(parser->err, STASIS_ERR_ARG, "%s=%s is missing", option->keys->name,
                           option->keys->arg);
    if (option == &stasis_cli_options[STASIS_CLI_SERIAL])
        parser->given.serial_keys = seen;
    return rc;
}

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
            "a kernel --kernel FILE",
            arg);

    for (size_t i = 0; i < STASIS_CLI_COUNT; i++) {
        size_t alike = likeness(name, stasis_cli_options[i].name);

        if (alike > most) {
            most = alike;
            nearest = stasis_cli_options[i].name;
        }
    }
    return stasis_fail(err, STASIS_ERR_ARG, "%.60s is not an option; %s --%s", arg,
                       most > 2 ? "did you mean" : "see", nearest);
}

/* Index of the option that arg names ("--name" or "--name=value"), or -1; *ret_value is behind the
 * "=", or NULL. */
static int find_option(const char *arg, const char **ret_value)
{
    size_t len = strcspn(arg, "=");

    *ret_value = arg[len] ? arg + len + 1 : NULL;
    for (int i = 0; i < STASIS_CLI_COUNT; i++) {
        const char *name = stasis_cli_options[i].name;

        if (len == strlen(name) + 2 && !memcmp(arg, "--", 2) && !memcmp(arg + 2, name, len - 2))
            return i;
    }
    return -1;
}

static int parse_value(struct parser *parser, const struct stasis_cli_option *option,
                       const char *value)
{
    char *text = NULL;
    int rc = stasis_cli_copy(value, &text, parser->err);

    if (!rc)
        rc = parse_items(parser, option, text);
    free(text);
    return rc ? stasis_wrap(parser->err, rc, "--%s", option->name) : 0;
}

static int refuse_absent(const struct parser *parser, const struct stasis_cli_option *option)
{
    char name[32];

    snprintf(name, sizeof(name), "--%s", option->name);
    return stasis_fail_absent(parser->err, name, option->absent);
}

/* Takes the option at argv[0] and its value; *ret_used is how many arguments that was. */
static int parse_option(struct parser *parser, int argc, char *const *argv, int *ret_used)
{
    const struct stasis_cli_option *option;
    const char *value;
    int id = find_option(argv[0], &value);

    if (id < 0)
        return unknown_option(argv[0], parser->err);
    option = &stasis_cli_options[id];
    if (option->absent)
        return refuse_absent(parser, option);
    if (parser->given.options & STASIS_CLI_BIT(id))
        return stasis_fail(parser->err, STASIS_ERR_ARG, "--%s is given twice; give it once",
                           option->name);
    parser->given.options |= STASIS_CLI_BIT(id);
    *ret_used = 1;
    if (!option->keys)
        return value ? stasis_fail(parser->err, STASIS_ERR_ARG,
                                   "--%s takes no value; leave out =%.60s", option->name, value)
                     : 0;
    if (!value && argc > 1 && strncmp(argv[1], "--", 2) != 0) {
        value = argv[1];
        *ret_used = 2;
    }
    if (!value && option->is_whole)
        return 0;
    if (!value)
        return stasis_fail(parser->err, STASIS_ERR_ARG, "--%s needs a value: --%s %s=%s",
                           option->name, option->name, option->keys->name, option->keys->arg);
    return parse_value(parser, option, value);
}

static int finish(struct parser *parser)
{
    struct stasis_vmm_config *config = &parser->options.config;

    parser->options.dry_run = parser->given.options & STASIS_CLI_BIT(STASIS_CLI_DRY_RUN);
    config->demo = parser->given.options & STASIS_CLI_BIT(STASIS_CLI_DEMO);
    config->paused = parser->given.options & STASIS_CLI_BIT(STASIS_CLI_PAUSED);
    config->snapshot.timed = config->snapshot.after_ms != UINT64_MAX;
    if (!config->snapshot.timed)
        config->snapshot.after_ms = 0;
    return stasis_cli_check(config, &parser->given, parser->err);
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
        .options = {.config = {.memory_mib = STASIS_VMM_MEMORY_MIB_DEFAULT,
                               .vcpus = 1,
                               .snapshot.after_ms = UINT64_MAX},
                    .help = has_arg(argc, argv, "--help"),
                    .version = has_arg(argc, argv, "--version")},
        .err = err,
    };
    int rc = 0;

    if (!parser.options.help && !parser.options.version) {
        int used;

        for (int i = 1; i < argc && !rc; i += used) {
            used = 1;
            rc = parse_option(&parser, argc - i, argv + i, &used);
        }
        if (!rc)
            rc = finish(&parser);
    }
    if (rc)
        stasis_cli_fini(&parser.options);
    else
        *ret_options = parser.options;
    return rc;
}

void stasis_cli_fini(struct stasis_options *options)
{
    stasis_vmm_config_fini(&options->config);
    free(options->control.path);
    free(options->control.dir);
}
