/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Two states side by side, field id by field id: so a state of another version can be compared too,
 * and one whose schema came with its file. Functions that call themselves do so along the nesting
 * of the schemas (STASIS_SCHEMA_DEPTH_MAX) only.
 */
#include <inttypes.h>
#include <string.h>

#include "stasis/field.h"
#include "tools/diff.h"

#define PATH_SIZE 256

/* Elements of longer lists are matched by place, which takes no search. */
#define SEARCH_MAX 1024u

struct side {
    const struct stasis_schema *schema;
    const uint8_t *base; /* NULL: not there */
};

struct walk {
    const struct stasis_diff_sink *sink;
    uint32_t a_version; /* of the records */
    uint32_t b_version;
};

/* ---- values ---- */

static const struct stasis_diff_value absent = {.kind = STASIS_DIFF_ABSENT};

static void set_hex(struct stasis_diff_value *value, const uint8_t *bytes, size_t len)
{
    size_t room = (sizeof(value->text) - 4) / 2;
    size_t shown = len < room ? len : room;

    value->kind = STASIS_DIFF_TEXT;
    for (size_t i = 0; i < shown; i++)
        snprintf(value->text + 2 * i, 3, "%02x", bytes[i]);
    snprintf(value->text + 2 * shown, 4, "%s", shown < len ? "..." : "");
}

static void set_str(struct stasis_diff_value *value, const char *str)
{
    size_t max = sizeof(value->text) - 4;
    size_t len = strnlen(str, max + 1);

    value->kind = STASIS_DIFF_TEXT;
    if (len <= max) {
        memcpy(value->text, str, len + 1);
        return;
    }
    len = max;
    while (len && ((unsigned char)str[len] & 0xc0) == 0x80) /* not within a character */
        len--;
    memcpy(value->text, str, len);
    memcpy(value->text + len, "...", 4);
}

/* Element `index` of a field that holds no state; false if it has no such element. */
static bool get(const struct stasis_field *field, const uint8_t *base, uint32_t index,
                struct stasis_diff_value *ret_value)
{
    const uint8_t *at = base ? base + field->offset : NULL;
    uint32_t len;

    *ret_value = absent;
    if (!at)
        return false;
    switch (field->kind) {
    case STASIS_KIND_INT:
    case STASIS_KIND_INTS:
        if (index >= field->max)
            return false;
        ret_value->kind = field->is_signed ? STASIS_DIFF_SIGNED : STASIS_DIFF_UNSIGNED;
        ret_value->number = stasis_field_get_int(field, base, index);
        return true;
    case STASIS_KIND_BUF:
        len = stasis_field_get_count(field, base);
        if (field->elem_size == 1 ? index > 0 : index >= len / field->elem_size)
            return false;
        set_hex(ret_value, at + (size_t)index * field->elem_size,
                field->elem_size == 1 ? len : field->elem_size);
        return true;
    case STASIS_KIND_STR:
        if (index > 0)
            return false;
        set_str(ret_value, (const char *)at);
        return true;
    case STASIS_KIND_STRUCT:
    case STASIS_KIND_LIST:
        break;
    }
    return false;
}

static bool is_same(const struct stasis_diff_value *a, const struct stasis_diff_value *b)
{
    if (a->kind == STASIS_DIFF_TEXT || b->kind == STASIS_DIFF_TEXT)
        return a->kind == b->kind && !strcmp(a->text, b->text);
    return a->kind == b->kind && a->number == b->number;
}

/* A text that was cut may hide what differs behind it. */
static bool is_same_buf(const struct stasis_field *field, const uint8_t *a,
                        const struct stasis_field *other, const uint8_t *b)
{
    uint32_t len;

    if (field->kind == STASIS_KIND_STR)
        return !strcmp((const char *)a + field->offset, (const char *)b + other->offset);
    if (field->kind != STASIS_KIND_BUF || field->elem_size != 1)
        return true;
    len = stasis_field_get_count(field, a);
    return len == stasis_field_get_count(other, b) &&
           !memcmp(a + field->offset, b + other->offset, len);
}

/* ---- fields ---- */

static void diff_plain(const struct walk *walk, const char *path, const struct stasis_field *a,
                       const uint8_t *a_base, const struct stasis_field *b, const uint8_t *b_base)
{
    bool many = (a ? a : b)->kind == STASIS_KIND_INTS ||
                ((a ? a : b)->kind == STASIS_KIND_BUF && (a ? a : b)->elem_size > 1);

    for (uint32_t i = 0;; i++) {
        struct stasis_diff_value left = absent, right = absent;
        bool more = a && get(a, a_base, i, &left);
        char element[PATH_SIZE + 16];

        more = (b && get(b, b_base, i, &right)) || more;
        if (!more)
            return;
        if (is_same(&left, &right) &&
            (!a || !b || !a_base || !b_base || is_same_buf(a, a_base, b, b_base)))
            continue;
        snprintf(element, sizeof(element), many ? "%s[%" PRIu32 "]" : "%s", path, i);
        walk->sink->field(walk->sink->ctx, element, &left, &right);
    }
}

static void diff_fields(const struct walk *walk, const char *path, struct side a, struct side b);

/* ---- lists ---- */

/* What tells the elements of a list apart, by the name of the nested state; else their place. */
static const struct {
    const char *type;
    const char *fields[2];
} keys[] = {
    {"x86_msr", {"index", NULL}},
    {"x86_cpuid_leaf", {"function", "index"}},
    {"board_device", {"type", "instance"}},
    {"ram_region", {"gpa", NULL}},
};

static const struct stasis_field *field_named(const struct stasis_schema *schema, const char *name)
{
    for (uint32_t i = 0; name && i < schema->field_count; i++) {
        if (!strcmp(schema->fields[i].name, name))
            return &schema->fields[i];
    }
    return NULL;
}

