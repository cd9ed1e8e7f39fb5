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
// that were lost, of `vsock` (guest_vsock.h), and `disks`, which counts the disks that answer;
// `poweroff` and `reboot` end the machine, and after `button`, answered by `button ready
// nonce=<hex>`, the power button does.
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/rtc.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest_devices.h"
#include "guest_disk.h"
#include "guest_load.h"
#include "guest_machine.h"
#include "guest_memory.h"
#include "guest_net.h"
#include "guest_vsock.h"

enum {
    NONCE_BYTES = 16,
    LINE_BYTES = 256,
    BEAT_NS = 100 * 1000 * 1000,
    PATTERN_WORDS = 128 * 1024,
    LOG_BYTES = 1 << 18,
    SYSLOG_ACTION_READ_ALL = 3,
    WARNING_LEVEL = 4,
    SYSLOG_ACTION_CONSOLE_LEVEL = 8,
};

struct guest {
    int tty;
    int timer;
    uint64_t beat;
    char nonce[2 * NONCE_BYTES + 1];
    uint64_t seed;
    uint64_t *pattern;
    char line[LINE_BYTES];
    size_t line_length;
    bool hears_button;
};

// Init must not die: a panic in the guest's log names the line of the kernel, not ours.
static void die(const char *what)
{
    (void)fprintf(stderr, "guest: %s: %s\n", what, strerror(errno));
    (void)reboot(RB_AUTOBOOT);
    _exit(1);
}

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

static void make_nonce(struct guest *guest)
{
    uint8_t bytes[NONCE_BYTES];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        die("getrandom");
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(&guest->nonce[2 * i], 3, "%02x", bytes[i]);
    }
    memcpy(&guest->seed, bytes, sizeof(guest->seed));
}

static uint64_t pattern_word(const struct guest *guest, uint64_t index)
{
    // An odd factor gives each index a word of its own.
    return (guest->seed ^ index) * UINT64_C(0x9e3779b97f4a7c15);
}

static void make_pattern(struct guest *guest)
{
    guest->pattern = calloc(PATTERN_WORDS, sizeof(guest->pattern[0]));
    if (guest->pattern == NULL) {
        die("calloc");
    }
    for (uint64_t i = 0; i < PATTERN_WORDS; i++) {
        guest->pattern[i] = pattern_word(guest, i);
    }
}

