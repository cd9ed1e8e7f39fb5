/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/config_keys.h"

#include <assert.h>
#include <stddef.h>

#include "vmm/api/config.h"

/* Words are stored through an unsigned int. */
static_assert(sizeof(enum stasis_vmm_cpu) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_rtc) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_then) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_sync) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_drop) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_clock) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_prefetch) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_track) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_ram_mode) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_serial_kind) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_metrics_format) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_on_guest_error) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_panic_text) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_on_reset) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_guest_errors_of) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_block_cache) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_block_readonly) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_block_root) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_reporting) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_log_level) == sizeof(unsigned), "enum size");
static_assert(sizeof(enum stasis_vmm_log_time) == sizeof(unsigned), "enum size");
static_assert(sizeof(bool) == 1, "bool size");

#define AT(member) offsetof(struct stasis_vmm_config, member)

static const char *const cpu_words[] = {
#define STASIS_CPU_MODEL(id, name, since, doc) name,
#include "stasis/state/cpu_models.def"
#undef STASIS_CPU_MODEL
    NULL};
static const char *const rtc_words[] = {"cmos", "pl031", NULL};
static const char *const then_words[] = {"exit", "resume", NULL};
static const char *const compress_words[] = {"none", "zlib", NULL};
static const char *const digest_words[] = {"none", "sha256", NULL};
static const char *const sync_words[] = {"full", "none", NULL};
static const char *const clock_words[] = {"continue", "advance", NULL};
static const char *const prefetch_words[] = {"on", "off", NULL};
static const char *const track_words[] = {"off", "on", NULL};
/* In the order of enum stasis_ram_mode. */
static const char *const memory_words[] = {"auto", "copy", "map", "lazy", NULL};
static const char *const drop_words[] = {"refuse", "allow", NULL};
static const char *const cache_words[] = {"writeback", "none", NULL};
static const char *const readonly_words[] = {"off", "on", NULL};
static const char *const ignore_words[] = {"tsc-rate", NULL};
static const char *const metrics_words[] = {"json", "openmetrics", NULL};
/* In the order of enum stasis_vmm_log_level. */
static const char *const level_words[] = {"none", "error", "warn", "info", "debug", NULL};
static const char *const time_words[] = {"on", "off", NULL};
static const char *const guest_error_words[] = {"count", "event", "stop", NULL};
static const char *const exit_words[] = {"exit", NULL};
static const char *const on_reset_words[] = {"exit", "reboot", NULL};
static const char *const guest_errors_of_words[] = {"all", "devices", NULL};
/* In the order of enum stasis_vmm_serial_kind. */
static const char *const out_words[] = {"stdio", "none", "file", "ring", "pipe", NULL};

#define GIVE_FILE "give the name of a file"
#define GIVE_NAME "give 1 to 20 of a-z, 0-9, - and _"
#define GIVE_SIZE "give bytes from 1 to 1024G, for example 64M"

const struct stasis_option_key stasis_config_kernel_keys[] = {
    {"path", STASIS_OPTION_TEXT, AT(kernel.path), "FILE", GIVE_FILE},
    {"cmdline", STASIS_OPTION_EMPTY_TEXT, AT(kernel.cmdline), "TEXT", ""},
    {"kernel_load_addr", STASIS_OPTION_NUMBER, AT(kernel.load_addr), "ADDR",
     "give a guest address, for example 0x1000000", 1, UINT64_C(1) << 46, .json = "load_addr"},
    {0},
};

const struct stasis_option_key stasis_config_restore_keys[] = {
    {"path", STASIS_OPTION_TEXT, AT(restore.path), "FILE", GIVE_FILE},
    {"clock", STASIS_OPTION_WORD, AT(restore.clock), "continue|advance", "give continue or advance",
     .words = clock_words},
    {"memory", STASIS_OPTION_WORD, AT(restore.memory), "auto|lazy|copy|map",
     "give auto, lazy, copy or map", .words = memory_words},
    {"prefetch", STASIS_OPTION_WORD, AT(restore.prefetch), "on|off", "give on or off",
     .words = prefetch_words},
    {"uffd_fd", STASIS_OPTION_FD, AT(restore.uffd_fd), "N", "give an open descriptor above 2"},
    {"root", STASIS_OPTION_TEXT, AT(restore.root), "HEX",
     "give the 64 hexadecimal digits that snapshot-inspect info shows"},
    {"layers", STASIS_OPTION_TEXT, AT(restore.layers), "DIR", "give the name of a folder"},
    {"track", STASIS_OPTION_WORD, AT(restore.track), "on|off", "give on or off",
     .words = track_words},
    {0},
};

