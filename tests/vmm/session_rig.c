/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/session_rig.h"

#include "support/messages.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/cmd/cli.h"
#include "vmm/cmd/session.h"
#include "vmm/cmd/signals.h"

/* Only a hang takes longer, even in an emulated machine beside busy processes. */
#define PATIENCE_NS (UINT64_C(300) * 1000000000)

/* ---- starting ---- */

static void vmm_path(char *path, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", path, size - 8);
    char *slash;

    assert_true(len > 0);
    path[len] = 0;
    slash = strrchr(path, '/');
    assert_non_null(slash);
    memcpy(slash + 1, "vmm", 4);
}

static void become_vmm(const struct session_options *options, const int fds[3])
{
    /* cmocka would go on in our copy of it; and nohup(1), or a shell's &, ignores some. */
    static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS,  SIGILL, SIGFPE,
                                 SIGHUP,  SIGINT,  SIGQUIT, SIGTERM};
    const char *argv[SESSION_ARGS_MAX + 2] = {"vmm"};
    char path[4096];
    int argc = 0;

    vmm_path(path, sizeof(path));
    memcpy(argv + 1, options->args, sizeof(options->args));
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (options->terminal) {
        setsid();
        ioctl(fds[0], TIOCSCTTY, 0);
    }
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
    if (options->out_closed)
        close(STDOUT_FILENO);
    if (options->file_limit) {
        struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

        getrlimit(RLIMIT_FSIZE, &limit); /* to raise the hard one again takes rights */
        limit.rlim_cur = options->file_limit;
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
        (void)signal(deadly[i], SIG_DFL);
    while (argv[argc])
        argc++;
    if (options->program)
        exit(options->program(argc, (char **)(uintptr_t)argv));
    execv(path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

int session_main(int argc, char **argv)
{
    struct stasis_options parsed;
    struct stasis_error err;
    int status;

    stasis_signals_init();
    if (stasis_cli_parse(argc, argv, &parsed, &err))
        return 98;
    if (parsed.sandbox != STASIS_CONFINE_OFF)
        messages_stop();
    status = stasis_session_run(&parsed);
    stasis_cli_fini(&parsed);
    return status;
}

/* Ours, theirs. Above the three standard ones, so that dup2() overwrites none. */
static void make_pipe(int *ret_ours, int *ret_theirs, bool we_read)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    *ret_ours = fds[we_read ? 0 : 1];
    *ret_theirs = fds[we_read ? 1 : 0];
}

void session_start(struct session *session, const struct session_options *options)
{
    int theirs[3] = {options->in, options->out, -1};

    memset(session, 0, sizeof(*session));
    session->in = session->out = -1;
    if (!options->in)
        make_pipe(&session->in, &theirs[0], false);
    if (!options->out)
        make_pipe(&session->out, &theirs[1], true);
    make_pipe(&session->err, &theirs[2], true);
    (void)fflush(NULL);
    session->pid = fork();
    assert_true(session->pid >= 0);
    if (!session->pid)
        become_vmm(options, theirs);
    if (!options->in)
        close(theirs[0]);
    if (!options->out)
        close(theirs[1]);
    close(theirs[2]);
}

/* ---- talking ---- */

static void take(const struct session *session, int *fd, char *text, size_t *len)
{
    ssize_t n;

    if (*len == SESSION_TEXT_MAX - 1)
        fail_msg("no end of what vmm says; errors \"%s\"", session->err_text);
    n = read(*fd, text + *len, SESSION_TEXT_MAX - 1 - *len);
    if (n > 0) {
        *len += (size_t)n;
        return;
    }
    close(*fd);
    *fd = -1;
}

void session_pump(struct session *session, int ms)
{
    struct pollfd fds[2] = {{.fd = session->out, .events = POLLIN},
                            {.fd = session->err, .events = POLLIN}};

    if (poll(fds, 2, ms) <= 0)
        return;
    if (fds[0].revents)
        take(session, &session->out, session->out_text, &session->out_len);
    if (fds[1].revents)
        take(session, &session->err, session->err_text, &session->err_len);
}

static void wait_for(struct session *session, const char *where, const char *text)
{
    uint64_t end = stasis_monotonic_ns() + PATIENCE_NS;

    while (!strstr(where, text)) {
        if (stasis_monotonic_ns() > end || (session->out < 0 && session->err < 0))
            fail_msg("\"%s\" never came; output \"%s\", errors \"%s\"", text, session->out_text,
                     session->err_text);
        session_pump(session, 1000);
    }
}

void session_wait_out(struct session *session, const char *text)
{
    wait_for(session, session->out_text, text);
}

void session_wait_err(struct session *session, const char *text)
{
    wait_for(session, session->err_text, text);
}

void session_forget(struct session *session)
{
    memset(session->out_text, 0, session->out_len);
    memset(session->err_text, 0, session->err_len);
    session->out_len = session->err_len = 0;
}

void session_type(struct session *session, const char *text)
{
    assert_int_equal(write(session->in, text, strlen(text)), strlen(text));
}

/* ---- ending ---- */

/* Of this test, and how many of its runs of vmm were inside the sandbox. */
static pid_t own_pid;
static unsigned inside;

__attribute__((destructor)) static void tell_inside(void)
{
    if (inside && getpid() == own_pid)
        printf("inside the sandbox: %u runs of vmm\n", inside);
}

/* The process has ended, and can still be looked at. */
static bool was_inside(pid_t pid)
{
    char path[64], text[4096] = "";
    siginfo_t info;

    own_pid = getpid();
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT))
        return false;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    (void)session_read_file(path, text, sizeof(text) - 1);
    return strstr(text, "Seccomp:\t2\n");
}

