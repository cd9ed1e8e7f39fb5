/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Newer than the headers of some systems that we build on. */
#ifndef KVM_CAP_VM_TYPES
#define KVM_CAP_VM_TYPES 235
#endif

#define DEFAULT_VM_TYPE UINT32_C(1) /* bit 0 */

/* ---- ioctls ---- */

int stasis_kvm_ioctl(int fd, unsigned long request, void *arg)
{
    int rc;

    do {
        rc = ioctl(fd, request, arg);
    } while (rc < 0 && errno == EINTR);
    return rc;
}

int stasis_kvm_call(int fd, unsigned long request, const char *name, void *arg,
                    struct stasis_error *err)
{
    if (stasis_kvm_ioctl(fd, request, arg) < 0)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "%s", name);
    return 0;
}

/* ---- capabilities ---- */

int stasis_kvm_cap(int fd, unsigned cap)
{
    int value = stasis_kvm_ioctl(fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)cap);

    return value < 0 ? 0 : value;
}

int stasis_kvm_enable_cap(int fd, unsigned cap, const uint64_t *args, struct stasis_error *err)
{
    struct kvm_enable_cap enable = {.cap = cap};

    if (args)
        memcpy(enable.args, args, sizeof(enable.args));
    if (stasis_kvm_ioctl(fd, KVM_ENABLE_CAP, &enable) < 0)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_ENABLE_CAP of capability %u", cap);
    return 0;
}

uint32_t stasis_kvm_vm_types(const struct stasis_kvm *kvm)
{
    return (uint32_t)stasis_kvm_cap(kvm->fd, KVM_CAP_VM_TYPES) | DEFAULT_VM_TYPE;
}

const char *stasis_kvm_vm_type_name(unsigned long type)
{
    static const char *const names[] = {"default", "software-protected", "SEV", "SEV-ES", "SEV-SNP",
                                        "TDX"};

    return type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown";
}

/* ---- the handle ---- */

#define GROUP_NAME_MAX 64

/* Read here, as group(5) says: getgrgid_r() may load libraries, and ask servers, which a sandbox
 * does not let it do. */
static bool name_group(gid_t gid, char ret_name[GROUP_NAME_MAX])
{
    FILE *file = fopen("/etc/group", "re");
    char line[1024];
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file)) {
        char *rest = line;
        const char *name = strsep(&rest, ":");

        (void)strsep(&rest, ":"); /* the password */
        found = rest && *name && isdigit((unsigned char)*rest) && strtoul(rest, NULL, 10) == gid;
        if (found)
            snprintf(ret_name, GROUP_NAME_MAX, "%s", name);
    }
    if (file)
        fclose(file);
    return found;
}

/* The group that may open the device; its number where it has no name. False: no group may. */
static bool find_group(const char *path, char ret_name[GROUP_NAME_MAX])
{
    struct stat device;

    if (stat(path, &device) || (device.st_mode & 060) != 060)
        return false;
    if (!name_group(device.st_gid, ret_name))
        snprintf(ret_name, GROUP_NAME_MAX, "%u", (unsigned)device.st_gid);
    return true;
}

static int not_permitted(const char *path, struct stasis_error *err)
{
    char group[GROUP_NAME_MAX];
    int os_errno = errno;
    bool has_group = find_group(path, group);

    errno = os_errno;
    if (has_group)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "%s may not be opened: join its group, which is %s, or have "
                                 "somebody pass a descriptor of it",
                                 path, group);
    return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                             "%s may not be opened, and no group may: have its owner give it to a "
                             "group (chgrp kvm, chmod 660), or pass a descriptor of it",
                             path);
}

static int open_device(const char *path, struct stasis_error *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "no %s: enable virtualization in the firmware and load "
                                 "kvm_intel or kvm_amd",
                                 path);
    case EACCES:
    case EPERM:
        return not_permitted(path, err);
    default:
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "%s does not open", path);
    }
}

