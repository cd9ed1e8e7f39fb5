/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/i8042.h"

#include "random.h"

enum { DATA = 0, COMMAND = 4, STATUS = COMMAND };

struct rig {
    struct stasis_i8042 dev;
    unsigned resets;
    unsigned irqs;
    bool line;
    unsigned errors[STASIS_GUEST_ERROR_COUNT];
};

static struct rig rig;

static void on_reset(void *ctx)
{
    ((struct rig *)ctx)->resets++;
}

static void on_irq(void *ctx, bool level)
{
    struct rig *r = ctx;

    r->irqs++;
    r->line = level;
}

static void on_guest_error(void *ctx, enum stasis_guest_error error)
{
    ((struct rig *)ctx)->errors[error]++;
}

static const struct stasis_i8042_ops ops = {on_reset, on_irq, on_guest_error};

static int setup(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    stasis_i8042_init(&rig.dev, &ops, &rig);
    return 0;
}

static uint8_t rd(uint64_t offset)
{
    return stasis_i8042_read(&rig.dev, offset);
}

static void wr(uint64_t offset, uint8_t value)
{
    stasis_i8042_write(&rig.dev, offset, value);
}

/* Sends a command and returns its answer as drivers do. */
static uint8_t ask(uint8_t command)
{
    wr(COMMAND, command);
    assert_int_equal(rd(STATUS) & 0x01, 0x01);
    return rd(DATA);
}

static void controller_begins_as_firmware_leaves_it(void **state)
{
    (void)state;
    assert_int_equal(rd(STATUS), 0x14);
    assert_int_equal(rd(DATA), 0);
    assert_int_equal(ask(0x20), 0x05);
    for (uint64_t offset = 0; offset < 16; offset++) {
        if (offset != DATA && offset != STATUS)
            assert_int_equal(rd(offset), 0xff);
    }
    assert_int_equal(rig.errors[STASIS_GUEST_ERROR_UNKNOWN_REGISTER], 14);
    wr(1, 0);
    assert_int_equal(rig.errors[STASIS_GUEST_ERROR_UNKNOWN_REGISTER], 15);
}

static void only_a_low_reset_line_resets(void **state)
{
    (void)state;
    for (unsigned command = 0; command <= 0xff; command++) {
        bool want = command >= 0xf0 && !(command & 1);

        setup(state);
        wr(COMMAND, (uint8_t)command);
        assert_int_equal(rig.resets, want);
        if (command >= 0xef) /* the last that is none, and those that pulse lines */
            assert_int_equal(rig.errors[STASIS_GUEST_ERROR_BAD_COMMAND], command == 0xef);
    }
    setup(state);
    wr(5, 0xfe);
    wr(DATA, 0xfe);
    wr(1, 0xfe);
    assert_int_equal(rig.resets, 0);
    wr(COMMAND, 0xfe);
    wr(COMMAND, 0xfe);
    assert_int_equal(rig.resets, 2);
}

static void the_output_port_can_reset_and_keeps_a20(void **state)
{
    (void)state;
    assert_int_equal(ask(0xd0), 0x03);
    wr(COMMAND, 0xd1);
    wr(DATA, 0x01);
    assert_int_equal(ask(0xd0), 0x01);
    assert_int_equal(rig.resets, 0);
    wr(COMMAND, 0xd1);
    wr(DATA, 0xde);
    assert_int_equal(rig.resets, 1);
    assert_int_equal(ask(0xd0), 0xdf); /* the reset line does not stay low */
}

static void answers(void **state)
{
    static const struct {
        uint8_t command, answer;
    } cases[] = {{0xaa, 0x55}, {0xab, 0x00}, {0xa9, 0x01}, {0xc0, 0x80}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setup(state);
        assert_int_equal(ask(cases[i].command), cases[i].answer);
        assert_int_equal(rd(STATUS) & 0x01, 0);
    }
}

static void the_command_byte_is_kept(void **state)
{
    (void)state;
    wr(COMMAND, 0x60);
    assert_int_equal(rd(STATUS), 0x1c);
    wr(DATA, 0xff);
    assert_int_equal(rd(STATUS), 0x14);
    assert_int_equal(ask(0x20), 0x7f);
    wr(COMMAND, 0x60);
    wr(DATA, 0x00);
    assert_int_equal(rd(STATUS), 0x10); /* bit 2 follows it */
    wr(COMMAND, 0xad);
    wr(COMMAND, 0xa7);
    assert_int_equal(ask(0x20), 0x30);
    wr(COMMAND, 0xae);
    assert_int_equal(ask(0x20), 0x20);
    wr(COMMAND, 0xa8);
    assert_int_equal(ask(0x20), 0x00);
    ask(0xaa);
    assert_int_equal(rd(STATUS) & 0x04, 0x04); /* the self-test sets the system flag */
}

