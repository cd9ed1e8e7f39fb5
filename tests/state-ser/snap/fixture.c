/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/index_runs.h"
#include "state-ser/snap/le.h"

static char folder[64];

QUICK void fill_random(uint8_t *bytes, size_t len, uint32_t seed)
{
    uint32_t x = seed * 2654435761u + 1;

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        bytes[i] = (uint8_t)(x | 1);
    }
}

void built_init(struct built *built)
{
    struct stasis_serial_state serial;
    struct stasis_error err = {0};

    *built = (struct built){.snap = stasis_snap_new(STASIS_ARCH_X86_64)};
    assert_non_null(built->snap);
    stasis_state_init(&stasis_serial_schema, &serial);
    serial.scr = 0x5a;
    assert_int_equal(stasis_records_add(stasis_snap_records(built->snap), &stasis_serial_schema,
                                        "com1", &serial, &err),
                     0);
}

void built_add(struct built *built, uint64_t gpa, size_t size)
{
    struct stasis_error err = {0};
    uint32_t r = built->region_count++;
    void *ram = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_ptr_not_equal(ram, MAP_FAILED);
    built->gpa[r] = gpa;
    built->size[r] = size;
    built->ram[r] = ram;
    if (stasis_snap_add_ram(built->snap, gpa, ram, size, &err))
        fail_msg("%s", err.msg);
}

void built_fini(struct built *built)
{
    for (uint32_t r = 0; r < built->region_count; r++)
        munmap(built->ram[r], built->size[r]);
    stasis_snap_free(built->snap);
}

void built_small(struct built *built)
{
    built_init(built);
    built_add(built, 0, 8192);
    built_add(built, 0x100000, 3 * STASIS_CHUNK_SIZE);
    fill_random(built->ram[0], 8192, 1);
    fill_random(built->ram[1], STASIS_CHUNK_SIZE, 2);
    built->ram[1][3 * STASIS_CHUNK_SIZE - 1] = 1;
}

void built_large(struct built *built)
{
    built_init(built);
    built_add(built, 0, (1 << 20) + 8192);
    built_add(built, 0x301000, 5 << 20);
    fill_random(built->ram[0] + 0x10000, 0x30000, 3);
    built->ram[0][0x9fc00] = 7;
    fill_random(built->ram[0] + (1 << 20) + 4096, 4096, 4);
    built->ram[1][0] = 1;
    fill_random(built->ram[1] + 0x20000, (4 << 20) + 0x10000, 5);
    built->ram[1][(5 << 20) - 1] = 1;
}

struct image image_read(const char *path)
{
    struct image image;
    struct stat st;
    int fd = open(path, O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    image.len = (size_t)st.st_size;
    image.bytes = malloc(image.len + 1);
    assert_non_null(image.bytes);
    assert_int_equal(read(fd, image.bytes, image.len), (ssize_t)image.len);
    close(fd);
    return image;
}

struct image image_of_with(struct built *built, const struct stasis_save_opts *opts)
{
    struct stasis_error err = {0};
    struct image image;
    char path[] = "/tmp/stasis-test-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    if (stasis_snap_save(built->snap, path, opts, NULL, &err))
        fail_msg("%s", err.msg);
    image = image_read(path);
    unlink(path);
    return image;
}

struct image image_of(struct built *built)
{
    return image_of_with(built, NULL);
}

struct image image_of_stream_with(struct built *built, const struct stasis_save_opts *opts)
{
    struct image image = {.bytes = malloc(16 << 20)};
    int ends[2];
    ssize_t n;
    pid_t child;

    assert_non_null(image.bytes);
    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct stasis_error err;

        close(ends[0]);
        _exit(stasis_snap_save_stream(built->snap, ends[1], opts, NULL, &err) ? 1 : 0);
    }
    close(ends[1]);
    while ((n = read(ends[0], image.bytes + image.len, 65536)) > 0)
        image.len += (size_t)n;
    close(ends[0]);
    child_wait(child);
    return image;
}

struct image image_of_stream(struct built *built)
{
    return image_of_stream_with(built, NULL);
}

struct image image_copy(const struct image *image)
{
    struct image copy = {malloc(image->len + 1), image->len};

    assert_non_null(copy.bytes);
    memcpy(copy.bytes, image->bytes, image->len);
    return copy;
}

