/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * poll(2) is ours (--wrap), which a signal can interrupt.
 */
#include "vmm/host/terminal_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/host/terminal.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static bool interrupts;

int __real_poll(struct pollfd *fds, nfds_t count, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int ms);

int __wrap_poll(struct pollfd *fds, nfds_t count, int ms)
{
    if (!interrupts)
        return __real_poll(fds, count, ms);
    errno = EINTR;
    return -1;
}

/* ---- escape keys ---- */

static void filters_escape_keys_at_every_split(void **state)
{
    static const struct {
        const char *typed;
        const char *guest;
        enum stasis_keys_command commands[4];
    } cases[] = {
        {"plain text\r", "plain text\r", {0}},
        {"ab\001xcd", "abcd", {STASIS_KEYS_QUIT}},
        {"\001s", "", {STASIS_KEYS_SNAPSHOT}},
        {"\001h\001s", "", {STASIS_KEYS_HELP, STASIS_KEYS_SNAPSHOT}},
        {"\001sa\001c\001s", "a", {STASIS_KEYS_SNAPSHOT, STASIS_KEYS_CANCEL, STASIS_KEYS_SNAPSHOT}},
        {"a\001\001b", "a\001b", {0}},
        {"a\001ab", "a\001b", {0}},
        {"\001\001x", "\001x", {0}},
        {"\001\001\001x", "\001", {STASIS_KEYS_QUIT}},
        {"a\001?b", "ab", {0}},
        {"a\001", "a", {0}},
        {"x\003s\001X", "x\003s", {0}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].typed);

        for (size_t split = 0; split <= len; split++) {
            struct stasis_keys_filter filter = {0};
            struct stasis_keys_queue commands = {0};
            uint8_t bytes[32];
            uint8_t guest[32];
            size_t first;
            size_t second;

            memcpy(bytes, cases[i].typed, len);
            first = stasis_keys_filter(&filter, bytes, split, &commands);
            memcpy(guest, bytes, first);
            second = stasis_keys_filter(&filter, bytes + split, len - split, &commands);
            memcpy(guest + first, bytes + split, second);
            assert_int_equal(first + second, strlen(cases[i].guest));
            assert_memory_equal(guest, cases[i].guest, first + second);
            for (const enum stasis_keys_command *next = cases[i].commands; *next; next++)
                assert_int_equal(stasis_keys_queue_take(&commands), *next);
            assert_int_equal(stasis_keys_queue_take(&commands), STASIS_KEYS_NONE);
        }
    }
}

static void take_freezes(struct stasis_keys_queue *queue, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(stasis_keys_queue_take(queue), STASIS_KEYS_SNAPSHOT);
}

static void queue_loses_no_freeze_and_no_cancel(void **state)
{
    struct stasis_keys_queue queue = {0};

    (void)state;
    assert_false(stasis_keys_queue_remove(&queue, STASIS_KEYS_CANCEL));
    for (int i = 0; i < 1000; i++)
        stasis_keys_queue_put(&queue, STASIS_KEYS_HELP);
    for (int i = 0; i < 1000; i++) {
        stasis_keys_queue_put(&queue, STASIS_KEYS_SNAPSHOT);
        stasis_keys_queue_put(&queue, STASIS_KEYS_CANCEL);
        stasis_keys_queue_put(&queue, STASIS_KEYS_HELP);
    }
    stasis_keys_queue_put(&queue, STASIS_KEYS_SNAPSHOT);
    assert_int_equal(stasis_keys_queue_take(&queue), STASIS_KEYS_HELP);
    take_freezes(&queue, 1); /* it runs, and is called off */
    assert_true(stasis_keys_queue_remove(&queue, STASIS_KEYS_CANCEL));
    assert_false(stasis_keys_queue_remove(&queue, STASIS_KEYS_CANCEL));
    take_freezes(&queue, 1000);
    assert_int_equal(stasis_keys_queue_take(&queue), STASIS_KEYS_NONE);
}

/* As many runs as there can be. */
static void queue_keeps_order(void **state)
{
    static const enum stasis_keys_command once[] = {STASIS_KEYS_CANCEL, STASIS_KEYS_QUIT,
                                                    STASIS_KEYS_HELP};
    struct stasis_keys_queue queue = {0};

    (void)state;
    for (int i = 0; i < 7; i++)
        stasis_keys_queue_put(&queue, i % 2 ? once[i / 2] : STASIS_KEYS_SNAPSHOT);
    stasis_keys_queue_put(&queue, STASIS_KEYS_QUIT);
    assert_int_equal(queue.len, STASIS_KEYS_RUNS_MAX);
    for (int i = 0; i < 7; i++)
        assert_int_equal(stasis_keys_queue_take(&queue),
                         i % 2 ? once[i / 2] : STASIS_KEYS_SNAPSHOT);
    assert_int_equal(queue.len, 0);
    stasis_keys_queue_put(&queue, STASIS_KEYS_CANCEL);
    stasis_keys_queue_put(&queue, STASIS_KEYS_SNAPSHOT);
    stasis_keys_queue_put(&queue, STASIS_KEYS_CANCEL);
    take_freezes(&queue, 1);
    assert_int_equal(stasis_keys_queue_take(&queue), STASIS_KEYS_CANCEL);
    assert_int_equal(queue.len, 0);
}

/* ---- reading ---- */

