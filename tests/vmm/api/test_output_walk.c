/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a byte of the guest's costs, from the exit of the vCPU to standard output: one system call,
 * whatever standard output is, and no more than five source files. The calls are counted on their
 * way to the C library (--wrap), and each remembers where it came from.
 */
#include "support/cmocka_all.h"

#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"
#include "vmm/host/serial_sink.h"
#include "vmm/machine/board.h"
#include "vmm/machine/exits.h"

#define FRAMES_MAX 64
#define FILES_MAX  5 /* source files on the way */

static unsigned calls;
static void *frames[FRAMES_MAX]; /* of the last call */
static int frame_count;

static void note_call(void)
{
    calls++;
    frame_count = backtrace(frames, FRAMES_MAX);
}

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);
int __real_poll(struct pollfd *fds, nfds_t count, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int ms);

ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    note_call();
    return __real_write(fd, bytes, len);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags)
{
    note_call();
    return __real_send(fd, bytes, len, flags);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int ms)
{
    note_call();
    return __real_poll(fds, count, ms);
}

/* ---- a VM without KVM: its exits are made up, the rest is what the program runs ---- */

static struct stasis_vmm vmm;
static struct stasis_vcpu vcpu;

static union {
    struct kvm_run run;
    uint8_t bytes[8192];
} page;

int __wrap_ioctl(int fd, unsigned long request, ...);

/* The guest has executed OUT. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    assert_int_equal(fd, vcpu.fd);
    assert_int_equal(request, KVM_RUN);
    return 0;
}

static void vmm_init(const struct stasis_vmm_config *config, const char *on_output)
{
    const struct stasis_board_options options = {
        .memory_bytes = 1 << 20, .vcpus = 1, .cpu_model = "host"};
    struct stasis_machine *machine = &vmm.machine;

    memset(&vmm, 0, sizeof(vmm));
    vmm.config = config;
    vmm.host = stasis_vmm_device_host;
    vmm.host.ctx = &vmm;
    machine->vm.fd = -1;
    machine->device_env = (struct stasis_device_env){.vm = &machine->vm, .host = &vmm.host};
    pthread_mutex_init(&machine->lock, NULL);
    stasis_bus_init(&machine->pio, "PIO", 0xffff);
    stasis_bus_init(&machine->mmio, "MMIO", UINT64_MAX);
    assert_int_equal(stasis_board_default(&options, &machine->board, NULL), 0);
    machine->board.devices_count = 1; /* the serial port */
    assert_int_equal(stasis_devices_attach(&machine->devices, &machine->board, &machine->pio,
                                           &machine->mmio, &machine->device_env, NULL),
                     0);
    vmm.wake_source.loop.fd = -1; /* no loop runs */
    vmm.match_active = on_output != NULL;
    if (on_output)
        assert_int_equal(stasis_match_init(&vmm.match, on_output, strlen(on_output), NULL), 0);
    assert_int_equal(stasis_vmm_console_open_output(&vmm, NULL), 0);
    assert_int_equal(stasis_vmm_console_start_output(&vmm, NULL), 0);
    vcpu = (struct stasis_vcpu){.fd = 1000,
                                .run = &page.run,
                                .run_size = sizeof(page),
                                .ops = &stasis_machine_exit_ops,
                                .ctx = machine};
}

static void vmm_fini(void)
{
    stasis_serial_sink_close(vmm.out);
    stasis_vmm_console_close(&vmm);
    stasis_devices_detach(&vmm.machine.devices);
    pthread_mutex_destroy(&vmm.machine.lock);
}

static void out(uint8_t byte)
{
    page.run.exit_reason = KVM_EXIT_IO;
    page.run.io.direction = KVM_EXIT_IO_OUT;
    page.run.io.port = 0x3f8;
    page.run.io.size = 1;
    page.run.io.count = 1;
    page.run.io.data_offset = sizeof(page.run);
    page.bytes[sizeof(page.run)] = byte;
    assert_int_equal(stasis_vcpu_run_once(&vcpu), 0);
}

/* Takes over the descriptor as standard output, and sends two bytes to it by OUT. */
static void count_calls(int fd)
{
    int saved = dup(STDOUT_FILENO);
    unsigned counted;

    fflush(stdout);
    assert_true(dup2(fd, STDOUT_FILENO) >= 0);
    close(fd);
    vmm_init(&(struct stasis_vmm_config){.serial = {.kind = STASIS_VMM_SERIAL_STDIO}}, NULL);
    calls = 0;
    out('a');
    out('b');
    counted = calls;
    vmm_fini();
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    assert_int_equal(counted, 2);
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
    count_calls(fds[1]);
    assert_received(fds[0]);
}

