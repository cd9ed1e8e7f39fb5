/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/streams.h"
#include "vmm/cmd/cli_descriptors.h"
#include "vmm/cmd/cli_paths.h"
#include "vmm/cmd/ctl.h"
#include "vmm/cmd/dry_run.h"
#include "vmm/base/clock.h"
#include "vmm/cmd/say.h"
#include "vmm/cmd/session.h"
#include "vmm/cmd/signals.h"

/* In one write, whose error can be told. */
static int print(const struct stasis_options *options)
{
    static char room[16384];
    struct stasis_error err;

    (void)setvbuf(stdout, room, _IOFBF, sizeof(room));
    if (options->help)
        stasis_cli_print_help(stdout);
    else
        stasis_cli_print_version(stdout);
    return stasis_streams_flush(&err) ? stasis_say_error(false, &err) : 0;
}

static int print_config(const struct stasis_options *options)
{
    struct stasis_error err;
    char *text = NULL;
    size_t len;
    int rc = stasis_vmm_config_write(&options->config, &text, &len, &err);

    if (rc) {
        stasis_cli_name_options_in(&options->by_file, true, &err);
    } else {
        (void)fwrite(text, 1, len, stdout); /* an error sticks in the stream */
        rc = stasis_streams_flush(&err);
    }
    free(text);
    return rc ? stasis_say_error(false, &err) : 0;
}

static void end(void *ctx, const struct stasis_error *err)
{
    (void)ctx;
    _exit(stasis_say_error(false, err));
}

static int dry_run(const struct stasis_options *options)
{
    struct stasis_confinement confinement = {.mode = options->sandbox, .end = end};
    struct stasis_error err;
    int status;

    stasis_confine_init(&confinement);
    status = stasis_confine_begin(&confinement, &options->config, NULL, &err)
                 ? stasis_say_error(false, &err)
                 : stasis_dry_run(options, stdout);
    stasis_confine_fini(&confinement);
    return status;
}

int main(int argc, char **argv)
{
    struct stasis_options options;
    struct stasis_error err;
    uint64_t start_us;
    int status;

    if (argc > 1 && strcmp(argv[1], "ctl") == 0)
        return stasis_ctl_main(argc - 1, argv + 1);
    stasis_signals_init();
    start_us = stasis_monotonic_us();
    stasis_streams_raise_limit();
    if (stasis_streams_fill(&err) || stasis_cli_parse(argc, argv, &options, &err))
        return stasis_say_error(false, &err);
    options.config.start_us = start_us;
    if (options.help || options.version)
        status = print(&options);
    else if (options.print_config)
        status = print_config(&options);
    else if (stasis_cli_check_descriptors(&options, &err))
        status = stasis_say_error(false, &err);
    else if (options.dry_run)
        status = dry_run(&options);
    else
        status = stasis_session_run(&options);
    stasis_cli_fini(&options);
    return status;
}
