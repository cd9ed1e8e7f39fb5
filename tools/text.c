/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/text.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "common/message.h"

#define UTF8_MAX 4 /* bytes of a character */

/* Length of the character at the start of `bytes` that may be shown as it is, or 0. */
static size_t shown_len(const char *bytes, size_t len, const char *allowed)
{
    if (bytes[0] && strchr(allowed, bytes[0]))
        return 1;
    return stasis_message_shown(bytes, len);
}

size_t stasis_text_put_bytes(FILE *out, const char *bytes, size_t len, const char *allowed,
                             int more)
{
    size_t at = 0;

    while (at < len) {
        size_t n = shown_len(bytes + at, len - at, allowed);

        if (n)
            fwrite(bytes + at, 1, n, out);
        else if (more && len - at < UTF8_MAX && (uint8_t)bytes[at] >= 0x80)
            break;
        else
            fprintf(out, "\\x%02x", (uint8_t)bytes[at]);
        at += n ? n : 1;
    }
    return at;
}

void stasis_text_put(FILE *out, const char *text)
{
    stasis_text_put_bytes(out, text, strlen(text), "", 0);
}

void stasis_text_size(uint64_t bytes, char ret_text[STASIS_TEXT_MAX])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    uint64_t tenths;

    while (bytes >> (10 * unit) >= 1024)
        unit++;
    /* Of the rest's highest ten bits: they hold a tenth exactly enough and cannot overflow. */
    tenths = unit ? (bytes >> (10 * (unit - 1)) & 1023) * 10 / 1024 : 0;
    if (tenths)
        snprintf(ret_text, STASIS_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " %s", bytes >> (10 * unit),
                 tenths, units[unit]);
    else
        snprintf(ret_text, STASIS_TEXT_MAX, "%" PRIu64 " %s", bytes >> (10 * unit), units[unit]);
}

void stasis_text_time(uint64_t ns, char ret_text[STASIS_TEXT_MAX])
{
    time_t seconds = (time_t)(ns / UINT64_C(1000000000));
    struct tm tm;

    gmtime_r(&seconds, &tm); /* 64 bits of nanoseconds end in the year 2554 */
    strftime(ret_text, STASIS_TEXT_MAX, "%Y-%m-%d %H:%M:%S UTC", &tm);
}

static void duration(uint64_t seconds, char ret_text[STASIS_TEXT_MAX])
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = {{86400, "days"}, {3600, "hours"}, {60, "min"}, {1, "s"}};
    size_t i = 0;

    while (i + 1 < sizeof(units) / sizeof(units[0]) && seconds < 2 * units[i].seconds)
        i++;
    snprintf(ret_text, STASIS_TEXT_MAX, "%" PRIu64 " %s", seconds / units[i].seconds,
             units[i].name);
}

void stasis_text_age(uint64_t then_ns, uint64_t now_ns, char ret_text[STASIS_TEXT_MAX])
{
    char text[STASIS_TEXT_MAX];
    size_t used;

    if (then_ns <= now_ns)
        duration((now_ns - then_ns) / UINT64_C(1000000000), text);
    else
        duration((then_ns - now_ns) / UINT64_C(1000000000), text);
    used = strlen(text);
    memcpy(ret_text, text, used);
    snprintf(ret_text + used, STASIS_TEXT_MAX - used, "%s",
             then_ns <= now_ns ? " ago" : " ahead of this clock");
}

void stasis_text_root(const uint8_t root[STASIS_DIGEST_SIZE], char ret_text[STASIS_TEXT_MAX])
{
    for (size_t i = 0; i < STASIS_DIGEST_SIZE; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", root[i]);
}

void stasis_text_uuid(const uint8_t uuid[STASIS_UUID_SIZE], char ret_text[STASIS_TEXT_MAX])
{
    char *at = ret_text;

    for (unsigned i = 0; i < STASIS_UUID_SIZE; i++)
        at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
}

const char *stasis_text_arch_name(uint32_t arch)
{
    /* As uname(2) and compilers say it. */
    static const struct {
        uint32_t number;
        const char *name;
    } rows[] = {
        {EM_SPARC, "sparc"},
        {EM_386, "i386"},
        {EM_68K, "m68k"},
        {EM_MIPS, "mips"},
        {EM_PARISC, "parisc"},
        {EM_PPC, "ppc"},
        {EM_PPC64, "ppc64"},
        {EM_S390, "s390"},
        {EM_ARM, "arm"},
        {EM_SH, "sh"},
        {EM_SPARCV9, "sparc64"},
        {EM_IA_64, "ia64"},
        {EM_X86_64, "x86_64"},
        {EM_AVR, "avr"},
        {EM_OPENRISC, "openrisc"},
        {EM_XTENSA, "xtensa"},
        {EM_MSP430, "msp430"},
        {EM_AARCH64, "aarch64"},
        {EM_MICROBLAZE, "microblaze"},
        {EM_RISCV, "riscv"},
        {258, "loongarch"}, /* EM_LOONGARCH, which old <elf.h> lack */
        {EM_ALPHA, "alpha"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].number == arch)
            return rows[i].name;
    return NULL;
}

void stasis_text_arch(uint32_t arch, char ret_text[STASIS_TEXT_MAX])
{
    const char *name = stasis_text_arch_name(arch);

    if (name)
        snprintf(ret_text, STASIS_TEXT_MAX, "%s", name);
    else
        snprintf(ret_text, STASIS_TEXT_MAX, "ELF machine %" PRIu32, arch);
}
