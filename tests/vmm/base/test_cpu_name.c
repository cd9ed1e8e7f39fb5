/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "vmm/base/cpu_name.h"

/* As it stands in /proc/cpuinfo, or nothing where that names none. */
static void name_is_that_of_cpuinfo(void **state)
{
    char name[64] = "", line[256] = "";
    FILE *file = fopen("/proc/cpuinfo", "re");

    (void)state;
    stasis_host_cpu_name(0, name, sizeof(name));
    assert_null(strchr(name, '\n'));
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) && strncmp(line, "model name", 10) != 0)
        line[0] = '\0';
    fclose(file);
    if (line[0])
        assert_non_null(strstr(line, name));
    assert_true(name[0] || !line[0]);
}

static void name_is_cut_to_its_room(void **state)
{
    char name[64] = "", cut[4] = "";

    (void)state;
    stasis_host_cpu_name(0, name, sizeof(name));
    stasis_host_cpu_name(0, cut, sizeof(cut));
    assert_int_equal(strlen(cut), strlen(name) < 3 ? strlen(name) : 3);
    assert_memory_equal(cut, name, strlen(cut));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_is_that_of_cpuinfo),
        cmocka_unit_test(name_is_cut_to_its_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
