/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the VMM does between two KVM_RUNs when the guest writes to a port that nobody handles, on a
 * KVM that returns at once: needs no /dev/kvm.
 *   bench-exit ROUNDS     prints one JSON object; the median of so many means
 */
#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

#include "support/fake_kvm.h"
#include "vmm/base/clock.h"
#include "vmm/kvm_guest.h"

#define ROUNDS_MAX  1001
#define ROUND_EXITS 1000 /* the TSC of a virtual machine can count in steps of many cycles */

static struct kvm_guest guest;
static uint64_t returned; /* TSC at the end of the last KVM_RUN; 0: none */
static uint64_t spent;

static bool answer(unsigned long request, void *arg, int *ret_result)
{
    uint64_t now = __rdtsc();
    struct kvm_run *run;

    (void)arg;
    if (request != KVM_RUN)
        return false;
    spent += returned ? now - returned : 0;
    fake_kvm.count = 0; /* it would write down calls until its list is full */
    run = guest.machine.vcpus[0].run;
    run->exit_reason = KVM_EXIT_IO;
    run->io.direction = KVM_EXIT_IO_OUT;
    run->io.size = 1;
    run->io.count = 1;
    run->io.port = KVM_PORT;
    run->io.data_offset = sizeof(*run);
    *ret_result = 0;
    returned = __rdtsc();
    return true;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* In a process that never had a second thread, locks cost less. */
static void have_had_threads(void)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, do_nothing, NULL), 0);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    static uint64_t means[ROUNDS_MAX];
    uint64_t ns = stasis_monotonic_ns(), tsc = __rdtsc(), median;
    unsigned rounds = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    fake_kvm.answer = answer;
    kvm_guest_init(&guest, NULL);
    have_had_threads();
    for (unsigned round = 0; round < rounds; round++) {
        spent = 0;
        for (unsigned i = 0; i < ROUND_EXITS; i++) {
            if (stasis_vcpu_run_once(&guest.machine.vcpus[0]))
                return 1;
        }
        means[round] = spent / ROUND_EXITS;
    }
    qsort(means, rounds, sizeof(means[0]), compare);
    tsc = __rdtsc() - tsc;
    ns = stasis_monotonic_ns() - ns;
    median = means[rounds / 2];
    printf("{\"exit_cycles\": %llu, \"exit_ns\": %llu}\n", (unsigned long long)median,
           (unsigned long long)(median * ns / tsc));
    kvm_guest_fini(&guest);
    return 0;
}
