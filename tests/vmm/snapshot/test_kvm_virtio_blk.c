/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A driver of the virtio block device under the real KVM, with a file of the host behind it that
 * loses, in a crash of the host, what was not synced. It is frozen and thawed with requests that
 * have been taken and not answered. The guest writes words where the test tells it to.
 */
#include "vmm/kvm_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stasis/virtio_state.h"
#include "tests/vmm/snapshot/lossy_disk.h"
#include "vmm/api/vmm_disk.h"

/* 1: mov eax, [rsi]; test eax, eax; jz 2f; mov ecx, [rsi + 4]; mov [rax], ecx; add rsi, 8; jmp 1b
 * 2: pause; jmp 1b */
static const uint8_t writing[] = {0x8b, 0x06, 0x85, 0xc0, 0x74, 0x0b, 0x8b, 0x4e, 0x04, 0x89, 0x08,
                                  0x48, 0x83, 0xc6, 0x08, 0xeb, 0xef, 0xf3, 0x90, 0xeb, 0xeb};

#define TABLE    0x200000 /* of pairs: where, what; 0 where there is no more yet */
#define DESC     0x100000
#define AVAIL    0x101000
#define USED     0x102000
#define HEADER   0x103000
#define STATUS   0x104000
#define CELL     0x105000
#define DATA     0x110000
#define BLK      0xd0002000
#define SIZE     128u
#define DISK     LOSSY_DISK
#define REQUESTS 32u

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4 };

static struct kvm_guest guest;
static struct stasis_vmm_disks disks;
static char path[] = "/tmp/test_kvm_virtio_blk.XXXXXX";
static const struct stasis_vmm_config disk_config = {.block = {{.path = path, .id = "root"}}};
static uint32_t written; /* pairs */
static uint16_t requests;

static uint32_t word(uint64_t gpa)
{
    return __atomic_load_n((uint32_t *)kvm_guest_ram(&guest, gpa, 4), __ATOMIC_ACQUIRE);
}

static void tell(uint32_t where, uint32_t what)
{
    uint32_t *pair = kvm_guest_ram(&guest, TABLE + 8 * written, 16);

    pair[1] = what;
    __atomic_store_n(pair, where, __ATOMIC_RELEASE);
    written++;
}

/* Until the guest has written all. */
static void sync_guest(void)
{
    uint32_t number = written + 1;

    tell(CELL, number);
    kvm_wait(word(CELL) == number);
}

static void bring_up(void)
{
    static const struct {
        uint32_t offset, value;
    } steps[] = {{0x70, 0},    {0x70, 1},     {0x70, 3},    {0x24, 0}, {0x20, 1 << 9},
                 {0x24, 1},    {0x20, 1},     {0x70, 11},   {0x30, 0}, {0x38, SIZE},
                 {0x80, DESC}, {0x90, AVAIL}, {0xa0, USED}, {0x44, 1}, {0x70, 15}};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        tell(BLK + steps[i].offset, steps[i].value);
}

static void put_desc(uint32_t at, uint32_t gpa, uint32_t len, uint32_t flags, uint32_t next)
{
    uint32_t *desc = kvm_guest_ram(&guest, DESC + 16 * at, 16);

    desc[0] = gpa;
    desc[1] = 0;
    desc[2] = len;
    desc[3] = flags | next << 16;
}

static void describe_request(uint32_t type, uint32_t sector)
{
    const uint32_t number = requests, head = 3 * number;
    uint32_t *header = kvm_guest_ram(&guest, HEADER + 16 * number, 16);
    uint16_t *ring = kvm_guest_ram(&guest, AVAIL, 4 + 2 * SIZE);

    assert_in_range(head, 0, SIZE - 3);
    header[0] = type;
    header[1] = header[3] = 0;
    header[2] = sector;
    *(uint8_t *)kvm_guest_ram(&guest, STATUS + number, 1) = 0xee;
    put_desc(head, HEADER + 16 * number, 16, 1, type == T_FLUSH ? head + 2 : head + 1);
    put_desc(head + 1, DATA + 512 * number, 512, type == T_IN ? 3 : 1, head + 2);
    put_desc(head + 2, STATUS + number, 1, 2, 0);
    ring[2 + number] = (uint16_t)head;
    requests++;
}

/* The lock is for ThreadSanitizer, which does not see that the guest comes between. */
static void make_request(uint32_t type, uint32_t sector)
{
    pthread_mutex_lock(&guest.machine.lock);
    describe_request(type, sector);
    pthread_mutex_unlock(&guest.machine.lock);
}

