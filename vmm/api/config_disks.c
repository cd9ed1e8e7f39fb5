/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The disks of a configuration.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/api/config.h"
#include "vmm/machine/board.h"

unsigned stasis_config_disks(const struct stasis_vmm_config *config)
{
    unsigned count = 0;

    while (count < STASIS_VMM_BLOCKS_MAX && config->block[count].path)
        count++;
    return count;
}

const char *stasis_config_disk_id(const struct stasis_vmm_config *config, unsigned index)
{
    static const char *const ids[] = {"disk0", "disk1", "disk2", "disk3",
                                      "disk4", "disk5", "disk6", "disk7"};

    _Static_assert(sizeof(ids) / sizeof(ids[0]) == STASIS_VMM_BLOCKS_MAX, "a name for each disk");
    return config->block[index].id ? config->block[index].id : ids[index];
}

bool stasis_config_allows(const char *const list[STASIS_VMM_BLOCKS_MAX], const char *id)
{
    for (unsigned i = 0; i < STASIS_VMM_BLOCKS_MAX && list[i]; i++)
        if (!strcmp(list[i], id))
            return true;
    return false;
}

/* ---- checks ---- */

static int out_of_range(unsigned index, const char *member, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the configuration's block[%u].%s is out of range; see stasis/vmm.h", index,
                       member);
}

static int check_id(const struct stasis_vmm_config *config, unsigned index,
                    struct stasis_error *err)
{
    const char *id = stasis_config_disk_id(config, index);
    char member[24];
    int rc;

    (void)snprintf(member, sizeof(member), "block[%u].id", index);
    rc = stasis_config_check_id(member, id, err);
    for (unsigned i = 0; !rc && i < index; i++)
        if (!strcmp(stasis_config_disk_id(config, i), id))
            rc = stasis_fail(err, STASIS_ERR_ARG,
                             "%s=%s: another disk has that name; give each its own", member, id);
    return rc;
}

static int check_disk(const struct stasis_vmm_config *config, unsigned index,
                      struct stasis_error *err)
{
    const struct stasis_vmm_block *block = &config->block[index];

    if ((unsigned)block->readonly > STASIS_VMM_BLOCK_READONLY_ON)
        return out_of_range(index, "readonly", err);
    if ((unsigned)block->root > STASIS_VMM_BLOCK_ROOT_OFF)
        return out_of_range(index, "root", err);
    if ((unsigned)block->cache > STASIS_VMM_BLOCK_CACHE_NONE)
        return out_of_range(index, "cache", err);
    if (block->iops > STASIS_VMM_BLOCK_RATE_MAX)
        return out_of_range(index, "iops", err);
    if (block->bandwidth > STASIS_VMM_BLOCK_RATE_MAX)
        return out_of_range(index, "bandwidth", err);
    if (block->block_size && block->block_size != 512 && block->block_size != 4096)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "block[%u].block_size=%" PRIu64 ": give 512 or 4096", index,
                           block->block_size);
    return block->path ? check_id(config, index, err) : 0;
}

/* The list ends before a disk without a file: those behind it would be forgotten. */
static int check_gaps(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    for (unsigned i = stasis_config_disks(config); i < STASIS_VMM_BLOCKS_MAX; i++)
        if (config->block[i].path || config->block[i].id || config->block[i].overlay)
            return stasis_fail(err, STASIS_ERR_ARG,
                               "block[%u].path is missing; give a raw file or a block device",
                               stasis_config_disks(config));
    return 0;
}

static int check_names(const struct stasis_vmm_config *config,
                       const char *const list[STASIS_VMM_BLOCKS_MAX], const char *member,
                       struct stasis_error *err)
{
    for (unsigned i = 0; i < STASIS_VMM_BLOCKS_MAX && list[i]; i++) {
        unsigned disk = 0;

        while (disk < stasis_config_disks(config) &&
               strcmp(stasis_config_disk_id(config, disk), list[i]) != 0)
            disk++;
        if (disk == stasis_config_disks(config))
            return stasis_fail(err, STASIS_ERR_ARG,
                               "%s=%.60s: no disk has that name; leave it out, or give it as "
                               "the id of one",
                               member, list[i]);
    }
    return 0;
}

int stasis_config_check_resume(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    for (unsigned i = 0; i < stasis_config_disks(config); i++) {
        const char *id = stasis_config_disk_id(config, i);

        if (config->block[i].readonly != STASIS_VMM_BLOCK_READONLY_ON &&
            !config->block[i].overlay && !stasis_config_allows(config->allow.disk_shared, id))
            return stasis_fail(err, STASIS_ERR_ARG,
                               "the guest would run on and write to disk %s, which the snapshot "
                               "then does not fit; have the snapshot end the guest, give the "
                               "disk an overlay, make it read-only, or allow it by "
                               "allow.disk_shared=%s",
                               id, id);
    }
    return 0;
}

int stasis_config_check_disks(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < STASIS_VMM_BLOCKS_MAX; i++)
        rc = check_disk(config, i, err);
    if (!rc)
        rc = check_gaps(config, err);
    if (!rc && config->allow.disk_changed[0] && !config->restore.path)
        rc = stasis_fail(err, STASIS_ERR_ARG,
                         "allow.disk_changed is for thawing; give restore.path, or leave out "
                         "allow.disk_changed");
    if (!rc)
        rc = check_names(config, config->allow.disk_changed, "allow.disk_changed", err);
    if (!rc)
        rc = check_names(config, config->allow.disk_shared, "allow.disk_shared", err);
    if (rc || !config->snapshot.path || config->snapshot.then != STASIS_VMM_THEN_RESUME)
        return rc;
    rc = stasis_config_check_resume(config, err);
    return rc ? stasis_wrap(err, rc, "snapshot.then=resume") : 0;
}
