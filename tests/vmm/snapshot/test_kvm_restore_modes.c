/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The program thaws its built-in guest in every mode; the guest has 48 MiB of random ballast that
 * it never touches. Chunks that are bad, files that are cut, replaced or removed beneath it.
 */
#include "vmm/session_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "state-ser/snap/ram_io.h"

#define BALLAST (48u << 20)

static const char *const modes[] = {"copy", "map", "lazy"};
#define MODES 3

static struct session session;
static struct session_folder folder;
static char restore[256], freeze[256], ballast[128];

/* ---- a guest to thaw ---- */

static void make_ballast(void)
{
    uint32_t *words = malloc(BALLAST);
    uint32_t x = 2463534242u;
    FILE *file;

    assert_non_null(words);
    for (size_t i = 0; i < BALLAST / 4; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        words[i] = x;
    }
    snprintf(ballast, sizeof(ballast), "%s/ballast", folder.path);
    file = fopen(ballast, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(words, BALLAST, 1, file), 1);
    fclose(file);
    free(words);
}

static void make_snapshot(void)
{
    session_folder_init(&folder);
    make_ballast();
    snprintf(freeze, sizeof(freeze), "%s,on_output=tick 1", folder.file);
    assert_int_equal(
        session_run(&session,
                    &(struct session_options){.args = {"--demo", "--memory", "128", "--initrd",
                                                       ballast, "--snapshot-out", freeze}}),
        0);
}

static bool has_mode(const char *mode)
{
    struct stasis_uffd uffd;

    if (strcmp(mode, "lazy") != 0)
        return true;
    if (stasis_uffd_open(0, &uffd)) {
        print_message("left out: userfaultfd is not permitted here\n");
        return false;
    }
    stasis_uffd_close(&uffd);
    return true;
}

/* `more`: further keys of --restore, each with a comma in front. */
static void thaw(const char *mode, const char *more)
{
    snprintf(restore, sizeof(restore), "path=%s,memory=%s%s", folder.file, mode, more);
    session_start(&session, &(struct session_options){
                                .args = {"--restore", restore, "--snapshot-out", folder.file}});
}

static void leave(void)
{
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
}

static void goes_on(void)
{
    unsigned seen = session_last_tick(&session);

    while (session_last_tick(&session) < seen + 2) {
        if (session.out < 0)
            fail_msg("it has ended: %s", session.err_text);
        session_pump(&session, 50);
    }
}

static void ends_with_chunk(uint64_t chunk, const char *why)
{
    char words[64];
    int status = session_end(&session);

    snprintf(words, sizeof(words), ": chunk %llu, guest address 0x", (unsigned long long)chunk);
    if (status != 3 || !strstr(session.err_text, words) || !strstr(session.err_text, why) ||
        !strstr(session.err_text, folder.file))
        fail_msg("status %d, not%s: %s", status, words, session.err_text);
}

/* ---- chunks ---- */

enum which { GUEST, BALLAST_MIDDLE, BALLAST_END };

/* A stored chunk: the one that holds the guest's code, or one of the ballast. */
static struct stasis_snap_chunk find_chunk(enum which which, uint64_t *ret_index)
{
    struct stasis_snap *snap = NULL;
    struct stasis_snap_chunk chunk = {0};
    struct stasis_error err;
    uint64_t raw = 0, i, at = 0;

    kvm_ok(stasis_snap_open(folder.file, NULL, &snap, &err), &err);
    for (i = 0; i < stasis_snap_chunk_count(snap); i++) {
        struct stasis_snap_chunk next = stasis_snap_chunk_at(snap, i);

        if (next.kind != STASIS_CHUNK_RAW)
            continue;
        raw++;
        if ((which == GUEST && next.gpa >= 0x100000 && !chunk.stored_len) ||
            (which == BALLAST_MIDDLE && raw == BALLAST / STASIS_CHUNK_SIZE / 2) ||
            which == BALLAST_END) {
            chunk = next;
            at = i;
        }
    }
    stasis_snap_free(snap);
    assert_int_equal(chunk.kind, STASIS_CHUNK_RAW);
    *ret_index = at;
    return chunk;
}

static uint64_t damage(enum which which)
{
    uint64_t index;
    struct stasis_snap_chunk chunk = find_chunk(which, &index);
    int fd = open(folder.file, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)chunk.offset + 77), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)chunk.offset + 77), 1);
    close(fd);
    return index;
}