const struct stasis_option_key stasis_config_initrd_keys[] = {
    {"path", STASIS_OPTION_TEXT, AT(initrd_path), "FILE", GIVE_FILE},
    {0},
};

const struct stasis_option_key stasis_config_memory_keys[] = {
    {"size_mib", STASIS_OPTION_NUMBER, AT(memory_mib), "N",
     "give MiB from 1 to 4194304 (4 TiB, the most that a snapshot holds)", 1, STASIS_RAM_MAX >> 20,
     .value = STASIS_VMM_MEMORY_MIB_DEFAULT},
    {0},
};

const struct stasis_option_key stasis_config_vcpu_keys[] = {
    {"num", STASIS_OPTION_NUMBER, AT(vcpus), "N", "give 1 to 254", 1, STASIS_VCPUS_MAX, .value = 1},
    {0},
};

const struct stasis_option_key stasis_config_cpu_keys[] = {
    {"model", STASIS_OPTION_WORD, AT(cpu), "host|baseline|x86-64-v2|x86-64-v3",
     "give host, baseline, x86-64-v2 or x86-64-v3", .words = cpu_words},
    {0},
};

const struct stasis_option_key stasis_config_rtc_keys[] = {
    {"model", STASIS_OPTION_WORD, AT(rtc), "cmos|pl031", "give cmos or pl031", .words = rtc_words},
    {0},
};

const struct stasis_option_key stasis_config_board_keys[] = {
    {"release", STASIS_OPTION_TEXT, AT(board_release), "RELEASE",
     "give a release, for example 0.1.0"},
    {0},
};

#define BLOCK_AT(member) offsetof(struct stasis_vmm_block, member)
const struct stasis_option_key stasis_config_block_keys[] = {
    {"path", STASIS_OPTION_TEXT, BLOCK_AT(path), "FILE", "give a raw file or a block device"},
    {"id", STASIS_OPTION_TEXT, BLOCK_AT(id), "NAME", GIVE_NAME, .max = STASIS_VMM_BLOCK_ID_MAX},
    {"readonly", STASIS_OPTION_WORD, BLOCK_AT(readonly), "on|off", "give on or off",
     .words = readonly_words},
    {"root", STASIS_OPTION_WORD, BLOCK_AT(root), "on|off", "give on or off", .words = time_words},
    {"cache", STASIS_OPTION_WORD, BLOCK_AT(cache), "writeback|none", "give writeback or none",
     .words = cache_words},
    {"block_size", STASIS_OPTION_NUMBER, BLOCK_AT(block_size), "512|4096", "give 512 or 4096", 512,
     4096, .value = 512},
    {"iops", STASIS_OPTION_NUMBER, BLOCK_AT(iops), "N",
     "give operations per second from 1 to 1073741824", 1, STASIS_VMM_BLOCK_RATE_MAX},
    {"bandwidth", STASIS_OPTION_SIZE, BLOCK_AT(bandwidth), "BYTES",
     "give bytes per second from 1 to 1G, for example 64M", 1, STASIS_VMM_BLOCK_RATE_MAX},
    {"overlay", STASIS_OPTION_TEXT, BLOCK_AT(overlay), "FILE",
     "give a file for what the guest writes"},
    {0},
};

const struct stasis_option_key stasis_config_allow_keys[] = {
    {"disk-changed", STASIS_OPTION_TEXTS, AT(allow.disk_changed), "NAME", GIVE_NAME,
     .min = STASIS_VMM_BLOCKS_MAX, .max = STASIS_VMM_BLOCK_ID_MAX, .json = "disk_changed"},
    {"disk-shared", STASIS_OPTION_TEXTS, AT(allow.disk_shared), "NAME", GIVE_NAME,
     .min = STASIS_VMM_BLOCKS_MAX, .max = STASIS_VMM_BLOCK_ID_MAX, .json = "disk_shared"},
    {0},
};

static_assert(STASIS_VMM_NET_MTU_MIN == 68 && STASIS_VMM_NET_MTU_MAX == 65535 &&
                  STASIS_VMM_NET_BANDWIDTH_MIN >> 10 == 128 &&
                  STASIS_VMM_NET_BANDWIDTH_MAX >> 30 == 1,
              "the remedies name them");
