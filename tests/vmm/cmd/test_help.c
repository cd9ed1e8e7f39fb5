/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "stasis_options.h"
#include "vmm/cmd/cli.h"

static void help_names_every_option(void **state)
{
    static const char restore[] = "--restore path=FILE[,clock=continue|advance]"
                                  "[,memory=auto|lazy|copy|map][,prefetch=on|off][,uffd_fd=N]"
                                  "[,root=HEX][,layers=DIR][,track=on|off]\n";
    static const char *const names[] = {
        "--kernel path=FILE[,cmdline=TEXT][,kernel_load_addr=ADDR]\n",
        "--demo\n",
        restore,
        "--initrd ",
        "--memory ",
        "--kvm fd=N\n",
        "--vcpu num=N\n",
        "--cpu ",
        "--serial out=stdio|none|file:PATH|ring:PATH|pipe:PATH[,limit=BYTES]",
        "--snapshot-out path=FILE[,on_output=TEXT][,after_ms=N][,then=exit|resume]",
        "[,compress=none|zlib[:LEVEL]][,digest=none|sha256][,sync=full|none]",
        "[,target=RELEASE][,drop=refuse|allow][,note=KEY=VALUE]\n",
        "--board ",
        "--ignore ",
        "--vsock path=PATH[,cid=N][,id=NAME]\n",
        "--balloon id=NAME[,reporting=on|off]\n",
        "--allow disk-changed=NAME|disk-shared=NAME\n",
        "--net tap=NAME|passt=SOCKET|fd=N[,id=NAME][,mac=ADDRESS][,mtu=BYTES][,bandwidth=BYTES]\n",
        "--dry-run [format=text|json]\n",
        "--on-guest-error action=count|event|stop[,of=all|devices]\n",
        "--sandbox mode=on|off|require",
        "--log level=none|error|warn|info|debug[,fd=N][,time=on|off]\n",
        "--metrics path=FILE[,format=json|openmetrics][,every_ms=N]\n",
        "--help\n",
        "--version\n",
        "Examples:",
    };
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    (void)state;
    stasis_cli_print_help(to);
    stasis_cli_print_version(to);
    fclose(to);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strstr(text, names[i]))
            fail_msg("help lacks %s", names[i]);
    assert_non_null(strstr(text, "vmm (stasis) " STASIS_VERSION "\n"));
    free(text);
}

static void help_names_every_status(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    const char *statuses;

    (void)state;
    stasis_cli_print_help(to);
    fclose(to);
    statuses = strstr(text, "Exit status:");
    assert_non_null(statuses);
    for (int i = 1; i <= stasis_err_exit_status(STASIS_ERR_SANDBOX); i++) {
        char status[16];

        snprintf(status, sizeof(status), " %d ", i);
        if (!strstr(statuses, status))
            fail_msg("help lacks status %d", i);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_names_every_option),
        cmocka_unit_test(help_names_every_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
