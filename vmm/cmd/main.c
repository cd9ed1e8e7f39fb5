/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <stdio.h>

#include "vmm/cmd/cli.h"
#include "vmm/base/clock.h"
#include "vmm/host/terminal.h"
#include "vmm/cmd/say.h"
#include "vmm/cmd/session.h"
#include "vmm/cmd/signals.h"

int main(int argc, char **argv)
{
    struct stasis_options options;
    struct stasis_error err;
    uint64_t start_us;
    int status = 0;

    stasis_signals_init();
    start_us = stasis_monotonic_us();
    if (stasis_terminal_fill_fds(&err) || stasis_cli_parse(argc, argv, &options, &err))
        return stasis_say_error(&err);
    if (options.help)
        stasis_cli_print_help(stdout);
    else if (options.version)
        stasis_cli_print_version(stdout);
    else
        status = stasis_session_run(&options.config, start_us);
    stasis_cli_fini(&options);
    return status;
}
