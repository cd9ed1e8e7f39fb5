/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "random_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/field.h"
#include "stasis/state.h"

uint64_t random_u64(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

static uint32_t below(uint64_t *seed, uint32_t bound)
{
    return (uint32_t)((random_u64(seed) >> 32) % bound);
}

/* Of every width alike, so that each form of an integer turns up. */
static uint64_t random_int(uint64_t *seed)
{
    uint64_t value = random_u64(seed) >> below(seed, 64);

    return below(seed, 4) ? value : ~value;
}

static void random_str(uint64_t *seed, char *str, uint32_t max)
{
    static const char *const pieces[] = {"a", "\"", "\\", "/", "\xc3\xa9", "\xe2\x82\xac"};
    uint32_t want = below(seed, max + 1);
    size_t used = 0;

    memset(str, 0, (size_t)max + 1);
    for (;;) {
        const char *piece = pieces[below(seed, sizeof(pieces) / sizeof(pieces[0]))];
        size_t len = strlen(piece);

        if (used + len > want)
            return;
        for (size_t i = 0; i < len; i++)
            str[used++] = piece[i];
    }
}

static void random_fields(uint64_t *seed, const struct stasis_schema *schema, uint8_t *base);

static void random_field(uint64_t *seed, const struct stasis_field *field, uint8_t *base)
{
    uint8_t *at = base + field->offset;
    uint32_t count;

    switch (field->kind) {
    case STASIS_KIND_INT:
    case STASIS_KIND_INTS:
        for (uint32_t i = 0; i < field->max; i++)
            stasis_field_set_int(field, base, i, random_int(seed) & field->mask);
        break;
    case STASIS_KIND_BUF:
        count = below(seed, field->max / field->elem_size + 1) * field->elem_size;
        stasis_field_set_count(field, base, count);
        for (uint32_t i = 0; i < count; i++)
            at[i] = (uint8_t)random_u64(seed);
        break;
    case STASIS_KIND_STR:
        random_str(seed, (char *)at, field->max);
        break;
    case STASIS_KIND_STRUCT:
        random_fields(seed, field->sub, at);
        break;
    case STASIS_KIND_LIST:
        count = below(seed, (below(seed, 2) ? field->max : field->max / 8) + 1);
        stasis_field_set_count(field, base, count);
        for (uint32_t i = 0; i < count; i++) {
            stasis_state_init(field->sub, at + (size_t)i * field->elem_size);
            random_fields(seed, field->sub, at + (size_t)i * field->elem_size);
        }
        break;
    }
}

static void random_fields(uint64_t *seed, const struct stasis_schema *schema, uint8_t *base)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (below(seed, 4))
            random_field(seed, &schema->fields[i], base);
    }
}

static void fix_board(struct stasis_board_state *board)
{
    board->vcpus |= 1;
    if (!board->ram_count)
        board->ram_count = 1;
    for (uint32_t i = 0; i < board->ram_count; i++) {
        board->ram[i].gpa = (uint64_t)i << 32;
        board->ram[i].size = (board->ram[i].size & 0xffff000) + 4096;
    }
    for (uint32_t i = 0; i < board->devices_count; i++) {
        struct stasis_board_device_state *device = &board->devices[i];

        memset(device->type, 0, sizeof(device->type));
        memset(device->instance, 0, sizeof(device->instance));
        memcpy(device->type, "test.device", 11);
        snprintf(device->instance, sizeof(device->instance), "%u", i);
        device->bus = 1;
        device->base &= UINT64_MAX >> 1;
        device->size = (device->size & 0xffff) + 1;
    }
}

static void fix_xsave(struct stasis_x86_xsave_state *x)
{
    x->xstate_bv &= 0x2ff;
#define FIX(bit, name)                                                                             \
    do {                                                                                           \
        x->name##_len = x->xstate_bv >> (bit)&1 ? (uint32_t)sizeof(x->name) : 0;                   \
        if (!x->name##_len)                                                                        \
            memset(x->name, 0, sizeof(x->name));                                                   \
    } while (0)
    FIX(0, st);
    FIX(1, xmm);
    FIX(2, ymm_high);
    FIX(3, bndregs);
    FIX(4, bndcsr);
    FIX(5, opmask);
    FIX(6, zmm_high);
    FIX(7, zmm_16_31);
    FIX(9, pkru);
#undef FIX
}

static void fix_pit(struct stasis_x86_pit_state *pit)
{
    if (pit->channels_count < 3)
        memset(&pit->channels[pit->channels_count], 0,
               (3 - pit->channels_count) * sizeof(pit->channels[0]));
    pit->channels_count = 3;
}

static void fix_msrs(struct stasis_x86_msrs_state *msrs)
{
    for (uint32_t i = 0; i < msrs->msrs_count; i++)
        msrs->msrs[i].index = (msrs->msrs[i].index & 0xff) + i * 0x100 + (i > 200) * 0xc0000000;
}

static void fix_cpuid(struct stasis_x86_cpuid_state *cpuid)
{
    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        cpuid->leaves[i].function = i / 3 + (i > 100) * 0x80000000;
        cpuid->leaves[i].index = i % 3;
    }
}

