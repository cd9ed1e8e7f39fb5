/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/passt_rig.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FRAME_MAX 2048u

static char folder[] = "/tmp/stasis_passt.XXXXXX";
char passt_rig_path[64];
int passt_rig_listener = -1, passt_rig_peer = -1;

void passt_rig_listen(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)unlink(passt_rig_path);
    strcpy(address.sun_path, passt_rig_path);
    passt_rig_listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(passt_rig_listener >= 0);
    assert_int_equal(bind(passt_rig_listener, (const struct sockaddr *)&address, sizeof(address)),
                     0);
    assert_int_equal(listen(passt_rig_listener, 1), 0);
}

void passt_rig_init(void)
{
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(passt_rig_path, sizeof(passt_rig_path), "%s/passt", folder);
    passt_rig_listen();
}

void passt_rig_fini(void)
{
    passt_rig_end();
    (void)unlink(passt_rig_path);
    assert_int_equal(rmdir(folder), 0);
}

void passt_rig_accept(void)
{
    passt_rig_peer = accept4(passt_rig_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(passt_rig_peer >= 0);
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void passt_rig_hang_up(void)
{
    close_one(&passt_rig_peer);
}

void passt_rig_end(void)
{
    passt_rig_hang_up();
    close_one(&passt_rig_listener);
}

void passt_rig_say(uint8_t first, uint32_t len)
{
    uint8_t bytes[4 + FRAME_MAX] = {0};
    const uint32_t length = htobe32(len);

    assert_true(len <= FRAME_MAX);
    memcpy(bytes, &length, 4);
    bytes[4] = first;
    assert_int_equal(send(passt_rig_peer, bytes, 4 + len, MSG_NOSIGNAL), 4 + len);
}

void passt_rig_hear(uint8_t first, uint32_t len)
{
    uint8_t bytes[4 + FRAME_MAX];
    uint32_t length;

    assert_true(len <= FRAME_MAX);
    assert_int_equal(recv(passt_rig_peer, bytes, 4 + len, 0), 4 + len);
    memcpy(&length, bytes, 4);
    assert_int_equal(be32toh(length), len);
    assert_int_equal(bytes[4], first);
}
