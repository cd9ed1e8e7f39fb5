/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Bad chunks and files that go away: nobody sees a byte of them (copy, lazy), or the guest is
 * stopped (map); never zeros, never a hang.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "state-ser/snap/ram_io.h"

static void wait_failed(struct rig *rig, const char *words)
{
    struct stasis_error err = {0};

    assert_int_equal(stasis_ram_wait(rig->ram, &err), STASIS_ERR_CORRUPT);
    for (unsigned i = 0; i < 300000 && !rig->failures; i++)
        usleep(1000);
    assert_int_equal(rig->failures, 1);
    assert_int_equal(rig->error.code, STASIS_ERR_CORRUPT);
    if (!strstr(rig->error.msg, words))
        fail_msg("%s", rig->error.msg);
}

/* ---- one bad chunk of many ---- */

/* Chunk 2 is bad: lazily nothing of it is seen, and the others still come. */
static void a_bad_chunk_is_never_seen(void **state)
{
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    if (!has_poison())
        return;
    built_init(&built);
    built_add(&built, 0, 4 * STASIS_CHUNK_SIZE);
    fill_random(built.ram[0], 4 * STASIS_CHUNK_SIZE, 1);
    image = image_of(&built);
    fd = image_fd(&image);
    flip_bit(fd, chunk_offset(fd, 2) + 100, 3);
    rig_attach(&rig, fd, STASIS_RAM_LAZY, false);
    assert_int_equal(touch(rig.host[0]), 0);
    for (size_t page = 0; page < STASIS_CHUNK_SIZE; page += 4096)
        assert_int_equal(touch((uint8_t *)rig.host[0] + 2 * STASIS_CHUNK_SIZE + page), SIGBUS);
    assert_int_equal(touch((uint8_t *)rig.host[0] + 3 * STASIS_CHUNK_SIZE), 0);
    wait_failed(&rig, "chunk 2, guest address 0x20000, file offset ");
    assert_true(rig_metrics(&rig).failed);
    rig_fini(&rig);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

static void the_background_finds_it_too(void **state)
{
    const enum stasis_ram_mode modes[] = {STASIS_RAM_MAP, STASIS_RAM_LAZY};
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    flip_bit(fd, chunk_offset(fd, 17 + 40) + 100, 3); /* in the block that would be a huge page */
    for (size_t m = 0; m < 2; m++) {
        if (modes[m] == STASIS_RAM_LAZY && !has_lazy())
            continue;
        rig_attach(&rig, fd, modes[m], true);
        wait_failed(&rig, "chunk 57, guest address 0x581000, file offset ");
        if (modes[m] == STASIS_RAM_LAZY && has_poison())
            assert_int_equal(touch((uint8_t *)rig.host[1] + 40 * STASIS_CHUNK_SIZE), SIGBUS);
        assert_int_equal(rig.failures, 1);
        rig_fini(&rig);
    }
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

/* ---- files that go away ---- */

static void a_shortened_file_is_noticed(void **state)
{
    struct stasis_error err = {0};
    struct built built;
    struct image image;
    struct rig rig;
    size_t cut;
    int fd;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 4 * STASIS_CHUNK_SIZE);
    fill_random(built.ram[0], 4 * STASIS_CHUNK_SIZE, 1);
    image = image_of(&built);
    fd = image_fd(&image);
    cut = chunk_offset(fd, 2);
    rig_attach(&rig, fd, STASIS_RAM_MAP, false);
    assert_int_equal(ftruncate(fd, (off_t)cut), 0);
    assert_int_equal(touch((uint8_t *)rig.host[0] + STASIS_CHUNK_SIZE), 0);
    assert_int_equal(touch((uint8_t *)rig.host[0] + 3 * STASIS_CHUNK_SIZE), SIGBUS);
    assert_true(stasis_ram_describe_failure(
        rig.ram, (uint8_t *)rig.host[0] + 3 * STASIS_CHUNK_SIZE + 9, &err));
    assert_int_equal(err.code, STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "test: chunk 3, guest address 0x30000, file offset "));
    assert_non_null(strstr(err.msg, "the file has become shorter"));
    assert_true(stasis_ram_describe_failure(rig.ram, NULL, &err));
    assert_non_null(strstr(err.msg, "chunk 2,"));
    assert_false(stasis_ram_describe_failure(rig.ram, &rig, &err));
    assert_false(
        stasis_ram_describe_failure(rig.ram, (uint8_t *)rig.host[0] + 4 * STASIS_CHUNK_SIZE, &err));
    rig_fini(&rig);

    if (has_poison()) {
        assert_int_equal(pwrite(fd, image.bytes, image.len, 0), (ssize_t)image.len);
        rig_attach(&rig, fd, STASIS_RAM_LAZY, false);
        assert_int_equal(ftruncate(fd, (off_t)cut), 0);
        assert_int_equal(touch((uint8_t *)rig.host[0] + STASIS_CHUNK_SIZE), 0);
        assert_int_equal(touch((uint8_t *)rig.host[0] + 3 * STASIS_CHUNK_SIZE), SIGBUS);
        wait_failed(&rig, "chunk 3, guest address 0x30000");
        assert_non_null(strstr(rig.error.msg, "the file has become shorter"));
        rig_fini(&rig);
    }
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

/* Between chunks that share a mapping lie bytes that the guest would see: they count too. */
static void bytes_between_mapped_runs_are_verified(void **state)
{
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 8 << 20);
    fill_random(built.ram[0], 3 << 20, 1);
    fill_random(built.ram[0] + (4 << 20), 4 << 20, 2);
    image = image_of(&built);
    fd = image_fd(&image);
    rig_attach(&rig, fd, STASIS_RAM_MAP, true);
    rig_wait(&rig);
    assert_int_equal(rig_metrics(&rig).ranges, 1);
    assert_same(&rig, &built);
    rig_fini(&rig);
    flip_bit(fd, chunk_offset(fd, 0) + (3 << 20) + STASIS_CHUNK_SIZE + 5, 1);
    rig_attach(&rig, fd, STASIS_RAM_MAP, true);
    wait_failed(&rig, "chunk 49, guest address 0x310000");
    rig_fini(&rig);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

/* ---- the end ---- */

static void memory_not_loaded_is_inaccessible_after_free(void **state)
{
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    if (!has_lazy())
        return;
    built_small(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    rig_attach(&rig, fd, STASIS_RAM_LAZY, false);
    stasis_ram_free(rig.ram);
    rig.ram = NULL;
    assert_int_equal(touch(rig.host[0]), SIGSEGV);
    assert_int_equal(touch(rig.host[1]), SIGSEGV);
    rig_fini(&rig);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_chunk_is_never_seen),
        cmocka_unit_test(the_background_finds_it_too),
        cmocka_unit_test(a_shortened_file_is_noticed),
        cmocka_unit_test(bytes_between_mapped_runs_are_verified),
        cmocka_unit_test(memory_not_loaded_is_inaccessible_after_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
