/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/config.h"

#include <assert.h>
#include <stddef.h>

#include "stasis_options.h"

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

static_assert(STASIS_SERIAL_SINK_LIMIT_DEFAULT >> 20 == 64 &&
                  STASIS_SERIAL_SINK_SIZE_DEFAULT >> 20 == 1,
              "the help of --serial names them");

#define GIVE_FILE "give the name of a file"
#define GIVE_NAME "give 1 to 20 of a-z, 0-9, - and _"
#define GIVE_SIZE "give bytes from 1 to 1024G, for example 64M"

static const struct stasis_option_key kernel_keys[] = {
    {"path", STASIS_OPTION_TEXT, AT(kernel.path), "FILE", GIVE_FILE},
    {"cmdline", STASIS_OPTION_EMPTY_TEXT, AT(kernel.cmdline), "TEXT", ""},
    {"kernel_load_addr", STASIS_OPTION_NUMBER, AT(kernel.load_addr), "ADDR",
     "give a guest address, for example 0x1000000", 1, UINT64_C(1) << 46, .json = "load_addr"},
    {0},
};

static const struct stasis_option_key restore_keys[] = {
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

static const struct stasis_option_key initrd_keys[] = {
    {"path", STASIS_OPTION_TEXT, AT(initrd_path), "FILE", GIVE_FILE},
    {0},
};

static_assert(STASIS_RAM_MAX >> 20 == 4194304, "the help of --memory names the limit");
static const struct stasis_option_key memory_keys[] = {
    {"size_mib", STASIS_OPTION_NUMBER, AT(memory_mib), "N",
     "give MiB from 1 to 4194304 (4 TiB, the most that a snapshot holds)", 1, STASIS_RAM_MAX >> 20,
     .value = STASIS_VMM_MEMORY_MIB_DEFAULT},
    {0},
};

static_assert(STASIS_VCPUS_MAX == 254, "the help of --vcpu names the limit");
static const struct stasis_option_key vcpu_keys[] = {
    {"num", STASIS_OPTION_NUMBER, AT(vcpus), "N", "give 1 to 254", 1, STASIS_VCPUS_MAX, .value = 1},
    {0},
};

static const struct stasis_option_key cpu_keys[] = {
    {"model", STASIS_OPTION_WORD, AT(cpu), "host|baseline|x86-64-v2|x86-64-v3",
     "give host, baseline, x86-64-v2 or x86-64-v3", .words = cpu_words},
    {0},
};

static const struct stasis_option_key rtc_keys[] = {
    {"model", STASIS_OPTION_WORD, AT(rtc), "cmos|pl031", "give cmos or pl031", .words = rtc_words},
    {0},
};

static const struct stasis_option_key board_keys[] = {
    {"release", STASIS_OPTION_TEXT, AT(board_release), "RELEASE",
     "give a release, for example 0.1.0"},
    {0},
};

static_assert(STASIS_VMM_BLOCKS_MAX == 8, "the help of --block names the limit");
#define BLOCK_AT(member) offsetof(struct stasis_vmm_block, member)
static const struct stasis_option_key block_keys[] = {
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

static const struct stasis_option_key allow_keys[] = {
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

static const struct stasis_option_key net_keys[] = {
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
static const struct stasis_option_key vsock_keys[] = {
    {"path", STASIS_OPTION_TEXT, AT(vsock.path), "PATH", "give the path of a socket to be made"},
    {"cid", STASIS_OPTION_NUMBER, AT(vsock.cid), "N", "give 3 to 4294967294",
     STASIS_VMM_VSOCK_CID_MIN, STASIS_VMM_VSOCK_CID_MAX},
    {"id", STASIS_OPTION_TEXT, AT(vsock.id), "NAME", GIVE_NAME, .max = STASIS_VMM_VSOCK_ID_MAX},
    {0},
};

static const struct stasis_option_key balloon_keys[] = {
    {"id", STASIS_OPTION_TEXT, AT(balloon.id), "NAME", GIVE_NAME, .max = STASIS_VMM_BALLOON_ID_MAX},
    {"reporting", STASIS_OPTION_WORD, AT(balloon.reporting), "on|off", "give on or off",
     .words = time_words},
    {0},
};

static const struct stasis_option_key serial_keys[] = {
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

static const struct stasis_option_key snapshot_keys[] = {
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

static const struct stasis_option_key metrics_keys[] = {
    {"path", STASIS_OPTION_TEXT, AT(metrics_path), "FILE", GIVE_FILE},
    {"format", STASIS_OPTION_WORD, AT(metrics_format), "json|openmetrics",
     "give json or openmetrics", .words = metrics_words},
    {"every_ms", STASIS_OPTION_NUMBER, AT(metrics_every_ms), "N",
     "give milliseconds from 10 to 86400000 (a day)", STASIS_VMM_METRICS_MS_MIN,
     STASIS_VMM_METRICS_MS_MAX},
    {0},
};

static_assert(STASIS_VMM_METRICS_MS_MAX == 86400000, "the remedy names the limit");
static const struct stasis_option_key log_keys[] = {
    {"level", STASIS_OPTION_WORD, AT(log.level), "none|error|warn|info|debug",
     "give none, error, warn, info or debug", .words = level_words},
    {"fd", STASIS_OPTION_FD, AT(log.fd), "N", "give an open descriptor above 2"},
    {"time", STASIS_OPTION_WORD, AT(log.time), "on|off", "give on or off", .words = time_words},
    {0},
};

static const struct stasis_option_key guest_error_keys[] = {
    {"action", STASIS_OPTION_WORD, AT(guest_errors.action), "count|event|stop",
     "give count, event or stop", .words = guest_error_words},
    {"of", STASIS_OPTION_WORD, AT(guest_errors.of), "all|devices", "give all or devices",
     .words = guest_errors_of_words},
    {0},
};

static const struct stasis_option_key on_reset_keys[] = {
    {"action", STASIS_OPTION_WORD, AT(on_reset), "exit|reboot", "give exit or reboot",
     .words = on_reset_words},
    {0},
};

static const struct stasis_option_key on_crash_keys[] = {
    {"action", STASIS_OPTION_SWITCH, AT(on_crash.exit), "exit", "give exit, or snapshot=FILE",
     .words = exit_words, .json = "exit"},
    {"snapshot", STASIS_OPTION_TEXT, AT(on_crash.snapshot), "FILE", GIVE_FILE},
    {"panic_text", STASIS_OPTION_WORD, AT(on_crash.panic_text), "on|off", "give on or off",
     .words = readonly_words},
    {0},
};

static const struct stasis_option_key ready_keys[] = {
    {"fd", STASIS_OPTION_FD, AT(ready_fd), "N", "give an open descriptor above 2"},
    {0},
};

static const struct stasis_option_key kvm_keys[] = {
    {"fd", STASIS_OPTION_FD, AT(kvm_fd), "N", "give an open descriptor above 2"},
    {0},
};

static const struct stasis_option_key ignore_keys[] = {
    {"what", STASIS_OPTION_SWITCH, AT(restore.ignore_tsc_rate), "tsc-rate", "give tsc-rate",
     .words = ignore_words, .json = "ignore_tsc_rate"},
    {0},
};

const struct stasis_option stasis_config_options[STASIS_CONFIG_COUNT] = {
    [STASIS_CONFIG_KERNEL] = {"kernel", kernel_keys,
                              "Boot a Linux kernel: a bzImage or an ELF vmlinux.\n",
                              "What to run (exactly one of these):", .json = "kernel"},
    [STASIS_CONFIG_DEMO] = {"demo", NULL, "Boot the small built-in guest.\n", .json = "demo",
                            .flag = AT(demo), .absent = STASIS_WITH_DEMO ? NULL : "STASIS_DEMO"},
    [STASIS_CONFIG_RESTORE] =
        {"restore", restore_keys,
         "Thaw the guest in FILE; - reads it from standard input.\n"
         "clock=continue (default): no time has passed for the guest;\n"
         "clock=advance: its clocks are advanced by the time since the freeze.\n"
         "memory=lazy: memory is read and verified when it is first touched;\n"
         "copy: all of it is read and verified before the guest runs;\n"
         "map: the file is mapped, and verified in the background while the\n"
         "guest runs; auto (default): lazy if permitted, else copy.\n"
         "prefetch=off: do not load (lazy) or verify (map) in the background.\n"
         "uffd_fd: a descriptor of /dev/userfaultfd, for lazy.\n"
         "root: thaw the snapshot with this root only.\n"
         "layers: the folder of what a layer lies on (default: that of FILE).\n"
         "track=on: note what the guest changes, for snapshots with a parent.\n",
         .json = "restore"},
    [STASIS_CONFIG_INITRD] = {"initrd", initrd_keys, "Load an initial RAM disk.\n",
                              "The machine (not with --restore):", .json = "initrd",
                              .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_MEMORY] = {"memory", memory_keys, "Guest memory in MiB (default 256).\n",
                              .json = "memory", .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_VCPU] = {"vcpu", vcpu_keys, "Number of vCPUs, 1 to 254 (default 1).\n",
                            .json = "vcpu", .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_CPU] =
        {"cpu", cpu_keys,
         "host (default): all features of this host; baseline: a minimal, fixed\n"
         "CPU, so that the guest can be thawed on any host; x86-64-v2, x86-64-v3:\n"
         "the baseline with the features of that level, on hosts that have them.\n",
         .json = "cpu", .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_BOARD] =
        {"board", board_keys,
         "Use the default board of that release, so that it can thaw the guest.\n", .json = "board",
         .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_RTC] = {"rtc", rtc_keys,
                           "The clock: cmos (default), that of a PC; or pl031, in its place.\n",
                           .json = "rtc", .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_BALLOON] =
        {"balloon", balloon_keys,
         "Give the guest a balloon of that name, by which vmm ctl SOCK balloon\n"
         "takes memory from it and gives it back.\n"
         "reporting=off: the guest does not give free pages to the host by itself.\n",
         .json = "balloon", .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_BLOCK] =
        {"block", block_keys,
         "Give the guest a disk: a raw file or a block device. May be given up\n"
         "to 8 times: /dev/vda, /dev/vdb, ...\n"
         "id: its name, by which a thawed guest gets it back (default disk0,\n"
         "disk1, ...).\n"
         "readonly=on: the guest cannot write to it.\n"
         "root=off: it is not the root; else the first one is, unless the\n"
         "kernel's command line names another.\n"
         "cache=none: not through the host's page cache.\n"
         "block_size: of the guest's requests (default 512).\n"
         "iops, bandwidth: at most so many operations and bytes per second.\n"
         "overlay: a file that takes what the guest writes, so that the disk\n"
         "stays as it is; it is made if it is not there.\n",
         "Disks:", .json = "block", .items = STASIS_VMM_BLOCKS_MAX,
         .item_size = sizeof(struct stasis_vmm_block), .item_offset = AT(block)},
    [STASIS_CONFIG_ALLOW] = {"allow", allow_keys,
                             "Take a risk with the disk NAME; may be given several times.\n"
                             "disk-changed: thaw, although it was changed since the freeze.\n"
                             "disk-shared: let the guest run on after a snapshot, and write to a\n"
                             "disk that the snapshot then does not fit any more.\n",
                             .json = "allow", .repeats = true},
    [STASIS_CONFIG_NET] = {"net", net_keys,
                           "Give the guest a network: a tap device, the socket of passt(1), or\n"
                           "the descriptor of a tap device.\n"
                           "id: its name, by which a thawed guest gets it back (default net0).\n"
                           "mac: default one made of the names of host and network; mtu: default\n"
                           "1500; bandwidth: at most this many bytes per second, each way.\n",
                           "The network:", .json = "net", .choices = 3},
    [STASIS_CONFIG_VSOCK] =
        {"vsock", vsock_keys,
         "Connect programs of the guest (AF_VSOCK) and of the host: these connect\n"
         "to the socket PATH and say \"CONNECT <port>\"; a guest that connects to\n"
         "CID 2 reaches the socket PATH_<port>.\n"
         "cid: the guest's (default 3, or that which a thawed guest had).\n"
         "id: its name, by which a thawed guest gets it back (default vsock0).\n",
         .json = "vsock"},
    [STASIS_CONFIG_PAUSED] = {"paused", NULL,
                              "Leave the guest paused until it is resumed from outside.\n",
                              "The start:", .json = "paused", .flag = AT(paused)},
    [STASIS_CONFIG_READY_FD] =
        {"ready-fd", ready_keys,
         "Write the line \"running\" to descriptor N when the guest first runs, and\n"
         "close it.\n",
         .json = "ready_fd"},
    [STASIS_CONFIG_KVM] = {"kvm", kvm_keys,
                           "Use descriptor N, which is /dev/kvm, instead of opening it.\n",
                           .json = "kvm"},
    [STASIS_CONFIG_ON_RESET] =
        {"on-reset", on_reset_keys,
         "When the guest resets the machine: exit (default) with status 11,\n"
         "or reboot: load the kernel again and start it.\n",
         "The end:", .json = "on_reset"},
    [STASIS_CONFIG_ON_CRASH] =
        {"on-crash", on_crash_keys,
         "When the guest crashes: exit (default) with status 6, or write a snapshot\n"
         "of it to FILE first.\n"
         "panic_text=on: \"Kernel panic - not syncing\" on the console is a crash.\n",
         .json = "on_crash", .choices = 2},
    [STASIS_CONFIG_SERIAL] =
        {"serial", serial_keys,
         "Destination of serial output (default stdio); only stdio has input.\n"
         "file: at most limit bytes (64M); ring: the last size bytes (1M);\n"
         "pipe: a named pipe; rate: at most this many bytes per second.\n",
         "Serial port:", .json = "serial"},
    [STASIS_CONFIG_SNAPSHOT] = {"snapshot-out", snapshot_keys,
                                "Freeze the guest to FILE; - writes to standard output. The guest\n"
                                "is frozen on SIGUSR1, on Ctrl-A s, when it prints TEXT, or N ms\n"
                                "after the start. then: exit (default) or resume the guest.\n"
                                "compress: how memory is stored (default none).\n"
                                "digest=sha256: store a digest of each chunk of memory.\n"
                                "sync=none: do not wait for the disk.\n"
                                "parent=auto: write a layer on the last snapshot, if there is\n"
                                "one; HEX: on the snapshot with this root; none: write a whole\n"
                                "snapshot, on which the next one can be a layer.\n"
                                "target: write a file that this older release can thaw.\n"
                                "drop=allow: leave out what the target cannot represent; by\n"
                                "default the freeze fails.\n"
                                "note: store a note in FILE; may be given several times.\n",
                                "Freeze and thaw:", .json = "snapshot"},
    [STASIS_CONFIG_IGNORE] =
        {"ignore", ignore_keys,
         "With --restore: thaw the guest even if its TSC rate differs from this\n"
         "host's and cannot be scaled.\n",
         .json = "restore", .guest = STASIS_OPTION_THAWED_GUEST},
    [STASIS_CONFIG_GUEST_ERRORS] =
        {"on-guest-error", guest_error_keys,
         "What to do when the guest accesses a port or an address that no device\n"
         "has, or that a device refuses: count it (default); event: print it,\n"
         "10 a second at most; stop: end the VM with status 10.\n"
         "of=devices: do it only for what a device refuses.\n",
         "Observation:", .json = "guest_errors"},
    [STASIS_CONFIG_LOG] = {"log", log_keys,
                           "Write a line for each event to standard error, or to descriptor N.\n"
                           "time=off: leave out the time (UTC).\n",
                           .json = "log"},
    [STASIS_CONFIG_METRICS] = {"metrics", metrics_keys,
                               "Write to FILE, when the run ends, what was counted and measured.\n"
                               "every_ms: replace FILE so often, too, from the start on.\n",
                               .json = "metrics"},
};
