/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "golden_files.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* The next bytes of a compressed file (RFC 1952); 0 at its end. */
static size_t next_bytes(FILE *in, z_stream *stream, uint8_t *bytes, size_t size)
{
    static uint8_t packed[4096];
    int rc = Z_OK;

    stream->next_out = bytes;
    stream->avail_out = (uInt)size;
    while (rc == Z_OK && stream->avail_out) {
        if (!stream->avail_in) {
            stream->next_in = packed;
            stream->avail_in = (uInt)fread(packed, 1, sizeof(packed), in);
        }
        rc = inflate(stream, Z_NO_FLUSH);
    }
    assert_true(rc == Z_OK || rc == Z_STREAM_END);
    return size - stream->avail_out;
}

static void copy(const char *from, const char *to, bool is_compressed)
{
    static uint8_t bytes[65536];
    z_stream stream = {0};
    FILE *in = fopen(from, "re"), *out = fopen(to, "wxe");
    size_t len;

    assert_non_null(in);
    assert_non_null(out);
    assert_int_equal(inflateInit2(&stream, 16 + MAX_WBITS), Z_OK);
    do {
        len = is_compressed ? next_bytes(in, &stream, bytes, sizeof(bytes))
                            : fread(bytes, 1, sizeof(bytes), in);
        assert_int_equal(fwrite(bytes, 1, len, out), len);
    } while (len == sizeof(bytes));
    inflateEnd(&stream);
    assert_int_equal(ferror(in), 0);
    fclose(in);
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
    bool is_compressed;

    snprintf(plain, sizeof(plain), "%s", name);
    if (strstr(name, ".json"))
        return;
    is_compressed = has_suffix(plain, ".gz");
    assert_in_range(snprintf(to, sizeof(to), "%s/%s", files->folder.path, plain), 1,
                    sizeof(to) - 1);
    copy(from, to, is_compressed);
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
