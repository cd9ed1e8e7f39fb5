/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Through pipes, both ways, whole and broken.
 */
#include "tests/state-ser/snap/fixture.h"

#include "state-ser/snap/index.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state-ser/snap/le.h"

static void through_a_pipe(const struct image *image, const struct built *built)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    int child;
    int fd = image_pipe(image, &child);

    if (stasis_snap_open_fd(fd, "pipe", NULL, &snap, &err))
        fail_msg("%s", err.msg);
    close(fd);
    child_wait(child);
    assert_same_ram(snap, built, 2);
    assert_int_equal(stasis_snap_verify(snap, 2, NULL, NULL, &err), 0);
    stasis_snap_free(snap);
}

static void both_layouts_come_through_a_pipe(void **state)
{
    struct image (*const saves[])(struct built *) = {image_of, image_of_stream};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct built built;
        struct image image;

        built_large(&built);
        image = saves[i](&built);
        through_a_pipe(&image, &built);
        image_fini(&image);
        built_fini(&built);
    }
}

static void a_fifo_can_be_opened_by_name(void **state)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    struct built built;
    char path[128];
    pid_t child;

    (void)state;
    snprintf(path, sizeof(path), "%s/fifo", folder_make());
    assert_int_equal(mkfifo(path, 0600), 0);
    built_small(&built);
    child = fork();
    if (child == 0) {
        int fd = open(path, O_WRONLY);

        _exit(stasis_snap_save_stream(built.snap, fd, NULL, NULL, &err) ? 1 : 0);
    }
    if (stasis_snap_open(path, NULL, &snap, &err))
        fail_msg("%s", err.msg);
    child_wait(child);
    assert_true(stasis_snap_info(snap)->streamed);
    assert_same_ram(snap, &built, 1);
    stasis_snap_free(snap);
    built_fini(&built);
    folder_remove();
}

static void expect_refused(const struct image *image, size_t cut)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    int child;
    int fd = image_pipe(image, &child);
    int rc = stasis_snap_open_fd(fd, "pipe", NULL, &snap, &err);

    close(fd);
    child_wait(child);
    if (rc != STASIS_ERR_CORRUPT)
        fail_msg("%zu bytes: %d %s", cut, rc, err.msg);
    assert_null(snap);
}

static void broken_streams_are_refused(void **state)
{
    struct image (*const saves[])(struct built *) = {image_of, image_of_stream};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct built built;
        struct image whole;
        struct image image;

        built_small(&built);
        whole = saves[i](&built);
        for (size_t len = 0; len < whole.len; len += 4096) {
            image = image_copy(&whole);
            image_resize(&image, len);
            expect_refused(&image, len);
            image_fini(&image);
        }
        image = image_copy(&whole);
        image_resize(&image, whole.len + 1);
        expect_refused(&image, whole.len + 1);
        image_fini(&image);
        image_fini(&whole);
        built_fini(&built);
    }
}

/* A sender that never stops is cut off by what its own header allows. */
static void an_endless_stream_is_cut_off(void **state)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct built built;
    struct image image;
    int ends[2];
    pid_t child;

    (void)state;
    built_small(&built);
    image = image_of_stream(&built);
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        static uint8_t noise[65536];

        close(ends[0]);
        if (write(ends[1], image.bytes, image.len) < 0)
            _exit(1);
        while (write(ends[1], noise, sizeof(noise)) > 0)
            ;
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(stasis_snap_open_fd(ends[0], "pipe", NULL, &snap, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "longer than its header allows"));
    close(ends[0]);
    child_wait(child);
    image_fini(&image);
    built_fini(&built);
}

/* Only the trailer is believed, and only if it fits its header. */
static void header_and_trailer_must_fit(void **state)
{
    static const size_t same[] = {STASIS_HDR_ARCH, STASIS_HDR_UUID, STASIS_HDR_CREATED,
                                  STASIS_HDR_RAM_BYTES, STASIS_HDR_PRODUCER + 7};
    static const size_t unknown[] = {STASIS_HDR_FILE_LEN, STASIS_HDR_STORED_BYTES,
                                     STASIS_HDR_SECTION_COUNT};
    struct stasis_error err = {0};
    struct built built;
    struct image whole;

    (void)state;
    built_small(&built);
    whole = image_of_stream(&built);
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        struct image image = image_copy(&whole);

        image.bytes[same[i]] ^= 1;
        image_reseal(&image);
        assert_int_equal(check_image(&image, &err), STASIS_ERR_CORRUPT);
        assert_non_null(strstr(err.msg, "belong to different snapshots"));
        image_fini(&image);
    }
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        struct image image = image_copy(&whole);

        image.bytes[unknown[i]] ^= 1;
        image_reseal(&image);
        assert_int_equal(check_image(&image, &err), STASIS_ERR_CORRUPT);
        assert_non_null(strstr(err.msg, "only its trailer can know"));
        image_fini(&image);
    }
    image_fini(&whole);
    built_fini(&built);
}

