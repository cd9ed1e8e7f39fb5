/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/kick.h"

#include <pthread.h>
#include <signal.h>

#include "stasis/kvm_vcpu.h"
#include "vmm/base/chain.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users[NSIG];          /* under the lock */
static struct sigaction before[NSIG]; /* while there are users */

static _Thread_local bool is_vms; /* the thread: a kick concerns nobody else */

bool stasis_kick_is_signal(int number)
{
    return number >= SIGRTMIN && number <= SIGRTMAX;
}

int stasis_kick_number(int number)
{
    return number ? number : SIGRTMIN;
}

/* In the thread's own context, so that no kick is lost between a look at pause_wanted and the entry
 * into KVM_RUN. A thread of a VM that holds no vCPU, as it begins and ends, has nothing to leave.
 */
static void on_kick(int number, siginfo_t *info, void *context)
{
    if (stasis_run_handle_is_held())
        stasis_vcpu_set_local_immediate_exit(true);
    else if (!is_vms)
        (void)stasis_signal_chain(&before[number], number, info, context);
}

/* Without SA_RESTART: KVM_RUN is to return. */
void stasis_kick_acquire(int number)
{
    struct sigaction action = {.sa_sigaction = on_kick, .sa_flags = SA_SIGINFO};
    int at = stasis_kick_number(number);

    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&lock);
    if (users[at]++ == 0) {
        (void)sigaction(at, NULL, &before[at]);
        (void)sigaction(at, &action, NULL);
    }
    pthread_mutex_unlock(&lock);
}

void stasis_kick_release(int number)
{
    int at = stasis_kick_number(number);

    pthread_mutex_lock(&lock);
    if (--users[at] == 0)
        (void)sigaction(at, &before[at], NULL);
    pthread_mutex_unlock(&lock);
}

void stasis_kick_begin_thread(int number)
{
    sigset_t kick;

    is_vms = true;
    sigemptyset(&kick);
    sigaddset(&kick, stasis_kick_number(number));
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
}
