/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/message.h"
#include "common/streams.h"
#include "vmm/cmd/cli_paths.h"
#include "vmm/cmd/ctl_save.h"
#include "vmm/cmd/say.h"
#include "vmm/control/remote.h"

#define WAIT_TRIES   1000
#define WAIT_STEP_NS 10000000L
#define HELP_WIDTH   80

static int fail(const struct stasis_error *err)
{
    return stasis_say_error(false, err);
}

/* The VM names keys of its configuration, and who reads this has options. */
static void fail_there(struct stasis_error *err)
{
    static const struct stasis_config_given none;

    stasis_cli_name_options_in(&none, false, err);
    (void)fail(err);
}

/* ---- help ---- */

/* In lines of at most so many bytes. */
static void print_wrapped(const char *text, int indent)
{
    while (*text) {
        size_t len = strlen(text);

        if (len > HELP_WIDTH) {
            len = HELP_WIDTH;
            while (len > 1 && text[len] != ' ')
                len--;
        }
        printf("%*s%.*s\n", indent, "", (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
}

static void print_method(const struct stasis_control_method *method)
{
    printf("  %s", method->name);
    for (const struct stasis_control_param *param = method->params; param && param->name; param++)
        printf(" [%s=%s]", param->name, param->arg);
    putchar('\n');
    print_wrapped(method->doc, 6);
}

static int print_help(void)
{
    struct stasis_error err;

    fputs("vmm ctl: control a running virtual machine\n\n"
          "Usage: vmm ctl [--wait] SOCK METHOD [key=value]...\n\n"
          "SOCK is the socket that the VM was started with: vmm --control path=SOCK.\n"
          "With --wait, waits up to 10 seconds for a VM that is being started.\n"
          "Prints text on a terminal and JSON elsewhere.\n\nMethods:\n",
          stdout);
    for (const struct stasis_control_method *method = stasis_control_methods; method->name;
         method++)
        print_method(method);
    fputs("\nThe exit status is that of the method, see vmm(1).\n"
          "\nSee vmm-control(7) for the full manual.\n",
          stdout);
    return stasis_streams_flush(&err) ? fail(&err) : 0;
}

/* ---- what comes ---- */

/* A value as text: a string as it is. To be freed; NULL without memory. */
static char *text_of(const json_t *value, size_t flags)
{
    if (json_is_string(value))
        return strdup(json_string_value(value));
    return json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | flags);
}

/* "name: text" with what a terminal must not get escaped. */
static void print_line(const char *name, const char *text)
{
    char line[STASIS_MESSAGE_MAX];

    printf("%.*s", (int)stasis_message_format(line, name, text), line);
}

static void print_member(const char *name, const json_t *value)
{
    char *text = text_of(value, 0);

    if (json_is_object(value) || json_is_array(value)) {
        free(text);
        text = text_of(value, JSON_INDENT(2));
        print_line(name, "");
        printf("%s\n", text ? text : "");
    } else if (text) {
        print_line(name, text);
    }
    free(text);
}

static void print_json(const json_t *value)
{
    char *line = stasis_control_json_line(value);

    if (line)
        fputs(line, stdout);
    free(line);
}

static void print_result(json_t *result, bool people)
{
    const char *name;
    json_t *value;

    if (!people) {
        print_json(result);
        return;
    }
    json_object_foreach(result, name, value) print_member(name, value);
}

/* Text of many lines, as a file has it; on a terminal without what that must not get. */
static void print_text(const char *text, bool people)
{
    if (!people)
        fputs(text, stdout);
    for (size_t len = strlen(text); people && len;) {
        size_t shown = *text == '\n' ? 1 : stasis_message_shown(text, len);

        if (shown)
            printf("%.*s", (int)shown, text);
        else
            printf("\\x%02x", (unsigned char)*text);
        text += shown ? shown : 1;
        len -= shown ? shown : 1;
    }
}

static void print_answer(const struct stasis_control_words *words, json_t *result, bool people)
{
    const char *format = json_string_value(json_object_get(words->params, "format"));
    const char *text = json_string_value(json_object_get(result, "text"));

    if (format && text && strcmp(format, "json") != 0)
        print_text(text, people);
    else
        print_result(result, people);
}

static void print_event(json_t *message, bool people)
{
    const char *name = json_string_value(json_object_get(message, "method"));
    json_t *params = json_object_get(message, "params");
    char *text;

    if (!people) {
        print_json(message);
        return;
    }
    if (!name) { /* of another server than ours */
        name = "?";
        params = message;
    }
    text = params ? text_of(params, JSON_COMPACT) : strdup("");
    if (text)
        print_line(name, text);
    free(text);
}

static int print_events(struct stasis_control_remote *remote, bool people)
{
    struct stasis_error err;
    json_t *message;
    int rc;

    while ((rc = stasis_control_remote_next(remote, &message, &err)) > 0) {
        print_event(message, people);
        json_decref(message);
        rc = stasis_streams_flush(&err);
        if (rc)
            break;
    }
    return rc ? fail(&err) : 0;
}

/* ---- the request ---- */

static int wait_for_snapshot(struct stasis_control_remote *remote, json_t **ret_result,
                             int *ret_status, struct stasis_error *err)
{
    struct stasis_ctl_save save;
    int rc;

    stasis_ctl_save_begin(&save, remote);
    rc = stasis_control_remote_answer(remote, ret_result, ret_status, err);
    stasis_ctl_save_end(&save);
    return rc;
}

static int wait_for_answer(const struct stasis_control_words *words,
                           struct stasis_control_remote *remote, json_t **ret_result,
                           int *ret_status, struct stasis_error *err)
{
    return strcmp(words->method->name, "snapshot") == 0
               ? wait_for_snapshot(remote, ret_result, ret_status, err)
               : stasis_control_remote_answer(remote, ret_result, ret_status, err);
}

/* A VM that is being started has no socket yet, or one that an earlier VM has left behind. */
static int open_remote(const char *path, const struct stasis_control_words *words, bool wait,
                       struct stasis_control_remote *remote, struct stasis_error *err)
{
    const struct timespec step = {.tv_nsec = WAIT_STEP_NS};
    unsigned tries = wait ? WAIT_TRIES : 0;
    int rc;

    while ((rc = stasis_control_remote_open(remote, path, words, err)) != 0 && tries--) {
        if (rc != STASIS_ERR_NOT_FOUND && rc != STASIS_ERR_UNAVAILABLE)
            break;
        nanosleep(&step, NULL);
    }
    return rc;
}

static int ask(const char *path, const struct stasis_control_words *words, bool wait)
{
    const bool people = isatty(STDOUT_FILENO);
    struct stasis_control_remote remote;
    struct stasis_error err;
    json_t *result = NULL;
    int status;

    if (open_remote(path, words, wait, &remote, &err))
        return fail(&err);
    if (wait_for_answer(words, &remote, &result, &status, &err)) {
        fail_there(&err);
    } else if (strcmp(words->method->name, "subscribe") == 0) {
        status = print_events(&remote, people);
    } else {
        print_answer(words, result, people);
        status = stasis_streams_flush(&err) ? fail(&err) : 0;
    }
    json_decref(result);
    stasis_control_remote_close(&remote);
    return status;
}

/* Also where somebody looks for it who has named a socket already. */
static bool asks_for_help(int argc, char *const *argv)
{
    return (argc > 1 && strcmp(argv[1], "--help") == 0) ||
           (argc == 2 && strcmp(argv[1], "help") == 0) ||
           (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "help") == 0));
}

int stasis_ctl_main(int argc, char *const *argv)
{
    struct stasis_control_words words;
    struct stasis_error err;
    bool wait;
    int status;

    if (stasis_streams_fill(&err))
        return fail(&err);
    if (asks_for_help(argc, argv))
        return print_help();
    wait = argc > 1 && strcmp(argv[1], "--wait") == 0;
    argc -= wait;
    argv += wait;
    if (argc < 3) {
        (void)stasis_fail(&err, STASIS_ERR_ARG,
                          "ctl needs a socket and a method: vmm ctl SOCK METHOD; see vmm ctl "
                          "--help");
        return fail(&err);
    }
    if (stasis_control_words_parse(argc - 2, argv + 2, &words, &err))
        return fail(&err);
    status = ask(argv[1], &words, wait);
    stasis_control_words_fini(&words);
    return status;
}
