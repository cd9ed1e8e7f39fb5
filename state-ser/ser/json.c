/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/json.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "stasis/field.h"

void stasis_json_init(struct stasis_json *json, FILE *out)
{
    *json = (struct stasis_json){.out = out};
}

static void new_line(struct stasis_json *json)
{
    fprintf(json->out, "\n%*s", (int)(2 * json->depth), "");
}

/* Before a key, and before a value in an array. */
static void begin_item(struct stasis_json *json)
{
    if (!json->depth)
        return;
    if (json->levels[json->depth - 1].has_items)
        putc(',', json->out);
    json->levels[json->depth - 1].has_items = true;
    new_line(json);
}

static void begin_value(struct stasis_json *json)
{
    if (json->after_key) {
        json->after_key = false;
        return;
    }
    assert(!json->depth || !json->levels[json->depth - 1].is_object);
    begin_item(json);
}

static void begin_level(struct stasis_json *json, bool is_object)
{
    begin_value(json);
    assert(json->depth < STASIS_JSON_DEPTH_MAX);
    json->levels[json->depth].is_object = is_object;
    json->levels[json->depth].has_items = false;
    json->depth++;
    putc(is_object ? '{' : '[', json->out);
}

static void end_level(struct stasis_json *json, bool is_object)
{
    assert(json->depth && !json->after_key);
    json->depth--;
    assert(json->levels[json->depth].is_object == is_object);
    if (json->levels[json->depth].has_items)
        new_line(json);
    putc(is_object ? '}' : ']', json->out);
}

void stasis_json_object_begin(struct stasis_json *json)
{
    begin_level(json, true);
}

void stasis_json_object_end(struct stasis_json *json)
{
    end_level(json, true);
}

void stasis_json_array_begin(struct stasis_json *json)
{
    begin_level(json, false);
}

void stasis_json_array_end(struct stasis_json *json)
{
    end_level(json, false);
}

/* UTF-16, as RFC 8259 asks: two surrogates above U+FFFF. */
static void put_escape(FILE *out, uint32_t code)
{
    if (code > 0xffff)
        fprintf(out, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd7c0 + (code >> 10),
                0xdc00 + (code & 0x3ff));
    else
        fprintf(out, "\\u%04" PRIx32, code);
}

/* RFC 8259, 7; and what a terminal does not show. Returns the bytes taken. */
static size_t put_char(FILE *out, const char *s, size_t left)
{
    uint32_t code = 0xfffd; /* replacement character */
    size_t len = stasis_utf8_decode(s, left, &code);

    if (code == '"' || code == '\\')
        fprintf(out, "\\%c", (int)code);
    else if (len && stasis_char_shown(code))
        fwrite(s, 1, len, out);
    else
        put_escape(out, code);
    return len ? len : 1;
}

static void put_str(FILE *out, const char *str, size_t len)
{
    putc('"', out);
    for (size_t i = 0; i < len;)
        i += put_char(out, str + i, len - i);
    putc('"', out);
}

void stasis_json_key(struct stasis_json *json, const char *key)
{
    assert(json->depth && json->levels[json->depth - 1].is_object && !json->after_key);
    begin_item(json);
    put_str(json->out, key, strlen(key));
    fputs(": ", json->out);
    json->after_key = true;
}

void stasis_json_u64(struct stasis_json *json, uint64_t value)
{
    begin_value(json);
    fprintf(json->out, "%" PRIu64, value);
}

void stasis_json_i64(struct stasis_json *json, int64_t value)
{
    begin_value(json);
    fprintf(json->out, "%" PRId64, value);
}

void stasis_json_bool(struct stasis_json *json, bool value)
{
    begin_value(json);
    fputs(value ? "true" : "false", json->out);
}

void stasis_json_str(struct stasis_json *json, const char *value)
{
    stasis_json_strn(json, value, strlen(value));
}

void stasis_json_strn(struct stasis_json *json, const char *value, size_t len)
{
    begin_value(json);
    put_str(json->out, value, len);
}

void stasis_json_hex(struct stasis_json *json, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    begin_value(json);
    putc('"', json->out);
    for (size_t i = 0; i < len; i++) {
        putc(digits[bytes[i] >> 4], json->out);
        putc(digits[bytes[i] & 15], json->out);
    }
    putc('"', json->out);
}

int stasis_json_finish(struct stasis_json *json)
{
    assert(!json->depth && !json->after_key);
    putc('\n', json->out);
    if (fflush(json->out))
        return -1;
    if (ferror(json->out)) {
        errno = EIO; /* an earlier write failed and its errno is gone */
        return -1;
    }
    return 0;
}
