/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The disks of a guest that is frozen and thawed: whether they are those that it had.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/vmm_disk.h"
#include "vmm/host/disk_overlay.h"
#include "vmm/machine/board.h"
#include "vmm/snapshot/freeze.h"

#define SECTOR UINT64_C(512)

struct binding {
    const struct stasis_vmm_config *config;
    const struct stasis_vmm_disks *disks;
    struct stasis_reasons *reasons;
};

static bool is_disk(const struct stasis_board_device_state *row)
{
    return !strcmp(row->type, stasis_virtio_blk_schema.type);
}

static void add(const struct binding *binding, const char *id, const struct stasis_error *why)
{
    stasis_reasons_add_error(binding->reasons, "disk", id, why);
}

/* ---- what a disk is ---- */

static void check_shape(const struct binding *binding, const struct stasis_vmm_disk *disk,
                        const struct stasis_virtio_blk_state *state)
{
    const char *id = disk->device.id;
    struct stasis_error why;

    if (disk->device.bytes / SECTOR != state->sectors) {
        (void)stasis_fail(&why, STASIS_ERR_ARG,
                          "disk %s has %" PRIu64 " bytes and had %" PRIu64 " at the freeze; give "
                          "the file that the guest had",
                          id, disk->device.bytes, state->sectors * SECTOR);
        add(binding, id, &why);
    }
    if (disk->device.block_size != state->block_size) {
        (void)stasis_fail(&why, STASIS_ERR_ARG,
                          "disk %s had blocks of %" PRIu32 " bytes at the freeze; set "
                          "block.block_size to that",
                          id, state->block_size);
        add(binding, id, &why);
    }
    if (disk->device.is_read_only != state->read_only) {
        (void)stasis_fail(
            &why, STASIS_ERR_ARG, "disk %s was %s at the freeze; set block.readonly to %s", id,
            state->read_only ? "read-only" : "writable", state->read_only ? "on" : "off");
        add(binding, id, &why);
    }
}

/* ---- what has become of it ---- */

static const char *change_of(const struct stasis_disk *disk,
                             const struct stasis_virtio_blk_state *state)
{
    const struct stasis_disk_marker marker = stasis_disk_marker(disk);
    bool is_overlay = disk->overlay && !stasis_disk_overlay_is_new(disk);
    uint8_t samples[STASIS_DISK_DIGEST_SIZE];

    if ((is_overlay || state->disk_inode) && marker.inode != state->disk_inode)
        return "replaced";
    if (state->disk_inode && marker.mtime_ns != state->disk_mtime_ns)
        return "written to";
    if (state->disk_samples_len != sizeof(samples))
        return NULL; /* unknown */
    if (!stasis_disk_sample(disk->fd, disk->bytes, samples))
        return "damaged (it cannot be read)";
    return memcmp(samples, state->disk_samples, sizeof(samples)) ? "changed" : NULL;
}

static void check_change(const struct binding *binding, const struct stasis_vmm_disk *disk,
                         const struct stasis_virtio_blk_state *state)
{
    const char *id = disk->device.id;
    const char *change = stasis_config_allows(binding->config->allow.disk_changed, id)
                             ? NULL
                             : change_of(&disk->disk, state);
    struct stasis_error why;

    if (!change)
        return;
    (void)stasis_fail(&why, STASIS_ERR_ARG,
                      "disk %s has been %s since the freeze, and the guest would %s; give it as "
                      "it was, or allow it by allow.disk_changed=%s",
                      id, change, state->read_only ? "not find what it knows of it" : "damage it",
                      id);
    add(binding, id, &why);
}

/* A disk that was sealed: what lies on that is new. */
static void check_root(const struct binding *binding, const struct stasis_vmm_disk *disk,
                       unsigned index, const struct stasis_virtio_blk_state *state)
{
    const char *id = disk->device.id;
    struct stasis_error why;

    if (disk->disk.overlay && !stasis_disk_overlay_is_at(&disk->disk, state->disk_root)) {
        (void)stasis_fail(&why, STASIS_ERR_ARG,
                          "the overlay of disk %s has been written to since the freeze; name a "
                          "file that is not there yet by block.overlay",
                          id);
        add(binding, id, &why);
    }
    if (!disk->disk.overlay && !binding->config->block[index].overlay) {
        (void)stasis_fail(&why, STASIS_ERR_ARG,
                          "disk %s was sealed at the freeze; give it a new overlay, in the folder "
                          "of the sealed one, by block.overlay",
                          id);
        add(binding, id, &why);
    }
}

/* ---- all of them ---- */

static const struct stasis_vmm_disk *find_open(const struct binding *binding, const char *id)
{
    for (unsigned i = 0; i < binding->disks->count; i++)
        if (!strcmp(binding->disks->list[i].device.id, id))
            return &binding->disks->list[i];
    return NULL;
}

