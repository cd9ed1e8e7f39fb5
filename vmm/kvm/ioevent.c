/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_ioevent.h"

#include <inttypes.h>

#include "fail.h"

#define PORTS UINT64_C(0x10000)

static int check(const struct stasis_vm *vm, const struct stasis_ioevent *event,
                 struct stasis_error *err)
{
    uint32_t len = event->len;

    if (len > 8 || len & (len - 1))
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "an event of writes of %" PRIu32 " bytes: the length is 1, 2, 4, 8, "
                             "or 0 for any",
                             len);
    if (!len && event->has_match)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "an event of writes of one value needs their length");
    if (event->is_pio && event->address >= PORTS)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_RANGE,
                             "an event at port 0x%" PRIx64 ": ports end at 0xffff", event->address);
    if (len && event->address + len - 1 < event->address)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_RANGE,
                             "an event at 0x%" PRIx64 " ends behind the last address",
                             event->address);
    if (!len && !stasis_vm_cap(vm, KVM_CAP_IOEVENTFD_ANY_LENGTH))
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_UNAVAILABLE,
                             "this KVM has no events of writes of any length");
    return 0;
}

static int call(const struct stasis_vm *vm, const struct stasis_ioevent *event, uint32_t flags,
                struct stasis_error *err)
{
    struct kvm_ioeventfd ioeventfd = {
        .datamatch = event->match,
        .addr = event->address,
        .len = event->len,
        .fd = event->fd,
        .flags = flags | (event->is_pio ? KVM_IOEVENTFD_FLAG_PIO : 0) |
                 (event->has_match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0),
    };

    if (stasis_kvm_ioctl(vm->fd, KVM_IOEVENTFD, &ioeventfd) == 0)
        return 0;
    switch (errno) {
    case EEXIST:
        return stasis_fail_errno(err, STASIS_ERR_EXISTS, "the event at 0x%" PRIx64, event->address);
    case ENOENT:
        return stasis_fail_errno(err, STASIS_ERR_NOT_FOUND, "the event at 0x%" PRIx64,
                                 event->address);
    case EBADF:
        return stasis_fail_errno(err, STASIS_ERR_ARG, "a descriptor for the event at 0x%" PRIx64,
                                 event->address);
    default:
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_IOEVENTFD at 0x%" PRIx64,
                                 event->address);
    }
}

int stasis_ioevent_assign(const struct stasis_vm *vm, const struct stasis_ioevent *event,
                          struct stasis_error *err)
{
    int rc = check(vm, event, err);

    return rc ? rc : call(vm, event, 0, err);
}

int stasis_ioevent_deassign(const struct stasis_vm *vm, const struct stasis_ioevent *event,
                            struct stasis_error *err)
{
    int rc = check(vm, event, err);

    return rc ? rc : call(vm, event, KVM_IOEVENTFD_FLAG_DEASSIGN, err);
}
