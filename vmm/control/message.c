/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/control/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/message.h"

int stasis_control_fail(struct stasis_control_failure *failure, enum stasis_control_code code,
                        const char *fmt, ...)
{
    va_list args;

    *failure = (struct stasis_control_failure){.code = code, .err.code = STASIS_ERR_ARG};
    va_start(args, fmt);
    vsnprintf(failure->err.msg, sizeof(failure->err.msg), fmt, args);
    va_end(args);
    return STASIS_ERR_ARG;
}

/* ---- requests ---- */

static int check_id(const json_t *id, struct stasis_control_failure *failure)
{
    if (!id || json_is_string(id) || json_is_number(id) || json_is_null(id))
        return 0;
    return stasis_control_fail(failure, STASIS_CONTROL_INVALID_REQUEST,
                               "the id is no string, number or null; send one of these");
}

/* Members of parameters have names. Libraries send an empty array where there are none. */
static int take_params(struct stasis_control_request *request,
                       struct stasis_control_failure *failure)
{
    json_t *params = json_object_get(request->message, "params");

    if (json_is_object(params))
        request->params = json_incref(params);
    else if (!params || (json_is_array(params) && !json_array_size(params)))
        request->params = json_object();
    else if (json_is_array(params))
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_PARAMS,
                                   "parameters without names; send params as an object");
    else
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_REQUEST,
                                   "params is no object; send an object, or leave it out");
    if (request->params)
        return 0;
    return stasis_fail(&failure->err, STASIS_ERR_NOMEM, "out of memory");
}

static int check_members(json_t *message, struct stasis_control_failure *failure)
{
    const char *key;
    json_t *value;

    json_object_foreach(
        message, key,
        value) if (strcmp(key, "jsonrpc") != 0 && strcmp(key, "id") != 0 &&
                   strcmp(key, "method") != 0 &&
                   strcmp(key, "params") !=
                       0) return stasis_control_fail(failure, STASIS_CONTROL_INVALID_REQUEST,
                                                     "a request has no member %.60s; leave it out",
                                                     key);
    return 0;
}

static int take_members(struct stasis_control_request *request,
                        struct stasis_control_failure *failure)
{
    json_t *message = request->message;
    const char *version = json_string_value(json_object_get(message, "jsonrpc"));
    const json_t *id = json_object_get(message, "id");
    int rc = check_id(id, failure);

    if (rc)
        return rc;
    request->id = id;
    if (!version || strcmp(version, "2.0") != 0)
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_REQUEST,
                                   "no JSON-RPC 2.0; send \"jsonrpc\": \"2.0\"");
    request->method = json_string_value(json_object_get(message, "method"));
    if (!request->method)
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_REQUEST,
                                   "no method; send its name as a string");
    rc = check_members(message, failure);
    return rc ? rc : take_params(request, failure);
}

int stasis_control_request_parse(const char *text, size_t len,
                                 struct stasis_control_request *ret_request,
                                 struct stasis_control_failure *failure)
{
    struct stasis_error err;
    json_t *message;
    int rc;

    *ret_request = (struct stasis_control_request){.message = NULL};
    if (stasis_control_json_parse(text, len, &message, &err))
        return stasis_control_fail(failure, STASIS_CONTROL_PARSE_ERROR,
                                   "%.200s; send one JSON object a line", err.msg);
    ret_request->message = message;
    if (json_is_array(message))
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_REQUEST,
                                   "batches are not supported; send one request a line");
    if (!json_is_object(message))
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_REQUEST,
                                   "no object; send one JSON object a line");
    rc = take_members(ret_request, failure);
    if (rc)
        ret_request->method = NULL;
    return rc;
}

void stasis_control_request_free(struct stasis_control_request *request)
{
    json_decref(request->params);
    json_decref(request->message);
    *request = (struct stasis_control_request){.message = NULL};
}

/* ---- what is sent ---- */

static char *line_of(json_t *message)
{
    char *line = message ? stasis_control_json_line(message) : NULL;

    json_decref(message);
    return line;
}

/* The id as a value that a message takes over. */
static json_t *copy_id(const json_t *id)
{
    return id ? json_deep_copy(id) : json_null();
}

