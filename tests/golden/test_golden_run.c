/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The guests in the golden snapshots of every release run on: the nonce that is in their memory
 * alone is still there, and the ticks go on behind the last one they had printed. A dry run says
 * what comes. Where this host's TSC runs at another rate and KVM cannot scale it, guests whose CPU
 * shows a rate are refused until --ignore tsc-rate is given; where the host lacks a feature of a
 * guest's CPU, the guest is left out, which no processor with KVM of its own has a reason for.
 */
#include <cpuid.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "expect.h"
#include "golden_files.h"
#include "stasis/migrate.h"
#include "vmm/arch/x86/x86.h"

struct run {
    const char *name; /* of the snapshot */
    char restore[PATH_MAX + 64];
    char options[GOLDEN_OPTIONS_MAX][PATH_MAX + 128];
    struct golden_expect expect;
    struct session session;
    bool powers_off;
};

static struct golden_files files;
static struct run runs[GOLDEN_GUESTS_MAX + 2];
static unsigned run_count, ran, left_out;

/* ---- what the host has, and the guest needs ---- */

/* Of x86-64-v2 (x86-64 psABI, 3.1.1); of v3 nothing more is asked for here. */
#define V2_ECX (bit_SSE3 | bit_SSSE3 | bit_CMPXCHG16B | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT)

static bool may_lack_features(const char *cpu_model)
{
    unsigned eax, ebx, ecx = 0, edx, more = 0;
    bool has_kvm;

    if (!strcmp(cpu_model, "baseline"))
        return false;
    assert_true(__get_cpuid(1, &eax, &ebx, &ecx, &edx));
    __get_cpuid(0x80000001, &eax, &ebx, &more, &edx);
    has_kvm = ecx & (1u << 5) || more & (1u << 2); /* VMX; SVM */
    return !has_kvm || (ecx & V2_ECX) != V2_ECX || strcmp(cpu_model, "x86-64-v2") != 0;
}

/* The board of the snapshot, and whether this host gives guests a TSC of its rate. */
static bool look(const char *path, struct stasis_board_state *ret_board)
{
    static struct kvm_guest guest;
    static struct stasis_x86_cpuid_state cpuid;
    struct stasis_x86_tsc_state golden, here;
    struct stasis_snap *snap = NULL;
    struct stasis_error err;
    bool has;

    kvm_ok(stasis_snap_open(path, NULL, &snap, &err), &err);
    kvm_record(snap, &stasis_x86_tsc_schema, "cpu0", &golden);
    kvm_record(snap, &stasis_x86_cpuid_schema, "cpu0", &cpuid);
    kvm_record(snap, &stasis_board_schema, "vm", ret_board);
    stasis_snap_free(snap);
    if (!stasis_x86_cpuid_needs_tsc_rate(&cpuid))
        return true;
    kvm_guest_init(&guest, NULL);
    stasis_state_init(&stasis_x86_tsc_schema, &here);
    kvm_ok(stasis_x86_tsc_part.get(&guest.machine.vcpus[0], &here, &err), &err);
    has = guest.machine.kvm.has_tsc_control || stasis_x86_tsc_close(here.khz, golden.khz);
    kvm_guest_fini(&guest);
    return has;
}

/* ---- one guest ---- */

/* Behind --restore and what the snapshot needs, these two. */
static struct session_options options_of(const struct run *run, const char *key, const char *value)
{
    struct session_options options = {.args = {"--restore", run->restore}};
    unsigned count = 2;

    for (unsigned i = 0; i < run->expect.option_count; i++)
        options.args[count++] = run->options[i];
    options.args[count++] = key;
    options.args[count++] = value;
    assert_true(count < SESSION_ARGS_MAX);
    return options;
}

/* @ is the folder. */
static void fill_option(const char *text, char *to, size_t size)
{
    size_t len = 0;

    for (; *text; text++)
        len += (size_t)snprintf(to + len, size - len, "%.*s", *text == '@' ? INT_MAX : 1,
                                *text == '@' ? files.folder.path : text);
    assert_true(len < size);
}

static int dry_run(struct run *run)
{
    struct session_options options = options_of(run, "--dry-run", "json");

    return session_run(&run->session, &options);
}

