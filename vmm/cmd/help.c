/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/cli_internal.h"

#include <string.h>

#include "stasis_options.h"

static void print_option(FILE *to, const struct stasis_option *option)
{
    const char *line = option->help;

    if (option->group)
        fprintf(to, "\n%s\n", option->group);
    fprintf(to, "  --%s", option->name);
    for (const struct stasis_option_key *key = option->keys; key && key->name; key++) {
        bool first = key == option->keys;
        bool other = !first && (option->repeats || key < option->keys + option->choices);

        fprintf(to, "%s%s=%s%s",
                other              ? "|"
                : !first           ? "[,"
                : option->is_whole ? " ["
                                   : " ",
                key->name, key->arg, other || (first && !option->is_whole) ? "" : "]");
    }
    fputs(option->absent ? " (not in this build)\n" : "\n", to);
    while (*line) {
        size_t len = strcspn(line, "\n") + 1;

        fprintf(to, "      %.*s", (int)len, line);
        line += len;
    }
}

void stasis_cli_print_help(FILE *to)
{
    fputs("vmm: run a virtual machine, freeze it to a file, thaw it\n\n"
          "Usage: vmm --kernel FILE | --demo | --restore FILE | --config FILE  [option]...\n"
          "       vmm ctl SOCK METHOD [key=value]...    (vmm ctl --help lists the methods)\n",
          to);
    for (unsigned i = 0; i < STASIS_CLI_COUNT; i++)
        print_option(to, stasis_cli_option(i));
    fputs("\n"
          "The name of an option's first key may be omitted: --memory 512. Quote values that\n"
          "contain commas: --kernel 'path=vmlinuz,cmdline=\"console=ttyS0,115200 quiet\"'.\n\n"
          "Keys on a terminal: Ctrl-A x ends the VM, Ctrl-A s freezes it, Ctrl-A c cancels a\n"
          "freeze, Ctrl-A h lists the keys.\n\n"
          "Exit status: 0 success, 1 internal failure, 2 usage error, 3 corrupt or not a\n"
          "snapshot, 4 incompatible snapshot or host, 5 the host lacks something, 6 the guest\n"
          "crashed, 7 an output could not be written, 8 the guest ended before a requested\n"
          "freeze, 9 the snapshot could not be read, 10 the guest was stopped for an invalid\n"
          "access, 11 the machine was reset, 12 a system call that the sandbox refuses.\n\n"
          "Examples:\n"
          "  vmm --demo --snapshot-out demo.snap,after_ms=3000\n"
          "  vmm --restore demo.snap\n"
          "  vmm --kernel vmlinuz --initrd initrd.img --memory 512 --cpu baseline\n"
          "\nSee vmm(1) for the full manual.\n",
          to);
}

void stasis_cli_print_version(FILE *to)
{
    fprintf(to, "vmm (stasis) %s\n", STASIS_VERSION);
    if (*STASIS_LEFT_OUT)
        fputs("left out of this build: " STASIS_LEFT_OUT "\n", to);
}
