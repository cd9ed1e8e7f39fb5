/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Lists of reasons, and what becomes of them as one error.
 */
#include "vmm/base/reasons.h"

#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static struct stasis_reasons reasons;
static struct stasis_error err;

static int teardown(void **state)
{
    (void)state;
    stasis_reasons_fini(&reasons);
    memset(&err, 0, sizeof(err));
    return 0;
}

static struct stasis_reason make(enum stasis_err code, const char *kind, const char *what,
                                 const char *object)
{
    struct stasis_reason reason = {.code = code, .kind = kind};

    snprintf(reason.what, sizeof(reason.what), "%s", what);
    snprintf(reason.object, sizeof(reason.object), "%s", object);
    return reason;
}

static void add_listed(const char *what, const char *object)
{
    struct stasis_reason reason = make(STASIS_ERR_HOST, "part", what, object);

    reason.is_listed = true;
    reason.remedy = "buy it";
    stasis_reasons_add(&reasons, &reason);
}

static void assert_message(int code, const char *message)
{
    assert_int_equal(stasis_reasons_fail(&reasons, &err), code);
    assert_int_equal(err.code, code);
    assert_string_equal(err.msg, message);
}

static void no_reason_is_no_error(void **state)
{
    (void)state;
    assert_int_equal(stasis_reasons_fail(&reasons, &err), 0);
    assert_int_equal(err.code, 0);
}

static void the_first_reason_is_the_error(void **state)
{
    struct stasis_reason reason = make(STASIS_ERR_UNAVAILABLE, "disk", "the disk is full", "disk");

    (void)state;
    stasis_reasons_add(&reasons, &reason);
    assert_message(STASIS_ERR_UNAVAILABLE, "the disk is full");
    reason.code = STASIS_ERR_HOST;
    reason.kind = "tape";
    stasis_reasons_add(&reasons, &reason);
    assert_message(STASIS_ERR_UNAVAILABLE, "the disk is full (and 1 other reason)");
    reason.kind = "card";
    stasis_reasons_add(&reasons, &reason);
    assert_message(STASIS_ERR_UNAVAILABLE, "the disk is full (and 2 other reasons)");
}

/* Wherever they are in the list. */
static void a_list_is_one_message(void **state)
{
    struct stasis_reason other = make(STASIS_ERR_UNAVAILABLE, "disk", "the disk is full", "disk");

    (void)state;
    add_listed("there is no", "wheel");
    assert_message(STASIS_ERR_HOST, "there is no wheel; buy it");
    stasis_reasons_add(&reasons, &other);
    add_listed("there is no", "door");
    add_listed("too small:", "door");
    assert_message(STASIS_ERR_HOST, "there is no wheel, door; buy it (and 2 other reasons)");
}

static void long_lists_are_counted(void **state)
{
    char name[16];

    (void)state;
    for (unsigned i = 0; i < 18; i++) {
        snprintf(name, sizeof(name), "%u", i);
        add_listed("there is no", name);
    }
    assert_message(STASIS_ERR_HOST, "there is no 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, "
                                    "15 and 2 more; buy it");
}

static void a_reason_is_there_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        add_listed("there is no", "wheel");
    assert_int_equal(reasons.count, 1);
    assert_int_equal(reasons.added, 3);
    add_listed("too small:", "wheel");
    assert_int_equal(reasons.count, 2);
}

static void what_has_no_room_is_counted(void **state)
{
    char name[16];

    (void)state;
    for (unsigned i = 0; i < STASIS_REASONS_MAX + 5; i++) {
        snprintf(name, sizeof(name), "%u", i);
        add_listed("there is no", name);
    }
    assert_int_equal(reasons.count, STASIS_REASONS_MAX);
    assert_int_equal(reasons.more, 5);
    assert_int_equal(stasis_reasons_fail(&reasons, &err), STASIS_ERR_HOST);
    assert_non_null(strstr(err.msg, " and 240 more; buy it (and 5 other reasons)"));
}

static void a_message_of_its_own(void **state)
{
    const struct stasis_error cause = {.code = STASIS_ERR_KVM, .msg = "KVM_RUN: no luck"};
    char text[STASIS_ERROR_MSG_MAX];

    (void)state;
    stasis_reasons_add_error(&reasons, "state", "cpu0", &cause);
    add_listed("there is no", "wheel");
    stasis_reason_message(&reasons.list[0], text);
    assert_string_equal(text, "KVM_RUN: no luck");
    assert_string_equal(reasons.list[0].object, "cpu0");
    stasis_reason_message(&reasons.list[1], text);
    assert_string_equal(text, "there is no wheel; buy it");
    assert_int_equal(stasis_reasons_fail(&reasons, &err), STASIS_ERR_KVM);
}

/* What does not fit is cut. */
static void a_message_fits(void **state)
{
    char what[STASIS_ERROR_MSG_MAX];
    struct stasis_reason reason;

    (void)state;
    memset(what, 'x', sizeof(what));
    what[sizeof(what) - 1] = '\0';
    reason = make(STASIS_ERR_HOST, "long", what, "object");
    reason.is_listed = true;
    reason.remedy = "cut it";
    stasis_reasons_add(&reasons, &reason);
    assert_int_equal(stasis_reasons_fail(&reasons, &err), STASIS_ERR_HOST);
    assert_int_equal(strlen(err.msg), STASIS_ERROR_MSG_MAX - 1);
    stasis_reason_message(&reason, what);
    assert_int_equal(strlen(what), STASIS_ERROR_MSG_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(no_reason_is_no_error, teardown),
        cmocka_unit_test_teardown(the_first_reason_is_the_error, teardown),
        cmocka_unit_test_teardown(a_list_is_one_message, teardown),
        cmocka_unit_test_teardown(long_lists_are_counted, teardown),
        cmocka_unit_test_teardown(a_reason_is_there_once, teardown),
        cmocka_unit_test_teardown(what_has_no_room_is_counted, teardown),
        cmocka_unit_test_teardown(a_message_of_its_own, teardown),
        cmocka_unit_test_teardown(a_message_fits, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
