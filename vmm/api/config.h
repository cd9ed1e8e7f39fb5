/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a VM is to be and to do, as data: all that vmm.h needs to know. Zero is the default of each
 * member but memory_mib and vcpus.
 */
#ifndef STASIS_VMM_CONFIG_H
#define STASIS_VMM_CONFIG_H

#include "stasis/ram.h"
#include "vmm/boot/loader.h"
#include "vmm/host/serial_sink.h"
#include "vmm/snapshot/thaw.h"

#define STASIS_CONFIG_MEMORY_MIB_DEFAULT 256
#define STASIS_CONFIG_STREAM             "-" /* as a snapshot's path: standard input or output */

enum stasis_config_cpu {
    STASIS_CONFIG_CPU_HOST = 0,
    STASIS_CONFIG_CPU_BASELINE,
    STASIS_CONFIG_CPU_V2,
    STASIS_CONFIG_CPU_V3
};
enum stasis_config_then { STASIS_CONFIG_THEN_EXIT = 0, STASIS_CONFIG_THEN_RESUME };
enum stasis_config_prefetch { STASIS_CONFIG_PREFETCH_ON = 0, STASIS_CONFIG_PREFETCH_OFF };
enum stasis_config_sync { STASIS_CONFIG_SYNC_FULL = 0, STASIS_CONFIG_SYNC_NONE };
enum stasis_config_drop { STASIS_CONFIG_DROP_REFUSE = 0, STASIS_CONFIG_DROP_ALLOW };
enum stasis_config_dry_run { STASIS_CONFIG_DRY_RUN_TEXT = 0, STASIS_CONFIG_DRY_RUN_JSON };
enum stasis_config_clock { STASIS_CONFIG_CLOCK_CONTINUE = 0, STASIS_CONFIG_CLOCK_ADVANCE };

/* Strings and notes are owned by the struct; NULL means not given. Exactly one of kernel_path, demo
 * and restore_path is set. */
struct stasis_config {
    char *kernel_path;
    char *kernel_cmdline;      /* NULL: the default */
    uint64_t kernel_load_addr; /* 0: where the kernel asks to be */
    char *initrd_path;
    uint64_t memory_mib; /* 1 .. STASIS_RAM_MAX */
    uint64_t vcpus;      /* 1 .. STASIS_VCPUS_MAX */
    enum stasis_config_cpu cpu;
    bool demo;
    char *board_release; /* whose default board; NULL: this one's */

    char *snapshot_path;      /* "-": standard output */
    char *snapshot_on_output; /* 1 .. STASIS_MATCH_MAX bytes */
    uint64_t snapshot_after_ms;
    bool snapshot_timed; /* after_ms was given */
    enum stasis_config_then snapshot_then;
    uint64_t snapshot_zlib_level; /* 0: not compressed */
    enum stasis_config_sync snapshot_sync;
    enum stasis_config_drop snapshot_drop;
    char *snapshot_target;               /* name of a release, or NULL: this one */
    struct stasis_notes *snapshot_notes; /* NULL: none */

    char *restore_path; /* "-": standard input */
    enum stasis_config_clock restore_clock;
    enum stasis_ram_mode restore_memory;
    enum stasis_config_prefetch restore_prefetch;
    bool ignore_tsc_rate;                      /* thaw although the TSC's rate differs */
    enum stasis_config_dry_run dry_run_format; /* of --dry-run */

    char *metrics_path; /* NULL: none */

    struct stasis_serial_sink_options serial; /* append is set for --restore; path is serial_path */
    char *serial_path;
};

/* Frees the strings and the notes. */
void stasis_config_fini(struct stasis_config *config);

/* The board of a new guest. STASIS_ERR_ARG, STASIS_ERR_NOT_FOUND. */
STASIS_MUST_CHECK int stasis_config_board(const struct stasis_config *config,
                                          struct stasis_board_state *ret_board,
                                          struct stasis_error *err);

/* What to load into a new guest, and how to thaw one. The strings stay the config's. */
struct stasis_boot_options stasis_config_boot(const struct stasis_config *config);
struct stasis_thaw_options stasis_config_thaw(const struct stasis_config *config);

/* The snapshot is written to standard output, or read from standard input. */
bool stasis_config_freezes_to_stream(const struct stasis_config *config);
bool stasis_config_thaws_from_stream(const struct stasis_config *config);

#endif
