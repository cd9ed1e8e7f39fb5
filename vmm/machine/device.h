/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Devices as the board sees them. A device type is one row of device_types[] in device.c, and an
 * adapter file of its own (device_serial.c, ...) between the model in core/ and what is around it;
 * attach, save and restore walk the board and the table, and know no device by name.
 *
 * Threads: whoever touches a device holds the machine's lock.
 */
#ifndef STASIS_VMM_DEVICE_H
#define STASIS_VMM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stasis/guest_error.h"
#include "stasis/state.h"
#include "stasis/kvm_memory.h"
#include "stasis/kvm_vm.h"
#include "stasis/virtio_net.h"
#include "stasis/virtio_vsock.h"
#include "vmm/machine/bus.h"
#include "vmm/machine/io_thread.h"

struct stasis_device;

/* Who takes a serial port's output. */
struct stasis_device_output {
    /* Takes up to len bytes, returns how many: the rest is offered again by
     * stasis_device_serial_drain(). */
    size_t (*write)(void *ctx, const uint8_t *bytes, size_t len);
    void *ctx;
};

/* An invalid access of the guest. */
struct stasis_guest_access {
    enum stasis_guest_error error;
    const struct stasis_device *device; /* that refused it; NULL: there is none at the address */
    uint64_t address;                   /* port, or guest physical address */
    uint64_t value;                     /* written */
    unsigned len; /* 0: the device found it out later, by itself; of these fields there is none */
    bool is_mmio, is_write;
};

/* By which a disk is known that has changed: its file and when that was last written to (0:
 * unknown), and a digest of samples. */
struct stasis_device_disk_mark {
    uint64_t inode, mtime_ns;
    bool has_samples;
    uint8_t samples[32];
    bool has_root; /* it is the sealed overlay of this root, and nothing else counts */
    uint8_t root[32];
};

/* The content of a disk. Calls wait for the host's disk, and are made by one thread at a time,
 * without the machine's lock; false is an I/O error. `mark` is called under it. */
struct stasis_device_disk {
    const struct stasis_device_disk *next; /* of the host's, or NULL */
    const char *id;                        /* the name of its device on the board */
    uint64_t bytes;                        /* whole blocks */
    uint32_t block_size;                   /* a power of two from 512; 0: 512 */
    bool is_read_only;
    void *ctx;
    bool (*read)(void *ctx, uint64_t offset, void *bytes, size_t len);
    bool (*write)(void *ctx, uint64_t offset, const void *bytes, size_t len);
    bool (*flush)(void *ctx);
    bool (*discard)(void *ctx, uint64_t offset, uint64_t len);
    bool (*zero)(void *ctx, uint64_t offset, uint64_t len, bool may_unmap);
    /* By which a change is seen: inode and time of its last. */
    void (*mark)(void *ctx, struct stasis_device_disk_mark *ret_mark);
    /* How many nanoseconds to wait before an operation on that many bytes is asked for; 0: it may
     * be, and counts. Under the lock. NULL: nothing is limited. */
    uint64_t (*admit)(void *ctx, uint64_t now_ns, uint64_t bytes);
};

/* A network of the host, to which frames of struct virtio_net_hdr go and from which they come (see
 * stasis/virtio_net.h). Calls do not wait. */
struct stasis_device_net {
    const char *id; /* the name of its device on the board */
    uint8_t mac[6];
    uint16_t mtu;
    bool is_mac_given, is_mtu_given; /* a thawed guest must have them; else it keeps its own */
    uint64_t offloads;
    void *ctx;
    enum stasis_virtio_net_result (*send)(void *ctx, const uint8_t *bytes, size_t len);
    size_t (*receive)(void *ctx, uint8_t *bytes, size_t size);
    void (*accept)(void *ctx, uint64_t offloads);
};

/* The host's end of the guest's sockets. The operations are called by the thread that calls
 * stasis_device_vsock_resume(), or the device's timer; `wake` is the device's own. */