int session_end(struct session *session)
{
    int status;

    while (session->out >= 0 || session->err >= 0)
        session_pump(session, -1);
    inside += was_inside(session->pid);
    assert_int_equal(waitpid(session->pid, &status, 0), session->pid);
    if (session->in >= 0)
        close(session->in);
    messages_note_lines(session->err_text);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int session_run(struct session *session, const struct session_options *options)
{
    session_start(session, options);
    return session_end(session);
}

/* ---- looking ---- */

struct tick {
    unsigned long number, rtc;
    char nonce[33];
};

/* One whole line of the demo guest; its newline is at `end`. */
static bool parse_tick(const char *line, const char *end, struct tick *ret_tick)
{
    char *at;

    if (strncmp(line, "tick ", 5) != 0)
        return false;
    ret_tick->number = strtoul(line + 5, &at, 10);
    if (strncmp(at, " nonce=", 7) != 0 || strspn(at + 7, "0123456789abcdef") != 32)
        return false;
    snprintf(ret_tick->nonce, sizeof(ret_tick->nonce), "%s", at + 7);
    at += 7 + 32;
    if (strncmp(at, " rtc=", 5) != 0)
        return false;
    ret_tick->rtc = strtoul(at + 5, &at, 10);
    return at + 1 == end && *at == '\r';
}

unsigned session_check_ticks(const char *text, size_t len, unsigned first, char nonce[33])
{
    unsigned long last_rtc = 0;
    unsigned number = first - 1;
    const char *end;

    for (const char *line = text; line < text + len; line = end + 1) {
        struct tick tick;

        end = memchr(line, '\n', (size_t)(text + len - line));
        if (!end || !parse_tick(line, end, &tick)) {
            fail_msg("not a whole tick: \"%.*s\"", (int)(text + len - line), line);
            return 0;
        }
        assert_int_equal(tick.number, ++number);
        if (!nonce[0])
            memcpy(nonce, tick.nonce, sizeof(tick.nonce));
        assert_string_equal(tick.nonce, nonce);
        assert_true(tick.rtc >= last_rtc);
        last_rtc = tick.rtc;
    }
    return number;
}

unsigned session_last_tick(const struct session *session)
{
    unsigned last = 0;

    for (const char *at = session->out_text; (at = strstr(at, "tick ")); at++) {
        if (strchr(at, '\n'))
            last = (unsigned)strtoul(at + 5, NULL, 10);
    }
    return last;
}

void session_assert_one_line(const struct session *session, const char *words)
{
    const char *newline = strchr(session->err_text, '\n');

    if (!newline || newline[1] || !strstr(session->err_text, words))
        fail_msg("not one line with \"%s\": \"%s\"", words, session->err_text);
}

/* ---- files ---- */

void session_folder_init(struct session_folder *folder)
{
    snprintf(folder->path, sizeof(folder->path), "/tmp/stasis-test-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    snprintf(folder->file, sizeof(folder->file), "%s/guest.snap", folder->path);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat, (void)type, (void)ftw;
    return remove(path);
}

void session_folder_fini(struct session_folder *folder)
{
    assert_int_equal(nftw(folder->path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void session_write_kernel(const char *path, const char *text, const void *tail, size_t len)
{
    enum { BASE = 0x1000000, OUT_LEN = 3 };
    static const uint8_t port[] = {0xba, 0xf8, 0x03, 0x00, 0x00}; /* mov $0x3f8, %edx */
    struct {
        Elf64_Ehdr elf;
        Elf64_Phdr segment;
        uint8_t code[512];
    } image = {.elf = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                                   EV_CURRENT},
                       .e_type = ET_EXEC,
                       .e_machine = EM_X86_64,
                       .e_version = EV_CURRENT,
                       .e_entry = BASE,
                       .e_phoff = sizeof(Elf64_Ehdr),
                       .e_ehsize = sizeof(Elf64_Ehdr),
                       .e_phentsize = sizeof(Elf64_Phdr),
                       .e_phnum = 1},
               .segment = {.p_type = PT_LOAD,
                           .p_flags = PF_R | PF_X,
                           .p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
                           .p_paddr = BASE,
                           .p_filesz = sizeof(image.code),
                           .p_memsz = sizeof(image.code)}};
    uint8_t *at = image.code;
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(sizeof(port) + OUT_LEN * strlen(text) + len <= sizeof(image.code));
    memcpy(at, port, sizeof(port));
    at += sizeof(port);
    for (; *text; text++, at += OUT_LEN)
        memcpy(at, (uint8_t[]){0xb0, (uint8_t)*text, 0xee}, OUT_LEN); /* mov, %al; out %al, %dx */
    memcpy(at, tail, len);
    assert_int_equal(fwrite(&image, sizeof(image), 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

size_t session_read_file(const char *path, char *bytes, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t len;

    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    len = fread(bytes, 1, size, file);
    assert_true(len < size);
    fclose(file);
    return len;
}
