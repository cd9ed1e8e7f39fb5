/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The host's end of sockets, with a guest that is the test, and programs that connect.
 */
#ifndef STASIS_TESTS_SOCKETS_RIG_H
#define STASIS_TESTS_SOCKETS_RIG_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include "vmm/host/vsock.h"

extern char folder[], path[64];
extern struct stasis_vsock *vsock;
extern const struct stasis_vsock_guest guest_ops;

extern struct sockets_guest {
    bool refuses;
    unsigned opens, readies, closes;
    size_t consumed;
    uint32_t port;
    struct stasis_vsock_peer *peer; /* the last one */
} guest;

/* Of a group: a folder, and many descriptors. Of a test: a socket at `path`. */
int make_folder(void **state);
int remove_folder(void **state);
int start(void **state);
int end(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

/* Until nothing is left to do. */
void dispatch(void);

/* A program that connects to a socket; it says something; it has been told this, or nothing. */
int program(const char *at);
void say(int fd, const char *text);
void assert_hears(int fd, const char *text);
void assert_nothing(int fd);
/* Its end, in whatever way; the descriptor is closed. */
void assert_ends(int fd);
/* One that the guest has accepted. */
int connected(void);

/* The guest receives this; 0 or -1: nothing came. */
void assert_received(const char *text);
int receive_nothing(void);

#endif