struct stasis_device_vsock {
    const char *id;     /* the name of its device on the board */
    uint64_t guest_cid; /* 0: that which a thawed guest had */
    const struct stasis_virtio_vsock_ops *ops;
    void *ctx;
    /* An eventfd, to which KVM writes what the driver notifies of: stasis_device_vsock_resume() is
     * due. Else the device's timer is. */
    bool has_bell;
    int bell_fd;
};

/* What devices need of the process around them. All functions are called under the machine's lock,
 * from any thread, and may not call a device. `from` is the device that calls. */
struct stasis_device_host {
    void *ctx;
    /* With a ctx of its own: each byte goes straight to who writes it. May change under the lock.
     */
    struct stasis_device_output serial_out;
    /* The serial port has room for input again. */
    void (*serial_rx_ready)(void *ctx, const struct stasis_device *from);
    /* Nanoseconds of the clock that RTCs count. */
    uint64_t (*rtc_now_ns)(void *ctx);
    /* (Dis)arms the timer whose expiry calls stasis_device_alarm(from). */
    void (*rtc_arm)(void *ctx, const struct stasis_device *from, bool on, uint64_t deadline_ns);
    /* Calls stasis_device_timer(from) once CLOCK_MONOTONIC has reached deadline_ns; replaces an
     * earlier deadline of the same device. */
    void (*timer_arm)(void *ctx, const struct stasis_device *from, uint64_t deadline_ns);
    /* Fills with random bytes of the host, without waiting. False: it has none now. */
    bool (*random)(void *ctx, uint8_t *bytes, size_t len);
    const struct stasis_device_disk *disks;  /* the first, or NULL; they stay as they are */
    const struct stasis_device_net *net;     /* NULL: there is none */
    const struct stasis_device_vsock *vsock; /* the same */
    bool hides_reporting; /* a balloon of a new guest does not offer free page reporting */
    /* The guest made an invalid access, which has been counted. NULL: nobody wants to know. It may
     * come as often as the guest can make exits. */
    void (*guest_error)(void *ctx, const struct stasis_guest_access *access);
};

/* Numbers of ACPI general-purpose events: the DSDT has a method for each. */
#define STASIS_DEVICE_EVENT_VMGENID 0

/* What a device finds around it. */
struct stasis_device_env {
    pthread_mutex_t *lock;              /* the machine's */
    const struct stasis_vm *vm;         /* whose interrupt lines it drives */
    const struct stasis_memory *memory; /* the guest's RAM */
    const struct stasis_device_host *host;
    void *ctx; /* of those that follow */
    /* The guest asks for a reset of the whole machine, or powers it off. */
    void (*reset)(void *ctx);
    void (*power_off)(void *ctx);
    /* Its kernel has panicked. */
    void (*panicked)(void *ctx);
    /* An ACPI event for the guest, if the board has power management. */
    void (*event)(void *ctx, unsigned number);
    /* The guest's access that the device is handling is invalid. NULL: that is not counted. */
    void (*guest_error)(void *ctx, const struct stasis_device *from, enum stasis_guest_error error);
};

/* Added to under the machine's lock; any thread may read them (base/counter.h). */
struct stasis_device_counters {
    uint64_t in_bytes;        /* given to the guest's side of the device */
    uint64_t out_bytes;       /* that the guest sent, and the outside has taken */
    uint64_t lost_bytes;      /* that the guest sent while the device had no room */
    uint64_t wakes;           /* of the device's own thread, by one or more notifications */
    uint64_t requests;        /* of a disk, answered; frames of a network, sent and received */
    uint64_t interrupts;      /* how often it has raised its line */
    uint64_t dropped_frames;  /* of a network, either way */
    uint64_t connections;     /* of sockets that were accepted, either way */
    uint64_t refused;         /* connections that were not, or that were reset */
    uint64_t discarded_bytes; /* that the guest gave back to the host, put together */
    uint64_t balloon_bytes;   /* that a balloon has now, says the guest */
    uint64_t balloon_target_bytes;
    uint64_t guest_errors[STASIS_GUEST_ERROR_COUNT];
};

/* What a guest's run begins with. */
enum stasis_device_start { STASIS_DEVICE_NEW, STASIS_DEVICE_THAWED, STASIS_DEVICE_RESET };

