/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/control/methods.h"

#include <string.h>

#include "common/number.h"

#define ZLIB_LEVEL_MAX 12
#define NAME_LEN_MAX   255

static int invalid(struct stasis_control_failure *failure, const struct stasis_control_param *param,
                   const char *value)
{
    if (!*value)
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_PARAMS,
                                   "%s is empty; give %s=%s", param->name, param->name, param->arg);
    return stasis_control_fail(failure, STASIS_CONTROL_INVALID_PARAMS, "%s=%.100s: give %s=%s",
                               param->name, value, param->name, param->arg);
}

static bool is_name(const char *value)
{
    return *value && strlen(value) <= NAME_LEN_MAX && !strchr(value, '/') &&
           strcmp(value, ".") != 0 && strcmp(value, "..") != 0;
}

static bool find_word(const char *const *words, const char *value, unsigned *ret_place)
{
    for (unsigned i = 0; words[i]; i++) {
        if (strcmp(words[i], value) == 0) {
            *ret_place = i;
            return true;
        }
    }
    return false;
}

static bool read_level(const char *value, uint64_t *ret_level)
{
    static const char *const words[] = {"none", "zlib", NULL};
    unsigned place;

    if (find_word(words, value, &place)) {
        *ret_level = place;
        return true;
    }
    return strncmp(value, "zlib:", 5) == 0 && stasis_number_read(value + 5, false, ret_level) &&
           *ret_level >= 1 && *ret_level <= ZLIB_LEVEL_MAX;
}

static bool read_number(const char *value, struct stasis_control_number *ret_number)
{
    ret_number->is_given = true;
    return stasis_number_read(value, false, &ret_number->value);
}

static bool set(const struct stasis_control_param *param, const char *value, void *at)
{
    switch (param->kind) {
    case STASIS_CONTROL_TEXT:
        *(const char **)at = value;
        return *value;
    case STASIS_CONTROL_NAME:
        *(const char **)at = value;
        return is_name(value);
    case STASIS_CONTROL_WORD:
        if (param->was && !strcmp(param->was, value))
            value = param->words[0];
        return find_word(param->words, value, at);
    case STASIS_CONTROL_NUMBER:
        return read_number(value, at);
    case STASIS_CONTROL_LEVEL:
        return read_level(value, at);
    case STASIS_CONTROL_PATH:
        break;
    }
    return false;
}

static int parse_one(const struct stasis_control_method *method, const char *key,
                     const json_t *value, struct stasis_control_args *args,
                     struct stasis_control_failure *failure)
{
    const struct stasis_control_param *param = stasis_control_param_find(method, key);
    const char *text = json_string_value(value);

    if (!param)
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_PARAMS,
                                   "%s has no parameter %.60s; see vmm-control(7)", method->name,
                                   key);
    if (param->kind == STASIS_CONTROL_PATH)
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_PARAMS,
                                   "the VMM opens no path of a request; send the descriptor of the "
                                   "folder and the name of the file");
    if (!text)
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_PARAMS,
                                   "%s is no string; send one", key);
    return set(param, text, (char *)args + param->offset) ? 0 : invalid(failure, param, text);
}

int stasis_control_args_parse(const struct stasis_control_method *method, json_t *params,
                              struct stasis_control_args *ret_args,
                              struct stasis_control_failure *failure)
{
    struct stasis_control_args args = {.name = NULL};
    const char *key;
    json_t *value;

    json_object_foreach(params, key, value)
    {
        int rc = parse_one(method, key, value, &args, failure);

        if (rc)
            return rc;
    }
    *ret_args = args;
    return 0;
}

static unsigned has(const struct stasis_vmm_status *status)
{
    const bool ended = status->state == STASIS_VMM_HAS_ENDED;
    const bool saving = status->state == STASIS_VMM_IS_SAVING;
    const bool cancels = saving || status->opening;

    return (ended ? 0 : STASIS_CONTROL_NEEDS_VM) |
           (status->state == STASIS_VMM_OPENED ? 0 : STASIS_CONTROL_NEEDS_START) |
           (status->state == STASIS_VMM_IS_PAUSING ? 0 : STASIS_CONTROL_NEEDS_NO_PAUSE) |
           (saving ? 0 : STASIS_CONTROL_NEEDS_NO_SAVE) | (cancels ? STASIS_CONTROL_NEEDS_SAVE : 0) |
           (status->state == STASIS_VMM_RUNNING ? STASIS_CONTROL_NEEDS_RUNNING : 0) |
           (status->state == STASIS_VMM_PAUSED ? STASIS_CONTROL_NEEDS_PAUSED : 0);
}

int stasis_control_state_check(const struct stasis_control_method *method,
                               const struct stasis_vmm_status *status,
                               struct stasis_control_failure *failure)
{
    const struct stasis_control_state *state = stasis_control_states;
    unsigned missing = method->needs & ~has(status);

    while (state->bit && !(state->bit & missing))
        state++;
    if (!state->bit)
        return 0;
    *failure = (struct stasis_control_failure){.name = state->error};
    return stasis_fail(&failure->err, STASIS_ERR_STATE, "cannot %s: %s", method->name,
                       state->reason);
}
