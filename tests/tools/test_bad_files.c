/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Files that are no whole snapshots, given to every command that reads snapshots.
 */
#include "tests/tools/rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/le.h"

static struct run run;
static struct image good;

static const char *const commands[] = {"info", "json", "verify"};

static void refused(const char *path, int status, const char *text)
{
    for (size_t i = 0; i < 3; i++) {
        run_inspect(&run, NULL, commands[i], path, NULL);
        assert_ended(&run, status, text);
        assert_string_equal(run.out, "");
    }
}

static void refused_bytes(const void *bytes, size_t len, int status, const char *text)
{
    write_file(in_folder("bad"), bytes, len);
    refused(in_folder("bad"), status, text);
}

static void no_file(void **state)
{
    (void)state;
    refused(in_folder("none"), 2, "/none: No such file or directory; check the name");
    refused(in_folder(""), 2, "it is a folder; name a snapshot file");
    refused(in_folder("none/none"), 2, "No such file or directory");
}

static void no_snapshot(void **state)
{
    (void)state;
    refused_bytes(
        "", 0, 3,
        "/bad: not a Stasis snapshot; name a file that vmm has saved, or use another copy");
    refused_bytes("STASIS-RING 1\n", 14, 3, "not a Stasis snapshot");
    refused_bytes("\x89STASIS\n", 8, 3, "truncated");
}

static void truncated_or_longer(void **state)
{
    static const uint64_t ends[] = {STASIS_SECTION_STATE, STASIS_SECTION_INDEX,
                                    STASIS_SECTION_DATA};
    struct image longer = image_copy(&good);

    (void)state;
    refused_bytes(good.bytes, STASIS_HEADER_LEN - 1, 3, "truncated");
    refused_bytes(good.bytes, STASIS_HEADER_LEN, 3, "truncated");
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *section = image_section(&good, (enum stasis_section_type)ends[i]);
        uint64_t end = section_offset(section) + section_length(section);

        refused_bytes(good.bytes, section_offset(section), 3, "truncated");
        refused_bytes(good.bytes, end - 1, 3, "truncated");
    }
    image_resize(&longer, good.len + 1);
    refused_bytes(longer.bytes, longer.len, 3, "longer than");
    image_fini(&longer);
}

/* In each kind of place one bit, found by every command: RAM and padding by verify alone. */
static void flipped_bits(void **state)
{
    uint64_t state_at = section_offset(image_section(&good, STASIS_SECTION_STATE));
    uint64_t index_at = section_offset(image_section(&good, STASIS_SECTION_INDEX));
    const struct {
        uint64_t at;
        const char *text;
    } rows[] = {
        {0, "not a Stasis snapshot"},
        {STASIS_HDR_LENGTH, "the header says it has"},
        {STASIS_HDR_VERSION, "the header is damaged (CRC)"},
        {STASIS_HDR_UUID + 3, "the header is damaged (CRC)"},
        {STASIS_HEADER_LEN - 1, "the header is damaged (CRC)"},
        {state_at + 5, "the state section is damaged (CRC)"},
        {index_at + 9, "the index section is damaged (CRC)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        good.bytes[rows[i].at] ^= 4;
        refused_bytes(good.bytes, good.len, 3, rows[i].text);
        good.bytes[rows[i].at] ^= 4;
    }
}

static void from_the_future(void **state)
{
    struct image image = image_copy(&good);

    (void)state;
    stasis_le32_put(image.bytes + STASIS_HDR_VERSION, 99);
    image_reseal(&image);
    refused_bytes(image.bytes, image.len, 4,
                  "format version 99, written by stasis " STASIS_VERSION);
    image_fini(&image);
}

static void of_a_disk(void **state)
{
    struct image image = image_copy(&good);

    (void)state;
    stasis_le64_put(image.bytes + STASIS_HDR_INCOMPATIBLE, STASIS_FEATURE_DISK);
    image_reseal(&image);
    refused_bytes(image.bytes, image.len, 4,
                  "/bad: it holds a disk, not a guest (incompatible feature bit 5), written by "
                  "stasis " STASIS_VERSION "; give it to a guest by vmm --block overlay=FILE\n");
    image_fini(&image);
}

/* There is something of that name, and it cannot be opened. It may be whole: no verdict on its
 * content, and no failure of our own. */
static void unreadable(void **state)
{
    char text[160];

    (void)state;
    assert_int_equal(symlink("loop", in_folder("loop")), 0);
    snprintf(text, sizeof(text),
             "/loop: opening it to read (check its permissions and the disk): %s", strerror(ELOOP));
    refused(in_folder("loop"), 9, text);
}

static int setup(void **state)
{
    struct built built;

    built_machine(&built);
    good = image_of(&built);
    built_fini(&built);
    return setup_folder(state);
}

static int teardown(void **state)
{
    run_fini(&run);
    image_fini(&good);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_file),
        cmocka_unit_test(no_snapshot),
        cmocka_unit_test(truncated_or_longer),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(from_the_future),
        cmocka_unit_test(of_a_disk),
        cmocka_unit_test(unreadable),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
