/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/io.h"
#include "tools/inspect.h"

static struct run run;

static void info_of(struct built *built)
{
    save_to(built, in_folder("a.snap"));
    run_inspect(&run, NULL, "info", in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
}

static void whole_machine(void **state)
{
    struct built built;

    (void)state;
    built_machine(&built);
    info_of(&built);
    assert_has(run.out, "a.snap: a Stasis snapshot\n"
                        "  producer    stasis " STASIS_VERSION ", format 2, architecture x86_64\n"
                        "  frozen      2023-11-14 22:13:20 UTC, ");
    assert_has(run.out, " days ago\n  UUID        ");
    assert_has(run.out, "\n  root        ");
    assert_has(run.out, ", of checksums\n");
    assert_has(run.out, "  generation  7 (times it was frozen before)\n"
                        "  host        6.1.0-test, Analytical Engine\n"
                        "  memory      200 KiB in 2 regions: 136 KiB stored, 64 KiB zero\n"
                        "  file        ");
    assert_has(run.out, "\n  state       8 records\n"
                        "vCPU cpu0, 64-bit, halted\n"
                        "  RIP 0xffffffff81000000  RSP 0xffffffffffffffff  RFLAGS 0x00000246"
                        "  CR3 0x0000000001234000\n"
                        "board microvm of stasis 0.0.1, CPU model host, 1 vCPU\n"
                        "  com1 (stasis.serial): ports 0x3f8-0x3ff, IRQ 4\n"
                        "    LCR 0x00 (5N1), IER 0x00, 0 bytes received and not read, 0 not yet "
                        "sent\n"
                        "  rtc (stasis.pl031): memory 0xc0000000-0xc0000fff, IRQ 8\n"
                        "    shows 1970-01-02 00:00:00 UTC, alarm 1970-01-02 00:01:00 UTC\n"
                        "  kbd (stasis.i8042): ports 0x060-0x064, no IRQ\n"
                        "    command byte 0x05, output port 0x03, nothing waits\n");
    built_fini(&built);
}

/* What a program with state of its own makes: none of our records but one. */
static void foreign_snapshot(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    info_of(&built);
    assert_has(run.out, " ago\n");
    assert_has(run.out, "\n  state       1 record\n");
    assert_null(strstr(run.out, "vCPU"));
    assert_null(strstr(run.out, "board"));
    assert_null(strstr(run.out, "generation"));
    built_fini(&built);
}

/* Another emulator's guest: every command that does not need x86 registers works. */
static void any_machine(void **state)
{
    static const struct {
        uint32_t arch;
        const char *info;
        const char *json;
    } rows[] = {
        {243, ", architecture riscv\n", "\"arch\": 243,\n    \"arch_name\": \"riscv\","},
        {4711, ", architecture ELF machine 4711\n",
         "\"arch\": 4711,\n    \"arch_name\": \"unknown\","},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct built built = {.snap = stasis_snap_new(rows[i].arch)};

        built_add(&built, 0, 4 * STASIS_CHUNK_SIZE);
        fill_random(built.ram[0], 3 * STASIS_CHUNK_SIZE, 1);
        info_of(&built);
        assert_has(run.out, rows[i].info);
        run_inspect(&run, NULL, "json", in_folder("a.snap"), NULL);
        assert_ended(&run, 0, NULL);
        assert_has(run.out, rows[i].json);
        run_inspect(&run, NULL, "verify", in_folder("a.snap"), NULL);
        assert_ended(&run, 0, NULL);
        run_inspect(&run, NULL, "memory", in_folder("a.snap"), NULL);
        assert_ended(&run, 0, NULL);
        run_inspect(&run, NULL, "extract", "--gpa", "0", "--len", "64K", in_folder("a.snap"), NULL);
        assert_ended(&run, 0, NULL);
        run_inspect(&run, NULL, "core", "-o", in_folder("core"), in_folder("a.snap"), NULL);
        assert_ended(&run, 2, "cores are made of x86_64 guests only");
        run_inspect(&run, NULL, "migrate", "--to", "0.1.0", in_folder("a.snap"),
                    in_folder("b.snap"), NULL);
        assert_ended(&run, 0, NULL);
        run_inspect(&run, NULL, "diff", in_folder("a.snap"), in_folder("b.snap"), NULL);
        assert_ended(&run, 0, NULL);
        built_fini(&built);
    }
}

static void modes(void **state)
{
    static const struct {
        uint64_t cr0, efer, rflags;
        uint8_t l, db;
        const char *text;
    } rows[] = {
        {0x10, 0, 2, 0, 0, "vCPU cpu0, 16-bit (real mode)\n"},
        {0x11, 0, 2, 0, 0, "vCPU cpu0, 16-bit (protected mode)\n"},
        {0x11, 0, 2, 0, 1, "vCPU cpu0, 32-bit (protected mode)\n"},
        {0x11, 0, 0x20002, 0, 1, "vCPU cpu0, 16-bit (virtual-8086 mode)\n"},
        {0x80000011, 0x500, 2, 1, 0, "vCPU cpu0, 64-bit\n"},
        {0x80000011, 0x500, 2, 0, 1, "vCPU cpu0, 32-bit (compatibility mode)\n"},
        {0x80000011, 0x500, 2, 0, 0, "vCPU cpu0, 16-bit (compatibility mode)\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stasis_x86_regs_state regs;
        struct stasis_x86_sregs_state sregs;
        struct built built;

        built_small(&built);
        stasis_state_init(&stasis_x86_regs_schema, &regs);
        stasis_state_init(&stasis_x86_sregs_schema, &sregs);
        regs.rflags = rows[i].rflags;
        sregs.cr0 = rows[i].cr0;
        sregs.efer = rows[i].efer;
        sregs.cs.l = rows[i].l;
        sregs.cs.db = rows[i].db;
        add_state(&built, &stasis_x86_regs_schema, "cpu0", &regs);
        add_state(&built, &stasis_x86_sregs_schema, "cpu0", &sregs);
        info_of(&built);
        assert_has(run.out, rows[i].text);
        built_fini(&built);
    }
}

static void vcpus_in_order(void **state)
{
    struct stasis_x86_regs_state regs;
    struct built built;

    (void)state;
    built_small(&built);
    stasis_state_init(&stasis_x86_regs_schema, &regs);
    add_state(&built, &stasis_x86_regs_schema, "cpu10", &regs);
    add_state(&built, &stasis_x86_regs_schema, "cpu2", &regs);
    add_state(&built, &stasis_x86_regs_schema, "cpu9", &regs);
    info_of(&built);
    assert_true(strstr(run.out, "vCPU cpu2\n") < strstr(run.out, "vCPU cpu9\n"));
    assert_true(strstr(run.out, "vCPU cpu9\n") < strstr(run.out, "vCPU cpu10\n"));
    built_fini(&built);
}

static void hostile_file_name(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    save_to(&built, in_folder("\x1b[2J\xc2\x9b"));
    run_inspect(&run, NULL, "info", in_folder("\x1b[2J\xc2\x9b"), NULL);
    assert_has(run.out, "/\\x1b[2J\\xc2\\x9b: a Stasis snapshot\n");
    run_inspect(&run, NULL, "info", in_folder("\x1b]0;x\x07"), NULL);
    assert_ended(&run, 2, "/\\x1b]0;x\\x07: No such file or directory; check the name");
    built_fini(&built);
}

static void standard_input(void **state)
{
    struct setup setup = {0};
    struct built built;
    struct image image;
    int child;

    (void)state;
    built_machine(&built);
    save_to(&built, in_folder("a.snap"));
    setup.in = open(in_folder("a.snap"), O_RDONLY);
    run_inspect(&run, &setup, "info", "-", NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "-: a Stasis snapshot\n");
    close(setup.in);
    image = image_of_stream(&built);
    setup.in = image_pipe(&image, &child);
    run_inspect(&run, &setup, "info", "-", NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, ", streamed\n");
    close(setup.in);
    child_wait(child);
    run_inspect(&run, NULL, "info", "-", NULL); /* /dev/null */
    assert_ended(&run, 3, "standard input: ");
    image_fini(&image);
    built_fini(&built);
}

/* RAM is not read: a damaged chunk is no matter. (test_cmd_memory.c counts the bytes.) */
static void ram_is_not_read(void **state)
{
    struct built built;
    struct image image;

    (void)state;
    built_small(&built);
    image = image_of(&built);
    image.bytes[image.len - 1] ^= 1;
    write_file(in_folder("bad.snap"), image.bytes, image.len);
    run_inspect(&run, NULL, "info", in_folder("bad.snap"), NULL);
    assert_ended(&run, 0, NULL);
    image_fini(&image);
    built_fini(&built);
}

/* ---- how much is read ---- */

static uint64_t bytes_read;

ssize_t __real_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);
ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);
ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset)
{
    ssize_t n = __real_stasis_io_pread(fd, buf, len, offset);

    bytes_read += n > 0 ? (uint64_t)n : 0;
    return n;
}

