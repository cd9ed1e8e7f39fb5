/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Runs a target over every file of a folder: fuzz_x FOLDER. An empty folder is a failure.
 */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>

static void run_file(const char *path)
{
    uint8_t *bytes = NULL;
    long len;
    FILE *file = fopen(path, "rb");

    FUZZ_ASSERT(file && !fseek(file, 0, SEEK_END));
    len = ftell(file);
    FUZZ_ASSERT(len >= 0 && !fseek(file, 0, SEEK_SET));
    bytes = malloc((size_t)len + 1);
    FUZZ_ASSERT(bytes && fread(bytes, 1, (size_t)len, file) == (size_t)len);
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, (size_t)len);
    free(bytes);
}

int main(int argc, char **argv)
{
    struct dirent **list;
    int count = argc == 2 ? scandir(argv[1], &list, NULL, alphasort) : -1;
    unsigned ran = 0;

    if (count < 0) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < count; i++) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/%s", argv[1], list[i]->d_name);
        if (list[i]->d_name[0] != '.') {
            run_file(path);
            ran++;
        }
        free(list[i]);
    }
    free(list);
    printf("%u inputs\n", ran);
    return ran ? 0 : 1;
}
