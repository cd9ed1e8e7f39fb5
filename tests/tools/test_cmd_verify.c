/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct run run;

static void whole(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    save_to(&built, in_folder("a.snap"));
    run_inspect(&run, NULL, "verify", in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "/a.snap: whole; checked header, state (records 1), index (chunks 4), data "
                        "(chunks stored 3, bytes 139264) and padding: ");
    assert_ptr_equal(strchr(run.out, '\n'), run.out + run.out_len - 1);
    built_fini(&built);
}

/* The message names chunk, guest address and file offset. */
static void damaged_chunks(void **state)
{
    struct stasis_error err;
    struct stasis_snap *snap;
    struct built built;
    struct image image;

    (void)state;
    built_small(&built);
    save_to(&built, in_folder("a.snap"));
    assert_int_equal(stasis_snap_open(in_folder("a.snap"), NULL, &snap, &err), 0);
    for (uint64_t i = 0; i < stasis_snap_chunk_count(snap); i++) {
        struct stasis_snap_chunk chunk = stasis_snap_chunk_at(snap, i);
        char text[128];

        if (chunk.kind != STASIS_CHUNK_RAW)
            continue;
        image = image_read(in_folder("a.snap"));
        image.bytes[chunk.offset + chunk.stored_len / 2] ^= 0x10;
        write_file(in_folder("bad"), image.bytes, image.len);
        image_fini(&image);
        snprintf(text, sizeof(text),
                 "/bad: chunk %" PRIu64 ", guest address 0x%" PRIx64 ", file offset %" PRIu64
                 ": damaged (CRC)",
                 i, chunk.gpa, chunk.offset);
        run_inspect(&run, NULL, "verify", in_folder("bad"), NULL);
        assert_ended(&run, 3, text);
        assert_string_equal(run.out, "");
    }
    stasis_snap_free(snap);
    built_fini(&built);
}

static void damaged_padding(void **state)
{
    struct built built;
    struct image image;

    (void)state;
    built_small(&built);
    image = image_of(&built);
    image.bytes[section_offset(image_section(&image, STASIS_SECTION_SCHEMA)) +
                section_length(image_section(&image, STASIS_SECTION_SCHEMA)) + 1] = 1;
    write_file(in_folder("bad"), image.bytes, image.len);
    run_inspect(&run, NULL, "verify", in_folder("bad"), NULL);
    assert_ended(&run, 3, "belong to nothing and are not zero");
    image_fini(&image);
    built_fini(&built);
}

static void progress_on_a_terminal(void **state)
{
    char text[4096];
    struct built built;

    (void)state;
    built_large(&built);
    save_to(&built, in_folder("a.snap"));
    assert_int_equal(run_on_terminal(text, sizeof(text), "verify", in_folder("a.snap"), NULL), 0);
    assert_has(text, "\rverifying: ");
    assert_has(text, " (100 %)");
    assert_has(text, "                \r");
    assert_has(text, "a.snap: whole; ");
    built_fini(&built);
}

/* Here through a FIFO. */
static void progress_of_a_pipe_on_a_terminal(void **state)
{
    char text[4096];
    struct built built;
    struct image image;
    pid_t child;

    (void)state;
    built_large(&built);
    image = image_of_stream(&built);
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        int fd = open(in_folder("fifo"), O_WRONLY | O_CLOEXEC);

        _exit(write(fd, image.bytes, image.len) == (ssize_t)image.len ? 0 : 1);
    }
    assert_int_equal(run_on_terminal(text, sizeof(text), "verify", in_folder("fifo"), NULL), 0);
    child_wait(child);
    assert_has(text, "\rreading: ");
    assert_has(text, "\rverifying: ");
    assert_has(text, "fifo: whole; ");
    image_fini(&image);
    built_fini(&built);
}

static void add_vcpu(struct built *built, const char *name, uint64_t cr0, uint64_t rflags)
{
    struct stasis_x86_regs_state regs;
    struct stasis_x86_sregs_state sregs;

    stasis_state_init(&stasis_x86_regs_schema, &regs);
    regs.rflags = rflags;
    add_state(built, &stasis_x86_regs_schema, name, &regs);
    stasis_state_init(&stasis_x86_sregs_schema, &sregs);
    sregs.cr0 = cr0;
    add_state(built, &stasis_x86_sregs_schema, name, &sregs);
}

/* The file is whole; what it says of a CPU is not. */
static void states_that_no_cpu_can_be_in(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    add_vcpu(&built, "cpu0", 0x10, 2);
    add_vcpu(&built, "cpu1", UINT64_C(1) << 31, 2);
    add_vcpu(&built, "cpu2", 0x10, 8);
    save_to(&built, in_folder("a.snap"));
    run_inspect(&run, NULL, "verify", in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, " bytes in all\n"
                        "impossible state: vCPU cpu1: CR0.PG is set without CR0.PE (SDM 3A, 2.5); "
                        "vmm refuses the guest\n"
                        "warning: vCPU cpu2: RFLAGS bit 1 is clear (SDM 1, 3.4.3)\n"
                        "warning: vCPU cpu2: RFLAGS has reserved bits (SDM 1, 3.4.3)\n");
    assert_null(strstr(run.out, "cpu0"));
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
        cmocka_unit_test(whole),
        cmocka_unit_test(damaged_chunks),
        cmocka_unit_test(damaged_padding),
        cmocka_unit_test(states_that_no_cpu_can_be_in),
        cmocka_unit_test(progress_on_a_terminal),
        cmocka_unit_test(progress_of_a_pipe_on_a_terminal),
    };

    return cmocka_run_group_tests(tests, setup_folder, teardown);
}
