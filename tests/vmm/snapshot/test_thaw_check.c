/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Snapshots of several vCPUs that are whole files but no whole machine: what is known of them
 * before KVM is asked for anything.
 */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/arch/x86/x86.h"
#include "vmm/machine/board.h"
#include "vmm/snapshot/freeze.h"
#include "vmm/snapshot/thaw_internal.h"

#define VCPUS 3
#define RAM   (UINT64_C(1) << 20)

/* What is wrong with a file. */
struct flaw {
    uint32_t board_vcpus; /* that the board says it has; 0: those that are there */
    uint32_t vcpu;        /* whose records are changed */
    uint32_t lapic_id;    /* the register is that; 0: as it should be */
    uint32_t leaf;        /* of CPUID gives another vCPU's id; 0: none does */
    const char *dropped;  /* type of a record that is not there */
    uint64_t cr0;
    bool is_nmi; /* as an exception */
};

static struct stasis_snap *snap;
static uint8_t *ram;

static void must(int rc, const struct stasis_error *err)
{
    if (rc)
        fail_msg("%s", err->msg);
}

static void add(const struct stasis_schema *schema, const char *instance, const void *state)
{
    struct stasis_error err;

    must(stasis_records_add(stasis_snap_records(snap), schema, instance, state, &err), &err);
}

static void fill(const struct stasis_schema *schema, void *state, uint32_t id,
                 const struct flaw *flaw)
{
    bool is_wrong = id == flaw->vcpu;

    stasis_state_init(schema, state);
    if (schema == &stasis_x86_tsc_schema)
        ((struct stasis_x86_tsc_state *)state)->khz = 1000000;
    if (schema == &stasis_x86_lapic_schema)
        ((struct stasis_x86_lapic_state *)state)->id =
            is_wrong && flaw->lapic_id ? flaw->lapic_id : id << 24;
    if (schema == &stasis_x86_sregs_schema && is_wrong)
        ((struct stasis_x86_sregs_state *)state)->cr0 = flaw->cr0;
    if (schema == &stasis_x86_events_schema && is_wrong && flaw->is_nmi) {
        ((struct stasis_x86_events_state *)state)->exception_injected = 1;
        ((struct stasis_x86_events_state *)state)->exception_nr = 2;
    }
    if (schema == &stasis_x86_cpuid_schema) {
        struct stasis_x86_cpuid_state *cpuid = state;

        cpuid->leaves_count = 4;
        cpuid->leaves[0] = (struct stasis_x86_cpuid_leaf_state){.function = 1, .ebx = id << 24};
        cpuid->leaves[1] =
            (struct stasis_x86_cpuid_leaf_state){.function = 0xb, .flags = 1, .edx = id};
        cpuid->leaves[2] = (struct stasis_x86_cpuid_leaf_state){
            .function = 0xb, .index = 1, .flags = 1, .edx = id};
        cpuid->leaves[3] =
            (struct stasis_x86_cpuid_leaf_state){.function = 0x1f, .flags = 1, .edx = id};
        for (uint32_t i = 0; is_wrong && i < cpuid->leaves_count; i++) {
            if (cpuid->leaves[i].function != flaw->leaf)
                continue;
            cpuid->leaves[i].ebx ^= flaw->leaf == 1 ? 1u << 24 : 0;
            cpuid->leaves[i].edx ^= flaw->leaf == 1 || i == 1 ? 0 : 1;
        }
    }
}

static void add_vcpu(uint32_t id, const struct flaw *flaw)
{
    char instance[16];

    snprintf(instance, sizeof(instance), "cpu%u", id);
    for (size_t i = 0; stasis_arch_vcpu_restore_order[i]; i++) {
        const struct stasis_schema *schema = stasis_arch_vcpu_restore_order[i]->schema;
        void *state = malloc(schema->size);

        assert_non_null(state);
        fill(schema, state, id, flaw);
        if (id != flaw->vcpu || !flaw->dropped || strcmp(schema->type, flaw->dropped) != 0)
            add(schema, instance, state);
        free(state);
    }
}

static void add_default(const struct stasis_schema *schema, const char *instance)
{
    void *state = malloc(schema->size);

    assert_non_null(state);
    stasis_state_init(schema, state);
    if (schema == &stasis_x86_pit_schema)
        ((struct stasis_x86_pit_state *)state)->channels_count = 3;
    add(schema, instance, state);
    free(state);
}

static const struct stasis_schema *schema_of(const char *type)
{
    size_t count;
    const struct stasis_schema *const *all = stasis_schema_all(&count);

    for (size_t i = 0; i < count; i++) {
        if (!strcmp(all[i]->type, type))
            return all[i];
    }
    fail_msg("no type %s", type);
    return NULL;
}

static void build(const struct flaw *flaw)
{
    const struct stasis_board_options options = {
        .memory_bytes = RAM, .vcpus = VCPUS, .cpu_model = "baseline"};
    struct stasis_board_state board;
    struct stasis_error err;

    must(stasis_board_default(&options, &board, &err), &err);
    snap = stasis_snap_new(STASIS_ARCH_X86_64);
    assert_non_null(snap);
    for (uint32_t id = 0; id < VCPUS; id++)
        add_vcpu(id, flaw);
    for (size_t i = 0; stasis_arch_vm_records[i].schema; i++)
        add_default(stasis_arch_vm_records[i].schema, stasis_arch_vm_records[i].instance);
    for (uint32_t i = 0; i < board.devices_count; i++)
        add_default(schema_of(board.devices[i].type), board.devices[i].instance);
    add_default(&stasis_machine_schema, STASIS_INSTANCE_VM);
    board.vcpus = flaw->board_vcpus ? flaw->board_vcpus : VCPUS;
    add(&stasis_board_schema, STASIS_INSTANCE_VM, &board);
    must(stasis_snap_add_ram(snap, 0, ram, RAM, &err), &err);
}

