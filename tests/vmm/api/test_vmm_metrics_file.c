/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The file of the metrics while the guest runs: a reader finds the old one or the whole new one.
 */
#include "tests/vmm/api/vmm_rig.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct vmm_rig rig;
static struct stasis_error err;
static char path[160];
static char text[65536];

static void open_rig(enum stasis_vmm_metrics_format format)
{
    vmm_rig_init(&rig);
    snprintf(path, sizeof(path), "%s", vmm_rig_path(&rig, "metrics.prom"));
    rig.config.metrics_path = path;
    rig.config.metrics_format = format;
    rig.config.metrics_every_ms = STASIS_VMM_METRICS_MS_MIN;
    vmm_rig_open(&rig);
}

static ino_t file_number(void)
{
    struct stat st;

    return stat(path, &st) ? 0 : st.st_ino;
}

static void assert_whole(void)
{
    size_t len = session_read_file(path, text, sizeof(text) - 1);

    text[len] = '\0';
    if (strncmp(text, "# TYPE stasis_", 14) != 0 || len < 6 ||
        strcmp(text + len - 6, "# EOF\n") != 0)
        fail_msg("%zu bytes, not whole: %s", len, text);
}

/* Nothing lies beside it that a collector of *.prom could find, nor anything else. */
static void assert_alone(void)
{
    DIR *dir = opendir(rig.folder.path);

    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] == '.' && strlen(entry->d_name) > 2)
            fail_msg("%s is left over", entry->d_name);
    closedir(dir);
}

static void readers_find_whole_files(void)
{
    unsigned changes = 0;
    ino_t last = 0;
    struct stat st;
    mode_t mask = umask(022);

    open_rig(STASIS_VMM_METRICS_OPENMETRICS);
    assert_int_equal(file_number(), 0); /* nothing is written before the start */
    vmm_rig_run(&rig);
    kvm_wait(file_number());
    while (changes < 20) {
        assert_whole();
        changes += file_number() != last;
        last = file_number();
    }
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644); /* others may read it */
    assert_non_null(strstr(text, "stasis_uptime_seconds "));
    stasis_vmm_stop(rig.vmm);
    vmm_rig_join(&rig);
    vmm_rig_fini(&rig);
    umask(mask);
}

/* What is written at the end is the last. */
static void the_end_has_the_last_word(void)
{
    ino_t last;

    open_rig(STASIS_VMM_METRICS_OPENMETRICS);
    vmm_rig_run(&rig);
    kvm_wait(file_number());
    stasis_vmm_stop(rig.vmm);
    vmm_rig_join(&rig);
    kvm_ok(stasis_vmm_write_metrics(rig.vmm, &err), &err);
    last = file_number();
    kvm_sleep_us(3 * 1000 * STASIS_VMM_METRICS_MS_MIN);
    assert_int_equal(file_number(), last);
    assert_whole();
    assert_alone();
    vmm_rig_fini(&rig);
}

/* Puts the file there. What was about to be written when it came may still replace it. */
static ino_t put_in_place(const char *file, unsigned before)
{
    ino_t number = 0;

    while (rig.messages == before) {
        assert_int_equal(link(file, vmm_rig_path(&rig, "spare")), 0);
        assert_int_equal(rename(vmm_rig_path(&rig, "spare"), path), 0);
        number = file_number();
        kvm_wait(rig.messages > before || file_number() != number);
    }
    assert_int_equal(unlink(file), 0);
    return number;
}

/* The rules of the gate hold each time; one message tells of a row of failures, and it goes on when
 * the place is free again. */
static void a_snapshot_in_its_place_is_kept(void)
{
    unsigned before;
    char snap[256];
    ino_t number;

    open_rig(STASIS_VMM_METRICS_JSON);
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    kvm_ok(
        stasis_vmm_snapshot(
            rig.vmm, &(struct stasis_snapshot_request){.path = vmm_rig_path(&rig, "snap")}, &err),
        &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, 1);
    before = rig.messages;
    snprintf(snap, sizeof(snap), "%s", vmm_rig_path(&rig, "snap"));
    number = put_in_place(snap, before);
    assert_non_null(strstr(rig.message, "metrics.path="));
    assert_non_null(strstr(rig.message, "it is a snapshot; name another file"));
    assert_non_null(strstr(rig.message, "; it is tried again every 10 ms"));
    kvm_sleep_us(3 * 1000 * STASIS_VMM_METRICS_MS_MIN);
    assert_int_equal(rig.messages, before + 1);
    assert_int_equal(file_number(), number);
    assert_int_equal(unlink(path), 0);
    kvm_wait(file_number());
    assert_alone();
    vmm_rig_fini(&rig); /* while it runs */
}

static void paths_that_cannot_be_are_refused(void)
{
    static const struct {
        const char *path;
        const char *words;
    } cases[] = {
        {"/dev/null", "metrics.path=/dev/null: it exists and is not a regular file"},
        {"/nodir/x", "metrics.path=/nodir/x: opening its folder"},
    };

    vmm_rig_init(&rig);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig.config.metrics_path = cases[i].path;
        rig.config.metrics_every_ms = STASIS_VMM_METRICS_MS_MIN;
        assert_int_equal(stasis_vmm_new(&rig.config, NULL, &rig.vmm, &err), STASIS_ERR_ARG);
        if (!strstr(err.msg, cases[i].words))
            fail_msg("case %zu: \"%s\" lacks \"%s\"", i, err.msg, cases[i].words);
    }
    vmm_rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(readers_find_whole_files),
        KVM_CASE(the_end_has_the_last_word),
        KVM_CASE(a_snapshot_in_its_place_is_kept),
        KVM_CASE(paths_that_cannot_be_are_refused),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
