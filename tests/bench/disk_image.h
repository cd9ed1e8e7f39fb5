/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What disk.S and bench_disk.c agree on: guest addresses. The tables are pairs of 32-bit numbers.
 */
#ifndef STASIS_TESTS_BENCH_DISK_IMAGE_H
#define STASIS_TESTS_BENCH_DISK_IMAGE_H

#define BENCH_DISK_ENTRY  0x1000
#define BENCH_DISK_IDT    0x3000
#define BENCH_DISK_IDTR   0x4000
#define BENCH_DISK_GDTR   0x4010 /* for the ROM, as is the next */
#define BENCH_DISK_CR3    0x4020
#define BENCH_DISK_STACK  0x8000
#define BENCH_DISK_DESC   0x10000
#define BENCH_DISK_AVAIL  0x11000
#define BENCH_DISK_USED   0x12000
#define BENCH_DISK_HEADER 0x13000
#define BENCH_DISK_STATUS 0x14000
#define BENCH_DISK_IRQS   0x15000 /* interrupts */
#define BENCH_DISK_PARAMS 0x16000 /* struct bench_disk_params */
#define BENCH_DISK_SYSTEM 0x17000 /* table: address, value; then 0 */
#define BENCH_DISK_DEVICE 0x18000 /* table: register of the device, value; then -1 */
#define BENCH_DISK_IMAGE  0x20000 /* all of the above is below; the ROM has its place above */
#define BENCH_DISK_DATA   0x400000
#define BENCH_DISK_SIZE   128 /* entries of the queue, four to a request */

#endif
