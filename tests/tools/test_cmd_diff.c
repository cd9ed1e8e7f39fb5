/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/future.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct run run;

static void diff(const char *a, const char *b)
{
    run_inspect(&run, NULL, "diff", in_folder(a), in_folder(b), NULL);
}

static void diff_json(const char *a, const char *b)
{
    run_inspect(&run, NULL, "diff", "--json", in_folder(a), in_folder(b), NULL);
}

/* The machine as rig.c makes it, changed in a few places. */
static void save_changed(const char *name)
{
    struct stasis_records *records, *changed = stasis_records_new();
    struct built built;

    built_machine(&built);
    records = stasis_snap_records(built.snap);
    for (size_t i = 0; i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);
        union {
            struct stasis_board_state board;
            struct stasis_x86_regs_state regs;
            struct stasis_x86_sregs_state sregs;
            struct stasis_machine_state machine;
            struct stasis_pl031_state pl031;
            struct stasis_i8042_state i8042;
            struct stasis_serial_state serial;
            struct stasis_x86_mp_state_state mp;
        } any;

        assert_int_equal(stasis_records_get(records, record.schema, record.instance, &any, NULL),
                         0);
        if (record.schema == &stasis_x86_regs_schema)
            any.regs.rip = 0x1000;
        else if (record.schema == &stasis_x86_sregs_schema)
            any.sregs.cs.base = 0x10;
        else if (record.schema == &stasis_machine_schema)
            strcpy(any.machine.host_cpu, "Difference Engine");
        else if (record.schema == &stasis_pl031_schema)
            continue; /* only in the other */
        assert_int_equal(stasis_records_add(changed, record.schema, record.instance, &any, NULL),
                         0);
    }
    stasis_snap_set_records(built.snap, changed);
    built.ram[0][4096] ^= 1;
    save_to(&built, in_folder(name));
    built_fini(&built);
}

static int set_up(void **state)
{
    int rc = setup_folder(state);
    struct built built;

    built_machine(&built);
    save_to(&built, in_folder("a.snap"));
    save_to(&built, in_folder("same.snap")); /* at another time, with another UUID */
    built_fini(&built);
    save_changed("b.snap");
    built_future(&built);
    save_to(&built, in_folder("f.snap"));
    built_fini(&built);
    return rc;
}

static int tear_down(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

static void same(void **state)
{
    (void)state;
    diff("a.snap", "same.snap");
    assert_ended(&run, 0, NULL);
    assert_string_equal(run.out, "same: 0 of 8 records differ; 0 of 50 pages of memory differ\n");
    diff_json("a.snap", "same.snap");
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\"records\": [],\n  \"memory\": [],\n");
    assert_has(run.out, "\"same\": true\n}\n");
    diff("f.snap", "f.snap");
    assert_ended(&run, 0, NULL);
}

static void different(void **state)
{
    (void)state;
    diff("a.snap", "b.snap");
    assert_ended(&run, 1, NULL);
    assert_has(run.out, "stasis.machine vm\n"
                        "  host_cpu                 \"Analytical Engine\" -> \"Difference "
                        "Engine\"\n"
                        "stasis.pl031 rtc: only in ");
    assert_has(run.out, "/a.snap\n"
                        "x86.regs cpu0\n"
                        "  rip                      0xffffffff81000000 -> 0x1000\n"
                        "x86.sregs cpu0\n"
                        "  cs.base                  0x0 -> 0x10\n"
                        "memory\n"
                        "  0x000001000-0x000001fff          1 page\n"
                        "different: 4 of 8 records differ; 1 of 50 pages of memory differ\n");
    diff("b.snap", "a.snap");
    assert_ended(&run, 1, NULL);
    assert_has(run.out, "stasis.pl031 rtc: only in ");
    assert_has(run.out, "0x1000 -> 0xffffffff81000000\n");
}

