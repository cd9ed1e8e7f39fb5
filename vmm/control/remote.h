/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The client's side of a control socket: requests from words, and the messages of a server that may
 * be any program.
 */
#ifndef STASIS_VMM_CONTROL_REMOTE_H
#define STASIS_VMM_CONTROL_REMOTE_H

#include "vmm/control/methods.h"

/* A server's line may have so many bytes. */
#define STASIS_CONTROL_ANSWER_MAX (4 << 20)

struct stasis_control_words {
    const struct stasis_control_method *method;
    json_t *params;
    int folder_fd; /* of a path, or -1 */
};

/* METHOD [key=value]...: checks them and opens the folder of a path. STASIS_ERR_ARG,
 * STASIS_ERR_NOT_FOUND, STASIS_ERR_IO. */
STASIS_MUST_CHECK int stasis_control_words_parse(int count, char *const *words,
                                                 struct stasis_control_words *ret_words,
                                                 struct stasis_error *err);
void stasis_control_words_fini(struct stasis_control_words *words);

/* What else may happen while an answer is waited for. */
struct stasis_control_remote_ops {
    void *ctx;
    void (*event)(void *ctx, const json_t *message); /* one has come */
    int fd;                                          /* to be watched */
    void (*ready)(void *ctx);                        /* it is readable */
};

/* Private. */
struct stasis_control_remote {
    const struct stasis_control_remote_ops *ops; /* NULL: none */
    json_int_t last_id;                          /* of a request that was sent */
    int fd;
    int send_errno; /* why the request was not sent */
    char *bytes;    /* what is not taken yet: from start to len */
    size_t start, len, size;
};

/* Connects, and sends the request with id 1. A server that has closed the connection by then may
 * have said why: that is the answer. */
STASIS_MUST_CHECK int stasis_control_remote_open(struct stasis_control_remote *remote,
                                                 const char *path,
                                                 const struct stasis_control_words *words,
                                                 struct stasis_error *err);
void stasis_control_remote_close(struct stasis_control_remote *remote);

/* `ops` stays the caller's. */
void stasis_control_remote_watch(struct stasis_control_remote *remote,
                                 const struct stasis_control_remote_ops *ops);
/* Sends one more request, without a descriptor, whose answer nobody waits for. Takes over `params`,
 * which may be NULL. STASIS_ERR_IO, STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_control_remote_ask(struct stasis_control_remote *remote,
                                                const char *method, json_t *params,
                                                struct stasis_error *err);

/* Waits for the next message, an object. Returns 1, or 0 at the end, or STASIS_ERR_IO for what no
 * server of ours sends. */
STASIS_MUST_CHECK int stasis_control_remote_next(struct stasis_control_remote *remote,
                                                 json_t **ret_message, struct stasis_error *err);

/* Waits for the answer to the request; *ret_result is the caller's. If the server answers with an
 * error, *err has its message, and *ret_status the exit status. */
STASIS_MUST_CHECK int stasis_control_remote_answer(struct stasis_control_remote *remote,
                                                   json_t **ret_result, int *ret_status,
                                                   struct stasis_error *err);

#endif
