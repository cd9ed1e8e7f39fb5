/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/vmgenid.h"

struct rig {
    struct stasis_vmgenid dev;
    uint8_t stored[STASIS_VMGENID_BYTES];
    uint8_t found[STASIS_VMGENID_BYTES]; /* by the guest when it was told */
    unsigned stores, changes;
    bool fails;
};

static struct rig rig;
static const uint8_t first[STASIS_VMGENID_BYTES] = "0123456789abcde";
static const uint8_t second[STASIS_VMGENID_BYTES] = "fedcba987654321";

static int on_store(void *ctx, const uint8_t id[STASIS_VMGENID_BYTES], struct stasis_error *err)
{
    struct rig *r = ctx;

    if (r->fails)
        return stasis_fail(err, STASIS_ERR_ARG, "no memory there");
    r->stores++;
    memcpy(r->stored, id, STASIS_VMGENID_BYTES);
    return 0;
}

static void on_changed(void *ctx)
{
    struct rig *r = ctx;

    r->changes++;
    memcpy(r->found, r->stored, STASIS_VMGENID_BYTES);
}

static const struct stasis_vmgenid_ops ops = {on_store, on_changed};

static int setup(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    stasis_vmgenid_init(&rig.dev, &ops, &rig);
    return 0;
}

static struct stasis_vmgenid_state saved(void)
{
    struct stasis_vmgenid_state state;

    memset(&state, 0xff, sizeof(state));
    stasis_vmgenid_save(&rig.dev, &state);
    return state;
}

static void new_device_has_no_id(void **state)
{
    static const uint8_t zeros[STASIS_VMGENID_BYTES];

    (void)state;
    assert_memory_equal(saved().id, zeros, sizeof(zeros));
    assert_int_equal(rig.stores + rig.changes, 0);
}

static void first_id_is_no_change(void **state)
{
    (void)state;
    assert_int_equal(stasis_vmgenid_set(&rig.dev, first, NULL), 0);
    assert_memory_equal(rig.stored, first, sizeof(first));
    assert_memory_equal(saved().id, first, sizeof(first));
    assert_int_equal(rig.changes, 0);
}

/* A guest that looks at once must not find the old one. */
static void another_id_is_stored_before_the_guest_is_told(void **state)
{
    (void)state;
    assert_int_equal(stasis_vmgenid_set(&rig.dev, first, NULL), 0);
    assert_int_equal(stasis_vmgenid_renew(&rig.dev, second, NULL), 0);
    assert_int_equal(rig.changes, 1);
    assert_memory_equal(rig.found, second, sizeof(second));
    assert_memory_equal(saved().id, second, sizeof(second));
}

static void failure_changes_nothing(void **state)
{
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_vmgenid_set(&rig.dev, first, NULL), 0);
    rig.fails = true;
    assert_int_equal(stasis_vmgenid_renew(&rig.dev, second, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_vmgenid_set(&rig.dev, second, &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "no memory there");
    assert_int_equal(rig.changes, 0);
    assert_memory_equal(saved().id, first, sizeof(first));
}

/* The bytes are in the guest's memory already. */
static void restore_stores_nothing(void **state)
{
    struct stasis_vmgenid_state given;

    (void)state;
    memcpy(given.id, second, sizeof(second));
    assert_int_equal(stasis_vmgenid_restore(&rig.dev, &given, NULL), 0);
    assert_memory_equal(saved().id, second, sizeof(second));
    assert_int_equal(rig.stores + rig.changes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(new_device_has_no_id, setup),
        cmocka_unit_test_setup(first_id_is_no_change, setup),
        cmocka_unit_test_setup(another_id_is_stored_before_the_guest_is_told, setup),
        cmocka_unit_test_setup(failure_changes_nothing, setup),
        cmocka_unit_test_setup(restore_stores_nothing, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
