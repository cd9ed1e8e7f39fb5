/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/cli_internal.h"

#include <assert.h>
#include <stddef.h>

#include "stasis_options.h"

#define AT(member) offsetof(struct stasis_options, config.member)

static const char *const cpu_words[] = {"host", "baseline", "x86-64-v2", "x86-64-v3", NULL};
static const char *const then_words[] = {"exit", "resume", NULL};
static const char *const compress_words[] = {"none", "zlib", NULL};
static const char *const sync_words[] = {"full", "none", NULL};
static const char *const clock_words[] = {"continue", "advance", NULL};
static const char *const prefetch_words[] = {"on", "off", NULL};
/* In the order of enum stasis_ram_mode. */
static const char *const memory_words[] = {"auto", "copy", "map", "lazy", NULL};
static const char *const drop_words[] = {"refuse", "allow", NULL};
static const char *const ignore_words[] = {"tsc-rate", NULL};
/* In the order of enum stasis_cli_dry_run. */
static const char *const format_words[] = {"text", "json", NULL};
static const char *const metrics_words[] = {"json", "openmetrics", NULL};
/* In the order of enum stasis_vmm_log_level. */
static const char *const level_words[] = {"none", "error", "warn", "info", "debug", NULL};
static const char *const time_words[] = {"on", "off", NULL};
static const char *const guest_error_words[] = {"count", "event", "stop", NULL};
static const char *const guest_errors_of_words[] = {"all", "devices", NULL};
const char *const stasis_cli_out_words[] = {"stdio", "none", "file", "ring", "pipe", NULL};

#define GIVE_FILE "give the name of a file"
#define GIVE_SIZE "give bytes from 1 to 1024G, for example 64M"

static const struct stasis_cli_key kernel_keys[] = {
    {"path", STASIS_CLI_TEXT, AT(kernel.path), "FILE", GIVE_FILE},
    {"cmdline", STASIS_CLI_EMPTY_TEXT, AT(kernel.cmdline), "TEXT", ""},
    {"kernel_load_addr", STASIS_CLI_NUMBER, AT(kernel.load_addr), "ADDR",
     "give a guest address, for example 0x1000000", 1, UINT64_C(1) << 46},
    {0},
};

static const struct stasis_cli_key restore_keys[] = {
    {"path", STASIS_CLI_TEXT, AT(restore.path), "FILE", GIVE_FILE},
    {"clock", STASIS_CLI_WORD, AT(restore.clock), "continue|advance", "give continue or advance",
     .words = clock_words},
    {"memory", STASIS_CLI_WORD, AT(restore.memory), "auto|lazy|copy|map",
     "give auto, lazy, copy or map", .words = memory_words},
    {"prefetch", STASIS_CLI_WORD, AT(restore.prefetch), "on|off", "give on or off",
     .words = prefetch_words},
    {0},
};

static const struct stasis_cli_key initrd_keys[] = {
    {"path", STASIS_CLI_TEXT, AT(initrd_path), "FILE", GIVE_FILE},
    {0},
};

static_assert(STASIS_RAM_MAX >> 20 == 4194304, "the help of --memory names the limit");
static const struct stasis_cli_key memory_keys[] = {
    {"size_mib", STASIS_CLI_NUMBER, AT(memory_mib), "N",
     "give MiB from 1 to 4194304 (4 TiB, the most that a snapshot holds)", 1, STASIS_RAM_MAX >> 20},
    {0},
};

static_assert(STASIS_VCPUS_MAX == 254, "the help of --vcpu names the limit");
static const struct stasis_cli_key vcpu_keys[] = {
    {"num", STASIS_CLI_NUMBER, AT(vcpus), "N", "give 1 to 254", 1, STASIS_VCPUS_MAX},
    {0},
};

static const struct stasis_cli_key cpu_keys[] = {
    {"model", STASIS_CLI_WORD, AT(cpu), "host|baseline|x86-64-v2|x86-64-v3",
     "give host, baseline, x86-64-v2 or x86-64-v3", .words = cpu_words},
    {0},
};

static const struct stasis_cli_key board_keys[] = {
    {"release", STASIS_CLI_TEXT, AT(board_release), "RELEASE", "give a release, for example 0.1.0"},
    {0},
};

static const struct stasis_cli_key serial_keys[] = {
    {"out", STASIS_CLI_OUT, 0, "stdio|none|file:PATH|ring:PATH|pipe:PATH",
     "give stdio, none, file:PATH, ring:PATH or pipe:PATH", .words = stasis_cli_out_words},
    {"limit", STASIS_CLI_SIZE, AT(serial.limit), "BYTES", GIVE_SIZE, 1,
     STASIS_SERIAL_SINK_BYTES_MAX},
    {"size", STASIS_CLI_SIZE, AT(serial.size), "BYTES", GIVE_SIZE, 1, STASIS_SERIAL_SINK_BYTES_MAX},
    {"rate", STASIS_CLI_SIZE, AT(serial.rate), "BYTES",
     "give bytes per second from 1 to 1G, for example 64K", 1, STASIS_SERIAL_SINK_RATE_MAX},
    {0},
};