/* Its number in the configuration, or how many disks that has. */
static unsigned index_of(const struct binding *binding, const char *id)
{
    unsigned i = 0;

    while (i < stasis_config_disks(binding->config) &&
           strcmp(stasis_config_disk_id(binding->config, i), id) != 0)
        i++;
    return i;
}

static bool is_given(const struct binding *binding, const char *id)
{
    return index_of(binding, id) < stasis_config_disks(binding->config);
}

/* A record that cannot be read is for others to report. */
static void check_disk(const struct binding *binding, const struct stasis_records *records,
                       const char *id)
{
    const struct stasis_vmm_disk *disk = find_open(binding, id);
    struct stasis_virtio_blk_state *state;
    struct stasis_error why;

    if (!disk && is_given(binding, id))
        return; /* why it is not open has been said */
    if (!disk) {
        (void)stasis_fail(&why, STASIS_ERR_ARG,
                          "the guest's disk %s is missing; name its file by block.path, with "
                          "block.id=%s",
                          id, id);
        add(binding, id, &why);
        return;
    }
    state = malloc(sizeof(*state));
    if (state && !stasis_records_get(records, &stasis_virtio_blk_schema, id, state, &why)) {
        check_shape(binding, disk, state);
        if (state->disk_root_len == sizeof(state->disk_root))
            check_root(binding, disk, index_of(binding, id), state);
        else
            check_change(binding, disk, state);
    }
    free(state);
}

static void check_known(const struct binding *binding, const struct stasis_board_state *board,
                        const char *id)
{
    struct stasis_error why;

    if (stasis_board_has(board, stasis_virtio_blk_schema.type, id))
        return;
    (void)stasis_fail(&why, STASIS_ERR_ARG,
                      "the guest has no disk %s; leave out block.path, or set block.id to the "
                      "name of a disk that it has",
                      id);
    add(binding, id, &why);
}

void stasis_vmm_disks_check(const struct stasis_vmm_config *config,
                            const struct stasis_vmm_disks *disks,
                            const struct stasis_records *records, struct stasis_reasons *reasons)
{
    const struct binding binding = {config, disks, reasons};
    struct stasis_board_state board;

    if (stasis_records_get(records, &stasis_board_schema, STASIS_INSTANCE_VM, &board, NULL))
        return;
    for (uint32_t i = 0; i < board.devices_count; i++)
        if (is_disk(&board.devices[i]))
            check_disk(&binding, records, board.devices[i].instance);
    for (unsigned i = 0; i < stasis_config_disks(config); i++)
        check_known(&binding, &board, stasis_config_disk_id(config, i));
}

/* ---- stand-ins ---- */

static bool refuse_read(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    (void)ctx, (void)offset, (void)bytes, (void)len;
    return false;
}

static bool refuse_write(void *ctx, uint64_t offset, const void *bytes, size_t len)
{
    (void)ctx, (void)offset, (void)bytes, (void)len;
    return false;
}

static bool refuse_flush(void *ctx)
{
    (void)ctx;
    return false;
}

static bool refuse_discard(void *ctx, uint64_t offset, uint64_t len)
{
    (void)ctx, (void)offset, (void)len;
    return false;
}

static bool refuse_zero(void *ctx, uint64_t offset, uint64_t len, bool may_unmap)
{
    (void)ctx, (void)offset, (void)len, (void)may_unmap;
    return false;
}

static void have_no_mark(void *ctx, struct stasis_device_disk_mark *ret_mark)
{
    (void)ctx;
    *ret_mark = (struct stasis_device_disk_mark){.inode = 0};
}

static bool read_shape(const struct stasis_records *records, const char *id,
                       struct stasis_device_disk *ret_disk)
{
    struct stasis_virtio_blk_state *state = malloc(sizeof(*state));
    bool ok = state && !stasis_records_get(records, &stasis_virtio_blk_schema, id, state, NULL);

    if (ok)
        *ret_disk = (struct stasis_device_disk){
            .bytes = state->sectors * SECTOR,
            .block_size = state->block_size,
            .is_read_only = state->read_only,
            .read = refuse_read,
            .write = refuse_write,
            .flush = refuse_flush,
            .discard = refuse_discard,
            .zero = refuse_zero,
            .mark = have_no_mark,
        };
    free(state);
    return ok;
}

void stasis_vmm_disks_stand_in(const struct stasis_records *records,
                               struct stasis_vmm_stand_ins *stand_ins,
                               struct stasis_device_host *host)
{
    struct stasis_board_state board;

    if (stasis_records_get(records, &stasis_board_schema, STASIS_INSTANCE_VM, &board, NULL))
        return;
    for (uint32_t i = 0; i < board.devices_count; i++) {
        struct stasis_device_disk *disk = &stand_ins->list[i];

        if (!is_disk(&board.devices[i]) || !read_shape(records, board.devices[i].instance, disk))
            continue;
        memcpy(stand_ins->ids[i], board.devices[i].instance, sizeof(stand_ins->ids[i]));
        disk->id = stand_ins->ids[i];
        disk->next = host->disks;
        host->disks = disk;
    }
}