static void reads_a_pipe_as_far_as_there_is_room(void **state)
{
    static struct stasis_keys_input input;
    uint8_t bytes[16];
    struct stasis_keys_queue commands = {0};
    size_t len;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    stasis_keys_input_init(&input, fds[0]);
    alarm(TERMINAL_HANG_SECONDS); /* a read that waits */
    assert_true(stasis_keys_read(&input, bytes, sizeof(bytes), &len, &commands));
    assert_int_equal(len, 0);
    assert_int_equal(write(fds[1], "a\001xbcd", 6), 6);
    assert_true(stasis_keys_read(&input, bytes, 0, &len, &commands));
    assert_int_equal(len, 0);
    assert_true(stasis_keys_read(&input, bytes, 4, &len, &commands));
    assert_int_equal(len, 4);
    assert_memory_equal(bytes, "a\001xb", 4); /* no terminal, no escape keys */
    assert_int_equal(commands.len, 0);
    close(fds[1]);
    assert_true(stasis_keys_read(&input, bytes, sizeof(bytes), &len, &commands));
    assert_int_equal(len, 2);
    assert_false(stasis_keys_read(&input, bytes, sizeof(bytes), &len, &commands));
    assert_int_equal(len, 0);
    alarm(0);
    close(fds[0]);
}

/* read(2) would wait for ever: there is nothing in the pipe. */
static void poll_that_is_interrupted_reads_nothing(void **state)
{
    static struct stasis_keys_input input;
    struct stasis_keys_queue commands = {0};
    uint8_t bytes[16];
    size_t len = 1;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    stasis_keys_input_init(&input, fds[0]);
    interrupts = true;
    alarm(60);
    assert_true(stasis_keys_read(&input, bytes, sizeof(bytes), &len, &commands));
    alarm(0);
    interrupts = false;
    assert_int_equal(len, 0);
    close(fds[0]);
    close(fds[1]);
}

static void ends_on_null_a_closed_descriptor_and_a_file(void **state)
{
    static struct stasis_keys_input input;
    char path[] = "/tmp/stasis-console-XXXXXX";
    uint8_t bytes[16];
    struct stasis_keys_queue commands = {0};
    size_t len;
    int fd = open("/dev/null", O_RDONLY);

    (void)state;
    stasis_keys_input_init(&input, fd);
    assert_false(stasis_keys_read(&input, bytes, sizeof(bytes), &len, &commands));
    close(fd);
    assert_false(stasis_keys_read(&input, bytes, sizeof(bytes), &len, &commands));
    fd = mkstemp(path);
    unlink(path);
    assert_int_equal(pwrite(fd, "abc", 3, 0), 3);
    stasis_keys_input_init(&input, fd);
    assert_true(stasis_keys_read(&input, bytes, 2, &len, &commands));
    assert_true(stasis_keys_read(&input, bytes, 2, &len, &commands));
    assert_int_equal(len, 1);
    assert_false(stasis_keys_read(&input, bytes, 2, &len, &commands));
    close(fd);
}

/* The guest takes nothing: keys wait, further ones are dropped, and Ctrl-A x still works. */
static void keys_wait_and_commands_do_not(void **state)
{
    static struct stasis_keys_input input;
    struct terminal terminal = terminal_open();
    uint8_t bytes[4096];
    uint8_t typed[1000];
    struct stasis_keys_queue commands = {0};
    size_t len;
    size_t sum = 0;

    (void)state;
    cfmakeraw(&terminal.found);
    assert_int_equal(tcsetattr(terminal.slave, TCSANOW, &terminal.found), 0);
    stasis_keys_input_init(&input, terminal.slave);
    assert_true(input.is_terminal);
    memset(typed, 'k', sizeof(typed));
    typed[0] = '1';
    for (int i = 0; i < 70; i++) {
        assert_int_equal(write(terminal.master, typed, sizeof(typed)), sizeof(typed));
        assert_true(stasis_keys_read(&input, bytes, 0, &len, &commands));
        assert_int_equal(len + commands.len, 0);
    }
    while (!commands.len) { /* what the terminal still holds, too */
        assert_int_equal(write(terminal.master, "\001x", 2), 2);
        assert_true(stasis_keys_read(&input, bytes, 0, &len, &commands));
    }
    assert_int_equal(stasis_keys_queue_take(&commands), STASIS_KEYS_QUIT);
    assert_int_equal(input.held_len, STASIS_KEYS_HELD_MAX);
    do {
        assert_true(stasis_keys_read(&input, bytes, 100, &len, &commands));
        if (len)
            assert_int_equal(bytes[0], sum % 1000 == 0 ? '1' : 'k');
        sum += len;
    } while (len);
    assert_int_equal(sum, STASIS_KEYS_HELD_MAX);
    close(terminal.master); /* hung up */
    assert_false(stasis_keys_read(&input, bytes, 100, &len, &commands));
    stasis_keys_input_fini(&input);
    close(terminal.slave);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_escape_keys_at_every_split),
        cmocka_unit_test(queue_loses_no_freeze_and_no_cancel),
        cmocka_unit_test(queue_keeps_order),
        cmocka_unit_test(reads_a_pipe_as_far_as_there_is_room),
        cmocka_unit_test(poll_that_is_interrupted_reads_nothing),
        cmocka_unit_test(ends_on_null_a_closed_descriptor_and_a_file),
        cmocka_unit_test(keys_wait_and_commands_do_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
