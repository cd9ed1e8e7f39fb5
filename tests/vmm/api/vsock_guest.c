/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/vmm/api/vsock_guest.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"

#define ENTRY    0x100000u
#define TABLE    0x400000u /* of pairs: where, what; 0 where there is no more yet */
#define READS    0x3ff000u /* mailbox: a register to read, and what it was */
#define QUEUE(n) (0x200000u + 0x10000u * (n))
#define AVAIL    0x1000u
#define USED     0x2000u
#define RX_DATA  0x240000u
#define TX_DATA  0x250000u
#define EVENT    0x260000u
#define CELL     0x270000u
#define DEVICE   0xd0002000u
#define SIZE     8u
#define HEADER   44u

/* mov rsi, TABLE
 * 1: mov eax, [rsi]; test eax, eax; jz 2f; mov ecx, [rsi + 4]; mov [rax], ecx; add rsi, 8; jmp 1b
 * 2: pause; jmp 1b */
static const uint8_t code[] = {0x48, 0xc7, 0xc6, 0x00, 0x00, 0x40, 0x00, 0x8b, 0x06, 0x85,
                               0xc0, 0x74, 0x0b, 0x8b, 0x4e, 0x04, 0x89, 0x08, 0x48, 0x83,
                               0xc6, 0x08, 0xeb, 0xef, 0xf3, 0x90, 0xeb, 0xeb};

struct vmm_rig vsock_rig;
char vsock_path[100];
static uint32_t written; /* pairs */
static uint16_t received, generation;
static char kernel[160];

/* ---- the guest's RAM ---- */

static void *ram(uint32_t gpa, uint32_t len)
{
    void *at = stasis_memory_writable(&vsock_rig.vmm->machine.memory, gpa, len);

    assert_non_null(at);
    return at;
}

static uint16_t half(uint32_t gpa)
{
    return __atomic_load_n((uint16_t *)ram(gpa, 2), __ATOMIC_ACQUIRE);
}

static uint32_t word(uint32_t gpa)
{
    return __atomic_load_n((uint32_t *)ram(gpa, 4), __ATOMIC_ACQUIRE);
}

static void tell(uint32_t where, uint32_t what)
{
    uint32_t *pair = ram(TABLE + 8 * written, 16);

    pair[1] = what;
    __atomic_store_n(pair, where, __ATOMIC_RELEASE);
    written++;
}

static void offer(unsigned queue, uint16_t head, uint32_t gpa, uint32_t len, uint16_t flags)
{
    uint16_t idx = half(QUEUE(queue) + AVAIL + 2);
    uint32_t *desc = ram(QUEUE(queue) + 16 * head, 16);

    desc[0] = gpa;
    desc[1] = 0;
    desc[2] = len;
    desc[3] = flags;
    *(uint16_t *)ram(QUEUE(queue) + AVAIL + 4 + 2 * (idx % SIZE), 2) = head;
    __atomic_store_n((uint16_t *)ram(QUEUE(queue) + AVAIL + 2, 2), (uint16_t)(idx + 1),
                     __ATOMIC_RELEASE);
    tell(DEVICE + 0x50, queue);
}

/* ---- the driver ---- */

static void bring_up(void)
{
    static const uint32_t steps[][2] = {{0x70, 0}, {0x70, 1}, {0x70, 3}, {0x24, 1},
                                        {0x20, 1}, {0x24, 0}, {0x20, 1}, {0x70, 11}};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        tell(DEVICE + steps[i][0], steps[i][1]);
    for (unsigned i = 0; i < 3; i++) {
        tell(DEVICE + 0x30, i);
        tell(DEVICE + 0x38, SIZE);
        tell(DEVICE + 0x80, QUEUE(i));
        tell(DEVICE + 0x90, QUEUE(i) + AVAIL);
        tell(DEVICE + 0xa0, QUEUE(i) + USED);
        tell(DEVICE + 0x44, 1);
    }
    tell(DEVICE + 0x70, 15);
    for (uint16_t i = 0; i < SIZE; i++)
        offer(0, i, RX_DATA + 512u * i, 512, 2);
    tell(CELL, 1);
    vsock_wait(word(CELL) == 1);
}

void vsock_guest_send(unsigned op, uint32_t src_port, uint32_t dst_port, const char *text)
{
    const uint32_t len = (uint32_t)strlen(text);
    const uint32_t header[] = {
        vsock_guest_cid(),    0,    2, 0, src_port, dst_port, len, 1 | op << 16,
        3 * (op == SHUTDOWN), 4096, 0};
    uint16_t used = half(QUEUE(1) + USED + 2);

    _Static_assert(sizeof(header) == HEADER, "5.10.6");
    memcpy(ram(TX_DATA, HEADER), header, HEADER);
    memcpy(ram(TX_DATA + HEADER, len + 1), text, len + 1);
    offer(1, 0, TX_DATA, HEADER + len, 0);
    vsock_wait(half(QUEUE(1) + USED + 2) == (uint16_t)(used + 1));
}

