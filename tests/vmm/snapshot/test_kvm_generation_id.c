/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The generation id as a snapshot holds it, in guest RAM and in the record, after a thaw in each
 * memory mode: it is written into RAM that may not be there yet. That the guest is told is in
 * test_kvm_events.c.
 */
#include "vmm/session_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state-ser/snap/ram_io.h"

#define RAM_BYTES (8u << 20)

static const char *const modes[] = {"copy", "map", "lazy"};

static struct session session;
static struct session_folder folder;

/* Of a file; RAM and record must agree. */
static void read_id(const char *path, uint8_t id[16])
{
    struct stasis_vmgenid_state state;
    struct stasis_snap *snap = NULL;
    struct stasis_error err;
    uint8_t *ram = malloc(RAM_BYTES);

    assert_non_null(ram);
    kvm_ok(stasis_snap_open(path, NULL, &snap, &err), &err);
    kvm_record(snap, &stasis_vmgenid_schema, "vmgenid", &state);
    kvm_ok(stasis_snap_get_ram(snap, 0, ram, RAM_BYTES, NULL, NULL, &err), &err);
    memcpy(id, ram + STASIS_BOARD_VMGENID, 16);
    assert_memory_equal(id, state.id, 16);
    stasis_snap_free(snap);
    free(ram);
}

static bool has_mode(const char *mode)
{
    struct stasis_uffd uffd;

    if (strcmp(mode, "lazy") != 0)
        return true;
    if (stasis_uffd_open(0, &uffd)) {
        print_message("left out: userfaultfd is not permitted here\n");
        return false;
    }
    stasis_uffd_close(&uffd);
    return true;
}

static void id_of_each_mode(void)
{
    static const uint8_t zeros[16];
    char first[160], restore[256], next[160], freeze[256];
    uint8_t ids[4][16] = {{0}};
    unsigned count = 1;

    session_folder_init(&folder);
    snprintf(first, sizeof(first), "%s,on_output=tick 1 ", folder.file);
    assert_int_equal(
        session_run(&session, &(struct session_options){.args = {"--demo", "--memory", "8",
                                                                 "--snapshot-out", first}}),
        0);
    read_id(folder.file, ids[0]);
    assert_memory_not_equal(ids[0], zeros, 16);
    for (unsigned i = 0; i < 3; i++) {
        if (!has_mode(modes[i]))
            continue;
        snprintf(restore, sizeof(restore), "path=%s,memory=%s", folder.file, modes[i]);
        snprintf(next, sizeof(next), "%s/next.snap", folder.path);
        snprintf(freeze, sizeof(freeze), "%s,on_output=tick 3 ", next);
        assert_int_equal(
            session_run(&session, &(struct session_options){.args = {"--restore", restore,
                                                                     "--snapshot-out", freeze}}),
            0);
        read_id(next, ids[count]);
        for (unsigned before = 0; before < count; before++)
            assert_memory_not_equal(ids[count], ids[before], 16);
        count++;
    }
    session_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(id_of_each_mode),
    };

    return kvm_missing() ? kvm_missing() : cmocka_run_group_tests(tests, NULL, NULL);
}
