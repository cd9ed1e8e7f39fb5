/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Ring files as vmm writes them.
 */
#include "tests/tools/rig.h"

#include <string.h>

#include "vmm/host/serial_sink.h"

static struct run run;

static void ring_file_of_vmm_is_printed(void **state)
{
    static const char line[] = "0123456789abcdef\n";
    char all[100 * sizeof(line)] = "";
    struct stasis_serial_sink_options options = {.kind = STASIS_SERIAL_SINK_RING, .size = 1000};
    struct stasis_serial_sink *out;
    struct stasis_error err;
    size_t len = 0;

    (void)state;
    options.path = in_folder("ring");
    assert_int_equal(stasis_serial_sink_open(&options, &out, &err), 0);
    assert_int_equal(stasis_serial_sink_start(out, &err), 0);
    for (unsigned i = 0; i < 100; i++) {
        size_t part = 1 + i % (sizeof(line) - 1);

        assert_int_equal(stasis_serial_sink_write(out, line, part), part);
        memcpy(all + len, line, part);
        len += part;
        if (i % 9 != 0)
            continue;
        run_inspect(&run, NULL, "ring", in_folder("ring"), NULL); /* while it is in use */
        assert_ended(&run, 0, NULL);
        assert_int_equal(run.out_len, len < 1000 ? len : 1000);
        assert_memory_equal(run.out, all + len - run.out_len, run.out_len);
    }
    stasis_serial_sink_close(out);
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ring_file_of_vmm_is_printed)};

    return cmocka_run_group_tests(tests, setup_folder, teardown);
}
