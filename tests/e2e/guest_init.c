// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// The only process of the Linux guest in the end-to-end runs.
//
// A freeze must be invisible from in here, and a reboot must not pass for a thaw: a nonce and a
// counter live in RAM alone and are said in every line. One thread writes each line by one loop,
// with echo and kernel messages off, so that no two lines mix.
//
// Output, ten times a second:  beat N nonce=<hex> mono=<ns> real=<s> loc=<timer interrupts>
// Input lines: `ping X` is answered by `pong X nonce=<hex>`; `check` reads a pattern in 1 MiB of
// RAM and answers `check ok nonce=<hex>`; `banner` is answered by `banner <hex> said`, the address
// of the kernel's linux_banner; `cpus` visits every CPU, which answers `cpu N apicid=<leaf 1>
// x2apicid=<leaf 0xb> package=<n> core=<n> threads=<list> loc=<timer interrupts> nonce=<hex>`, and
// ends with `cpus N nonce=<hex>`; `warnings` repeats what the kernel has logged as a warning or
// worse and ends with `warnings N nonce=<hex>`; `machine` says `machine: ...` for what the kernel
// knows of its machine (guest_machine.h), and ends with `machine told nonce=<hex>`; `hwrng` reads
// /dev/hwrng and answers `hwrng <driver> <hex> irqs=<of virtio devices> nonce=<hex>`; `rtc` is
// answered, after an interrupt of the CMOS clock, by `rtc SECONDS nonce=<hex>`; `disk start`,
// `disk`, `disk more N` and `disk stop` (guest_disk.h) are answered by `disk ok|<what is wrong>
// count=N nonce=<hex>`, and so are those of `net` (guest_net.h), with `net lost` for connections
// that were lost, of `vsock` and `talk` (guest_vsock.h), and `disks`, which counts the disks that
// answer; `poweroff` and `reboot` end the machine, and after `button`, answered by `button ready
// nonce=<hex>`, the power button does.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "guest_commands.h"
#include "guest_cpus.h"
#include "guest_devices.h"
#include "guest_power.h"

enum {
    BEAT_NS = 100 * 1000 * 1000,
    SYSLOG_ACTION_CONSOLE_LEVEL = 8,
};

static void mount_all(void)
{
    if (mount("none", "/proc", "proc", 0, NULL) != 0 ||
        mount("none", "/sys", "sysfs", 0, NULL) != 0 ||
        mount("none", "/dev", "devtmpfs", 0, NULL) != 0) {
        die("mount");
    }
    // From here on the kernel keeps silent, except when it dies.
    (void)klogctl(SYSLOG_ACTION_CONSOLE_LEVEL, NULL, 1);
}

static int open_tty(void)
{
    int fd = open("/dev/ttyS0", O_RDWR | O_NOCTTY);
    struct termios mode;
    if (fd < 0 || tcgetattr(fd, &mode) != 0) {
        die("/dev/ttyS0");
    }
    cfmakeraw(&mode);
    mode.c_cflag |= CLOCAL | CREAD;
    if (tcsetattr(fd, TCSANOW, &mode) != 0) {
        die("tcsetattr");
    }
    return fd;
}

static int start_timer(void)
{
    const struct itimerspec every = {{0, BEAT_NS}, {0, BEAT_NS}};
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    if (fd < 0 || timerfd_settime(fd, 0, &every, NULL) != 0) {
        die("timerfd");
    }
    return fd;
}

static void beat(struct guest *guest)
{
    struct timespec real;
    uint64_t expired;
    uint64_t mono;
    if (read(guest->timer, &expired, sizeof(expired)) != (ssize_t)sizeof(expired)) {
        die("timer");
    }
    mono = monotonic_ns();
    (void)clock_gettime(CLOCK_REALTIME, &real);
    guest->beat++;
    say(guest, "beat %" PRIu64 " nonce=%s mono=%" PRIu64 " real=%lld.%03ld loc=%" PRIu64 "\n",
        guest->beat, guest->nonce, mono, (long long)real.tv_sec, real.tv_nsec / 1000000,
        timer_interrupts(ALL_CPUS));
    if (guest->hears_button && presses() > 0) {
        power_off(guest);
    }
}

static void read_input(struct guest *guest)
{
    char bytes[64];
    ssize_t count = read(guest->tty, bytes, sizeof(bytes));
    for (ssize_t i = 0; i < count; i++) {
        if (bytes[i] == '\n' || bytes[i] == '\r') {
            guest->line[guest->line_length] = '\0';
            guest->line_length = 0;
            run_command(guest);
        } else if (guest->line_length < sizeof(guest->line) - 1) {
            guest->line[guest->line_length++] = bytes[i];
        }
    }
}

int main(void)
{
    static struct guest guest;
    mount_all();
    const char *unloaded = load_modules();
    if (unloaded != NULL) {
        die(unloaded);
    }
    guest.tty = open_tty();
    make_nonce(&guest);
    make_pattern(&guest);
    say(&guest, "guest up nonce=%s\n", guest.nonce);
    guest.timer = start_timer();
    struct pollfd waits[] = {{guest.timer, POLLIN, 0}, {guest.tty, POLLIN, 0}};
    for (;;) {
        if (poll(waits, 2, -1) < 0 && errno != EINTR) {
            die("poll");
        }
        if ((waits[0].revents & POLLIN) != 0) {
            beat(&guest);
        }
        if ((waits[1].revents & POLLIN) != 0) {
            read_input(&guest);
        }
    }
}
