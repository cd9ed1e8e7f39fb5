/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/cli_internal.h"

#include <string.h>

static void print_option(FILE *to, const struct stasis_cli_option *option)
{
    const char *line = option->help;

    if (option->group)
        fprintf(to, "\n%s\n", option->group);
    fprintf(to, "  --%s", option->name);
    for (const struct stasis_cli_key *key = option->keys; key && key->name; key++) {
        bool first = key == option->keys;

        fprintf(to, "%s%s=%s%s", first ? " " : "[,", key->name, key->arg, first ? "" : "]");
    }
    fputc('\n', to);
    while (*line) {
        size_t len = strcspn(line, "\n") + 1;

        fprintf(to, "      %.*s", (int)len, line);
        line += len;
    }
}

void stasis_cli_print_help(FILE *to)
{
    fputs("vmm: runs a virtual machine that can be frozen to a file and thawed\n\n"
          "Usage: vmm --kernel FILE | --demo | --restore FILE  [option]...\n",
          to);
    for (size_t i = 0; i < STASIS_CLI_COUNT; i++)
        print_option(to, &stasis_cli_options[i]);
    fputs("\n"
          "The first key of an option may be left out: --memory 512. Quotes let a value hold\n"
          "commas: --kernel 'path=vmlinuz,cmdline=\"console=ttyS0,115200 quiet\"'.\n"
          "On a terminal Ctrl-A x ends the VM, Ctrl-A s freezes it, Ctrl-A h helps.\n"
          "Exit status: 0 done, 1 our failure, 2 usage, 3 not a snapshot, 4 incompatible,\n"
          "5 the host lacks something, 6 the guest died, 7 could not write, 8 the guest ended\n"
          "before it was frozen.\n\n"
          "Examples:\n"
          "  vmm --demo --snapshot-out demo.snap,after_ms=3000\n"
          "  vmm --restore demo.snap\n"
          "  vmm --kernel vmlinuz --initrd initrd.img --memory 512 --cpu baseline\n"
          "\nThe manual is vmm(1).\n",
          to);
}

void stasis_cli_print_version(FILE *to)
{
    fprintf(to, "vmm (stasis) %s\n", STASIS_VERSION);
}
