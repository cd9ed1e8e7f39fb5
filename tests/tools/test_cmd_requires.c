/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "stasis/state.h"

#define GOLDEN STASIS_SOURCE_DIR "/tests/golden/0.1.0/demo.snap"

static struct run run;

static void assert_lacks(const char *all, const char *text)
{
    if (strstr(all, text))
        fail_msg("\"%s\" is in: %s", text, all);
}

/* A guest of release 0.1.0 on its baseline CPU. */
static void a_guest_of_the_baseline(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "requires", GOLDEN, NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "/demo.snap: a host needs\n");
    assert_has(run.out, "\n  architecture  x86_64\n");
    assert_has(run.out, "\n  board         microvm of stasis 0.1.0 or later\n");
    assert_has(run.out, "\n  devices       stasis.serial com1, version 1\n"
                        "                stasis.i8042 kbd, version 1\n"
                        "                stasis.pl031 rtc, version 1\n");
    assert_has(run.out, "\n  vCPUs         1\n  memory        2 MiB\n  CPU vendor    any\n");
    assert_has(run.out, "\n  CPU features  cx16 fpu de pse tsc msr pae mce cx8 apic sep mtrr pge "
                        "mca cmov\n                pat pse36 clflush mmx fxsr sse sse2 lahf_lm "
                        "syscall nx lm\n");
    assert_has(run.out, "\n                CPUID 0x40000001.0 EAX bit 24\n");
    assert_has(run.out, "\n  XSAVE on      x87\n  XSAVE in use  none\n");
    assert_has(run.out, " MHz, within 250 ppm or scaled by KVM\n");
    assert_has(run.out, " 0x400-0x47f ");
    assert_has(run.out, "\n  KVM           an in-kernel interrupt controller\n");
}

static void the_same_as_json(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "requires", "--json", GOLDEN, NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\"arch\": \"x86_64\",\n");
    assert_has(run.out, "\"release\": \"0.1.0\",\n");
    assert_has(run.out, "\"type\": \"stasis.pl031\",\n        \"version\": 1,\n");
    assert_has(run.out, "\"ram_bytes\": 2097152,\n");
    assert_has(run.out, "\"name\": \"sse2\",\n        \"place\": \"CPUID 1.0 EDX bit 26\"\n");
    assert_has(run.out, "\"tsc_rate_matters\": true,\n");
    assert_has(run.out, "\"msrs\": [\n      \"0x10\",\n");
    assert_has(run.out, "\"capability\": 136,\n");
    assert_lacks(run.out, "\"vendor\"");
    assert_has(run.out, "\"unknown_records\": 0\n}\n");
}

static void add_vcpu(struct built *built, const char *name, uint32_t features, uint32_t msr)
{
    static struct stasis_x86_cpuid_state cpuid;
    static struct stasis_x86_msrs_state msrs;
    static struct stasis_x86_xsave_state xsave;
    static struct stasis_x86_xcrs_state xcrs;
    struct stasis_x86_regs_state regs;

    stasis_state_init(&stasis_x86_regs_schema, &regs);
    add_state(built, &stasis_x86_regs_schema, name, &regs);
    stasis_state_init(&stasis_x86_cpuid_schema, &cpuid);
    cpuid.leaves_count = 5;
    cpuid.leaves[0] = (struct stasis_x86_cpuid_leaf_state){
        .function = 0, .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69};
    cpuid.leaves[1] = (struct stasis_x86_cpuid_leaf_state){
        .function = 7, .ebx = features, .edx = 1u << 27}; /* stibp */
    cpuid.leaves[2] =
        (struct stasis_x86_cpuid_leaf_state){.function = 0xd, .eax = 7, .ebx = 832, .ecx = 832};
    cpuid.leaves[3] = (struct stasis_x86_cpuid_leaf_state){.function = 0x40000001, .eax = 1 << 3};
    cpuid.leaves[4] = (struct stasis_x86_cpuid_leaf_state){
        .function = 0x80000008, .ebx = 1 << 14 | 1 << 15}; /* ibrs, stibp */
    add_state(built, &stasis_x86_cpuid_schema, name, &cpuid);
    stasis_state_init(&stasis_x86_msrs_schema, &msrs);
    msrs.msrs_count = 2;
    msrs.msrs[0].index = msr;
    msrs.msrs[1].index = 0x1000;
    add_state(built, &stasis_x86_msrs_schema, name, &msrs);
    stasis_state_init(&stasis_x86_xsave_schema, &xsave);
    xsave.xstate_bv = 2;
    xsave.xmm_len = sizeof(xsave.xmm);
    add_state(built, &stasis_x86_xsave_schema, name, &xsave);
    stasis_state_init(&stasis_x86_xcrs_schema, &xcrs);
    xcrs.xcr0 = 7 | UINT64_C(1) << 62;
    add_state(built, &stasis_x86_xcrs_schema, name, &xcrs);
}

