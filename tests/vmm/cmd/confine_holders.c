/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "confine_holders.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "stasis/output.h"
#include "stasis/overlay.h"
#include "vmm/host/passt.h"
#include "vmm/host/vsock.h"

static struct stasis_output *output;
static struct stasis_overlay *overlay;
static struct stasis_passt passt;
static struct stasis_vsock *vsock;
static struct stasis_vsock_peer *asked; /* by a program */
static int listener, program;

static bool open_output(const char *path, enum stasis_output_kind kind, int folder_fd)
{
    const struct stasis_output_opts opts = {
        .size = sizeof(opts), .kind = kind, .snapshot = true, .folder_fd = folder_fd};

    return !stasis_output_open(NULL, path, &opts, &output, NULL);
}

static bool has_unnamed; /* files, its file system */

static bool opens_replaced(void)
{
    int fd = open(in_folder("held"), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

    has_unnamed = fd >= 0;
    close(fd);
    return open_output(in_folder("held/file"), STASIS_OUTPUT_REPLACED, 0);
}

/* New, and in place of an old one. */
static bool replaces(void)
{
    bool done = true;
    struct stat st;

    for (int i = 0; done && i < 2; i++)
        done = !stasis_output_begin(output, NULL) && !fstat(stasis_output_fd(output), &st) &&
               st.st_nlink == (has_unnamed ? 0 : 1) &&
               !stasis_output_put(output, "new", 3, 0, NULL) &&
               !stasis_output_commit(output, false, NULL);
    stasis_output_close(output);
    return done;
}

static bool opens_in_folder_of_client(void)
{
    int fd = open(in_folder("held"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 && opens_replaced() && (stasis_output_close(output), true) &&
           open_output("file", STASIS_OUTPUT_REPLACED, fd);
}

static bool opens_in_place(void)
{
    return open_output(in_folder("held/file"), STASIS_OUTPUT_IN_PLACE, 0);
}

static bool opens_any(void)
{
    return open_output(in_folder("held/file"), STASIS_OUTPUT_ANY, 0);
}

/* What was made and is not kept is removed by its name. */
static bool writes_in_place(void)
{
    bool done = write(stasis_output_fd(output), "new", 3) == 3;
    int fd = output ? dup(stasis_output_fd(output)) : -1;
    struct stat st;

    stasis_output_close(output);
    return done && fd >= 0 && !fstat(fd, &st) && !st.st_nlink;
}

static bool reads_zeros(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    (void)ctx;
    (void)offset;
    memset(bytes, 0, len);
    return true;
}

static bool opens_overlay(void)
{
    const struct stasis_overlay_base base = {
        .size = sizeof(base), .bytes = 1 << 20, .read = reads_zeros};

    return !stasis_overlay_open(in_folder("held/file"), NULL, &base, &overlay, NULL);
}

static bool seals(void)
{
    uint8_t root[STASIS_OVERLAY_ROOT_SIZE];
    bool has_root = false;
    bool done = !stasis_overlay_write(overlay, 4096, "new", 3, NULL) &&
                !stasis_overlay_seal(overlay, 0, root, &has_root, NULL) && has_root;

    stasis_overlay_free(overlay);
    return done;
}

bool listens(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", in_folder(name));
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return listener >= 0 && !bind(listener, (const struct sockaddr *)&address, sizeof(address)) &&
           !listen(listener, 4);
}

static bool accepts(void)
{
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) >= 0;
}

static bool opens_passt(void)
{
    return !stasis_passt_open(in_folder("held/file"), &passt, NULL) && accepts();
}

static bool connects_again(void)
{
    bool done;

    stasis_passt_disconnect(&passt);
    done = !stasis_passt_connect(&passt, NULL) && accepts();
    stasis_passt_close(&passt);
    return done;
}

static bool asks_guest(void *ctx, uint32_t port, struct stasis_vsock_peer *peer, uint32_t *ret_id)
{
    (void)ctx;
    asked = peer;
    *ret_id = 1;
    return port == 80;
}

static void hears(void *ctx, uint32_t id)
{
    (void)ctx;
    (void)id;
}

static void hears_of_bytes(void *ctx, uint32_t id, size_t len)
{
    (void)ctx;
    (void)id;
    (void)len;
}

static bool opens_vsock(void)
{
    static const struct stasis_vsock_guest guest = {
        .open = asks_guest, .ready = hears, .consumed = hears_of_bytes, .close = hears};
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", in_folder("held/file"));
    program = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return !stasis_vsock_open(in_folder("held/file"), &guest, &vsock, NULL) && program >= 0 &&
           !connect(program, (const struct sockaddr *)&address, sizeof(address)) &&
           write(program, "CONNECT 80\n", 11) == 11;
}

/* From the host to the guest, and from the guest to the host; its own name is removed. */
static bool connects_both_ways(void)
{
    char answer[5];
    bool done;

    for (int turns = 0; !asked && turns < 10; turns++)
        stasis_vsock_dispatch(vsock);
    if (!asked)
        return false;
    stasis_vsock_opened(asked, 5);
    done = read(program, answer, sizeof(answer)) == sizeof(answer) && !memcmp(answer, "OK 5\n", 5);
    done = done && stasis_vsock_connect(vsock, 2, 7) && accepts();
    stasis_vsock_close(vsock);
    return done;
}

#define OPTION(member) offsetof(struct stasis_vmm_config, member)

const struct holder holders[HOLDERS] = {
    {"--snapshot-out", OPTION(snapshot.path), opens_replaced, replaces, NULL,
     STASIS_VMM_THREAD_SAVE, 1},
    {"--on-crash", OPTION(on_crash.snapshot), opens_replaced, replaces, NULL,
     STASIS_VMM_THREAD_SAVE, 1},
    {"--metrics every_ms", OPTION(metrics_path), opens_replaced, replaces, NULL,
     STASIS_VMM_THREAD_METRICS, 1},
    {"--metrics", OPTION(metrics_path), opens_any, writes_in_place, NULL, STASIS_VMM_THREAD_LOOP,
     0},
    {"--serial", OPTION(serial.path), opens_in_place, writes_in_place, NULL, STASIS_VMM_THREAD_LOOP,
     0},
    {"overlay", OPTION(block[0].overlay), opens_overlay, seals, NULL, STASIS_VMM_THREAD_SAVE, 2},
    {"passt", OPTION(net.passt), opens_passt, connects_again, "held/file", STASIS_VMM_THREAD_LOOP,
     1},
    {"--vsock", OPTION(vsock.path), opens_vsock, connects_both_ways, "held/file_7",
     STASIS_VMM_THREAD_LOOP, 1},
    {"dir=", HOLDER_OF_CLIENTS, opens_in_folder_of_client, replaces, NULL, STASIS_VMM_THREAD_SAVE,
     1},
};