static uint16_t used_idx(void)
{
    uint16_t idx;

    pthread_mutex_lock(&guest.machine.lock);
    idx = (uint16_t)(word(USED) >> 16);
    pthread_mutex_unlock(&guest.machine.lock);
    return idx;
}

static void notify(void)
{
    tell(AVAIL, (uint32_t)requests << 16);
    tell(BLK + 0x50, 0);
    sync_guest();
}

static void wait_for_answers(void)
{
    kvm_wait(used_idx() == requests);
}

static void assert_answered(void)
{
    wait_for_answers();
    for (unsigned i = 0; i < requests; i++)
        assert_int_equal(*(uint8_t *)kvm_guest_ram(&guest, STATUS + i, 1), 0);
}

static uint8_t byte_of(unsigned number)
{
    return (uint8_t)(number * 3 + 1);
}

/* ---- the machine ---- */

static void open_disk(struct stasis_device_host *host)
{
    struct stasis_error err;

    kvm_ok(stasis_vmm_disks_open(&disk_config, &disks, host, &err), &err);
    disks.list[0].disk.calls = &lossy_disk_calls;
}

static void start(void)
{
    const struct stasis_board_optional row = {stasis_virtio_blk_schema.type, "root"};
    const struct stasis_board_options options = {.memory_bytes = KVM_RAM,
                                                 .vcpus = 1,
                                                 .cpu_model = "host",
                                                 .optional = &row,
                                                 .optional_count = 1};
    const struct stasis_x86_regs_state regs = {.rsi = TABLE};
    struct stasis_board_state board;
    struct stasis_error err;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, DISK), 0);
    close(fd);
    kvm_guest_host(&guest);
    open_disk(&guest.host);
    kvm_ok(stasis_board_default(&options, &board, &err), &err);
    kvm_ok(stasis_machine_build(&guest.machine, &board, &guest.host, &err), &err);
    kvm_guest_smp_long(&guest, 0, writing, sizeof(writing), &regs);
    kvm_guest_start(&guest);
    bring_up();
}

static void finish(void)
{
    kvm_guest_fini(&guest);
    stasis_vmm_disks_close(&disks);
    assert_int_equal(unlink(path), 0);
}

static void write_all(void)
{
    for (unsigned i = 0; i < REQUESTS; i++) {
        memset(kvm_guest_ram(&guest, DATA + 512 * i, 512), byte_of(i), 512);
        make_request(T_OUT, 5 * i);
    }
    notify();
}

static void assert_on_disk(void)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t bytes[512];

    for (unsigned i = 0; i < REQUESTS; i++) {
        assert_int_equal(pread(fd, bytes, sizeof(bytes), (off_t)(512 * 5 * i)), sizeof(bytes));
        for (unsigned k = 0; k < sizeof(bytes); k++)
            assert_int_equal(bytes[k], byte_of(i));
    }
    close(fd);
}

static struct stasis_snap *freeze(void)
{
    struct stasis_snap *snap;

    stasis_machine_pause(&guest.machine);
    snap = kvm_freeze(&guest, NULL);
    lossy_disk_hangs = false;
    kvm_guest_fini(&guest);
    stasis_vmm_disks_close(&disks);
    return snap;
}

static int thaw(struct stasis_snap *snap, struct stasis_error *err)
{
    const struct stasis_thaw_options options = {.clock = STASIS_CLOCK_CONTINUE,
                                                .memory = STASIS_RAM_COPY};
    struct stasis_thaw_result result;

    return stasis_thaw(&guest.machine, snap, &options, &guest.host, &result, err);
}

static void data_is_written_flushed_and_read_back(void)
{
    start();
    for (unsigned i = 0; i < 4; i++) {
        memset(kvm_guest_ram(&guest, DATA + 512 * i, 512), byte_of(i), 512);
        make_request(T_OUT, 7 + i);
    }
    make_request(T_FLUSH, 0);
    for (unsigned i = 0; i < 4; i++)
        make_request(T_IN, 7 + i);
    notify();
    assert_answered();
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *bytes = kvm_guest_ram(&guest, DATA + 512 * (5 + i), 512);

        for (unsigned k = 0; k < 512; k++)
            assert_int_equal(bytes[k], byte_of(i));
    }
    finish();
}