static const struct stasis_cli_key snapshot_keys[] = {
    {"path", STASIS_CLI_TEXT, AT(snapshot.path), "FILE", GIVE_FILE},
    {"on_output", STASIS_CLI_TEXT, AT(snapshot.on_output), "TEXT",
     "give 1 to 255 bytes of text that the guest prints", .max = 255},
    {"after_ms", STASIS_CLI_NUMBER, AT(snapshot.after_ms), "N",
     "give milliseconds up to 1000000000000", 0, UINT64_C(1000000000000)},
    {"then", STASIS_CLI_WORD, AT(snapshot.then), "exit|resume", "give exit or resume",
     .words = then_words},
    {"compress", STASIS_CLI_LEVEL, AT(snapshot.save.zlib_level), "none|zlib[:LEVEL]",
     "give none, zlib, or zlib:1 (fast) to zlib:12 (small)", 1, 12, .words = compress_words},
    {"sync", STASIS_CLI_WORD, AT(snapshot.save.sync), "full|none", "give full or none",
     .words = sync_words},
    {"target", STASIS_CLI_TEXT, AT(snapshot.save.target), "RELEASE",
     "give a release, for example 0.1.0"},
    {"drop", STASIS_CLI_WORD, AT(snapshot.save.drop), "refuse|allow", "give refuse or allow",
     .words = drop_words},
    {"note", STASIS_CLI_NOTE, AT(snapshot.save.notes), "KEY=VALUE", ""},
    {0},
};

static const struct stasis_cli_key metrics_keys[] = {
    {"path", STASIS_CLI_TEXT, AT(metrics_path), "FILE", GIVE_FILE},
    {"format", STASIS_CLI_WORD, AT(metrics_format), "json|openmetrics", "give json or openmetrics",
     .words = metrics_words},
    {"every_ms", STASIS_CLI_NUMBER, AT(metrics_every_ms), "N",
     "give milliseconds from 10 to 86400000 (a day)", STASIS_VMM_METRICS_MS_MIN,
     STASIS_VMM_METRICS_MS_MAX},
    {0},
};

static_assert(STASIS_VMM_METRICS_MS_MAX == 86400000, "the remedy names the limit");
static const struct stasis_cli_key log_keys[] = {
    {"level", STASIS_CLI_WORD, AT(log.level), "none|error|warn|info|debug",
     "give none, error, warn, info or debug", .words = level_words},
    {"fd", STASIS_CLI_FD, AT(log.fd), "N", "give an open descriptor above 2"},
    {"time", STASIS_CLI_WORD, AT(log.time), "on|off", "give on or off", .words = time_words},
    {0},
};

static const struct stasis_cli_key guest_error_keys[] = {
    {"action", STASIS_CLI_WORD, AT(guest_errors.action), "count|event|stop",
     "give count, event or stop", .words = guest_error_words},
    {"of", STASIS_CLI_WORD, AT(guest_errors.of), "all|devices", "give all or devices",
     .words = guest_errors_of_words},
    {0},
};

static const struct stasis_cli_key ready_keys[] = {
    {"fd", STASIS_CLI_FD, AT(ready_fd), "N", "give an open descriptor above 2"},
    {0},
};

static const struct stasis_cli_key ignore_keys[] = {
    {"what", STASIS_CLI_SWITCH, AT(restore.ignore_tsc_rate), "tsc-rate", "give tsc-rate",
     .words = ignore_words},
    {0},
};

static const struct stasis_cli_key control_keys[] = {
    {"path", STASIS_CLI_TEXT, offsetof(struct stasis_options, control.path), "SOCK",
     "give the name of a socket"},
    {"dir", STASIS_CLI_TEXT, offsetof(struct stasis_options, control.dir), "FOLDER",
     "give the name of a folder"},
    {0},
};

static const struct stasis_cli_key dry_run_keys[] = {
    {"format", STASIS_CLI_WORD, offsetof(struct stasis_options, dry_run_format), "text|json",
     "give text or json", .words = format_words},
    {0},
};

