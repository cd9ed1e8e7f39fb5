/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The VMM as a judge. It goes the way of `vmm --restore` with memory=copy: the file is opened, the
 * board and its records are checked, the machine is built and restored. Beneath the last step is a
 * KVM that takes everything (tests/support/fake_kvm.c), since there may be no /dev/kvm. STAGE is
 * open, machine, thaw, or runs.
 */
#include "tests/support/fake_kvm.h"
#include "tests/support/null_host.h"
#include "tests/reader/judge.h"
#include "vmm/snapshot/thaw_internal.h"

static int thaw(struct stasis_snap *snap, struct verdict *verdict, struct stasis_error *err)
{
    static struct stasis_machine machine;
    const struct stasis_thaw_options options = {.memory = STASIS_RAM_COPY};
    struct stasis_board_state board;
    struct stasis_reasons reasons = {0};
    struct stasis_thaw_result result;
    int rc = stasis_thaw_check_board(snap, &board, err);

    if (!rc)
        rc = stasis_thaw_check_file(snap, &board, &reasons, err);

    stasis_reasons_fini(&reasons);

    verdict->stage = "machine";
    if (rc)
        return rc;
    verdict->stage = "thaw";
    fake_kvm = (struct fake_kvm){0};
    rc = stasis_thaw(&machine, snap, &options, &null_host, &result, err);
    if (rc)
        return rc;
    verdict->stage = "runs";
    stasis_machine_fini(&machine);
    return 0;
}

static void judge(int fd, const char *path, struct verdict *verdict)
{
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    int rc = stasis_snap_open_fd(fd, path ? path : "mutant", NULL, &snap, &err);

    verdict->stage = "open";
    if (!rc)
        rc = thaw(snap, verdict, &err);
    stasis_snap_free(snap);
    verdict->status = stasis_err_exit_status(rc);
    if (rc)
        snprintf(verdict->message, sizeof(verdict->message), "%s", err.msg);
}

int main(void)
{
    return judge_all(judge, stdin, stdout);
}
