/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the log says of each event of a VM's life; host/test_log.c has the writing.
 */
#include "support/cmocka_all.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"

static struct stasis_vmm vmm;
static struct stasis_vmm_config config;
static struct stasis_error err;
static int reader, writer;

static void open_log(enum stasis_vmm_log_level level)
{
    config.log = (struct stasis_vmm_log){level, writer, STASIS_VMM_LOG_TIME_OFF};
    assert_int_equal(stasis_vmm_log_open(&vmm, &err), 0);
}

static int set_up(void **state)
{
    int fds[2];

    (void)state;
    memset(&vmm, 0, sizeof(vmm));
    memset(&config, 0, sizeof(config));
    vmm.config = &config;
    if (pipe(fds))
        return -1;
    reader = fds[0];
    writer = fds[1];
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_log_close(vmm.log);
    close(reader);
    close(writer);
    return 0;
}

static const char *logged(void)
{
    static char text[4096];
    struct pollfd ready = {.fd = reader, .events = POLLIN};
    ssize_t len = poll(&ready, 1, 0) == 1 ? read(reader, text, sizeof(text) - 1) : 0;

    text[len] = '\0';
    return text;
}

static void tell(const struct stasis_vmm_event *event)
{
    stasis_vmm_tell(&vmm, event);
}

static void a_life(void)
{
    const struct stasis_save_stats stats = {.file_bytes = 4096};
    const struct stasis_vmm_end end = {.reason = STASIS_VMM_FROZEN};

    vmm.generation = 3;
    vmm.machine.vcpu_count = 2;
    vmm.metrics.times = (struct stasis_freeze_times){1, 2, 3, 4};
    stasis_vmm_log_opened(&vmm);
    tell(&(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_RUNNING});
    tell(&(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_PAUSED});
    tell(&(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_SAVING, .path = "a.snap"});
    tell(&(struct stasis_vmm_event){
        .kind = STASIS_VMM_EVENT_SAVED, .path = "a.snap", .stats = &stats, .pause_us = 11});
    tell(&(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_KEYS, .text = "keys\n"});
    tell(&(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_ENDING});
    tell(&(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_ENDED, .end = &end});
}

static void a_life_is_logged(void **state)
{
    (void)state;
    open_log(STASIS_VMM_LOG_INFO);
    a_life();
    assert_string_equal(
        logged(), "info: opened: a new guest, generation 3, vCPUs: 2, RAM: 0 MiB\n"
                  "info: running\n"
                  "info: paused\n"
                  "info: freeze begun: a.snap\n"
                  "info: freeze ended: a.snap, 11 us (stop 1, collect 2, write 3, sync 4), 4096 "
                  "bytes\n"
                  "info: ended: the guest was frozen\n");
}

static void a_thaw_names_its_file(void **state)
{
    (void)state;
    config.restore.path = "b\nc.snap";
    open_log(STASIS_VMM_LOG_INFO);
    stasis_vmm_log_opened(&vmm);
    assert_string_equal(logged(), "info: opened: thawed from b\\x0ac.snap, generation 0, vCPUs: 0, "
                                  "RAM: 0 MiB\n");
}

/* The levels of what goes wrong. */
static void trouble(void)
{
    const struct stasis_vmm_guest_error error = {
        .kind = "bad_width", .text = "read of 2 bytes", .suppressed = 8};
    struct stasis_error cancelled, failed;
    struct stasis_vmm_end end = {.reason = STASIS_VMM_CRASHED};

    (void)stasis_fail(&cancelled, STASIS_ERR_CANCELLED, "cancelled");
    (void)stasis_fail(&failed, STASIS_ERR_WRITE, "a.snap: no room");
    (void)stasis_fail(&end.crash, STASIS_ERR_GUEST, "triple fault");
    (void)stasis_fail(&end.missing, STASIS_ERR_NO_SNAPSHOT, "no snapshot");
    tell(&(struct stasis_vmm_event){
        .kind = STASIS_VMM_EVENT_SAVE_FAILED, .path = "a.snap", .err = &cancelled});
    tell(&(struct stasis_vmm_event){
        .kind = STASIS_VMM_EVENT_SAVE_FAILED, .path = "a.snap", .err = &failed});
    tell(&(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_GUEST_ERROR, .guest_error = &error});
    tell(&(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_ENDED, .end = &end});
}

static void trouble_has_a_level(void **state)
{
    (void)state;
    open_log(STASIS_VMM_LOG_WARN);
    a_life();
    trouble();
    assert_string_equal(logged(),
                        "warn: freeze cancelled: a.snap: cancelled\n"
                        "error: freeze failed: a.snap: no room\n"
                        "warn: guest error: bad_width: read of 2 bytes; not shown before it: 8\n"
                        "error: triple fault\n"
                        "error: no snapshot\n");
}

static void messages_are_for_debugging(void **state)
{
    (void)state;
    open_log(STASIS_VMM_LOG_DEBUG);
    stasis_vmm_say(&vmm, "hello %d", 5);
    assert_string_equal(logged(), "debug: message: hello 5\n");
}

static void without_a_level_there_is_no_log(void **state)
{
    (void)state;
    open_log(STASIS_VMM_LOG_NONE);
    assert_null(vmm.log);
    a_life();
    trouble();
    assert_string_equal(logged(), "");
}

static void a_closed_descriptor_is_refused(void **state)
{
    (void)state;
    config.log = (struct stasis_vmm_log){.level = STASIS_VMM_LOG_INFO, .fd = 999};
    assert_int_equal(stasis_vmm_log_open(&vmm, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "the log cannot be written: descriptor 999 is not open"));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_life_is_logged),
        CASE(a_thaw_names_its_file),
        CASE(trouble_has_a_level),
        CASE(messages_are_for_debugging),
        CASE(without_a_level_there_is_no_log),
        CASE(a_closed_descriptor_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
