/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The built-in guest on several vCPUs: it starts them, and every one's own counter advances, before
 * a freeze and after it.
 */
#include "vmm/session_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/clock.h"

#define CPUS_MAX    254
#define PATIENCE_NS (UINT64_C(300) * 1000000000)

static struct session session;
static struct session_folder folder;
static char arg[256];

/* What the last whole tick line says: counters[1] and so on, or their sums. */
struct counters {
    unsigned long cpu[CPUS_MAX];
    unsigned long cpus, sum, min, max;
};

static const char *last_line(const char *text)
{
    const char *last = NULL;

    for (const char *at = text; (at = strstr(at, "tick ")); at++) {
        if (strchr(at, '\n'))
            last = at;
    }
    return last;
}

static bool take(const char **at, const char *name, unsigned long *ret_number)
{
    size_t len = strlen(name);
    char *end;

    if (strncmp(*at, name, len) != 0)
        return false;
    *ret_number = strtoul(*at + len, &end, 10);
    *at = end;
    return true;
}

/* The format is the manual's, and nothing else is in the line. */
static bool parse(const char *line, unsigned cpus, struct counters *counters)
{
    const char *at = strstr(line, " rtc=");
    unsigned long rtc;
    char name[32];

    if (!at || !take(&at, " rtc=", &rtc))
        return false;
    memset(counters, 0, sizeof(*counters));
    for (unsigned i = 1; cpus <= 8 && i < cpus; i++) {
        snprintf(name, sizeof(name), " cpu%u=", i);
        if (!take(&at, name, &counters->cpu[i]))
            return false;
    }
    if (cpus > 8 && (!take(&at, " cpus=", &counters->cpus) || !take(&at, " sum=", &counters->sum) ||
                     !take(&at, " min=", &counters->min) || !take(&at, " max=", &counters->max)))
        return false;
    return !strncmp(at, "\r\n", 2);
}

static bool all_past(const struct counters *now, const struct counters *then, unsigned cpus,
                     unsigned long by)
{
    for (unsigned i = 1; cpus <= 8 && i < cpus; i++) {
        if (now->cpu[i] < then->cpu[i] + by)
            return false;
    }
    return now->min >= (cpus > 8 ? then->max + by : 0);
}

/* Until every counter is `by` past what it was. */
static struct counters wait_past(const struct counters *then, unsigned cpus, unsigned long by)
{
    uint64_t end = stasis_monotonic_ns() + PATIENCE_NS;
    struct counters now = {0};

    for (;;) {
        const char *line = last_line(session.out_text);

        if (line && !parse(line, cpus, &now))
            fail_msg("not the line of %u vCPUs: %.200s", cpus, line);
        if (line && all_past(&now, then, cpus, by))
            return now;
        if (stasis_monotonic_ns() > end || session.out < 0)
            fail_msg("not every counter of %u vCPUs advanced: %s%s", cpus, line ? line : "nothing",
                     session.err_text);
        if (session.out_len > SESSION_TEXT_MAX / 2)
            session_forget(&session);
        session_pump(&session, 1000);
    }
}

static void run_smp(const char *num, unsigned cpus)
{
    static const struct counters none;
    struct counters first;

    session_start(&session, &(struct session_options){
                                .args = {"--demo", "--memory", "16", "--vcpu", num, NULL}});
    first = wait_past(&none, cpus, 1);
    if (cpus > 8) {
        assert_int_equal(first.cpus, cpus);
        assert_in_range(first.sum, first.min * (cpus - 1), first.max * (cpus - 1));
    }
    wait_past(&first, cpus, 2);
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
}

static void two_vcpus(void)
{
    run_smp("2", 2);
}

static void eight_vcpus_have_a_counter_each(void)
{
    run_smp("8", 8);
}

static void sixty_four_vcpus_are_summed_up(void)
{
    run_smp("64", 64);
}

/* As many as a board may have: 2530 timer interrupts a second. */
static void all_254_vcpus_count(void)
{
    if (kvm_rig_is("nested") || kvm_rig_is("bochs"))
        kvm_case_skip("an emulated processor is slow with 254 timers; 64 are run");
    run_smp("254", 254);
}

/* Counters, their timers, and sleep go through the file: those of other vCPUs than the first, too.
 */
static void count_on_after_a_thaw(const char *num, unsigned cpus, const char *trigger)
{
    static const struct counters none;
    struct counters frozen;

    session_folder_init(&folder);
    snprintf(arg, sizeof(arg), "%s,on_output=%s", folder.file, trigger);
    assert_int_equal(
        session_run(&session,
                    &(struct session_options){.args = {"--demo", "--memory", "16", "--vcpu", num,
                                                       "--snapshot-out", arg, NULL}}),
        0);
    session_start(&session, &(struct session_options){.args = {"--restore", folder.file, NULL}});
    /* The rest of the line in which it was frozen has no beginning. */
    session_wait_out(&session, "\r\ntick ");
    frozen = wait_past(&none, cpus, 2);
    wait_past(&frozen, cpus, 3);
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
    session_folder_fini(&folder);
}

static void four_vcpus_count_on_after_a_thaw(void)
{
    count_on_after_a_thaw("4", 4, "cpu3=2");
}

static void eight_vcpus_count_on_after_a_thaw(void)
{
    count_on_after_a_thaw("8", 8, "cpu7=2");
}

/* Most have counted by then, which the line does not tell one by one. */
static void sixty_four_vcpus_count_on_after_a_thaw(void)
{
    count_on_after_a_thaw("64", 64, "tick 4 ");
}

/* Before INIT, between INIT and SIPI, between the SIPIs, and after; on a busy host elsewhere. */
static void frozen_while_they_start(void)
{
    static const struct counters none;

    session_folder_init(&folder);
    for (unsigned ms = 1; ms < 100; ms += 33) {
        snprintf(arg, sizeof(arg), "%s,after_ms=%u", folder.file, ms);
        assert_int_equal(
            session_run(&session,
                        &(struct session_options){.args = {"--demo", "--memory", "16", "--vcpu",
                                                           "4", "--snapshot-out", arg, NULL}}),
            0);
        session_start(&session,
                      &(struct session_options){.args = {"--restore", folder.file, NULL}});
        session_wait_out(&session, "\r\ntick ");
        wait_past(&none, 4, 1);
        session_type(&session, "q");
        assert_int_equal(session_end(&session), 0);
    }
    session_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(two_vcpus),
        KVM_CASE(eight_vcpus_have_a_counter_each),
        KVM_CASE(sixty_four_vcpus_are_summed_up),
        KVM_CASE(all_254_vcpus_count),
        KVM_CASE(four_vcpus_count_on_after_a_thaw),
        KVM_CASE(eight_vcpus_count_on_after_a_thaw),
        KVM_CASE(sixty_four_vcpus_count_on_after_a_thaw),
        KVM_CASE(frozen_while_they_start),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
