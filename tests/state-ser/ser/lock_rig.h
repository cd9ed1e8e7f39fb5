/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Frozen states of a program of its own that has made releases: what the lists of this one, which
 * are edited by tests/schema, have no past for yet.
 */
#ifndef STASIS_TESTS_LOCK_RIG_H
#define STASIS_TESTS_LOCK_RIG_H

#include "stasis/lock.h"

struct lock_part {
    uint8_t p;
};

struct lock_state {
    uint32_t a;
    uint32_t b_len;
    uint8_t b[8];
    char c[10];
    uint32_t d_count;
    struct lock_part d[3];
};

/* A record at version 3: `b` grew with version 2, `c` was gone from 3, to which there is a step. */
struct lock_rig {
    struct stasis_field fields[4], part_fields[1];
    struct stasis_old_bound old_bounds[3];
    struct stasis_migration migrations[4];
    struct stasis_schema record, part;
    struct stasis_enum_set color;
    struct stasis_enum_value values[3];
    const struct stasis_schema *schemas[2];
    struct stasis_lock_set set;
};

/* Of one case: the states, as the program has them now; what its release has frozen of them; and
 * what the last comparison said, found and failed with. */
extern struct lock_rig now;
extern char *frozen;
extern char said[4096];
extern struct stasis_lock_result result;
extern struct stasis_error err;

int lock_setup(void **state);
int lock_teardown(void **state);

void lock_fill(struct lock_rig *rig);
char *lock_freeze(const struct stasis_lock_set *set);
int lock_compare(const char *text);

#endif
