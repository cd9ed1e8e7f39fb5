/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A program of the build: makes of calls.def the filters that are compiled in (libseccomp takes 0.2
 * ms for one, too long for each start), or the tables of docs/sandbox.md. It runs where the build
 * does, so it is no CMake target: that may be for another C library.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter_pid.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#ifndef F_OFD_SETLK
#define F_OFD_GETLK 36 /* fcntl.h has them for _GNU_SOURCE only */
#define F_OFD_SETLK 37
#endif
#ifndef O_TMPFILE
#define O_TMPFILE (020000000 | O_DIRECTORY) /* likewise */
#endif
#define CLONE_OF_THREADS                                                                           \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define CLONE_NAMESPACES                                                                           \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)
#define CLONE_KINDS         (CLONE_OF_THREADS | CLONE_NAMESPACES | CLONE_VFORK | CLONE_PTRACE)
#define NEW_FILE            (O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC)
#define UNNAMED_FILE        (O_RDWR | O_TMPFILE | O_CLOEXEC)
#define NOT_LARGEFILE       0xffff7fff /* which musl sets everywhere */
#define TYPE_OF_KVM         (KVMIO << 8)
#define IRQ_LINE_NUMBER     _IOW(KVMIO, 0x61, uint64_t) /* KVM's, of 8 bytes */
#define GET_CLOCK_NUMBER    0x8030ae7c                  /* the same, of 48 bytes */
#define TYPE_OF_UFFD        0xaa00
#define PAGEMAP_SCAN_NUMBER 0xc0606610 /* fs.h of Linux 6.7 */
#define STREAM_SOCKET       (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)
#define PACKET_SOCKET       (SOCK_SEQPACKET | SOCK_CLOEXEC)
#define TCGETS2_NUMBER      TCGETS2
#define TCSETS2_NUMBER      TCSETS2

struct check {
    unsigned count; /* of the arguments that are checked; 0: any will do */
    struct scmp_arg_cmp args[2];
};
#define ANY                                                                                        \
    {                                                                                              \
        .count = 0                                                                                 \
    }
#define MASKED(n, mask, value)                                                                     \
    {                                                                                              \
        1,                                                                                         \
        {                                                                                          \
            {                                                                                      \
                n, SCMP_CMP_MASKED_EQ, mask, value                                                 \
            }                                                                                      \
        }                                                                                          \
    }
#define IS(n, value)                                                                               \
    {                                                                                              \
        1,                                                                                         \
        {                                                                                          \
            {                                                                                      \
                n, SCMP_CMP_EQ, value, 0                                                           \
            }                                                                                      \
        }                                                                                          \
    }
#define IS_BOTH(n, value, m, other)                                                                \
    {                                                                                              \
        2,                                                                                         \
        {                                                                                          \
            {n, SCMP_CMP_EQ, value, 0},                                                            \
            {                                                                                      \
                m, SCMP_CMP_EQ, other, 0                                                           \
            }                                                                                      \
        }                                                                                          \
    }
#define ALL_OF(n, mask)  MASKED(n, mask, mask)
#define NONE_OF(n, mask) MASKED(n, mask, 0)
#define OURS(n)          IS(n, STASIS_FILTER_PID)