static bool pattern_is_whole(const struct guest *guest)
{
    for (uint64_t i = 0; i < PATTERN_WORDS; i++) {
        if (guest->pattern[i] != pattern_word(guest, i)) {
            return false;
        }
    }
    return true;
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

// In an emulated machine the interrupts of the console take most of the time of the CPU that gets
// them.
static void beat_slowly(const struct guest *guest)
{
    const struct itimerspec every = {{1, 0}, {1, 0}};
    if (timerfd_settime(guest->timer, 0, &every, NULL) != 0) {
        die("timerfd");
    }
}

__attribute__((format(printf, 2, 3))) static void say(const struct guest *guest, const char *format,
                                                      ...)
{
    char line[2 * LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    for (int done = 0; done < length;) {
        ssize_t count = write(guest->tty, line + done, (size_t)(length - done));
        if (count < 0 && errno != EINTR) {
            die("write");
        }
        done += count > 0 ? (int)count : 0;
    }
}

// Timer interrupts of a CPU, or of all: they rise only while a timer is armed and fires. The
// LAPIC's, or the PIT's where Linux has found no LAPIC timer that it trusts, as on a busy host
// without TSC deadline.
static uint64_t timer_interrupts(int cpu)
{
    char line[2 * LINE_BYTES];
    uint64_t count = 0;
    FILE *file = fopen("/proc/interrupts", "re");
    if (file == NULL) {
        die("/proc/interrupts");
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *label = line + strspn(line, " ");
        if (strncmp(label, "LOC:", 4) == 0) {
            count += count_of(label + 4, cpu);
        } else if (strncmp(label, "0:", 2) == 0) {
            count += count_of(label + 2, cpu);
        }
    }
    (void)fclose(file);
    return count;
}

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

// ---- the power button ----

static void power_off(const struct guest *guest)
{
    say(guest, "powering off\n");
    (void)tcdrain(guest->tty);
    (void)reboot(RB_POWER_OFF);
}

// Debian's kernel has some drivers as modules, which are beside us.
static void load_driver(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0) {
        die(path);
    }
    close(fd);
}

// The end of init is the kernel's.
static _Noreturn void panic(void)
{
    load_driver("/pvpanic.ko");
    load_driver("/pvpanic-mmio.ko");
    _exit(0);
}

static void hear_button(struct guest *guest)
{
    load_driver("/button.ko");
    guest->hears_button = true;
    say(guest, "button ready nonce=%s\n", guest->nonce);
}

// How often the driver was told of a press.
static unsigned long presses(void)
{
    char text[LINE_BYTES] = "";
    int fd = open("/sys/firmware/acpi/interrupts/ff_pwr_btn", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0) {
        die("ff_pwr_btn");
    }
    close(fd);
    return strtoul(text, NULL, 10);
}

// ---- the CMOS clock ----

// What it shows behind an update, of which its interrupt tells.
static void tell_rtc(const struct guest *guest)
{
    struct rtc_time now;
    unsigned long events;
    int fd = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || ioctl(fd, RTC_UIE_ON, 0) != 0 ||
        read(fd, &events, sizeof(events)) != (ssize_t)sizeof(events) ||
        ioctl(fd, RTC_UIE_OFF, 0) != 0 || ioctl(fd, RTC_RD_TIME, &now) != 0) {
        die("rtc0");
    }
    close(fd);
    struct tm tm = {.tm_sec = now.tm_sec,
                    .tm_min = now.tm_min,
                    .tm_hour = now.tm_hour,
                    .tm_mday = now.tm_mday,
                    .tm_mon = now.tm_mon,
                    .tm_year = now.tm_year};
    say(guest, "rtc %lld nonce=%s\n", (long long)timegm(&tm), guest->nonce);
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

// Lines of /proc/kallsyms are "<hex address> <type> <name>[ <module>]".
static uint64_t banner_address(void)
{
    char line[LINE_BYTES];
    uint64_t address = 0;
    FILE *file = fopen("/proc/kallsyms", "re");
    if (file == NULL) {
        die("/proc/kallsyms");
    }
    while (address == 0 && fgets(line, sizeof(line), file) != NULL) {
        const char *name = strrchr(line, ' ');
        if (name != NULL && strcmp(name, " linux_banner\n") == 0) {
            address = strtoull(line, NULL, 16);
        }
    }
    (void)fclose(file);
    return address;
}

// The first word of a file of /sys about this CPU's place.
static void topology(char word[32], unsigned cpu, const char *name)
{
    char path[LINE_BYTES];
    (void)snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/topology/%s", cpu, name);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%31s", word) != 1) {
        die(path);
    }
    (void)fclose(file);
}

// Run by the CPU itself.
static void describe_cpu(const struct guest *guest, unsigned cpu)
{
    unsigned ignored;
    unsigned apicid = 0;
    unsigned x2apicid = 0;
    char package[32];
    char core[32];
    char threads[32];
    topology(package, cpu, "physical_package_id");
    topology(core, cpu, "core_id");
    topology(threads, cpu, "thread_siblings_list");
    (void)__get_cpuid(1, &ignored, &apicid, &ignored, &ignored);
    (void)__get_cpuid_count(0xb, 0, &ignored, &ignored, &ignored, &x2apicid);
    say(guest,
        "cpu %u apicid=%u x2apicid=%u package=%s core=%s threads=%s loc=%" PRIu64 " nonce=%s\n",
        cpu, apicid >> 24, x2apicid, package, core, threads, timer_interrupts((int)cpu),
        guest->nonce);
}

