/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What KVM_CAP_COALESCED_PIO would give a guest's console: bytes by a driver that reads the line
 * status register before each, in rounds without it and with it that alternate. The exits are
 * answered at once, so that the gain is the largest that there can be.
 *   bench-coalesced ROUNDS     prints one JSON object; times are medians
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/kvm_guest.h"

#define ROUNDS_MAX 1001
#define BYTES      2000
#define THR        0x3f8
#define LSR_EMPTY  0x60

static struct kvm_guest guest;
static struct kvm_coalesced_mmio_ring *ring;
static unsigned bytes;

/* 1: mov dx, 0x3fd; in al, dx; mov dl, 0xf8; out dx, al; jmp 1b */
static const uint8_t printing[] = {0xba, 0xfd, 0x03, 0xec, 0xb2, 0xf8, 0xee, 0xeb, 0xf7};

static void init(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int at;

    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, printing, sizeof(printing));
    at = stasis_vm_cap(&guest.machine.vm, KVM_CAP_COALESCED_MMIO);
    if (at <= 0 || !stasis_vm_cap(&guest.machine.vm, KVM_CAP_COALESCED_PIO))
        fail_msg("this KVM has no coalesced PIO");
    ring = (void *)((uint8_t *)guest.machine.vcpus[0].run + (size_t)at * page);
}

static void coalesce(bool on)
{
    struct kvm_coalesced_mmio_zone zone = {.addr = THR, .size = 1, .pio = 1};
    unsigned long request = on ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO;

    assert_int_equal(ioctl(guest.machine.vm.fd, request, &zone), 0);
}

static void drain(void)
{
    unsigned page = (unsigned)sysconf(_SC_PAGESIZE);
    unsigned max = (page - (unsigned)sizeof(*ring)) / (unsigned)sizeof(ring->coalesced_mmio[0]);

    for (; ring->first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE); bytes++)
        __atomic_store_n(&ring->first, (ring->first + 1) % max, __ATOMIC_RELEASE);
}

static void handle(struct kvm_run *run)
{
    assert_int_equal(run->exit_reason, KVM_EXIT_IO);
    if (run->io.direction == KVM_EXIT_IO_IN)
        ((uint8_t *)run)[run->io.data_offset] = LSR_EMPTY;
    else
        bytes++;
}

static uint64_t print_bytes(void)
{
    const struct stasis_vcpu *vcpu = &guest.machine.vcpus[0];
    uint64_t begin = stasis_monotonic_ns();

    for (bytes = 0; bytes < BYTES;) {
        assert_int_equal(ioctl(vcpu->fd, KVM_RUN, NULL), 0);
        drain();
        handle(vcpu->run);
    }
    return stasis_monotonic_ns() - begin;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static double median(uint64_t *values, unsigned count)
{
    const unsigned middle = count / 2;

    qsort(values, count, sizeof(*values), compare);
    return (double)values[middle];
}

int main(int argc, char **argv)
{
    static uint64_t without[ROUNDS_MAX], with[ROUNDS_MAX];
    unsigned rounds = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    double plain, batched;

    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    init();
    for (unsigned i = 0; i < rounds; i++) {
        without[i] = print_bytes();
        coalesce(true);
        with[i] = print_bytes();
        coalesce(false);
    }
    plain = median(without, rounds) / BYTES;
    batched = median(with, rounds) / BYTES;
    printf("{\"byte_ns\": %.0f, \"coalesced_ns\": %.0f, \"ratio\": %.2f}\n", plain, batched,
           plain / batched);
    kvm_guest_fini(&guest);
    return 0;
}
