/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/loader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/boot/boot_arch.h"

int stasis_boot_write(const struct stasis_memory *memory, uint64_t gpa, const void *bytes,
                      uint64_t len, const char *what, struct stasis_error *err)
{
    if (stasis_memory_write(memory, gpa, bytes, len, what, NULL))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s: %" PRIu64 " bytes at guest address 0x%" PRIx64
                           " do not fit into RAM; give more by memory.size_mib",
                           what, len, gpa);
    return 0;
}

int stasis_boot_check(const struct stasis_boot_options *options, struct stasis_error *err)
{
    struct stasis_boot_file initrd;
    int rc = options->kernel_path ? stasis_boot_kernel_check(options->kernel_path, err) : 0;

    if (rc || !options->initrd_path)
        return rc;
    rc = stasis_boot_file_init(&initrd, "initrd", options->initrd_path, 0, err);
    if (!rc)
        stasis_boot_file_fini(&initrd);
    return rc;
}

static int hold(const char *what, const char *path, int *ret_fd, struct stasis_error *err)
{
    struct stasis_boot_file file;
    int rc = path ? stasis_boot_file_init(&file, what, path, 0, err) : 0;

    if (!rc && path)
        *ret_fd = file.fd;
    return rc;
}

int stasis_boot_hold(struct stasis_boot_options *options, struct stasis_error *err)
{
    int rc = hold("kernel", options->kernel_path, &options->kernel_fd, err);

    return rc ? rc : hold("initrd", options->initrd_path, &options->initrd_fd, err);
}

static void let_go(int *fd)
{
    if (*fd)
        close(*fd);
    *fd = 0;
}

void stasis_boot_let_go(struct stasis_boot_options *options)
{
    let_go(&options->kernel_fd);
    let_go(&options->initrd_fd);
}

/* Whether the command line has that parameter: at its begin, or behind a space. */
static bool has_parameter(const char *cmdline, const char *name)
{
    const char *at = strstr(cmdline, name);

    while (at && at != cmdline && at[-1] != ' ')
        at = strstr(at + 1, name);
    return at;
}

static char *make_cmdline(const struct stasis_boot_options *options)
{
    const char *given = options->cmdline ? options->cmdline : stasis_boot_arch.cmdline;
    bool adds = options->root_disk && !has_parameter(given, "root=");
    char root[sizeof("root=/dev/vda")] = "root=/dev/vda";
    char *cmdline;

    root[sizeof(root) - 2] = (char)('a' + options->root_disk - 1);
    return asprintf(&cmdline, "%s%s%s", given, adds && *given ? " " : "", adds ? root : "") < 0
               ? NULL
               : cmdline;
}

int stasis_boot_load(const struct stasis_memory *memory, const struct stasis_board_state *board,
                     const struct stasis_boot_options *options, struct stasis_arch_entry *ret_entry,
                     struct stasis_error *err)
{
    char *cmdline = make_cmdline(options);
    struct stasis_boot_initrd initrd = {0};
    struct stasis_boot_image image;
    int rc;

    if (!cmdline)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a command line");
    rc = options->kernel_path ? stasis_boot_kernel(memory, options->kernel_path, options->kernel_fd,
                                                   options->load_addr, &image, err)
                              : stasis_boot_arch_demo(memory, board, &image, err);
    if (!rc && options->initrd_path)
        rc = stasis_boot_initrd(memory, options->initrd_path, options->initrd_fd, &image, &initrd,
                                err);
    if (!rc)
        rc = stasis_boot_arch_hand_over(memory, board, &image, &initrd, cmdline, ret_entry, err);
    free(cmdline);
    return rc;
}
