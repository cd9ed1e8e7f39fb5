/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "driver_rig.h"

#include <endian.h>

static void *find(void *ctx, uint64_t gpa, uint64_t len)
{
    struct driver *driver = ctx;

    assert_true(len > 0);
    driver->looks++;
    if (driver->looked)
        driver->looked(driver, gpa, len);
    if (gpa < RAM || gpa > RAM_END || len > RAM_END - gpa)
        return NULL;
    if (driver->hole_len && gpa < driver->hole + driver->hole_len && gpa + len > driver->hole)
        return NULL;
    return driver->ram + (gpa - RAM);
}

static const void *at(void *ctx, uint64_t gpa, uint64_t len)
{
    return find(ctx, gpa, len);
}

static void on_irq(void *ctx, bool level)
{
    struct driver *driver = ctx;

    driver->line = level;
    driver->irqs++;
}

static void on_guest_error(void *ctx, enum stasis_guest_error error)
{
    struct driver *driver = ctx;

    driver->errors[error]++;
    driver->error_count++;
}

void driver_init(struct driver *driver, struct stasis_virtio_host *ret_host)
{
    memset(driver, 0, sizeof(*driver));
    *ret_host = (struct stasis_virtio_host){
        .memory = {at, find, driver}, .irq = on_irq, .guest_error = on_guest_error, .ctx = driver};
}

uint8_t *bytes_at(struct driver *driver, uint64_t gpa)
{
    return driver->ram + (gpa - RAM);
}

void poke16(struct driver *driver, uint64_t gpa, uint16_t value)
{
    value = htole16(value);
    memcpy(bytes_at(driver, gpa), &value, sizeof(value));
}

uint16_t peek16(const struct driver *driver, uint64_t gpa)
{
    uint16_t value;

    memcpy(&value, driver->ram + (gpa - RAM), sizeof(value));
    return le16toh(value);
}

uint32_t peek32(const struct driver *driver, uint64_t gpa)
{
    return peek16(driver, gpa) | (uint32_t)peek16(driver, gpa + 2) << 16;
}

void put_desc(struct driver *driver, uint64_t table, unsigned index, uint64_t addr, uint32_t len,
              unsigned flags, unsigned next)
{
    const uint64_t gpa = table + 16 * (uint64_t)index;
    const uint64_t words[2] = {htole64(addr),
                               htole64(len | (uint64_t)flags << 32 | (uint64_t)next << 48)};

    memcpy(bytes_at(driver, gpa), words, sizeof(words));
}

void offer_at(struct driver *driver, uint16_t n, uint16_t head)
{
    poke16(driver, AVAIL + 4 + 2 * (n % SIZE), head);
    poke16(driver, AVAIL + 2, (uint16_t)(n + 1));
}

void offer(struct driver *driver, uint16_t head)
{
    offer_behind(driver, 0, head);
}

void offer_behind(struct driver *driver, uint64_t bytes, uint16_t head)
{
    uint16_t idx = peek16(driver, AVAIL + bytes + 2);

    poke16(driver, AVAIL + bytes + 4 + 2 * (idx % SIZE), head);
    poke16(driver, AVAIL + bytes + 2, (uint16_t)(idx + 1));
}

uint32_t rd(struct stasis_virtio_mmio *mmio, uint64_t offset)
{
    return stasis_virtio_mmio_read(mmio, offset, 4);
}

void wr(struct stasis_virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    stasis_virtio_mmio_write(mmio, offset, 4, value);
}

void wr64(struct stasis_virtio_mmio *mmio, uint64_t offset, uint64_t value)
{
    wr(mmio, offset, (uint32_t)value);
    wr(mmio, offset + 4, (uint32_t)(value >> 32));
}

void agree(struct stasis_virtio_mmio *mmio, uint64_t features)
{
    features |= STASIS_VIRTIO_F_VERSION_1;
    wr(mmio, R_STATUS, 0);
    wr(mmio, R_STATUS, 1);
    wr(mmio, R_STATUS, 3);
    for (unsigned i = 0; i < 2; i++) {
        wr(mmio, R_DRIVER_FEATURES_SEL, i);
        wr(mmio, R_DRIVER_FEATURES, (uint32_t)(features >> 32 * i));
    }
    wr(mmio, R_STATUS, 11);
    assert_int_equal(rd(mmio, R_STATUS), 11);
}

void set_up_queue_behind(struct stasis_virtio_mmio *mmio, unsigned number, uint64_t bytes)
{
    wr(mmio, R_QUEUE_SEL, number);
    wr(mmio, R_QUEUE_NUM, SIZE);
    wr64(mmio, R_DESC, DESC + bytes);
    wr64(mmio, R_DRIVER, AVAIL + bytes);
    wr64(mmio, R_DEVICE, USED + bytes);
    wr(mmio, R_QUEUE_READY, 1);
}

void set_up_queue(struct stasis_virtio_mmio *mmio)
{
    set_up_queue_behind(mmio, 0, 0);
}

void bring_up(struct stasis_virtio_mmio *mmio, uint64_t features)
{
    agree(mmio, features);
    set_up_queue(mmio);
    wr(mmio, R_STATUS, 15);
    assert_int_equal(rd(mmio, R_STATUS), 15);
}