char *stasis_control_result_line(const json_t *id, json_t *result)
{
    return line_of(json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", copy_id(id), "result",
                             result ? result : json_object()));
}

static const struct {
    enum stasis_control_code code;
    const char *name;
    const char *text;
} codes[] = {
    {STASIS_CONTROL_PARSE_ERROR, "PARSE_ERROR", "Parse error"},
    {STASIS_CONTROL_INVALID_REQUEST, "INVALID_REQUEST", "Invalid Request"},
    {STASIS_CONTROL_METHOD_NOT_FOUND, "METHOD_NOT_FOUND", "Method not found"},
    {STASIS_CONTROL_INVALID_PARAMS, "INVALID_PARAMS", "Invalid params"},
};

static int code_of(const struct stasis_control_failure *failure)
{
    return failure->code ? failure->code : stasis_err_exit_status(failure->err.code);
}

/* Row of a code of JSON-RPC's own in `codes`, or their count. */
static size_t row_of(const struct stasis_control_failure *failure)
{
    size_t row = 0;

    while (row < sizeof(codes) / sizeof(codes[0]) && (int)codes[row].code != failure->code)
        row++;
    return row;
}

static const char *name_of(const struct stasis_control_failure *failure)
{
    size_t row = row_of(failure);

    if (failure->name)
        return failure->name;
    return row < sizeof(codes) / sizeof(codes[0]) ? codes[row].name
                                                  : stasis_err_name(failure->err.code);
}

static const char *text_of(const struct stasis_control_failure *failure)
{
    size_t row = row_of(failure);

    return row < sizeof(codes) / sizeof(codes[0]) ? codes[row].text
                                                  : stasis_err_str(failure->err.code);
}

/* What a client can do that others cannot. */
static const char *remedy_for_clients(const struct stasis_error *err)
{
    if (err->code == STASIS_ERR_CANCELLED)
        return "it was asked for; send the request again if it is wanted after all";
    if (err->code == STASIS_ERR_STATE)
        return "ask for the status, and send what fits it";
    if (err->code == STASIS_ERR_WRITE && (err->os_errno == EACCES || err->os_errno == EPERM))
        return "choose a folder that vmm may write to; with dir=FOLDER behind --control, its "
               "sandbox lets it write in FOLDER and below only";
    return NULL;
}

/* What is behind the last semicolon of the message, or what is generally advised. */
static const char *remedy_of(const struct stasis_error *err)
{
    const char *general = stasis_message_remedy(err);
    const char *ours = remedy_for_clients(err);
    const char *own = NULL;

    for (const char *at = strstr(err->msg, "; "); at; at = strstr(own, "; "))
        own = at + strlen("; ");
    if (own || ours)
        return own ? own : ours;
    return general[0] ? general + strlen("; ") : general;
}

json_t *stasis_control_text(const char *text)
{
    char line[STASIS_MESSAGE_MAX];
    json_t *value = json_string(text);
    size_t len;

    if (value)
        return value;
    len = stasis_message_format(line, "", text);
    return json_stringn_nocheck(line + strlen(": "), len - strlen(": ") - 1);
}

json_t *stasis_control_failure_data(const struct stasis_control_failure *failure, bool with_code)
{
    json_t *data = json_pack("{s:s, s:o, s:o}", "name", name_of(failure), "message",
                             stasis_control_text(failure->err.msg), "remedy",
                             stasis_control_text(remedy_of(&failure->err)));

    if (with_code)
        (void)!json_object_set_new(data, "code", json_integer(code_of(failure)));
    return data;
}

char *stasis_control_failure_line(const json_t *id, const struct stasis_control_failure *failure)
{
    return line_of(json_pack("{s:s, s:o, s:{s:i, s:s, s:o}}", "jsonrpc", "2.0", "id", copy_id(id),
                             "error", "code", code_of(failure), "message", text_of(failure), "data",
                             stasis_control_failure_data(failure, false)));
}

char *stasis_control_request_line(const json_t *id, const char *method, json_t *params)
{
    json_t *message = json_pack("{s:s, s:s}", "jsonrpc", "2.0", "method", method);

    if (id)
        (void)!json_object_set_new(message, "id", json_deep_copy(id));
    if (params)
        (void)!json_object_set_new(message, "params", params);
    return line_of(message);
}
