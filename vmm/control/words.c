/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/control/remote.h"

static int unknown_method(const char *name, struct stasis_error *err)
{
    char known[200];
    size_t used = 0;

    for (const struct stasis_control_method *method = stasis_control_methods;
         method->name && used < sizeof(known); method++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "",
                                 method->name);
    return stasis_fail(err, STASIS_ERR_ARG, "%.60s is no method; known: %s", name, known);
}

static int set(json_t *params, const char *key, const char *value, struct stasis_error *err)
{
    if (json_object_get(params, key))
        return stasis_fail(err, STASIS_ERR_ARG, "%s is given twice; give it once", key);
    if (json_object_set_new(params, key, json_string(value)))
        return stasis_fail(err, STASIS_ERR_ARG, "%s: the value is not UTF-8; use another", key);
    return 0;
}

/* Opens the folder of the file, and gives the server the name in it. */
static int set_path(struct stasis_control_words *words, const char *path, struct stasis_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int rc = set(words->params, "name", name, err);

    if (!rc && !folder)
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the request");
    if (!rc) {
        words->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (words->folder_fd < 0)
            rc = stasis_fail_errno(
                err, errno == ENOENT || errno == ENOTDIR ? STASIS_ERR_NOT_FOUND : STASIS_ERR_IO,
                "path=%s: cannot open its folder", path);
    }
    free(folder);
    return rc;
}

static int take_word(struct stasis_control_words *words, const char *word, struct stasis_error *err)
{
    const struct stasis_control_param *param;
    size_t len = strcspn(word, "=");
    char key[32];

    if (!word[len])
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%.60s is not key=value; see vmm ctl --help for the keys of %s", word,
                           words->method->name);
    snprintf(key, sizeof(key), "%.*s", (int)(len < sizeof(key) ? len : sizeof(key) - 1), word);
    param = stasis_control_param_find(words->method, key);
    if (param && param->kind == STASIS_CONTROL_PATH)
        return set_path(words, word + len + 1, err);
    return set(words->params, key, word + len + 1, err);
}

/* By the same table as the server. */
static int check(const struct stasis_control_words *words, struct stasis_error *err)
{
    struct stasis_control_failure failure;
    struct stasis_control_args args;
    int rc = stasis_control_args_parse(words->method, words->params, &args, &failure);

    return rc ? stasis_fail(err, STASIS_ERR_ARG, "%s", failure.err.msg) : 0;
}

int stasis_control_words_parse(int count, char *const *words,
                               struct stasis_control_words *ret_words, struct stasis_error *err)
{
    struct stasis_control_words parsed = {.folder_fd = -1};
    int rc = 0;

    parsed.method = stasis_control_method_find(words[0]);
    if (!parsed.method)
        return unknown_method(words[0], err);
    parsed.params = json_object();
    if (!parsed.params)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the request");
    for (int i = 1; !rc && i < count; i++)
        rc = take_word(&parsed, words[i], err);
    if (!rc)
        rc = check(&parsed, err);
    if (rc) {
        stasis_control_words_fini(&parsed);
        return rc;
    }
    *ret_words = parsed;
    return 0;
}

void stasis_control_words_fini(struct stasis_control_words *words)
{
    json_decref(words->params);
    if (words->folder_fd >= 0)
        close(words->folder_fd);
}
