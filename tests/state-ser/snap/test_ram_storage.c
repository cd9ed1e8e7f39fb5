/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * RAM out of storage of the caller's, in every mode that there is for it.
 */
#include "tests/state-ser/snap/memory_rig.h"
#include "tests/state-ser/snap/ram_rig.h"

#include <string.h>

/* Maps memory for the snapshot in the storage and attaches it; the snapshot is freed at once. */
static void attach(struct rig *rig, struct memory *memory, enum stasis_ram_mode mode)
{
    const struct stasis_storage storage = memory_storage(memory);
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;

    *rig = (struct rig){0};
    if (stasis_snap_open_storage(&storage, NULL, &snap, &err) ||
        rig_try_snap(rig, snap, RIG_FRESH, (struct stasis_ram_opts){.mode = mode}, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(snap);
}

static void every_mode_but_map(void **state)
{
    struct built built;
    struct memory memory = {0};
    struct rig rig;

    (void)state;
    built_large(&built);
    memory.image = image_of(&built);
    for (size_t m = 0; m < RIG_MODES; m++) {
        enum stasis_ram_mode mode = rig_modes[m];
        bool maps = mode == STASIS_RAM_MAP;

        if (mode != STASIS_RAM_COPY && !has_lazy())
            continue;
        attach(&rig, &memory, mode);
        assert_int_equal(stasis_ram_mode(rig.ram), maps ? STASIS_RAM_LAZY : mode);
        if (maps)
            assert_string_equal(stasis_ram_reason(rig.ram),
                                "the snapshot is not in a file; memory=lazy instead of map");
        else
            assert_null(stasis_ram_reason(rig.ram));
        assert_same(&rig, &built);
        rig_wait(&rig);
        assert_same(&rig, &built);
        assert_int_equal(rig.failures, 0);
        rig_fini(&rig);
    }
    memory_fini(&memory);
    built_fini(&built);
}

/* The storage has not become shorter, whatever the engine finds wrong with it. */
static void a_damaged_chunk_is_described(void **state)
{
    struct stasis_error err = {0};
    struct built built;
    struct memory memory = {0};
    struct rig rig;

    (void)state;
    built_large(&built);
    memory.image = image_of(&built);
    attach(&rig, &memory, STASIS_RAM_COPY);
    assert_true(stasis_ram_describe_failure(rig.ram, (uint8_t *)rig.host[0] + 0x10000, &err));
    assert_int_equal(strncmp(err.msg, "slot 3: chunk 1, guest address 0x10000", 38), 0);
    assert_non_null(strstr(err.msg, "damaged, or it cannot be read"));
    rig_fini(&rig);
    memory_fini(&memory);
    built_fini(&built);
}

static void a_chunk_that_is_damaged_in_storage_is_refused(void **state)
{
    struct stasis_error err = {0};
    struct built built;
    struct memory memory = {0};
    struct rig rig;

    (void)state;
    if (!has_lazy())
        return;
    built_large(&built);
    memory.image = image_of(&built);
    memory.image.bytes[memory.image.len - 1] ^= 1;
    attach(&rig, &memory, STASIS_RAM_LAZY);
    assert_int_equal(stasis_ram_finish(rig.ram, 1, NULL, NULL, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "slot 3: chunk "));
    assert_int_equal(rig.failures, 1);
    rig_fini(&rig);
    memory_fini(&memory);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mode_but_map),
        cmocka_unit_test(a_damaged_chunk_is_described),
        cmocka_unit_test(a_chunk_that_is_damaged_in_storage_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