#define GIVE_NETWORK "give a network: tap=NAME, passt=SOCKET or fd=N"

const struct stasis_option_key stasis_config_net_keys[] = {
    {"tap", STASIS_OPTION_TEXT, AT(net.tap), "NAME", GIVE_NETWORK},
    {"passt", STASIS_OPTION_TEXT, AT(net.passt), "SOCKET", GIVE_NETWORK},
    {"fd", STASIS_OPTION_FD, AT(net.fd), "N", "give an open descriptor above 2"},
    {"id", STASIS_OPTION_TEXT, AT(net.id), "NAME", GIVE_NAME, .max = STASIS_VMM_NET_ID_MAX},
    {"mac", STASIS_OPTION_TEXT, AT(net.mac), "ADDRESS",
     "give the address of one station, such as 02:00:00:00:00:01"},
    {"mtu", STASIS_OPTION_NUMBER, AT(net.mtu), "BYTES", "give 68 to 65535", STASIS_VMM_NET_MTU_MIN,
     STASIS_VMM_NET_MTU_MAX},
    {"bandwidth", STASIS_OPTION_SIZE, AT(net.bandwidth), "BYTES",
     "give bytes per second from 128K to 1G, for example 64M", STASIS_VMM_NET_BANDWIDTH_MIN,
     STASIS_VMM_NET_BANDWIDTH_MAX},
    {0},
};

static_assert(STASIS_VMM_VSOCK_CID_MIN == 3 && STASIS_VMM_VSOCK_CID_MAX == UINT32_MAX - 1,
              "the remedy names them");
const struct stasis_option_key stasis_config_vsock_keys[] = {
    {"path", STASIS_OPTION_TEXT, AT(vsock.path), "PATH", "give the path of a socket to be made"},
    {"cid", STASIS_OPTION_NUMBER, AT(vsock.cid), "N", "give 3 to 4294967294",
     STASIS_VMM_VSOCK_CID_MIN, STASIS_VMM_VSOCK_CID_MAX},
    {"id", STASIS_OPTION_TEXT, AT(vsock.id), "NAME", GIVE_NAME, .max = STASIS_VMM_VSOCK_ID_MAX},
    {0},
};

const struct stasis_option_key stasis_config_balloon_keys[] = {
    {"id", STASIS_OPTION_TEXT, AT(balloon.id), "NAME", GIVE_NAME, .max = STASIS_VMM_BALLOON_ID_MAX},
    {"reporting", STASIS_OPTION_WORD, AT(balloon.reporting), "on|off", "give on or off",
     .words = time_words},
    {0},
};

const struct stasis_option_key stasis_config_serial_keys[] = {
    {"out", STASIS_OPTION_OUT, AT(serial.kind), "stdio|none|file:PATH|ring:PATH|pipe:PATH",
     "give stdio, none, file:PATH, ring:PATH or pipe:PATH", .words = out_words,
     .also = AT(serial.path)},
    {"limit", STASIS_OPTION_SIZE, AT(serial.limit), "BYTES", GIVE_SIZE, 1,
     STASIS_SERIAL_SINK_BYTES_MAX, .out = STASIS_VMM_SERIAL_FILE,
     .value = STASIS_SERIAL_SINK_LIMIT_DEFAULT},
    {"size", STASIS_OPTION_SIZE, AT(serial.size), "BYTES", GIVE_SIZE, 1,
     STASIS_SERIAL_SINK_BYTES_MAX, .out = STASIS_VMM_SERIAL_RING,
     .value = STASIS_SERIAL_SINK_SIZE_DEFAULT},
    {"rate", STASIS_OPTION_SIZE, AT(serial.rate), "BYTES",
     "give bytes per second from 1 to 1G, for example 64K", 1, STASIS_SERIAL_SINK_RATE_MAX},
    {0},
};

