/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/snapshot/hostile_rings.h"

#include <stddef.h>

#include "core/random.h"

#define OPS       120 /* of a program */
#define SIZE      16u /* of a queue, at most */
#define INDIRECTS 12u /* entries from here on, of each table, are of indirect ones */
#define TABLES    4u  /* indirect ones of a queue, behind its own */

#define NEXT     1u
#define WRITE    2u
#define INDIRECT 4u

#define COUNT(list)  (sizeof(list) / sizeof((list)[0]))
#define PICK(p, ...) pick(p, (const uint32_t[]){__VA_ARGS__}, COUNT(((uint32_t[]){__VA_ARGS__})))

static uint32_t below(struct rings_program *p, uint32_t bound)
{
    return next_random(p->seed) % bound;
}

static uint32_t pick(struct rings_program *p, const uint32_t *values, size_t count)
{
    return values[below(p, (uint32_t)count)];
}

/* Once in so many times, and never of a program that keeps to the rules. */
static bool is_wild(struct rings_program *p, uint32_t bound)
{
    return below(p, bound) == 0 && !p->is_tame;
}

static uint32_t rarely(struct rings_program *p, uint32_t value)
{
    return is_wild(p, 8) ? value : 0;
}

void rings_store(struct rings_program *p, uint32_t where, uint32_t what)
{
    p->stores[p->count++] = (struct rings_store){where, what};
}

/* ---- bringing a device up ---- */

static const uint32_t queues[RINGS_DEVICES] = {1, 1, 2, 3, 3};
/* What they offer, of the lower half. */
static const uint32_t features[RINGS_DEVICES] = {UINT32_C(3) << 28,
                                                 UINT32_C(3) << 28 | 1u << 9 | 1u << 13 | 1u << 14,
                                                 UINT32_C(3) << 28 | 1u << 5 | 1u << 15 | 1u << 16,
                                                 UINT32_C(3) << 28, UINT32_C(3) << 28 | 1u << 5};

static void set_register(struct rings_program *p, uint32_t device, uint32_t offset, uint32_t value)
{
    rings_store(p, p->bases[device] + offset, value);
}

/* The lower half is of the driver's choice; no RAM is where the upper one is not 0. */
static void set_address(struct rings_program *p, uint32_t device, uint32_t offset, uint32_t low)
{
    set_register(p, device, offset, low);
    set_register(p, device, offset + 4, is_wild(p, 32) ? 0xdead : 0);
}

static void set_queue_up(struct rings_program *p, uint32_t device, uint32_t queue)
{
    const uint32_t table = RINGS_TABLE(device, queue), avail = RINGS_AVAIL(device, queue);
    const uint32_t used = RINGS_USED(device, queue);
    bool well = !is_wild(p, 8);

    rings_store(p, avail, rarely(p, 1));
    p->idx[device][queue] = 0;
    set_register(p, device, 0x30, queue);
    set_register(p, device, 0x38, well ? SIZE : PICK(p, 1, 2, 4, 8, 0, 3, 300, 0xffff, 0x10010));
    set_address(p, device, 0x80, well ? table : PICK(p, table, table + 8, table + 0x400, 0x3ffff0));
    set_address(p, device, 0x90, well ? avail : PICK(p, avail, used, avail + 1, RINGS_DATA));
    set_address(p, device, 0xa0,
                well ? used : PICK(p, used, avail, avail + 4, RINGS_DATA, 0x3ffffc));
    set_register(p, device, 0x44, 1);
}

static void set_up(struct rings_program *p, uint32_t device)
{
    set_register(p, device, 0x70, 0);
    set_register(p, device, 0x70, 1);
    set_register(p, device, 0x70, 3);
    set_register(p, device, 0x24, 0);
    set_register(p, device, 0x20,
                 features[device] & (is_wild(p, 2) ? next_random(p->seed) : UINT32_MAX));
    set_register(p, device, 0x24, 1);
    set_register(p, device, 0x20, rarely(p, 1) + 1);
    set_register(p, device, 0x70, 11);
    for (uint32_t i = 0; i < queues[device]; i++)
        set_queue_up(p, device, i);
    set_register(p, device, 0x70, 15);
}

