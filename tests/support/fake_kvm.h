/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A /dev/kvm that runs nothing and writes down what it is asked: the linker turns the program's
 * open(2) and ioctl(2) into ours (--wrap). It answers alike on every host, to any thread. With
 * fake_system.c the other system calls and the allocations of the KVM library can fail, too.
 */
#ifndef STASIS_TESTS_FAKE_KVM_H
#define STASIS_TESTS_FAKE_KVM_H

#include <stdbool.h>
#include <stddef.h>

#define FAKE_KVM_CALLS_MAX 1024u

/* What this KVM lacks, or does badly. */
enum fake_kvm_flaw {
    FAKE_KVM_NO_XSAVE2 = 1 << 0,
    FAKE_KVM_NO_SREGS2 = 1 << 1,
    FAKE_KVM_NO_XCRS = 1 << 2,
    FAKE_KVM_NO_EVENT_CAPS = 1 << 3, /* exception payload, triple fault, SMM */
    FAKE_KVM_NO_TSC_CONTROL = 1 << 4,
    FAKE_KVM_NO_TSC_OFFSET = 1 << 5,
    FAKE_KVM_DROPS_TSC_OFFSET = 1 << 6, /* as PVM does */
    FAKE_KVM_OTHER_TSC_RATE = 1 << 7,
    FAKE_KVM_FEW_FEATURES = 1 << 8,  /* of CPUID */
    FAKE_KVM_REFUSES_MSRS = 1 << 9,  /* takes half of each batch */
    FAKE_KVM_LARGE_XSAVE = 1 << 10,  /* wants more room than anybody has */
    FAKE_KVM_LACKS_A_CAP = 1 << 11,  /* one that we cannot do without */
    FAKE_KVM_OTHER_API = 1 << 12,    /* is none */
    FAKE_KVM_NO_DEVICE = 1 << 13,    /* /dev/kvm is not there */
    FAKE_KVM_LONG_CPUID = 1 << 14,   /* asks for more room (E2BIG) */
    FAKE_KVM_FEW_VCPUS = 1 << 15,    /* 8 at most, and advises 2 */
    FAKE_KVM_NO_MAX_VCPUS = 1 << 16, /* advises 2, and knows no maximum */
    FAKE_KVM_NO_NR_VCPUS = 1 << 17,  /* has no advice */
};

struct fake_kvm {
    unsigned flaws;
    unsigned fail_at;   /* the n-th call fails; 0: none */
    int fail_errno;     /* with that; 0: EIO */
    const char *path;   /* of the device; NULL: /dev/kvm */
    bool counts_system; /* calls that are no ioctl of KVM count as calls, as request 0 */
    size_t last_calloc; /* bytes asked for */
    struct {
        void *at;
        size_t size;
        int advice;
    } last_madvise;
    /* Asked before the fake's own answers; true: *ret_result is what ioctl returns, with errno. */
    bool (*answer)(unsigned long request, void *arg, int *ret_result);
    int tsc_khz; /* as it was set since the last VM was made; 0: not at all */
    unsigned long calls[FAKE_KVM_CALLS_MAX];
    size_t count;
};

extern struct fake_kvm fake_kvm;

/* Counts a call that is no ioctl of KVM. True, with errno set, if it is the one that fails. */
bool fake_kvm_fails_system(void);

/* Bytes that the program has mapped, and not unmapped, since it began. */
size_t fake_system_mapped(void);

/* Index of the first, or last, call of this request, or SIZE_MAX. */
size_t fake_kvm_first(unsigned long request);
size_t fake_kvm_last(unsigned long request);

#endif
