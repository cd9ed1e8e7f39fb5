/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The wire form of a schema, between schema_encode.c and schema_parse.c. docs/snapshot-format.md,
 * "Schema section", is the specification.
 */
#ifndef STASIS_SER_SCHEMA_WIRE_H
#define STASIS_SER_SCHEMA_WIRE_H

#define STASIS_SCHEMA_STATE_PARTS 4 /* name, version, doc, fields */
#define STASIS_SCHEMA_FIELD_PARTS 9 /* id, name, kind, size, max, mask, default, state, doc */

enum stasis_schema_kind {
    STASIS_SCHEMA_UNSIGNED = 1,
    STASIS_SCHEMA_SIGNED = 2,
    STASIS_SCHEMA_UNSIGNEDS = 3,
    STASIS_SCHEMA_BYTES = 4,
    STASIS_SCHEMA_STRING = 5,
    STASIS_SCHEMA_STATE = 6,
    STASIS_SCHEMA_STATES = 7,
};

#endif