static void different_json(void **state)
{
    (void)state;
    diff_json("a.snap", "b.snap");
    assert_ended(&run, 1, NULL);
    assert_has(run.out, "{\n  \"a\": {\n    \"producer\": \"stasis " STASIS_VERSION "\",\n");
    assert_has(run.out, "      \"type\": \"stasis.pl031\",\n      \"instance\": \"rtc\",\n"
                        "      \"in\": \"a\",\n      \"a\": {\n        \"version\": 1,\n"
                        "        \"known\": true\n      },\n      \"fields\": [\n        {\n"
                        "          \"path\": \"counter_ns\",\n"
                        "          \"a\": 86400000000000\n        },\n");
    assert_has(run.out, "          \"path\": \"rip\",\n          \"a\": 18446744071578845184,\n"
                        "          \"b\": 4096\n");
    assert_has(run.out, "\"memory\": [\n    {\n      \"gpa\": 4096,\n      \"pages\": 1,\n"
                        "      \"in\": \"both\"\n    }\n  ],\n");
    assert_has(run.out, "  \"counts\": {\n    \"notes\": 0,\n    \"notes_different\": 0,\n"
                        "    \"records\": 8,\n    \"records_different\": 4,\n"
                        "    \"pages_in_both\": 50,\n    \"pages_different\": 1,\n"
                        "    \"pages_only_a\": 0,\n    \"pages_only_b\": 0\n  },\n"
                        "  \"same\": false\n}\n");
}

/* By the schemas that came with either file, down to a byte that the text would cut off. */
static void future_records(void **state)
{
    const struct stasis_x86_tsc_state old_tsc = {.khz = 2500000};
    const struct future_tsc tsc = {.khz = 3000000, .drift = 6};
    struct future_fan fan;
    struct built built;

    (void)state;
    built_machine(&built);
    add_state(&built, &future_tsc_schema, "cpu0", &tsc);
    future_fan_fill(&fan);
    fan.serial[98] = 0xcc;
    fan.blades_count = 1;
    fan.taps[4] = 1;
    add_state(&built, &future_fan_schema, "fan0", &fan);
    save_to(&built, in_folder("g.snap"));
    built_fini(&built);
    diff("f.snap", "g.snap");
    assert_ended(&run, 1, NULL);
    assert_has(run.out, "future.fan fan0\n  blades[1].angle          0x222 -> absent\n  serial ");
    assert_has(run.out, "\n  taps[1]                  00ab0000 -> 01ab0000\nx86.tsc cpu0\n"
                        "  drift                    -5 -> 6\n"
                        "different: 2 of 10 records differ;");
    diff_json("f.snap", "g.snap");
    assert_has(run.out, "0000cc01\"\n");
    assert_has(run.out, "\"a\": -5,\n          \"b\": 6\n");
    built_machine(&built);
    add_state(&built, &stasis_x86_tsc_schema, "cpu0", &old_tsc);
    save_to(&built, in_folder("o.snap"));
    built_fini(&built);
    diff("o.snap", "g.snap");
    assert_ended(&run, 1, NULL);
    assert_has(run.out, "future.fan fan0: only in ");
    assert_has(run.out, "x86.tsc cpu0, version 1 -> 2\n"
                        "  khz                      0x2625a0 -> 0x2dc6c0\n"
                        "  drift                    absent -> 6\n");
}

/* The same bytes in a version that this program does not know may mean something else. */
static void same_bytes_of_another_version(void **state)
{
    const struct stasis_x86_tsc_state today = {.khz = 2500000};
    const struct future_tsc later = {.khz = 2500000};
    struct stasis_schema schema = future_tsc_schema;
    struct built built;

    (void)state;
    schema.field_count = 1;
    built_machine(&built);
    add_state(&built, &stasis_x86_tsc_schema, "cpu0", &today);
    save_to(&built, in_folder("today.snap"));
    built_fini(&built);
    built_machine(&built);
    add_state(&built, &schema, "cpu0", &later);
    save_to(&built, in_folder("later.snap"));
    built_fini(&built);
    diff("today.snap", "later.snap");
    assert_ended(&run, 1, NULL);
    assert_string_equal(run.out, "x86.tsc cpu0, version 1 -> 2\n"
                                 "different: 1 of 9 records differ; 0 of 50 pages of memory "
                                 "differ\n");
}

