/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/net_board_rig.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "support/null_host.h"
#include "vmm/machine/board.h"
#include "vmm/machine/guest_access.h"

#define BASE       UINT64_C(0xd0002000)
#define RINGS      0x2000u /* of a queue: descriptors, and a page behind each the rings */
#define OF_QUEUE   0x4000u
#define AVAIL      0x1000u
#define USED       0x2000u
#define SIZE       64u
#define BUFFERS    0x20000u
#define BUFFER_LEN 2048u

struct stasis_machine net_board_machine;
struct stasis_device_host net_board_host;
struct stasis_device *net_board_net;
static uint16_t made[2];

static void make_host(const struct stasis_device_net *net)
{
    net_board_host = null_host;
    net_board_host.net = net;
    net_board_machine.device_env = (struct stasis_device_env){.lock = &net_board_machine.lock,
                                                              .vm = &net_board_machine.vm,
                                                              .memory = &net_board_machine.memory,
                                                              .host = &net_board_host,
                                                              .ctx = &net_board_machine};
}

void net_board_build(const struct stasis_device_net *net)
{
    const struct stasis_board_optional row = {stasis_virtio_net_schema.type, "net0"};
    const struct stasis_board_options options = {.memory_bytes = 1 << 20,
                                                 .vcpus = 1,
                                                 .cpu_model = "host",
                                                 .optional = &row,
                                                 .optional_count = 1};

    memset(&net_board_machine, 0, sizeof(net_board_machine));
    net_board_machine.vm.fd = -1;
    make_host(net);
    assert_int_equal(pthread_mutex_init(&net_board_machine.lock, NULL), 0);
    stasis_bus_init(&net_board_machine.pio, "PIO", 0xffff);
    stasis_bus_init(&net_board_machine.mmio, "MMIO", UINT64_MAX);
    stasis_guest_access_connect(&net_board_machine);
    assert_int_equal(stasis_board_default(&options, &net_board_machine.board, NULL), 0);
    assert_int_equal(
        stasis_board_map_ram(&net_board_machine.board, &net_board_machine.memory, NULL), 0);
    assert_int_equal(stasis_devices_attach(&net_board_machine.devices, &net_board_machine.board,
                                           &net_board_machine.pio, &net_board_machine.mmio,
                                           &net_board_machine.device_env, NULL),
                     0);
    net_board_net =
        stasis_device_find(&net_board_machine.devices, &stasis_virtio_net_schema, "net0");
    assert_non_null(net_board_net);
    made[0] = made[1] = 0;
}

void net_board_end(void)
{
    stasis_devices_detach(&net_board_machine.devices);
    stasis_memory_fini(&net_board_machine.memory);
    pthread_mutex_destroy(&net_board_machine.lock);
}

bool net_board_is_rung(void)
{
    struct pollfd bell = {.fd = net_board_net->io->bell_fd, .events = POLLIN};
    uint64_t rings;

    return poll(&bell, 1, 0) == 1 && read(bell.fd, &rings, sizeof(rings)) == sizeof(rings);
}

/* ---- the driver ---- */

uint64_t net_board_read(uint64_t offset, unsigned len)
{
    return stasis_bus_mmio_read(&net_board_machine, BASE + offset, len);
}

void net_board_write(uint64_t offset, uint64_t value)
{
    stasis_bus_mmio_write(&net_board_machine, BASE + offset, 4, value);
}

static void *ram(uint64_t gpa, uint64_t len)
{
    void *at = stasis_memory_writable(&net_board_machine.memory, gpa, len);

    assert_non_null(at);
    return at;
}

static void set_up_queue(unsigned queue)
{
    net_board_write(0x30, queue);
    net_board_write(0x38, SIZE);
    net_board_write(0x80, RINGS + OF_QUEUE * queue);
    net_board_write(0x90, RINGS + OF_QUEUE * queue + AVAIL);
    net_board_write(0xa0, RINGS + OF_QUEUE * queue + USED);
    net_board_write(0x44, 1);
}

void net_board_bring_up(uint32_t features)
{
    net_board_write(0x70, 0);
    net_board_write(0x70, 1);
    net_board_write(0x70, 3);
    net_board_write(0x24, 0);
    net_board_write(0x20, features);
    net_board_write(0x24, 1);
    net_board_write(0x20, 1);
    net_board_write(0x70, 11);
    set_up_queue(NET_RIG_RX);
    set_up_queue(NET_RIG_TX);
    net_board_write(0x70, 15);
}

static uint64_t buffer_of(unsigned queue, unsigned number)
{
    return BUFFERS + UINT64_C(0x20000) * queue + BUFFER_LEN * (number % SIZE);
}

static void make(unsigned queue, uint32_t len, uint16_t flags)
{
    const uint16_t number = made[queue]++;
    const struct {
        uint64_t gpa;
        uint32_t len;
        uint16_t flags, next;
    } desc = {buffer_of(queue, number), len, flags, 0};
    uint16_t *avail = ram(RINGS + OF_QUEUE * queue + AVAIL, 4 + 2 * SIZE);

    memcpy(ram(RINGS + OF_QUEUE * queue + 16 * (number % SIZE), 16), &desc, sizeof(desc));
    avail[2 + number % SIZE] = (uint16_t)(number % SIZE);
    avail[1] = made[queue];
}

void net_board_offer(unsigned buffers)
{
    for (unsigned i = 0; i < buffers; i++)
        make(NET_RIG_RX, BUFFER_LEN, 2);
    net_board_write(0x50, NET_RIG_RX);
}

void net_board_send(uint8_t first, uint32_t len)
{
    uint8_t *bytes = ram(buffer_of(NET_RIG_TX, made[NET_RIG_TX]), BUFFER_LEN);

    memset(bytes, 0, BUFFER_LEN);
    bytes[NET_RIG_HEADER] = first;
    make(NET_RIG_TX, NET_RIG_HEADER + len, 0);
    net_board_write(0x50, NET_RIG_TX);
}

uint16_t net_board_used(unsigned queue)
{
    return *(uint16_t *)ram(RINGS + OF_QUEUE * queue + USED + 2, 2);
}

const uint8_t *net_board_received(unsigned number, uint32_t *ret_len)
{
    const uint32_t *used = ram(RINGS + USED + 4 + 8 * (number % SIZE), 8);

    assert_true(number < net_board_used(NET_RIG_RX));
    *ret_len = used[1];
    return ram(buffer_of(NET_RIG_RX, used[0]), BUFFER_LEN);
}
