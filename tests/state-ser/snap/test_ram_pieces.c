/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Pieces of a mapped file that become anonymous memory, how many of them, and when they cannot.
 */
#include "tests/state-ser/snap/discard_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "state-ser/snap/ram_io.h"

static unsigned replaced;
static bool keeps, fails; /* nothing can be discarded; nor replaced */

int __real_stasis_ram_io_discard(uint8_t *host, size_t len);
int __wrap_stasis_ram_io_discard(uint8_t *host, size_t len);
int __wrap_stasis_ram_io_discard(uint8_t *host, size_t len)
{
    return keeps ? -1 : __real_stasis_ram_io_discard(host, len);
}

int __real_stasis_ram_io_replace(uint8_t *host, size_t len);
int __wrap_stasis_ram_io_replace(uint8_t *host, size_t len);
int __wrap_stasis_ram_io_replace(uint8_t *host, size_t len)
{
    replaced++;
    return fails ? -1 : __real_stasis_ram_io_replace(host, len);
}

/* What is anonymous memory already stays what it is. */
static void a_piece_of_a_map_is_replaced_once(void **state)
{
    struct scene scene;
    struct rig rig;

    (void)state;
    scene_init(&scene);
    rig_attach(&rig, scene.fd, STASIS_RAM_MAP, false);
    replaced = 0;
    for (unsigned i = 0; i < 3; i++) {
        take(&rig, &scene.built, 4 * CHUNK, CHUNK);
        take(&rig, &scene.built, MIB + CHUNK, CHUNK); /* zero in the file */
        *host_of(&rig, 4 * CHUNK) = 9;
    }
    assert_int_equal(replaced, 1);
    take(&rig, &scene.built, 4 * CHUNK, CHUNK + PAGE);
    assert_int_equal(replaced, 2);
    assert_same(&rig, &scene.built);
    rig_fini(&rig);
    scene_fini(&scene);
}

/* The kernel, or we, would have too many mappings. */
static void a_map_in_too_many_pieces_is_zeroed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct scene scene;
        struct rig rig;

        scene_init(&scene);
        rig_attach(&rig, scene.fd, STASIS_RAM_MAP, false);
        replaced = 0;
        keeps = true;
        fails = i;
        for (unsigned n = 0; n < 9000; n++)
            take(&rig, &scene.built, 0, PAGE);
        assert_int_equal(replaced, 8192);
        keeps = false;
        take_all(&rig, &scene.built);
        assert_int_equal(replaced, 8192);
        assert_same(&rig, &scene.built);
        fails = false;
        rig_fini(&rig);
        scene_fini(&scene);
    }
}

/* ---- the call ---- */

static unsigned refusals; /* of the next calls */
static bool is_old;       /* the kernel: to it an address that must not be replaced is advice */

void *__real_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    if (is_old && (flags & MAP_FIXED_NOREPLACE) == MAP_FIXED_NOREPLACE)
        flags &= ~MAP_FIXED_NOREPLACE;
    if (!refusals)
        return __real_mmap64(at, len, prot, flags, fd, offset);
    refusals--;
    errno = EAGAIN;
    return MAP_FAILED;
}

/* The kernel removes a mapping, and fails then: the hole is filled. */
static void a_replacement_that_fails_half_way_leaves_no_hole(void **state)
{
    uint8_t *host = stasis_ram_io_small_pages(2 * PAGE);

    (void)state;
    assert_non_null(host);
    memset(host, 3, 2 * PAGE);
    refusals = 2;
    assert_int_equal(__real_stasis_ram_io_replace(host, PAGE), -1);
    refusals = 1;
    assert_int_equal(__real_stasis_ram_io_replace(host, PAGE), -1); /* it is there still */
    assert_int_equal(host[0], 3);
    is_old = true;
    refusals = 1;
    assert_int_equal(__real_stasis_ram_io_replace(host, PAGE), -1);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(host[0], 3);
    is_old = false;
    assert_int_equal(munmap(host, PAGE), 0);
    refusals = 1;
    assert_int_equal(__real_stasis_ram_io_replace(host, PAGE), 0);
    assert_int_equal(host[0], 0);
    assert_int_equal(host[PAGE], 3);
    assert_int_equal(__real_stasis_ram_io_replace(host, 2 * PAGE), 0);
    assert_int_equal(host[PAGE], 0);
    stasis_ram_io_scratch_free(host, 2 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_piece_of_a_map_is_replaced_once),
        cmocka_unit_test(a_map_in_too_many_pieces_is_zeroed),
        cmocka_unit_test(a_replacement_that_fails_half_way_leaves_no_hole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
