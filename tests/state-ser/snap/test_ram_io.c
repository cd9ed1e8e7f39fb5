/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Pages put in place where some are already.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <string.h>
#include <unistd.h>

#include "state-ser/snap/ram_io.h"

#define PAGE   4096u
#define PAGES  16u
#define LENGTH ((size_t)PAGE * PAGES)

struct place {
    struct stasis_uffd uffd;
    uint8_t *host;
    uint8_t *from; /* page n is full of n + 1 */
};

static void place_init(struct place *place)
{
    assert_int_equal(stasis_uffd_open(&place->uffd), 0);
    place->host = stasis_ram_io_scratch(LENGTH);
    place->from = stasis_ram_io_scratch(LENGTH);
    assert_non_null(place->host);
    assert_non_null(place->from);
    for (unsigned n = 0; n < PAGES; n++)
        memset(place->from + (size_t)n * PAGE, (int)n + 1, PAGE);
    assert_int_equal(stasis_uffd_watch(&place->uffd, place->host, LENGTH), 0);
}

static void place_fini(struct place *place)
{
    stasis_uffd_close(&place->uffd);
    stasis_ram_io_scratch_free(place->host, LENGTH);
    stasis_ram_io_scratch_free(place->from, LENGTH);
}

/* What has not come reads as zero, where it would be waited for. */
static void unwatch(const struct place *place)
{
    assert_int_equal(stasis_uffd_unwatch(&place->uffd, place->host, LENGTH), 0);
}

static void memory_is_left_alone_or_that_fails(void **state)
{
    struct place place;

    (void)state;
    if (!has_lazy())
        skip();
    place_init(&place);
    assert_int_not_equal(stasis_uffd_unwatch(&place.uffd, place.host + 1, PAGE), 0);
    assert_int_equal(stasis_uffd_unwatch(&place.uffd, place.host, LENGTH), 0);
    assert_int_equal(place.host[0], 0); /* served by the kernel, which nobody waits for */
    place_fini(&place);
}

/* Another thread's page in the middle, first or last: it stays, and all others come. */
static void pages_that_are_there_are_passed_over(void **state)
{
    static const unsigned taken[] = {0, 5, PAGES - 1};

    (void)state;
    if (!has_lazy())
        skip();
    for (unsigned i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        struct place place;
        uint8_t *middle, own[PAGE];

        place_init(&place);
        middle = place.host + (size_t)taken[i] * PAGE;
        memset(own, 0xee, sizeof(own));
        assert_int_equal(stasis_uffd_copy(&place.uffd, middle, own, PAGE), 0);
        assert_int_equal(stasis_uffd_copy(&place.uffd, place.host, place.from, LENGTH), 0);
        unwatch(&place);
        assert_memory_equal(middle, own, PAGE);
        for (unsigned n = 0; n < PAGES; n++)
            if (n != taken[i])
                assert_memory_equal(place.host + (size_t)n * PAGE, place.from + (size_t)n * PAGE,
                                    PAGE);
        place_fini(&place);
    }
}

static void zeros_pass_over_them_too(void **state)
{
    struct place place;

    (void)state;
    if (!has_lazy())
        skip();
    place_init(&place);
    assert_int_equal(stasis_uffd_copy(&place.uffd, place.host + PAGE, place.from, PAGE), 0);
    assert_int_equal(stasis_uffd_copy(&place.uffd, place.host, NULL, LENGTH), 0);
    unwatch(&place);
    for (unsigned n = 0; n < PAGES; n++)
        assert_int_equal(place.host[(size_t)n * PAGE], n == 1 ? 1 : 0);
    place_fini(&place);
}

/* Pages that were never written count as moved, and are zero behind it. */
static void what_is_moved_may_have_holes(void **state)
{
    struct place place;

    (void)state;
    if (!has_lazy())
        skip();
    place_init(&place);
    if (!place.uffd.can_move) {
        place_fini(&place);
        skip();
    }
    stasis_ram_io_scratch_zero(place.from + 3 * (size_t)PAGE, PAGE);
    assert_int_equal(stasis_uffd_move(&place.uffd, place.host, place.from, LENGTH), LENGTH);
    unwatch(&place);
    for (unsigned n = 0; n < PAGES; n++) {
        assert_int_equal(place.host[(size_t)n * PAGE], n == 3 ? 0 : n + 1);
        assert_int_equal(place.from[(size_t)n * PAGE], 0); /* it has left there */
    }
    place_fini(&place);
}

/* What is there is not replaced, and how far it came is said. */
static void a_move_ends_at_a_page_that_is_there(void **state)
{
    struct place place;

    (void)state;
    if (!has_lazy())
        skip();
    place_init(&place);
    if (!place.uffd.can_move) {
        place_fini(&place);
        skip();
    }
    assert_int_equal(stasis_uffd_copy(&place.uffd, place.host + 5 * (size_t)PAGE, place.from, PAGE),
                     0);
    assert_int_equal(stasis_uffd_move(&place.uffd, place.host, place.from, LENGTH), 5 * PAGE);
    assert_int_equal(stasis_uffd_move(&place.uffd, place.host + 5 * (size_t)PAGE, place.from, PAGE),
                     0);
    place.uffd.can_move = false;
    assert_int_equal(stasis_uffd_move(&place.uffd, place.host + 6 * (size_t)PAGE, place.from, PAGE),
                     0);
    place_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_left_alone_or_that_fails),
        cmocka_unit_test(pages_that_are_there_are_passed_over),
        cmocka_unit_test(zeros_pass_over_them_too),
        cmocka_unit_test(what_is_moved_may_have_holes),
        cmocka_unit_test(a_move_ends_at_a_page_that_is_there),
    };

    alarm(300); /* a page that never comes is waited for */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
