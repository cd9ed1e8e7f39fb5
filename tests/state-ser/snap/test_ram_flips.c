/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every bit of a raw chunk, flipped: it is never loaded. Where each page is loaded by itself, on
 * first use, a bit of every byte is flipped.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <signal.h>
#include <unistd.h>

static void every_flip_is_found_before_use(void **state)
{
    bool lazy = has_poison();
    struct stasis_error err;
    struct built built;
    struct image image;
    struct rig rig;
    size_t start;
    int fd;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 4096);
    fill_random(built.ram[0], 4096, 1);
    image = image_of(&built);
    fd = image_fd(&image);
    start = chunk_offset(fd, 0);
    for (size_t at = start; at < start + 4096; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            const struct stasis_ram_opts copy = {.mode = STASIS_RAM_COPY, .threads = 1};

            flip_bit(fd, at, bit);
            assert_int_equal(rig_try(&rig, fd, copy, &err), STASIS_ERR_CORRUPT);
            rig_fini(&rig);
            if (lazy && bit == at % 8) {
                rig_attach(&rig, fd, STASIS_RAM_LAZY, false);
                assert_int_equal(touch(rig.host[0]), SIGBUS);
                assert_int_equal(rig.failures, 1);
                rig_fini(&rig);
            }
            flip_bit(fd, at, bit);
        }
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flip_is_found_before_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
