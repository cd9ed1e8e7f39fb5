/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What --dry-run prints, and finds of the host.
 */
#include "dry_run_rig.h"

#include <stdlib.h>
#include <string.h>

#include "support/fake_kvm.h"

static void add(struct stasis_reasons *reasons, struct stasis_reason reason)
{
    stasis_reasons_add(reasons, &reason);
}

static void make_up(void)
{
    const struct stasis_reason feature = {.code = STASIS_ERR_HOST,
                                          .kind = "cpu-feature",
                                          .is_listed = true,
                                          .object = "avx2",
                                          .asks = "bit 5",
                                          .has = "clear",
                                          .what = "this host lacks:",
                                          .remedy = "be modest"};
    struct stasis_reason second = feature;

    second.object[3] = '3';
    add(&preflight.reasons, feature);
    add(&preflight.reasons, second);
    add(&preflight.reasons,
        (struct stasis_reason){
            .code = STASIS_ERR_KVM, .kind = "state", .object = "x", .what = "a\033b \"quoted\""});
    preflight.reasons.more = 2;
    add(&preflight.warnings,
        (struct stasis_reason){.kind = "clock", .object = "TSC", .what = "will jump"});
}

static void text_is_for_people(void **state)
{
    (void)state;
    dry_run_parse("a.snap", "--dry-run", "");
    make_up();
    dry_run_print();
    assert_string_equal(text, "vmm: a.snap: cannot be thawed here: 5 reasons\n"
                              "  reason: cpu-feature avx2: the guest needs bit 5, this host has: "
                              "clear\n"
                              "  reason: cpu-feature avx3: the guest needs bit 5, this host has: "
                              "clear\n"
                              "  remedy: be modest\n"
                              "  reason: state x: a\\x1bb \"quoted\"\n"
                              "  reason: 2 more\n"
                              "  warning: clock TSC: will jump\n");
}

static void json_is_for_programs(void **state)
{
    (void)state;
    dry_run_parse("a.snap", "--dry-run", "json");
    make_up();
    dry_run_print();
    assert_string_equal(text, "{\n"
                              "  \"file\": \"a.snap\",\n"
                              "  \"thaws\": false,\n"
                              "  \"status\": 4,\n"
                              "  \"reasons\": [\n"
                              "    {\n"
                              "      \"kind\": \"cpu-feature\",\n"
                              "      \"object\": \"avx2\",\n"
                              "      \"asks\": \"bit 5\",\n"
                              "      \"has\": \"clear\",\n"
                              "      \"message\": \"this host lacks: avx2; be modest\",\n"
                              "      \"remedy\": \"be modest\",\n"
                              "      \"status\": 4\n"
                              "    },\n"
                              "    {\n"
                              "      \"kind\": \"cpu-feature\",\n"
                              "      \"object\": \"avx3\",\n"
                              "      \"asks\": \"bit 5\",\n"
                              "      \"has\": \"clear\",\n"
                              "      \"message\": \"this host lacks: avx3; be modest\",\n"
                              "      \"remedy\": \"be modest\",\n"
                              "      \"status\": 4\n"
                              "    },\n"
                              "    {\n"
                              "      \"kind\": \"state\",\n"
                              "      \"object\": \"x\",\n"
                              "      \"message\": \"a\\u001bb \\\"quoted\\\"\",\n"
                              "      \"status\": 1\n"
                              "    }\n"
                              "  ],\n"
                              "  \"more_reasons\": 2,\n"
                              "  \"warnings\": [\n"
                              "    {\n"
                              "      \"kind\": \"clock\",\n"
                              "      \"object\": \"TSC\",\n"
                              "      \"message\": \"will jump\"\n"
                              "    }\n"
                              "  ],\n"
                              "  \"binds\": []\n"
                              "}\n");
}

static void a_host_that_can_says_so(void **state)
{
    (void)state;
    is_permitted = true;
    dry_run_parse(GOLDEN ",memory=copy", "--dry-run", "");
    dry_run_run();
    assert_int_equal(strncmp(text, "vmm: " GOLDEN ": can be thawed here\n",
                             strlen("vmm: " GOLDEN ": can be thawed here\n")),
                     0);
    assert_null(strstr(text, "userfaultfd"));
}