static void socket_costs_one_call(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    count_calls(fds[1]);
    assert_received(fds[0]);
}

static void terminal_costs_one_call(void **state)
{
    int ours, theirs;

    (void)state;
    assert_int_equal(openpty(&ours, &theirs, NULL, NULL, NULL), 0);
    count_calls(theirs);
    assert_received(ours);
}

static void file_costs_one_call(void **state)
{
    char path[] = "/tmp/stasis-calls-XXXXXX";
    int fd = mkstemp(path);
    int again = open(path, O_RDONLY | O_CLOEXEC);

    (void)state;
    unlink(path);
    count_calls(fd);
    assert_received(again);
}

/* ---- the files on the way ---- */

static int find_base(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    *(uintptr_t *)ctx = info->dlpi_addr;
    return 1; /* the program comes first */
}

/* Lines "file:number" for the frames, with those of inlined functions. */
static FILE *open_lines(void)
{
    char command[64 + FRAMES_MAX * 24];
    uintptr_t base = 0;
    size_t used;

    dl_iterate_phdr(find_base, &base);
    used = (size_t)snprintf(command, sizeof(command), "addr2line -i -e /proc/%d/exe", getpid());
    for (int i = 0; i < frame_count; i++) /* a byte back: into the call */
        used += (size_t)snprintf(command + used, sizeof(command) - used, " 0x%zx",
                                 (size_t)((uintptr_t)frames[i] - base - 1));
    return popen(command, "r"); /* NOLINT(cert-env33-c): nothing of the command is input */
}

/* The file in our tree, or NULL: a line of a library, or of a test. */
static const char *source_of(const char *line)
{
    static const char *const folders[] = {"/vmm/", "/core/", "/state/", "/common/"};
    const char *tests = strstr(line, "/tests/vmm/");

    for (size_t i = 0; !tests && i < sizeof(folders) / sizeof(folders[0]); i++) {
        const char *at = strstr(line, folders[i]);

        if (at)
            return at + 1;
    }
    return NULL;
}

struct walk {
    char files[FRAMES_MAX][128];
    size_t count;
};

static void walk_add(struct walk *walk, const char *file)
{
    for (size_t i = 0; i < walk->count; i++)
        if (!strcmp(walk->files[i], file))
            return;
    assert_in_range(walk->count, 0, FRAMES_MAX - 1);
    snprintf(walk->files[walk->count++], sizeof(walk->files[0]), "%s", file);
}

static void walk_read(struct walk *walk)
{
    FILE *lines = open_lines();
    char line[4096];

    assert_non_null(lines);
    while (fgets(line, sizeof(line), lines)) {
        char *colon = strrchr(line, ':');

        if (colon)
            *colon = '\0';
        if (source_of(line))
            walk_add(walk, source_of(line));
    }
    pclose(lines);
}

/* From write(2) back to the exit. */
static void byte_passes_five_files(void **state)
{
    struct walk walk = {.count = 0};
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    count_calls(fds[1]);
    assert_received(fds[0]);
    walk_read(&walk);
    if (!walk.count) {
        print_message("skipped: no addr2line, or no line numbers in the program\n");
        skip();
    }
    for (size_t i = 0; i < walk.count; i++)
        print_message("%s\n", walk.files[i]);
    assert_string_equal(walk.files[0], "vmm/host/serial_sink_fd.c");
    assert_string_equal(walk.files[walk.count - 1], "vmm/kvm/vcpu_exits.c");
    assert_in_range(walk.count, 2, FILES_MAX);
}

/* With on_output the bytes are looked at on their way, until the text has come. */
static void text_is_looked_for_until_it_comes(void **state)
{
    (void)state;
    vmm_init(&(struct stasis_vmm_config){.serial = {.kind = STASIS_VMM_SERIAL_NONE}}, "ab");
    out('a');
    assert_false(atomic_load(&vmm.matched));
    assert_ptr_equal(vmm.host.serial_out.ctx, &vmm);
    out('b');
    assert_true(atomic_load(&vmm.matched));
    assert_ptr_equal(vmm.host.serial_out.ctx, vmm.out);
    vmm_fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipe_costs_one_call),
        cmocka_unit_test(socket_costs_one_call),
        cmocka_unit_test(terminal_costs_one_call),
        cmocka_unit_test(file_costs_one_call),
        cmocka_unit_test(byte_passes_five_files),
        cmocka_unit_test(text_is_looked_for_until_it_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