static void unknown_commands_do_nothing(void **state)
{
    struct stasis_i8042_state before, after;

    (void)state;
    wr(COMMAND, 0x01);
    stasis_i8042_save(&rig.dev, &before);
    for (unsigned command = 0xb0; command < 0xc0; command++)
        wr(COMMAND, (uint8_t)command);
    stasis_i8042_save(&rig.dev, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_int_equal(rig.errors[STASIS_GUEST_ERROR_BAD_COMMAND], 17);
    wr(COMMAND, 0x60); /* a new command drops the one that waits for data */
    wr(COMMAND, 0x00);
    wr(DATA, 0x00);
    rd(DATA);
    assert_int_equal(ask(0x20), 0x05);
}

static void no_keyboard_answers(void **state)
{
    (void)state;
    wr(DATA, 0xed);
    assert_int_equal(rd(STATUS), 0x55); /* output full, time-out */
    assert_true(rig.line);
    assert_int_equal(rd(DATA), 0xfe);
    assert_int_equal(rd(STATUS), 0x14);
    assert_false(rig.line);
    wr(DATA, 0xed);
    wr(COMMAND, 0x20); /* a newer byte in the buffer has no time-out */
    assert_int_equal(rd(STATUS), 0x1d);
}

static void the_interrupt_follows_buffer_and_enable(void **state)
{
    (void)state;
    wr(COMMAND, 0xaa);
    assert_true(rig.line);
    wr(COMMAND, 0xab); /* overwritten: no second edge */
    assert_int_equal(rig.irqs, 1);
    rd(DATA);
    assert_false(rig.line);
    wr(COMMAND, 0x60);
    wr(DATA, 0x04);
    wr(COMMAND, 0xd2);
    wr(DATA, 0x1c);
    assert_false(rig.line);
    wr(COMMAND, 0x60);
    wr(DATA, 0x05);
    assert_true(rig.line);
    assert_int_equal(rd(DATA), 0x1c);
    stasis_i8042_write(&rig.dev, COMMAND, 0xaa);
    stasis_i8042_reset(&rig.dev);
    assert_false(rig.line);
    assert_int_equal(rd(STATUS), 0x14);
}

/* drivers/input/serio/i8042.c: i8042_controller_check(), _init(), i8042_check_aux() */
static void linux_finds_a_controller_without_mouse(void **state)
{
    (void)state;
    assert_int_equal(rd(STATUS) & 0x01, 0);
    assert_int_equal(ask(0xaa), 0x55);
    assert_int_equal(ask(0x20), ask(0x20));
    assert_int_equal(rd(STATUS) & 0x10, 0x10); /* else it reports a keyboard lock */
    wr(COMMAND, 0x60);
    wr(DATA, 0x14); /* keyboard off, interrupt off */
    assert_int_equal(ask(0x20), 0x14);
    wr(COMMAND, 0xd3);
    wr(DATA, 0x5a);
    assert_int_equal(rd(STATUS) & 0x21, 0x01); /* answered, but not from an auxiliary port */
    assert_int_equal(ask(0xa9), 0x01);         /* so there is none */
    assert_int_equal(rd(STATUS) & 0x01, 0);
}

/* arch/x86/kernel/reboot.c: kb_wait() and reboot=k */
static void linux_reboots(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(rd(STATUS) & 0x02, 0);
        wr(COMMAND, 0xfe);
    }
    assert_int_equal(rig.resets, 10);
}

static void a_restored_controller_behaves_as_its_twin(void **state)
{
    struct rig other = {0};
    struct stasis_i8042_state saved, again;
    uint64_t seed = 1;

    (void)state;
    stasis_i8042_init(&other.dev, &ops, &other);
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t what = next_random(&seed) % 8;
        uint64_t offset = next_random(&seed) % 2 ? COMMAND : DATA;
        uint8_t value = (uint8_t)next_random(&seed);

        if (what < 4) {
            wr(offset, value);
            stasis_i8042_write(&other.dev, offset, value);
        } else if (what < 7) {
            assert_int_equal(rd(offset), stasis_i8042_read(&other.dev, offset));
        } else {
            stasis_i8042_save(&other.dev, &saved);
            stasis_i8042_init(&other.dev, &ops, &other);
            other.line = !other.line;
            assert_int_equal(stasis_i8042_restore(&other.dev, &saved, NULL), 0);
            stasis_i8042_apply_outputs(&other.dev);
            stasis_i8042_save(&other.dev, &again);
            assert_memory_equal(&saved, &again, sizeof(saved));
        }
        assert_int_equal(rig.line, other.line);
        assert_int_equal(rig.resets, other.resets);
    }
    assert_true(rig.resets > 10);
}

static void a_contradicting_state_is_refused(void **state)
{
    struct stasis_i8042_state bad, before, after;
    struct stasis_error err = {0};

    (void)state;
    wr(COMMAND, 0xaa);
    stasis_i8042_save(&rig.dev, &before);
    stasis_state_init(&stasis_i8042_schema, &bad);
    bad.output = 1;
    assert_int_equal(stasis_i8042_restore(&rig.dev, &bad, &err), STASIS_ERR_RANGE);
    stasis_i8042_save(&rig.dev, &after);
    assert_memory_equal(&before, &after, sizeof(before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(controller_begins_as_firmware_leaves_it, setup),
        cmocka_unit_test_setup(only_a_low_reset_line_resets, setup),
        cmocka_unit_test_setup(the_output_port_can_reset_and_keeps_a20, setup),
        cmocka_unit_test_setup(answers, setup),
        cmocka_unit_test_setup(the_command_byte_is_kept, setup),
        cmocka_unit_test_setup(unknown_commands_do_nothing, setup),
        cmocka_unit_test_setup(no_keyboard_answers, setup),
        cmocka_unit_test_setup(the_interrupt_follows_buffer_and_enable, setup),
        cmocka_unit_test_setup(linux_finds_a_controller_without_mouse, setup),
        cmocka_unit_test_setup(linux_reboots, setup),
        cmocka_unit_test_setup(a_restored_controller_behaves_as_its_twin, setup),
        cmocka_unit_test_setup(a_contradicting_state_is_refused, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
