/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Overlays when memory runs out: each allocation of a whole life fails once. That is an error,
 * nothing is left behind, and what was flushed is there.
 */
#include "tests/state-ser/snap/fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stasis/overlay.h"
#include "state-ser/snap/overlay.h"
#include "tests/state-ser/snap/crash_alloc.h"

#define PAGE  4096u
#define PAGES 300u  /* more than a group of the map has */
#define MANY  5000u /* more than the first bits for places have */

static char folder[] = "/tmp/stasis-test-XXXXXX";
static char path[64];

/* The disk keeps no power here. */
int __wrap_stasis_io_sync(int fd);
int __wrap_stasis_io_datasync(int fd);

int __wrap_stasis_io_sync(int fd)
{
    (void)fd;
    return 0;
}

int __wrap_stasis_io_datasync(int fd)
{
    (void)fd;
    return 0;
}

/* What the C library allocates itself: by malloc(), so that it counts. */
__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **ret_text, const char *format, ...);
__attribute__((format(printf, 3, 4))) int __wrap___asprintf_chk(char **ret_text, int flag,
                                                                const char *format, ...);
char *__wrap_strndup(const char *text, size_t len);

char *__wrap_strndup(const char *text, size_t len)
{
    char *copy = malloc(len + 1);

    if (copy)
        snprintf(copy, len + 1, "%s", text);
    return copy;
}

__attribute__((format(printf, 2, 0))) static int print(char **ret_text, const char *format,
                                                       va_list args)
{
    char text[512];
    int len = vsnprintf(text, sizeof(text), format, args);

    assert_in_range(len, 0, sizeof(text) - 1);
    *ret_text = strndup(text, (size_t)len);
    return *ret_text ? len : -1;
}

int __wrap_asprintf(char **ret_text, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = print(ret_text, format, args);
    va_end(args);
    return len;
}

int __wrap___asprintf_chk(char **ret_text, int flag, const char *format, ...)
{
    va_list args;
    int len;

    (void)flag;
    va_start(args, format);
    len = print(ret_text, format, args);
    va_end(args);
    return len;
}

/* ---- the guest ---- */

static bool read_base(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    (void)ctx;
    (void)offset;
    memset(bytes, 0x11, len);
    return true;
}

static const struct stasis_overlay_base base = {
    .size = sizeof(base), .bytes = PAGES * PAGE, .read = read_base};

static int write_page(struct stasis_overlay *overlay, unsigned page, uint8_t value,
                      struct stasis_error *err)
{
    uint8_t bytes[PAGE - 512]; /* a part, so that the rest comes from below */

    memset(bytes, value, sizeof(bytes));
    return stasis_overlay_write(overlay, (uint64_t)page * PAGE, bytes, sizeof(bytes), err);
}

/* Page 1 before the first flush, page 290 before sealing, page 2 after it; page 3 becomes zero. */
static int use(struct stasis_overlay *overlay, struct stasis_error *err)
{
    uint8_t root[STASIS_OVERLAY_ROOT_SIZE];
    bool has_root;
    int rc = write_page(overlay, 1, 0x22, err);

    if (!rc)
        rc = stasis_overlay_flush(overlay, err);
    if (!rc)
        rc = write_page(overlay, 290, 0x33, err);
    if (!rc)
        rc = stasis_overlay_seal(overlay, STASIS_OVERLAY_DIGESTS, root, &has_root, err);
    if (!rc)
        rc = write_page(overlay, 2, 0x44, err);
    if (!rc)
        rc = stasis_overlay_zero(overlay, 3 * PAGE, PAGE, err);
    return rc ? rc : stasis_overlay_finish(overlay, err);
}

static int live(struct stasis_error *err)
{
    struct stasis_overlay *overlay = NULL;
    int rc = stasis_overlay_open(path, NULL, &base, &overlay, err);

    if (!rc)
        rc = use(overlay, err);
    stasis_overlay_free(overlay);
    return rc;
}

static bool is_not_beyond(void *ctx, uint64_t done, uint64_t total)
{
    *(bool *)ctx = done == total;
    return done <= total;
}

/* Looks at it, from its file down to the base. */
static int look(struct stasis_error *err)
{
    const struct stasis_overlay_look with_base = {.size = sizeof(with_base), .base = &base};
    struct stasis_overlay *overlay = NULL;
    uint64_t stray = 0;
    bool done = false;
    int rc = stasis_overlay_open_to_read(path, NULL, &with_base, &overlay, err);

    if (!rc)
        rc = stasis_overlay_verify(overlay, is_not_beyond, &done, &stray, err);
    if (!rc)
        assert_true(done);
    stasis_overlay_free(overlay);
    return rc;
}

/* ---- what is left ---- */

static void empty_folder(void)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    char name[400];

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        snprintf(name, sizeof(name), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(name);
    }
    closedir(dir);
}

static uint8_t byte_at(struct stasis_overlay *overlay, unsigned page)
{
    uint8_t byte = 0;
    struct stasis_error err;

    if (stasis_overlay_read(overlay, (uint64_t)page * PAGE, &byte, 1, &err))
        fail_msg("page %u: %s", page, err.msg);
    return byte;
}

