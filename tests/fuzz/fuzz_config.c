/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A configuration as JSON. What is accepted can be written, and comes back the same.
 */
#include "fuzz.h"

#include <string.h>

#include "stasis/vmm_config.h"

/* Writes *config, which is freed. */
static char *write_out(struct stasis_vmm_config *config, size_t *ret_len)
{
    struct stasis_error err;
    char *text = NULL;

    FUZZ_ASSERT(!stasis_vmm_config_write(config, &text, ret_len, &err) ||
                strstr(err.msg, "too long"));
    stasis_vmm_config_fini(config);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct stasis_vmm_config config;
    struct stasis_error err = {.msg = ""};
    uint8_t *copy = fuzz_copy(bytes, len);
    int rc = stasis_vmm_config_read((const char *)copy, len, &config, &err);
    size_t first_len, second_len;
    char *first, *second;

    free(copy);
    if (rc) {
        FUZZ_ASSERT(rc == err.code && err.msg[0]);
        return 0;
    }
    first = write_out(&config, &first_len);
    if (!first)
        return 0;
    FUZZ_ASSERT(!stasis_vmm_config_read(first, first_len, &config, &err));
    second = write_out(&config, &second_len);
    FUZZ_ASSERT(second && first_len == second_len && !memcmp(first, second, first_len));
    free(first);
    free(second);
    return 0;
}
