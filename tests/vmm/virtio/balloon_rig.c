/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "balloon_rig.h"

#include <endian.h>

#define BEHIND(queue) (UINT64_C(0x100) * (queue)) /* where the parts of a queue are */

static void on_discard(void *ctx, uint64_t gpa, uint64_t len)
{
    struct balloon_rig *rig = ctx;

    assert_true(gpa % 4096 == 0 && len % 4096 == 0 && len);
    assert_true(gpa >= RAM && gpa < RAM_END && len <= RAM_END - gpa);
    memset(bytes_at(&rig->driver, gpa), 0, len);
    assert_true(rig->count < RANGES_MAX);
    rig->ranges[rig->count].gpa = gpa;
    rig->ranges[rig->count].len = len;
    rig->count++;
}

static void on_wake(void *ctx)
{
    ((struct balloon_rig *)ctx)->wakes++;
}

const struct stasis_virtio_balloon_ops balloon_rig_ops = {on_discard, on_wake};

void balloon_rig_init(struct balloon_rig *rig, bool reports)
{
    memset(rig, 0, sizeof(*rig));
    driver_init(&rig->driver, &rig->host);
    stasis_virtio_balloon_init(&rig->dev, &rig->host, reports, &balloon_rig_ops, rig);
}

void balloon_rig_up(struct balloon_rig *rig, uint64_t features)
{
    balloon_rig_init(rig, true);
    agree(&rig->dev.mmio, features);
    for (unsigned i = 0; i < STASIS_VIRTIO_BALLOON_QUEUES; i++)
        set_up_queue_behind(&rig->dev.mmio, i, BEHIND(i));
    wr(&rig->dev.mmio, R_STATUS, 15);
    balloon_rig_fill(rig);
}

void balloon_rig_fill(struct balloon_rig *rig)
{
    memset(bytes_at(&rig->driver, BUFFER), 0xee, RAM_END - BUFFER);
}

static void assert_bytes(const struct balloon_rig *rig, uint64_t gpa, uint64_t len, uint8_t value)
{
    for (uint64_t at = gpa; at < gpa + len; at++)
        assert_int_equal(rig->driver.ram[at - RAM], value);
}

void balloon_rig_assert_zero(const struct balloon_rig *rig, uint64_t gpa, uint64_t len)
{
    assert_bytes(rig, gpa, len, 0);
}

void balloon_rig_assert_kept(const struct balloon_rig *rig, uint64_t gpa, uint64_t len)
{
    assert_bytes(rig, gpa, len, 0xee);
}

void balloon_rig_assert_range(const struct balloon_rig *rig, unsigned i, uint64_t gpa, uint64_t len)
{
    assert_true(i < rig->count);
    assert_int_equal(rig->ranges[i].gpa, gpa);
    assert_int_equal(rig->ranges[i].len, len);
}

/* Request n of a queue has entry n of its table. */
static void request(struct balloon_rig *rig, unsigned queue, uint64_t gpa, uint32_t len,
                    unsigned flags)
{
    uint16_t n = peek16(&rig->driver, AVAIL + BEHIND(queue) + 2) % SIZE;

    put_desc(&rig->driver, DESC + BEHIND(queue), n, gpa, len, flags, 0);
    offer_behind(&rig->driver, BEHIND(queue), n);
}

void balloon_rig_list(struct balloon_rig *rig, unsigned queue, const uint32_t *pfns, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t pfn = htole32(pfns[i]);

        memcpy(bytes_at(&rig->driver, BUFFER + sizeof(pfn) * i), &pfn, sizeof(pfn));
    }
    request(rig, queue, BUFFER, count * (uint32_t)sizeof(*pfns), 0);
}

void balloon_rig_report(struct balloon_rig *rig, unsigned queue, uint64_t gpa, uint32_t len)
{
    request(rig, queue, gpa, len, WRITE);
}

void balloon_rig_notify(struct balloon_rig *rig, unsigned queue)
{
    wr(&rig->dev.mmio, R_NOTIFY, queue);
}

unsigned balloon_rig_answered(const struct balloon_rig *rig, unsigned queue)
{
    return peek16(&rig->driver, USED + BEHIND(queue) + 2);
}