void image_resize(struct image *image, size_t len)
{
    image->bytes = realloc(image->bytes, len + 1);
    assert_non_null(image->bytes);
    if (len > image->len)
        memset(image->bytes + image->len, 0, len - image->len);
    image->len = len;
}

void image_fini(struct image *image)
{
    free(image->bytes);
    image->bytes = NULL;
}

size_t image_header(const struct image *image)
{
    bool streamed = image->bytes[STASIS_HDR_INCOMPATIBLE] & STASIS_FEATURE_TRAILER;

    return streamed ? image->len - STASIS_HEADER_LEN : 0;
}

uint8_t *image_section(const struct image *image, enum stasis_section_type type)
{
    uint8_t *p = image->bytes + image_header(image) + STASIS_HDR_SECTIONS;

    for (unsigned i = 0; i < STASIS_SECTIONS_MAX; i++, p += STASIS_SECTION_ENTRY_LEN)
        if (stasis_le32_get(p) == (uint32_t)type)
            return p;
    fail_msg("no section %u", (unsigned)type);
    return NULL;
}

uint64_t section_offset(const uint8_t *entry)
{
    return stasis_le64_get(entry + 8);
}

uint64_t section_length(const uint8_t *entry)
{
    return stasis_le64_get(entry + 16);
}

void image_add_section(struct image *image, uint32_t type, size_t len)
{
    size_t offset = image->len;
    uint8_t *header, *entry;
    uint32_t count;

    image_resize(image, offset + len);
    memset(image->bytes + offset, 0xee, len);
    header = image->bytes + image_header(image);
    count = stasis_le32_get(header + STASIS_HDR_SECTION_COUNT);
    entry = header + STASIS_HDR_SECTIONS + (size_t)count * STASIS_SECTION_ENTRY_LEN;
    stasis_le32_put(entry, type);
    stasis_le32_put(entry + 4, STASIS_SECTION_OPTIONAL);
    stasis_le64_put(entry + 8, offset);
    stasis_le64_put(entry + 16, len);
    stasis_le32_put(entry + 24, stasis_crc32(image->bytes + offset, len));
    stasis_le32_put(header + STASIS_HDR_SECTION_COUNT, count + 1);
    stasis_le64_put(header + STASIS_HDR_FILE_LEN, image->len);
    image_reseal(image);
}

void image_wipe_identity(struct image *image)
{
    size_t headers[2] = {0, image_header(image)};

    for (size_t i = 0; i < 2; i++) {
        memset(image->bytes + headers[i] + STASIS_HDR_UUID, 0, 16 + 8);
        memset(image->bytes + headers[i] + STASIS_HDR_CRC, 0, 4);
    }
}

static void reseal_header(uint8_t *header)
{
    stasis_le32_put(header + STASIS_HDR_CRC, 0);
    stasis_le32_put(header + STASIS_HDR_CRC, stasis_crc32(header, STASIS_HEADER_LEN));
}

void image_reseal_section(struct image *image, enum stasis_section_type type)
{
    uint8_t *entry = image_section(image, type);
    uint64_t offset = section_offset(entry);

    if (offset <= image->len && section_length(entry) <= image->len - offset)
        stasis_le32_put(entry + 24, stasis_crc32(image->bytes + offset, section_length(entry)));
    reseal_header(image->bytes + image_header(image));
}

/* Of a file of format version 2 whose sections are where they can be. */
static void reseal_root(struct image *image)
{
    const uint8_t *state = image_section(image, STASIS_SECTION_STATE);
    const uint8_t *section = image_section(image, STASIS_SECTION_INDEX);
    uint8_t *header = image->bytes + image_header(image);
    uint8_t digest[STASIS_DIGEST_SIZE];
    struct stasis_index index = {.len = section_length(section)};
    uint64_t end = section_offset(section) + section_length(section);
    struct stasis_snap_info info = {.arch = stasis_le32_get(header + STASIS_HDR_ARCH)};
    uint64_t extents, digests;

    if (stasis_le32_get(header + STASIS_HDR_VERSION) != 2 || end > image->len || index.len < 16 ||
        section_offset(state) + section_length(state) > image->len)
        return;
    index.bytes = image->bytes + section_offset(section);
    index.runs.extent_count = stasis_le32_get(index.bytes + 12);
    if (stasis_le64_get(header + STASIS_HDR_INCOMPATIBLE) & STASIS_FEATURE_LAYER)
        memcpy(info.parent_root, header + STASIS_HDR_PARENT_ROOT, STASIS_DIGEST_SIZE);
    extents = 16 + UINT64_C(16) * stasis_le32_get(index.bytes) +
              UINT64_C(48) * stasis_le32_get(index.bytes + 4) +
              UINT64_C(12) * stasis_le32_get(index.bytes + 8);
    digests = extents + UINT64_C(24) * index.runs.extent_count;
    if (digests > index.len)
        return;
    index.runs.extents = index.bytes + extents;
    stasis_sha256(image->bytes + section_offset(state), section_length(state), digest);
    stasis_runs_root(&index, &info, digest, header + STASIS_HDR_ROOT);
}

