/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Programs of the host that connect to the guest, and the sockets that the guest connects to.
 *
 * A peer is armed for one report at a time (loop.h): for its end only, while the guest has been
 * told that there is something to receive and has not yet received it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/host/vsock_internal.h"

#define DEAF_NS 200000000

/* ---- programs that wait ---- */

/* What there was too little of may come free anywhere in the process, which nobody tells of. */
static void be_deaf(struct stasis_vsock *vsock)
{
    const struct itimerspec time = {.it_value.tv_nsec = DEAF_NS};

    vsock->is_deaf = true;
    (void)timerfd_settime(vsock->timer.fd, 0, &time, NULL);
}

static void listen_again(struct stasis_vsock *vsock)
{
    vsock->is_deaf = false;
    if (stasis_loop_arm(&vsock->loop, &vsock->listener, EPOLLIN, NULL))
        be_deaf(vsock);
}

static void on_timer(void *ctx, uint32_t events)
{
    struct stasis_vsock *vsock = ctx;
    uint64_t times;

    (void)events;
    (void)!read(vsock->timer.fd, &times, sizeof(times));
    (void)!stasis_loop_arm(&vsock->loop, &vsock->timer, EPOLLIN, NULL);
    if (vsock->is_deaf)
        listen_again(vsock);
}

/* Whoever has called dispatch() looks at the guest's queues next. A guest that never stops ringing
 * is heard once by each dispatch(). */
static void on_bell(void *ctx, uint32_t events)
{
    struct stasis_vsock *vsock = ctx;
    uint64_t rings;

    (void)events;
    (void)!read(vsock->bell.fd, &rings, sizeof(rings));
    vsock->is_rung = true;
}

/* ---- peers ---- */

void stasis_vsock_peer_free(struct stasis_vsock_peer *peer)
{
    stasis_loop_remove(&peer->vsock->loop, &peer->source);
    close(peer->source.fd);
    free(peer->held);
    peer->held = NULL;
    peer->phase = STASIS_VSOCK_FREE;
    if (peer->vsock->is_deaf)
        listen_again(peer->vsock);
}

/* The oldest in that phase, or NULL. */
static struct stasis_vsock_peer *oldest(struct stasis_vsock *vsock, enum stasis_vsock_phase phase)
{
    struct stasis_vsock_peer *first = NULL;

    for (unsigned i = 0; i < STASIS_VSOCK_PEERS_MAX; i++) {
        struct stasis_vsock_peer *peer = &vsock->peers[i];

        if (peer->phase == phase && (!first || peer->order < first->order))
            first = peer;
    }
    return first;
}

/* False: nobody can. */
static bool make_room(struct stasis_vsock *vsock)
{
    struct stasis_vsock_peer *peer = oldest(vsock, STASIS_VSOCK_ASKS);

    if (!peer)
        peer = oldest(vsock, STASIS_VSOCK_DRAINS);
    if (peer)
        stasis_vsock_peer_free(peer);
    return peer != NULL;
}

static struct stasis_vsock_peer *find_free(struct stasis_vsock *vsock)
{
    for (unsigned i = 0; i < vsock->places; i++) {
        if (vsock->peers[i].phase == STASIS_VSOCK_FREE)
            return &vsock->peers[i];
    }
    return NULL;
}

/* ---- programs that connect ---- */

/* The guest is asked for a connection as soon as the program has said to which port. */
static void ask_guest(struct stasis_vsock_peer *peer)
{
    const struct stasis_vsock_guest *guest = &peer->vsock->guest;
    uint32_t port;

    switch (stasis_vsock_line_read(&peer->line, peer->source.fd, &port)) {
    case STASIS_VSOCK_LINE_PORT:
        peer->phase = STASIS_VSOCK_WAITS;
        peer->wants_input = false;
        if (guest->open(guest->ctx, port, peer, &peer->id))
            stasis_vsock_peer_watch(peer);
        else
            stasis_vsock_peer_free(peer);
        break;
    case STASIS_VSOCK_LINE_MORE:
        stasis_vsock_peer_watch(peer);
        break;
    case STASIS_VSOCK_LINE_BAD:
    default:
        stasis_vsock_peer_free(peer);
        break;
    }
}