struct stasis_device_type {
    const struct stasis_schema *schema; /* of its state; schema->type names the device */
    uint32_t version;                   /* newest behaviour this release can build */
    size_t size;                        /* of its instance */
    uint64_t ram_bytes;                 /* of guest RAM where its row is, which it writes; or 0 */
    struct stasis_bus_ops bus;          /* ctx is the instance */
    void (*init)(void *instance, const struct stasis_device *device);
    void (*save)(const void *instance, void *ret_state);
    int (*restore)(void *instance, const void *state, struct stasis_error *err);
    /* After restore, once RAM holds what was saved: compares. STASIS_ERR_CORRUPT. NULL: the device
     * keeps nothing in RAM. */
    int (*check_memory)(const void *instance, struct stasis_error *err);
    /* Tells the outside what the state implies: drives the interrupt line, arms timers. Called
     * after all interrupt controllers hold their state. */
    void (*post_restore)(void *instance);
    /* The guest is about to run, from its start, thawed, or after a reset; called last. NULL: that
     * is all the same to it. */
    int (*begin)(void *instance, enum stasis_device_start start, struct stasis_error *err);
    /* Of a new instance, in place of one that a reset of the machine ended: takes from the state of
     * that one what a reset leaves as it is. NULL: nothing. */
    int (*keep)(void *instance, const void *state, struct stasis_error *err);
    /* Moves the clock in a saved state on by `ns`; NULL: the device has none. */
    void (*advance)(void *state, uint64_t ns);
    /* The timer of timer_arm has expired; NULL: the device has none. */
    void (*timer)(void *instance);
    /* What the device's own thread does after a ring (io_thread.h), with the lock. NULL: it has
     * none. */
    void (*work)(void *instance);
    /* Of a clock: the timer that it asked for has expired. NULL: it is none. */
    void (*alarm)(void *instance);
};

struct stasis_device {
    const struct stasis_device_type *type;
    const struct stasis_board_device_state *row; /* of the board */
    const struct stasis_device_env *env;
    struct stasis_device_counters *counters;
    struct stasis_io_thread *io; /* NULL: the type has no work for one */
    void *instance;
};

#define STASIS_DEVICE_MAX 32

struct stasis_devices {
    struct stasis_device list[STASIS_DEVICE_MAX]; /* in the board's order */
    struct stasis_device_counters counters[STASIS_DEVICE_MAX];
    struct stasis_io_thread io[STASIS_DEVICE_MAX];
    uint32_t count;
};

/* The type a board row asks for. STASIS_ERR_VERSION when this release has no such device or not
 * that version of it. */
STASIS_MUST_CHECK int stasis_device_type_find(const struct stasis_board_device_state *row,
                                              const struct stasis_device_type **ret_type,
                                              struct stasis_error *err);

/* Builds every device of the board onto its bus. `devices` starts as all zero; board, buses and env
 * must outlive it. On failure stasis_devices_detach() frees what was made. */
STASIS_MUST_CHECK int stasis_devices_attach(struct stasis_devices *devices,
                                            const struct stasis_board_state *board,
                                            struct stasis_bus *pio, struct stasis_bus *mmio,
                                            const struct stasis_device_env *env,
                                            struct stasis_error *err);
void stasis_devices_detach(struct stasis_devices *devices);

/* Threads of devices: all run, or none if one cannot be started; none runs. Without the lock. */
STASIS_MUST_CHECK int stasis_devices_start(struct stasis_devices *devices,
                                           const struct stasis_io_thread_ops *ops, void *ctx,
                                           struct stasis_error *err);
/* As stasis_io_thread_stop(). False: at least one is left behind, whose device stays then. */
STASIS_MUST_CHECK bool stasis_devices_stop(struct stasis_devices *devices, unsigned limit_ms);

/* The next device from place *at on whose thread was left behind, also after detaching; *at is
 * behind it then. NULL: there is none. */
const struct stasis_device *stasis_devices_left(const struct stasis_devices *devices, uint32_t *at);

/* Under the lock: they touch neither devices nor RAM from here on; or may again. Idle: they ask
 * nothing of the host (stasis_io_thread_wait_idle() for each). */
