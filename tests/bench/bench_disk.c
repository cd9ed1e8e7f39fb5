/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest that reads a disk (disk.S):
 *   bench-disk run FILE DEPTH KIB random|sequential REQUESTS   under our devices: its output goes
 * to standard output as it comes bench-disk image FILE DEPTH KIB random|sequential REQUESTS RAM ROM
 * for the rival: what RAM holds from address 0 on, and its firmware
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/disk_image.h"
#include "stasis/virtio_state.h"
#include "vmm/api/vmm_disk.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/kvm_guest.h"

#define RAM_MIB  32
#define ROM_SIZE 65536
#define VECTOR   0x40
#define LAPIC    0xfee00000u
#define IOAPIC   0xfec00000u

/* QEMU's microvm without ACPI: eight places, and lines from 5 on (hw/i386/microvm.c). */
#define RIVAL_BASE   0xfeb00000u
#define RIVAL_STRIDE 0x200u
#define RIVAL_LINE   5u
#define RIVAL_PLACES 8u

extern const uint8_t bench_disk_rom[], bench_disk_rom_end[];
extern const uint8_t bench_disk_driver[], bench_disk_driver_end[], bench_disk_isr[];

struct bench_disk_params {
    uint32_t base, stride;
    uint32_t depth, total, sectors, mask, random;
};

static struct kvm_guest guest;

static int usage(void)
{
    fprintf(stderr, "usage: bench-disk run FILE DEPTH KIB random|sequential REQUESTS\n"
                    "       bench-disk image FILE DEPTH KIB random|sequential REQUESTS RAM ROM\n");
    return 2;
}

static void put(uint32_t gpa, const void *bytes, size_t len)
{
    memcpy(kvm_guest_ram(&guest, gpa, len), bytes, len);
}

static uint32_t tell(uint32_t at, uint32_t where, uint32_t what)
{
    const uint32_t pair[2] = {where, what};

    put(at, pair, sizeof(pair));
    return at + (uint32_t)sizeof(pair);
}

/* ---- what the driver finds ---- */

static void make_requests(const struct bench_disk_params *params)
{
    const uint32_t bytes = 512 * params->sectors;

    for (uint32_t i = 0; i < params->depth; i++) {
        const uint32_t at = 4 * i;
        const uint32_t descs[3][4] = {
            {BENCH_DISK_HEADER + 16 * i, 0, 16, 1 | (at + 1) << 16},
            {BENCH_DISK_DATA + bytes * i, 0, bytes, 3 | (at + 2) << 16},
            {BENCH_DISK_STATUS + i, 0, 1, 2},
        };

        put(BENCH_DISK_DESC + 16 * at, descs, sizeof(descs));
    }
}

static void make_tables(uint32_t line, uint32_t lines)
{
    static const uint32_t regs[][2] = {{0x70, 0},
                                       {0x70, 1},
                                       {0x70, 3},
                                       {0x24, 0},
                                       {0x20, 1u << 29},
                                       {0x24, 1},
                                       {0x20, 1},
                                       {0x70, 11},
                                       {0x30, 0},
                                       {0x38, BENCH_DISK_SIZE},
                                       {0x80, BENCH_DISK_DESC},
                                       {0x90, BENCH_DISK_AVAIL},
                                       {0xa0, BENCH_DISK_USED},
                                       {0x44, 1},
                                       {0x70, 15}};
    uint32_t at = tell(BENCH_DISK_SYSTEM, LAPIC + 0xf0, 0x1ff);

    at = tell(at, LAPIC + 0x350, 0x10000); /* nothing by the PIC */
    for (uint32_t pin = line; pin < line + lines; pin++) {
        at = tell(at, IOAPIC, 0x11 + 2 * pin);
        at = tell(at, IOAPIC + 0x10, 0);
        at = tell(at, IOAPIC, 0x10 + 2 * pin);
        at = tell(at, IOAPIC + 0x10, 0x8000 | VECTOR);
    }
    (void)tell(at, 0, 0);
    at = BENCH_DISK_DEVICE;
    for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
        at = tell(at, regs[i][0], regs[i][1]);
    (void)tell(at, UINT32_MAX, 0);
}

static void make_idt(void)
{
    const uint16_t gate[8] = {(uint16_t)(BENCH_DISK_ENTRY + (bench_disk_isr - bench_disk_driver)),
                              0x10, 0x8e00};
    const uint16_t idtr[5] = {0xfff, BENCH_DISK_IDT};

    put(BENCH_DISK_IDT + 16 * VECTOR, gate, sizeof(gate));
    put(BENCH_DISK_IDTR, idtr, sizeof(idtr));
}

static struct stasis_device *blk(void)
{
    return stasis_device_find(&guest.machine.devices, &stasis_virtio_blk_schema, "disk0");
}

/* ---- machines ---- */

static size_t say(void *ctx, const uint8_t *bytes, size_t len)
{
    (void)ctx;
    return write(STDOUT_FILENO, bytes, len) == (ssize_t)len ? len : 0;
}