/* All hang when the guest is frozen, and the first is written by the host afterwards. */
static void requests_in_flight_survive(void)
{
    struct stasis_virtio_blk_state state;
    struct stasis_snap *snap;
    struct stasis_error err;

    start();
    lossy_disk_hangs = true;
    write_all();
    kvm_wait(lossy_disk_is_hanging);
    snap = freeze();
    kvm_record(snap, &stasis_virtio_blk_schema, "root", &state);
    assert_int_equal(state.requests_count, REQUESTS);
    assert_true(lossy_disk_has_unsynced(0));
    lossy_disk_crash();
    kvm_guest_host(&guest);
    open_disk(&guest.host);
    kvm_ok(thaw(snap, &err), &err);
    stasis_snap_free(snap);
    assert_int_equal(used_idx(), 0);
    kvm_guest_start(&guest);
    assert_answered();
    make_request(T_IN, 5);
    make_request(T_FLUSH, 0);
    notify();
    assert_answered();
    assert_int_equal(*(uint8_t *)kvm_guest_ram(&guest, DATA + 512 * REQUESTS, 1), byte_of(1));
    finish();
}

static void write_one(unsigned number)
{
    memset(kvm_guest_ram(&guest, DATA + 512 * number, 512), byte_of(number), 512);
    make_request(T_OUT, 5 * number);
}

static bool is_kept(unsigned number)
{
    uint8_t byte;

    assert_int_equal(pread(disks.list[0].disk.fd, &byte, 1, (off_t)512 * 5 * number), 1);
    return byte == byte_of(number);
}

/* The host crashes: what the guest has not flushed may be lost. */
static void what_was_flushed_survives(void)
{
    start();
    write_one(0);
    write_one(1);
    notify();
    assert_answered();
    make_request(T_FLUSH, 0);
    notify();
    assert_answered();
    write_one(3);
    notify();
    assert_answered();
    lossy_disk_crash();
    assert_true(is_kept(0) && is_kept(1) && !is_kept(3));
    finish();
}

/* All that the guest was told is done, once the disk of a frozen guest is settled. */
static void what_a_snapshot_counts_on_survives(void)
{
    struct stasis_error err;

    start();
    write_all();
    assert_answered();
    stasis_machine_pause(&guest.machine);
    while (!stasis_machine_wait_disks(&guest.machine))
        ;
    kvm_ok(stasis_vmm_disks_settle(&disks, 0, &err), &err);
    lossy_disk_crash();
    assert_on_disk();
    finish();
}

static void ask(uint32_t type, uint32_t sector, uint8_t status)
{
    make_request(type, sector);
    notify();
    wait_for_answers();
    assert_int_equal(*(uint8_t *)kvm_guest_ram(&guest, STATUS + requests - 1, 1), status);
}

/* The host's disk is full, broken, cut short while it is in use, and longer than it was. */
static void the_guest_hears_of_errors_and_runs_on(void)
{
    start();
    lossy_disk_fails = ENOSPC;
    ask(T_OUT, 1, 1);
    lossy_disk_fails = EIO;
    ask(T_IN, 2, 1);
    ask(T_FLUSH, 0, 1);
    lossy_disk_fails = 0;
    assert_int_equal(truncate(path, 0), 0);
    ask(T_IN, 8, 1);
    assert_int_equal(truncate(path, 2 * DISK), 0);
    ask(T_IN, 8, 0);
    ask(T_IN, DISK / 512, 1); /* the guest's disk has not grown */
    finish();
}

static void a_disk_that_has_changed_is_refused(void)
{
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct stasis_reasons reasons = {0};
    struct stasis_snap *snap;
    struct stasis_error err;

    start();
    snap = freeze();
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    kvm_guest_host(&guest);
    open_disk(&guest.host);
    stasis_vmm_disks_check(&disk_config, &disks, stasis_snap_records(snap), &reasons);
    assert_int_equal(stasis_reasons_fail(&reasons, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "disk root has been written to since the freeze"));
    stasis_reasons_fini(&reasons);
    kvm_ok(thaw(snap, &err), &err);
    stasis_snap_free(snap);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(data_is_written_flushed_and_read_back),
        KVM_CASE(requests_in_flight_survive),
        KVM_CASE(what_was_flushed_survives),
        KVM_CASE(what_a_snapshot_counts_on_survives),
        KVM_CASE(the_guest_hears_of_errors_and_runs_on),
        KVM_CASE(a_disk_that_has_changed_is_refused),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