void stasis_devices_hold(struct stasis_devices *devices);
void stasis_devices_release(struct stasis_devices *devices);
bool stasis_devices_wait_idle(struct stasis_devices *devices, unsigned ms);

/* Has all devices begin. No vCPU runs. */
STASIS_MUST_CHECK int stasis_devices_begin(struct stasis_devices *devices,
                                           enum stasis_device_start start,
                                           struct stasis_error *err);

/* What a reset of the machine leaves of its devices. */
struct stasis_devices_kept {
    void *states[STASIS_DEVICE_MAX]; /* by place on the board; NULL: of this one nothing */
};

/* Takes it from devices, and gives it to those that are attached instead, of the same board. To be
 * freed with stasis_devices_kept_fini(), also where keep fails (STASIS_ERR_NOMEM). */
STASIS_MUST_CHECK int stasis_devices_keep(const struct stasis_devices *devices,
                                          struct stasis_devices_kept *ret_kept,
                                          struct stasis_error *err);
STASIS_MUST_CHECK int stasis_devices_give_back(struct stasis_devices *devices,
                                               const struct stasis_devices_kept *kept,
                                               struct stasis_error *err);
void stasis_devices_kept_fini(struct stasis_devices_kept *kept);

/* The device of that type that the board calls `instance`, or NULL: a file may give any name to any
 * device, though never one to two. */
struct stasis_device *stasis_device_find(struct stasis_devices *devices,
                                         const struct stasis_schema *schema, const char *instance);
/* The device of a type of which a machine has one, whatever its name; NULL if there is none, or if
 * there are several, since nobody could say which is meant. */
struct stasis_device *stasis_device_find_only(struct stasis_devices *devices,
                                              const struct stasis_schema *schema);

/* The timer of timer_arm has expired. Harmless when early or late. */
void stasis_device_timer(struct stasis_device *device);
/* The timer of rtc_arm has expired. NULL is a clock that is not there. */
void stasis_device_alarm(struct stasis_device *rtc);

/* ---- device_serial.c: a serial port's outside. NULL is a port that is not there. ---- */

/* Input: how many bytes fit now, and some of them. */
size_t stasis_device_serial_room(const struct stasis_device *serial);
void stasis_device_serial_input(struct stasis_device *serial, const uint8_t *bytes, size_t len);
/* The sink of the serial port takes bytes again. */
void stasis_device_serial_drain(struct stasis_device *serial);
/* Bytes that the guest has sent and the sink has not taken: returns how many of them, at most
 * `size`, were put into buf. */
size_t stasis_device_serial_unsent(const struct stasis_device *serial, uint8_t *buf, size_t size);

/* ---- device_virtio_net.c: a network device's outside ---- */

/* There is a frame after receive() has returned 0, or room after send() was BUSY. */
void stasis_device_net_resume(struct stasis_device *net);
/* Harmless when the link is so already. */
void stasis_device_net_set_link(struct stasis_device *net, bool is_up);

/* ---- device_virtio_vsock.c: as in stasis/virtio_vsock.h ---- */

bool stasis_device_vsock_open(struct stasis_device *vsock, uint32_t port, void *peer,
                              uint32_t *ret_id);
void stasis_device_vsock_ready(struct stasis_device *vsock, uint32_t id);
void stasis_device_vsock_consumed(struct stasis_device *vsock, uint32_t id, size_t len);
void stasis_device_vsock_close(struct stasis_device *vsock, uint32_t id);
void stasis_device_vsock_resume(struct stasis_device *vsock);

/* ---- device_virtio_balloon.c ---- */

/* The guest is asked for so many pages of 4 KiB, in all. */
void stasis_device_balloon_ask(struct stasis_device *balloon, uint32_t num_pages);

/* ---- device_acpi_pm.c ---- */

/* Somebody has pressed the power button. */
void stasis_device_acpi_pm_power_button(struct stasis_device *pm);
/* General-purpose event `number` has come. */
void stasis_device_acpi_pm_event(struct stasis_device *pm, unsigned number);

#endif