const struct stasis_cli_option stasis_cli_options[STASIS_CLI_COUNT] = {
    [STASIS_CLI_KERNEL] = {"kernel", kernel_keys,
                           "Boot a Linux kernel: a bzImage or an ELF vmlinux.\n",
                           "What to run (exactly one of these):"},
    [STASIS_CLI_DEMO] = {"demo", NULL, "Boot the small built-in guest.\n",
                         .absent = STASIS_WITH_DEMO ? NULL : "STASIS_DEMO"},
    [STASIS_CLI_RESTORE] =
        {"restore", restore_keys,
         "Thaw the guest in FILE; - reads it from standard input.\n"
         "clock=continue (default): no time has passed for the guest;\n"
         "clock=advance: its clocks are advanced by the time since the freeze.\n"
         "memory=lazy: memory is read and verified when it is first touched;\n"
         "copy: all of it is read and verified before the guest runs;\n"
         "map: the file is mapped, and verified in the background while the\n"
         "guest runs; auto (default): lazy if permitted, else copy.\n"
         "prefetch=off: do not load (lazy) or verify (map) in the background.\n"},
    [STASIS_CLI_INITRD] = {"initrd", initrd_keys, "Load an initial RAM disk.\n",
                           "The machine (not with --restore):"},
    [STASIS_CLI_MEMORY] = {"memory", memory_keys, "Guest memory in MiB (default 256).\n"},
    [STASIS_CLI_VCPU] = {"vcpu", vcpu_keys, "Number of vCPUs, 1 to 254 (default 1).\n"},
    [STASIS_CLI_CPU] = {"cpu", cpu_keys,
                        "host (default): all features of this host; baseline: a minimal, fixed\n"
                        "CPU, so that the guest can be thawed on any host; x86-64-v2, x86-64-v3:\n"
                        "the baseline with the features of that level, on hosts that have them.\n"},
    [STASIS_CLI_BOARD] =
        {"board", board_keys,
         "Use the default board of that release, so that it can thaw the guest.\n"},
    [STASIS_CLI_PAUSED] = {"paused", NULL,
                           "Leave the guest paused until it is resumed from outside.\n",
                           "The start:"},
    [STASIS_CLI_READY_FD] =
        {"ready-fd", ready_keys,
         "Write the line \"running\" to descriptor N when the guest first runs, and\n"
         "close it.\n"},
    [STASIS_CLI_SERIAL] = {"serial", serial_keys,
                           "Destination of serial output (default stdio); only stdio has input.\n"
                           "file: at most limit bytes (64M); ring: the last size bytes (1M);\n"
                           "pipe: a named pipe; rate: at most this many bytes per second.\n",
                           "Serial port:"},
    [STASIS_CLI_SNAPSHOT_OUT] =
        {"snapshot-out", snapshot_keys,
         "Freeze the guest to FILE; - writes to standard output. The guest\n"
         "is frozen on SIGUSR1, on Ctrl-A s, when it prints TEXT, or N ms\n"
         "after the start. then: exit (default) or resume the guest.\n"
         "compress: how memory is stored (default none).\n"
         "sync=none: do not wait for the disk.\n"
         "target: write a file that this older release can thaw.\n"
         "drop=allow: leave out what the target cannot represent; by\n"
         "default the freeze fails.\n"
         "note: store a note in FILE; may be given several times.\n",
         "Freeze and thaw:"},
    [STASIS_CLI_IGNORE] = {"ignore", ignore_keys,
                           "With --restore: thaw the guest even if its TSC rate differs from this\n"
                           "host's and cannot be scaled.\n"},
    [STASIS_CLI_DRY_RUN] = {"dry-run", dry_run_keys,
                            "With --restore: only say whether the guest would be thawed here, and\n"
                            "if not, all reasons, on standard output, as text (default) or JSON.\n",
                            .is_whole = true},
    [STASIS_CLI_CONTROL] = {"control", control_keys,
                            "Listen on the Unix socket SOCK for vmm ctl and other clients.\n"
                            "dir: where requests may write snapshots by name alone.\n",
                            "Other:", .absent = STASIS_WITH_JSON ? NULL : "STASIS_JSON"},
    [STASIS_CLI_ON_GUEST_ERROR] =
        {"on-guest-error", guest_error_keys,
         "What to do when the guest accesses a port or an address that no device\n"
         "has, or that a device refuses: count it (default); event: print it,\n"
         "10 a second at most; stop: end the VM with status 10.\n"
         "of=devices: do it only for what a device refuses.\n"},
    [STASIS_CLI_LOG] = {"log", log_keys,
                        "Write a line for each event to standard error, or to descriptor N.\n"
                        "time=off: leave out the time (UTC).\n"},
    [STASIS_CLI_METRICS] = {"metrics", metrics_keys,
                            "Write to FILE, when the run ends, what was counted and measured.\n"
                            "every_ms: replace FILE so often, too, from the start on.\n"},
    [STASIS_CLI_HELP] = {"help", NULL, "Print this help.\n"},
    [STASIS_CLI_VERSION] = {"version", NULL, "Print the version.\n"},
};
