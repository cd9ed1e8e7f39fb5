/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Addresses are those that the loader has mapped one to one. Everything that a device looks at is
 * below 2 MiB, behind the program.
 */
#include "guest.h"

#define QUEUES  UINT64_C(0x180000)
#define BUFFERS UINT64_C(0x160000)
#define STACK   "0x150000"

#define COM1     0x3f8
#define LSR      5
#define LSR_DR   0x01
#define LSR_THRE 0x20
#define PM1_CNT  0x604

/* Registers of 4.2.2, and bits of the status. */
enum {
    DEVICE_ID = 0x008,
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
    QUEUE_DESC = 0x080,
    QUEUE_DRIVER = 0x090,
    QUEUE_DEVICE = 0x0a0,
};
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
enum { NEXT = 1, WRITE = 2 };

struct queue {
    struct {
        uint64_t address;
        uint32_t len;
        uint16_t flags, next;
    } desc[QUEUE_SIZE];
    uint16_t avail_flags, avail_idx, avail[QUEUE_SIZE], used_event;
    uint8_t pad[0x200 - 16 * QUEUE_SIZE - 2 * QUEUE_SIZE - 6];
    uint16_t used_flags, used_idx;
    struct {
        uint32_t id, len;
    } used[QUEUE_SIZE];
};

__asm__(".section .text.start, \"ax\"\n"
        ".globl _start\n"
        "_start: mov $" STACK ", %esp\n"
        "call guest_main\n");

static uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

int serial_read(void)
{
    return in8(COM1 + LSR) & LSR_DR ? in8(COM1) : -1;
}

void print(const char *text)
{
    for (; *text; text++) {
        while (!(in8(COM1 + LSR) & LSR_THRE)) {
        }
        out8(COM1, (uint8_t)*text);
    }
}

void print_number(uint64_t value)
{
    char text[21] = "";
    unsigned at = sizeof(text) - 1;

    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    print(text + at);
}

void print_hex(uint8_t value)
{
    const char text[] = {"0123456789abcdef"[value >> 4], "0123456789abcdef"[value & 15], '\0'};

    print(text);
}

void power_off(void)
{
    out8(PM1_CNT + 1, 5 << 2 | 0x20);
}

void stop(const char *what)
{
    print("wrong: ");
    print(what);
    print("\n");
    for (;;) {
        if (serial_read() == 'q')
            power_off();
    }
}

volatile uint8_t *buffer(unsigned number)
{
    return (volatile uint8_t *)(uintptr_t)(BUFFERS + number * 0x1000);
}

static volatile struct queue *queue_of(const struct device *device, unsigned number)
{
    return (volatile struct queue *)(uintptr_t)(QUEUES + device->number * 0x4000 + number * 0x1000);
}

uint32_t mmio_read(uint64_t page, unsigned offset)
{
    uint32_t value;

    /* One plain instruction, which every KVM can emulate. */
    __asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(page + offset) : "memory");
    return value;
}

static void mmio_write(uint64_t page, unsigned offset, uint32_t value)
{
    __asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(page + offset) : "memory");
}

static void write_address(uint64_t page, unsigned offset, volatile void *at)
{
    mmio_write(page, offset, (uint32_t)(uintptr_t)at);
    mmio_write(page, offset + 4, 0);
}

static void queue_begin(const struct device *device, unsigned number)
{
    volatile struct queue *queue = queue_of(device, number);

    mmio_write(device->page, QUEUE_SEL, number);
    if (!mmio_read(device->page, QUEUE_NUM_MAX))
        return;
    mmio_write(device->page, QUEUE_NUM, QUEUE_SIZE);
    write_address(device->page, QUEUE_DESC, queue->desc);
    write_address(device->page, QUEUE_DRIVER, &queue->avail_flags);
    write_address(device->page, QUEUE_DEVICE, &queue->used_flags);
    mmio_write(device->page, QUEUE_READY, 1);
}

/* No feature but VERSION_1. */
void device_begin(struct device *device, uint64_t page, unsigned number)
{
    device->page = page;
    device->number = number;
    device->id = mmio_read(page, DEVICE_ID);
    mmio_write(page, STATUS, 0);
    mmio_write(page, STATUS, ACKNOWLEDGE);
    mmio_write(page, STATUS, ACKNOWLEDGE | DRIVER);
    mmio_write(page, DRIVER_FEATURES_SEL, 0);
    mmio_write(page, DRIVER_FEATURES, 0);
    mmio_write(page, DRIVER_FEATURES_SEL, 1);
    mmio_write(page, DRIVER_FEATURES, 1);
    mmio_write(page, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    if (!(mmio_read(page, STATUS) & FEATURES_OK))
        stop("features");
    for (unsigned i = 0; i < QUEUES_MAX; i++)
        queue_begin(device, i);
    mmio_write(page, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

bool request(struct device *device, unsigned queue_number, const struct part *parts, unsigned count)
{
    volatile struct queue *queue = queue_of(device, queue_number);
    uint16_t made = device->made[queue_number];
    uint32_t status;

    for (unsigned i = 0; i < count; i++) {
        queue->desc[i].address = (uintptr_t)parts[i].bytes;
        queue->desc[i].len = parts[i].len;
        queue->desc[i].flags =
            (uint16_t)((parts[i].written ? WRITE : 0) | (i + 1 < count ? NEXT : 0));
        queue->desc[i].next = (uint16_t)(i + 1);
    }
    queue->avail[made % QUEUE_SIZE] = 0;
    __asm__ volatile("" : : : "memory");
    queue->avail_idx = ++made;
    mmio_write(device->page, QUEUE_NOTIFY, queue_number);
    while (queue->used_idx != made) {
    }
    status = mmio_read(device->page, INTERRUPT_STATUS);
    if (status)
        mmio_write(device->page, INTERRUPT_ACK, status);
    device->made[queue_number] = made;
    return true;
}
