/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/output_rig.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char before[256];

int output_setup(void **state)
{
    (void)state;
    return !getcwd(before, sizeof(before)) || chdir(folder_make());
}

int output_teardown(void **state)
{
    (void)state;
    if (chdir(before))
        return 1;
    folder_remove();
    return 0;
}

void output_put_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

void output_assert_file(const char *path, const char *text)
{
    struct image image = image_read(path);

    assert_int_equal(image.len, strlen(text));
    assert_memory_equal(image.bytes, text, image.len);
    image_fini(&image);
}

int output_open_as(struct stasis_outputs *outputs, const char *path, enum stasis_output_kind kind,
                   struct stasis_output **ret_output, struct stasis_error *err)
{
    const struct stasis_output_opts opts = {.size = sizeof(opts), .kind = kind, .role = "B"};

    return stasis_output_open(outputs, path, &opts, ret_output, err);
}

struct stasis_output *output_opened(struct stasis_outputs *outputs, const char *path,
                                    enum stasis_output_kind kind)
{
    struct stasis_error err = {0};
    struct stasis_output *output = NULL;

    if (output_open_as(outputs, path, kind, &output, &err))
        fail_msg("%s: %s", path, err.msg);
    return output;
}

void output_refused(struct stasis_outputs *outputs, const char *path, enum stasis_output_kind kind,
                    int code, const char *words)
{
    struct stasis_error err = {0};
    struct stasis_output *output = NULL;
    int rc = output_open_as(outputs, path, kind, &output, &err);

    if (rc != code || !strstr(err.msg, words))
        fail_msg("%s, kind %d: %d \"%s\", expected %d \"%s\"", path, kind, rc, err.msg, code,
                 words);
    assert_null(output);
}

void output_refused_as_any(struct stasis_outputs *outputs, const char *path, const char *words)
{
    static const enum stasis_output_kind kinds[] = {STASIS_OUTPUT_REPLACED, STASIS_OUTPUT_IN_PLACE,
                                                    STASIS_OUTPUT_ANY};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        output_refused(outputs, path, kinds[i], STASIS_ERR_ARG, words);
}
