/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Outputs in a folder of the case's own.
 */
#ifndef STASIS_TESTS_OUTPUT_RIG_H
#define STASIS_TESTS_OUTPUT_RIG_H

#include "tests/state-ser/snap/fixture.h"

#include "stasis/output.h"

/* Every case runs in a folder of its own. */
int output_setup(void **state);
int output_teardown(void **state);

void output_put_file(const char *path, const char *text);
void output_assert_file(const char *path, const char *text);

/* Opens an output in the role of "B": the call itself, and one that must succeed. */
int output_open_as(struct stasis_outputs *outputs, const char *path, enum stasis_output_kind kind,
                   struct stasis_output **ret_output, struct stasis_error *err);
struct stasis_output *output_opened(struct stasis_outputs *outputs, const char *path,
                                    enum stasis_output_kind kind);

/* Opening it fails with this code and these words; as any kind but a pipe, as a wrong argument. */
void output_refused(struct stasis_outputs *outputs, const char *path, enum stasis_output_kind kind,
                    int code, const char *words);
void output_refused_as_any(struct stasis_outputs *outputs, const char *path, const char *words);

#endif
