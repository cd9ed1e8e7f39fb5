/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/vmcoreinfo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/paging.h"

/* arch/x86/include/asm/page_64_types.h: the kernel's image is mapped from here on, plus phys_base.
 */
#define START_KERNEL_MAP UINT64_C(0xffffffff80000000)

#define FIRST_KEY "OSRELEASE="

/* The text behind "\nKEY" or, for the first line, "KEY"; NULL if there is no such line. */
static const char *find(const char *text, const char *key)
{
    const char *at = text;

    while ((at = strstr(at, key)) && at != text && at[-1] != '\n')
        at++;
    return at ? at + strlen(key) : NULL;
}

/* A number to the end of its line. phys_base is signed: KASLR may move the kernel either way. */
static bool get_number(const char *text, const char *key, int base, uint64_t *ret_value)
{
    const char *at = find(text, key);
    char *end;

    if (!at)
        return false;
    *ret_value = at[0] == '-' ? (uint64_t)strtoll(at, &end, base) : strtoull(at, &end, base);
    return end != at && *end == '\n';
}

/* Copies what the page holds, if that is lines of printable ASCII with zeros behind. */
static bool get_text(const uint8_t *page, struct stasis_vmcoreinfo *info)
{
    size_t len = strnlen((const char *)page, STASIS_PAGE_SIZE);

    if (!len || page[len - 1] != '\n')
        return false;
    for (size_t i = 0; i < len; i++)
        if (page[i] != '\n' && (page[i] < 0x20 || page[i] > 0x7e))
            return false;
    memcpy(info->text, page, len);
    info->text[len] = '\0';
    info->len = len;
    snprintf(info->release, sizeof(info->release), "%.*s",
             (int)strcspn(info->text + strlen(FIRST_KEY), "\n"), info->text + strlen(FIRST_KEY));
    return true;
}

bool stasis_vmcoreinfo_parse(const uint8_t page[STASIS_PAGE_SIZE], struct stasis_inspect_ram *ram,
                             struct stasis_vmcoreinfo *ret_info)
{
    struct stasis_vmcoreinfo info = {.levels = 4};
    uint64_t page_size, root, phys_base, five_levels, gpa;

    if (memcmp(page, FIRST_KEY, strlen(FIRST_KEY)) != 0 || !get_text(page, &info))
        return false;
    if (!get_number(info.text, "PAGESIZE=", 10, &page_size) || page_size != STASIS_PAGE_SIZE ||
        !get_number(info.text, "SYMBOL(swapper_pg_dir)=", 16, &root) ||
        !get_number(info.text, "NUMBER(phys_base)=", 10, &phys_base) ||
        !get_number(info.text, "KERNELOFFSET=", 16, &info.kaslr))
        return false;
    if (get_number(info.text, "NUMBER(pgtable_l5_enabled)=", 10, &five_levels) && five_levels)
        info.levels = 5;
    info.page_tables = root - START_KERNEL_MAP + phys_base;
    if (stasis_paging_translate(ram, info.page_tables, info.levels, root, &gpa, NULL) ||
        gpa != info.page_tables)
        return false;
    *ret_info = info;
    return true;
}