/* Byte by byte: what the trailer alone can know, the table of sections and the CRC. */
static bool may_differ(size_t at)
{
    return (at >= STASIS_HDR_CRC && at < STASIS_HDR_CRC + 4) ||
           (at >= STASIS_HDR_FILE_LEN && at < STASIS_HDR_FILE_LEN + 8) ||
           (at >= STASIS_HDR_STORED_BYTES && at < STASIS_HDR_STORED_BYTES + 8) ||
           (at >= STASIS_HDR_SECTION_COUNT && at < STASIS_HDR_SECTION_COUNT + 4) ||
           at >= STASIS_HDR_SECTIONS;
}

/* Reserved bytes are not checked where a compatible feature may have given them a meaning; yet they
 * must be the same in header and trailer. */
static void header_and_trailer_must_fit_byte_by_byte(void **state)
{
    struct built built;
    struct image whole;

    (void)state;
    built_small(&built);
    whole = image_of_stream(&built);
    whole.bytes[STASIS_HDR_COMPATIBLE + 7] |= 0x80;
    whole.bytes[image_header(&whole) + STASIS_HDR_COMPATIBLE + 7] |= 0x80;
    image_reseal(&whole);
    assert_int_equal(check_image(&whole, NULL), 0);
    for (size_t at = 0; at < STASIS_HEADER_LEN; at++) {
        struct image image;
        struct stasis_error err = {0};

        if (at == STASIS_HDR_INCOMPATIBLE) /* then it is no stream */
            continue;
        image = image_copy(&whole);
        image.bytes[at] ^= 1;
        if (at < STASIS_HDR_CRC || at >= STASIS_HDR_CRC + 4)
            image_reseal(&image);
        if (!may_differ(at) && !check_image(&image, &err))
            fail_msg("byte %zu of the leading header is not compared", at);
        if (at >= STASIS_HDR_PARENT && !may_differ(at) && at != STASIS_HDR_SECTION_SIZE &&
            at != STASIS_HDR_SECTION_SIZE + 1 && at != STASIS_HDR_SECTION_SIZE + 2 &&
            at != STASIS_HDR_SECTION_SIZE + 3 &&
            (at < STASIS_HDR_ROOT || at >= STASIS_HDR_PARENT_ROOT)) /* the trailer's alone */
            assert_non_null(strstr(err.msg, "belong to different snapshots"));
        image_fini(&image);
    }
    image_fini(&whole);
    built_fini(&built);
}

static int open_status(int fd)
{
    struct stasis_snap *snap = NULL;
    int rc = stasis_snap_open_fd(fd, "test", NULL, &snap, NULL);

    stasis_snap_free(snap);
    close(fd);
    return rc;
}

/* The same bytes, the same verdict: as a file, and out of a pipe. */
static void a_file_and_a_pipe_have_one_bound(void **state)
{
    struct built built;
    struct image whole;
    size_t most, len[3];

    (void)state;
    built_small(&built);
    whole = image_of(&built);
    most = stasis_file_len_max(stasis_snap_info(built.snap)->ram_bytes,
                               stasis_index_form_of(stasis_snap_info(built.snap)));
    len[0] = (33u << 20) - whole.len;
    len[1] = most - whole.len;
    len[2] = len[1] + 1;
    for (size_t i = 0; i < 3; i++) {
        struct image image = image_copy(&whole);
        int rc = i < 2 ? 0 : STASIS_ERR_CORRUPT;
        int child, fd;

        image_add_section(&image, 77, len[i]);
        assert_int_equal(open_status(image_fd(&image)), rc);
        fd = image_pipe(&image, &child);
        assert_int_equal(open_status(fd), rc);
        child_wait(child);
        image_fini(&image);
    }
    image_fini(&whole);
    built_fini(&built);
}

static void a_stream_that_fails_is_a_write_error(void **state)
{
    struct stasis_error err = {0};
    struct built built;
    int fd = open("/dev/full", O_WRONLY);
    int ends[2];

    (void)state;
    built_small(&built);
    assert_int_equal(stasis_snap_save_stream(built.snap, fd, NULL, NULL, &err), STASIS_ERR_WRITE);
    assert_non_null(strstr(err.msg, "No space left"));
    close(fd);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(stasis_snap_save_stream(built.snap, ends[1], NULL, NULL, &err),
                     STASIS_ERR_WRITE);
    assert_non_null(strstr(err.msg, "Broken pipe"));
    close(ends[1]);
    signal(SIGPIPE, SIG_DFL);
    built_fini(&built);
}

