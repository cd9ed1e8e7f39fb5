/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * vmm --net, in its sandbox: a guest that sends more than passt's socket holds, before passt reads,
 * and a passt that ends and comes back.
 */
#include "vmm/session_rig.h"

#include <endian.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/api/passt_rig.h"

#define NET    0xd0002000u
#define DESC   0x1100000u /* of the queue that sends, whose other descriptors are not used */
#define AVAIL  0x1102000u
#define USED   0x1104000u
#define BUFFER 0x1110000u
#define HEADER 12u
#define LEN    1500u
#define FRAMES 200u

/* What the guest writes, and where, before it sends; 0: no more. It sends so many frames, and then
 * one whenever the one before is gone. */
struct driver {
    uint8_t code[108];
    uint32_t table[20][2];
};

static const struct driver driver = {
    /* lea table(%rip), %rsi
     * 1: mov (%rsi), %eax; test %eax, %eax; jz 2f; mov 4(%rsi), %ecx; mov %ecx, (%rax)
     *    add $8, %rsi; jmp 1b
     * 2: mov $NET, %ebx; mov $0x10000, %ecx
     * 3: mov %ecx, AVAIL; movl $1, 0x50(%rbx); add $0x10000, %ecx; cmp $(FRAMES + 1) << 16, %ecx
     *    jne 3b; mov $'.', %al; out %al, %dx
     * 4: pause; mov USED, %eax; add $0x10000, %eax; cmp %ecx, %eax; jne 4b
     *    mov %ecx, AVAIL; movl $1, 0x50(%rbx); add $0x10000, %ecx; jmp 4b */
    .code = {0x48, 0x8d, 0x35, 0x65, 0x00, 0x00, 0x00, 0x8b, 0x06, 0x85, 0xc0, 0x74, 0x0b, 0x8b,
             0x4e, 0x04, 0x89, 0x08, 0x48, 0x83, 0xc6, 0x08, 0xeb, 0xef, 0xbb, 0x00, 0x20, 0x00,
             0xd0, 0xb9, 0x00, 0x00, 0x01, 0x00, 0x89, 0x0c, 0x25, 0x00, 0x20, 0x10, 0x01, 0xc7,
             0x43, 0x50, 0x01, 0x00, 0x00, 0x00, 0x81, 0xc1, 0x00, 0x00, 0x01, 0x00, 0x81, 0xf9,
             0x00, 0x00, 0xc9, 0x00, 0x75, 0xe4, 0xb0, 0x2e, 0xee, 0xf3, 0x90, 0x8b, 0x04, 0x25,
             0x00, 0x40, 0x10, 0x01, 0x05, 0x00, 0x00, 0x01, 0x00, 0x39, 0xc8, 0x75, 0xee, 0x89,
             0x0c, 0x25, 0x00, 0x20, 0x10, 0x01, 0xc7, 0x43, 0x50, 0x01, 0x00, 0x00, 0x00, 0x81,
             0xc1, 0x00, 0x00, 0x01, 0x00, 0xeb, 0xd8, 0x0f, 0x1f, 0x00},
    .table = {{NET + 0x70, 0},
              {NET + 0x70, 1},
              {NET + 0x70, 3},
              {NET + 0x24, 1},
              {NET + 0x20, 1},
              {NET + 0x70, 11},
              {NET + 0x30, 1},
              {NET + 0x38, 256},
              {NET + 0x80, DESC},
              {NET + 0x90, AVAIL},
              {NET + 0xa0, USED},
              {NET + 0x44, 1},
              {NET + 0x70, 15},
              {DESC, BUFFER},
              {DESC + 8, HEADER + LEN}},
};
_Static_assert(offsetof(struct driver, table) == 7 + 0x65, "lea");

static struct session session;
static struct session_folder folder;

/* All of them, whole and in a row, with their lengths. */
static void hear_frames(void)
{
    static uint8_t bytes[FRAMES * (4 + LEN)];
    const uint32_t length = htobe32(LEN);
    size_t at = 0;

    while (at < sizeof(bytes)) {
        struct pollfd peer = {.fd = passt_rig_peer, .events = POLLIN};
        ssize_t got;

        assert_int_equal(poll(&peer, 1, 60000), 1);
        got = recv(peer.fd, bytes + at, sizeof(bytes) - at, 0);
        assert_true(got > 0);
        at += (size_t)got;
    }
    for (size_t i = 0; i < sizeof(bytes); i += 4 + LEN)
        assert_memory_equal(bytes + i, &length, 4);
}

/* The guest runs, and has notified of all frames. */
static void start(void)
{
    struct session_options options = {.args = {"--memory", "32", "--kernel"}};
    char kernel[128], net[96];

    session_folder_init(&folder);
    passt_rig_init();
    snprintf(kernel, sizeof(kernel), "%s/kernel", folder.path);
    session_write_kernel(kernel, "net", &driver, sizeof(driver));
    snprintf(net, sizeof(net), "passt=%s", passt_rig_path);
    options.args[3] = kernel;
    options.args[4] = "--net";
    options.args[5] = net;
    session_start(&session, &options);
    session_wait_out(&session, "net.");
}

static void end(void)
{
    assert_int_equal(kill(session.pid, SIGTERM), 0);
    assert_int_equal(session_end(&session), 128 + SIGTERM);
    passt_rig_fini();
    session_folder_fini(&folder);
}

static void frames_wait_until_passt_takes_them(void)
{
    start();
    passt_rig_accept();
    hear_frames();
    end();
    assert_int_equal(session.err_len, 0);
}

/* With frames in its socket that nobody has read. It listens again at the same path. */
static void passt_ends_and_comes_back(void)
{
    start();
    passt_rig_accept();
    hear_frames();
    passt_rig_end();
    session_wait_err(&session, "the guest's link is down until passt is back\n");
    passt_rig_listen();
    session_wait_err(&session, "network net0 is connected again: the guest's link is up\n");
    passt_rig_accept();
    hear_frames();
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(frames_wait_until_passt_takes_them),
        KVM_CASE(passt_ends_and_comes_back),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
