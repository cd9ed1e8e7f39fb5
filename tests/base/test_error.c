/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/error.h"

static void fail_fills_the_error_and_returns_its_code(void **state)
{
    struct stasis_error err = {STASIS_ERR_IO, EPERM, "old"};

    (void)state;
    assert_int_equal(stasis_fail(&err, STASIS_ERR_RANGE, "%s is %d", "x", 7), STASIS_ERR_RANGE);
    assert_int_equal(err.code, STASIS_ERR_RANGE);
    assert_int_equal(err.os_errno, 0);
    assert_string_equal(err.msg, "x is 7");
}

static void fail_errno_names_the_cause_and_keeps_errno(void **state)
{
    struct stasis_error err;
    char want[128];

    (void)state;
    snprintf(want, sizeof(want), "opening f: %s", strerror(ENOENT));
    errno = ENOENT;
    assert_int_equal(stasis_fail_errno(&err, STASIS_ERR_IO, "opening %s", "f"), STASIS_ERR_IO);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(err.os_errno, ENOENT);
    assert_string_equal(err.msg, want);
}

static void wrap_puts_context_in_front(void **state)
{
    struct stasis_error err;
    int rc = stasis_fail_errno(&err, STASIS_ERR_IO, "inner");

    (void)state;
    stasis_fail(&err, STASIS_ERR_IO, "inner");
    err.os_errno = EIO;
    rc = stasis_wrap(&err, rc, "outer %d", 1);
    assert_int_equal(rc, STASIS_ERR_IO);
    assert_string_equal(err.msg, "outer 1: inner");
    assert_int_equal(err.os_errno, EIO);
}

static void no_error_object_is_fine(void **state)
{
    (void)state;
    assert_int_equal(stasis_fail(NULL, STASIS_ERR_ARG, "%d", 1), STASIS_ERR_ARG);
    assert_int_equal(stasis_fail_errno(NULL, STASIS_ERR_ARG, "%d", 1), STASIS_ERR_ARG);
    assert_int_equal(stasis_wrap(NULL, STASIS_ERR_ARG, "%d", 1), STASIS_ERR_ARG);
}

static void long_messages_are_cut_and_terminated(void **state)
{
    char text[2 * STASIS_ERROR_MSG_MAX];
    struct stasis_error err;

    (void)state;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    errno = ENOENT;
    stasis_fail(&err, STASIS_ERR_IO, "%s", text);
    assert_int_equal(strlen(err.msg), STASIS_ERROR_MSG_MAX - 1);
    stasis_fail_errno(&err, STASIS_ERR_IO, "%s", text);
    assert_int_equal(strlen(err.msg), STASIS_ERROR_MSG_MAX - 1);
    stasis_wrap(&err, STASIS_ERR_IO, "%s", text);
    assert_int_equal(strlen(err.msg), STASIS_ERROR_MSG_MAX - 1);
    stasis_fail(&err, STASIS_ERR_IO, "%s", text);
    stasis_wrap(&err, STASIS_ERR_IO, "context");
    assert_int_equal(strlen(err.msg), STASIS_ERROR_MSG_MAX - 1);
    assert_int_equal(strncmp(err.msg, "context: xxx", 12), 0);
}

/* Numbers and exit statuses are promises. */
static void numbers_are_pinned(void **state)
{
    static const struct {
        int code, number, status;
    } want[] = {
        {STASIS_OK, 0, 0},
        {STASIS_ERR_ARG, -1, 2},
        {STASIS_ERR_NOMEM, -2, 1},
        {STASIS_ERR_IO, -3, 1},
        {STASIS_ERR_WRITE, -4, 7},
        {STASIS_ERR_CORRUPT, -5, 3},
        {STASIS_ERR_VERSION, -6, 4},
        {STASIS_ERR_HOST, -7, 4},
        {STASIS_ERR_UNAVAILABLE, -8, 5},
        {STASIS_ERR_GUEST, -9, 6},
        {STASIS_ERR_KVM, -10, 1},
        {STASIS_ERR_NOT_FOUND, -11, 2},
        {STASIS_ERR_EXISTS, -12, 1},
        {STASIS_ERR_RANGE, -13, 1},
        {STASIS_ERR_FULL, -14, 1},
        {STASIS_ERR_CANCELLED, -15, 1},
        {STASIS_ERR_INTERNAL, -16, 1},
        {STASIS_ERR_NO_SNAPSHOT, -17, 8},
        {STASIS_ERR_READ, -18, 9},
        {STASIS_ERR_TIMEOUT, -19, 7},
        {STASIS_ERR_STATE, -20, 2},
        {STASIS_ERR_GUEST_ACCESS, -21, 10},
        {STASIS_ERR_SANDBOX, -22, 12},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_int_equal(want[i].code, want[i].number);
        assert_int_equal(stasis_err_exit_status(want[i].code), want[i].status);
        assert_string_not_equal(stasis_err_str(want[i].code), "unknown error");
    }
    assert_string_equal(stasis_err_str(0), "success");
}

static void every_code_has_its_own_text(void **state)
{
    static const int codes[] = {
#define STASIS_ERROR(name, number, status, text) STASIS_ERR_##name,
#include "stasis/errors.def"
#undef STASIS_ERROR
    };

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        assert_int_equal(codes[i], -(int)(i + 1)); /* dense */
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(stasis_err_str(codes[i]), stasis_err_str(codes[j]));
    }
}

static void unknown_codes_have_an_answer(void **state)
{
    (void)state;
    assert_string_equal(stasis_err_str(1), "unknown error");
    assert_string_equal(stasis_err_str(-9999), "unknown error");
    assert_string_equal(stasis_err_name(-9999), "UNKNOWN");
    assert_string_equal(stasis_err_name(0), "UNKNOWN");
    assert_string_equal(stasis_err_name(STASIS_ERR_NOT_FOUND), "NOT_FOUND");
    assert_int_equal(stasis_err_exit_status(-9999), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_fills_the_error_and_returns_its_code),
        cmocka_unit_test(fail_errno_names_the_cause_and_keeps_errno),
        cmocka_unit_test(wrap_puts_context_in_front),
        cmocka_unit_test(no_error_object_is_fine),
        cmocka_unit_test(long_messages_are_cut_and_terminated),
        cmocka_unit_test(numbers_are_pinned),
        cmocka_unit_test(every_code_has_its_own_text),
        cmocka_unit_test(unknown_codes_have_an_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