void stasis_vsock_opened(struct stasis_vsock_peer *peer, uint32_t port)
{
    char line[32];
    int len = snprintf(line, sizeof(line), "OK %" PRIu32 "\n", port);

    (void)stasis_vsock_peer_send_now(peer, (const uint8_t *)line,
                                     (size_t)len); /* the first bytes fit */
    peer->phase = STASIS_VSOCK_OPEN;
    peer->wants_input = true;
    stasis_vsock_peer_watch(peer);
}

static void hang_up(struct stasis_vsock_peer *peer)
{
    const struct stasis_vsock_guest *guest = &peer->vsock->guest;

    if (peer->phase == STASIS_VSOCK_OPEN && !peer->has_ended) {
        peer->has_hung_up = true;
        peer->wants_input = false;
        stasis_vsock_peer_drop(peer);
        guest->ready(guest->ctx, peer->id);
        return;
    }
    if (peer->phase == STASIS_VSOCK_OPEN || peer->phase == STASIS_VSOCK_WAITS)
        guest->close(guest->ctx, peer->id);
    stasis_vsock_peer_free(peer);
}

static void serve(struct stasis_vsock_peer *peer, uint32_t events)
{
    const struct stasis_vsock_guest *guest = &peer->vsock->guest;

    if (events & EPOLLIN && peer->phase == STASIS_VSOCK_ASKS) {
        ask_guest(peer);
        return;
    }
    if (events & (EPOLLHUP | EPOLLERR)) {
        hang_up(peer);
        return;
    }
    if (events & EPOLLIN) {
        peer->wants_input = false;
        guest->ready(guest->ctx, peer->id);
    }
    if (events & EPOLLOUT && peer->held)
        stasis_vsock_peer_flush(peer);
    if (peer->phase != STASIS_VSOCK_FREE)
        stasis_vsock_peer_watch(peer);
}

static void on_peer(void *ctx, uint32_t events)
{
    serve(ctx, events);
}

static struct stasis_vsock_peer *add_peer(struct stasis_vsock *vsock, int fd,
                                          enum stasis_vsock_phase phase)
{
    struct stasis_vsock_peer *peer = find_free(vsock);

    if (!peer) {
        close(fd);
        return NULL;
    }
    *peer = (struct stasis_vsock_peer){.source = {.fd = fd, .ready = on_peer, .ctx = peer},
                                       .vsock = vsock,
                                       .phase = phase,
                                       .order = ++vsock->order,
                                       .wants_input = true};
    if (!stasis_loop_arm(&vsock->loop, &peer->source, EPOLLIN, NULL))
        return peer;
    stasis_vsock_peer_free(peer);
    return NULL;
}

/* A program for which there is no room, or no descriptor, waits until there is. */
static void on_program(void *ctx, uint32_t events)
{
    struct stasis_vsock *vsock = ctx;
    bool has_room = find_free(vsock) || make_room(vsock);
    int fd = has_room ? accept4(vsock->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;

    (void)events;
    if (fd >= 0)
        (void)add_peer(vsock, fd, STASIS_VSOCK_ASKS);
    if (fd < 0 && (!has_room || ((errno == EMFILE || errno == ENFILE) && !make_room(vsock))))
        be_deaf(vsock);
    else
        listen_again(vsock);
}

/* ---- the guest's calls ---- */

struct stasis_vsock_peer *stasis_vsock_connect(struct stasis_vsock *vsock, uint32_t id,
                                               uint32_t port)
{
    char name[STASIS_VSOCK_NAME_MAX + 12];
    struct stasis_vsock_peer *peer;
    int fd;

    if (!find_free(vsock) && !make_room(vsock))
        return NULL;
    snprintf(name, sizeof(name), "%s_%" PRIu32, vsock->socket.name, port);
    fd = stasis_socket_connect_in(vsock->socket.dir, name);
    peer = fd < 0 ? NULL : add_peer(vsock, fd, STASIS_VSOCK_OPEN);
    if (peer)
        peer->id = id;
    return peer;
}

void stasis_vsock_guest_gone(struct stasis_vsock *vsock)
{
    for (unsigned i = 0; i < STASIS_VSOCK_PEERS_MAX; i++) {
        struct stasis_vsock_peer *peer = &vsock->peers[i];

        if (peer->phase == STASIS_VSOCK_WAITS || peer->phase == STASIS_VSOCK_OPEN)
            stasis_vsock_closed(peer);
    }
}

/* ---- life ---- */

static int check_name(const char *path, struct stasis_error *err)
{
    const char *slash = strrchr(path, '/');

    if (strlen(slash ? slash + 1 : path) <= STASIS_VSOCK_NAME_MAX)
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "its name has more than %u bytes, and a port is put behind it; use a "
                       "shorter one",
                       STASIS_VSOCK_NAME_MAX);
}