/* The vCPUs stand behind all else, in the order of their numbers. */
static void vcpu_by_vcpu(void **state)
{
    struct stasis_x86_regs_state regs;
    struct stasis_x86_mp_state_state mp;
    const char *const cpus[] = {"cpu1", "cpu2", "cpu10"};
    const char *at;
    struct built built[2];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const struct stasis_x86_tsc_state tsc = {.khz = 1 + i};

        built_machine(&built[i]);
        add_state(&built[i], &stasis_x86_tsc_schema, "spare", &tsc); /* of no vCPU */
        for (size_t k = 0; k < 3; k++) {
            stasis_state_init(&stasis_x86_regs_schema, &regs);
            stasis_state_init(&stasis_x86_mp_state_schema, &mp);
            regs.rax = i;
            mp.mp_state = i;
            add_state(&built[i], &stasis_x86_regs_schema, cpus[k], &regs);
            add_state(&built[i], &stasis_x86_mp_state_schema, cpus[k], &mp);
        }
        save_to(&built[i], in_folder(i ? "y.snap" : "x.snap"));
        built_fini(&built[i]);
    }
    diff("x.snap", "y.snap");
    assert_ended(&run, 1, NULL);
    at = strstr(run.out, "x86.tsc spare\n");
    assert_non_null(at);
    for (size_t k = 0; k < 3; k++) {
        char text[64];

        snprintf(text, sizeof(text), "x86.mp_state %s\n", cpus[k]);
        at = strstr(at, text);
        assert_non_null(at);
        snprintf(text, sizeof(text), "x86.regs %s\n", cpus[k]);
        at = strstr(at, text);
        assert_non_null(at);
    }
}

/* Nothing in the files says what is in it: that it is different can be told. */
static void no_schema(void **state)
{
    const char *const names[] = {"p.snap", "q.snap"};
    static const uint8_t none[] = {0x90};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const struct future_tsc tsc = {.drift = (int64_t)i};
        struct built built;
        struct image image;
        uint8_t *section;

        built_machine(&built);
        add_state(&built, &future_tsc_schema, "cpu0", &tsc);
        image = image_of(&built);
        section = image_section(&image, STASIS_SECTION_SCHEMA);
        memset(image.bytes + section_offset(section), 0, section_length(section));
        memcpy(image.bytes + section_offset(section), none, sizeof(none));
        memset(section + 16, 0, 8);
        section[16] = sizeof(none);
        image_reseal(&image);
        write_file(in_folder(names[i]), image.bytes, image.len);
        image_fini(&image);
        built_fini(&built);
    }
    diff("p.snap", "p.snap");
    assert_ended(&run, 0, NULL);
    diff("p.snap", "q.snap");
    assert_ended(&run, 1, NULL);
    assert_has(run.out, "x86.tsc cpu0: different, and no schema says what is in it\n");
    diff_json("p.snap", "q.snap");
    assert_has(run.out, "\"known\": false,\n        \"msgpack\": \"8201000200\"\n");
    assert_has(run.out, "\"msgpack\": \"8201000201\"\n");
    assert_has(run.out, "      \"fields\": []\n");
}

static void many_ranges(void **state)
{
    struct built built;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 200 * 4096);
    save_to(&built, in_folder("m.snap"));
    for (unsigned page = 0; page < 200; page += 2)
        built.ram[0][page * 4096] = 1;
    save_to(&built, in_folder("n.snap"));
    built_fini(&built);
    diff("m.snap", "n.snap");
    assert_ended(&run, 1, NULL);
    assert_has(run.out, "  0x00007e000-0x00007efff          1 page\n"
                        "  and 36 ranges more, 36 pages; --json has them all\n");
    diff_json("m.snap", "n.snap");
    assert_has(run.out, "\"gpa\": 811008,");
}

