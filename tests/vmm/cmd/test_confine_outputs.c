/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Outputs that root could write to before --sandbox gave up its capabilities. Each case is a child
 * that confines itself.
 */
#include "confine_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stasis_options.h"

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/stasis-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mkdir(in_folder("out"), 0700), 0);
    assert_int_equal(mkdir(in_folder("links"), 0700), 0);
    assert_int_equal(symlink("../out/target", in_folder("links/link")), 0);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const made[] = {"links/link", "out", "links", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        assert_int_equal(remove(in_folder(made[i])), 0);
    return 0;
}

/* What a layer lies on is read from its folder, or from another; of another snapshot only it is. */
static int reads_beside(void *arg)
{
    const struct stasis_vmm_config *config = arg;
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_REQUIRE, .end = confine_end};
    struct stasis_error err = {0};
    int fd;

    if (stasis_confine_begin(&confinement, config, NULL, &err))
        return CHILD_SKIPS;
    fd = open(config->restore.path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || open(in_folder("out/other"), O_WRONLY | O_CLOEXEC) >= 0)
        return 4;
    return open(in_folder("out/other"), O_RDONLY | O_CLOEXEC) < 0;
}

static void write_features(const char *path, char features)
{
    const char header[25] = {[24] = features};
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(header, sizeof(header), 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static void what_a_layer_lies_on_can_be_read(void **state)
{
    const char *path = in_folder("out/snap");
    struct stasis_vmm_config config = {.restore.path = path};
    int status;

    (void)state;
    make_file(in_folder("out/other"));
    write_features(path, 0x18);
    status = in_child(reads_beside, &config);
    if (status != CHILD_SKIPS) {
        assert_int_equal(status, 0);
        write_features(path, 0x08);
        assert_int_equal(in_child(reads_beside, &config), 1);
        config.restore.layers = in_folder("out");
        assert_int_equal(in_child(reads_beside, &config), 0);
    }
    assert_int_equal(unlink(in_folder("out/other")) || unlink(in_folder("out/snap")), 0);
    if (status == CHILD_SKIPS)
        skip();
}

static int confines(void *arg)
{
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_REQUIRE, .end = confine_end};
    struct stasis_error err = {0};

    return stasis_confine_begin(&confinement, arg, NULL, &err) ? CHILD_SKIPS : 0;
}

/* Who writes to it would take the close for its end. */
static void a_pipe_is_not_opened_to_be_looked_at(void **state)
{
    struct stasis_vmm_config config = {.restore.path = in_folder("out/pipe")};
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    struct inotify_event event;
    int status;

    (void)state;
    assert_int_equal(mkfifo(config.restore.path, 0600), 0);
    assert_true(inotify_add_watch(watch, config.restore.path, IN_OPEN) > 0);
    status = in_child(confines, &config);
    assert_int_equal(read(watch, &event, sizeof(event)), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(close(watch) || unlink(config.restore.path), 0);
    if (status == CHILD_SKIPS)
        skip();
    assert_int_equal(status, 0);
}

/* Root, whose outputs only its capabilities can write to. */
static int refuses(const struct stasis_vmm_config *wanted, const char *words, const char *remedy)
{
    static const struct stasis_control_config no_control;
    struct stasis_vmm_config config = *wanted;
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_ON, .end = confine_end};
    struct stasis_error err = {0};

    config.kvm_fd = STDIN_FILENO + 3; /* as one that opens a VM */
    if (stasis_confine_begin(&confinement, &config, &no_control, &err))
        return 1;
    if (stasis_confine_opened(&confinement, &config, &err) != STASIS_ERR_ARG)
        return 2;
    return strstr(err.msg, words) && strstr(err.msg, remedy) ? 0 : 3;
}

#define AS_OWNER "run vmm as the folder's owner"

static int needs_the_folder(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true, .snapshot.path = arg};

    return refuses(&config, "--snapshot-out", AS_OWNER);
}

static int needs_the_folder_for_metrics(void *arg)
{
    const struct stasis_vmm_config config = {
        .demo = true, .metrics_path = arg, .metrics_every_ms = 100};

    return refuses(&config, "--metrics", AS_OWNER);
}

static int needs_a_sticky_folder(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true, .snapshot.path = arg};

    return refuses(&config, "its folder is sticky", AS_OWNER);
}

static void output_that_takes_a_capability_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(in_folder("out"), 1, 1), 0);
    assert_int_equal(in_child(needs_the_folder, (void *)(uintptr_t)in_folder("out/guest")), 0);
    assert_int_equal(in_child(needs_the_folder, (void *)(uintptr_t)in_folder("links/link")), 0);
    assert_int_equal(
        in_child(needs_the_folder_for_metrics, (void *)(uintptr_t)in_folder("out/metrics")), 0);
    make_file(in_folder("out/guest"));
    assert_int_equal(chown(in_folder("out/guest"), 2, 2) || chmod(in_folder("out"), 01777), 0);
    assert_int_equal(in_child(needs_a_sticky_folder, (void *)(uintptr_t)in_folder("out/guest")), 0);
    assert_int_equal(unlink(in_folder("out/guest")), 0);
    assert_int_equal(chown(in_folder("out"), 0, 0) || chmod(in_folder("out"), 0700), 0);
}

static int needs_a_socket_of_others(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true, .net.passt = arg};

    return refuses(&config, "passt could not be connected to again", "run both as one user");
}

static void passt_that_takes_a_capability_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make_file(in_folder("passt"));
    assert_int_equal(chown(in_folder("passt"), 1, 1), 0);
    assert_int_equal(in_child(needs_a_socket_of_others, (void *)(uintptr_t)in_folder("passt")), 0);
    assert_int_equal(unlink(in_folder("passt")), 0);
}

/* The folder of a link need not be theirs, whoever they are: only what it leads to counts. */
static int writes_behind_a_link(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true, .snapshot.path = arg};
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_ON, .end = confine_end};
    struct stasis_error err = {0};

    if (geteuid() == 0 && (setgid(1) || setuid(1)))
        return 1;
    if (stasis_confine_begin(&confinement, &config, NULL, &err) ||
        stasis_confine_opened(&confinement, &config, &err))
        return 2;
    stasis_confine_fini(&confinement);
    return 0;
}

static void folder_of_a_link_need_not_be_writable(void **state)
{
    bool root = geteuid() == 0;

    (void)state;
    assert_int_equal(chmod(in_folder("links"), 0555) || chmod(in_folder(""), 0755), 0);
    if (root)
        assert_int_equal(chown(in_folder("out"), 1, 1), 0);
    make_file(in_folder("out/target"));
    if (root)
        assert_int_equal(chown(in_folder("out/target"), 1, 1), 0);
    assert_int_equal(in_child(writes_behind_a_link, (void *)(uintptr_t)in_folder("links/link")), 0);
    assert_int_equal(unlink(in_folder("out/target")), 0);
    if (root)
        assert_int_equal(chown(in_folder("out"), 0, 0), 0);
    assert_int_equal(chmod(in_folder("links"), 0700), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_layer_lies_on_can_be_read),
        cmocka_unit_test(a_pipe_is_not_opened_to_be_looked_at),
        cmocka_unit_test(output_that_takes_a_capability_is_refused),
        cmocka_unit_test(passt_that_takes_a_capability_is_refused),
        cmocka_unit_test(folder_of_a_link_need_not_be_writable),
    };

    return !STASIS_WITH_SANDBOX ? 77 : cmocka_run_group_tests(tests, set_up, tear_down);
}
