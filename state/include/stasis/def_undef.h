/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Forgets what the rows of a list stand for, so that they can stand for something else. No guard:
 * included behind every STASIS_DEF.
 */
#undef STASIS_INT
#undef STASIS_INTS
#undef STASIS_BUF
#undef STASIS_STR
#undef STASIS_STRUCT
#undef STASIS_LIST
#undef STASIS_OLD_BOUND