static void meddle(struct rings_program *p, uint32_t device)
{
    static const uint32_t offsets[] = {0x14, 0x20, 0x24, 0x30, 0x44, 0x50, 0x64, 0x70, 0x100, 0xfc};
    const uint32_t values[] = {0, 1, 2, 3, 8, 11, 15, 128, next_random(p->seed)};

    set_register(p, device, pick(p, offsets, COUNT(offsets)), pick(p, values, COUNT(values)));
}

/* ---- descriptors ---- */

static void put_desc(struct rings_program *p, uint32_t table, uint32_t at, uint32_t addr,
                     uint32_t len, uint32_t flags)
{
    const uint32_t desc = table + 16 * at;

    rings_store(p, desc, addr);
    rings_store(p, desc + 4, is_wild(p, 32) ? next_random(p->seed) | 1 : 0);
    rings_store(p, desc + 8, len);
    rings_store(p, desc + 12, flags);
}

/* A length that stays in a window from wherever it begins in it, or that leaves RAM. */
static uint32_t pick_len(struct rings_program *p)
{
    return below(p, 8) ? 1 + below(p, 0x1000) : PICK(p, 0, 0x400000, 0x7fffffff, UINT32_MAX);
}

static void put_any(struct rings_program *p, uint32_t device, uint32_t queue, uint32_t table,
                    uint32_t at)
{
    uint32_t next = below(p, 4) ? below(p, SIZE) : next_random(p->seed) & 0xffff;

    if (at % SIZE >= INDIRECTS)
        put_desc(p, table, at,
                 RINGS_TABLE(device, queue) + 0x400 + 0x100 * below(p, TABLES) + rarely(p, 8),
                 PICK(p, 16, 32, 128, 256, 0, 17, 4096, UINT32_MAX),
                 (INDIRECT | rarely(p, NEXT) | below(p, 2) * WRITE) | next << 16);
    else
        put_desc(p, table, at,
                 PICK(p, RINGS_DATA + below(p, 0x1000), RINGS_DATA, RINGS_AVAIL(device, queue),
                      RINGS_USED(device, queue), 0xd0001000, 0xfffff000),
                 pick_len(p), below(p, 4) | next << 16);
}

static uint32_t put_junk(struct rings_program *p, uint32_t device, uint32_t queue)
{
    const uint32_t own = RINGS_TABLE(device, queue);
    const uint32_t table = below(p, 3) ? own : own + 0x400 + 0x100 * below(p, TABLES);

    for (uint32_t i = 1 + below(p, 3); i; i--)
        put_any(p, device, queue, table, below(p, SIZE));
    return below(p, 16) ? below(p, SIZE) : next_random(p->seed) & 0xffff;
}

/* A request for a disk: header, data, status. */
static uint32_t put_disk_request(struct rings_program *p, uint32_t table)
{
    const uint32_t header = RINGS_HEADERS + 16 * below(p, 64), head = 3 * below(p, 3);
    const uint32_t type = PICK(p, 0, 1, 4, 8, 11, 13, 99);

    rings_store(p, header, type);
    rings_store(p, header + 8, is_wild(p, 8) ? next_random(p->seed) : below(p, 64));
    rings_store(p, header + 12, 0);
    put_desc(p, table, head, header, 16, NEXT | (head + 1) << 16);
    put_desc(p, table, head + 1, RINGS_DATA + below(p, 0x1000), 512 * (1 + below(p, 8)),
             NEXT | (type == 0 || type == 8 ? WRITE : 0) | (head + 2) << 16);
    put_desc(p, table, head + 2, RINGS_DATA + below(p, 0x1000), 1, WRITE);
    return head;
}