static void build(const struct stasis_vmm_config *config, struct stasis_vmm_disks *disks)
{
    const struct stasis_board_optional optional = {"stasis.virtio_blk", "disk0"};
    const struct stasis_board_options options = {.memory_bytes = RAM_MIB << 20,
                                                 .vcpus = 1,
                                                 .cpu_model = "host",
                                                 .optional = &optional,
                                                 .optional_count = 1};
    struct stasis_board_state board;
    struct stasis_error err;

    kvm_guest_host(&guest);
    guest.host.serial_out = (struct stasis_device_output){say, NULL};
    kvm_ok(stasis_vmm_disks_open(config, disks, &guest.host, &err), &err);
    kvm_ok(stasis_board_default(&options, &board, &err), &err);
    kvm_ok(stasis_machine_build(&guest.machine, &board, &guest.host, &err), &err);
}

static void load(struct bench_disk_params params, uint32_t line, uint32_t lines)
{
    const struct stasis_x86_regs_state regs = {.rsp = BENCH_DISK_STACK};

    kvm_guest_smp_long(&guest, 0, bench_disk_driver,
                       (size_t)(bench_disk_driver_end - bench_disk_driver), &regs);
    put(BENCH_DISK_PARAMS, &params, sizeof(params));
    make_requests(&params);
    make_tables(line, lines);
    make_idt();
}

/* Until somebody closes standard input. */
static int run(struct bench_disk_params params, struct stasis_vmm_disks *disks)
{
    char byte;

    params.base = (uint32_t)blk()->row->base;
    load(params, blk()->row->gsi, 1);
    kvm_guest_start(&guest);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    kvm_guest_fini(&guest);
    stasis_vmm_disks_close(disks);
    return 0;
}

static bool write_file(const char *path, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "wbe");
    bool ok = file && fwrite(bytes, len, 1, file) == 1;

    return file && !fclose(file) && ok;
}

/* What a vCPU of ours begins with. */
static void put_registers(void)
{
    struct stasis_x86_sregs_state sregs;
    struct stasis_error err;

    stasis_state_init(&stasis_x86_sregs_schema, &sregs);
    kvm_ok(stasis_x86_sregs_part.get(&guest.machine.vcpus[0], &sregs, &err), &err);
    put(BENCH_DISK_GDTR, &sregs.gdt.limit, 2);
    put(BENCH_DISK_GDTR + 2, &sregs.gdt.base, 4);
    put(BENCH_DISK_CR3, &sregs.cr3, 4);
}

/* The last 16 bytes are where a CPU begins (SDM 3A, 10.1.4). */
static bool write_rom(const char *path)
{
    static const uint8_t jump[] = {0xea, 0x00, 0x00, 0x00, 0xf0};
    static uint8_t rom[ROM_SIZE];

    memcpy(rom, bench_disk_rom, (size_t)(bench_disk_rom_end - bench_disk_rom));
    memcpy(rom + ROM_SIZE - 16, jump, sizeof(jump));
    return write_file(path, rom, sizeof(rom));
}

static int image(struct bench_disk_params params, const char *ram, const char *rom)
{
    params.base = RIVAL_BASE;
    params.stride = RIVAL_STRIDE;
    load(params, RIVAL_LINE, RIVAL_PLACES);
    put_registers();
    return write_file(ram, kvm_guest_ram(&guest, 0, BENCH_DISK_IMAGE), BENCH_DISK_IMAGE) &&
                   write_rom(rom)
               ? 0
               : 1;
}

/* ---- what is asked for ---- */

static struct bench_disk_params params_of(char **argv)
{
    struct bench_disk_params params = {
        .depth = (uint32_t)strtoul(argv[3], NULL, 10),
        .sectors = 2 * (uint32_t)strtoul(argv[4], NULL, 10),
        .random = !strcmp(argv[5], "random"),
        .total = (uint32_t)strtoul(argv[6], NULL, 10),
    };
    struct stat file;

    if (stat(argv[2], &file))
        file.st_size = 0; /* opening it says why */
    while (params.sectors &&
           512 * params.sectors * (2 * (uint64_t)params.mask + 2) <= (uint64_t)file.st_size)
        params.mask = 2 * params.mask + 1;
    return params;
}

int main(int argc, char **argv)
{
    static struct stasis_vmm_disks disks;
    struct bench_disk_params params;
    struct stasis_vmm_config config = {.demo = true};

    if (argc < 7)
        return usage();
    config.block[0].path = argv[2];
    config.block[0].readonly = STASIS_VMM_BLOCK_READONLY_ON;
    params = params_of(argv);
    if (!params.depth || params.depth > BENCH_DISK_SIZE / 4)
        return usage();
    if (argc == 7 && !strcmp(argv[1], "run")) {
        build(&config, &disks);
        return run(params, &disks);
    }
    if (argc == 9 && !strcmp(argv[1], "image")) {
        build(&config, &disks);
        return image(params, argv[7], argv[8]);
    }
    return usage();
}