static void set_many_notes(struct built *built)
{
    char key[16], value[STASIS_NOTE_VALUE_MAX + 1];

    memset(value, 'v', STASIS_NOTE_VALUE_MAX);
    value[STASIS_NOTE_VALUE_MAX] = '\0';
    for (unsigned i = 0; i < STASIS_NOTES_MAX; i++) {
        snprintf(key, sizeof(key), "k%02u", i);
        assert_int_equal(stasis_notes_set(stasis_snap_notes(built->snap), key, value, NULL), 0);
    }
}

/* A file with much of everything: header, index, state, schemas and notes are read once, for which
 * they have to be, and no RAM. */
static void each_byte_is_read_once_and_no_ram(void **state)
{
    char path[256];
    char *const operands[] = {path};
    struct stasis_inspect_args args = {.operand_count = 1, .operands = operands};
    struct stasis_error err = {0};
    struct built built;
    uint64_t most;
    FILE *out = fopen("/dev/null", "we");

    (void)state;
    assert_non_null(out);
    built_machine(&built);
    built_add(&built, UINT64_C(1) << 32, (size_t)8 << 30); /* of which 128 chunks are stored */
    for (size_t at = 0; at < ((size_t)16 << 20); at += 2 * (size_t)STASIS_CHUNK_SIZE)
        built.ram[built.region_count - 1][at] = 1;
    set_many_notes(&built);
    save_to(&built, in_folder("much.snap"));
    most = stasis_snap_info(built.snap)->file_len - stasis_snap_info(built.snap)->stored_bytes;
    args.outputs = stasis_outputs_new();
    snprintf(path, sizeof(path), "%s", in_folder("much.snap"));
    bytes_read = 0;
    if (stasis_inspect_info(&args, out, &err))
        fail_msg("%s", err.msg);
    assert_in_range(bytes_read, 128 * (12 + 24), most + 4096);
    stasis_outputs_free(args.outputs);
    fclose(out);
    built_fini(&built);
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_machine),
        cmocka_unit_test(foreign_snapshot),
        cmocka_unit_test(any_machine),
        cmocka_unit_test(modes),
        cmocka_unit_test(vcpus_in_order),
        cmocka_unit_test(hostile_file_name),
        cmocka_unit_test(standard_input),
        cmocka_unit_test(ram_is_not_read),
        cmocka_unit_test(each_byte_is_read_once_and_no_ram),
    };

    return cmocka_run_group_tests(tests, setup_folder, teardown);
}
