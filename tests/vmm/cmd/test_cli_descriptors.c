/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/cli_descriptors.h"

#include "support/cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLOSED 999

static struct stasis_error err;

static void refused(const struct stasis_options *options, const char *name)
{
    char expected[200];

    snprintf(expected, sizeof(expected),
             "%s: descriptor %d is not open; open it in the shell, for example by %d<>FILE", name,
             CLOSED, CLOSED);
    assert_int_equal(stasis_cli_check_descriptors(options, &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, expected);
}

static void each_closed_descriptor_is_named(void **state)
{
    (void)state;
    close(CLOSED);
    refused(&(struct stasis_options){.config.ready_fd = CLOSED}, "--ready-fd");
    refused(&(struct stasis_options){.config.log.fd = CLOSED}, "--log fd");
    refused(&(struct stasis_options){.config.kvm_fd = CLOSED}, "--kvm");
    refused(&(struct stasis_options){.config.restore.uffd_fd = CLOSED}, "--restore uffd_fd");
}

static void that_of_the_file_is_named_by_its_key(void **state)
{
    struct stasis_options options = {.config.log.fd = CLOSED};

    (void)state;
    options.by_file.keys[STASIS_CONFIG_LOG] = STASIS_OPTION_BIT(1);
    refused(&options, "log.fd");
}

/* Whether it is good for anything is found out by those who use it. */
static void open_ones_are_accepted(void **state)
{
    struct stasis_options options = {.config.demo = true};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(fd > STDERR_FILENO);
    assert_int_equal(stasis_cli_check_descriptors(&options, &err), 0);
    options.config.ready_fd = options.config.log.fd = options.config.kvm_fd = fd;
    options.config.restore.uffd_fd = fd;
    assert_int_equal(stasis_cli_check_descriptors(&options, &err), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_closed_descriptor_is_named),
        cmocka_unit_test(that_of_the_file_is_named_by_its_key),
        cmocka_unit_test(open_ones_are_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
