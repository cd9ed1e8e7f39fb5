// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_power.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

void power_off(const struct guest *guest)
{
    say(guest, "powering off\n");
    (void)tcdrain(guest->tty);
    (void)reboot(RB_POWER_OFF);
}

void restart(const struct guest *guest)
{
    say(guest, "rebooting\n");
    (void)tcdrain(guest->tty);
    (void)reboot(RB_AUTOBOOT);
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

_Noreturn void panic(void)
{
    load_driver("/pvpanic.ko");
    load_driver("/pvpanic-mmio.ko");
    _exit(0);
}

void hear_button(struct guest *guest)
{
    load_driver("/button.ko");
    guest->hears_button = true;
    say(guest, "button ready nonce=%s\n", guest->nonce);
}

// How often the driver was told of a press.
unsigned long presses(void)
{
    char text[LINE_BYTES] = "";
    int fd = open("/sys/firmware/acpi/interrupts/ff_pwr_btn", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0) {
        die("ff_pwr_btn");
    }
    close(fd);
    return strtoul(text, NULL, 10);
}