/* Through a file in memory, as a restore reads it. */
static int check(const struct flaw *flaw, struct stasis_error *err)
{
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    struct stasis_reasons reasons = {0};
    struct stasis_board_state board;
    int rc;

    assert_true(fd >= 0);
    ram = calloc(1, RAM);
    assert_non_null(ram);
    build(flaw);
    must(stasis_snap_save_stream(snap, fd, NULL, NULL, err), err);
    stasis_snap_free(snap);
    free(ram);
    must(stasis_snap_open_fd(fd, "memory", NULL, &snap, err), err);
    close(fd);
    rc = stasis_thaw_check_board(snap, &board, err);
    if (!rc)
        rc = stasis_thaw_check_file(snap, &board, &reasons, err);
    stasis_reasons_fini(&reasons);
    stasis_snap_free(snap);
    return rc;
}

static void assert_refused(const struct flaw *flaw, const char *words)
{
    struct stasis_error err;

    assert_int_equal(check(flaw, &err), STASIS_ERR_CORRUPT);
    assert_int_equal(err.code, STASIS_ERR_CORRUPT);
    assert_null(strchr(err.msg, '\n'));
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
}

static void a_whole_machine_is_accepted(void **state)
{
    const struct flaw none = {.board_vcpus = 0};
    struct stasis_error err;

    (void)state;
    must(check(&none, &err), &err);
}

static void apic_ids_are_the_numbers_of_the_vcpus(void **state)
{
    const struct flaw collision = {.vcpu = 2, .lapic_id = 1 << 24};
    const struct flaw stranger = {.vcpu = 1, .lapic_id = 0x63000000};
    const struct flaw other_form = {.vcpu = 2, .lapic_id = 2};

    (void)state;
    assert_refused(&collision,
                   "the APIC id register of vCPU 2 is 0x01000000 instead of 0x02000000");
    assert_refused(&stranger, "of vCPU 1 is 0x63000000 instead of 0x01000000");
    assert_refused(&other_form, "of vCPU 2 is 0x00000002 instead of 0x02000000");
}

static void cpuid_gives_the_same_ids(void **state)
{
    static const uint32_t leaves[] = {1, 0xb, 0x1f};

    (void)state;
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        const struct flaw flaw = {.vcpu = 2, .leaf = leaves[i]};
        char words[64];

        snprintf(words, sizeof(words), "CPUID leaf 0x%x gives vCPU 2 the APIC id 3", leaves[i]);
        assert_refused(&flaw, words);
    }
}

static void the_board_has_the_vcpus_that_there_are(void **state)
{
    const struct flaw fewer = {.board_vcpus = VCPUS - 1};
    const struct flaw more = {.board_vcpus = VCPUS + 1};

    (void)state;
    assert_refused(&fewer, "records where its board needs");
    assert_refused(&more, "lacks the record x86.cpuid cpu3");
}

static void each_vcpu_has_all_its_records(void **state)
{
    (void)state;
    for (size_t i = 0; stasis_arch_vcpu_restore_order[i]; i++) {
        const struct flaw flaw = {.vcpu = 1,
                                  .dropped = stasis_arch_vcpu_restore_order[i]->schema->type};
        char words[64];

        snprintf(words, sizeof(words), "lacks the record %s cpu1", flaw.dropped);
        assert_refused(&flaw, words);
    }
}

static void a_vcpu_has_one_record_of_a_kind(void **state)
{
    const struct flaw none = {.board_vcpus = 0};
    struct stasis_x86_mp_state_state mp_state;
    struct stasis_error err;

    (void)state;
    ram = calloc(1, RAM);
    assert_non_null(ram);
    build(&none);
    stasis_state_init(&stasis_x86_mp_state_schema, &mp_state);
    assert_int_equal(stasis_records_add(stasis_snap_records(snap), &stasis_x86_mp_state_schema,
                                        "cpu1", &mp_state, &err),
                     STASIS_ERR_EXISTS);
    stasis_snap_free(snap);
    free(ram);
}

/* What a CPU cannot be in is refused before KVM is asked; what it may be is not. */
static void a_vcpu_is_in_a_state_that_a_cpu_can_be_in(void **state)
{
    const struct flaw paging = {.vcpu = 2, .cr0 = UINT64_C(1) << 31};
    const struct flaw several = {.vcpu = 1, .cr0 = UINT64_C(1) << 31 | 1u << 29, .is_nmi = true};

    (void)state;
    assert_refused(&paging, "cpu2: CR0.PG is set without CR0.PE: impossible state (SDM 3A, 2.5)");
    assert_refused(&several, "cpu1: CR0.PG is set without CR0.PE: impossible state (SDM 3A, 2.5) "
                             "(and 2 other reasons)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_machine_is_accepted),
        cmocka_unit_test(apic_ids_are_the_numbers_of_the_vcpus),
        cmocka_unit_test(cpuid_gives_the_same_ids),
        cmocka_unit_test(the_board_has_the_vcpus_that_there_are),
        cmocka_unit_test(each_vcpu_has_all_its_records),
        cmocka_unit_test(a_vcpu_has_one_record_of_a_kind),
        cmocka_unit_test(a_vcpu_is_in_a_state_that_a_cpu_can_be_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
