/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * virtio block device (virtio 1.2, 5.2): read, write, flush, discard, write zeroes, device ID.
 *
 * The host answers requests when it likes, from as many as STASIS_VIRTIO_BLK_REQUESTS at a time,
 * and in any order. Data goes through buffers of the host, which it fetches from and stores to the
 * guest's RAM by calls here; so nobody but the caller of the device touches guest RAM, and once the
 * driver has reset the device nobody does. A save does not wait for the host: what is in flight is
 * part of the state, and is asked for again after a restore. So a host whose disk outlives a frozen
 * guest must have ended, or abandoned, its own requests before the guest is thawed.
 *
 * The caller owns the struct and serializes all calls; operations must not call back.
 */
#ifndef STASIS_VIRTIO_BLK_H
#define STASIS_VIRTIO_BLK_H

#include "stasis/virtio_mmio.h"

STASIS_BEGIN_DECLS

#define STASIS_VIRTIO_BLK_SECTOR       512u
#define STASIS_VIRTIO_BLK_SERIAL_BYTES 20u
#define STASIS_VIRTIO_BLK_REQUESTS     128u                /* entries of the queue */
#define STASIS_VIRTIO_BLK_RANGE_MAX    (UINT32_C(1) << 30) /* of DISCARD and WRITE_ZEROES */

enum stasis_virtio_blk_op {
    STASIS_VIRTIO_BLK_READ,
    STASIS_VIRTIO_BLK_WRITE,
    STASIS_VIRTIO_BLK_FLUSH,   /* all that was answered before is to survive a crash of the host */
    STASIS_VIRTIO_BLK_DISCARD, /* the content of the range may become anything */
    STASIS_VIRTIO_BLK_WRITE_ZEROES, /* it reads as zero afterwards */
};

struct stasis_virtio_blk_request {
    uint64_t id; /* for the calls below */
    enum stasis_virtio_blk_op op;
    uint64_t offset; /* bytes of the disk: whole sectors, within its capacity */
    uint64_t len;    /* 0 for a flush */
    bool may_unmap;  /* WRITE_ZEROES: the host need not keep room for the range */
    bool
        must_sync; /* WRITE and the like: the driver does not flush, so it is to survive like one */
};

enum stasis_virtio_blk_result {
    STASIS_VIRTIO_BLK_OK,
    STASIS_VIRTIO_BLK_IO_ERROR,
    STASIS_VIRTIO_BLK_UNSUPPORTED,
};

struct stasis_virtio_blk_ops {
    /* Begins a request, which stasis_virtio_blk_done() ends, later. */
    void (*submit)(void *ctx, const struct stasis_virtio_blk_request *request);
    /* Call stasis_virtio_blk_resume() soon, once the guest runs. */
    void (*wake)(void *ctx);
};

/* What the disk is like. */
struct stasis_virtio_blk_disk {
    uint64_t sectors;    /* of 512 bytes; whole blocks, at most 2^55 - 1 */
    uint32_t block_size; /* a power of two from 512 to 65536 */
    bool is_read_only;
    const char *serial; /* at most STASIS_VIRTIO_BLK_SERIAL_BYTES; NULL: none */
};

/* Private but for its size (600 KiB), and for the transport: accesses go to
 * stasis_virtio_mmio_read() and stasis_virtio_mmio_write(). */
struct stasis_virtio_blk {
    struct stasis_virtio_mmio mmio;
    struct stasis_virtio_kind kind;
    const struct stasis_virtio_blk_ops *ops;
    void *ctx;
    struct stasis_virtio_blk_state disk; /* its mmio and requests are unused */
    uint8_t config[60];
    uint64_t order; /* number of the last request */
    bool is_silent; /* the driver has not been told of all answers */
    struct stasis_virtio_blk_slot {
        bool is_used;
        bool is_submitted; /* else it was restored, and `chain` holds its head only */
        uint64_t order;
        uint64_t data_len;   /* that the host reads or writes */
        uint64_t answer_len; /* of the data for the driver, if all goes well */
        struct stasis_virtio_chain chain;
    } slots[STASIS_VIRTIO_BLK_REQUESTS];
};

/* STASIS_ERR_ARG: there is no such disk; no operation was called. `ops` must outlive the device. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_virtio_blk_init(struct stasis_virtio_blk *blk, const struct stasis_virtio_host *host,
                       const struct stasis_virtio_blk_disk *disk,
                       const struct stasis_virtio_blk_ops *ops, void *ctx,
                       struct stasis_error *err);

/* Copies len bytes of the data of a WRITE, or to that of a READ, from `offset` in it. False: the
 * request is not to be continued, as the driver has reset the device, or its buffer is not RAM any
 * more; it has ended then. */
STASIS_EXPORT STASIS_MUST_CHECK bool stasis_virtio_blk_fetch(struct stasis_virtio_blk *blk,
                                                             uint64_t id, uint64_t offset,
                                                             void *bytes, size_t len);
STASIS_EXPORT STASIS_MUST_CHECK bool stasis_virtio_blk_store(struct stasis_virtio_blk *blk,
                                                             uint64_t id, uint64_t offset,
                                                             const void *bytes, size_t len);

/* Ends the request. Nothing happens if it has ended. */
STASIS_EXPORT void stasis_virtio_blk_done(struct stasis_virtio_blk *blk, uint64_t id,
                                          enum stasis_virtio_blk_result result);

/* The same in two parts, for a host that ends several at a time: each is answered, and then the
 * driver is told of all, by one interrupt at most. A save between both is fine: the driver is told
 * after the restore. */
STASIS_EXPORT void stasis_virtio_blk_answer(struct stasis_virtio_blk *blk, uint64_t id,
                                            enum stasis_virtio_blk_result result);
STASIS_EXPORT void stasis_virtio_blk_announce(struct stasis_virtio_blk *blk);

/* What ops->wake asks for: submits restored requests, and looks at the queue. */
STASIS_EXPORT void stasis_virtio_blk_resume(struct stasis_virtio_blk *blk);

STASIS_EXPORT void stasis_virtio_blk_save(const struct stasis_virtio_blk *blk,
                                          struct stasis_virtio_blk_state *ret_state);

/* As stasis_virtio_mmio_restore(), on a device of the same disk that has no request.
 * STASIS_ERR_RANGE: the state contradicts itself; STASIS_ERR_ARG: it is of a disk of another size,
 * block size or kind; the device is unchanged. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_virtio_blk_restore(struct stasis_virtio_blk *blk,
                          const struct stasis_virtio_blk_state *state, struct stasis_error *err);

/* Drives the line, and calls ops->wake if the driver uses the device. */
STASIS_EXPORT void stasis_virtio_blk_apply_outputs(struct stasis_virtio_blk *blk);

STASIS_END_DECLS

#endif
