/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Registers of the memory-mapped transport, after virtio 1.2, 4.2.2; names are its.
 */
#include "mmio_internal.h"

#include <endian.h>
#include <string.h>

enum {
    MAGIC_VALUE = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    QUEUE_SEL = 0x030,
    QUEUE_NUM_MAX = 0x034,
    QUEUE_NUM = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC_LOW = 0x080,
    QUEUE_DESC_HIGH = 0x084,
    QUEUE_DRIVER_LOW = 0x090,
    QUEUE_DRIVER_HIGH = 0x094,
    QUEUE_DEVICE_LOW = 0x0a0,
    QUEUE_DEVICE_HIGH = 0x0a4,
    SHM_SEL = 0x0ac,
    SHM_LEN_LOW = 0x0b0,
    SHM_BASE_HIGH = 0x0bc,
    CONFIG_GENERATION = 0x0fc,
};

#define MAGIC  0x74726976u /* "virt" */
#define MODERN 2u
#define NO_SHM UINT32_MAX /* of all regions there might be (4.2.2) */

static uint32_t half(uint64_t value, uint32_t sel)
{
    return sel < 2 ? (uint32_t)(value >> 32 * sel) : 0;
}

static void set_half(uint64_t *value, unsigned sel, uint32_t to)
{
    *value = (*value & ~(UINT64_C(0xffffffff) << 32 * sel)) | (uint64_t)to << 32 * sel;
}

/* 3.1.1: after DRIVER, and no more after FEATURES_OK (step 5). */
static void write_driver_features(struct stasis_virtio_mmio *mmio, uint32_t value)
{
    struct stasis_virtio_mmio_state *regs = &mmio->regs;

    if (!(regs->status & STASIS_VIRTIO_DRIVER) || regs->status & STASIS_VIRTIO_FEATURES_OK)
        stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_BAD_COMMAND);
    else if (regs->driver_features_sel < 2)
        set_half(&regs->driver_features, regs->driver_features_sel, value);
    else if (value)
        regs->driver_features_unknown = 1;
}

/* ---- queues ---- */

static struct stasis_virtqueue *selected(struct stasis_virtio_mmio *mmio)
{
    return mmio->regs.queue_sel < mmio->kind->queue_count ? &mmio->queues[mmio->regs.queue_sel]
                                                          : NULL;
}

/* The queue to set up, or NULL: after FEATURES_OK, before DRIVER_OK, and not while it is ready
 * (4.2.2.2, 3.1.1). */
static struct stasis_virtio_queue_state *to_set_up(struct stasis_virtio_mmio *mmio)
{
    struct stasis_virtqueue *queue = selected(mmio);
    unsigned status = mmio->regs.status &
                      (STASIS_VIRTIO_FEATURES_OK | STASIS_VIRTIO_DRIVER_OK | STASIS_VIRTIO_FAILED);

    if (queue && status == STASIS_VIRTIO_FEATURES_OK && !queue->state.ready)
        return &queue->state;
    stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_BAD_COMMAND);
    return NULL;
}

static void write_queue_num(struct stasis_virtio_mmio *mmio, uint32_t value)
{
    struct stasis_virtio_queue_state *queue = to_set_up(mmio);

    if (queue)
        queue->size = value <= mmio->kind->queue_size ? (uint16_t)value : 0;
}

static void write_queue_address(struct stasis_virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    struct stasis_virtio_queue_state *queue = to_set_up(mmio);
    uint64_t *address;

    if (!queue)
        return;
    if (offset < QUEUE_DRIVER_LOW)
        address = &queue->desc;
    else
        address = offset < QUEUE_DEVICE_LOW ? &queue->driver : &queue->device;
    set_half(address, offset & 4 ? 1 : 0, value);
}

/* 4.2.2.2: 0 stops the queue, at any time. A queue that cannot be one is not made ready. */
static void write_queue_ready(struct stasis_virtio_mmio *mmio, uint32_t value)
{
    struct stasis_virtqueue *queue = selected(mmio);

    if (!value && queue) {
        if (queue->state.ready && mmio->kind->stopped)
            mmio->kind->stopped(mmio->device, mmio->regs.queue_sel);
        queue->state.ready = 0;
        queue->state.next_avail = queue->state.next_used = 0;
        queue->is_signalled = false;
    } else if (value > 1) {
        stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_BAD_COMMAND);
    } else if (to_set_up(mmio)) {
        if (stasis_virtqueue_is_usable(queue, &mmio->host.memory))
            queue->state.ready = 1;
        else
            stasis_virtio_mmio_fail(mmio, STASIS_GUEST_ERROR_BAD_QUEUE);
    }
}

/* 3.1.1: not before DRIVER_OK. A device that has failed ignores it. */
static void write_queue_notify(struct stasis_virtio_mmio *mmio, uint32_t value)
{
    if (value >= mmio->kind->queue_count || !mmio->queues[value].state.ready ||
        !(mmio->regs.status & STASIS_VIRTIO_DRIVER_OK))
        stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_BAD_COMMAND);
    else if (stasis_virtio_is_live(mmio->regs.status))
        mmio->kind->notify(mmio->device, value);
}

static void write_interrupt_ack(struct stasis_virtio_mmio *mmio, uint32_t value)
{
    if (value & ~(STASIS_VIRTIO_INT_USED | STASIS_VIRTIO_INT_CONFIG))
        stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_BAD_COMMAND);
    mmio->regs.interrupt_status = (uint8_t)(mmio->regs.interrupt_status & ~value);
    stasis_virtio_mmio_update_irq(mmio);
}

