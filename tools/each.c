/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/each.h"

#include "tools/streams.h"

/* The worse of two exit statuses. */
static int worse(int a, int b)
{
    static const int worst_first[] = {1, 7, 3, 4, 9, 2};

    for (size_t i = 0; i < sizeof(worst_first) / sizeof(worst_first[0]); i++)
        if (a == worst_first[i] || b == worst_first[i])
            return worst_first[i];
    return a ? a : b;
}

static int run_one(const struct stasis_inspect_args *args, size_t index,
                   int (*fn)(const struct stasis_inspect_args *args, FILE *out,
                             struct stasis_error *err),
                   FILE *out, struct stasis_error *err)
{
    struct stasis_inspect_args one = *args;
    int rc;

    one.operands = args->operands + index;
    one.operand_count = 1;
    one.outputs = stasis_outputs_new();
    rc = one.outputs ? fn(&one, out, err) : stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");
    stasis_outputs_free(one.outputs);
    return rc;
}

int stasis_inspect_each(const struct stasis_inspect_args *args,
                        int (*fn)(const struct stasis_inspect_args *args, FILE *out,
                                  struct stasis_error *err),
                        const char *good, FILE *out, struct stasis_error *err)
{
    size_t failed = 0;
    int status = 0;

    for (size_t i = 0; i < args->operand_count; i++) {
        int rc = run_one(args, i, fn, out, err);

        if (rc == STASIS_ERR_NOMEM)
            return rc;
        (void)fflush(out); /* the lines of both streams are in the order of the files */
        if (rc)
            status = worse(status, stasis_inspect_say(err));
        failed += rc != 0;
    }
    fprintf(out, "%zu files: %zu %s", args->operand_count, args->operand_count - failed, good);
    if (failed)
        fprintf(out, ", %zu failed", failed);
    fputc('\n', out);
    return status;
}