static void visit_cpus(const struct guest *guest)
{
    cpu_set_t all;
    unsigned visited = 0;
    if (sched_getaffinity(0, sizeof(all), &all) != 0) {
        die("sched_getaffinity");
    }
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (!CPU_ISSET(cpu, &all) || sched_setaffinity(0, sizeof(one), &one) != 0) {
            continue;
        }
        if (sched_getcpu() == (int)cpu) {
            describe_cpu(guest, cpu);
            visited++;
        }
    }
    (void)sched_setaffinity(0, sizeof(all), &all);
    say(guest, "cpus %u nonce=%s\n", visited, guest->nonce);
}

static char *read_log(void)
{
    static char log[LOG_BYTES + 1];
    int length = klogctl(SYSLOG_ACTION_READ_ALL, log, LOG_BYTES);
    if (length < 0) {
        die("klogctl");
    }
    log[length] = '\0';
    return log;
}

// Lines of the log begin with "<level>".
static void say_warnings(const struct guest *guest)
{
    unsigned count = 0;
    char *rest;
    for (char *line = strtok_r(read_log(), "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (line[0] == '<' && (strtoul(line + 1, NULL, 10) & 7) <= WARNING_LEVEL) {
            say(guest, "kernel: %.400s\n", line);
            count++;
        }
    }
    say(guest, "warnings %u nonce=%s\n", count, guest->nonce);
}

static void say_machine_line(void *guest, const char *line)
{
    say(guest, "machine: %.400s\n", line);
}

static void say_machine(struct guest *guest)
{
    machine_tell(say_machine_line, guest);
    say(guest, "machine told nonce=%s\n", guest->nonce);
}

// What the kernel's clock source watchdog says before it gives up a TSC.
static bool tsc_is_trusted(void)
{
    return strstr(read_log(), "skew is too large") == NULL;
}

// How often the kernel has heard that it was thawed, and what it has for random bytes.
static void tell_fork(const struct guest *guest)
{
    unsigned forks = 0;
    uint64_t bytes[2] = {0, 0};
    for (const char *at = read_log(); (at = strstr(at, "virtual machine fork")) != NULL; at++) {
        forks++;
    }
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        die("getrandom");
    }
    say(guest, "fork count=%u random=%016" PRIx64 "%016" PRIx64 " nonce=%s\n", forks, bytes[0],
        bytes[1], guest->nonce);
}

static void burst(const struct guest *guest, const char *arguments)
{
    char *rest;
    unsigned long number = strtoul(arguments, &rest, 10);
    unsigned long count = strtoul(rest, NULL, 10);
    for (unsigned long i = 0; i < count; i++) {
        say(guest, "clock %lu mono=%" PRIu64 " nonce=%s\n", number, monotonic_ns(), guest->nonce);
        (void)tcdrain(guest->tty);
    }
}

static void tell_count(const struct guest *guest, const char *what, const char *failed,
                       unsigned long count)
{
    say(guest, "%s %s count=%lu nonce=%s\n", what, failed == NULL ? "ok" : failed, count,
        guest->nonce);
}

static void tell_disk(const struct guest *guest, const char *failed)
{
    tell_count(guest, "disk", failed, disk_files());
}

static void tell_net(const struct guest *guest, const char *failed)
{
    tell_count(guest, "net", failed, net_pieces());
}

// "fill MIB", "drop", or "take MIB".
static void use_memory(const struct guest *guest, const char *words)
{
    unsigned long wrong = 0;
    const char *failed = "no such command";
    if (strncmp(words, "fill ", 5) == 0) {
        failed = memory_fill((unsigned)strtoul(words + 5, NULL, 10));
    } else if (strncmp(words, "take ", 5) == 0) {
        failed = memory_take((unsigned)strtoul(words + 5, NULL, 10), &wrong);
    } else if (strcmp(words, "drop") == 0) {
        failed = memory_drop();
    }
    tell_count(guest, "memory", failed, wrong);
}

