/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Options of a configuration as key=value text, and what one source of them leaves to another.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/api/config.h"

static const struct stasis_option *find_option(const char *name)
{
    for (unsigned i = 0; i < STASIS_CONFIG_COUNT; i++)
        if (!strcmp(stasis_config_options[i].name, name))
            return &stasis_config_options[i];
    return NULL;
}

static int set_flag(const struct stasis_option *option, struct stasis_vmm_config *config,
                    const char *text, struct stasis_error *err)
{
    if (text)
        return stasis_fail(err, STASIS_ERR_ARG, "it takes no value; leave out %.60s", text);
    *((bool *)config + option->flag) = true;
    return 0;
}

static int set_keys(const struct stasis_option *option, struct stasis_vmm_config *config,
                    const char *text, struct stasis_error *err)
{
    uint32_t have = 0;
    uint32_t given;

    for (unsigned i = 0; !option->items && (!i || i < option->choices); i++)
        have |= stasis_option_is_set(&option->keys[i], config) ? STASIS_OPTION_BIT(i) : 0;
    if (!text)
        return stasis_fail(err, STASIS_ERR_ARG, "it needs a value; give %s=%s", option->keys->name,
                           option->keys->arg);
    return stasis_option_parse(option, config, text, have, &given, err);
}

int stasis_vmm_config_set(struct stasis_vmm_config *config, const char *option, const char *text,
                          struct stasis_error *err)
{
    const struct stasis_option *found = find_option(option);
    int rc;

    if (!found)
        return stasis_fail(err, STASIS_ERR_ARG, "there is no option %.60s; see vmm(1)", option);
    if (found->absent)
        return stasis_fail_absent(err, found->name, found->absent);
    rc = found->keys ? set_keys(found, config, text, err) : set_flag(found, config, text, err);
    return rc ? stasis_wrap(err, rc, "%s", found->name) : 0;
}

/* ---- two sources ---- */

static void drop_option(struct stasis_vmm_config *config, struct stasis_config_given *given,
                        unsigned place)
{
    const struct stasis_option *option = &stasis_config_options[place];

    if (option->keys)
        stasis_option_clear_all(option, config);
    else
        *((bool *)config + option->flag) = false;
    given->keys[place] = 0;
}

static void drop_guest(struct stasis_vmm_config *config, struct stasis_config_given *given,
                       const struct stasis_config_given *over)
{
    static const unsigned guests[] = {STASIS_CONFIG_KERNEL, STASIS_CONFIG_DEMO,
                                      STASIS_CONFIG_RESTORE};
    const bool thaws = over->keys[STASIS_CONFIG_RESTORE];
    const bool boots = over->keys[STASIS_CONFIG_KERNEL] || over->keys[STASIS_CONFIG_DEMO];

    for (unsigned i = 0; (thaws || boots) && i < sizeof(guests) / sizeof(guests[0]); i++)
        if (!over->keys[guests[i]])
            drop_option(config, given, guests[i]);
    for (unsigned i = 0; i < STASIS_CONFIG_COUNT; i++)
        if ((thaws && stasis_config_options[i].guest == STASIS_OPTION_NEW_GUEST) ||
            (boots && stasis_config_options[i].guest == STASIS_OPTION_THAWED_GUEST))
            drop_option(config, given, i);
    if (boots) {
        stasis_option_clear(&stasis_config_options[STASIS_CONFIG_ALLOW].keys[0], config);
        given->keys[STASIS_CONFIG_ALLOW] &= ~UINT32_C(1); /* disk_changed is for thawing */
    }
}

/* Another output does not have the bounds of the one that it replaces. */
static void drop_bounds(struct stasis_vmm_config *config, struct stasis_config_given *given,
                        unsigned place)
{
    const struct stasis_option_key *keys = stasis_config_options[place].keys;

    for (unsigned i = 0; keys && keys[i].name; i++) {
        if (!keys[i].out)
            continue;
        stasis_option_clear(&keys[i], config);
        given->keys[place] &= ~STASIS_OPTION_BIT(i);
    }
}

/* A list replaces the other one, and so does a choice. */
static void drop_list(struct stasis_vmm_config *config, struct stasis_config_given *given,
                      const struct stasis_config_given *over, unsigned place)
{
    const struct stasis_option *option = &stasis_config_options[place];
    const bool chooses = option->choices && over->keys[place] & stasis_option_needed(option);

    if (option->items && over->keys[place])
        drop_option(config, given, place);
    for (unsigned i = 0; option->keys && option->keys[i].name; i++)
        if ((chooses && i < option->choices) ||
            (option->repeats && over->keys[place] & STASIS_OPTION_BIT(i))) {
            stasis_option_clear(&option->keys[i], config);
            given->keys[place] &= ~STASIS_OPTION_BIT(i);
        }
}

void stasis_config_give_way(struct stasis_vmm_config *config, struct stasis_config_given *given,
                            const struct stasis_config_given *over)
{
    drop_guest(config, given, over);
    for (unsigned i = 0; i < STASIS_CONFIG_COUNT; i++) {
        drop_list(config, given, over, i);
        if (over->keys[i] & 1)
            drop_bounds(config, given, i);
    }
}
