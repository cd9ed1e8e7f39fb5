/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which snapshot the next one can be a layer on: the last that the guest was thawed from or that
 * was written, if the pages that have changed since are known (machine/dirty_pages.h). They are,
 * once somebody has asked for a layer.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/api/vmm_internal.h"

static bool parent_is(const struct stasis_vmm_save *save, const char *word)
{
    return save->parent && strcmp(save->parent, word) == 0;
}

static bool can_be_layer(const struct stasis_vmm_save *save)
{
    return save->parent && !parent_is(save, STASIS_VMM_PARENT_NONE);
}

static bool must_be_layer(const struct stasis_vmm_save *save)
{
    return can_be_layer(save) && !parent_is(save, STASIS_VMM_PARENT_AUTO);
}

static void set_base(struct stasis_vmm *vmm, struct stasis_snap *snap)
{
    stasis_snap_free(vmm->base);
    vmm->base = snap;
}

/* A file of format version 1 has no root by which a layer could name it. */
static bool can_be_base(const struct stasis_snap *snap)
{
    return snap && stasis_snap_info(snap)->format_version > 1;
}

void stasis_vmm_base_thawed(struct stasis_vmm *vmm, struct stasis_snap *snap)
{
    if (stasis_dirty_pages_is_on(&vmm->machine.dirty) && can_be_base(snap)) {
        set_base(vmm, snap);
        return;
    }
    stasis_snap_free(snap);
    stasis_dirty_pages_stop(&vmm->machine.dirty);
}

/* ---- before the file is written ---- */

/* Why the snapshot cannot be a layer on the last one, if there is one; NULL: it can. */
static const char *hindrance(const struct stasis_snap *base, const struct stasis_vmm_save *save)
{
    uint8_t root[STASIS_DIGEST_SIZE];

    if (!base)
        return "there is no earlier one since which it is known what the guest has changed";
    if (stasis_snap_is_removed(base))
        return "the last one, or a file that it lies on, was removed or replaced";
    if (save->digest == STASIS_VMM_DIGEST_SHA256 && !stasis_snap_info(base)->digests)
        return "the last one has no digests, which a layer on it then cannot have";
    if (!must_be_layer(save))
        return NULL;
    stasis_config_read_root(save->parent, root);
    if (memcmp(root, stasis_snap_info(base)->root, sizeof(root)) != 0)
        return "the last one, of which it is known what the guest has changed since, has another "
               "root";
    return stasis_snap_is_full(base) ? "the last one has bytes of so many files that a layer may "
                                       "need more than a chain can have"
                                     : NULL;
}

int stasis_vmm_base_check_thawed(const struct stasis_vmm_config *config,
                                 const struct stasis_snap *snap, const struct stasis_output *output,
                                 struct stasis_error *err)
{
    const struct stasis_vmm_save *save = &config->snapshot.save;
    const char *why;

    if (!must_be_layer(save))
        return 0;
    why = hindrance(can_be_base(snap) ? snap : NULL, save);
    if (why)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "snapshot.parent=%.16s...: no snapshot can be a layer on that one: %s; "
                           "give auto or none",
                           save->parent, why);
    if (!output || !stasis_snap_is_replaced(snap, output))
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "snapshot.path=%.200s: the layer would lie on the file that has this name; "
                       "give another name",
                       config->snapshot.path);
}

static int make_layer(struct stasis_vmm_job *job, struct stasis_snap *snap,
                      struct stasis_error *err)
{
    const struct stasis_machine *machine = &job->vmm->machine;
    int rc = stasis_snap_set_parent(snap, job->vmm->base, err);

    for (uint32_t i = 0; !rc && i < machine->memory.region_count; i++)
        rc = stasis_snap_set_dirty(snap, i, stasis_dirty_pages_of(&machine->dirty, i), err);
    if (rc)
        return rc;
    job->is_layer = true;
    snprintf(job->lies_on, sizeof(job->lies_on), "%s", stasis_snap_name(job->vmm->base));
    return 0;
}

/* Without it nothing is known any more, as after a reset of the machine. */
static void harvest(struct stasis_vmm *vmm)
{
    struct stasis_dirty_pages *dirty = &vmm->machine.dirty;

    if (!stasis_dirty_pages_is_on(dirty) || stasis_dirty_pages_harvest(dirty, NULL))
        set_base(vmm, NULL);
}

static int fail_hindered(const struct stasis_vmm_job *job, const char *why,
                         struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_STATE,
                       "no snapshot was written to %s: it cannot be a layer on the one with root "
                       "%.16s...: %s; ask with parent=auto",
                       job->path, job->save.parent, why);
}

int stasis_vmm_base_check(struct stasis_vmm_job *job, struct stasis_error *err)
{
    const char *why;

    if (!must_be_layer(&job->save))
        return 0;
    harvest(job->vmm);
    why = hindrance(job->vmm->base, &job->save);
    if (why)
        return fail_hindered(job, why, err);
    if (!job->output || !stasis_snap_is_replaced(job->vmm->base, job->output))
        return 0;
    return stasis_fail(err, STASIS_ERR_EXISTS,
                       "no snapshot was written to %s: the layer would lie on the file that has "
                       "this name; give another name",
                       job->path);
}

int stasis_vmm_base_prepare(struct stasis_vmm_job *job, struct stasis_snap *snap,
                            struct stasis_error *err)
{
    const char *why;

    harvest(job->vmm);
    if (!can_be_layer(&job->save))
        return 0;
    why = hindrance(job->vmm->base, &job->save);
    if (!why)
        return make_layer(job, snap, err);
    if (must_be_layer(&job->save))
        return fail_hindered(job, why, err);
    job->whole_because = why;
    return 0;
}

bool stasis_vmm_base_give_up(struct stasis_vmm_job *job, struct stasis_snap *snap, int why)
{
    if (!job->is_layer || must_be_layer(&job->save) ||
        (why != STASIS_ERR_EXISTS && why != STASIS_ERR_FULL))
        return false;
    (void)!stasis_snap_set_parent(snap, NULL, NULL);
    job->is_layer = false;
    job->lies_on[0] = '\0';
    job->whole_because = why == STASIS_ERR_EXISTS
                             ? "it takes the name of a file that the layer would lie on"
                             : "the layer would lie on too many files";
    return true;
}

/* ---- when it is there ---- */

bool stasis_vmm_base_wanted(const struct stasis_vmm_job *job)
{
    return (job->save.parent || job->vmm->base) && job->output && !job->exit && !job->crash &&
           job->format_version != 1;
}

/* The guest stands still: what the bitmap has is in the file. */
void stasis_vmm_base_saved(struct stasis_vmm_job *job, struct stasis_snap *saved)
{
    struct stasis_machine *machine = &job->vmm->machine;
    struct stasis_error err;
    int rc = 0;

    if (job->vmm->base)
        stasis_dirty_pages_commit(&machine->dirty);
    else
        rc = stasis_dirty_pages_start(&machine->dirty, &machine->slots, &machine->memory, &err);
    if (rc) {
        stasis_snap_free(saved);
        return;
    }
    set_base(job->vmm, saved);
}
