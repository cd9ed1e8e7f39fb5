/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * An emulator that keeps its snapshots in memory, as for a quick-save key or for rewinding. What it
 * reads from a slot is verified like a file. Its RAM is a memfd. The CPU is a toy; unicorn_guest.c
 * has a real one.
 *
 *   memory-slots    run, save every 1000 steps, rewind, and run again to the same state
 */
#define _GNU_SOURCE /* memfd_create() */
#include <stasis/bind.h>
#include <stasis/storage.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_SIZE (1u << 20)
#define SLOTS    3

/* ---- the machine ---- */

struct cpu {
    uint64_t steps;
    uint64_t accumulator;
    uint32_t address;
};

static const struct stasis_field cpu_fields[] = {
    STASIS_BIND_INT(struct cpu, steps, 1, 1, 0, UINT64_MAX, "steps since the start"),
    STASIS_BIND_INT(struct cpu, accumulator, 2, 1, 0, UINT64_MAX, "accumulator"),
    STASIS_BIND_INT(struct cpu, address, 3, 1, 0, RAM_SIZE - 1, "next byte to work on"),
};

static const struct stasis_schema cpu_schema = {
    .type = "acme.cpu", .version = 1, STASIS_BIND_FIELDS(struct cpu, cpu_fields), .doc = "toy CPU"};
static const struct stasis_schema *const own[] = {&cpu_schema};
static const struct stasis_parse_opts known = {
    .size = sizeof(known), .schemas = own, .schema_count = 1};

static struct cpu cpu = {.accumulator = 1};
static uint8_t *ram;

/* Shared, so that another process, as one that draws the screen, can map it too. MFD_HUGETLB would
 * take it from the pool of huge pages. */
static int make_ram(struct stasis_error *err)
{
    int fd = memfd_create("guest", MFD_CLOEXEC);
    void *at = MAP_FAILED;

    if (fd >= 0 && !ftruncate(fd, RAM_SIZE))
        at = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the guest");
    ram = at;
    return 0;
}

static void run(uint64_t steps)
{
    for (uint64_t end = cpu.steps + steps; cpu.steps < end; cpu.steps++) {
        cpu.accumulator = cpu.accumulator * 6364136223846793005u + ram[cpu.address];
        ram[cpu.address] ^= (uint8_t)(cpu.accumulator >> 56);
        cpu.address = (uint32_t)(cpu.accumulator >> 24) % RAM_SIZE;
    }
}

static void show(const char *what)
{
    uint64_t sum = cpu.accumulator;

    for (size_t i = 0; i < RAM_SIZE; i++)
        sum = sum * 31 + ram[i];
    printf("%s step %" PRIu64 ", state %016" PRIx64 "\n", what, cpu.steps, sum);
}

/* ---- slots in memory ---- */

struct slot {
    char name[16];
    uint8_t *bytes;
    size_t len;
    size_t room;
};

static ssize_t slot_write(void *ctx, const void *bytes, size_t len)
{
    struct slot *slot = ctx;

    if (len > slot->room - slot->len) {
        size_t room = 2 * slot->room + len;
        uint8_t *more = realloc(slot->bytes, room);

        if (!more) {
            errno = ENOMEM;
            return -1;
        }
        slot->bytes = more;
        slot->room = room;
    }
    memcpy(slot->bytes + slot->len, bytes, len);
    slot->len += len;
    return (ssize_t)len;
}

static ssize_t slot_read(void *ctx, void *buf, size_t len, uint64_t offset)
{
    const struct slot *slot = ctx;

    memcpy(buf, slot->bytes + offset, len); /* never asked for what is behind `length` */
    return (ssize_t)len;
}

static struct stasis_storage storage_of(struct slot *slot)
{
    return (struct stasis_storage){.size = sizeof(struct stasis_storage),
                                   .name = slot->name,
                                   .read = slot_read,
                                   .length = slot->len,
                                   .write = slot_write,
                                   .ctx = slot};
}

/* ---- saving and loading ---- */

/* Compressed, for memory is dear. The slot keeps what it held until the new snapshot is whole. */
static int save(struct slot *slot, struct stasis_error *err)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = 1, .threads = 1};
    struct slot fresh = {0};
    struct stasis_storage storage = storage_of(&fresh);
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);
    int rc = snap ? 0 : stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");

    memcpy(fresh.name, slot->name, sizeof(fresh.name));
    if (!rc)
        rc = stasis_records_add(stasis_snap_records(snap), &cpu_schema, "0", &cpu, err);
    if (!rc)
        rc = stasis_snap_add_ram(snap, 0, ram, RAM_SIZE, err);
    if (!rc)
        rc = stasis_snap_save_storage(snap, &storage, &opts, NULL, err);
    stasis_snap_free(snap);
    free(rc ? fresh.bytes : slot->bytes);
    if (!rc)
        *slot = fresh;
    return rc;
}

/* The machine changes when all is known to be good, but for its RAM. */
static int load(struct slot *slot, struct stasis_error *err)
{
    const struct stasis_storage storage = storage_of(slot);
    struct stasis_snap *snap = NULL;
    struct cpu loaded;
    int rc = stasis_snap_open_storage(&storage, &known, &snap, err);

    if (!rc)
        rc = stasis_records_get(stasis_snap_records(snap), &cpu_schema, "0", &loaded, err);
    if (!rc)
        rc = stasis_snap_get_ram(snap, 0, ram, RAM_SIZE, NULL, NULL, err);
    if (!rc)
        cpu = loaded;
    stasis_snap_free(snap);
    return rc;
}

static int run_and_save(struct slot *slots, struct stasis_error *err)
{
    int rc = 0;

    for (int i = 0; i < SLOTS && !rc; i++) {
        run(1000);
        snprintf(slots[i].name, sizeof(slots[i].name), "slot %d", i + 1);
        rc = save(&slots[i], err);
    }
    show("at");
    return rc;
}

int main(void)
{
    struct slot slots[SLOTS] = {0};
    struct stasis_error err = {0};
    int rc = make_ram(&err);

    if (!rc)
        rc = run_and_save(slots, &err);
    if (!rc)
        rc = load(&slots[0], &err);
    if (!rc) {
        show("rewound to");
        run(2000);
        show("again at");
        slots[1].bytes[slots[1].len / 2] ^= 1;
        printf("refused: %s\n", load(&slots[1], &err) ? err.msg : "nothing");
    }
    for (int i = 0; i < SLOTS; i++)
        free(slots[i].bytes);
    if (rc)
        fprintf(stderr, "memory-slots: %s\n", err.msg);
    return stasis_err_exit_status(rc);
}