static void a_useless_tmpdir_is_an_error(void **state)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct built built;
    struct image image;
    int child;
    int fd;

    (void)state;
    built_small(&built);
    image = image_of_stream(&built);
    setenv("TMPDIR", "/nonexistent", 1);
    fd = image_pipe(&image, &child);
    assert_int_equal(stasis_snap_open_fd(fd, "pipe", NULL, &snap, &err), STASIS_ERR_WRITE);
    assert_non_null(strstr(err.msg, "in /nonexistent (set TMPDIR to a folder with room)"));
    setenv("TMPDIR", "", 1); /* not set */
    assert_int_equal(stasis_snap_open_fd(fd, "pipe", NULL, &snap, &err), 0);
    stasis_snap_free(snap);
    close(fd);
    child_wait(child);
    unsetenv("TMPDIR");
    image_fini(&image);
    built_fini(&built);
}

/* ---- progress ---- */

struct seen {
    uint64_t done, total;
    unsigned calls;
    uint64_t cancel_at; /* bytes; 0: never */
};

static bool see(void *ctx, uint64_t done, uint64_t total)
{
    struct seen *seen = ctx;

    assert_true(done >= seen->done);
    assert_true(!seen->total || total == seen->total); /* once it is known */
    assert_true(!total || done <= total);
    *seen = (struct seen){done, total, seen->calls + 1, seen->cancel_at};
    return !seen->cancel_at || done < seen->cancel_at;
}

static void progress_of_a_pipe_counts_its_bytes(void **state)
{
    struct image (*const saves[])(struct built *) = {image_of, image_of_stream};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct seen seen = {0};
        const struct stasis_parse_opts opts = {.size = sizeof(opts), .progress = see, .ctx = &seen};
        struct stasis_snap *snap = NULL;
        struct stasis_error err = {0};
        struct built built;
        struct image image;
        int child, fd;

        built_large(&built);
        image = saves[i](&built);
        fd = image_pipe(&image, &child);
        if (stasis_snap_open_fd(fd, "pipe", &opts, &snap, &err))
            fail_msg("%s", err.msg);
        child_wait(child);
        close(fd);
        assert_int_equal(seen.done, image.len);
        assert_int_equal(seen.total, i ? 0 : image.len); /* a stream does not say */
        assert_true(seen.calls > image.len / STASIS_CHUNK_SIZE);
        stasis_snap_free(snap);
        image_fini(&image);
        built_fini(&built);
    }
}

static void progress_of_a_file_is_not_asked(void **state)
{
    struct seen seen = {0};
    const struct stasis_parse_opts opts = {.size = sizeof(opts), .progress = see, .ctx = &seen};
    struct stasis_snap *snap = NULL;
    struct built built;
    struct image image;
    int fd;

    (void)state;
    built_small(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    assert_int_equal(stasis_snap_open_fd(fd, "file", &opts, &snap, NULL), 0);
    assert_int_equal(seen.calls, 0);
    close(fd);
    stasis_snap_free(snap);
    image_fini(&image);
    built_fini(&built);
}

/* The sender has sent some of it, keeps the pipe open, and is silent. */
static void cancel_is_heard_while_a_pipe_is_silent(void **state)
{
    struct built built;
    struct image image;

    (void)state;
    built_small(&built);
    image = image_of(&built);
    for (size_t len = 1; len < 2 * STASIS_HEADER_LEN; len += STASIS_HEADER_LEN / 2) {
        struct seen seen = {.cancel_at = len};
        const struct stasis_parse_opts opts = {.size = sizeof(opts), .progress = see, .ctx = &seen};
        struct stasis_snap *snap = NULL;
        struct stasis_error err = {0};
        int ends[2];

        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], image.bytes, len), (ssize_t)len);
        assert_int_equal(stasis_snap_open_fd(ends[0], "pipe", &opts, &snap, &err),
                         STASIS_ERR_CANCELLED);
        assert_string_equal(err.msg, "pipe: cancelled");
        assert_null(snap);
        close(ends[0]);
        close(ends[1]);
    }
    image_fini(&image);
    built_fini(&built);
}

/* Before anything of them is used: the pipe is empty, and whoever reads from it waits. */
static void options_of_another_size_are_refused_at_once(void **state)
{
    const struct stasis_parse_opts opts = {.size = sizeof(opts) - 1};
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(stasis_snap_open_fd(ends[0], "pipe", &opts, &snap, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "parse options of"));
    assert_null(snap);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_layouts_come_through_a_pipe),
        cmocka_unit_test(a_fifo_can_be_opened_by_name),
        cmocka_unit_test(broken_streams_are_refused),
        cmocka_unit_test(an_endless_stream_is_cut_off),
        cmocka_unit_test(header_and_trailer_must_fit),
        cmocka_unit_test(header_and_trailer_must_fit_byte_by_byte),
        cmocka_unit_test(a_file_and_a_pipe_have_one_bound),
        cmocka_unit_test(a_stream_that_fails_is_a_write_error),
        cmocka_unit_test(a_useless_tmpdir_is_an_error),
        cmocka_unit_test(progress_of_a_pipe_counts_its_bytes),
        cmocka_unit_test(progress_of_a_file_is_not_asked),
        cmocka_unit_test(cancel_is_heard_while_a_pipe_is_silent),
        cmocka_unit_test(options_of_another_size_are_refused_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