uint32_t vsock_guest_expect(unsigned op, uint32_t guest_port, const char *text)
{
    uint32_t head, port;
    const uint32_t *packet;

    vsock_wait(half(QUEUE(0) + USED + 2) != received);
    head = word(QUEUE(0) + USED + 4 + 8 * (received % SIZE));
    received++;
    packet = ram(RX_DATA + 512 * head, 512);
    assert_int_equal(packet[7] >> 16, op);
    assert_int_equal(packet[5], guest_port);
    assert_int_equal(packet[6], strlen(text));
    assert_memory_equal((const uint8_t *)packet + HEADER, text, strlen(text));
    port = packet[4];
    offer(0, (uint16_t)head, RX_DATA + 512 * head, 512, 2);
    return port;
}

void vsock_guest_offer_event(void)
{
    *(uint32_t *)ram(EVENT, 4) = 0xffffffff;
    offer(2, 0, EVENT, 4, 2);
}

unsigned vsock_guest_events(void)
{
    return half(QUEUE(2) + USED + 2);
}

/* By the bus, as an exit would. */
uint32_t vsock_guest_cid(void)
{
    return (uint32_t)stasis_bus_mmio_read(&vsock_rig.vmm->machine, DEVICE + 0x100, 4);
}

/* ---- programs of the host ---- */

int vsock_program(const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", vsock_path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    return fd;
}

/* "": its end. */
void vsock_program_hears(int fd, const char *text)
{
    char bytes[64];
    ssize_t len = -1;

    vsock_wait((len = recv(fd, bytes, sizeof(bytes), 0)) >= 0 || errno != EAGAIN);
    if (len < 0 && !*text)
        return;
    assert_int_equal(len, strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

/* ---- the VM ---- */

void vsock_turn(void)
{
    struct pollfd wait = {.fd = stasis_vmm_fd(vsock_rig.vmm), .events = POLLIN};
    struct stasis_error err;

    if (poll(&wait, 1, 1) == 1)
        kvm_ok(stasis_vmm_dispatch(vsock_rig.vmm, &err), &err);
}

static void write_kernel(void)
{
    const Elf64_Ehdr elf = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = ENTRY,
        .e_phoff = sizeof(elf),
        .e_ehsize = sizeof(elf),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1};
    const Elf64_Phdr segment = {.p_type = PT_LOAD,
                                .p_offset = sizeof(elf) + sizeof(segment),
                                .p_paddr = ENTRY,
                                .p_vaddr = ENTRY,
                                .p_filesz = sizeof(code),
                                .p_memsz = sizeof(code)};
    int fd;

    snprintf(kernel, sizeof(kernel), "%s", vmm_rig_path(&vsock_rig, "kernel"));
    fd = open(kernel, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, &elf, sizeof(elf)), sizeof(elf));
    assert_int_equal(write(fd, &segment, sizeof(segment)), sizeof(segment));
    assert_int_equal(write(fd, code, sizeof(code)), sizeof(code));
    close(fd);
}

static void run(void)
{
    struct stasis_error err;

    vmm_rig_open(&vsock_rig);
    kvm_ok(stasis_vmm_start(vsock_rig.vmm, &err), &err);
}

void vsock_guest_boot(void)
{
    written = 0;
    received = generation = 0;
    vmm_rig_init(&vsock_rig);
    write_kernel();
    snprintf(vsock_path, sizeof(vsock_path), "%s", vmm_rig_path(&vsock_rig, "v.sock"));
    vsock_rig.config.demo = false;
    vsock_rig.config.kernel.path = kernel;
    vsock_rig.config.vsock.path = vsock_path;
    vsock_rig.config.vsock.cid = 42;
    run();
    bring_up();
}

static void freeze(const char *path)
{
    const struct stasis_snapshot_request request = {.path = path, .exit = true};
    unsigned before = vmm_rig_events(&vsock_rig, STASIS_VMM_EVENT_SAVED);
    struct stasis_error err;

    kvm_ok(stasis_vmm_snapshot(vsock_rig.vmm, &request, &err), &err);
    vmm_rig_wait_event(&vsock_rig, STASIS_VMM_EVENT_SAVED, before + 1);
    stasis_vmm_free(vsock_rig.vmm);
    vsock_rig.vmm = NULL;
    assert_int_equal(access(vsock_path, F_OK), -1);
}

void vsock_guest_thaw(void)
{
    static char path[160];
    char name[32];

    snprintf(name, sizeof(name), "snapshot%u", ++generation);
    snprintf(path, sizeof(path), "%s", vmm_rig_path(&vsock_rig, name));
    freeze(path);
    snprintf(name, sizeof(name), "v%u.sock", generation);
    snprintf(vsock_path, sizeof(vsock_path), "%s", vmm_rig_path(&vsock_rig, name));
    vsock_rig.config.kernel.path = NULL;
    vsock_rig.config.vsock.cid = 0;
    vsock_rig.config.restore.path = path;
    run();
}

void vsock_guest_refuse(const char *words)
{
    struct stasis_vmm *vmm = NULL;
    struct stasis_error err;

    assert_int_equal(stasis_vmm_new(&vsock_rig.config, NULL, &vmm, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" is not in \"%s\"", words, err.msg);
}

void vsock_guest_end(void)
{
    vmm_rig_fini(&vsock_rig);
}
