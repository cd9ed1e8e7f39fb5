/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The table of methods, and that of events. It is what requests are checked against and dispatched
 * by, what `vmm ctl` builds requests from, and the source of its help, of vmm-control(7) and of the
 * completions of shells.
 */
#ifndef STASIS_VMM_CONTROL_METHODS_H
#define STASIS_VMM_CONTROL_METHODS_H

#include "vmm/control/control.h"
#include "vmm/control/server.h"

enum stasis_control_kind {
    STASIS_CONTROL_TEXT,   /* const char *: not empty */
    STASIS_CONTROL_NAME,   /* const char *: a name in a folder */
    STASIS_CONTROL_WORD,   /* unsigned: place in words */
    STASIS_CONTROL_NUMBER, /* struct stasis_control_number: decimal, or hexadecimal with 0x */
    STASIS_CONTROL_LEVEL,  /* uint64_t: 0 for "none", 1 for "zlib", N for "zlib:N" up to 12 */
    STASIS_CONTROL_PATH,   /* of `vmm ctl` alone, which sends the folder and the name instead */
};

/* Rows end with a NULL name. All values are strings. */
struct stasis_control_param {
    const char *name;
    enum stasis_control_kind kind;
    size_t offset; /* in struct stasis_control_args */
    const char *arg;
    const char *doc;
    const char *const *words; /* ends with NULL */
    const char *was;          /* what an earlier release calls the first one; or NULL */
};

struct stasis_control_number {
    bool is_given;
    uint64_t value;
};

struct stasis_control_member {
    const char *name;
    const char *doc;
};

/* Which snapshot `cancel` gives up. */
enum stasis_control_of { STASIS_CONTROL_OF_ANY, STASIS_CONTROL_OF_OWN };

/* Parameters of any method; what was not given is zero. Strings are those of the request. */
struct stasis_control_args {
    const char *name;
    const char *target;
    const char *parent;
    uint64_t zlib_level;
    unsigned then;
    unsigned digest;
    unsigned sync;
    unsigned drop;
    unsigned of; /* enum stasis_control_of */
    struct stasis_control_number target_mib;
    unsigned format; /* enum stasis_vmm_metrics_format */
};

/* States of the VM that a method needs. */
#define STASIS_CONTROL_NEEDS_VM       0x01 /* it has not ended */
#define STASIS_CONTROL_NEEDS_START    0x02 /* it has been started */
#define STASIS_CONTROL_NEEDS_NO_SAVE  0x04 /* no snapshot is being saved */
#define STASIS_CONTROL_NEEDS_SAVE     0x08 /* one is, or its file is being opened */
#define STASIS_CONTROL_NEEDS_RUNNING  0x10
#define STASIS_CONTROL_NEEDS_PAUSED   0x20
#define STASIS_CONTROL_NEEDS_NO_PAUSE 0x40 /* the guest is not being paused */

struct stasis_control_state {
    unsigned bit;
    const char *error;  /* name of the error when it is missing */
    const char *reason; /* and the rest of its message */
};
extern const struct stasis_control_state stasis_control_states[]; /* ends with bit 0 */

/* What `run` returns instead of 0 when the call is answered later. */
#define STASIS_CONTROL_LATER 1

struct stasis_control_method {
    const char *name;
    const char *doc;                             /* one sentence or more */
    const struct stasis_control_param *params;   /* NULL: none */
    const struct stasis_control_member *members; /* of the result; NULL: none */
    unsigned needs;
    bool takes_folder; /* by a descriptor */
    int (*run)(struct stasis_control *control, struct stasis_control_call *call,
               const struct stasis_control_args *args, json_t **ret_result,
               struct stasis_control_failure *failure);
};
extern const struct stasis_control_method stasis_control_methods[]; /* ends with a NULL name */

struct stasis_control_event {
    const char *name;
    const char *doc;
    const struct stasis_control_member *members; /* NULL: none */
};
extern const struct stasis_control_event stasis_control_events[]; /* ends with a NULL name */

/* NULL: there is none. */
const struct stasis_control_method *stasis_control_method_find(const char *name);
const struct stasis_control_param *
stasis_control_param_find(const struct stasis_control_method *method, const char *name);

/* args.c: checks the parameters against the table. */
STASIS_MUST_CHECK int stasis_control_args_parse(const struct stasis_control_method *method,
                                                json_t *params,
                                                struct stasis_control_args *ret_args,
                                                struct stasis_control_failure *failure);
/* Checks what the method needs of the state. STASIS_ERR_STATE. */
STASIS_MUST_CHECK int stasis_control_state_check(const struct stasis_control_method *method,
                                                 const struct stasis_vmm_status *status,
                                                 struct stasis_control_failure *failure);

#endif