/* A packet that a connection begins with, or goes on and ends with (virtio 1.2, 5.10.6). */
static uint32_t put_packet(struct rings_program *p, uint32_t table)
{
    const uint32_t header = RINGS_HEADERS + 64 * below(p, 16), head = below(p, INDIRECTS);
    const uint32_t op = p->is_tame ? 1 : PICK(p, 1, 1, 2, 3, 4, 5, 5, 6, 7, 9);
    const uint32_t len = op == 5 ? 20 : 0;
    const uint32_t words[] = {RINGS_CID,
                              0,
                              2,
                              0,
                              below(p, 4),
                              below(p, 4),
                              len,
                              1 | op << 16,
                              3,
                              4096,
                              is_wild(p, 4) ? 99 : 0};

    for (uint32_t i = 0; i < COUNT(words); i++)
        rings_store(p, header + 4 * i, words[i]);
    put_desc(p, table, head, header, 44 + len, 0);
    return head;
}

/* The numbers of pages to write to. */
static uint32_t put_pages(struct rings_program *p, uint32_t table)
{
    const uint32_t list = RINGS_HEADERS + 16 * below(p, 64), head = below(p, INDIRECTS);

    rings_store(p, list, (RINGS_DATA >> 12) + below(p, 2));
    put_desc(p, table, head, list, is_wild(p, 4) ? 400 : 4, 0);
    return head;
}

/* The first queue of the others is of buffers to write to, the second of frames. */
static uint32_t put_plain(struct rings_program *p, uint32_t device, uint32_t queue)
{
    const uint32_t table = RINGS_TABLE(device, queue), head = below(p, INDIRECTS);

    if (device == 1)
        return put_disk_request(p, table);
    if (device == 3 && queue == 1)
        return put_packet(p, table);
    if (device == 4 && queue < 2)
        return put_pages(p, table);
    if (device > 2)
        queue = 0;
    put_desc(p, table, head, queue ? RINGS_FRAMES : RINGS_DATA + below(p, 0x1000),
             queue           ? 80
             : is_wild(p, 2) ? 1 + below(p, 0x1000)
                             : 2048,
             queue ? 0 : WRITE);
    return head;
}

/* ---- offers ---- */

static void offer(struct rings_program *p, uint32_t device, uint32_t queue, uint32_t head)
{
    const uint32_t avail = RINGS_AVAIL(device, queue);
    uint16_t *idx = &p->idx[device][queue];
    uint32_t count = is_wild(p, 8) ? below(p, 2 * SIZE) : 1;

    rings_store(p, avail + 4 + 2 * (*idx % SIZE & ~1u), head | head << 16);
    *idx = (uint16_t)(is_wild(p, 32) ? next_random(p->seed) : *idx + count);
    rings_store(p, avail, (uint32_t)*idx << 16 | (below(p, 4) == 0));
    rings_store(p, avail + 4 + 2 * SIZE, *idx - below(p, 3)); /* used_event */
    if (!is_wild(p, 8))
        set_register(p, device, 0x50, queue + rarely(p, 1));
}

static void make_request(struct rings_program *p, uint32_t device, uint32_t number)
{
    const uint32_t queue = number % queues[device];

    offer(p, device, queue,
          is_wild(p, 4) ? put_junk(p, device, queue) : put_plain(p, device, queue));
}

static void do_anything(struct rings_program *p)
{
    uint32_t device = below(p, 8) ? p->home : below(p, RINGS_DEVICES);
    uint32_t op = below(p, 32);

    if (op < 3)
        set_up(p, device);
    else if (op < 5)
        meddle(p, device);
    else
        make_request(p, device, next_random(p->seed));
    if (op % 4 == 0)
        set_register(p, device, 0x64, 3);
}

void rings_write_program(struct rings_program *p)
{
    set_up(p, p->home);
    for (unsigned i = 0; i < OPS && !p->is_tame; i++)
        do_anything(p);
    for (unsigned i = 0; i < SIZE / 2 && p->is_tame; i++)
        make_request(p, p->home, i);
}

bool rings_may_change(uint64_t gpa)
{
    /* A queue that is made ready between a reset and its addresses lies at 0 (virtio 1.2, 4.2.2.2):
     * its used ring, with avail_event behind it. */
    return gpa < 4 + 8 * SIZE + 2 || (gpa >= RINGS_TABLE(0, 0) && gpa < RINGS_END) ||
           (gpa >= RINGS_DATA && gpa < RINGS_DATA_END) ||
           (gpa >= RINGS_HEADERS && gpa < RINGS_HEADERS_END);
}
