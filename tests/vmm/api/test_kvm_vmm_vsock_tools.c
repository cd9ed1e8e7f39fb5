/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The host's side of the examples of Firecracker's docs/vsock.md, which are for socat, as they are,
 * and those of docs/devices.md for Python, beside a guest under the real KVM. The guest is ours in
 * place of nc-vsock.
 */
#include "tests/vmm/api/vsock_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOT_FOUND 127

struct tool {
    pid_t pid;
    int in, out; /* our ends */
};

static _Noreturn void exec(const char *const args[3], int in, int out)
{
    (void)dup2(in, STDIN_FILENO);
    (void)dup2(out, STDOUT_FILENO);
    if (!chdir(told_rig.folder.path))
        (void)execlp(args[0], args[0], args[1], args[2], (char *)NULL);
    _exit(errno == ENOENT ? NOT_FOUND : 1);
}

/* In the folder of the socket. */
static void start(struct tool *tool, const char *const args[3])
{
    int in[2], out[2];

    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    tool->pid = fork();
    assert_true(tool->pid >= 0);
    if (tool->pid == 0)
        exec(args, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    tool->in = in[1];
    tool->out = out[0];
    assert_int_equal(fcntl(tool->out, F_SETFL, O_NONBLOCK), 0);
}

static void type(const struct tool *tool, const char *text)
{
    assert_int_equal(write(tool->in, text, strlen(text)), strlen(text));
}

static void hears(const struct tool *tool, const char *text)
{
    char bytes[64];
    size_t len = 0;

    while (len < strlen(text)) {
        ssize_t got = -1;

        told_wait((got = read(tool->out, bytes + len, sizeof(bytes) - len)) >= 0);
        assert_int_not_equal(got, 0);
        len += (size_t)got;
    }
    assert_int_equal(len, strlen(text));
    assert_memory_equal(bytes, text, len);
}

static void end(const struct tool *tool)
{
    int status;

    close(tool->in);
    told_wait(waitpid(tool->pid, &status, WNOHANG) == tool->pid);
    close(tool->out);
    assert_int_equal(status, 0);
}

static bool can_run(const char *name)
{
    const char *const args[3] = {name, "-V"};
    struct tool tool;
    int status;

    start(&tool, args);
    close(tool.in);
    close(tool.out);
    assert_int_equal(waitpid(tool.pid, &status, 0), tool.pid);
    return WEXITSTATUS(status) != NOT_FOUND;
}

static void boot_beside(const char *name)
{
    vsock_guest_boot();
    if (can_run(name))
        return;
    vsock_guest_end();
    kvm_case_skip("it is not installed");
}

/* ---- the guest's side ---- */

/* Somebody listens at port 52; returns the host's. */
static uint32_t accept_host(void)
{
    const uint32_t port = vsock_guest_expect(REQUEST, 52, "");

    vsock_guest_send(RESPONSE, 52, port, "");
    return port;
}

static void lose_host(uint32_t guest_port, uint32_t host_port)
{
    vsock_guest_expect(SHUTDOWN, guest_port, "");
    vsock_guest_send(RST, guest_port, host_port, "");
}

/* Once the socket is there, it may not be listened at yet. */
static void connect_to_host(const char *name)
{
    told_wait(!access(vmm_rig_path(&told_rig, name), F_OK));
    do
        vsock_guest_send(REQUEST, 1000, 52, "");
    while (!vsock_guest_is_accepted(1000));
}

/* ---- cases ---- */

static void socat_connects(void)
{
    static const char *const args[] = {"socat", "-", "UNIX-CONNECT:./v.sock"};
    struct tool socat;
    char line[32];
    uint32_t port;

    boot_beside("socat");
    start(&socat, args);
    type(&socat, "CONNECT 52\n");
    port = accept_host();
    (void)snprintf(line, sizeof(line), "OK %u\n", port);
    hears(&socat, line);
    type(&socat, "from the host\n");
    vsock_guest_expect(RW, 52, "from the host\n");
    vsock_guest_send(RW, 52, port, "from the guest\n");
    hears(&socat, "from the guest\n");
    end(&socat);
    lose_host(52, port);
    vsock_guest_end();
}

static void socat_listens(void)
{
    static const char *const args[] = {"socat", "-", "UNIX-LISTEN:./v.sock_52"};
    struct tool socat;

    boot_beside("socat");
    start(&socat, args);
    connect_to_host("v.sock_52");
    vsock_guest_send(RW, 1000, 52, "from the guest\n");
    hears(&socat, "from the guest\n");
    type(&socat, "from the host\n");
    vsock_guest_expect(RW, 1000, "from the host\n");
    end(&socat);
    lose_host(1000, 52);
    vsock_guest_end();
}

/* Each as it is in docs/devices.md. */
static const char python_connects[] = "import socket\n"
                                      "\n"
                                      "with socket.socket(socket.AF_UNIX) as guest:\n"
                                      "    guest.connect(\"v.sock\")\n"
                                      "    guest.sendall(b\"CONNECT 52\\n\")\n"
                                      "    print(guest.makefile().readline())  # OK 1073741824\n"
                                      "    guest.sendall(b\"hello\")\n"
                                      "    print(guest.recv(4096))\n";
static const char python_listens[] = "import socket\n"
                                     "\n"
                                     "with socket.socket(socket.AF_UNIX) as listener:\n"
                                     "    listener.bind(\"v.sock_52\")\n"
                                     "    listener.listen()\n"
                                     "    guest, _ = listener.accept()\n"
                                     "    with guest:\n"
                                     "        guest.sendall(guest.recv(4096).upper())\n";

static void python_does_both(void)
{
    const char *args[] = {"python3", "-c", python_connects};
    struct tool python;
    char text[64];
    uint32_t port;

    boot_beside("python3");
    start(&python, args);
    port = accept_host();
    vsock_guest_expect(RW, 52, "hello");
    vsock_guest_send(RW, 52, port, "hello yourself");
    (void)snprintf(text, sizeof(text), "OK %u\n\nb'hello yourself'\n", port);
    hears(&python, text);
    end(&python);
    lose_host(52, port);
    args[2] = python_listens;
    start(&python, args);
    connect_to_host("v.sock_52");
    vsock_guest_send(RW, 1000, 52, "hello");
    vsock_guest_expect(RW, 1000, "HELLO");
    end(&python);
    lose_host(1000, 52);
    vsock_guest_end();
}

static void the_document_has_these(void)
{
    static char text[65536];

    if (access(STASIS_DOCS_DIR, F_OK))
        kvm_case_skip("the documents are not here");
    assert_true(session_read_file(STASIS_DOCS_DIR "/devices.md", text, sizeof(text) - 1) > 0);
    assert_non_null(strstr(text, python_connects));
    assert_non_null(strstr(text, python_listens));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(socat_connects),
        KVM_CASE(socat_listens),
        KVM_CASE(python_does_both),
        KVM_CASE(the_document_has_these),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
