/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Makes what is measured:
 *   bench-guest freeze asleep|writing MIB RANDOM_MIB FILE   a snapshot of the guest, asleep or in
 *       its loop of port writes; prints the file offset of guest address 0
 *   bench-guest run MIB RANDOM_MIB                          the guest, never frozen: what comes on
 *       standard input is typed, its answers go to standard output
 *   bench-guest rom FILE                                    the guest as the rival's firmware
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/guest.h"

#define ROM_SIZE 65536

static int usage(void)
{
    fprintf(stderr, "usage: bench-guest freeze asleep|writing MIB RANDOM_MIB FILE\n"
                    "       bench-guest run MIB RANDOM_MIB\n"
                    "       bench-guest rom FILE\n");
    return 2;
}

static int complain(const char *what)
{
    fprintf(stderr, "bench-guest: %s\n", what);
    return 1;
}

static int print_place(const char *path, struct stasis_error *err)
{
    struct stasis_snap *snap;
    int rc = stasis_snap_open(path, NULL, &snap, err);

    if (!rc) {
        printf("%llu\n", (unsigned long long)stasis_snap_chunk_at(snap, 0).offset);
        stasis_snap_free(snap);
    }
    return rc;
}

static int freeze(bool writing, uint64_t mib, uint64_t random_mib, const char *path)
{
    static struct kvm_guest guest;
    struct stasis_snap *snap = NULL;
    struct stasis_error err;
    int rc;

    bench_guest_run(&guest, mib, random_mib);
    bench_guest_type(&guest, writing ? 'p' : 'x');
    stasis_machine_pause(&guest.machine);
    if (guest.out_len == sizeof(guest.out))
        return complain("the guest was stopped too late: its port is full");
    rc = stasis_freeze(&guest.machine, guest.generation, &snap, &err);
    if (!rc)
        rc = stasis_snap_save(snap, path, NULL, NULL, &err);
    stasis_snap_free(snap);
    kvm_guest_fini(&guest);
    if (!rc)
        rc = print_place(path, &err);
    return rc ? complain(err.msg) : 0;
}

static int run(uint64_t mib, uint64_t random_mib)
{
    static struct kvm_guest guest;
    uint8_t byte;

    bench_guest_run(&guest, mib, random_mib);
    do {
        if (write(STDOUT_FILENO, guest.out, 1) != 1 || read(STDIN_FILENO, &byte, 1) != 1)
            break;
        bench_guest_type(&guest, byte);
    } while (true);
    kvm_guest_fini(&guest);
    return 0;
}

/* The last 16 bytes are where a CPU begins (SDM 3A, 10.1.4), at the end of a segment of 64 KiB. */
static int write_rom(const char *path)
{
    static const uint8_t jump[] = {0xea, 0x00, 0x00, 0x00, 0xf0}; /* ljmp $0xf000, $0 */
    static uint8_t rom[ROM_SIZE];
    FILE *file = fopen(path, "wbe");
    bool ok;

    if (!file)
        return complain("cannot make the ROM file");
    memcpy(rom, bench_guest, (size_t)(bench_guest_end - bench_guest));
    memcpy(rom + ROM_SIZE - 16, jump, sizeof(jump));
    ok = fwrite(rom, sizeof(rom), 1, file) == 1;
    ok = !fclose(file) && ok;
    return ok ? 0 : complain("cannot write the ROM file");
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "rom"))
        return write_rom(argv[2]);
    if (argc == 4 && !strcmp(argv[1], "run"))
        return run(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    if (argc == 6 && !strcmp(argv[1], "freeze"))
        return freeze(!strcmp(argv[2], "writing"), strtoull(argv[3], NULL, 10),
                      strtoull(argv[4], NULL, 10), argv[5]);
    return usage();
}
