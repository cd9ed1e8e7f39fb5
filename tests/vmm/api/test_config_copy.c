/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Copies of a configuration.
 */
#include "vmm/api/config.h"

#include "support/cmocka_all.h"

#include <string.h>

static void copies_own_their_strings(void **state)
{
    char path[] = "kernel", text[] = "READY", target[] = "0.1.0";
    struct stasis_vmm_config config = {
        .kernel.path = path,
        .snapshot = {.on_output = text, .save = {.target = target, .notes = stasis_notes_new()}}};
    struct stasis_vmm_config copy;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_notes_set(config.snapshot.save.notes, "image", "debian", &err), 0);
    assert_int_equal(stasis_config_copy(&config, &copy, &err), 0);
    stasis_notes_free(config.snapshot.save.notes);
    path[0] = text[0] = target[0] = 'X';
    assert_string_equal(copy.kernel.path, "kernel");
    assert_string_equal(copy.snapshot.on_output, "READY");
    assert_string_equal(copy.snapshot.save.target, "0.1.0");
    assert_string_equal(stasis_notes_get(copy.snapshot.save.notes, "image"), "debian");
    assert_null(copy.restore.path);
    stasis_vmm_config_fini(&copy);
}

/* Where the key keeps a string, or NULL. */
static char **string_of(const struct stasis_option_key *key, void *item)
{
    const bool is_text = key->kind == STASIS_OPTION_TEXT || key->kind == STASIS_OPTION_EMPTY_TEXT ||
                         key->kind == STASIS_OPTION_TEXTS;

    if (!is_text && key->kind != STASIS_OPTION_OUT)
        return NULL;
    return (char **)(void *)((char *)item + (is_text ? key->offset : key->also));
}

static void copies_own_the_string_of_every_key(void **state)
{
    struct stasis_vmm_config copy;
    char text[] = "text";

    (void)state;
    for (unsigned i = 0; i < STASIS_CONFIG_COUNT; i++) {
        const struct stasis_option *option = &stasis_config_options[i];

        for (unsigned k = 0; option->keys && option->keys[k].name; k++) {
            struct stasis_vmm_config config = {.demo = false};
            char **from = string_of(&option->keys[k], stasis_option_item(option, &config, 0));

            if (!from)
                continue;
            *from = text;
            assert_int_equal(stasis_config_copy(&config, &copy, NULL), 0);
            from = string_of(&option->keys[k], stasis_option_item(option, &copy, 0));
            assert_string_equal(*from, text);
            assert_ptr_not_equal(*from, text);
            stasis_vmm_config_fini(&copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_own_their_strings),
        cmocka_unit_test(copies_own_the_string_of_every_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
