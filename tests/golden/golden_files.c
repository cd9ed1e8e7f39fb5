/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "golden_files.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* zlib reads what is not compressed as it is. */
static void copy(const char *from, const char *to)
{
    static uint8_t bytes[65536];
    gzFile in = gzopen(from, "rbe");
    FILE *out = fopen(to, "wxe");
    int len;

    assert_non_null(in);
    assert_non_null(out);
    while ((len = gzread(in, bytes, sizeof(bytes))) > 0)
        assert_int_equal(fwrite(bytes, 1, (size_t)len, out), len);
    assert_int_equal(len, 0);
    assert_int_equal(gzclose(in), Z_OK);
    assert_int_equal(fclose(out), 0);
}

/* Where the release's files are, and what their names begin with there. */
static void find_source(const char *release, char folder[PATH_MAX], char prefix[32])
{
    ssize_t len;

    snprintf(folder, PATH_MAX, STASIS_GOLDEN_DIR "/%s", release);
    prefix[0] = '\0';
    if (!access(folder, R_OK | X_OK))
        return;
    len = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    assert_true(len > 0);
    folder[len] = '\0';
    *strrchr(folder, '/') = '\0';
    snprintf(prefix, 32, "%s-", release);
}

/* Cuts the suffix off; false if the name has another. */
static bool has_suffix(char *name, const char *suffix)
{
    size_t len = strlen(name), end = strlen(suffix);

    if (len <= end || strcmp(name + len - end, suffix) != 0)
        return false;
    name[len - end] = '\0';
    return true;
}

static void take(struct golden_files *files, const char *from, const char *name)
{
    char plain[NAME_MAX + 1], to[PATH_MAX];

    snprintf(plain, sizeof(plain), "%s", name);
    if (strstr(name, ".json"))
        return;
    (void)has_suffix(plain, ".gz");
    assert_in_range(snprintf(to, sizeof(to), "%s/%s", files->folder.path, plain), 1,
                    sizeof(to) - 1);
    copy(from, to);
    if (!has_suffix(plain, ".expect"))
        return;
    assert_true(files->count < GOLDEN_GUESTS_MAX);
    assert_in_range(snprintf(files->guests[files->count], sizeof(files->guests[0]), "%s", plain), 1,
                    sizeof(files->guests[0]) - 1);
    files->count++;
}

void golden_files_init(struct golden_files *files, const char *release)
{
    char folder[PATH_MAX], prefix[32], from[2 * PATH_MAX];
    struct dirent *entry;
    DIR *dir;

    memset(files, 0, sizeof(*files));
    session_folder_init(&files->folder);
    find_source(release, folder, prefix);
    dir = opendir(folder);
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        snprintf(from, sizeof(from), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.' && !strncmp(entry->d_name, prefix, strlen(prefix)))
            take(files, from, entry->d_name + strlen(prefix));
    }
    closedir(dir);
}

void golden_files_fini(struct golden_files *files)
{
    session_folder_fini(&files->folder);
}
