/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/snapshot/ram_failure.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/host/terminal.h"
#include "vmm/machine/machine.h"
#include "vmm/cmd/say.h"

/* An orderly end waits 2 s for a slow reader of the last output. */
#define ORDERLY_END_S 5

/* Without what belongs to threads that may never come back. */
static _Noreturn void die(const struct stasis_error *err)
{
    stasis_terminal_restore();
    _exit(stasis_say_error(err));
}

/* ---- the watchdog ---- */

void stasis_ram_watchdog_init(struct stasis_ram_watchdog *watchdog)
{
    pthread_condattr_t monotonic;

    memset(watchdog, 0, sizeof(*watchdog));
    pthread_mutex_init(&watchdog->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void stasis_ram_watchdog_fini(struct stasis_ram_watchdog *watchdog)
{
    if (watchdog->started) {
        pthread_mutex_lock(&watchdog->lock);
        watchdog->called_off = true;
        pthread_cond_broadcast(&watchdog->changed);
        pthread_mutex_unlock(&watchdog->lock);
        pthread_join(watchdog->thread, NULL);
    }
    pthread_cond_destroy(&watchdog->changed);
    pthread_mutex_destroy(&watchdog->lock);
}

/* Waits until the guest has come to its end, or for that long. The lock is held. */
static void wait_for_end(struct stasis_ram_watchdog *watchdog, time_t seconds)
{
    struct timespec deadline;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += seconds;
    while (!watchdog->called_off && !rc)
        rc = pthread_cond_timedwait(&watchdog->changed, &watchdog->lock, &deadline);
}

/* A vCPU, or KVM for it, may wait for memory that will never come. Sent away, it ends in order;
 * and a process that KVM waits in could not even be killed. */
static void *watch(void *arg)
{
    struct stasis_machine *machine = arg;
    struct stasis_ram_watchdog *watchdog = &machine->ram_watchdog;

    pthread_mutex_lock(&watchdog->lock);
    wait_for_end(watchdog, ORDERLY_END_S);
    if (!watchdog->called_off && machine->ram) {
        stasis_ram_abandon(machine->ram);
        wait_for_end(watchdog, ORDERLY_END_S);
    }
    if (!watchdog->called_off)
        die(&watchdog->error);
    pthread_mutex_unlock(&watchdog->lock);
    return NULL;
}

void stasis_ram_failure_failed(void *ctx, const struct stasis_error *err)
{
    struct stasis_machine *machine = ctx;

    machine->ram_watchdog.error = *err;
    stasis_machine_end(machine, STASIS_END_CRASHED, err);
    machine->ram_watchdog.started =
        !pthread_create(&machine->ram_watchdog.thread, NULL, watch, machine);
    if (!machine->ram_watchdog.started)
        die(err);
}

/* ---- faults ---- */

bool stasis_ram_failure_end(struct stasis_machine *machine, const void *host)
{
    struct stasis_error err;

    if (!machine->ram || !stasis_ram_explain(machine->ram, host, &err))
        return false;
    stasis_machine_end(machine, STASIS_END_CRASHED, &err);
    return true;
}

static struct stasis_machine *caught; /* changes while no other thread touches guest memory */

/* SIGSEGV comes of memory that was abandoned. */
static const int faults[] = {SIGBUS, SIGSEGV};
#define FAULTS (sizeof(faults) / sizeof(faults[0]))
static struct sigaction before[FAULTS];

/* The fault is synchronous, at an access to guest memory and never inside libc, so that all may be
 * called that touches no guest memory. On a vCPU's thread it is KVM that met the fault (si_code
 * BUS_MCEERR_AR): KVM_RUN returns, and the thread sees that the guest has ended. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    struct stasis_error err;

    (void)context;
    if (info->si_code > 0 && caught && caught->ram &&
        stasis_ram_explain(caught->ram, info->si_addr, &err)) {
        stasis_machine_end(caught, STASIS_END_CRASHED, &err);
        if (number == SIGBUS && stasis_vcpu_is_current_thread())
            return;
        die(atomic_load(&caught->end) == STASIS_END_CRASHED ? &caught->end_error : &err);
    }
    (void)sigaction(number, &before[number != SIGBUS],
                    NULL); /* a fault happens again; a sent signal is sent on */
    if (info->si_code <= 0)
        (void)raise(number);
}

void stasis_ram_failure_catch(struct stasis_machine *machine)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    sigemptyset(&action.sa_mask);
    caught = machine;
    for (size_t i = 0; i < FAULTS; i++)
        (void)sigaction(faults[i], &action, &before[i]);
}

void stasis_ram_failure_restore(void)
{
    if (!caught)
        return;
    for (size_t i = 0; i < FAULTS; i++)
        (void)sigaction(faults[i], &before[i], NULL);
    caught = NULL;
}
