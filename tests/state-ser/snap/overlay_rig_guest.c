/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the guest of the rig does to its disk.
 */
#include <string.h>

#include "tests/state-ser/snap/overlay_rig.h"

bool rig_write(struct rig *rig, uint64_t offset, size_t len)
{
    uint8_t bytes[8 * RIG_PAGE];
    int rc;

    fill_random(bytes, len, rig_random(rig, UINT32_MAX) | 1);
    rc = stasis_overlay_write(rig->overlay, offset, bytes, len, NULL);
    if (!rc)
        memcpy(rig->content + offset, bytes, len);
    return !rc;
}

/* What a range became. */
static bool follow(struct rig *rig, uint64_t offset, size_t len)
{
    uint8_t bytes[8 * RIG_PAGE];

    if (stasis_overlay_read(rig->overlay, offset, bytes, len, NULL))
        return false;
    memcpy(rig->content + offset, bytes, len);
    return true;
}

bool rig_step(struct rig *rig)
{
    uint64_t offset = (uint64_t)rig_random(rig, RIG_BYTES / RIG_SECTOR) * RIG_SECTOR;
    size_t len =
        (rig_random(rig, 4) ? 1 + rig_random(rig, 8) : 8 * (1 + rig_random(rig, 4))) * RIG_SECTOR;
    unsigned what = rig_random(rig, 8);

    if (rig_random(rig, 2))
        offset = offset / RIG_PAGE * RIG_PAGE;
    if (len > RIG_BYTES - offset)
        len = (size_t)(RIG_BYTES - offset);
    if (what > 1)
        return rig_write(rig, offset, len);
    if (what == 1) {
        if (stasis_overlay_zero(rig->overlay, offset, len, NULL))
            return false;
        memset(rig->content + offset, 0, len);
        return true;
    }
    stasis_overlay_discard(rig->overlay, offset, len);
    return follow(rig, offset, len);
}

void rig_begin_plain(struct rig *rig, uint32_t seed)
{
    rig_init(rig, seed);
    rig->is_plain = true;
    rig_open(rig);
    for (unsigned i = 0; i < 12; i++)
        assert_true(rig_step(rig));
}

void rig_seal(struct rig *rig, unsigned how, uint8_t ret_root[STASIS_OVERLAY_ROOT_SIZE])
{
    bool has_root = false;
    struct stasis_error err;

    if (stasis_overlay_seal(rig->overlay, how, ret_root, &has_root, &err))
        fail_msg("%s", err.msg);
    assert_true(has_root);
}

void rig_sealed_path(const struct rig *rig, const uint8_t *root, char path[RIG_SEALED_PATH])
{
    int len = snprintf(path, RIG_SEALED_PATH, "%s.", rig->path);

    for (unsigned i = 0; i < 8; i++)
        len += snprintf(path + len, 3, "%02x", root[i]);
}

bool rig_holds(struct rig *rig, const uint8_t *bytes)
{
    static uint8_t found[RIG_BYTES];
    struct stasis_error err;

    if (stasis_overlay_read(rig->overlay, 0, found, RIG_BYTES, &err))
        return false;
    return !memcmp(found, bytes, RIG_BYTES);
}

void rig_assert_holds(struct rig *rig, const uint8_t *bytes)
{
    assert_true(rig_holds(rig, bytes));
}