/* ---- cases ---- */

static void goes_on_in_every_mode(void)
{
    make_snapshot();
    for (unsigned m = 0; m < MODES; m++) {
        if (!has_mode(modes[m]))
            continue;
        for (unsigned background = 0; background < 2; background++) {
            thaw(modes[m], background ? "" : ",prefetch=off");
            goes_on();
            leave();
        }
    }
    session_folder_fini(&folder);
}

/* Each freezes onto the file it came from: at once, while memory is still on its way. */
static void generations_onto_one_file(void)
{
    unsigned count = 1;

    make_snapshot();
    for (unsigned g = 0; g < 9; g++) {
        if (!has_mode(modes[g % MODES]))
            continue;
        snprintf(restore, sizeof(restore), "path=%s,memory=%s", folder.file, modes[g % MODES]);
        snprintf(freeze, sizeof(freeze), "path=%s,after_ms=%u", folder.file, g < 6 ? 0 : 300);
        assert_int_equal(
            session_run(&session, &(struct session_options){.args = {"--restore", restore,
                                                                     "--snapshot-out", freeze}}),
            0);
        count++;
    }
    thaw("auto", "");
    session_wait_err(&session, "generation ");
    assert_int_equal(strtoul(strstr(session.err_text, "generation ") + 11, NULL, 10), count);
    goes_on();
    leave();
    session_folder_fini(&folder);
}

/* The guest goes on after each freeze, and each file is whole. */
static void freezes_while_it_loads(void)
{
    make_snapshot();
    for (unsigned m = 0; m < MODES; m++) {
        struct stasis_snap *snap = NULL;
        struct stasis_error err;

        if (!has_mode(modes[m]))
            continue;
        snprintf(restore, sizeof(restore), "path=%s,memory=%s", folder.file, modes[m]);
        snprintf(freeze, sizeof(freeze), "path=%s,after_ms=0,then=resume", folder.file);
        session_start(&session, &(struct session_options){
                                    .args = {"--restore", restore, "--snapshot-out", freeze}});
        session_wait_err(&session, "frozen to ");
        goes_on();
        leave();
        kvm_ok(stasis_snap_open(folder.file, NULL, &snap, &err), &err);
        kvm_ok(stasis_snap_verify(snap, 0, NULL, NULL, &err), &err);
        assert_true(stasis_snap_info(snap)->stored_bytes > BALLAST);
        stasis_snap_free(snap);
    }
    session_folder_fini(&folder);
}

static void a_bad_chunk_of_the_guest(void)
{
    uint64_t bad;

    make_snapshot();
    bad = damage(GUEST);
    for (unsigned m = 0; m < MODES; m++) {
        if (!has_mode(modes[m]))
            continue;
        thaw(modes[m], "");
        ends_with_chunk(bad, "damaged");
        if (strcmp(modes[m], "map") != 0)
            assert_int_equal(session.out_len, 0);
    }
    session_folder_fini(&folder);
}

static void a_bad_chunk_that_nobody_touches(void)
{
    uint64_t bad;

    make_snapshot();
    bad = damage(BALLAST_MIDDLE);
    for (unsigned m = 0; m < MODES; m++) {
        if (!has_mode(modes[m]))
            continue;
        thaw(modes[m], "");
        ends_with_chunk(bad, "damaged (CRC)");
    }
    for (unsigned m = 1; m < MODES; m++) {
        if (!has_mode(modes[m]))
            continue;
        thaw(modes[m], ",prefetch=off");
        goes_on();
        leave();
    }
    session_folder_fini(&folder);
}

/* At once, before the background can have met the chunk; to a new file, which is not made. */
static void freeze_at_once(uint64_t bad, const char *mode, const char *more)
{
    char new[128];

    snprintf(new, sizeof(new), "%s/new.snap", folder.path);
    snprintf(freeze, sizeof(freeze), "path=%s,after_ms=0", new);
    snprintf(restore, sizeof(restore), "path=%s,memory=%s%s", folder.file, mode, more);
    session_start(&session, &(struct session_options){
                                .args = {"--restore", restore, "--snapshot-out", freeze}});
    ends_with_chunk(bad, "damaged");
    assert_int_not_equal(access(new, F_OK), 0);
}

