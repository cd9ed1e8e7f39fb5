/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The snapshots and overlays in a folder. What else is in it is passed over, and no link is
 * followed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/layers.h"

static const char magic[] = "\x89STASIS\n"; /* docs/snapshot-format.md, "Header" */

static bool is_one(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    char bytes[sizeof(magic) - 1];
    struct stat st;
    bool is = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) &&
              read(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes) &&
              !memcmp(bytes, magic, sizeof(bytes));

    if (fd >= 0)
        close(fd);
    return is;
}

static int add_file(struct stasis_layers *layers, const char *folder, const char *name,
                    struct stasis_error *err)
{
    size_t len = strlen(folder);
    char *path;
    int rc;

    if (asprintf(&path, "%s%s%s", folder, len && folder[len - 1] == '/' ? "" : "/", name) < 0)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the tree of layers");
    rc = stasis_layers_add(layers, path, err);
    free(path);
    return rc;
}

int stasis_layers_add_folder(struct stasis_layers *layers, const char *path,
                             struct stasis_error *err)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent **entries = NULL;
    int count = folder < 0 ? -1 : scandir(path, &entries, NULL, alphasort), rc = 0;

    if (count < 0)
        rc = stasis_fail_errno(err, STASIS_ERR_READ, "%s: reading the folder", path);
    for (int i = 0; i < count; i++) {
        if (!rc && is_one(folder, entries[i]->d_name))
            rc = add_file(layers, path, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    if (folder >= 0)
        close(folder);
    return rc;
}
