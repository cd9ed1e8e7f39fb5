/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A streaming JSON writer: fixed order, exact integers, no tree. Indented by two spaces. Misuse
 * (a value without its key, unbalanced ends) is a bug of the caller and asserted. One thread per
 * writer. Errors of the stream stick in it and are reported once, by stasis_json_finish().
 */
#ifndef STASIS_JSON_H
#define STASIS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "stasis/compiler.h"
#include "stasis/ser_version.h"

STASIS_BEGIN_DECLS

#define STASIS_JSON_DEPTH_MAX 32

struct stasis_json {
    FILE *out; /* the caller's */
    unsigned depth;
    bool after_key;
    struct {
        bool is_object;
        bool has_items;
    } levels[STASIS_JSON_DEPTH_MAX];
};

STASIS_EXPORT void stasis_json_init(struct stasis_json *json, FILE *out);
STASIS_EXPORT void stasis_json_object_begin(struct stasis_json *json);
STASIS_EXPORT void stasis_json_object_end(struct stasis_json *json);
STASIS_EXPORT void stasis_json_array_begin(struct stasis_json *json);
STASIS_EXPORT void stasis_json_array_end(struct stasis_json *json);
STASIS_EXPORT void stasis_json_key(struct stasis_json *json, const char *key);
STASIS_EXPORT void stasis_json_u64(struct stasis_json *json, uint64_t value);
STASIS_EXPORT void stasis_json_i64(struct stasis_json *json, int64_t value);
STASIS_EXPORT void stasis_json_bool(struct stasis_json *json, bool value);
/* Escapes what JSON asks for, and what a terminal does not show (stasis_char_shown()). The string
 * is UTF-8; a byte that is not becomes U+FFFD. */
STASIS_EXPORT void stasis_json_str(struct stasis_json *json, const char *value);
/* The same for len bytes without a NUL behind them. */
STASIS_EXPORT void stasis_json_strn(struct stasis_json *json, const char *value, size_t len);
/* A string of 2 * len hex digits. */
STASIS_EXPORT void stasis_json_hex(struct stasis_json *json, const uint8_t *bytes, size_t len);
/* Ends the text with a newline and flushes; 0, or -1 if writing to `out` failed (errno is set). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_json_finish(struct stasis_json *json);

STASIS_END_DECLS

#endif
