/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "lock_rig.h"

#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

void lock_fill(struct lock_rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    rig->part_fields[0] = (struct stasis_field){
        .id = 1, .since = 1, .elem_size = 1, .max = 1, .mask = 1, .name = "p", .doc = ""};
    rig->part = (struct stasis_schema){.type = "part",
                                       .version = 1,
                                       .size = sizeof(struct lock_part),
                                       .fields = rig->part_fields,
                                       .field_count = 1,
                                       .doc = ""};
    rig->fields[0] = (struct stasis_field){.id = 1,
                                           .since = 1,
                                           .elem_size = 4,
                                           .max = 1,
                                           .mask = 0xff,
                                           .offset = offsetof(struct lock_state, a),
                                           .name = "a",
                                           .doc = ""};
    rig->fields[1] = (struct stasis_field){.id = 2,
                                           .since = 1,
                                           .kind = STASIS_KIND_BUF,
                                           .elem_size = 2,
                                           .max = 8,
                                           .offset = offsetof(struct lock_state, b),
                                           .count_offset = offsetof(struct lock_state, b_len),
                                           .name = "b",
                                           .doc = ""};
    rig->fields[2] = (struct stasis_field){.id = 3,
                                           .since = 1,
                                           .until = 3,
                                           .kind = STASIS_KIND_STR,
                                           .elem_size = 1,
                                           .max = 9,
                                           .offset = offsetof(struct lock_state, c),
                                           .default_str = "two words",
                                           .name = "c",
                                           .doc = ""};
    rig->fields[3] = (struct stasis_field){.id = 4,
                                           .since = 2,
                                           .kind = STASIS_KIND_LIST,
                                           .elem_size = sizeof(struct lock_part),
                                           .max = 3,
                                           .offset = offsetof(struct lock_state, d),
                                           .count_offset = offsetof(struct lock_state, d_count),
                                           .sub = &rig->part,
                                           .name = "d",
                                           .doc = ""};
    rig->old_bounds[0] = (struct stasis_old_bound){.before = 2, .id = 2, .bound = 4};
    rig->migrations[0] = (struct stasis_migration){.to = 3};
    rig->record = (struct stasis_schema){.type = "own.record",
                                         .version = 3,
                                         .size = sizeof(struct lock_state),
                                         .fields = rig->fields,
                                         .field_count = 4,
                                         .history = rig->old_bounds,
                                         .migrations = rig->migrations,
                                         .doc = ""};
    rig->color = (struct stasis_enum_set){.name = "COLOR", .record = "own.record"};
    rig->values[0] = (struct stasis_enum_value){&rig->color, "RED", 1, 1, "red"};
    rig->values[1] = (struct stasis_enum_value){&rig->color, "BLUE", 2, 3, "blue"};
    rig->schemas[0] = &rig->record;
    rig->set = (struct stasis_lock_set){.size = sizeof(rig->set),
                                        .schemas = rig->schemas,
                                        .schema_count = 1,
                                        .values = rig->values,
                                        .value_count = 2};
}

char *lock_freeze(const struct stasis_lock_set *set)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_int_equal(stasis_lock_write(set, "1.2.3", out, NULL), 0);
    fclose(out);
    return text;
}

struct lock_rig now;
char *frozen;
char said[4096];
struct stasis_lock_result result;
struct stasis_error err;

int lock_setup(void **state)
{
    (void)state;
    lock_fill(&now);
    frozen = lock_freeze(&now.set);
    memset(&result, 0, sizeof(result));
    memset(&err, 0, sizeof(err));
    said[0] = '\0';
    return 0;
}

int lock_teardown(void **state)
{
    (void)state;
    free(frozen);
    return 0;
}

static void hear(void *ctx, enum stasis_lock_class class, bool refused, const char *text)
{
    size_t len = strlen(said);

    assert_ptr_equal(ctx, &now);
    snprintf(said + len, sizeof(said) - len, "%s %s\n", refused ? "refused" : "allowed", text);
    assert_non_null(strstr(text, stasis_lock_class_str(class)));
}

int lock_compare(const char *text)
{
    said[0] = '\0';
    return stasis_lock_check(&now.set, text, strlen(text), hear, &now, &result, &err);
}