/* ---- accesses ---- */

static bool is_writable(uint64_t offset)
{
    switch (offset) {
    case DEVICE_FEATURES_SEL:
    case DRIVER_FEATURES:
    case DRIVER_FEATURES_SEL:
    case QUEUE_SEL:
    case QUEUE_NUM:
    case QUEUE_NOTIFY:
    case INTERRUPT_ACK:
    case QUEUE_DESC_LOW:
    case QUEUE_DESC_HIGH:
    case QUEUE_DRIVER_LOW:
    case QUEUE_DRIVER_HIGH:
    case QUEUE_DEVICE_LOW:
    case QUEUE_DEVICE_HIGH:
    case SHM_SEL:
        return true;
    default:
        return false;
    }
}

static uint32_t read_register(struct stasis_virtio_mmio *mmio, uint64_t offset)
{
    const struct stasis_virtio_mmio_state *regs = &mmio->regs;
    const struct stasis_virtqueue *queue = selected(mmio);

    switch (offset) {
    case MAGIC_VALUE:
        return MAGIC;
    case VERSION:
        return MODERN;
    case DEVICE_ID:
        return mmio->kind->device_id;
    case VENDOR_ID:
        return STASIS_VIRTIO_VENDOR;
    case DEVICE_FEATURES:
        return half(regs->device_features, regs->device_features_sel);
    case QUEUE_NUM_MAX:
        return queue ? queue->max_size : 0;
    case QUEUE_READY:
        return queue ? queue->state.ready : 0;
    case INTERRUPT_STATUS:
        return regs->interrupt_status;
    case STATUS:
        return regs->status;
    case CONFIG_GENERATION:
        return regs->config_generation;
    default:
        if (offset >= SHM_LEN_LOW && offset <= SHM_BASE_HIGH)
            return NO_SHM;
        stasis_virtio_mmio_guest_error(mmio, is_writable(offset)
                                                 ? STASIS_GUEST_ERROR_WRITE_ONLY
                                                 : STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
        return 0;
    }
}

static bool is_read_only(uint64_t offset)
{
    return offset <= DEVICE_FEATURES || offset == QUEUE_NUM_MAX || offset == INTERRUPT_STATUS ||
           (offset >= SHM_LEN_LOW && offset <= SHM_BASE_HIGH) || offset == CONFIG_GENERATION;
}

static void write_register(struct stasis_virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case DEVICE_FEATURES_SEL:
        mmio->regs.device_features_sel = value;
        break;
    case DRIVER_FEATURES:
        write_driver_features(mmio, value);
        break;
    case DRIVER_FEATURES_SEL:
        mmio->regs.driver_features_sel = value;
        break;
    case QUEUE_SEL:
        mmio->regs.queue_sel = value;
        break;
    case QUEUE_NUM:
        write_queue_num(mmio, value);
        break;
    case QUEUE_READY:
        write_queue_ready(mmio, value);
        break;
    case QUEUE_NOTIFY:
        write_queue_notify(mmio, value);
        break;
    case INTERRUPT_ACK:
        write_interrupt_ack(mmio, value);
        break;
    case STATUS:
        stasis_virtio_mmio_write_status(mmio, value);
        break;
    case SHM_SEL: /* there is no region, whichever is asked for */
        break;
    default:
        if (is_writable(offset))
            write_queue_address(mmio, offset, value);
        else
            stasis_virtio_mmio_guest_error(mmio, is_read_only(offset)
                                                     ? STASIS_GUEST_ERROR_READ_ONLY
                                                     : STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
        break;
    }
}

/* 4.2.2.2: fields of the configuration space have their own widths. */
static uint32_t read_config(struct stasis_virtio_mmio *mmio, uint64_t at, unsigned size)
{
    uint32_t value = 0;

    if ((size != 1 && size != 2 && size != 4) || at % size) {
        stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_BAD_WIDTH);
        return 0;
    }
    if (at > mmio->kind->config_len || size > mmio->kind->config_len - at) {
        stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
        return 0;
    }
    memcpy(&value, mmio->kind->config + at, size);
    return le32toh(value);
}

uint32_t stasis_virtio_mmio_read(struct stasis_virtio_mmio *mmio, uint64_t offset, unsigned size)
{
    if (offset >= STASIS_VIRTIO_MMIO_CONFIG)
        return read_config(mmio, offset - STASIS_VIRTIO_MMIO_CONFIG, size);
    if (size == 4 && !(offset & 3))
        return read_register(mmio, offset);
    stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_BAD_WIDTH);
    return 0;
}

/* All fields that any device has for the driver to write are 32 bits wide. */
static void write_config(struct stasis_virtio_mmio *mmio, uint64_t at, unsigned size,
                         uint32_t value)
{
    const struct stasis_virtio_kind *kind = mmio->kind;

    if (at >= kind->config_len)
        stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
    else if (size != 4 || at % 4 || kind->config_len - at < 4 || !kind->write_config ||
             !kind->write_config(mmio->device, at, value))
        stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_READ_ONLY);
}

void stasis_virtio_mmio_write(struct stasis_virtio_mmio *mmio, uint64_t offset, unsigned size,
                              uint32_t value)
{
    if (offset >= STASIS_VIRTIO_MMIO_CONFIG)
        write_config(mmio, offset - STASIS_VIRTIO_MMIO_CONFIG, size, value);
    else if (size == 4 && !(offset & 3))
        write_register(mmio, offset, value);
    else
        stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_BAD_WIDTH);
}