/* "0x10", "0x7,0x0", "stasis.serial,com1"; "3" for the place. */
static void key_of(const struct stasis_schema *schema, const uint8_t *element, uint32_t place,
                   char ret_key[96])
{
    size_t used = 0;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        for (size_t k = 0; k < 2 && !strcmp(keys[i].type, schema->type); k++) {
            const struct stasis_field *field = field_named(schema, keys[i].fields[k]);
            struct stasis_diff_value value;

            if (!field || !get(field, element, 0, &value))
                continue;
            if (value.kind == STASIS_DIFF_TEXT)
                used += (size_t)snprintf(ret_key + used, 96 - used, "%s%.40s", used ? "," : "",
                                         value.text);
            else
                used += (size_t)snprintf(ret_key + used, 96 - used, "%s0x%" PRIx64, used ? "," : "",
                                         value.number);
        }
    }
    if (!used)
        snprintf(ret_key, 96, "%" PRIu32, place);
}

static const uint8_t *element_at(const struct stasis_field *field, const uint8_t *base, uint32_t i)
{
    return base + field->offset + (size_t)i * field->elem_size;
}

static uint32_t count_of(const struct stasis_field *field, const uint8_t *base)
{
    if (!field || !base)
        return 0;
    return field->kind == STASIS_KIND_LIST ? stasis_field_get_count(field, base) : 1;
}

/* The element with this key, or NULL. `guess` is where it lies if nothing was put in before. */
static const uint8_t *find(const struct stasis_field *field, const uint8_t *base, const char *key,
                           uint32_t guess)
{
    uint32_t count = count_of(field, base);
    char other[96];

    if (guess < count) {
        key_of(field->sub, element_at(field, base, guess), guess, other);
        if (!strcmp(key, other))
            return element_at(field, base, guess);
    }
    for (uint32_t i = 0; i < count && count <= SEARCH_MAX; i++) {
        key_of(field->sub, element_at(field, base, i), i, other);
        if (!strcmp(key, other))
            return element_at(field, base, i);
    }
    return NULL;
}

static void diff_element(const struct walk *walk, const char *path, const char *key,
                         const struct stasis_field *a, const uint8_t *a_element,
                         const struct stasis_field *b, const uint8_t *b_element)
{
    char below[PATH_SIZE];

    snprintf(below, sizeof(below), "%.120s[%.96s].", path, key);
    diff_fields(walk, below, (struct side){a ? a->sub : NULL, a_element},
                (struct side){b ? b->sub : NULL, b_element});
}

static void diff_list(const struct walk *walk, const char *path, const struct stasis_field *a,
                      const uint8_t *a_base, const struct stasis_field *b, const uint8_t *b_base)
{
    char key[96];

    for (uint32_t i = 0; i < count_of(a, a_base); i++) {
        const uint8_t *element = element_at(a, a_base, i);

        key_of(a->sub, element, i, key);
        diff_element(walk, path, key, a, element, b, b ? find(b, b_base, key, i) : NULL);
    }
    for (uint32_t i = 0; i < count_of(b, b_base); i++) {
        const uint8_t *element = element_at(b, b_base, i);

        key_of(b->sub, element, i, key);
        if (!a || !find(a, a_base, key, i))
            diff_element(walk, path, key, a, NULL, b, element);
    }
}

/* ---- states ---- */

static void diff_field(const struct walk *walk, const char *path, const struct stasis_field *a,
                       const uint8_t *a_base, const struct stasis_field *b, const uint8_t *b_base)
{
    const struct stasis_field *any = a ? a : b;
    char name[PATH_SIZE];

    snprintf(name, sizeof(name), "%.160s%.80s", path, any->name);
    if (a && b && a->kind != b->kind) { /* another field under the same id */
        diff_field(walk, path, a, a_base, NULL, NULL);
        diff_field(walk, path, NULL, NULL, b, b_base);
        return;
    }
    if (any->kind == STASIS_KIND_LIST) {
        diff_list(walk, name, a, a_base, b, b_base);
    } else if (any->kind == STASIS_KIND_STRUCT) {
        strncat(name, ".", sizeof(name) - strlen(name) - 1);
        diff_fields(walk, name,
                    (struct side){a ? a->sub : NULL, a && a_base ? a_base + a->offset : NULL},
                    (struct side){b ? b->sub : NULL, b && b_base ? b_base + b->offset : NULL});
    } else {
        diff_plain(walk, name, a, a_base, b, b_base);
    }
}

static const struct stasis_field *next_field(const struct stasis_schema *schema, uint32_t version,
                                             uint32_t *index)
{
    while (schema && *index < schema->field_count) {
        if (stasis_field_in(&schema->fields[*index], version))
            return &schema->fields[*index];
        ++*index;
    }
    return NULL;
}

static void diff_fields(const struct walk *walk, const char *path, struct side a, struct side b)
{
    uint32_t i = 0, j = 0;

    for (;;) {
        const struct stasis_field *left = next_field(a.schema, walk->a_version, &i);
        const struct stasis_field *right = next_field(b.schema, walk->b_version, &j);

        if (!left && !right)
            return;
        if (left && right && left->id != right->id) {
            if (left->id < right->id)
                right = NULL;
            else
                left = NULL;
        }
        diff_field(walk, path, left, a.base, right, b.base);
        i += left != NULL;
        j += right != NULL;
    }
}

void stasis_diff_state(const struct stasis_diff_sink *sink, const struct stasis_schema *a_schema,
                       const void *a, const struct stasis_schema *b_schema, const void *b)
{
    const struct walk walk = {sink, a_schema->version, b_schema->version};

    diff_fields(&walk, "", (struct side){a_schema, a}, (struct side){b_schema, b});
}
