/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The table of options: what the parser accepts and --help prints.
 */
#ifndef STASIS_VMM_CLI_INTERNAL_H
#define STASIS_VMM_CLI_INTERNAL_H

#include "vmm/cmd/cli.h"

enum stasis_cli_kind {
    STASIS_CLI_TEXT,       /* char *: a copy, not empty */
    STASIS_CLI_EMPTY_TEXT, /* char *: a copy, may be empty */
    STASIS_CLI_NUMBER,     /* uint64_t: min..max */
    STASIS_CLI_FD,         /* int: a descriptor above 2 */
    STASIS_CLI_SIZE,       /* the same, K, M and G allowed */
    STASIS_CLI_WORD,       /* unsigned: place in words */
    STASIS_CLI_SWITCH,     /* bool: set by the one word */
    STASIS_CLI_LEVEL,      /* uint64_t: 0 for the first word; for the second min, or ":N" to max */
    STASIS_CLI_NOTE,       /* struct stasis_notes *: KEY=VALUE, may be given several times */
    STASIS_CLI_OUT,        /* serial output: a word, for files with ":PATH" */
};

/* Rows end with a NULL name. The first key of an option may be left out before its value, and is
 * the only one that must be given. */
struct stasis_cli_key {
    const char *name;
    enum stasis_cli_kind kind;
    size_t offset;      /* in struct stasis_options */
    const char *arg;    /* as --help shows it */
    const char *remedy; /* for a bad value: "give ..." */
    uint64_t min;
    uint64_t max;
    const char *const *words; /* ends with NULL */
};

enum stasis_cli_id {
    STASIS_CLI_KERNEL,
    STASIS_CLI_DEMO,
    STASIS_CLI_RESTORE,
    STASIS_CLI_INITRD,
    STASIS_CLI_MEMORY,
    STASIS_CLI_VCPU,
    STASIS_CLI_CPU,
    STASIS_CLI_BOARD,
    STASIS_CLI_PAUSED,
    STASIS_CLI_READY_FD,
    STASIS_CLI_SERIAL,
    STASIS_CLI_SNAPSHOT_OUT,
    STASIS_CLI_IGNORE,
    STASIS_CLI_DRY_RUN,
    STASIS_CLI_CONTROL,
    STASIS_CLI_ON_GUEST_ERROR,
    STASIS_CLI_LOG,
    STASIS_CLI_METRICS,
    STASIS_CLI_HELP,
    STASIS_CLI_VERSION,
    STASIS_CLI_COUNT
};

struct stasis_cli_option {
    const char *name;
    const struct stasis_cli_key *keys; /* NULL: takes no value */
    const char *help;                  /* lines, each ending in a newline */
    const char *group;                 /* heading printed before it, or NULL */
    bool is_whole;                     /* the value may be left out */
    const char *absent;                /* CMake option that this build lacks for it, or NULL */
};

extern const struct stasis_cli_option stasis_cli_options[STASIS_CLI_COUNT];

/* Words of the kinds of serial output; the numbers are enum stasis_vmm_serial_kind. */
extern const char *const stasis_cli_out_words[];

#define STASIS_CLI_BIT(place) (UINT32_C(1) << (place))

/* Sets of what was given, by place in the tables. */
struct stasis_cli_given {
    uint32_t options;
    uint32_t serial_keys;
};

/* Place of the first `len` bytes of value in words, or -1. */
int stasis_cli_word(const char *const *words, const char *value, size_t len);

/* Adds the note KEY=VALUE to *notes, which is made if it is NULL. STASIS_ERR_ARG: also if the key
 * is there already. */
STASIS_MUST_CHECK int stasis_cli_note(struct stasis_notes **notes, const char *value,
                                      struct stasis_error *err);

STASIS_MUST_CHECK int stasis_cli_copy(const char *value, char **ret_copy, struct stasis_error *err);

/* cli_serial.c: the value of --serial out=; STASIS_ERR_ARG for keys that do not go with it. */
STASIS_MUST_CHECK int stasis_cli_serial_out(struct stasis_vmm_config *config,
                                            const struct stasis_cli_key *key, const char *value,
                                            struct stasis_error *err);
STASIS_MUST_CHECK int stasis_cli_serial_check(const struct stasis_vmm_config *config,
                                              const struct stasis_cli_given *given,
                                              struct stasis_error *err);

/* STASIS_ERR_ARG for options that contradict each other, or when there is nothing to run. */
STASIS_MUST_CHECK int stasis_cli_check(const struct stasis_vmm_config *config,
                                       const struct stasis_cli_given *given,
                                       struct stasis_error *err);

#endif