static void fix_virtio(struct stasis_virtio_mmio_state *mmio)
{
    mmio->device_features |= UINT64_C(1) << 32;
    mmio->driver_features = (mmio->driver_features & mmio->device_features) | UINT64_C(1) << 32;
    mmio->driver_features_unknown = 0;
    mmio->status |= 0x0f;
    if (!mmio->queues_count)
        stasis_state_init(&stasis_virtio_queue_schema, &mmio->queues[0]);
    for (uint32_t i = 1; i < mmio->queues_count; i++)
        memset(&mmio->queues[i], 0, sizeof(mmio->queues[i]));
    mmio->queues_count = 1;
    mmio->queues[0].size = (uint16_t)(1u << mmio->queues[0].size % 16);
    mmio->queues[0].desc &= UINT64_MAX >> 1 & ~UINT64_C(15);
    mmio->queues[0].driver &= UINT64_MAX >> 1 & ~UINT64_C(1);
    mmio->queues[0].device &= UINT64_MAX >> 1 & ~UINT64_C(3);
    if (!mmio->queues[0].ready)
        mmio->queues[0].next_avail = 0;
    mmio->queues[0].next_used = mmio->queues[0].next_avail;
}

static void fix_virtio_blk(struct stasis_virtio_blk_state *blk)
{
    struct stasis_virtio_blk_queue_state *queue = &blk->mmio.queues[0];
    struct stasis_virtio_mmio_state mmio;

    memcpy(&mmio, &blk->mmio, sizeof(mmio));
    fix_virtio(&mmio);
    memcpy(&blk->mmio, &mmio, sizeof(mmio));
    blk->block_size = 512u << blk->block_size % 8;
    blk->sectors &= ~UINT64_C(127);
    queue->ready = 1;
    for (uint32_t i = queue->size; i < blk->requests_count; i++)
        memset(&blk->requests[i], 0, sizeof(blk->requests[i]));
    if (blk->requests_count > queue->size)
        blk->requests_count = queue->size;
    for (uint32_t i = 0; i < blk->requests_count; i++)
        blk->requests[i].head = (uint16_t)(blk->requests[i].head % queue->size);
    queue->next_used = (uint16_t)(queue->next_avail - blk->requests_count);
}

static void fix_virtio_net(struct stasis_virtio_net_state *net)
{
    struct stasis_virtio_mmio_state mmio;

    memcpy(&mmio, &net->mmio, sizeof(mmio));
    fix_virtio(&mmio);
    mmio.driver_features &= ~UINT64_C(0x7f80);
    memcpy(&net->mmio, &mmio, sizeof(mmio));
    net->mac |= 2;
    net->mtu |= 0x80;
}

static void fix_virtio_balloon(struct stasis_virtio_balloon_state *balloon)
{
    struct stasis_virtio_mmio_state mmio;

    memcpy(&mmio, &balloon->mmio, sizeof(mmio));
    fix_virtio(&mmio);
    mmio.device_features |= UINT64_C(1) << 4;
    memcpy(&balloon->mmio, &mmio, sizeof(mmio));
}

static void fix_virtio_vsock(struct stasis_virtio_vsock_state *vsock)
{
    struct stasis_virtio_mmio_state mmio;

    memcpy(&mmio, &vsock->mmio, sizeof(mmio));
    fix_virtio(&mmio);
    memcpy(&vsock->mmio, &mmio, sizeof(mmio));
    vsock->guest_cid = (vsock->guest_cid | 4) & ~UINT32_C(2);
    vsock->next_port |= UINT32_C(1) << 30;
}

/* Rules that chance alone would not meet. */
static void fix(const struct stasis_schema *schema, void *state)
{
    if (schema == &stasis_board_schema)
        fix_board(state);
    else if (schema == &stasis_x86_xsave_schema)
        fix_xsave(state);
    else if (schema == &stasis_x86_pit_schema)
        fix_pit(state);
    else if (schema == &stasis_x86_msrs_schema)
        fix_msrs(state);
    else if (schema == &stasis_x86_cpuid_schema)
        fix_cpuid(state);
    else if (schema == &stasis_virtio_rng_schema)
        fix_virtio(&((struct stasis_virtio_rng_state *)state)->mmio);
    else if (schema == &stasis_virtio_blk_schema)
        fix_virtio_blk(state);
    else if (schema == &stasis_virtio_net_schema)
        fix_virtio_net(state);
    else if (schema == &stasis_virtio_balloon_schema)
        fix_virtio_balloon(state);
    else if (schema == &stasis_virtio_vsock_schema)
        fix_virtio_vsock(state);
}

void random_state(uint64_t *seed, const struct stasis_schema *schema, void *state)
{
    for (int i = 0; i < 1000; i++) {
        stasis_state_init(schema, state);
        random_fields(seed, schema, state);
        fix(schema, state);
        if (!stasis_state_check(schema, state, NULL))
            return;
    }
    fprintf(stderr, "no valid random state for %s\n", schema->type);
    abort();
}
