/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/vmm/api/vsock_guest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RX_DATA 0x240000u
#define TX_DATA 0x250000u
#define EVENT   0x260000u
#define HEADER  44u

char vsock_path[100];
static uint16_t received, generation;

/* ---- the driver ---- */

static void bring_up(void)
{
    told_bring_up(0, 3);
    for (uint16_t i = 0; i < TOLD_SIZE; i++)
        told_offer(0, i, RX_DATA + 512u * i, 512, 2);
    told_sync();
}

void vsock_guest_send(unsigned op, uint32_t src_port, uint32_t dst_port, const char *text)
{
    const uint32_t len = (uint32_t)strlen(text);
    const uint32_t header[] = {
        vsock_guest_cid(),    0,    2, 0, src_port, dst_port, len, 1 | op << 16,
        3 * (op == SHUTDOWN), 4096, 0};
    uint16_t used = told_used(1);

    _Static_assert(sizeof(header) == HEADER, "5.10.6");
    memcpy(told_ram(TX_DATA, HEADER), header, HEADER);
    memcpy(told_ram(TX_DATA + HEADER, len + 1), text, len + 1);
    told_offer(1, 0, TX_DATA, HEADER + len, 0);
    told_wait(told_used(1) == (uint16_t)(used + 1));
}

/* The next packet that has come, which stays until it is given back. */
static const uint32_t *next_packet(uint16_t *ret_head)
{
    uint32_t len;

    told_wait(told_used(0) != received);
    *ret_head = told_used_head(0, received++, &len);
    return told_ram(RX_DATA + 512u * *ret_head, 512);
}

static void give_back(uint16_t head)
{
    told_offer(0, head, RX_DATA + 512u * head, 512, 2);
}

bool vsock_guest_is_accepted(uint32_t guest_port)
{
    uint32_t port, op;

    do {
        uint16_t head;
        const uint32_t *packet = next_packet(&head);

        port = packet[5];
        op = packet[7] >> 16;
        give_back(head);
    } while (port != guest_port);
    assert_true(op == RESPONSE || op == RST);
    return op == RESPONSE;
}

uint32_t vsock_guest_expect(unsigned op, uint32_t guest_port, const char *text)
{
    uint32_t port;
    uint16_t head;
    const uint32_t *packet = next_packet(&head);

    assert_int_equal(packet[7] >> 16, op);
    assert_int_equal(packet[5], guest_port);
    assert_int_equal(packet[6], strlen(text));
    assert_memory_equal((const uint8_t *)packet + HEADER, text, strlen(text));
    port = packet[4];
    give_back(head);
    return port;
}

void vsock_guest_offer_event(void)
{
    *(uint32_t *)told_ram(EVENT, 4) = 0xffffffff;
    told_offer(2, 0, EVENT, 4, 2);
}

unsigned vsock_guest_events(void)
{
    return told_used(2);
}

uint32_t vsock_guest_cid(void)
{
    return told_config(0, 4);
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

    told_wait((len = recv(fd, bytes, sizeof(bytes), 0)) >= 0 || errno != EAGAIN);
    if (len < 0 && !*text)
        return;
    assert_int_equal(len, strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

/* ---- the VM ---- */

void vsock_guest_boot(void)
{
    received = generation = 0;
    told_init();
    snprintf(vsock_path, sizeof(vsock_path), "%s", vmm_rig_path(&told_rig, "v.sock"));
    told_rig.config.vsock.path = vsock_path;
    told_rig.config.vsock.cid = 42;
    told_run();
    bring_up();
}

void vsock_guest_thaw(void)
{
    char name[32];

    told_freeze();
    assert_int_equal(access(vsock_path, F_OK), -1);
    snprintf(name, sizeof(name), "v%u.sock", ++generation);
    snprintf(vsock_path, sizeof(vsock_path), "%s", vmm_rig_path(&told_rig, name));
    told_rig.config.vsock.cid = 0;
    told_run();
}

void vsock_guest_refuse(const char *words)
{
    struct stasis_vmm *vmm = NULL;
    struct stasis_error err;

    assert_int_equal(stasis_vmm_new(&told_rig.config, NULL, &vmm, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" is not in \"%s\"", words, err.msg);
}

void vsock_guest_end(void)
{
    told_fini();
}
