/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Attributes that the contracts of the public headers use, and the release: all our libraries are
 * of one.
 */
#ifndef STASIS_COMPILER_H
#define STASIS_COMPILER_H

#include "stasis/base_version.h"

#define STASIS_VERSION STASIS_BASE_VERSION

#define STASIS_EXPORT           __attribute__((visibility("default")))
#define STASIS_MUST_CHECK       __attribute__((warn_unused_result))
#define STASIS_PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))

#ifdef __cplusplus
#define STASIS_BEGIN_DECLS extern "C" {
#define STASIS_END_DECLS   }
#else
#define STASIS_BEGIN_DECLS
#define STASIS_END_DECLS
#endif

#endif