static int check_device(const char *path, struct stasis_kvm *kvm, struct stasis_error *err)
{
    int version = stasis_kvm_ioctl(kvm->fd, KVM_GET_API_VERSION, NULL);
    int run_size;

    if (version != KVM_API_VERSION)
        return stasis_fail(err, STASIS_ERR_UNAVAILABLE,
                           "%s answers API version %d, not %d: is it KVM?", path, version,
                           KVM_API_VERSION);
    run_size = stasis_kvm_ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
    if (run_size < (int)sizeof(struct kvm_run))
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_GET_VCPU_MMAP_SIZE gives %d", run_size);
    kvm->run_size = (size_t)run_size;
    return 0;
}

static void read_caps(struct stasis_kvm *kvm)
{
    kvm->has_sregs2 = stasis_kvm_cap(kvm->fd, KVM_CAP_SREGS2);
    kvm->has_exception_payload = stasis_kvm_cap(kvm->fd, KVM_CAP_EXCEPTION_PAYLOAD);
#ifdef KVM_CAP_X86_TRIPLE_FAULT_EVENT
    kvm->has_triple_fault_event = stasis_kvm_cap(kvm->fd, KVM_CAP_X86_TRIPLE_FAULT_EVENT);
#endif
    kvm->has_xcrs = stasis_kvm_cap(kvm->fd, KVM_CAP_XCRS);
    kvm->has_pmu_switch =
        (unsigned)stasis_kvm_cap(kvm->fd, KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE;
    kvm->has_smm = stasis_kvm_cap(kvm->fd, KVM_CAP_X86_SMM);
    kvm->has_tsc_deadline = stasis_kvm_cap(kvm->fd, KVM_CAP_TSC_DEADLINE_TIMER);
    kvm->has_tsc_control = stasis_kvm_cap(kvm->fd, KVM_CAP_TSC_CONTROL);
}

/* Takes over the descriptor. `name` is the device's, for messages. */
static int open_handle(int fd, const char *name, struct stasis_kvm *ret_kvm,
                       struct stasis_error *err)
{
    struct stasis_kvm kvm = {.fd = fd};
    int rc = check_device(name, &kvm, err);

    if (!rc)
        rc = stasis_kvm_supported_cpuid(&kvm, &kvm.cpuid, err);
    if (rc) {
        close(kvm.fd);
        return rc;
    }
    read_caps(&kvm);
    *ret_kvm = kvm;
    return 0;
}

int stasis_kvm_open_path(const char *path, struct stasis_kvm *ret_kvm, struct stasis_error *err)
{
    int fd = open_device(path, err);

    return fd < 0 ? fd : open_handle(fd, path, ret_kvm, err);
}

int stasis_kvm_open_fd(int fd, struct stasis_kvm *ret_kvm, struct stasis_error *err)
{
    int twin = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    char name[32];
    int rc;

    if (twin < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "descriptor %d, which is to be /dev/kvm, cannot be used", fd);
    if (stasis_kvm_ioctl(twin, KVM_GET_API_VERSION, NULL) < 0) {
        rc = stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                               "descriptor %d is not /dev/kvm; open that for reading and writing, "
                               "and pass it",
                               fd);
        close(twin);
        return rc;
    }
    snprintf(name, sizeof(name), "descriptor %d", fd);
    return open_handle(twin, name, ret_kvm, err);
}

int stasis_kvm_open(struct stasis_kvm *ret_kvm, struct stasis_error *err)
{
    return stasis_kvm_open_path("/dev/kvm", ret_kvm, err);
}

int stasis_kvm_dup(const struct stasis_kvm *kvm, struct stasis_kvm *ret_kvm,
                   struct stasis_error *err)
{
    size_t size = sizeof(*kvm->cpuid) + kvm->cpuid->nent * sizeof(kvm->cpuid->entries[0]);
    struct stasis_kvm twin = *kvm;

    twin.cpuid = malloc(size);
    if (!twin.cpuid)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the CPUID table");
    memcpy(twin.cpuid, kvm->cpuid, size);
    twin.fd = fcntl(kvm->fd, F_DUPFD_CLOEXEC, 0);
    if (twin.fd < 0) {
        free(twin.cpuid);
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "duplicating the KVM handle");
    }
    *ret_kvm = twin;
    return 0;
}

void stasis_kvm_close(struct stasis_kvm *kvm)
{
    if (kvm->fd >= 0)
        close(kvm->fd);
    kvm->fd = -1;
    free(kvm->cpuid);
    kvm->cpuid = NULL;
}
