/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a byte of the guest's costs: one system call, whatever standard output is. The calls are
 * counted on their way to the C library (--wrap).
 */
#include "support/cmocka_all.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/host/serial_sink.h"
#include "vmm/machine/board.h"
#include "vmm/machine/machine.h"

static unsigned calls;

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);
int __real_poll(struct pollfd *fds, nfds_t count, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int ms);

ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    calls++;
    return __real_write(fd, bytes, len);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags)
{
    calls++;
    return __real_send(fd, bytes, len, flags);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int ms)
{
    calls++;
    return __real_poll(fds, count, ms);
}

/* ---- a board's serial port before a sink ---- */

static struct stasis_serial_sink *sink;
static struct stasis_machine machine;

static size_t tx(void *ctx, const struct stasis_device *from, const uint8_t *bytes, size_t len)
{
    (void)ctx, (void)from;
    return stasis_serial_sink_write(sink, bytes, len);
}

static const struct stasis_device_host host = {.serial_tx = tx};

static void attach(void)
{
    const struct stasis_board_options options = {
        .memory_bytes = 1 << 20, .vcpus = 1, .cpu_model = "host"};

    memset(&machine, 0, sizeof(machine));
    machine.vm.fd = -1;
    machine.device_env = (struct stasis_device_env){.vm = &machine.vm, .host = &host};
    stasis_bus_init(&machine.pio, "PIO", 0xffff);
    stasis_bus_init(&machine.mmio, "MMIO", UINT64_MAX);
    assert_int_equal(stasis_board_default(&options, &machine.board, NULL), 0);
    machine.board.devices_count = 1; /* the serial port */
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
}

/* Takes over the descriptor as standard output, and sends two bytes to it by OUT. */
static void count_calls(int fd, unsigned expected)
{
    int saved = dup(STDOUT_FILENO);
    unsigned counted;

    attach();
    assert_true(dup2(fd, STDOUT_FILENO) >= 0);
    close(fd);
    assert_int_equal(
        stasis_serial_sink_open(
            &(struct stasis_serial_sink_options){.kind = STASIS_SERIAL_SINK_STDIO}, &sink, NULL),
        0);
    calls = 0;
    stasis_bus_write(&machine.pio, 0x3f8, 1, 'a');
    stasis_bus_write(&machine.pio, 0x3f8, 1, 'b');
    counted = calls;
    stasis_serial_sink_close(sink);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    stasis_devices_detach(&machine.devices);
    assert_int_equal(counted, 2 * expected);
}

static void assert_received(int fd)
{
    char bytes[8] = "";

    for (size_t len = 0; len < 2; len++) /* a terminal hands them on one by one */
        assert_int_equal(read(fd, bytes + len, 1), 1);
    assert_string_equal(bytes, "ab");
    close(fd);
}

static void pipe_costs_one_call(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    count_calls(fds[1], 1);
    assert_received(fds[0]);
}

static void socket_costs_one_call(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    count_calls(fds[1], 1);
    assert_received(fds[0]);
}

static void terminal_costs_one_call(void **state)
{
    int ours, theirs;

    (void)state;
    assert_int_equal(openpty(&ours, &theirs, NULL, NULL, NULL), 0);
    count_calls(theirs, 1);
    assert_received(ours);
}

static void file_costs_one_call(void **state)
{
    char path[] = "/tmp/stasis-calls-XXXXXX";
    int fd = mkstemp(path);
    int again = open(path, O_RDONLY | O_CLOEXEC);

    (void)state;
    unlink(path);
    count_calls(fd, 1);
    assert_received(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipe_costs_one_call),
        cmocka_unit_test(socket_costs_one_call),
        cmocka_unit_test(terminal_costs_one_call),
        cmocka_unit_test(file_costs_one_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
