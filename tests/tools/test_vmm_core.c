/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Guests that die two calls deep, saved by vmm --on-crash, in gdb: registers, code and stack.
 */
#include "tests/tools/rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/vmm/session_rig.h"

/* Where the code behind "up" is: session_write_kernel(). */
#define CODE UINT64_C(0x100000b)

/* mov $0x1200000, %esp; call 1f; hlt; 1: call 2f; hlt; 2: */
#define TWO_CALLS                                                                                  \
    0xbc, 0x00, 0x00, 0x20, 0x01, 0xe8, 0x01, 0x00, 0x00, 0x00, 0xf4, 0xe8, 0x01, 0x00, 0x00,      \
        0x00, 0xf4
#define FIRST_RETURN  (CODE + 10)
#define SECOND_RETURN (CODE + 16)

static struct run run;

/* The program lies beside the test, wherever that is run. */
static const char *vmm(void)
{
    static char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/vmm"));

    assert_true(len > 0);
    path[len] = '\0';
    memcpy(strrchr(path, '/'), "/vmm", sizeof("/vmm"));
    return path;
}

static void save_crash(const char *snapshot, const uint8_t *code, size_t len)
{
    char kernel[200], on_crash[sizeof("snapshot=") + sizeof(kernel)];
    const char *const argv[] = {vmm(), "--kernel",   kernel,   "--memory",
                                "32",  "--on-crash", on_crash, NULL};

    snprintf(kernel, sizeof(kernel), "%s", in_folder("kernel"));
    snprintf(on_crash, sizeof(on_crash), "snapshot=%s", snapshot);
    session_write_kernel(kernel, "up", code, len);
    run_program(&run, NULL, argv);
    assert_int_equal(run.status, 6);
}

static uint64_t find_rip(const char *snapshot)
{
    const char *found;

    run_inspect(&run, NULL, "info", snapshot, NULL);
    assert_ended(&run, 0, NULL);
    found = strstr(run.out, "RIP 0x");
    assert_non_null(found);
    return strtoull(found + 4, NULL, 16);
}

/* gdb has no symbols of it, and takes what lies at RSP for the caller's, which it is. */
static void assert_frame(unsigned number, uint64_t rip)
{
    char frame[60];

    snprintf(frame, sizeof(frame), "#%u  0x%016" PRIx64 " in ?? ()\n", number, rip);
    assert_has(run.out, frame);
}

static void open_in_gdb(const char *snapshot)
{
    const char *const version[] = {STASIS_GDB, "--version", NULL};
    char core[200], command[220];
    const char *const gdb[] = {STASIS_GDB, "-nx", "-batch", "-ex", command, "-ex", "bt", NULL};

    snprintf(core, sizeof(core), "%s", in_folder("vm.core"));
    snprintf(command, sizeof(command), "core %s", core);
    run_inspect(&run, NULL, "core", snapshot, "-o", core, NULL);
    assert_int_equal(run.status, 0);
    run_program(&run, NULL, version);
    if (run.status) {
        print_message("gdb is not installed\n");
        skip();
    }
    run_program(&run, NULL, gdb);
    assert_int_equal(run.status, 0);
}

/* Returns where it died. */
static uint64_t crash_in_gdb(const uint8_t *code, size_t len)
{
    char snapshot[200];
    uint64_t rip;

    snprintf(snapshot, sizeof(snapshot), "%s", in_folder("crash.snap"));
    save_crash(snapshot, code, len);
    rip = find_rip(snapshot);
    open_in_gdb(snapshot);
    assert_frame(0, rip);
    return rip;
}

static void assert_callers(void)
{
    assert_frame(1, SECOND_RETURN);
    assert_frame(2, FIRST_RETURN);
}

static void a_panic_told_by_pvpanic(void **state)
{
    /* mov $0x505, %edx; mov $1, %al; out %al, (%dx) */
    static const uint8_t code[] = {TWO_CALLS, 0xba, 0x05, 0x05, 0x00, 0x00, 0xb0, 0x01, 0xee};

    (void)state;
    assert_in_range(crash_in_gdb(code, sizeof(code)), CODE, CODE + sizeof(code));
    assert_callers();
}

/* ud2, and no IDT. KVM resets a vCPU of AMD's that shuts down: nothing of the crash is left in it.
 */
static void a_triple_fault(void **state)
{
    static const uint8_t code[] = {TWO_CALLS, 0x0f, 0x0b};
    uint64_t rip = crash_in_gdb(code, sizeof(code));

    (void)state;
    if (rip == 0xfff0) {
        print_message("KVM has reset the vCPU: it has no callers\n");
        skip();
    }
    assert_int_equal(rip, CODE + sizeof(code) - 2);
    assert_callers();
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_panic_told_by_pvpanic),
        cmocka_unit_test(a_triple_fault),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, setup_folder, teardown);
}
