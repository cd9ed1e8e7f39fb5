/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/chain_rig.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/le.h"

#define CHUNKS 20u

static const char *folder;
static unsigned seed;

static unsigned below(unsigned limit)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % limit;
}

const char *chain_path(unsigned number)
{
    static char path[64];

    snprintf(path, sizeof(path), "%s/%u.snap", folder, number);
    return path;
}

static void save(struct chain *chain)
{
    struct stasis_parse_opts opts = {.size = sizeof(opts), .parent = chain->top};
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};

    snprintf(chain->path, sizeof(chain->path), "%s", chain_path(chain->count++));
    if (stasis_snap_save(chain->built.snap, chain->path, &chain->opts, NULL, &err) ||
        stasis_snap_open(chain->path, &opts, &snap, &err) ||
        stasis_snap_set_parent(chain->built.snap, snap, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(chain->top);
    chain->top = snap;
}

void chain_init(struct chain *chain, const struct stasis_save_opts *opts)
{
    struct stasis_error err = {0};
    struct built *built = &chain->built;

    *chain = (struct chain){.opts = {.size = sizeof(chain->opts)}, .touches = 12};
    if (opts)
        chain->opts = *opts;
    chain->opts.no_sync = true;
    seed = 1;
    folder = folder_make();
    built_init(built);
    built_add(built, 0, CHUNKS * STASIS_CHUNK_SIZE + 3 * STASIS_PAGE_SIZE);
    built_add(built, UINT64_C(1) << 32, 3 * STASIS_CHUNK_SIZE + 2 * STASIS_PAGE_SIZE);
    fill_random(built->ram[0], (CHUNKS - 6) * STASIS_CHUNK_SIZE, 1);
    memset(built->ram[0] + 5 * STASIS_CHUNK_SIZE, 0, 9 * STASIS_PAGE_SIZE);
    fill_random(built->ram[1], 2 * STASIS_CHUNK_SIZE, 2);
    save(chain);
    for (uint32_t r = 0; r < 2; r++)
        if (stasis_snap_set_dirty(built->snap, r, chain->dirty[r].words, &err))
            fail_msg("%s", err.msg);
}

/* Every third page that is touched becomes zero; every tenth chunk is touched all over. */
static void touch(struct chain *chain)
{
    unsigned r = below(4) ? 0 : 1;
    unsigned page = below((unsigned)(chain->built.size[r] / STASIS_PAGE_SIZE));
    unsigned end = below(10) ? page + 1 : page + 16;
    bool zero = !below(3);

    for (; page < end && page < chain->built.size[r] / STASIS_PAGE_SIZE; page++) {
        uint8_t *ram = chain->built.ram[r] + (size_t)page * STASIS_PAGE_SIZE;

        dirty_add(&chain->dirty[r], page);
        if (zero)
            memset(ram, 0, STASIS_PAGE_SIZE);
        else
            fill_random(ram, STASIS_PAGE_SIZE, seed);
    }
}

void chain_add(struct chain *chain)
{
    memset(chain->dirty, 0, sizeof(chain->dirty));
    for (unsigned i = 0; i < chain->touches; i++)
        touch(chain);
    save(chain);
}

void chain_fini(struct chain *chain)
{
    stasis_snap_free(chain->top);
    built_fini(&chain->built);
    folder_remove();
}

int chain_open(const struct chain *chain, const struct stasis_parse_opts *opts,
               struct stasis_snap **ret_snap, struct stasis_error *err)
{
    return stasis_snap_open(chain->path, opts, ret_snap, err);
}

struct stasis_snap *chain_reopen(const struct chain *chain)
{
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};

    if (chain_open(chain, NULL, &snap, &err))
        fail_msg("%s", err.msg);
    return snap;
}

void file_write(const char *path, const struct image *image)
{
    int fd;

    (void)unlink(path); /* a file that is cut and written again is waited for by file systems */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, image->bytes, image->len), image->len);
    close(fd);
}

static void seal(struct image *image)
{
    uint8_t *header = image->bytes + image_header(image);

    memset(header + STASIS_HDR_CRC, 0, 4);
    stasis_le32_put(header + STASIS_HDR_CRC, stasis_crc32(header, STASIS_HEADER_LEN));
}

void file_patch(const char *path, size_t at, const void *bytes, size_t len)
{
    struct image image = image_read(path);

    memcpy(image.bytes + at, bytes, len);
    seal(&image);
    file_write(path, &image);
    image_fini(&image);
}

void image_name(struct image *image, const uint8_t uuid[STASIS_UUID_SIZE])
{
    memcpy(image->bytes + STASIS_HDR_UUID, uuid, STASIS_UUID_SIZE);
    seal(image);
}

void image_lay_on(struct image *image, const uint8_t uuid[STASIS_UUID_SIZE],
                  const uint8_t root[STASIS_DIGEST_SIZE])
{
    uint8_t *name = (uint8_t *)(uintptr_t)layer_look(image).names;

    memcpy(name, uuid, STASIS_UUID_SIZE);
    memcpy(name + STASIS_UUID_SIZE, root, STASIS_DIGEST_SIZE);
    memcpy(image->bytes + STASIS_HDR_PARENT, uuid, STASIS_UUID_SIZE);
    memcpy(image->bytes + STASIS_HDR_PARENT_ROOT, root, STASIS_DIGEST_SIZE);
    image_reseal_section(image, STASIS_SECTION_INDEX);
    seal(image);
}
