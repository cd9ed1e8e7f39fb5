/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The list of keys in vmm(1) is that of the table.
 */
#include "vmm/api/config.h"

#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *type_of(const struct stasis_option_key *key)
{
    switch (key->kind) {
    case STASIS_OPTION_NUMBER:
    case STASIS_OPTION_SIZE:
    case STASIS_OPTION_TIME:
    case STASIS_OPTION_FD:
        return "number";
    case STASIS_OPTION_SWITCH:
        return "true or false";
    case STASIS_OPTION_NOTES:
    case STASIS_OPTION_TEXTS:
        return "list of strings";
    case STASIS_OPTION_TEXT:
    case STASIS_OPTION_EMPTY_TEXT:
    case STASIS_OPTION_WORD:
    case STASIS_OPTION_LEVEL:
    case STASIS_OPTION_OUT:
        break;
    }
    return "string";
}

/* scdoc takes _ for markup. */
static void put_escaped(FILE *to, const char *text)
{
    for (; *text; text++)
        fprintf(to, *text == '_' ? "\\%c" : "%c", *text);
}

static void put_row(FILE *to, const struct stasis_option *option,
                    const struct stasis_option_key *key, bool is_first)
{
    char path[STASIS_CONFIG_PATH_MAX];

    stasis_config_path(option, key, path);
    fputs(is_first ? "|[ *" : "|  *", to);
    put_escaped(to, path);
    fprintf(to, "*\n:%s %s\n:%s *--%s*", is_first ? "<" : " ", key ? type_of(key) : "true or false",
            is_first ? "<" : " ", option->name);
    if (key) {
        fputc(' ', to);
        put_escaped(to, key->name);
    }
    fputc('\n', to);
}

static char *expected_table(void)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    for (unsigned i = 0; i < STASIS_CONFIG_COUNT; i++) {
        const struct stasis_option_key *key = stasis_config_options[i].keys;

        if (!key)
            put_row(to, &stasis_config_options[i], NULL, false);
        for (; key && key->name; key++)
            put_row(to, &stasis_config_options[i], key, !i && key == stasis_config_options[i].keys);
    }
    fclose(to);
    return text;
}

static void manual_has_the_table(void **state)
{
    static char manual[1 << 20];
    FILE *file = fopen(STASIS_DOCS_DIR "/vmm.1.scd", "r");
    char *expected = expected_table();

    (void)state;
    assert_non_null(file);
    manual[fread(manual, 1, sizeof(manual) - 1, file)] = '\0';
    fclose(file);
    if (!strstr(manual, expected)) {
        fputs(expected, stdout); /* longer than a message of cmocka's */
        fail_msg("CONFIGURATION FILE in vmm.1.scd lacks the table above");
    }
    free(expected);
}

/* Each option goes with --restore, or not. */
static void manual_says_what_goes_with_restore(void **state)
{
    static char manual[1 << 20];
    FILE *file = fopen(STASIS_DOCS_DIR "/vmm.1.scd", "r");
    char *section, *end;

    (void)state;
    assert_non_null(file);
    manual[fread(manual, 1, sizeof(manual) - 1, file)] = '\0';
    fclose(file);
    section = strstr(manual, "\n# THAWED GUESTS\n");
    assert_non_null(section);
    end = strstr(section + 1, "\n# ");
    assert_non_null(end);
    *end = '\0';
    for (unsigned i = 0; i < STASIS_CONFIG_COUNT; i++) {
        const struct stasis_option *option = &stasis_config_options[i];
        char name[64];
        const char *refused = strstr(section, "\nRefused beside"), *at;

        snprintf(name, sizeof(name), "*--%s*", option->name);
        at = strstr(section, name);
        if (!at || (at > refused) != (option->guest == STASIS_OPTION_NEW_GUEST ||
                                      i == STASIS_CONFIG_KERNEL || i == STASIS_CONFIG_DEMO))
            if (i != STASIS_CONFIG_RESTORE)
                fail_msg("THAWED GUESTS in vmm.1.scd lacks %s, or has it on the wrong side", name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manual_has_the_table),
        cmocka_unit_test(manual_says_what_goes_with_restore),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
