/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take(char *to, size_t size, const char *value)
{
    assert_true(strlen(value) < size);
    strcpy(to, value);
}

/* "7 nonce=", and 32 digits */
static void take_tick(const char *value, struct golden_expect *expect)
{
    char *end;

    expect->tick = (unsigned)strtoul(value, &end, 10);
    assert_true(end > value && !strncmp(end, " nonce=", 7));
    take(expect->nonce, sizeof(expect->nonce), end + 7);
}

static void take_line(const char *line, struct golden_expect *expect)
{
    const char *value = strchr(line, ' ');

    assert_non_null(value);
    value++;
    if (!strncmp(line, "tick ", 5)) {
        take_tick(value, expect);
    } else if (!strncmp(line, "root ", 5)) {
        take(expect->root, sizeof(expect->root), value);
    } else if (!strncmp(line, "target ", 7)) {
        take(expect->target, sizeof(expect->target), value);
    } else if (!strncmp(line, "option ", 7)) {
        assert_true(expect->option_count < GOLDEN_OPTIONS_MAX);
        take(expect->options[expect->option_count++], sizeof(expect->options[0]), value);
    } else {
        fail_msg("%s?", line);
    }
}

bool golden_expect_read(const char *path, struct golden_expect *ret_expect)
{
    FILE *file = fopen(path, "re");
    char line[192];

    if (!file)
        return false;
    memset(ret_expect, 0, sizeof(*ret_expect));
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        take_line(line, ret_expect);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(strlen(ret_expect->nonce), 32);
    return true;
}
