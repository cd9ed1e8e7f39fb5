/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The file of --config. Its bytes may be anybody's.
 */
#include "vmm/cmd/cli_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int cannot_be_read(const char *path, struct stasis_error *err)
{
    return stasis_fail_errno(err, STASIS_ERR_READ,
                             "--config: %s cannot be read (check its disk or network)", path);
}

static int check_kind(int fd, const char *path, struct stat *ret_file, struct stasis_error *err)
{
    if (fstat(fd, ret_file))
        return cannot_be_read(path, err);
    if (!S_ISREG(ret_file->st_mode))
        return stasis_fail(err, STASIS_ERR_ARG, "--config: %s is %s; give a regular file", path,
                           S_ISDIR(ret_file->st_mode) ? "a directory" : "not a regular file");
    return 0;
}

/* Up to `size` bytes: the file may grow while it is read. */
static int read_all(int fd, const char *path, char *text, size_t size, size_t *ret_len,
                    struct stasis_error *err)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = read(fd, text + len, size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cannot_be_read(path, err);
        if (!n)
            break;
        len += (size_t)n;
    }
    *ret_len = len;
    return 0;
}

static int read_text(int fd, const char *path, struct stasis_vmm_config *config,
                     struct stasis_config_given *given, struct stasis_error *err)
{
    const size_t size = STASIS_VMM_CONFIG_BYTES_MAX + 1; /* so that the next one shows */
    char *text = malloc(size);
    size_t len = 0;
    int rc = text ? read_all(fd, path, text, size, &len, err)
                  : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a configuration");

    if (!rc) {
        rc = stasis_config_read(text, len, config, given, err);
        if (rc)
            (void)stasis_wrap(err, rc, "%s", path);
    }
    free(text);
    return rc;
}

int stasis_cli_read_config(const char *path, struct stasis_vmm_config *config,
                           struct stasis_config_given *given, struct stat *ret_file,
                           struct stasis_error *err)
{
    /* O_NONBLOCK: a named pipe must be refused, not waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int rc;

    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_ARG,
                                 "--config: cannot open %s, give a readable file", path);
    rc = check_kind(fd, path, ret_file, err);
    if (!rc)
        rc = read_text(fd, path, config, given, err);
    (void)close(fd);
    return rc;
}

int stasis_cli_check_outputs(const struct stasis_vmm_config *config, const char *path,
                             const struct stat *file, struct stasis_error *err)
{
    const char *const outputs[] = {config->serial.path, config->snapshot.path,
                                   config->metrics_path};

    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
        struct stat output;

        if (outputs[i] && !stat(outputs[i], &output) && output.st_dev == file->st_dev &&
            output.st_ino == file->st_ino)
            return stasis_fail(err, STASIS_ERR_ARG,
                               "%s is also the file of --config %s; name another file", outputs[i],
                               path);
    }
    return 0;
}
