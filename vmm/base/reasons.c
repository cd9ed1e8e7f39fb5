/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/base/reasons.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 16u /* of a list in a message: more are counted */

static bool is_same(const struct stasis_reason *a, const struct stasis_reason *b)
{
    return !strcmp(a->kind, b->kind) && !strcmp(a->object, b->object) && !strcmp(a->what, b->what);
}

static bool is_known(const struct stasis_reasons *reasons, const struct stasis_reason *reason)
{
    for (size_t i = 0; i < reasons->count; i++) {
        if (is_same(&reasons->list[i], reason))
            return true;
    }
    return false;
}

/* Without memory for one more it is counted. */
static bool make_room(struct stasis_reasons *reasons)
{
    size_t room = reasons->room ? 2 * reasons->room : 4;
    struct stasis_reason *list;

    if (reasons->count < reasons->room)
        return true;
    if (reasons->count == STASIS_REASONS_MAX)
        return false;
    list = realloc(reasons->list, room * sizeof(*list));
    if (!list)
        return false;
    reasons->list = list;
    reasons->room = room;
    return true;
}

void stasis_reasons_add(struct stasis_reasons *reasons, const struct stasis_reason *reason)
{
    reasons->added++;
    if (is_known(reasons, reason))
        return;
    if (make_room(reasons))
        reasons->list[reasons->count++] = *reason;
    else
        reasons->more++;
}

void stasis_reasons_add_error(struct stasis_reasons *reasons, const char *kind, const char *object,
                              const struct stasis_error *err)
{
    struct stasis_reason reason = {.code = err->code, .kind = kind};

    snprintf(reason.object, sizeof(reason.object), "%s", object);
    snprintf(reason.what, sizeof(reason.what), "%s", err->msg);
    stasis_reasons_add(reasons, &reason);
}

/* ---- messages ---- */

struct text {
    char *to;
    size_t size, len;
};

STASIS_PRINTF(2, 3)
static void put(struct text *text, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text->to + text->len, text->size - text->len, format, args);
    va_end(args);
    if (len > 0)
        text->len +=
            (size_t)len < text->size - text->len ? (size_t)len : text->size - text->len - 1;
}

static void put_remedy(struct text *text, const struct stasis_reason *reason)
{
    if (reason->remedy)
        put(text, "; %s", reason->remedy);
}

void stasis_reason_message(const struct stasis_reason *reason, char ret_text[STASIS_ERROR_MSG_MAX])
{
    struct text text = {.to = ret_text, .size = STASIS_ERROR_MSG_MAX};

    put(&text, "%s", reason->what);
    if (reason->is_listed)
        put(&text, " %s", reason->object);
    put_remedy(&text, reason);
}

static bool is_of_list(const struct stasis_reason *reason, const struct stasis_reason *first)
{
    return reason == first ||
           (first->is_listed && reason->is_listed && !strcmp(reason->kind, first->kind) &&
            !strcmp(reason->what, first->what));
}

/* Returns how many reasons the message is about. */
static size_t put_list(struct text *text, const struct stasis_reasons *reasons)
{
    const struct stasis_reason *first = reasons->list;
    size_t named = 0, all = 0;

    put(text, "%s", first->what);
    for (size_t i = 0; i < reasons->count; i++) {
        if (!is_of_list(&reasons->list[i], first))
            continue;
        all++;
        if (first->is_listed && named < NAMES_MAX)
            put(text, "%s %s", named++ ? "," : "", reasons->list[i].object);
    }
    if (named && all > named)
        put(text, " and %zu more", all - named);
    put_remedy(text, first);
    return all;
}

int stasis_reasons_fail(const struct stasis_reasons *reasons, struct stasis_error *err)
{
    char message[STASIS_ERROR_MSG_MAX];
    struct text text = {.to = message, .size = sizeof(message)};
    size_t others;

    if (!reasons->count)
        return reasons->more ? stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a list of reasons")
                             : 0;
    others = reasons->count - put_list(&text, reasons) + reasons->more;
    if (others)
        put(&text, " (and %zu other reason%s)", others, others == 1 ? "" : "s");
    return stasis_fail(err, reasons->list[0].code, "%s", message);
}

void stasis_reasons_fini(struct stasis_reasons *reasons)
{
    free(reasons->list);
    *reasons = (struct stasis_reasons){0};
}
