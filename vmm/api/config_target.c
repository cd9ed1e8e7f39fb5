/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whether a snapshot for an older release can be made of a guest, as far as its board tells: before
 * the guest runs, or is stopped.
 */
#include <stdio.h>
#include <string.h>

#include "stasis/migrate.h"
#include "vmm/api/config.h"
#include "vmm/machine/board.h"
#include "vmm/snapshot/freeze.h"

static int convert(const struct stasis_board_state *board, const struct stasis_release *release,
                   bool allow_drop, struct stasis_board_state *ret_board, struct stasis_error *err)
{
    const struct stasis_convert_opts opts = {.size = sizeof(opts), .allow_drop = allow_drop};
    struct stasis_records *records = stasis_records_new();
    struct stasis_records *converted = NULL;
    int rc = records
                 ? stasis_records_add(records, &stasis_board_schema, STASIS_INSTANCE_VM, board, err)
                 : stasis_fail(err, STASIS_ERR_NOMEM, "no memory to look at a board");

    if (!rc)
        rc = stasis_records_convert(records, release, &opts, &converted, err);
    if (!rc)
        rc =
            stasis_records_get(converted, &stasis_board_schema, STASIS_INSTANCE_VM, ret_board, err);
    stasis_records_free(converted);
    stasis_records_free(records);
    return rc;
}

/* The devices that are not on the other board. */
static void list_missing(const struct stasis_board_state *board,
                         const struct stasis_board_state *other, char *ret_text, size_t size)
{
    size_t used = 0;

    *ret_text = '\0';
    for (uint32_t i = 0; i < board->devices_count && used < size; i++) {
        const struct stasis_board_device_state *device = &board->devices[i];

        if (!stasis_board_has(other, device->type, device->instance))
            used += (size_t)snprintf(ret_text + used, size - used, "%s%s", used ? ", " : "",
                                     device->instance);
    }
}

int stasis_config_check_target(const struct stasis_board_state *board,
                               const struct stasis_vmm_save *save, struct stasis_error *err)
{
    const struct stasis_release *release;
    struct stasis_board_state converted;
    bool allow_drop = save->drop == STASIS_VMM_DROP_ALLOW;
    char missing[600];
    int rc;

    if (!save->target)
        return 0;
    rc = stasis_release_get(save->target, &release, err);
    if (!rc)
        rc = convert(board, release, true, &converted, err);
    if (!rc && !allow_drop) {
        list_missing(board, &converted, missing, sizeof(missing));
        if (*missing)
            return stasis_fail(err, STASIS_ERR_ARG,
                               "the guest has %s, which release %s lacks; start a guest with "
                               "board.release %s, leave out the target, or have them left out "
                               "(drop=allow)",
                               missing, save->target, save->target);
        rc = convert(board, release, false, &converted, err);
    }
    if (rc != STASIS_ERR_VERSION)
        return rc;
    if (err)
        err->code = STASIS_ERR_ARG; /* of who asked */
    return STASIS_ERR_ARG;
}

int stasis_config_check_own_target(const struct stasis_vmm_config *config,
                                   const struct stasis_board_state *board, struct stasis_error *err)
{
    const struct stasis_vmm_save *save = &config->snapshot.save;
    int rc = stasis_config_check_target(board, save, err);

    return rc ? stasis_wrap(err, rc, "snapshot.target=%.40s", save->target) : 0;
}
