/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The guests in the golden snapshots of every release run on: the nonce that is in their memory
 * alone is still there, and the ticks go on behind the last one they had printed. Where this host's
 * TSC runs at another rate and KVM cannot scale it, they are refused until --ignore tsc-rate is
 * given.
 *
 * The files lie in STASIS_GOLDEN_DIR, or, where this runs elsewhere, beside the program under the
 * name <release>-<file>.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session_rig.h"
#include "stasis/migrate.h"
#include "vmm/arch/x86/x86.h"

static const char *const names[] = {"demo", "demo-zlib", "demo-stream"};
#define NAMES (sizeof(names) / sizeof(names[0]))

static unsigned ran;

static void find(char path[PATH_MAX], const char *release, const char *name, const char *suffix)
{
    char self[PATH_MAX - 128];
    ssize_t len;

    snprintf(path, PATH_MAX, STASIS_GOLDEN_DIR "/%s/%s.%s", release, name, suffix);
    if (!access(path, R_OK))
        return;
    len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(len > 0);
    self[len] = '\0';
    *strrchr(self, '/') = '\0';
    snprintf(path, PATH_MAX, "%s/%s-%s.%s", self, release, name, suffix);
    if (access(path, R_OK))
        fail_msg("there is no golden snapshot %s", path);
}

/* Whether this host gives guests a TSC of the snapshot's rate. */
static bool has_rate(const char *path)
{
    static struct kvm_guest guest;
    struct stasis_x86_tsc_state golden, here;
    struct stasis_snap *snap = NULL;
    struct stasis_error err;
    bool has;

    kvm_ok(stasis_snap_open(path, NULL, &snap, &err), &err);
    kvm_record(snap, &stasis_x86_tsc_schema, "cpu0", &golden);
    stasis_snap_free(snap);
    kvm_guest_init(&guest, NULL);
    stasis_state_init(&stasis_x86_tsc_schema, &here);
    kvm_ok(stasis_x86_tsc_part.get(&guest.machine.vcpus[0], &here, &err), &err);
    has = guest.machine.kvm.has_tsc_control || stasis_x86_tsc_close(here.khz, golden.khz);
    kvm_guest_fini(&guest);
    return has;
}

static void is_refused(struct session *session, const char *restore)
{
    assert_int_equal(
        session_run(session, &(struct session_options){.args = {"--restore", restore}}), 4);
    session_assert_one_line(session, "by --ignore tsc-rate");
}

/* What a dry run says comes true. */
static void is_foretold(struct session *session, const char *restore, bool runs)
{
    const char *const args[] = {"--restore", restore, "--dry-run", "json", NULL};
    struct session_options options = {0};

    memcpy(options.args, args, sizeof(args));
    assert_int_equal(session_run(session, &options), runs ? 0 : 4);
    assert_non_null(
        strstr(session->out_text, runs ? "\"reasons\": []," : "\"kind\": \"tsc-rate\","));
}

static void run_guest(const char *release, const char *name, const char *memory)
{
    static struct session session;
    char snap[PATH_MAX], expect[PATH_MAX], restore[PATH_MAX + 64], line[128], want[160];
    char nonce[33], *end;
    unsigned tick;

    find(snap, release, name, "snap");
    find(expect, release, name, "expect");
    memset(line, 0, sizeof(line));
    assert_true(session_read_file(expect, line, sizeof(line) - 1) > 0);
    assert_int_equal(strncmp(line, "tick ", 5), 0);
    tick = (unsigned)strtoul(line + 5, &end, 10);
    assert_int_equal(strncmp(end, " nonce=", 7), 0);
    snprintf(nonce, sizeof(nonce), "%s", end + 7);
    snprintf(restore, sizeof(restore), "path=%s,memory=%s", snap, memory);
    is_foretold(&session, restore, has_rate(snap));
    if (has_rate(snap)) {
        session_start(&session, &(struct session_options){.args = {"--restore", restore}});
    } else {
        is_refused(&session, restore);
        session_start(&session, &(struct session_options){
                                    .args = {"--restore", restore, "--ignore", "tsc-rate"}});
    }
    snprintf(want, sizeof(want), "tick %u nonce=%s", tick + 2, nonce);
    session_wait_out(&session, want);
    snprintf(want, sizeof(want), "tick %u nonce=%s", tick + 3, nonce);
    session_wait_out(&session, want);
    session_type(&session, "q");
    assert_int_equal(session_end(&session), SESSION_RESET); /* their boards cannot power off */
    ran++;
}

static void every_golden_guest_runs(void)
{
    size_t count;
    const struct stasis_release *all = stasis_release_all(&count);

    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n < NAMES; n++)
            run_guest(all[i].name, names[n], "copy");
        run_guest(all[i].name, "demo", "map");
        run_guest(all[i].name, "demo", "auto");
    }
    assert_true(count > 0);
    assert_int_equal(ran, count * (NAMES + 2));
    print_message("%u golden guests ran on\n", ran);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(every_golden_guest_runs),
    };

    return kvm_missing() ? kvm_missing() : cmocka_run_group_tests(tests, NULL, NULL);
}
