/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/signals.h"

#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "stasis/fault_signals.h"

void stasis_signals_init(void)
{
    sigset_t freeze;

    sigemptyset(&freeze);
    sigaddset(&freeze, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &freeze, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
}

/* Less what whoever started us has ignored, as nohup does: a blocked signal would come through. */
static sigset_t ending_signals(void)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction now;
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!sigaction(all[i], NULL, &now) && now.sa_handler != SIG_IGN)
            sigaddset(&set, all[i]);
    }
    return set;
}

int stasis_signals_open(void)
{
    sigset_t set = ending_signals();

    sigaddset(&set, SIGUSR1);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int stasis_signals_read(int fd)
{
    struct signalfd_siginfo info;

    return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

void stasis_signals_hold(bool hold)
{
    sigset_t set = ending_signals();

    pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void stasis_signals_die_by(int number)
{
    sigset_t set;

    (void)signal(number, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, number);
    (void)stasis_signal_raise(number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
