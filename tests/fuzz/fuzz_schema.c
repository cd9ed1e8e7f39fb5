/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A schema section, and behind it a state section that is shown by it: the first four bytes are
 * the length of the schemas.
 */
#include "fuzz.h"

#include "state-ser/snap/le.h"
#include "stasis/schema_set.h"
#include "tools/fields.h"

static void on_field(void *ctx, const char *path, const struct stasis_scalar *a,
                     const struct stasis_scalar *b)
{
    FUZZ_ASSERT(path[0] && (a || b));
    stasis_scalar_put_text(a ? a : b, ctx);
}

/* Each record against the one before it, and the first against nothing. */
static void compare(const struct stasis_records *set)
{
    struct stasis_side last = {.schema = NULL};
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    FUZZ_ASSERT(out);
    for (size_t i = 0; i < stasis_records_count(set); i++) {
        struct stasis_side side;

        FUZZ_ASSERT(!stasis_side_init(&side, set, i, NULL));
        FUZZ_ASSERT(!stasis_fields_walk(&last, &side, on_field, out, NULL));
        stasis_side_fini(&last);
        last = side;
    }
    stasis_side_fini(&last);
    fclose(out);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const struct stasis_parse_opts tolerant = {.size = sizeof(tolerant), .tolerant = true};
    struct stasis_schema_set *schemas = NULL;
    struct stasis_records *set = NULL;
    struct stasis_error err = {0};
    uint8_t *copy;
    size_t split;

    if (len < 4)
        return 0;
    split = stasis_le32_get(bytes);
    split = split > len - 4 ? len - 4 : split;
    copy = fuzz_copy(bytes + 4, split);
    if (stasis_schema_set_parse(copy, split, &schemas, &err))
        FUZZ_ASSERT(!schemas && err.code && err.msg[0]);
    free(copy);
    copy = fuzz_copy(bytes + 4 + split, len - 4 - split);
    if (schemas && !stasis_records_parse(copy, len - 4 - split, &tolerant, &set, NULL)) {
        FUZZ_ASSERT(!stasis_records_use_embedded_schemas(set, schemas, NULL));
        fuzz_show(set);
        compare(set);
    }
    stasis_records_free(set);
    stasis_schema_set_free(schemas);
    free(copy);
    return 0;
}