/* A CPU model that is the same on every host asks for no vendor, whichever it shows. */
static void a_fixed_model_asks_for_no_vendor(void **state)
{
    struct stasis_board_state board;
    struct built built;

    (void)state;
    built_small(&built);
    add_vcpu(&built, "cpu0", 0, 0x20);
    stasis_state_init(&stasis_board_schema, &board);
    board.vcpus = 1;
    board.ram_count = 1;
    board.ram[0].size = 4096;
    snprintf(board.cpu_model, sizeof(board.cpu_model), "x86-64-v2");
    add_state(&built, &stasis_board_schema, "vm", &board);
    save_to(&built, in_folder("fixed.snap"));
    run_inspect(&run, NULL, "requires", in_folder("fixed.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\n  CPU vendor    any\n");
    built_fini(&built);
}

/* Nothing is asked for twice, and nothing of one vCPU alone is lost. */
static void vcpus_are_put_together(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    add_vcpu(&built, "cpu0", 1u << 5, 0x20);
    add_vcpu(&built, "cpu1", 1u << 16, 0x21);
    save_to(&built, in_folder("a.snap"));
    run_inspect(&run, NULL, "requires", in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\n  vCPUs         2\n");
    assert_has(run.out, "\n  CPU vendor    GenuineIntel\n");
    assert_has(run.out, "\n  CPU features  avx2 avx512f stibp ibrs\n");
    assert_has(run.out, "\n                CPUID 0xd.0 EAX bit 0\n");
    assert_has(run.out, "\n  XSAVE on      x87 SSE AVX component-62\n  XSAVE in use  SSE\n"
                        "  XSAVE area    832 bytes\n");
    assert_has(run.out, "\n  MSRs          0x20-0x21 0x1000\n");
    run_inspect(&run, NULL, "requires", in_folder("a.snap"), "--json", NULL);
    assert_has(run.out, "\"vendor\": \"GenuineIntel\",\n");
    /* A program gets each bit. */
    assert_has(run.out, "\"place\": \"CPUID 7.0 EDX bit 27\"\n");
    assert_has(run.out, "\"place\": \"CPUID 0x80000008.0 EBX bit 15\"\n");
    assert_has(run.out, "\"xsave_in_use\": [\n      \"SSE\"\n    ],\n    \"xsave_bytes\": 832,\n");
    assert_has(run.out, "\"tsc_khz\": 0,\n    \"tsc_rate_matters\": false,\n");
    built_fini(&built);
}

/* Made by others than vmm. */
static void a_snapshot_without_a_vcpu(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    save_to(&built, in_folder("a.snap"));
    run_inspect(&run, NULL, "requires", in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\n  vCPUs         0\n");
    assert_lacks(run.out, "CPU features");
    run_inspect(&run, NULL, "requires", "--json", in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_lacks(run.out, "\"kvm\"");
    built_fini(&built);
}

static void no_snapshot(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "requires", "/dev/null", NULL);
    assert_ended(&run, 3, "/dev/null");
    run_inspect(&run, NULL, "requires", NULL);
    assert_ended(&run, 2,
                 "requires: a name is missing; usage: snapshot-inspect requires [--json] FILE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_of_the_baseline),
        cmocka_unit_test(the_same_as_json),
        cmocka_unit_test(a_fixed_model_asks_for_no_vendor),
        cmocka_unit_test(vcpus_are_put_together),
        cmocka_unit_test(a_snapshot_without_a_vcpu),
        cmocka_unit_test(no_snapshot),
    };

    return cmocka_run_group_tests(tests, setup_folder, teardown_folder);
}
