/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Values as text for people. Strings may come from hostile files: what a terminal does not show
 * (stasis_char_shown()) and what is not UTF-8 is printed as \xNN.
 */
#ifndef STASIS_TOOLS_TEXT_H
#define STASIS_TOOLS_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "stasis/snap.h"

#define STASIS_TEXT_MAX 72 /* room for any text below */

/* Writes a string, escaped. */
void stasis_text_put(FILE *out, const char *text);

/* Writes len bytes, escaped but for those in `allowed`, and returns how many: fewer, by at most 3,
 * if `more` are to come that may complete the last character. */
size_t stasis_text_put_bytes(FILE *out, const char *bytes, size_t len, const char *allowed,
                             int more);

/* "0 bytes", "8 KiB", "12.3 MiB"; cut, not rounded. */
void stasis_text_size(uint64_t bytes, char ret_text[STASIS_TEXT_MAX]);

/* "2026-01-31 12:34:56 UTC", of nanoseconds since 1970. */
void stasis_text_time(uint64_t ns, char ret_text[STASIS_TEXT_MAX]);

/* "12 s ago", "3 days ago"; a time to come is named as such. */
void stasis_text_age(uint64_t then_ns, uint64_t now_ns, char ret_text[STASIS_TEXT_MAX]);

/* The digits that --restore takes. */
void stasis_text_root(const uint8_t root[STASIS_DIGEST_SIZE], char ret_text[STASIS_TEXT_MAX]);

/* As RFC 9562 writes a UUID. */
void stasis_text_uuid(const uint8_t uuid[STASIS_UUID_SIZE], char ret_text[STASIS_TEXT_MAX]);

/* The name of an ELF machine number, "x86_64", or NULL; and that, or "ELF machine 4711". */
const char *stasis_text_arch_name(uint32_t arch);
void stasis_text_arch(uint32_t arch, char ret_text[STASIS_TEXT_MAX]);

#endif