/* PVM's KVM, and a process without rights. */
static void what_would_be_otherwise_is_a_warning(void **state)
{
    (void)state;
    fake_kvm.flaws = FAKE_KVM_DROPS_TSC_OFFSET;
    dry_run_parse(GOLDEN, "--dry-run=text", "");
    dry_run_run();
    assert_int_equal(preflight.reasons.count, 0);
    assert_non_null(strstr(text, ": can be thawed here\n"));
    assert_non_null(strstr(text, "  warning: userfaultfd memory=lazy: userfaultfd is not permitted "
                                 "(Operation not permitted): let this user open "
                                 "/dev/userfaultfd, or pass a descriptor of it as uffd_fd; "
                                 "memory=copy will be used instead of lazy\n"));
    assert_non_null(strstr(text, "  warning: clock TSC: this host's KVM cannot set"));
}

static void a_file_that_is_none_is_a_reason(void **state)
{
    (void)state;
    dry_run_parse("/nowhere/x.snap", "--dry-run=json", "");
    dry_run_run();
    assert_int_equal(preflight.reasons.list[0].code, STASIS_ERR_NOT_FOUND);
    assert_non_null(strstr(text, "\"message\": \"/nowhere/x.snap: No such file or directory\""));
    stasis_preflight_fini(&preflight);
    stasis_cli_fini(&options);
    free(text);
    dry_run_parse("/dev/null", "--dry-run", "");
    dry_run_run();
    assert_int_equal(preflight.reasons.list[0].code, STASIS_ERR_CORRUPT);
}

/* Both what the file lacks and what the host lacks, in the order of a thaw. */
static void a_host_without_kvm_is_a_reason_beside_the_file(void **state)
{
    static const char *const files[] = {"/dev/null", STASIS_GOLDEN_DIR "/0.1.0/edge.snap"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        dry_run_teardown(NULL);
        fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_OTHER_API};
        dry_run_parse(files[i], "--dry-run", "");
        dry_run_run();
        assert_int_equal(preflight.reasons.count, 2);
        assert_string_equal(preflight.reasons.list[0].kind, "file");
        assert_string_equal(preflight.reasons.list[1].kind, "host");
    }
    dry_run_teardown(NULL);
    dry_run_parse(GOLDEN, "--dry-run", "");
    dry_run_run();
    assert_int_equal(preflight.reasons.count, 1); /* told once */
}

static size_t count_kind(const char *kind)
{
    size_t count = 0;

    for (size_t i = 0; i < preflight.reasons.count; i++)
        count += !strcmp(preflight.reasons.list[i].kind, kind);
    return count;
}

static void features_are_compared_without_kvm(void **state)
{
    (void)state;
    cpu_is_poor = true;
    fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_NO_DEVICE};
    dry_run_parse(GOLDEN, "--dry-run", "");
    dry_run_run();
    assert_string_equal(preflight.reasons.list[0].kind, "host");
    assert_true(count_kind("cpu-feature") > 10);
    assert_non_null(strstr(text, "  reason: cpu-feature cx16: the guest needs CPUID 1.0 ECX bit 13,"
                                 " this host has: clear\n"));
    assert_null(strstr(text, "tsc_adjust")); /* which KVM gives to any guest */
    assert_non_null(strstr(text, "  warning: host comparison: without KVM only this CPU's"));
}

static void how_far_the_host_was_compared_is_told(void **state)
{
    (void)state;
    dry_run_parse(STASIS_GOLDEN_DIR "/0.1.0/edge.snap", "--dry-run", "");
    dry_run_run();
    assert_non_null(strstr(text, "  warning: host comparison: this host was not compared with"));
    dry_run_teardown(NULL);
    fake_kvm.flaws = FAKE_KVM_LACKS_A_CAP;
    dry_run_parse(GOLDEN, "--dry-run", "");
    dry_run_run();
    assert_non_null(strstr(text, "  warning: host comparison: KVM was asked for CPU features"));
    dry_run_teardown(NULL);
    fake_kvm.flaws = FAKE_KVM_REFUSES_MSRS;
    dry_run_parse(GOLDEN, "--dry-run", "");
    dry_run_run();
    assert_null(strstr(text, "comparison"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(text_is_for_people),
        CASE(json_is_for_programs),
        CASE(a_host_that_can_says_so),
        CASE(what_would_be_otherwise_is_a_warning),
        CASE(a_file_that_is_none_is_a_reason),
        CASE(a_host_without_kvm_is_a_reason_beside_the_file),
        CASE(features_are_compared_without_kvm),
        CASE(how_far_the_host_was_compared_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
