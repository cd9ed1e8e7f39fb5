/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Guests that die while they are frozen, and threads that cannot run their vCPU, on a KVM that runs
 * nothing.
 */
#include "support/cmocka_all.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

#include "stasis/kvm_vcpu_state.h"
#include "support/fake_kvm.h"
#include "vmm/arch/arch.h"
#include "vmm/machine/board.h"
#include "vmm/snapshot/freeze.h"

#define VCPUS       2
#define PATIENCE_MS 300000

static struct stasis_machine machine;
static struct stasis_error err;
static atomic_bool dies_when_read; /* and not before; set when all threads have been started */

/* The number of the vCPU whose thread this is. */
static uint32_t own_id(void)
{
    uint32_t id = 0;

    while (id + 1 < machine.vcpu_count && !pthread_equal(pthread_self(), machine.threads[id].id))
        id++;
    return id;
}

/* The guest is at work until somebody kicks its thread. */
static int run(void)
{
    errno = EINTR;
    if (atomic_load(&dies_when_read) && machine.vcpus[own_id()].run->kvm_valid_regs)
        errno = ENODEV;
    else
        poll(NULL, 0, 1);
    return -1;
}

static bool answer(unsigned long request, void *arg, int *ret_result)
{
    switch (request) {
    case KVM_CHECK_EXTENSION:
        *ret_result = KVM_SYNC_X86_VALID_FIELDS;
        return (uintptr_t)arg == KVM_CAP_SYNC_REGS;
    case KVM_RUN:
        *ret_result = run();
        return true;
    case KVM_GET_LAPIC:
        memset(arg, 0, _IOC_SIZE(request));
        stasis_lapic_set_reg(arg, 2, own_id() << 24);
        *ret_result = 0;
        return true;
    default:
        return false;
    }
}

static int set_up(void **state)
{
    const struct stasis_board_options options = {
        .memory_bytes = 1 << 20, .vcpus = VCPUS, .cpu_model = "baseline"};
    static const struct stasis_device_host host;
    struct stasis_arch_entry entry;
    struct stasis_board_state board;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answer};
    atomic_store(&dies_when_read, false);
    assert_int_equal(stasis_board_default(&options, &board, &err), 0);
    board.devices_count = 0;
    assert_int_equal(stasis_machine_build(&machine, &board, &host, &err), 0);
    stasis_state_init(&stasis_x86_regs_schema, &entry.regs);
    stasis_state_init(&stasis_x86_sregs_schema, &entry.sregs);
    for (uint32_t i = 0; i < VCPUS; i++)
        assert_int_equal(stasis_arch_vcpu_start(&machine.vcpus[i], &board, &entry, &err), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_machine_fini(&machine);
    return 0;
}

static int freeze(void)
{
    struct stasis_snap *snap = NULL;
    int rc = stasis_freeze(&machine, 0, &snap, &err);

    assert_true(!rc == (snap != NULL));
    stasis_snap_free(snap);
    return rc;
}

static void a_guest_that_dies_while_it_is_read_is_not_frozen(void **state)
{
    (void)state;
    assert_int_equal(stasis_machine_start(&machine, &err), 0);
    stasis_machine_pause(&machine);
    if (freeze())
        fail_msg("%s", err.msg);
    atomic_store(&dies_when_read, true);
    assert_int_equal(freeze(), STASIS_ERR_GUEST);
    assert_non_null(strstr(err.msg, "the guest died: No such device"));
    assert_int_equal(atomic_load(&machine.end), STASIS_EXIT_CRASHED);
}

/* Somebody may want to look at it. */
static void a_guest_that_had_died_before_is_frozen(void **state)
{
    (void)state;
    assert_int_equal(stasis_machine_start(&machine, &err), 0);
    atomic_store(&dies_when_read, true);
    stasis_machine_pause(&machine);
    assert_int_equal(freeze(), STASIS_ERR_GUEST);
    if (freeze())
        fail_msg("%s", err.msg);
}

static void a_vcpu_that_another_thread_runs_ends_the_guest(void **state)
{
    struct pollfd end = {.fd = machine.end_fd, .events = POLLIN};
    struct stasis_run_handle handle;

    (void)state;
    assert_int_equal(stasis_run_handle_take(&handle, &machine.vcpus[1], &err), 0);
    assert_true(stasis_run_handle_is_held());
    assert_int_equal(stasis_machine_start(&machine, &err), 0);
    assert_int_equal(poll(&end, 1, PATIENCE_MS), 1);
    assert_int_equal(atomic_load(&machine.end), STASIS_EXIT_CRASHED);
    assert_non_null(strstr(machine.end_error.msg, "vCPU 1 cannot be taken: its run handle is in"));
    assert_int_equal(stasis_run_handle_give_back(&handle, &err), 0);
    assert_false(stasis_run_handle_is_held());
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_guest_that_dies_while_it_is_read_is_not_frozen),
        CASE(a_guest_that_had_died_before_is_frozen),
        CASE(a_vcpu_that_another_thread_runs_ends_the_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
