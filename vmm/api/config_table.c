/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/config.h"

#include <assert.h>
#include <stddef.h>

#include "stasis_options.h"
#include "vmm/api/config_keys.h"

#define AT(member) offsetof(struct stasis_vmm_config, member)

static_assert(STASIS_SERIAL_SINK_LIMIT_DEFAULT >> 20 == 64 &&
                  STASIS_SERIAL_SINK_SIZE_DEFAULT >> 20 == 1,
              "the help of --serial names them");
static_assert(STASIS_RAM_MAX >> 20 == 4194304, "the help of --memory names the limit");
static_assert(STASIS_VCPUS_MAX == 254, "the help of --vcpu names the limit");
static_assert(STASIS_VMM_BLOCKS_MAX == 8, "the help of --block names the limit");

const struct stasis_option stasis_config_options[STASIS_CONFIG_COUNT] = {
    [STASIS_CONFIG_KERNEL] = {"kernel", stasis_config_kernel_keys,
                              "Boot a Linux kernel: a bzImage or an ELF vmlinux.\n",
                              "What to run (exactly one of these):", .json = "kernel"},
    [STASIS_CONFIG_DEMO] = {"demo", NULL, "Boot the small built-in guest.\n", .json = "demo",
                            .flag = AT(demo), .absent = STASIS_WITH_DEMO ? NULL : "STASIS_DEMO"},
    [STASIS_CONFIG_RESTORE] =
        {"restore", stasis_config_restore_keys,
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
    [STASIS_CONFIG_INITRD] = {"initrd", stasis_config_initrd_keys, "Load an initial RAM disk.\n",
                              "The machine (not with --restore):", .json = "initrd",
                              .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_MEMORY] = {"memory", stasis_config_memory_keys,
                              "Guest memory in MiB (default 256).\n", .json = "memory",
                              .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_VCPU] = {"vcpu", stasis_config_vcpu_keys,
                            "Number of vCPUs, 1 to 254 (default 1).\n", .json = "vcpu",
                            .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_CPU] =
        {"cpu", stasis_config_cpu_keys,
         "host (default): all features of this host; baseline: a minimal, fixed\n"
         "CPU, so that the guest can be thawed on any host; x86-64-v2, x86-64-v3:\n"
         "the baseline with the features of that level, on hosts that have them.\n",
         .json = "cpu", .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_BOARD] =
        {"board", stasis_config_board_keys,
         "Use the default board of that release, so that it can thaw the guest.\n", .json = "board",
         .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_RTC] = {"rtc", stasis_config_rtc_keys,
                           "The clock: cmos (default), that of a PC; or pl031, in its place.\n",
                           .json = "rtc", .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_BALLOON] =
        {"balloon", stasis_config_balloon_keys,
         "Give the guest a balloon of that name, by which vmm ctl SOCK balloon\n"
         "takes memory from it and gives it back.\n"
         "reporting=off: the guest does not give free pages to the host by itself.\n",
         .json = "balloon", .guest = STASIS_OPTION_NEW_GUEST},
    [STASIS_CONFIG_BLOCK] =
        {"block", stasis_config_block_keys,
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
    [STASIS_CONFIG_ALLOW] = {"allow", stasis_config_allow_keys,
                             "Take a risk with the disk NAME; may be given several times.\n"
                             "disk-changed: thaw, although it was changed since the freeze.\n"
                             "disk-shared: let the guest run on after a snapshot, and write to a\n"
                             "disk that the snapshot then does not fit any more.\n",
                             .json = "allow", .repeats = true},
    [STASIS_CONFIG_NET] = {"net", stasis_config_net_keys,
                           "Give the guest a network: a tap device, the socket of passt(1), or\n"
                           "the descriptor of a tap device.\n"
                           "id: its name, by which a thawed guest gets it back (default net0).\n"
                           "mac: default one made of the names of host and network; mtu: default\n"
                           "1500; bandwidth: at most this many bytes per second, each way.\n",
                           "The network:", .json = "net", .choices = 3},
    [STASIS_CONFIG_VSOCK] =
        {"vsock", stasis_config_vsock_keys,
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
        {"ready-fd", stasis_config_ready_keys,
         "Write the line \"running\" to descriptor N when the guest first runs, and\n"
         "close it.\n",
         .json = "ready_fd"},
    [STASIS_CONFIG_KVM] = {"kvm", stasis_config_kvm_keys,
                           "Use descriptor N, which is /dev/kvm, instead of opening it.\n",
                           .json = "kvm"},
    [STASIS_CONFIG_ON_RESET] =
        {"on-reset", stasis_config_on_reset_keys,
         "When the guest resets the machine: exit (default) with status 11,\n"
         "or reboot: load the kernel again and start it.\n",
         "The end:", .json = "on_reset"},
    [STASIS_CONFIG_ON_CRASH] =
        {"on-crash", stasis_config_on_crash_keys,
         "When the guest crashes: exit (default) with status 6, or write a snapshot\n"
         "of it to FILE first.\n"
         "A panic of Linux is one if it has the driver of pvpanic; without that:\n"
         "panic_text=on: \"Kernel panic - not syncing\" on the console is a crash.\n",
         .json = "on_crash", .choices = 2},
    [STASIS_CONFIG_SERIAL] =
        {"serial", stasis_config_serial_keys,
         "Destination of serial output (default stdio); only stdio has input.\n"
         "file: at most limit bytes (64M); ring: the last size bytes (1M);\n"
         "pipe: a named pipe; rate: at most this many bytes per second.\n",
         "Serial port:", .json = "serial"},
    [STASIS_CONFIG_SNAPSHOT] = {"snapshot-out", stasis_config_snapshot_keys,
                                "Freeze the guest to FILE; - writes to standard output. The guest\n"
                                "is frozen on SIGUSR1, on Ctrl-A s, when it prints TEXT, or N ms\n"
                                "after the start. then: exit (default) or resume the guest.\n"
                                "compress: how memory is stored (default none).\n"
                                "digest=sha256: store digests of memory, and of disks with an\n"
                                "overlay, that are checked before the guest sees them.\n"
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
        {"ignore", stasis_config_ignore_keys,
         "With --restore: thaw the guest even if its TSC rate differs from this\n"
         "host's and cannot be scaled.\n",
         .json = "restore", .guest = STASIS_OPTION_THAWED_GUEST},
    [STASIS_CONFIG_GUEST_ERRORS] =
        {"on-guest-error", stasis_config_guest_error_keys,
         "What to do when the guest accesses a port or an address that no device\n"
         "has, or that a device refuses: count it (default); event: print it,\n"
         "10 a second at most; stop: end the VM with status 10.\n"
         "of=devices: do it only for what a device refuses.\n",
         "Observation:", .json = "guest_errors"},
    [STASIS_CONFIG_LOG] = {"log", stasis_config_log_keys,
                           "Write a line for each event to standard error, or to descriptor N.\n"
                           "time=off: leave out the time (UTC).\n",
                           .json = "log"},
    [STASIS_CONFIG_METRICS] = {"metrics", stasis_config_metrics_keys,
                               "Write to FILE, when the run ends, what was counted and measured.\n"
                               "every_ms: replace FILE so often, too, from the start on.\n",
                               .json = "metrics"},
};
