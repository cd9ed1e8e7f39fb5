/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * JSON-RPC 2.0: requests, answers and notifications.
 */
#ifndef STASIS_VMM_CONTROL_MESSAGE_H
#define STASIS_VMM_CONTROL_MESSAGE_H

#include "vmm/control/json.h"

/* JSON-RPC's own codes, for messages that are no valid request. */
enum stasis_control_code {
    STASIS_CONTROL_PARSE_ERROR = -32700,
    STASIS_CONTROL_INVALID_REQUEST = -32600,
    STASIS_CONTROL_METHOD_NOT_FOUND = -32601,
    STASIS_CONTROL_INVALID_PARAMS = -32602,
};

/* Why a request fails. The message is "statement; remedy", as everywhere. */
struct stasis_control_failure {
    struct stasis_error err;
    int code;         /* enum stasis_control_code; 0: the exit status of err.code */
    const char *name; /* of the error, for programs; NULL: that of err.code or of `code` */
};

/* Fills *failure and returns err.code. */
int stasis_control_fail(struct stasis_control_failure *failure, enum stasis_control_code code,
                        const char *fmt, ...) STASIS_PRINTF(3, 4);

struct stasis_control_request {
    json_t *message;    /* owns the rest */
    const json_t *id;   /* a string, a number or null; NULL: a notification, without an answer */
    const char *method; /* NULL if the message is no request */
    json_t *params;     /* an object, perhaps empty; owned too */
};

/* If it is no request, *ret_request holds what was recognized, at least the id if it has one.
 * To be freed in either case. */
STASIS_MUST_CHECK int stasis_control_request_parse(const char *text, size_t len,
                                                   struct stasis_control_request *ret_request,
                                                   struct stasis_control_failure *failure);
void stasis_control_request_free(struct stasis_control_request *request);

/* Text of any bytes as JSON: what is not UTF-8 becomes \xNN. NULL without memory. */
json_t *stasis_control_text(const char *text);
/* {code, name, message, remedy}; without `code` the data of an error of JSON-RPC. */
json_t *stasis_control_failure_data(const struct stasis_control_failure *failure, bool with_code);

/* Lines to be freed; NULL without memory. The id NULL is written as null. Takes over `result`. */
char *stasis_control_result_line(const json_t *id, json_t *result);
char *stasis_control_failure_line(const json_t *id, const struct stasis_control_failure *failure);
/* A notification, or with an id a request. Takes over `params`, which may be NULL. */
char *stasis_control_request_line(const json_t *id, const char *method, json_t *params);

#endif
