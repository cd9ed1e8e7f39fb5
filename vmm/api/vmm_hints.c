/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is allowed, but seldom meant: said once, before a new guest runs.
 */
#include <string.h>
#include <sys/stat.h>

#include "vmm/api/vmm_internal.h"

#define LARGE_KERNEL (1 << 20) /* bytes; what is smaller starts anywhere */

/* Files of other kinds of disks begin with these. A guest can write them, too, so they are no
 * reason to refuse a disk. */
static const struct {
    const char *name;
    const char *bytes;
    const char *remedy;
} formats[] = {
    {"qcow2 image", "QFI\xfb", "make a raw one by qemu-img convert -O raw"},
    {"VMDK image", "KDMV", "make a raw one by qemu-img convert -O raw"},
    {"VHDX image", "vhdxfile", "make a raw one by qemu-img convert -O raw"},
    {"snapshot or overlay of Stasis", "\x89STASIS\n",
     "an overlay is named behind its disk, as overlay=FILE"},
};

static void look_at_disk(const struct stasis_vmm *vmm, const struct stasis_vmm_disk *disk,
                         const char *path)
{
    char head[8];

    if (!stasis_disk_read_below(&disk->disk, 0, head, sizeof(head)))
        return;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (memcmp(head, formats[i].bytes, strlen(formats[i].bytes)) == 0)
            stasis_vmm_say(vmm,
                           "disk %s: %s begins like a %s, and the guest gets its bytes as they "
                           "are; %s",
                           disk->device.id, path, formats[i].name, formats[i].remedy);
}

static bool is_large(const struct stasis_boot_options *boot)
{
    struct stat st;

    if (!boot->kernel_path)
        return false;
    return !(boot->kernel_fd ? fstat(boot->kernel_fd, &st) : stat(boot->kernel_path, &st)) &&
           st.st_size >= LARGE_KERNEL;
}

static void look_at_kernel(const struct stasis_vmm *vmm)
{
    if (!is_large(&vmm->boot) || stasis_arch_host_virtualizes())
        return;
    stasis_vmm_say(vmm, "this processor shows no hardware virtualization (vmx or svm), so KVM may "
                        "emulate each instruction: a whole Linux then takes hours to start");
}

void stasis_vmm_say_hints(const struct stasis_vmm *vmm)
{
    look_at_kernel(vmm);
    for (unsigned i = 0; i < vmm->disks.count; i++)
        look_at_disk(vmm, &vmm->disks.list[i], vmm->config->block[i].path);
}
