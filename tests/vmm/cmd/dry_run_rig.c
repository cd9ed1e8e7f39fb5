/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "dry_run_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/fake_kvm.h"
#include "vmm/arch/x86/x86.h"

/* ---- userfaultfd that is not permitted ---- */

struct stasis_uffd;
int __real_stasis_uffd_open(int device, struct stasis_uffd *uffd);
int __wrap_stasis_uffd_open(int device, struct stasis_uffd *uffd);

bool is_permitted;

int __wrap_stasis_uffd_open(int device, struct stasis_uffd *uffd)
{
    if (is_permitted)
        return __real_stasis_uffd_open(device, uffd);
    errno = EPERM;
    return -1;
}

/* ---- the CPU, where there is no KVM ---- */

bool cpu_is_poor;

struct stasis_x86_cpuid_leaf_state __wrap_stasis_x86_cpuid_read(uint32_t function, uint32_t index);

struct stasis_x86_cpuid_leaf_state __wrap_stasis_x86_cpuid_read(uint32_t function, uint32_t index)
{
    const uint32_t bits = cpu_is_poor ? 0 : UINT32_MAX;

    return (struct stasis_x86_cpuid_leaf_state){function, index, 0, bits, bits, bits, bits};
}

/* ---- the output ---- */

struct stasis_options options;
struct stasis_preflight preflight;
char *text;

/* argv[1] up to NULL. */
void dry_run_parse(const char *path, const char *option, const char *format)
{
    char *argv[] = {strdup("vmm"),      strdup("--restore"), strdup(path),  strdup("--ignore"),
                    strdup("tsc-rate"), strdup(option),      strdup(format)};
    struct stasis_error err;
    int argc = *format ? 7 : 6;

    if (stasis_cli_parse(argc, argv, &options, &err))
        fail_msg("%s", err.msg);
    assert_true(options.dry_run);
    for (size_t i = 0; i < 7; i++)
        free(argv[i]);
}

void dry_run_print(void)
{
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    stasis_dry_run_print(&options, &preflight, to);
    fclose(to);
}

void dry_run_run(void)
{
    struct stasis_error err;

    if (stasis_preflight_run(&options.config, &preflight, &err))
        fail_msg("%s", err.msg);
    dry_run_print();
}

int dry_run_setup(void **state)
{
    (void)state;
    is_permitted = false;
    cpu_is_poor = false;
    fake_kvm = (struct fake_kvm){0};
    return 0;
}

int dry_run_teardown(void **state)
{
    (void)state;
    stasis_preflight_fini(&preflight);
    stasis_cli_fini(&options);
    free(text);
    text = NULL;
    return 0;
}

void dry_run_set_option(const char *option, const char *value)
{
    struct stasis_error err;

    if (stasis_vmm_config_set(&options.config, option, value, &err))
        fail_msg("%s", err.msg);
}