void image_reseal(struct image *image)
{
    static const enum stasis_section_type types[] = {STASIS_SECTION_STATE, STASIS_SECTION_INDEX,
                                                     STASIS_SECTION_SCHEMA};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        image_reseal_section(image, types[i]);
    reseal_root(image);
    reseal_header(image->bytes + image_header(image));
    reseal_header(image->bytes);
}

int image_fd(const struct image *image)
{
    int fd = memfd_create("stasis-test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)image->len), 0);
    assert_int_equal(pwrite(fd, image->bytes, image->len, 0), (ssize_t)image->len);
    return fd;
}

struct stasis_snap *image_reopen(const struct image *image)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    int fd = image_fd(image);

    if (stasis_snap_open_fd(fd, "test", NULL, &snap, &err))
        fail_msg("%s", err.msg);
    close(fd);
    return snap;
}

unsigned open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

int image_pipe(const struct image *image, int *ret_child)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    *ret_child = fork();
    assert_true(*ret_child >= 0);
    if (*ret_child == 0) {
        size_t done = 0;

        close(ends[0]);
        while (done < image->len) {
            ssize_t n = write(ends[1], image->bytes + done, image->len - done);
            if (n <= 0)
                _exit(0); /* the reader has seen enough */
            done += (size_t)n;
        }
        _exit(0);
    }
    close(ends[1]);
    return ends[0];
}

void child_wait(int child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGPIPE : WEXITSTATUS(status) == 0);
}

int check_fd(int fd, struct stasis_error *err)
{
    struct stasis_snap *snap = NULL;
    int rc = stasis_snap_open_fd(fd, "test", NULL, &snap, err);

    if (rc) {
        assert_null(snap);
        return rc;
    }
    for (uint32_t r = 0; r < stasis_snap_region_count(snap) && !rc; r++) {
        size_t size = stasis_snap_region_at(snap, r).size;
        void *ram = calloc(1, size);

        assert_non_null(ram);
        rc = stasis_snap_load_ram(snap, r, ram, 1, NULL, NULL, err);
        free(ram);
    }
    if (!rc)
        rc = stasis_snap_verify(snap, 1, NULL, NULL, err);
    stasis_snap_free(snap);
    return rc;
}

int check_image(const struct image *image, struct stasis_error *err)
{
    int fd = image_fd(image);
    int rc = check_fd(fd, err);

    close(fd);
    return rc;
}

void assert_same_ram(struct stasis_snap *snap, const struct built *built, unsigned threads)
{
    struct stasis_error err = {0};

    assert_int_equal(stasis_snap_region_count(snap), built->region_count);
    for (uint32_t r = 0; r < built->region_count; r++) {
        struct stasis_snap_region region = stasis_snap_region_at(snap, r);
        uint8_t *ram = calloc(1, built->size[r]);

        assert_non_null(ram);
        assert_int_equal(region.gpa, built->gpa[r]);
        assert_int_equal(region.size, built->size[r]);
        if (stasis_snap_load_ram(snap, r, ram, threads, NULL, NULL, &err))
            fail_msg("%s", err.msg);
        assert_memory_equal(ram, built->ram[r], built->size[r]);
        free(ram);
    }
}

const char *folder_make(void)
{
    strcpy(folder, "/tmp/stasis-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return folder;
}

static size_t each_entry(const char *path, bool remove_it)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    size_t count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        count++;
        if (remove_it && unlinkat(dirfd(dir), entry->d_name, 0))
            unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
    }
    closedir(dir);
    return count;
}

size_t folder_entries(const char *path)
{
    return each_entry(path, false);
}

void folder_empty(const char *path)
{
    each_entry(path, true);
    rmdir(path);
}

void folder_remove(void)
{
    folder_empty(folder);
}