static const struct row {
    const char *call;
    const char *threads;
    int error; /* that it fails with; 0: it is made */
    struct check check;
    const char *arguments;
    const char *reason;
} rows[] = {
#define STASIS_CALL(name, threads, arguments, reason)                                              \
    {#name, threads, 0, arguments, #arguments, reason},
#define STASIS_CALL_FAILS(name, threads, error, reason)                                            \
    {#name, threads, error, ANY, #error, reason},
#include "calls.def"
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* A filter that lies on that of the first thread need not repeat it. One that refuses the rest
 * lists few calls; the others list what is left, with arguments only where they are narrower. The
 * kernel compiles each filter, and tries it with every call, whenever it is installed. */
enum form { FIRST, ALLOWS, REFUSES };

static const struct kind {
    const char *letters; /* those of the rows that it has */
    enum form form;
    const char *name, *title;
} kinds[] = {
    {"O", FIRST, "open", "Opening a VM"},
    {"OCB", FIRST, "open_connecting", "The same, of a VM that connects to sockets"},
    {"L", REFUSES, "loop", "The event loop"},
    {"LC", REFUSES, "loop_connecting", "The same, of a VM that connects to sockets"},
    {"S", REFUSES, "save", "The thread that saves"},
    {"V", ALLOWS, "vcpu", "A vCPU"},
    {"R", ALLOWS, "ram", "A thread that loads or checks RAM"},
    {"I", ALLOWS, "io", "A device's thread"},
    {"M", ALLOWS, "metrics", "The thread that writes metrics every so often"},
    {"F", FIRST, "maker", "The process that makes files in folders of clients"},
};
static const char first[] = "OCB"; /* what the widest filter that one can lie on has */
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void die(const char *what, int rc)
{
    fprintf(stderr, "make_filters: %s: %s\n", what, strerror(rc < 0 ? -rc : rc));
    exit(1);
}

/* A thread has no more than the one that starts it, whose filter it inherits: O starts V, R, I, M
 * and becomes L, which starts S; and S starts R. Rows of C are for O and L alone, those of B for O.
 * F is a process of its own.
 */
static void check_rows(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *threads = rows[i].threads;
        bool inherits = rows[i].error || strcmp(threads, "C") == 0 || strcmp(threads, "B") == 0 ||
                        strcmp(threads, "F") == 0 ||
                        (strchr(threads, 'O') && (!strchr(threads, 'S') || strchr(threads, 'L')) &&
                         (!strchr(threads, 'R') || strchr(threads, 'S')));

        if (!inherits || seccomp_syscall_resolve_name(rows[i].call) == __NR_SCMP_ERROR)
            die(rows[i].call, EINVAL);
    }
}

static bool whole; /* each as if it lay on nothing, to be compared with what it is */

static bool has(const char *letters, const struct row *row)
{
    return strpbrk(row->threads, letters) != NULL;
}

static bool is_same_call(const struct row *a, const struct row *b)
{
    return strcmp(a->call, b->call) == 0;
}

/* Whether these threads have all rows of the call that the first one has. */
static bool has_all(const char *letters, const struct row *row)
{
    for (size_t i = 0; i < ROWS; i++)
        if (is_same_call(&rows[i], row) &&
            (rows[i].error || has(letters, &rows[i])) != (rows[i].error || has(first, &rows[i])))
            return false;
    return true;
}

static bool has_any(const char *letters, const struct row *row)
{
    for (size_t i = 0; i < ROWS; i++)
        if (is_same_call(&rows[i], row) && has(letters, &rows[i]))
            return true;
    return false;
}

static uint64_t mask_of(const struct scmp_arg_cmp *arg)
{
    return arg->op == SCMP_CMP_MASKED_EQ ? arg->datum_a : UINT64_MAX;
}

static uint64_t value_of(const struct scmp_arg_cmp *arg)
{
    return arg->op == SCMP_CMP_MASKED_EQ ? arg->datum_b : arg->datum_a;
}

/* Whether no call is of both rows, for an argument that both check. */
static bool are_disjoint(const struct check *a, const struct check *b)
{
    for (unsigned i = 0; i < a->count; i++)
        for (unsigned j = 0; j < b->count; j++)
            if (a->args[i].arg == b->args[j].arg &&
                (value_of(&a->args[i]) ^ value_of(&b->args[j])) & mask_of(&a->args[i]) &
                    mask_of(&b->args[j]))
                return true;
    return false;
}

/* What is refused must be nothing of what is left. */
static void check_refused(const char *letters, const struct row *row)
{
    for (size_t i = 0; i < ROWS; i++)
        if (is_same_call(&rows[i], row) && has(letters, &rows[i]) &&
            !are_disjoint(&rows[i].check, &row->check))
            die(row->call, EINVAL);
}

static int add(scmp_filter_ctx filter, uint32_t action, const struct row *row, bool any)
{
    return seccomp_rule_add_array(filter, action, seccomp_syscall_resolve_name(row->call),
                                  any ? 0 : row->check.count, row->check.args);
}

static int add_row(scmp_filter_ctx filter, const struct kind *kind, const struct row *row)
{
    const bool is_its_own = has(kind->letters, row);

    if (kind->form == REFUSES && !whole) {
        if (is_its_own || row->error || !has(first, row))
            return 0;
        check_refused(kind->letters, row);
        return add(filter, SCMP_ACT_TRAP, row, !has_any(kind->letters, row));
    }
    if (!is_its_own)
        return 0;
    return add(filter, row->error ? SCMP_ACT_ERRNO((uint16_t)row->error) : SCMP_ACT_ALLOW, row,
               !whole && kind->form == ALLOWS && !row->error && has_all(kind->letters, row));
}

static scmp_filter_ctx build(const struct kind *kind)
{
    scmp_filter_ctx filter =
        seccomp_init(kind->form == REFUSES && !whole ? SCMP_ACT_ALLOW : SCMP_ACT_TRAP);
    int rc = filter ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) : -ENOMEM;

    if (!rc)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (rc)
        die("seccomp_init", rc);
    for (size_t i = 0; i < ROWS; i++) {
        rc = add_row(filter, kind, &rows[i]);
        if (rc && rc != -EEXIST) /* of a call that is allowed, or refused, with any arguments */
            die(rows[i].call, rc);
    }
    return filter;
}

/* The number of instructions. */
static size_t export(const struct kind *kind, struct sock_filter code[], size_t room)
{
    scmp_filter_ctx filter = build(kind);
    FILE *file = tmpfile();
    size_t count;

    if (!file || seccomp_export_bpf(filter, fileno(file)))
        die("seccomp_export_bpf", errno);
    seccomp_release(filter);
    rewind(file);
    count = fread(code, sizeof(code[0]), room, file);
    fclose(file);
    if (!count || count == room)
        die("the filter is too long", E2BIG);
    return count;
}

static struct sock_filter code[STASIS_FILTER_MAX + 1];

static void print_filters(void)
{
    puts("/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause\n *\n"
         " * Made by make_filters.c of calls.def.\n */");
    for (size_t k = 0; k < KINDS; k++) {
        size_t count = export(&kinds[k], code, STASIS_FILTER_MAX + 1);

        printf("\nstatic const struct sock_filter %s_filter[] = {\n", kinds[k].name);
        for (size_t i = 0; i < count; i++)
            printf("    {0x%02x, %u, %u, 0x%x},\n", code[i].code, code[i].jt, code[i].jf,
                   code[i].k);
        puts("};");
    }
    puts("\nstatic const char *const call_names[] = {");
    for (int i = 0; i < 512; i++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);

        if (name)
            printf("    [%d] = \"%s\",\n", i, name);
        free(name);
    }
    puts("};");
}

static void print_tables(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        size_t calls = 0;

        for (size_t i = 0; i < ROWS; i++)
            calls += !rows[i].error && (strpbrk(rows[i].threads, kinds[k].letters) != NULL);
        printf("- %s (%s): %zu rows, %zu instructions\n", kinds[k].title, kinds[k].letters, calls,
               export(&kinds[k], code, STASIS_FILTER_MAX + 1));
    }
    puts("\n| call | threads | arguments | reason |\n|---|---|---|---|");
    for (size_t i = 0; i < ROWS; i++) {
        const char *mark = rows[i].check.count || rows[i].error ? "`" : "";

        printf("| `%s` | %s | %s%s%s%s | %s |\n", rows[i].call, rows[i].threads,
               rows[i].error ? "fails: " : "", mark, *mark ? rows[i].arguments : "any", mark,
               rows[i].reason);
    }
}

int main(int argc, char **argv)
{
    check_rows();
    whole = argc == 2 && strcmp(argv[1], "whole") == 0;
    if (argc == 2 && strcmp(argv[1], "tables") == 0)
        print_tables();
    else
        print_filters();
    return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
