/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * stasis-lock: freezes our states when a release is made, and checks them against every release
 * since. Of use in a source tree only, so it is not installed.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/lock.h"
#include "state/locks.h"

/* Frozen text of a release is some 30 KiB. */
#define TEXT_MAX (4u << 20)

static const char licence[] = "SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause";

static struct stasis_lock_set our_set(void)
{
    struct stasis_lock_set set = {.size = sizeof(set)};

    set.schemas = stasis_schema_all(&set.schema_count);
    set.values = stasis_enum_all(&set.value_count);
    return set;
}

/* ---- freezing ---- */

static int print_schema(const char *release, struct stasis_error *err)
{
    struct stasis_lock_set set = our_set();

    printf(
        "# %s\n"
        "# The states of release %s. Written by stasis-lock schema when the release is made, and\n"
        "# never changed (docs/architecture.md, \"Versions\").\n",
        licence, release);
    return stasis_lock_write(&set, release, stdout, err);
}

static void print_locks(void)
{
    size_t count;
    const struct stasis_enum_value *values = stasis_enum_all(&count);

    printf("/* %s\n"
           " *\n"
           " * The record types of the last release: STASIS_LOCK(name, version, fingerprint), and "
           "the\n"
           " * named numbers in states. Written by stasis-lock locks when a release is made.\n"
           " */\n",
           licence);
    for (size_t i = 0; i < stasis_lock_row_count; i++)
        printf("STASIS_LOCK(%s, %u, 0x%08" PRIx32 ")\n", stasis_lock_rows[i].name,
               stasis_lock_rows[i].version, stasis_lock_rows[i].fingerprint);
    for (size_t i = 0; i < count; i++)
        printf("STASIS_LOCK_ENUM(%s, %s, %" PRIu32 ")\n", values[i].set->name, values[i].name,
               values[i].number);
}

/* ---- checking ---- */

static int read_text(const char *path, char **ret_text, size_t *ret_len, struct stasis_error *err)
{
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(TEXT_MAX) : NULL;
    int rc = 0;

    if (!file || !text) {
        rc = stasis_fail_errno(err, STASIS_ERR_IO, "cannot read %s", path);
        goto done;
    }
    *ret_len = fread(text, 1, TEXT_MAX, file);
    if (ferror(file) || *ret_len == TEXT_MAX) {
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "%s: cannot be read, or is too long", path);
        goto done;
    }
    *ret_text = text;
    text = NULL;
done:
    free(text);
    if (file)
        fclose(file);
    return rc;
}

static void print_change(void *ctx, enum stasis_lock_class class, bool refused, const char *text)
{
    (void)ctx;
    (void)class;
    printf("%s %s\n", refused ? "refused" : "allowed", text);
}

static bool nothing_compared(const struct stasis_lock_result *result)
{
    return !result->records || !result->nested || !result->fields || !result->values;
}

/* Compares with one release, and says what was done even if nothing differs. */
static int check_file(const struct stasis_lock_set *set, const char *path,
                      struct stasis_lock_result *ret_result, struct stasis_error *err)
{
    char *text = NULL;
    size_t len = 0;
    int rc = read_text(path, &text, &len, err);

    if (rc)
        return rc;
    rc = stasis_lock_check(set, text, len, print_change, NULL, ret_result, err);
    free(text);
    if (rc && rc != STASIS_ERR_VERSION)
        return stasis_wrap(err, rc, "%s", path);
    printf("release %s: compared %" PRIu32 " records, %" PRIu32 " nested states, %" PRIu32
           " fields, %" PRIu32 " named numbers: %" PRIu32 " changes allowed, %" PRIu32 " refused\n",
           ret_result->release, ret_result->records, ret_result->nested, ret_result->fields,
           ret_result->values, ret_result->allowed, ret_result->refused);
    if (!rc && nothing_compared(ret_result))
        rc = stasis_fail(err, STASIS_ERR_INTERNAL, "%s: nothing was compared", path);
    return rc;
}

/* Refused changes of one release do not hide those of the next. */
static int check_files(const struct stasis_lock_set *set, char **paths, size_t count,
                       struct stasis_error *err)
{
    int result = 0;

    for (size_t i = 0; i < count; i++) {
        struct stasis_lock_result compared;
        struct stasis_error failure;
        int rc = check_file(set, paths[i], &compared, &failure);

        if (!rc)
            continue;
        *err = failure;
        result = rc;
        if (rc != STASIS_ERR_VERSION)
            break;
    }
    return result;
}

static int check(char **paths, size_t count, struct stasis_error *err)
{
    struct stasis_lock_set set = our_set();
    int rc = stasis_lock_check_set(&set, err);

    return rc ? rc : check_files(&set, paths, count, err);
}

static int usage(void)
{
    fputs("usage: stasis-lock schema RELEASE   print the states of this release, to be frozen\n"
          "       stasis-lock locks            print state/lock.def\n"
          "       stasis-lock check FILE...    check the states against frozen releases\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct stasis_error err = {0};
    int rc = 0;

    if (argc == 3 && !strcmp(argv[1], "schema"))
        rc = print_schema(argv[2], &err);
    else if (argc == 2 && !strcmp(argv[1], "locks"))
        print_locks();
    else if (argc > 2 && !strcmp(argv[1], "check"))
        rc = check(argv + 2, (size_t)argc - 2, &err);
    else
        return usage();
    if (!rc && (fflush(stdout) || ferror(stdout)))
        rc = stasis_fail_errno(&err, STASIS_ERR_WRITE, "cannot write to standard output");
    if (rc)
        fprintf(stderr, "stasis-lock: %s\n", err.msg);
    return rc == STASIS_ERR_VERSION ? 1 : stasis_err_exit_status(rc);
}
