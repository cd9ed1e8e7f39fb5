/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The command line of vmm. Options take `key=value,key=value`; docs/vmm.1.scd is the manual.
 */
#ifndef STASIS_VMM_CLI_H
#define STASIS_VMM_CLI_H

#include <stdio.h>

#include "stasis/ram.h"
#include "vmm/host/serial_sink.h"

#define STASIS_CLI_MEMORY_MIB_DEFAULT 256
#define STASIS_CLI_STREAM             "-" /* as a snapshot's path: standard input or output */

enum stasis_cli_cpu { STASIS_CLI_CPU_HOST = 0, STASIS_CLI_CPU_BASELINE };
enum stasis_cli_then { STASIS_CLI_THEN_EXIT = 0, STASIS_CLI_THEN_RESUME };
enum stasis_cli_background { STASIS_CLI_BACKGROUND_ON = 0, STASIS_CLI_BACKGROUND_OFF };
enum stasis_cli_sync { STASIS_CLI_SYNC_FULL = 0, STASIS_CLI_SYNC_NONE };
enum stasis_cli_loss { STASIS_CLI_LOSS_REFUSE = 0, STASIS_CLI_LOSS_ALLOW };
enum stasis_cli_clock { STASIS_CLI_CLOCK_CONTINUE = 0, STASIS_CLI_CLOCK_ADVANCE };

/* Strings are owned by the struct; NULL means not given. Exactly one of kernel_path, demo and
 * restore_path is set, unless help or version is. */
struct stasis_options {
    bool help;
    bool version;

    bool demo;
    char *kernel_path;
    char *kernel_cmdline;      /* NULL: the default */
    uint64_t kernel_load_addr; /* 0: where the kernel asks to be */
    char *initrd_path;
    uint64_t memory_mib; /* 1 .. STASIS_RAM_MAX */
    uint64_t vcpus;      /* 1 in this release */
    enum stasis_cli_cpu cpu;
    char *board_release; /* whose default board; NULL: this one's */

    char *snapshot_path;      /* "-": standard output */
    char *snapshot_on_output; /* 1 .. STASIS_MATCH_MAX bytes */
    bool snapshot_timed;      /* after_ms was given */
    uint64_t snapshot_after_ms;
    enum stasis_cli_then snapshot_then;
    uint64_t snapshot_zlib_level; /* 0: not compressed */
    enum stasis_cli_sync snapshot_sync;
    char *snapshot_target; /* name of a release, or NULL: this one */
    enum stasis_cli_loss snapshot_loss;

    char *restore_path; /* "-": standard input */
    enum stasis_cli_clock restore_clock;
    enum stasis_ram_mode restore_memory;
    enum stasis_cli_background restore_background;
    bool allow_tsc; /* thaw although the TSC's rate differs */

    char *metrics_path; /* NULL: none */

    struct stasis_serial_sink_options serial; /* append is set for --restore; path is serial_path */
    char *serial_path;
};

/* Parses everything after argv[0]. Fills *ret_options on success only; then it is the caller's to
 * stasis_cli_fini(). With --help or --version nothing else is checked. STASIS_ERR_ARG with one line
 * that names the option and the remedy; STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_cli_parse(int argc, char *const *argv,
                                       struct stasis_options *ret_options,
                                       struct stasis_error *err);
void stasis_cli_fini(struct stasis_options *options);

/* For --help and --version. */
void stasis_cli_print_help(FILE *to);
void stasis_cli_print_version(FILE *to);

#endif