/* It opens. Each page is as it was written or as before, and a later one tells of those before. */
static void assert_sound(bool is_whole)
{
    struct stasis_overlay *overlay = NULL;
    struct stasis_error err;
    uint8_t pages[4];

    if (stasis_overlay_open(path, NULL, &base, &overlay, &err))
        fail_msg("%s", err.msg);
    pages[0] = byte_at(overlay, 1);
    pages[1] = byte_at(overlay, 290);
    pages[2] = byte_at(overlay, 2);
    pages[3] = byte_at(overlay, 3);
    stasis_overlay_free(overlay);
    assert_true(pages[0] == 0x22 || (pages[0] == 0x11 && pages[1] == 0x11));
    assert_true(pages[1] == 0x33 || (pages[1] == 0x11 && pages[2] == 0x11));
    assert_true(pages[2] == 0x44 || (pages[2] == 0x11 && pages[3] == 0x11));
    assert_int_equal(pages[3], pages[2] == 0x44 ? 0 : 0x11);
    if (is_whole)
        assert_int_equal(pages[2], 0x44);
}

/* Once for each allocation of the deed. How many there were. */
static unsigned do_with_each(int (*deed)(struct stasis_error *err), bool is_life)
{
    unsigned files = open_files(), number = 1;
    long living = crash_alloc_living();
    bool failed;

    do {
        struct stasis_error err = {.code = 0};
        int rc;

        if (is_life)
            empty_folder();
        crash_alloc_fail_at(number++);
        rc = deed(&err);
        failed = crash_alloc_failed();
        if (rc != (failed ? STASIS_ERR_NOMEM : 0) || rc != (int)err.code)
            fail_msg("allocation %u: %d: %s", number - 1, rc, err.msg);
        assert_int_equal(crash_alloc_living(), living);
        assert_int_equal(open_files(), files);
        assert_sound(!is_life || !rc);
    } while (failed);
    return number - 2;
}

static void a_life_without_memory_ends_in_order(void **state)
{
    (void)state;
    assert_in_range(do_with_each(live, true), 20, 1000);
}

static int try(struct stasis_error *err)
{
    struct stasis_overlay *overlay = NULL;
    int rc = stasis_overlay_try(path, NULL, &base, &overlay, err);

    stasis_overlay_free(overlay);
    return rc;
}

static void a_look_without_memory_changes_nothing(void **state)
{
    struct stasis_error err;

    (void)state;
    empty_folder();
    assert_int_equal(live(&err), 0);
    assert_in_range(do_with_each(try, false), 5, 1000);
    assert_in_range(do_with_each(look, false), 5, 1000);
}

/* More pages than the file has places in its first bits: these grow, or nothing is written. */
static void a_large_write_without_memory_writes_nothing(void **state)
{
    static uint8_t bytes[MANY * PAGE];
    struct stasis_overlay_base wide = base;
    struct stasis_overlay *overlay = NULL;
    struct stasis_error err;
    unsigned number = 1;
    bool failed;

    (void)state;
    wide.bytes = sizeof(bytes);
    memset(bytes, 0x55, sizeof(bytes));
    do {
        int rc;

        empty_folder();
        assert_int_equal(stasis_overlay_open(path, NULL, &wide, &overlay, &err), 0);
        crash_alloc_fail_at(number++);
        rc = stasis_overlay_write(overlay, 0, bytes, sizeof(bytes), &err);
        failed = crash_alloc_failed();
        assert_int_equal(rc, failed ? STASIS_ERR_NOMEM : 0);
        assert_int_equal(stasis_overlay_finish(overlay, &err), 0);
        stasis_overlay_free(overlay);
        assert_int_equal(stasis_overlay_open(path, NULL, &wide, &overlay, &err), 0);
        assert_int_equal(byte_at(overlay, 0), failed ? 0x11 : 0x55);
        stasis_overlay_free(overlay);
    } while (failed);
    assert_in_range(number, MANY / STASIS_LEAF_PAGES + 4, 100); /* leaves, and two for the bits */
}

/* Its base is no disk: before anything is allocated. */
static void a_base_that_is_none_is_refused_by_each(void **state)
{
    struct stasis_overlay_base odd[] = {base, base, base, base};
    struct stasis_overlay *overlay = NULL;
    struct stasis_error err;

    (void)state;
    odd[0].size--;
    odd[1].bytes = 0;
    odd[2].bytes++;
    odd[3].bytes = STASIS_RAM_MAX + 512;
    for (unsigned i = 0; i < 4; i++) {
        const struct stasis_overlay_look with_base = {.size = sizeof(with_base), .base = &odd[i]};

        assert_int_equal(stasis_overlay_open(path, NULL, &odd[i], &overlay, &err), STASIS_ERR_ARG);
        assert_int_equal(stasis_overlay_try(path, NULL, &odd[i], &overlay, &err), STASIS_ERR_ARG);
        assert_int_equal(stasis_overlay_open_to_read(path, NULL, &with_base, &overlay, &err),
                         STASIS_ERR_ARG);
        assert_null(overlay);
    }
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/disk", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    empty_folder();
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_without_memory_ends_in_order),
        cmocka_unit_test(a_look_without_memory_changes_nothing),
        cmocka_unit_test(a_large_write_without_memory_writes_nothing),
        cmocka_unit_test(a_base_that_is_none_is_refused_by_each),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
