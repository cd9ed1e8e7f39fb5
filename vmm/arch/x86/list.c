/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/arch/x86/list.h"

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 0))) static void append(struct stasis_x86_list *list,
                                                         const char *format, va_list args)
{
    size_t room = sizeof(list->text) - list->len;
    int len = vsnprintf(list->text + list->len, room, format, args);

    list->len += len < 0 ? 0 : (size_t)len < room ? (size_t)len : room - 1;
}

__attribute__((format(printf, 2, 3))) static void put(struct stasis_x86_list *list,
                                                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    append(list, format, args);
    va_end(args);
}

bool stasis_x86_list_add(struct stasis_x86_list *list, const char *format, ...)
{
    va_list args;

    if (list->count == STASIS_X86_LIST_MAX) {
        list->more++;
        return false;
    }
    put(list, "%s", list->count++ ? ", " : "");
    va_start(args, format);
    append(list, format, args);
    va_end(args);
    return true;
}

const char *stasis_x86_list_text(struct stasis_x86_list *list)
{
    if (list->more)
        put(list, " and %u more", list->more);
    list->more = 0;
    return list->text;
}
