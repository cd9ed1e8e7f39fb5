/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * restore() itself: a state section, in a file that is whole otherwise, thawed beside a fake KVM.
 * In front of it stand four bytes: the KVM's flaws, the call that fails, options.
 */
#include "fuzz.h"

#include <dirent.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/fake_kvm.h"
#include "tests/support/null_host.h"
#include "stasis/snap.h"
#include "stasis/state.h"
#include "vmm/snapshot/thaw.h"

#define FRONT   4u
#define RAM_MAX (UINT64_C(2) << 20)

enum {
    OPTION_ADVANCE = 1,
    OPTION_IGNORE_TSC_RATE = 2,
    OPTION_OTHER_RAM = 4,
    OPTION_MAP = 8,
    OPTION_OTHER_ARCH = 16,
    OPTION_FAIL_EACH = 32, /* thaw again and again, with each call of KVM failing once */
};

static unsigned open_fds(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");

    FUZZ_ASSERT(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* ---- the file ---- */

/* The RAM that the board asks for, if that is little; else some. */
static void add_ram(struct stasis_snap *snap, uint8_t *ram, bool other)
{
    struct stasis_board_state board;
    uint64_t used = 0;

    if (stasis_records_get(stasis_snap_records(snap), &stasis_board_schema, "vm", &board, NULL))
        board.ram_count = 0;
    for (uint32_t i = 0; i < board.ram_count && !other; i++) {
        if (board.ram[i].size > RAM_MAX - used)
            break;
        if (!stasis_snap_add_ram(snap, board.ram[i].gpa, ram + used, board.ram[i].size, NULL))
            used += board.ram[i].size;
    }
    if (!used)
        FUZZ_ASSERT(!stasis_snap_add_ram(snap, 0, ram, STASIS_CHUNK_SIZE, NULL));
}

/* NULL: no state section. */
static struct stasis_snap *make(const uint8_t *bytes, size_t len, unsigned options)
{
    const struct stasis_parse_opts tolerant = {.size = sizeof(tolerant), .tolerant = true};
    static uint8_t ram[RAM_MAX];
    struct stasis_records *records = NULL;
    struct stasis_snap *snap = NULL, *opened = NULL;
    int fd = fuzz_file(NULL, 0);

    if (!stasis_records_parse(bytes, len, &tolerant, &records, NULL)) {
        ram[0x1000] = 1;
        snap =
            stasis_snap_new(options & OPTION_OTHER_ARCH ? STASIS_ARCH_AARCH64 : STASIS_ARCH_X86_64);
        FUZZ_ASSERT(snap);
        stasis_snap_set_records(snap, records);
        add_ram(snap, ram, options & OPTION_OTHER_RAM);
        FUZZ_ASSERT(!stasis_snap_save_stream(snap, fd, NULL, NULL, NULL));
        (void)!stasis_snap_open_fd(fd, "input", NULL, &opened, NULL);
    }
    stasis_snap_free(snap);
    close(fd);
    return opened;
}

/* ---- what was asked of KVM ---- */

static void assert_before(unsigned long a, unsigned long b)
{
    size_t last = fake_kvm_last(a), first = fake_kvm_first(b);

    FUZZ_ASSERT(last == SIZE_MAX || first == SIZE_MAX || last < first);
}

/* The order of docs/architecture.md, and of arch/x86/order.c. */
static void check_order(void)
{
    assert_before(KVM_CREATE_IRQCHIP, KVM_CREATE_VCPU);
    assert_before(KVM_SET_CPUID2, KVM_SET_MSRS);
    assert_before(KVM_SET_CPUID2, KVM_SET_SREGS);
    assert_before(KVM_SET_CPUID2, KVM_SET_SREGS2);
    assert_before(KVM_SET_CPUID2, KVM_SET_XSAVE);
    assert_before(KVM_SET_TSC_KHZ, KVM_SET_MSRS);
    assert_before(KVM_SET_REGS, KVM_SET_VCPU_EVENTS);
    assert_before(KVM_SET_LAPIC, KVM_SET_MSRS);
    assert_before(KVM_SET_VCPU_EVENTS, KVM_SET_MP_STATE);
    assert_before(KVM_SET_MP_STATE, KVM_SET_IRQCHIP);
    assert_before(KVM_SET_IRQCHIP, KVM_IRQ_LINE);
    FUZZ_ASSERT(fake_kvm_first(KVM_SET_CPUID2) != SIZE_MAX);
    FUZZ_ASSERT(fake_kvm_first(KVM_RUN) == SIZE_MAX);
}

/* ---- the devices, as they were restored ---- */

static void touch(const struct stasis_bus *bus)
{
    for (uint32_t i = 0; i < bus->count; i++) {
        uint64_t base = bus->ranges[i].base, size = bus->ranges[i].size;

        for (uint64_t at = 0; at < size && at < 64; at++) {
            (void)stasis_bus_read(bus, base + at, 1);
            stasis_bus_write(bus, base + at, 1, 0xa5 ^ at);
        }
        (void)stasis_bus_read(bus, base, 4);
        (void)stasis_bus_read(bus, base + size - 1, 8);
    }
}

static void use(struct stasis_machine *machine)
{
    struct stasis_device *serial =
        stasis_device_find(&machine->devices, &stasis_serial_schema, "com1");
    uint8_t bytes[100] = "input";

    pthread_mutex_lock(&machine->lock);
    stasis_device_serial_input(serial, bytes, stasis_device_serial_room(serial));
    touch(&machine->pio);
    touch(&machine->mmio);
    stasis_device_serial_drain(serial);
    stasis_device_alarm(stasis_device_find(&machine->devices, &stasis_pl031_schema, "rtc"));
    stasis_device_alarm(stasis_device_find(&machine->devices, &stasis_mc146818_schema, "rtc"));
    pthread_mutex_unlock(&machine->lock);
}

/* ---- the target ---- */

/* Whether the guest is there. */
static bool thaw(struct stasis_snap *snap, unsigned options)
{
    static struct stasis_machine machine;
    const struct stasis_thaw_options thaw_options = {
        .clock = options & OPTION_ADVANCE ? STASIS_CLOCK_ADVANCE : STASIS_CLOCK_CONTINUE,
        .ignore_tsc_rate = options & OPTION_IGNORE_TSC_RATE,
        .memory = options & OPTION_MAP ? STASIS_RAM_MAP : STASIS_RAM_COPY,
        .no_prefetch = true,
    };
    struct stasis_thaw_result result;
    struct stasis_error err = {0};

    if (stasis_thaw(&machine, snap, &thaw_options, &null_host, &result, &err)) {
        FUZZ_ASSERT(err.code && err.msg[0]);
        return false;
    }
    if (!fake_kvm.fail_at)
        check_order();
    use(&machine);
    stasis_machine_fini(&machine);
    return true;
}

static void set_kvm(unsigned flaws, unsigned fail_at)
{
    fake_kvm = (struct fake_kvm){.flaws = flaws, .fail_at = fail_at};
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    unsigned fds = open_fds();
    struct stasis_snap *snap;
    uint8_t *copy;

    if (len < FRONT)
        return 0;
    set_kvm(0, 0);
    copy = fuzz_copy(bytes + FRONT, len - FRONT);
    snap = make(copy, len - FRONT, bytes[3]);
    set_kvm(bytes[0] | (unsigned)bytes[1] << 8, bytes[2]);
    if (snap && thaw(snap, bytes[3]) && bytes[3] & OPTION_FAIL_EACH) {
        size_t calls = fake_kvm.count;

        for (unsigned n = 1; n <= calls; n++) {
            set_kvm(bytes[0] | (unsigned)bytes[1] << 8, n);
            thaw(snap, bytes[3]);
        }
    }
    stasis_snap_free(snap);
    free(copy);
    FUZZ_ASSERT(open_fds() == fds);
    return 0;
}
