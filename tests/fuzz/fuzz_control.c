/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a client sends to a control socket whose machine is not one. The first byte says how many
 * bytes are sent at a time (0: all) and by its lowest bit whether a descriptor comes with them.
 * Every answer is one line of JSON-RPC, and the next client is served.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/vmm/control/fake_vm.h"
#include "vmm/control/descriptors.h"
#include "vmm/control/socket.h"

static char folder[] = "/tmp/stasis-fuzz-XXXXXX";
static char path[64];
static struct fake_vm vm;

static void clean_up(void)
{
    stasis_control_close(vm.control);
    rmdir(folder);
}

static void open_control(void)
{
    struct stasis_control_config config = {.path = path, .dir = folder};

    if (vm.control)
        return;
    FUZZ_ASSERT(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/sock", folder);
    FUZZ_ASSERT(!stasis_control_open(&config, &fake_vm_ops, &vm.control, NULL));
    stasis_control_set_ctx(vm.control, &vm);
    atexit(clean_up);
}

static void pump(void)
{
    struct pollfd ready = {.fd = stasis_control_fd(vm.control), .events = POLLIN};

    while (poll(&ready, 1, 0) == 1)
        stasis_control_dispatch(vm.control);
}

static void check_line(const char *line, size_t len)
{
    json_t *message = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);

    FUZZ_ASSERT(message);
    FUZZ_ASSERT(!strcmp(json_string_value(json_object_get(message, "jsonrpc")), "2.0"));
    FUZZ_ASSERT(json_object_get(message, "method") ||
                (json_object_get(message, "id") &&
                 !json_object_get(message, "result") != !json_object_get(message, "error")));
    json_decref(message);
}

/* Takes whole lines off what was received; returns what is left. */
static size_t check_lines(char *bytes, size_t len)
{
    size_t start = 0;
    const char *end;

    while ((end = memchr(bytes + start, '\n', len - start))) {
        check_line(bytes + start, (size_t)(end - bytes) - start);
        start = (size_t)(end - bytes) + 1;
    }
    memmove(bytes, bytes + start, len - start);
    return len - start;
}

static size_t hear(int fd, char *bytes, size_t len, size_t size)
{
    ssize_t got;

    pump();
    while ((got = recv(fd, bytes + len, size - len, MSG_DONTWAIT)) > 0) {
        len = check_lines(bytes, len + (size_t)got);
        FUZZ_ASSERT(len < size);
        pump();
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static char heard[1 << 20];
    size_t step = len ? bytes[0] : 0;
    size_t left = 0;
    int passed;
    int fd;

    open_control();
    if (len < 2 || stasis_control_socket_connect(path, &fd, NULL))
        return 0;
    vm = (struct fake_vm){.control = vm.control, .state = STASIS_VMM_RUNNING};
    passed = step & 1 ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    for (size_t at = 1; at < len;) {
        size_t part = step && step < len - at ? step : len - at;
        ssize_t sent = stasis_control_send(fd, bytes + at, part, passed, MSG_DONTWAIT);

        if (sent > 0)
            at += (size_t)sent;
        left = hear(fd, heard, left, sizeof(heard));
        if (vm.state == STASIS_VMM_IS_SAVING && at % 3 == 0)
            fake_vm_end_snapshot(&vm, 0);
    }
    if (passed >= 0)
        close(passed);
    if (vm.state == STASIS_VMM_IS_SAVING)
        fake_vm_end_snapshot(&vm, STASIS_ERR_CANCELLED);
    (void)hear(fd, heard, left, sizeof(heard));
    close(fd);
    pump();
    return 0;
}