static void another_architecture(void **state)
{
    const char *const names[] = {"x86.snap", "arm.snap", "odd.snap"};
    const uint32_t archs[] = {STASIS_ARCH_X86_64, STASIS_ARCH_AARCH64, 4711};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct stasis_snap *snap = stasis_snap_new(archs[i]);

        assert_int_equal(stasis_snap_save(snap, in_folder(names[i]), NULL, NULL, NULL), 0);
        stasis_snap_free(snap);
    }
    diff(names[0], names[1]);
    assert_ended(&run, 1, NULL);
    assert_string_equal(run.out, "architecture x86_64 -> aarch64\n"
                                 "different: 0 of 0 records differ; 0 of 0 pages of memory "
                                 "differ\n");
    diff_json(names[0], names[1]);
    assert_ended(&run, 1, NULL);
    assert_has(run.out, "\"arch\": 183,");
    diff(names[1], names[2]);
    assert_ended(&run, 1, NULL);
    assert_has(run.out, "architecture aarch64 -> ELF machine 4711\n");
    diff(names[2], names[2]);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "same: ");
}

/* 1 is an answer, so no failure may have it. */
static void trouble(void **state)
{
    struct setup setup = {0};
    struct image image = image_read(in_folder("a.snap"));

    (void)state;
    diff("a.snap", "none.snap");
    assert_ended(&run, 2, "/none.snap: No such file or directory");
    run_inspect(&run, NULL, "diff", in_folder("a.snap"), NULL);
    assert_ended(
        &run, 2,
        "diff: a name is missing; usage: snapshot-inspect diff [--json] [--layers DIR] A B");
    run_inspect(&run, NULL, "diff", "-", "-", NULL);
    assert_ended(&run, 2, "diff: standard input is one file; name another");
    image.bytes[image.len - 1] ^= 1;
    write_file(in_folder("bad.snap"), image.bytes, image.len);
    diff("a.snap", "bad.snap");
    assert_ended(&run, 3, "/bad.snap: chunk ");
    image_fini(&image);
    setup.in = open(in_folder("a.snap"), O_WRONLY | O_CLOEXEC); /* which we cannot read */
    run_inspect(&run, &setup, "diff", in_folder("a.snap"), "-", NULL);
    assert_ended(&run, 9, "standard input: reading ");
    close(setup.in);
    setup.in = open(in_folder("a.snap"), O_RDONLY | O_CLOEXEC);
    run_inspect(&run, &setup, "diff", in_folder("same.snap"), "-", NULL);
    assert_ended(&run, 0, NULL);
    close(setup.in);
}

/* The line is taken away before text is printed. */
static void progress_on_a_terminal(void **state)
{
    char text[8192];
    const char *result;
    struct built built;

    (void)state;
    built_large(&built);
    save_to(&built, in_folder("large.snap"));
    built.ram[0][0] ^= 1;
    save_to(&built, in_folder("other.snap"));
    assert_int_equal(run_on_terminal(text, sizeof(text), "diff", in_folder("large.snap"),
                                     in_folder("other.snap"), NULL),
                     1);
    assert_has(text, "\rcomparing: ");
    assert_has(text, " (100 %)");
    result = strstr(text, " \rmemory");
    if (result)
        assert_null(strstr(result, "comparing"));
    else
        fail_msg("%s", text);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same),
        cmocka_unit_test(different),
        cmocka_unit_test(different_json),
        cmocka_unit_test(future_records),
        cmocka_unit_test(vcpu_by_vcpu),
        cmocka_unit_test(no_schema),
        cmocka_unit_test(many_ranges),
        cmocka_unit_test(another_architecture),
        cmocka_unit_test(trouble),
        cmocka_unit_test(same_bytes_of_another_version),
        cmocka_unit_test(progress_on_a_terminal),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
