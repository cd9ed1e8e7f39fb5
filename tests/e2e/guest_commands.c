// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>

#include "guest_clock.h"
#include "guest_cpus.h"
#include "guest_devices.h"
#include "guest_disk.h"
#include "guest_kernel.h"
#include "guest_load.h"
#include "guest_machine.h"
#include "guest_memory.h"
#include "guest_net.h"
#include "guest_power.h"
#include "guest_vsock.h"

// ---- each of them: what is behind its words is given ----

// In an emulated machine the interrupts of the console take most of the time of the CPU that gets
// them.
static void beat_slowly(const struct guest *guest)
{
    const struct itimerspec every = {{1, 0}, {1, 0}};
    if (timerfd_settime(guest->timer, 0, &every, NULL) != 0) {
        die("timerfd");
    }
}

static void tell_disk(const struct guest *guest, const char *failed)
{
    tell_count(guest, "disk", failed, disk_files());
}

static void tell_net(const struct guest *guest, const char *failed)
{
    tell_count(guest, "net", failed, net_pieces());
}

// "fill MIB", "drop", or "take all but MIB", before whose answer is said how much was taken.
static void memory(struct guest *guest, const char *words)
{
    unsigned long wrong = 0, taken = 0;
    const char *failed = "no such command";
    if (strncmp(words, "fill ", 5) == 0) {
        failed = memory_fill((unsigned)strtoul(words + 5, NULL, 10));
    } else if (strncmp(words, "take all but ", 13) == 0) {
        failed = memory_take_but((unsigned)strtoul(words + 13, NULL, 10), &taken, &wrong);
        say(guest, "taken %lu MiB nonce=%s\n", taken, guest->nonce);
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

static void say_machine_line(void *guest, const char *line)
{
    say(guest, "machine: %.400s\n", line);
}

static void ping(struct guest *guest, const char *words)
{
    say(guest, "pong %s nonce=%s\n", words, guest->nonce);
}

static void check(struct guest *guest, const char *words)
{
    (void)words;
    say(guest, "check %s nonce=%s\n", pattern_is_whole(guest) ? "ok" : "BAD", guest->nonce);
}

static void banner(struct guest *guest, const char *words)
{
    (void)words;
    say(guest, "banner %" PRIx64 " said\n", banner_address());
}

static void cpus(struct guest *guest, const char *words)
{
    (void)words;
    visit_cpus(guest);
}

static void hwrng(struct guest *guest, const char *words)
{
    char text[LINE_BYTES];
    (void)words;
    read_hwrng(text, sizeof(text));
    say(guest, "hwrng %s nonce=%s\n", text, guest->nonce);
}

static void disk_starts(struct guest *guest, const char *words)
{
    (void)words;
    tell_disk(guest, disk_start());
}

static void disk(struct guest *guest, const char *words)
{
    (void)words;
    tell_disk(guest, NULL);
}

static void disk_writes_more(struct guest *guest, const char *words)
{
    tell_disk(guest, disk_more(strtoul(words, NULL, 10)));
}

static void disks(struct guest *guest, const char *words)
{
    (void)words;
    tell_count(guest, "disks", NULL, disk_count());
}

static void disk_stops(struct guest *guest, const char *words)
{
    (void)words;
    tell_disk(guest, disk_stop());
}

static void vsock_starts(struct guest *guest, const char *words)
{
    (void)words;
    tell_count(guest, "vsock", vsock_start(), vsock_resets());
}

static void vsock(struct guest *guest, const char *words)
{
    (void)words;
    const char *failed = vsock_check();
    tell_count(guest, "vsock", failed, vsock_resets());
}

static void talk(struct guest *guest, const char *words)
{
    (void)words;
    tell_count(guest, "talk", vsock_talk_failed(), vsock_lines());
}

static void net_starts(struct guest *guest, const char *words)
{
    (void)words;
    tell_net(guest, net_start());
}

static void net(struct guest *guest, const char *words)
{
    (void)words;
    tell_net(guest, net_failed());
}

static void net_loses(struct guest *guest, const char *words)
{
    (void)words;
    tell_count(guest, "net", net_failed(), net_lost());
}

static void net_stops(struct guest *guest, const char *words)
{
    (void)words;
    tell_net(guest, net_stop());
}

static void load_starts(struct guest *guest, const char *words)
{
    const char *failed = load_start();
    (void)words;
    if (failed != NULL) {
        die(failed);
    }
    beat_slowly(guest);
    tell_load(guest);
}

static void load(struct guest *guest, const char *words)
{
    (void)words;
    tell_load(guest);
}

static void warnings(struct guest *guest, const char *words)
{
    (void)words;
    say_warnings(guest);
}

static void machine(struct guest *guest, const char *words)
{
    (void)words;
    machine_tell(say_machine_line, guest);
    say(guest, "machine told nonce=%s\n", guest->nonce);
}

static void fork_count(struct guest *guest, const char *words)
{
    (void)words;
    tell_fork(guest);
}

static void tsc(struct guest *guest, const char *words)
{
    (void)words;
    say(guest, "tsc %s nonce=%s\n", tsc_is_trusted() ? "ok" : "UNSTABLE", guest->nonce);
}

static void clocks(struct guest *guest, const char *words)
{
    burst(guest, words);
}

static void poweroff(struct guest *guest, const char *words)
{
    (void)words;
    power_off(guest);
}

static void rtc(struct guest *guest, const char *words)
{
    (void)words;
    tell_rtc(guest);
}

static void button(struct guest *guest, const char *words)
{
    (void)words;
    hear_button(guest);
}

static void panics(struct guest *guest, const char *words)
{
    (void)guest;
    (void)words;
    panic();
}

static void reboots(struct guest *guest, const char *words)
{
    (void)words;
    restart(guest);
}

// ---- all of them ----

static const struct {
    const char *words; // that end in a blank if others follow
    void (*run)(struct guest *guest, const char *words);
} commands[] = {
    {"ping ", ping},
    {"check", check},
    {"banner", banner},
    {"cpus", cpus},
    {"hwrng", hwrng},
    {"disk start", disk_starts},
    {"disk", disk},
    {"disk more ", disk_writes_more},
    {"disks", disks},
    {"disk stop", disk_stops},
    {"vsock start", vsock_starts},
    {"vsock", vsock},
    {"talk", talk},
    {"net start", net_starts},
    {"net", net},
    {"net lost", net_loses},
    {"net stop", net_stops},
    {"memory ", memory},
    {"load start", load_starts},
    {"load", load},
    {"warnings", warnings},
    {"machine", machine},
    {"fork", fork_count},
    {"tsc", tsc},
    {"burst ", clocks},
    {"poweroff", poweroff},
    {"rtc", rtc},
    {"button", button},
    {"panic", panics},
    {"reboot", reboots},
};

static bool is_called(const char *line, const char *words)
{
    size_t length = strlen(words);
    return words[length - 1] == ' ' ? strncmp(line, words, length) == 0 : strcmp(line, words) == 0;
}

void run_command(struct guest *guest)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (is_called(guest->line, commands[i].words)) {
            commands[i].run(guest, guest->line + strlen(commands[i].words));
            return;
        }
    }
    say(guest, "what? %s\n", guest->line);
}