const struct stasis_option_key stasis_config_snapshot_keys[] = {
    {"path", STASIS_OPTION_TEXT, AT(snapshot.path), "FILE", GIVE_FILE},
    {"on_output", STASIS_OPTION_TEXT, AT(snapshot.on_output), "TEXT",
     "give 1 to 255 bytes of text that the guest prints", .max = 255},
    {"after_ms", STASIS_OPTION_TIME, AT(snapshot.after_ms), "N",
     "give milliseconds up to 1000000000000", 0, UINT64_C(1000000000000),
     .also = AT(snapshot.timed)},
    {"then", STASIS_OPTION_WORD, AT(snapshot.then), "exit|resume", "give exit or resume",
     .words = then_words},
    {"compress", STASIS_OPTION_LEVEL, AT(snapshot.save.zlib_level), "none|zlib[:LEVEL]",
     "give none, zlib, or zlib:1 (fast) to zlib:12 (small)", 1, 12, .words = compress_words},
    {"digest", STASIS_OPTION_WORD, AT(snapshot.save.digest), "none|sha256", "give none or sha256",
     .words = digest_words},
    {"sync", STASIS_OPTION_WORD, AT(snapshot.save.sync), "full|none", "give full or none",
     .words = sync_words},
    {"parent", STASIS_OPTION_TEXT, AT(snapshot.save.parent), "none|auto|HEX",
     "give none, auto, or the 64 hexadecimal digits of a root"},
    {"target", STASIS_OPTION_TEXT, AT(snapshot.save.target), "RELEASE",
     "give a release, for example 0.1.0"},
    {"drop", STASIS_OPTION_WORD, AT(snapshot.save.drop), "refuse|allow", "give refuse or allow",
     .words = drop_words},
    {"note", STASIS_OPTION_NOTES, AT(snapshot.save.notes), "KEY=VALUE",
     "give KEY=VALUE, for example image=debian-12", .json = "notes"},
    {0},
};

const struct stasis_option_key stasis_config_metrics_keys[] = {
    {"path", STASIS_OPTION_TEXT, AT(metrics_path), "FILE", GIVE_FILE},
    {"format", STASIS_OPTION_WORD, AT(metrics_format), "json|openmetrics",
     "give json or openmetrics", .words = metrics_words},
    {"every_ms", STASIS_OPTION_NUMBER, AT(metrics_every_ms), "N",
     "give milliseconds from 10 to 86400000 (a day)", STASIS_VMM_METRICS_MS_MIN,
     STASIS_VMM_METRICS_MS_MAX},
    {0},
};

static_assert(STASIS_VMM_METRICS_MS_MAX == 86400000, "the remedy names the limit");
const struct stasis_option_key stasis_config_log_keys[] = {
    {"level", STASIS_OPTION_WORD, AT(log.level), "none|error|warn|info|debug",
     "give none, error, warn, info or debug", .words = level_words},
    {"fd", STASIS_OPTION_FD, AT(log.fd), "N", "give an open descriptor above 2"},
    {"time", STASIS_OPTION_WORD, AT(log.time), "on|off", "give on or off", .words = time_words},
    {0},
};

const struct stasis_option_key stasis_config_guest_error_keys[] = {
    {"action", STASIS_OPTION_WORD, AT(guest_errors.action), "count|event|stop",
     "give count, event or stop", .words = guest_error_words},
    {"of", STASIS_OPTION_WORD, AT(guest_errors.of), "all|devices", "give all or devices",
     .words = guest_errors_of_words},
    {0},
};

const struct stasis_option_key stasis_config_on_reset_keys[] = {
    {"action", STASIS_OPTION_WORD, AT(on_reset), "exit|reboot", "give exit or reboot",
     .words = on_reset_words},
    {0},
};

const struct stasis_option_key stasis_config_on_crash_keys[] = {
    {"action", STASIS_OPTION_SWITCH, AT(on_crash.exit), "exit", "give exit, or snapshot=FILE",
     .words = exit_words, .json = "exit"},
    {"snapshot", STASIS_OPTION_TEXT, AT(on_crash.snapshot), "FILE", GIVE_FILE},
    {"panic_text", STASIS_OPTION_WORD, AT(on_crash.panic_text), "on|off", "give on or off",
     .words = readonly_words},
    {0},
};

const struct stasis_option_key stasis_config_ready_keys[] = {
    {"fd", STASIS_OPTION_FD, AT(ready_fd), "N", "give an open descriptor above 2"},
    {0},
};

const struct stasis_option_key stasis_config_kvm_keys[] = {
    {"fd", STASIS_OPTION_FD, AT(kvm_fd), "N", "give an open descriptor above 2"},
    {0},
};

const struct stasis_option_key stasis_config_ignore_keys[] = {
    {"what", STASIS_OPTION_SWITCH, AT(restore.ignore_tsc_rate), "tsc-rate", "give tsc-rate",
     .words = ignore_words, .json = "ignore_tsc_rate"},
    {0},
};
