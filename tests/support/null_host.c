/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "null_host.h"

static size_t serial_out(void *ctx, const uint8_t *bytes, size_t len)
{
    (void)ctx;
    (void)bytes;
    return len / 2;
}

static void rx_ready(void *ctx, const struct stasis_device *from)
{
    (void)ctx;
    (void)from;
}

static uint64_t now_ns(void *ctx)
{
    (void)ctx;
    return UINT64_C(1700000000) * 1000000000;
}

static void arm(void *ctx, const struct stasis_device *from, bool on, uint64_t deadline_ns)
{
    (void)ctx;
    (void)from;
    (void)on;
    (void)deadline_ns;
}

static void wait_until(void *ctx, const struct stasis_device *from, uint64_t deadline_ns)
{
    (void)ctx;
    (void)from;
    (void)deadline_ns;
}

static bool fill(void *ctx, uint8_t *bytes, size_t len)
{
    (void)ctx;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)i;
    return true;
}

const struct stasis_device_host null_host = {.serial_out = {serial_out, NULL},
                                             .serial_rx_ready = rx_ready,
                                             .rtc_now_ns = now_ns,
                                             .rtc_arm = arm,
                                             .timer_arm = wait_until,
                                             .random = fill};
