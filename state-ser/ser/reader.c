/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "reader.h"

static const char cut_off[] = "cut off";
static const char wrong_type[] = "not of the type the format asks for";
static const char not_shortest[] = "not in its shortest form";

/* How a family of msgpack spells a number (msgpack spec, "Formats"): values below fix_count in the
 * tag itself, the others behind one of `tags` tags whose width starts at `width` and doubles. */
struct form {
    uint8_t fix_tag;
    uint8_t fix_count;
    uint8_t tag;
    uint8_t tags;
    uint8_t width;
};

static const struct form form_uint = {0x00, 128, 0xcc, 4, 1};
static const struct form form_str = {0xa0, 32, 0xd9, 3, 1};
static const struct form form_bin = {0x00, 0, 0xc4, 3, 1};
static const struct form form_array = {0x90, 16, 0xdc, 2, 2};
static const struct form form_map = {0x80, 16, 0xde, 2, 2};

void stasis_reader_init(struct stasis_reader *reader, const uint8_t *bytes, size_t len)
{
    *reader = (struct stasis_reader){.pos = bytes, .end = bytes + len};
}

void stasis_reader_refuse(struct stasis_reader *reader, const char *fault)
{
    if (!reader->fault)
        reader->fault = fault;
    reader->pos = reader->end;
}

static uint64_t refuse(struct stasis_reader *reader, const char *fault)
{
    stasis_reader_refuse(reader, fault);
    return 0;
}

static size_t left(const struct stasis_reader *reader)
{
    return (size_t)(reader->end - reader->pos);
}

static bool is_form(const struct form *form, uint8_t byte)
{
    return (uint8_t)(byte - form->fix_tag) < form->fix_count ||
           (uint8_t)(byte - form->tag) < form->tags;
}

enum stasis_wire stasis_reader_peek(const struct stasis_reader *reader)
{
    uint8_t byte;

    if (reader->pos == reader->end)
        return STASIS_WIRE_END;
    byte = *reader->pos;
    if (is_form(&form_uint, byte))
        return STASIS_WIRE_UINT;
    if (byte >= 0xe0 || (byte >= 0xd0 && byte <= 0xd3))
        return STASIS_WIRE_NEGATIVE;
    if (is_form(&form_str, byte))
        return STASIS_WIRE_STR;
    if (is_form(&form_bin, byte))
        return STASIS_WIRE_BIN;
    if (is_form(&form_array, byte))
        return STASIS_WIRE_ARRAY;
    return is_form(&form_map, byte) ? STASIS_WIRE_MAP : STASIS_WIRE_OTHER;
}

/* The big-endian number behind a tag; the caller has checked that `width` bytes are left. */
static uint64_t take_big_endian(struct stasis_reader *reader, unsigned width)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++)
        value = value << 8 | *reader->pos++;
    return value;
}

static uint64_t take(struct stasis_reader *reader, const struct form *form)
{
    uint64_t value, least;
    unsigned step, width;
    uint8_t byte;

    if (reader->pos == reader->end)
        return refuse(reader, cut_off);
    byte = *reader->pos++;
    if ((uint8_t)(byte - form->fix_tag) < form->fix_count)
        return (uint8_t)(byte - form->fix_tag);
    step = (uint8_t)(byte - form->tag);
    if (step >= form->tags)
        return refuse(reader, wrong_type);
    width = (unsigned)form->width << step;
    if (left(reader) < width)
        return refuse(reader, cut_off);
    value = take_big_endian(reader, width);
    least = step ? UINT64_C(1) << (4 * width) : form->fix_count;
    return value < least ? refuse(reader, not_shortest) : value;
}

uint64_t stasis_reader_wide_uint(struct stasis_reader *reader)
{
    return take(reader, &form_uint);
}

/* 0xd0 to 0xd3 hold only what the tags before them cannot. */
static int64_t take_negative(struct stasis_reader *reader)
{
    uint8_t byte = *reader->pos++;
    unsigned width = 1u << (byte & 3), shift = 64 - 8 * width;
    int64_t value, bound;

    if (byte >= 0xe0)
        return (int8_t)byte;
    if (left(reader) < width)
        return (int64_t)refuse(reader, cut_off);
    value = (int64_t)(take_big_endian(reader, width) << shift) >> shift;
    bound = width == 1 ? -32 : -(INT64_C(1) << (4 * width - 1));
    return value < bound ? value : (int64_t)refuse(reader, not_shortest);
}

int64_t stasis_reader_int(struct stasis_reader *reader)
{
    uint64_t value;

    if (stasis_reader_peek(reader) == STASIS_WIRE_NEGATIVE)
        return take_negative(reader);
    value = stasis_reader_uint(reader);
    return (int64_t)(value <= INT64_MAX ? value : refuse(reader, "larger than a signed integer"));
}

static size_t take_bytes(struct stasis_reader *reader, const struct form *form,
                         const uint8_t **ret_bytes)
{
    uint64_t len = take(reader, form);

    if (len > left(reader))
        refuse(reader, cut_off);
    if (reader->fault) {
        *ret_bytes = NULL;
        return 0;
    }
    *ret_bytes = reader->pos;
    reader->pos += len;
    return (size_t)len;
}

size_t stasis_reader_str(struct stasis_reader *reader, const char **ret_bytes)
{
    const uint8_t *bytes;
    size_t len = take_bytes(reader, &form_str, &bytes);

    *ret_bytes = (const char *)bytes;
    return len;
}

size_t stasis_reader_bin(struct stasis_reader *reader, const uint8_t **ret_bytes)
{
    return take_bytes(reader, &form_bin, ret_bytes);
}

static uint32_t take_count(struct stasis_reader *reader, const struct form *form, unsigned each)
{
    uint64_t count = take(reader, form);

    if (count > left(reader) / each)
        return (uint32_t)refuse(reader, "more elements than bytes left");
    return (uint32_t)count;
}

uint32_t stasis_reader_array(struct stasis_reader *reader)
{
    return take_count(reader, &form_array, 1);
}

uint32_t stasis_reader_map(struct stasis_reader *reader)
{
    return take_count(reader, &form_map, 2);
}