static bool foretells(const struct run *run, const char *kind)
{
    char words[64];

    snprintf(words, sizeof(words), "\"kind\": \"%s\",", kind);
    return strstr(run->session.out_text, words) != NULL;
}

static void is_refused(struct run *run, const char *words)
{
    struct session_options options = options_of(run, NULL, NULL);

    assert_int_equal(session_run(&run->session, &options), 4);
    session_assert_one_line(&run->session, words);
}

/* False: it is left out. */
static bool start(struct run *run)
{
    struct session_options options = options_of(run, NULL, NULL);
    struct stasis_board_state board;
    char path[PATH_MAX];
    bool has_rate;
    int said;

    snprintf(path, sizeof(path), "%s/%s.snap", files.folder.path, run->name);
    has_rate = look(path, &board);
    run->powers_off = stasis_board_find(&board, stasis_acpi_pm_schema.type, STASIS_BUS_PIO) != NULL;
    said = dry_run(run);
    if (may_lack_features(board.cpu_model) && foretells(run, "cpu-feature")) {
        is_refused(run, "lacks");
        print_message("%s left out: this host lacks features of %s\n", run->name, board.cpu_model);
        return false;
    }
    if (said != (has_rate ? 0 : 4) || foretells(run, "tsc-rate") == has_rate)
        fail_msg("%s: %s%s", run->name, run->session.out_text, run->session.err_text);
    if (!has_rate) {
        is_refused(run, "by --ignore tsc-rate");
        options = options_of(run, "--ignore", "tsc-rate");
    }
    session_start(&run->session, &options);
    return true;
}

static void finish(struct run *run)
{
    char want[96];

    for (unsigned i = 2; i <= 3; i++) {
        snprintf(want, sizeof(want), "tick %u nonce=%s", run->expect.tick + i, run->expect.nonce);
        session_wait_out(&run->session, want);
    }
    session_type(&run->session, "q");
    assert_int_equal(session_end(&run->session), run->powers_off ? 0 : SESSION_RESET);
}

/* ---- all of a release ---- */

static void add(const char *name, const char *memory)
{
    struct run *run = &runs[run_count++];
    char path[PATH_MAX];

    *run = (struct run){.name = name};
    snprintf(path, sizeof(path), "%s/%s.expect", files.folder.path, name);
    assert_true(golden_expect_read(path, &run->expect));
    snprintf(run->restore, sizeof(run->restore), "path=%s/%s.snap,memory=%s", files.folder.path,
             name, memory);
    for (unsigned i = 0; i < run->expect.option_count; i++)
        fill_option(run->expect.options[i], run->options[i], sizeof(run->options[i]));
}

/* A passt that takes what comes into its socket's buffer, and says nothing. */
static int listen_as_passt(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/passt", files.folder.path);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

/* They wait for their ticks at the same time, but for those of guest.c, which use a processor each.
 */
static void run_all(void)
{
    bool waits[GOLDEN_GUESTS_MAX + 2];

    for (unsigned i = 0; i < run_count; i++) {
        waits[i] = start(&runs[i]);
        ran += waits[i];
        left_out += !waits[i];
        if (waits[i] && runs[i].expect.option_count) {
            finish(&runs[i]);
            waits[i] = false;
        }
    }
    for (unsigned i = 0; i < run_count; i++)
        if (waits[i])
            finish(&runs[i]);
}

static void run_release(const char *release)
{
    int passt;

    golden_files_init(&files, release);
    passt = listen_as_passt();
    run_count = 0;
    for (unsigned i = 0; i < files.count; i++)
        add(files.guests[i], "copy");
    add("demo", "map");
    add("demo", "auto");
    run_all();
    close(passt);
    golden_files_fini(&files);
}

static void every_golden_guest_runs(void)
{
    size_t count;
    const struct stasis_release *all = stasis_release_all(&count);

    for (size_t i = 0; i < count; i++)
        run_release(all[i].name);
    assert_true(ran >= 5 * count);
    print_message("%u golden guests of %zu releases ran on, %u left out\n", ran, count, left_out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(every_golden_guest_runs),
    };

    return kvm_missing() ? kvm_missing() : cmocka_run_group_tests(tests, NULL, NULL);
}
