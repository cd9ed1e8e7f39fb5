/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/fields_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/field.h"

#define NAME_MAX_SHOWN 32

/* Nested states, and the fields that tell one from another in its list. */
static const struct {
    const char *type;
    const char *fields[2];
} rows[] = {
    {"x86_msr", {"index"}},
    {"x86_cpuid_leaf", {"function", "index"}},
    {"board_device", {"instance"}},
    {"ram_region", {"gpa"}},
};

static const struct stasis_field *find_field(const struct stasis_schema *schema, const char *name)
{
    for (uint32_t i = 0; name && i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];

        if (!strcmp(field->name, name) &&
            (field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_STR))
            return field;
    }
    return NULL;
}

static bool find_fields(const struct stasis_schema *schema,
                        const struct stasis_field *ret_fields[2])
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(schema->type, rows[i].type) != 0)
            continue;
        ret_fields[0] = find_field(schema, rows[i].fields[0]);
        ret_fields[1] = find_field(schema, rows[i].fields[1]);
        return ret_fields[0];
    }
    return false;
}

static void fill_key(struct stasis_keys *keys, uint32_t index,
                     const struct stasis_field *const fields[2], const uint8_t *element)
{
    struct stasis_key key = {.name = "", .index = index};

    keys->numbers = 0;
    for (unsigned i = 0; i < 2 && fields[i]; i++) {
        if (fields[i]->kind == STASIS_KIND_STR)
            key.name = (const char *)element + fields[i]->offset;
        else
            key.numbers[keys->numbers++] = stasis_field_get_int(fields[i], element, 0);
    }
    keys->keys[index] = key;
}

int stasis_key_compare(const struct stasis_key *a, const struct stasis_key *b)
{
    int order = strcmp(a->name, b->name);

    for (unsigned i = 0; i < 2 && !order; i++)
        order = (a->numbers[i] > b->numbers[i]) - (a->numbers[i] < b->numbers[i]);
    return order;
}

static int by_key(const void *a, const void *b)
{
    return stasis_key_compare(a, b);
}

/* A file may call two elements alike, or one by something that is no name. */
static bool are_names(const struct stasis_keys *keys)
{
    for (uint32_t i = 0; i < keys->count; i++) {
        if (i && !stasis_key_compare(&keys->keys[i - 1], &keys->keys[i]))
            return false;
        if (strspn(keys->keys[i].name, "abcdefghijklmnopqrstuvwxyz0123456789._-") !=
                strlen(keys->keys[i].name) ||
            strlen(keys->keys[i].name) > NAME_MAX_SHOWN)
            return false;
    }
    return true;
}

int stasis_keys_init(struct stasis_keys *keys, const struct stasis_field *field,
                     const uint8_t *base, struct stasis_error *err)
{
    const struct stasis_field *fields[2];

    *keys = (struct stasis_keys){.count = field ? stasis_field_get_count(field, base) : 0};
    if (field && !find_fields(field->sub, fields))
        return 0;
    keys->keys = malloc(((size_t)keys->count + 1) * sizeof(*keys->keys));
    if (!keys->keys)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to sort a list");
    for (uint32_t i = 0; field && i < keys->count; i++)
        fill_key(keys, i, fields, base + field->offset + (size_t)i * field->elem_size);
    qsort(keys->keys, keys->count, sizeof(*keys->keys), by_key);
    if (!are_names(keys))
        stasis_keys_fini(keys);
    return 0;
}

void stasis_keys_fini(struct stasis_keys *keys)
{
    free(keys->keys);
    keys->keys = NULL;
}

void stasis_key_text(const struct stasis_keys *keys, const struct stasis_key *key,
                     char ret_text[STASIS_KEY_TEXT_MAX])
{
    if (!keys->numbers)
        snprintf(ret_text, STASIS_KEY_TEXT_MAX, "[%s]", key->name);
    else if (keys->numbers == 1)
        snprintf(ret_text, STASIS_KEY_TEXT_MAX, "[0x%" PRIx64 "]", key->numbers[0]);
    else
        snprintf(ret_text, STASIS_KEY_TEXT_MAX, "[0x%" PRIx64 ",0x%" PRIx64 "]", key->numbers[0],
                 key->numbers[1]);
}
