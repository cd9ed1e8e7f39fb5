/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/x86/aml.h"

#include <string.h>

/* ACPI 6.4, 20.3 */
#define OP_NAME    0x08
#define OP_BYTE    0x0a
#define OP_WORD    0x0b
#define OP_DWORD   0x0c
#define OP_STRING  0x0d
#define OP_SCOPE   0x10
#define OP_BUFFER  0x11
#define OP_PACKAGE 0x12
#define OP_METHOD  0x14
#define OP_NOTIFY  0x86
#define OP_DUAL    0x2e
#define ROOT_CHAR  0x5c
#define OP_EXT     0x5b
#define OP_DEVICE  0x82

/* ACPI 6.4, 6.4.2 and 6.4.3 */
#define RES_IO        0x47
#define RES_END       0x79
#define RES_MEMORY32  0x86
#define RES_INTERRUPT 0x89
#define IO_DECODE_16  0x01
#define MEM_WRITABLE  0x01
#define IRQ_CONSUMER  0x01
#define IRQ_EDGE      0x02

#define NAME_LEN 4
/* PkgLength has one to four bytes. Always taking three (20 bits) lets it be filled in at the end
 * without moving what it counts. */
#define PKG_LEN 3

static void put8(struct stasis_append *aml, uint8_t value)
{
    stasis_append_put(aml, &value, 1);
}

static void put16(struct stasis_append *aml, uint16_t value)
{
    put8(aml, (uint8_t)value);
    put8(aml, (uint8_t)(value >> 8));
}

static void put32(struct stasis_append *aml, uint32_t value)
{
    put16(aml, (uint16_t)value);
    put16(aml, (uint16_t)(value >> 16));
}

static size_t open_pkg(struct stasis_append *aml)
{
    static const uint8_t room[PKG_LEN];
    size_t at = aml->len;

    stasis_append_put(aml, room, sizeof(room));
    return at;
}

/* The length counts itself. Bits 7-6 of its first byte say how many bytes follow; bits 3-0 are the
 * lowest of the value. */
void stasis_aml_close(struct stasis_append *aml, size_t opened)
{
    size_t len = aml->len - opened;

    if (len >> 20)
        aml->overflow = true;
    if (aml->overflow)
        return;
    aml->bytes[opened] = (uint8_t)((PKG_LEN - 1) << 6 | (len & 0xf));
    aml->bytes[opened + 1] = (uint8_t)(len >> 4);
    aml->bytes[opened + 2] = (uint8_t)(len >> 12);
}

size_t stasis_aml_open_scope(struct stasis_append *aml, const char *name)
{
    size_t at;

    put8(aml, OP_SCOPE);
    at = open_pkg(aml);
    stasis_append_put(aml, name, NAME_LEN);
    return at;
}

size_t stasis_aml_open_device(struct stasis_append *aml, const char *name)
{
    size_t at;

    put8(aml, OP_EXT);
    put8(aml, OP_DEVICE);
    at = open_pkg(aml);
    stasis_append_put(aml, name, NAME_LEN);
    return at;
}

size_t stasis_aml_open_package(struct stasis_append *aml, uint8_t elements)
{
    size_t at;

    put8(aml, OP_PACKAGE);
    at = open_pkg(aml);
    put8(aml, elements);
    return at;
}

/* A buffer states its size once more inside: as a word, filled in at the end too. */
size_t stasis_aml_open_resources(struct stasis_append *aml)
{
    size_t at;

    put8(aml, OP_BUFFER);
    at = open_pkg(aml);
    put8(aml, OP_WORD);
    put16(aml, 0);
    return at;
}

void stasis_aml_close_resources(struct stasis_append *aml, size_t opened)
{
    size_t content = opened + PKG_LEN + 3, len;

    put8(aml, RES_END);
    put8(aml, 0); /* "a checksum of 0 is treated as if it were right" (6.4.2.9) */
    if (aml->overflow)
        return;
    len = aml->len - content;
    aml->bytes[content - 2] = (uint8_t)len;
    aml->bytes[content - 1] = (uint8_t)(len >> 8);
    stasis_aml_close(aml, opened);
}

size_t stasis_aml_open_method(struct stasis_append *aml, const char *name)
{
    size_t at;

    put8(aml, OP_METHOD);
    at = open_pkg(aml);
    stasis_append_put(aml, name, NAME_LEN);
    put8(aml, 0); /* flags: no arguments, not serialized */
    return at;
}

void stasis_aml_notify(struct stasis_append *aml, const char *scope, const char *device,
                       uint8_t value)
{
    put8(aml, OP_NOTIFY);
    put8(aml, ROOT_CHAR);
    put8(aml, OP_DUAL);
    stasis_append_put(aml, scope, NAME_LEN);
    stasis_append_put(aml, device, NAME_LEN);
    put8(aml, OP_BYTE);
    put8(aml, value);
}

void stasis_aml_name(struct stasis_append *aml, const char *name)
{
    put8(aml, OP_NAME);
    stasis_append_put(aml, name, NAME_LEN);
}

void stasis_aml_int(struct stasis_append *aml, uint32_t value)
{
    if (value <= 1) { /* ZeroOp, OneOp */
        put8(aml, (uint8_t)value);
    } else if (value <= UINT8_MAX) {
        put8(aml, OP_BYTE);
        put8(aml, (uint8_t)value);
    } else {
        put8(aml, OP_DWORD);
        put32(aml, value);
    }
}

void stasis_aml_string(struct stasis_append *aml, const char *text)
{
    put8(aml, OP_STRING);
    stasis_append_put(aml, text, strlen(text) + 1);
}

void stasis_aml_buffer(struct stasis_append *aml, const uint8_t *bytes, uint8_t len)
{
    size_t at;

    put8(aml, OP_BUFFER);
    at = open_pkg(aml);
    put8(aml, OP_BYTE);
    put8(aml, len);
    stasis_append_put(aml, bytes, len);
    stasis_aml_close(aml, at);
}

static uint32_t hex_digit(char c)
{
    return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* ACPI 6.4, 19.6.37: three letters of 5 bits and four hex digits, big-endian. */
void stasis_aml_eisa_id(struct stasis_append *aml, const char *id)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 3; i++)
        value = value << 5 | (uint32_t)(id[i] - '@');
    for (unsigned i = 3; i < 7; i++)
        value = value << 4 | hex_digit(id[i]);
    stasis_aml_int(aml, __builtin_bswap32(value));
}

void stasis_aml_ports(struct stasis_append *aml, uint16_t base, uint8_t len)
{
    put8(aml, RES_IO);
    put8(aml, IO_DECODE_16);
    put16(aml, base); /* lowest and highest it could be moved to: nowhere */
    put16(aml, base);
    put8(aml, 1); /* alignment */
    put8(aml, len);
}

void stasis_aml_memory(struct stasis_append *aml, uint32_t base, uint32_t len)
{
    put8(aml, RES_MEMORY32);
    put16(aml, 9);
    put8(aml, MEM_WRITABLE);
    put32(aml, base);
    put32(aml, len);
}

void stasis_aml_interrupt(struct stasis_append *aml, uint32_t gsi, bool is_level)
{
    put8(aml, RES_INTERRUPT);
    put16(aml, 6);
    put8(aml, is_level ? IRQ_CONSUMER : IRQ_CONSUMER | IRQ_EDGE);
    put8(aml, 1); /* interrupts that follow */
    put32(aml, gsi);
}
