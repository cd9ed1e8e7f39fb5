/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the guest that is measured (guest.S) and those who load or watch it agree on.
 */
#ifndef STASIS_TESTS_BENCH_GUEST_IMAGE_H
#define STASIS_TESTS_BENCH_GUEST_IMAGE_H

/* Offset of struct bench_guest_ranges in the image, and of the code behind it. */
#define BENCH_GUEST_RANGES 4
#define BENCH_GUEST_CODE   20

#define BENCH_GUEST_SERIAL_PORT 0x3f8

#endif
