/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * SIGBUS and SIGSEGV are the process's: one handler serves all machines that it was taken for, and
 * hands on what is not in the memory of one.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "stasis/fault_signals.h"
#include "vmm/base/chain.h"
#include "vmm/machine/machine.h"
#include "vmm/snapshot/ram_failure.h"
#include "vmm/snapshot/ram_failure_internal.h"

/* SIGSEGV comes of memory that was abandoned. */
static const int faults[] = {SIGBUS, SIGSEGV};
#define FAULTS (sizeof(faults) / sizeof(faults[0]))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool installed;                  /* under the lock */
static struct sigaction before[FAULTS]; /* while it is installed */

/* The machines, for the handler; an empty place is NULL. Changed under the lock. */
static struct stasis_machine *_Atomic owners[STASIS_RAM_FAILURE_OWNERS_MAX];
static _Atomic unsigned readers; /* handlers that look at them */

static bool is_lost(struct stasis_machine *machine, const void *address, struct stasis_error *err)
{
    return machine && machine->ram_ops && machine->ram_ops->is_lost(machine->ram_ctx, address, err);
}

/* Ends the guest, or, where a thread of ours needs the memory, the process. */
static void end_guest(struct stasis_machine *machine, int number, const struct stasis_error *err)
{
    stasis_machine_shutdown(machine, STASIS_EXIT_CRASHED, err);
    if (number == SIGBUS && stasis_vcpu_is_in_run())
        return;
    stasis_ram_failure_die(
        machine, atomic_load(&machine->end) == STASIS_EXIT_CRASHED ? &machine->end_error : err);
}

static bool serve(int number, const siginfo_t *info)
{
    struct stasis_error err;
    bool served = false;

    atomic_fetch_add(&readers, 1);
    for (size_t i = 0; !served && i < STASIS_RAM_FAILURE_OWNERS_MAX; i++) {
        struct stasis_machine *machine = atomic_load(&owners[i]);

        served = is_lost(machine, info->si_addr, &err);
        if (served)
            end_guest(machine, number, &err);
    }
    atomic_fetch_sub(&readers, 1);
    return served;
}

/* The fault is synchronous, at an access to guest memory and never inside libc, so that all may be
 * called that touches no guest memory. Inside of KVM_RUN it is KVM that met the fault (si_code
 * BUS_MCEERR_AR): KVM_RUN returns, and the thread sees that the guest has ended. A device that met
 * it could only meet it again. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    const struct sigaction *other = &before[number != SIGBUS];

    if (info->si_code > 0 && serve(number, info))
        return;
    if (stasis_signal_chain(other, number, info, context))
        return;
    (void)sigaction(number, other, NULL); /* a fault happens again; a sent signal is sent on */
    if (info->si_code <= 0)
        (void)stasis_signal_raise(number);
}

/* ---- installing: the lock is held ---- */

static bool has_owners_but(const struct stasis_machine *machine)
{
    for (size_t i = 0; i < STASIS_RAM_FAILURE_OWNERS_MAX; i++) {
        const struct stasis_machine *owner = atomic_load(&owners[i]);

        if (owner && owner != machine)
            return true;
    }
    return false;
}

static void install(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; !installed && i < FAULTS; i++) {
        (void)sigaction(faults[i], NULL, &before[i]);
        (void)sigaction(faults[i], &action, NULL);
    }
    installed = true;
}

static void uninstall(void)
{
    for (size_t i = 0; installed && i < FAULTS; i++)
        (void)sigaction(faults[i], &before[i], NULL);
    installed = false;
}

/* Puts `to` where `from` is. False: it is nowhere. */
static bool replace(struct stasis_machine *from, struct stasis_machine *to)
{
    for (size_t i = 0; i < STASIS_RAM_FAILURE_OWNERS_MAX; i++) {
        if (atomic_load(&owners[i]) == from) {
            atomic_store(&owners[i], to);
            return true;
        }
    }
    return false;
}

int stasis_ram_failure_catch(struct stasis_machine *machine, struct stasis_error *err)
{
    bool placed;

    pthread_mutex_lock(&lock);
    placed = replace(machine, machine) || replace(NULL, machine);
    if (placed)
        install();
    pthread_mutex_unlock(&lock);
    return placed ? 0
                  : stasis_fail(err, STASIS_ERR_FULL,
                                "this process has %d thawed guests, and takes no more; free one",
                                STASIS_RAM_FAILURE_OWNERS_MAX);
}

/* A handler on another thread may be looking at it. */
void stasis_ram_failure_restore(struct stasis_machine *machine)
{
    pthread_mutex_lock(&lock);
    if (replace(machine, NULL)) {
        while (atomic_load(&readers))
            sched_yield();
        if (!has_owners_but(NULL))
            uninstall();
    }
    pthread_mutex_unlock(&lock);
}

void stasis_ram_failure_stand_back(const struct stasis_machine *machine)
{
    pthread_mutex_lock(&lock);
    if (!has_owners_but(machine))
        uninstall();
    pthread_mutex_unlock(&lock);
}

void stasis_ram_failure_come_back(void)
{
    pthread_mutex_lock(&lock);
    if (has_owners_but(NULL))
        install();
    pthread_mutex_unlock(&lock);
}