/* A save verifies all memory: the bad chunk ends it, and the file stays what it was. */
static void a_bad_chunk_met_by_a_save(void)
{
    uint64_t bad;

    make_snapshot();
    bad = damage(BALLAST_MIDDLE);
    for (unsigned m = 1; m < MODES; m++) {
        if (!has_mode(modes[m]))
            continue;
        thaw(modes[m], ",prefetch=off");
        goes_on();
        assert_int_equal(kill(session.pid, SIGUSR1), 0);
        ends_with_chunk(bad, "damaged");
        assert_int_equal(find_chunk(BALLAST_MIDDLE, &bad).kind, STASIS_CHUNK_RAW);
        freeze_at_once(bad, modes[m], "");
        freeze_at_once(bad, modes[m], ",prefetch=off");
    }
    session_folder_fini(&folder);
}

static void the_file_is_cut(void)
{
    uint64_t guest, end;

    for (unsigned m = 1; m < MODES; m++) {
        off_t at;

        if (!has_mode(modes[m]))
            continue;
        make_snapshot();
        (void)find_chunk(BALLAST_END, &end);
        at = (off_t)find_chunk(BALLAST_END, &end).offset;
        thaw(modes[m], ",prefetch=off");
        goes_on();
        assert_int_equal(truncate(folder.file, at), 0);
        goes_on(); /* the guest does not use it, a save does */
        assert_int_equal(kill(session.pid, SIGUSR1), 0);
        ends_with_chunk(end, "shorter");
        session_folder_fini(&folder);
    }
    make_snapshot();
    (void)find_chunk(GUEST, &guest);
    thaw("map", ",prefetch=off");
    goes_on();
    assert_int_equal(truncate(folder.file, 0), 0);
    assert_int_equal(session_end(&session), 3);
    assert_non_null(strstr(session.err_text, "the file has become shorter"));
    session_folder_fini(&folder);
}

static void the_file_is_replaced_and_removed(void)
{
    for (unsigned m = 1; m < MODES; m++) {
        if (!has_mode(modes[m]))
            continue;
        make_snapshot();
        thaw(modes[m], "");
        session_wait_err(&session, "thawed ");
        assert_int_equal(rename(ballast, folder.file), 0);
        goes_on();
        assert_int_equal(unlink(folder.file), 0);
        goes_on();
        leave();
        session_folder_fini(&folder);
    }
}

/* ---- where userfaultfd is not permitted ---- */

#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, at))
#define SKIP_UNLESS(value, n)                                                                      \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, (uint8_t)(n))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))

/* This process and its children: neither the system call nor the device's ioctl. */
static void forbid_userfaultfd(void)
{
    struct sock_filter rules[] = {
        LOAD(nr),
        SKIP_UNLESS(SYS_userfaultfd, 1),
        RETURN(SECCOMP_RET_ERRNO | EPERM),
        LOAD(nr),
        SKIP_UNLESS(SYS_ioctl, 3),
        LOAD(args[1]),
        SKIP_UNLESS(0xaa00, 1),
        RETURN(SECCOMP_RET_ERRNO | EPERM),
        RETURN(SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof(rules) / sizeof(rules[0]), rules};

    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    assert_false(has_mode("lazy"));
}

static void without_userfaultfd_it_is_copied(void)
{
    static const char *const wished[] = {"auto", "lazy"};

    make_snapshot();
    forbid_userfaultfd();
    for (unsigned i = 0; i < 2; i++) {
        thaw(wished[i], "");
        goes_on();
        leave();
        assert_non_null(strstr(session.err_text, "userfaultfd is not permitted"));
        assert_non_null(strstr(session.err_text, "memory=copy instead of lazy\n"));
    }
    (void)damage(BALLAST_MIDDLE);
    thaw("lazy", "");
    assert_int_equal(session_end(&session), 3);
    assert_int_equal(session.out_len, 0);
    session_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(goes_on_in_every_mode),
        KVM_CASE(generations_onto_one_file),
        KVM_CASE(freezes_while_it_loads),
        KVM_CASE(a_bad_chunk_of_the_guest),
        KVM_CASE(a_bad_chunk_that_nobody_touches),
        KVM_CASE(a_bad_chunk_met_by_a_save),
        KVM_CASE(the_file_is_cut),
        KVM_CASE(the_file_is_replaced_and_removed),
        KVM_CASE(without_userfaultfd_it_is_copied),
    };

    return kvm_missing() ? STASIS_TEST_SKIPPED : cmocka_run_group_tests(tests, NULL, NULL);
}