int stasis_vsock_check(const char *path, struct stasis_error *err)
{
    int rc = check_name(path, err);

    return rc ? rc : stasis_socket_check(path, err);
}

/* The rest of the process has other descriptors to open, whatever the guest does. */
static unsigned count_places(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur / 2 > STASIS_VSOCK_PEERS_MAX)
        return STASIS_VSOCK_PEERS_MAX;
    return (unsigned)(files.rlim_cur / 2);
}

static int add_own(struct stasis_vsock *vsock, struct stasis_loop_source *source, int fd,
                   void (*ready)(void *ctx, uint32_t events), const char *kind,
                   struct stasis_error *err)
{
    *source = (struct stasis_loop_source){.fd = fd, .ready = ready, .ctx = vsock};
    return fd < 0 ? stasis_fail_errno(err, STASIS_ERR_IO, "cannot make %s", kind)
                  : stasis_loop_arm(&vsock->loop, source, EPOLLIN, err);
}

static int open_all(struct stasis_vsock *vsock, const char *path, struct stasis_error *err)
{
    int rc = check_name(path, err);

    vsock->timer.fd = vsock->bell.fd = -1;
    if (!rc)
        rc = add_own(vsock, &vsock->timer,
                     timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), on_timer,
                     "a timerfd", err);
    if (!rc)
        rc = add_own(vsock, &vsock->bell, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), on_bell,
                     "an eventfd", err);
    if (!rc)
        rc = stasis_socket_listen(&vsock->socket, path, err);
    if (!rc && listen(vsock->socket.fd, STASIS_VSOCK_PEERS_MAX)) /* a longer queue */
        rc = stasis_fail_errno(err, STASIS_ERR_IO, "cannot listen");
    vsock->listener =
        (struct stasis_loop_source){.fd = vsock->socket.fd, .ready = on_program, .ctx = vsock};
    return rc ? rc : stasis_loop_arm(&vsock->loop, &vsock->listener, EPOLLIN, err);
}

int stasis_vsock_open(const char *path, const struct stasis_vsock_guest *guest,
                      struct stasis_vsock **ret_vsock, struct stasis_error *err)
{
    struct stasis_vsock *vsock = calloc(1, sizeof(*vsock));
    int rc;

    if (!vsock)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for sockets of the guest");
    vsock->guest = *guest;
    vsock->places = count_places();
    vsock->socket = (struct stasis_socket)STASIS_SOCKET_NONE;
    rc = stasis_loop_init(&vsock->loop, err);
    if (rc) {
        free(vsock);
        return rc;
    }
    rc = open_all(vsock, path, err);
    if (rc)
        stasis_vsock_close(vsock);
    else
        *ret_vsock = vsock;
    return rc;
}

static void remove_own(struct stasis_vsock *vsock, struct stasis_loop_source *source)
{
    stasis_loop_remove(&vsock->loop, source);
    if (source->fd >= 0)
        close(source->fd);
}

void stasis_vsock_close(struct stasis_vsock *vsock)
{
    if (!vsock)
        return;
    stasis_loop_remove(&vsock->loop, &vsock->listener);
    remove_own(vsock, &vsock->timer);
    remove_own(vsock, &vsock->bell);
    vsock->is_deaf = false;
    for (unsigned i = 0; i < STASIS_VSOCK_PEERS_MAX; i++) {
        if (vsock->peers[i].phase != STASIS_VSOCK_FREE)
            stasis_vsock_peer_free(&vsock->peers[i]);
    }
    stasis_socket_close(&vsock->socket);
    stasis_loop_fini(&vsock->loop);
    free(vsock);
}

int stasis_vsock_fd(const struct stasis_vsock *vsock)
{
    return stasis_loop_fd(&vsock->loop);
}

int stasis_vsock_bell(const struct stasis_vsock *vsock)
{
    return vsock->bell.fd;
}

/* Waiting fails only where the process has lost the descriptor. */
void stasis_vsock_dispatch(struct stasis_vsock *vsock)
{
    (void)!stasis_loop_dispatch(&vsock->loop, NULL);
    if (vsock->is_rung)
        (void)!stasis_loop_arm(&vsock->loop, &vsock->bell, EPOLLIN, NULL);
    vsock->is_rung = false;
}