static void tell_load(const struct guest *guest)
{
    char text[LINE_BYTES];
    load_tell(text, sizeof(text));
    say(guest, "load %s nonce=%s\n", text, guest->nonce);
}

static void run_command(struct guest *guest)
{
    if (strncmp(guest->line, "ping ", 5) == 0) {
        say(guest, "pong %s nonce=%s\n", guest->line + 5, guest->nonce);
    } else if (strcmp(guest->line, "check") == 0) {
        say(guest, "check %s nonce=%s\n", pattern_is_whole(guest) ? "ok" : "BAD", guest->nonce);
    } else if (strcmp(guest->line, "banner") == 0) {
        say(guest, "banner %" PRIx64 " said\n", banner_address());
    } else if (strcmp(guest->line, "cpus") == 0) {
        visit_cpus(guest);
    } else if (strcmp(guest->line, "hwrng") == 0) {
        char text[LINE_BYTES];
        read_hwrng(text, sizeof(text));
        say(guest, "hwrng %s nonce=%s\n", text, guest->nonce);
    } else if (strcmp(guest->line, "disk start") == 0) {
        tell_disk(guest, disk_start());
    } else if (strcmp(guest->line, "disk") == 0) {
        tell_disk(guest, NULL);
    } else if (strncmp(guest->line, "disk more ", 10) == 0) {
        tell_disk(guest, disk_more(strtoul(guest->line + 10, NULL, 10)));
    } else if (strcmp(guest->line, "disks") == 0) {
        tell_count(guest, "disks", NULL, disk_count());
    } else if (strcmp(guest->line, "disk stop") == 0) {
        tell_disk(guest, disk_stop());
    } else if (strcmp(guest->line, "vsock start") == 0) {
        tell_count(guest, "vsock", vsock_start(), vsock_resets());
    } else if (strcmp(guest->line, "vsock") == 0) {
        const char *failed = vsock_check();
        tell_count(guest, "vsock", failed, vsock_resets());
    } else if (strcmp(guest->line, "net start") == 0) {
        tell_net(guest, net_start());
    } else if (strcmp(guest->line, "net") == 0) {
        tell_net(guest, net_failed());
    } else if (strcmp(guest->line, "net lost") == 0) {
        tell_count(guest, "net", net_failed(), net_lost());
    } else if (strcmp(guest->line, "net stop") == 0) {
        tell_net(guest, net_stop());
    } else if (strncmp(guest->line, "memory ", 7) == 0) {
        use_memory(guest, guest->line + 7);
    } else if (strcmp(guest->line, "load start") == 0) {
        const char *failed = load_start();
        if (failed != NULL) {
            die(failed);
        }
        beat_slowly(guest);
        tell_load(guest);
    } else if (strcmp(guest->line, "load") == 0) {
        tell_load(guest);
    } else if (strcmp(guest->line, "warnings") == 0) {
        say_warnings(guest);
    } else if (strcmp(guest->line, "machine") == 0) {
        say_machine(guest);
    } else if (strcmp(guest->line, "fork") == 0) {
        tell_fork(guest);
    } else if (strcmp(guest->line, "tsc") == 0) {
        say(guest, "tsc %s nonce=%s\n", tsc_is_trusted() ? "ok" : "UNSTABLE", guest->nonce);
    } else if (strncmp(guest->line, "burst ", 6) == 0) {
        burst(guest, guest->line + 6);
    } else if (strcmp(guest->line, "poweroff") == 0) {
        power_off(guest);
    } else if (strcmp(guest->line, "rtc") == 0) {
        tell_rtc(guest);
    } else if (strcmp(guest->line, "button") == 0) {
        hear_button(guest);
    } else if (strcmp(guest->line, "panic") == 0) {
        panic();
    } else if (strcmp(guest->line, "reboot") == 0) {
        say(guest, "rebooting\n");
        (void)tcdrain(guest->tty);
        (void)reboot(RB_AUTOBOOT);
    } else {
        say(guest, "what? %s\n", guest->line);
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
