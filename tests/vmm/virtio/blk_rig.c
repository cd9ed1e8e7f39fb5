/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "blk_rig.h"

#include <endian.h>

#define FLUSH_AND_RANGES (UINT64_C(1) << 9 | UINT64_C(1) << 13 | UINT64_C(1) << 14)

const struct stasis_virtio_blk_disk blk_rig_disk = {
    .sectors = 64, .block_size = 1024, .serial = "a serial number"};

static void on_submit(void *ctx, const struct stasis_virtio_blk_request *request)
{
    struct blk_rig *rig = ctx;

    rig->last = *request;
    rig->offsets[rig->count++ % SIZE] = request->offset;
}

static void on_wake(void *ctx)
{
    ((struct blk_rig *)ctx)->wakes++;
}

static const struct stasis_virtio_blk_ops ops = {on_submit, on_wake};

static void make_device(struct blk_rig *rig, const struct stasis_virtio_host *host,
                        const struct stasis_virtio_blk_disk *disk)
{
    assert_int_equal(stasis_virtio_blk_init(&rig->blk, host, disk, &ops, rig, NULL), 0);
    rig->mmio = &rig->blk.mmio;
    rig->count = rig->wakes = 0;
}

void blk_rig_init(struct blk_rig *rig, const struct stasis_virtio_blk_disk *disk)
{
    struct stasis_virtio_host host;

    driver_init(&rig->driver, &host);
    make_device(rig, &host, disk);
    bring_up(rig->mmio, FLUSH_AND_RANGES & rig->mmio->regs.device_features);
}

void blk_rig_device(struct blk_rig *rig, const struct stasis_virtio_blk_disk *disk)
{
    struct stasis_virtio_host host = rig->mmio->host;

    make_device(rig, &host, disk);
}

static void put_header(struct blk_rig *rig, uint32_t type, uint64_t sector)
{
    const uint64_t header[2] = {htole64(type), htole64(sector)};

    memcpy(bytes_at(&rig->driver, BLK_HEADER), header, sizeof(header));
    *bytes_at(&rig->driver, BLK_STATUS) = 0xff;
    put_desc(&rig->driver, DESC, 2, BLK_STATUS, 1, WRITE, 0);
}

void blk_rig_transfer(struct blk_rig *rig, uint32_t type, uint64_t sector, uint32_t len)
{
    bool is_out = type == BLK_OUT;

    put_header(rig, type, sector);
    put_desc(&rig->driver, DESC, 0, BLK_HEADER, 16, NEXT, len ? 1 : 2);
    put_desc(&rig->driver, DESC, 1, BLK_DATA, len, is_out ? NEXT : NEXT | WRITE, 2);
    offer(&rig->driver, 0);
}

void blk_rig_range(struct blk_rig *rig, uint32_t type, uint64_t sector, uint32_t sectors,
                   uint32_t flags)
{
    const uint64_t range[2] = {htole64(sector), htole64(sectors | (uint64_t)flags << 32)};

    put_header(rig, type, 0);
    memcpy(bytes_at(&rig->driver, BLK_DATA), range, sizeof(range));
    put_desc(&rig->driver, DESC, 0, BLK_HEADER, 16, NEXT, 1);
    put_desc(&rig->driver, DESC, 1, BLK_DATA, 16, NEXT, 2);
    offer(&rig->driver, 0);
}

void blk_rig_notify(struct blk_rig *rig)
{
    wr(rig->mmio, R_NOTIFY, 0);
}
