/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/config.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/cpu_models.h"
#include "vmm/machine/board.h"

#define DISK(i)                                                                                    \
    offsetof(struct stasis_vmm_config, block[i].path),                                             \
        offsetof(struct stasis_vmm_config, block[i].id),                                           \
        offsetof(struct stasis_vmm_config, block[i].overlay),                                      \
        offsetof(struct stasis_vmm_config, allow.disk_changed[i]),                                 \
        offsetof(struct stasis_vmm_config, allow.disk_shared[i])
_Static_assert(STASIS_VMM_BLOCKS_MAX == 8, "the list below has all");

/* Every string of the struct. */
static const size_t strings[] = {
    offsetof(struct stasis_vmm_config, kernel.path),
    offsetof(struct stasis_vmm_config, kernel.cmdline),
    offsetof(struct stasis_vmm_config, restore.path),
    offsetof(struct stasis_vmm_config, restore.root),
    offsetof(struct stasis_vmm_config, restore.layers),
    offsetof(struct stasis_vmm_config, initrd_path),
    offsetof(struct stasis_vmm_config, board_release),
    DISK(0),
    DISK(1),
    DISK(2),
    DISK(3),
    DISK(4),
    DISK(5),
    DISK(6),
    DISK(7),
    offsetof(struct stasis_vmm_config, net.tap),
    offsetof(struct stasis_vmm_config, net.passt),
    offsetof(struct stasis_vmm_config, net.id),
    offsetof(struct stasis_vmm_config, net.mac),
    offsetof(struct stasis_vmm_config, vsock.path),
    offsetof(struct stasis_vmm_config, vsock.id),
    offsetof(struct stasis_vmm_config, balloon.id),
    offsetof(struct stasis_vmm_config, serial.path),
    offsetof(struct stasis_vmm_config, snapshot.path),
    offsetof(struct stasis_vmm_config, snapshot.on_output),
    offsetof(struct stasis_vmm_config, snapshot.save.target),
    offsetof(struct stasis_vmm_config, snapshot.save.parent),
    offsetof(struct stasis_vmm_config, on_crash.snapshot),
    offsetof(struct stasis_vmm_config, metrics_path),
};
#define STRINGS (sizeof(strings) / sizeof(strings[0]))

static char **string_at(struct stasis_vmm_config *config, size_t i)
{
    return (char **)((char *)config + strings[i]);
}

void stasis_vmm_config_fini(struct stasis_vmm_config *config)
{
    for (size_t i = 0; i < STRINGS; i++)
        free(*string_at(config, i));
    stasis_notes_free(config->snapshot.save.notes);
    memset(config, 0, sizeof(*config));
}

/* *copy holds the original's pointers, and NULL on failure. */
static bool copy_string(char **copy)
{
    const char *from = *copy;

    *copy = from ? strdup(from) : NULL;
    return !from || *copy;
}

int stasis_config_copy(const struct stasis_vmm_config *config, struct stasis_vmm_config *ret_copy,
                       struct stasis_error *err)
{
    struct stasis_vmm_config copy = *config;
    const struct stasis_notes *notes = config->snapshot.save.notes;
    bool whole = true;
    int rc = 0;

    for (size_t i = 0; i < STRINGS; i++)
        whole &= copy_string(string_at(&copy, i));
    copy.snapshot.save.notes = notes ? stasis_notes_new() : NULL;
    if (!whole || (notes && !copy.snapshot.save.notes))
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a configuration");
    if (!rc && notes)
        rc = stasis_notes_copy(notes, copy.snapshot.save.notes, err);
    if (rc)
        stasis_vmm_config_fini(&copy);
    else
        *ret_copy = copy;
    return rc;
}

static uint32_t list_optional(const struct stasis_vmm_config *config,
                              struct stasis_board_optional ret_list[STASIS_BOARD_SLOTS])
{
    const unsigned disks = stasis_config_disks(config);
    uint32_t count = 0;

    for (unsigned i = 0; i < disks; i++)
        ret_list[count++] = (struct stasis_board_optional){stasis_virtio_blk_schema.type,
                                                           stasis_config_disk_id(config, i)};
    if (stasis_config_has_net(config))
        ret_list[count++] = (struct stasis_board_optional){stasis_virtio_net_schema.type,
                                                           stasis_config_net_id(config)};
    if (config->vsock.path)
        ret_list[count++] = (struct stasis_board_optional){stasis_virtio_vsock_schema.type,
                                                           stasis_config_vsock_id(config)};
    if (config->balloon.id)
        ret_list[count++] =
            (struct stasis_board_optional){stasis_virtio_balloon_schema.type, config->balloon.id};
    return count;
}

int stasis_config_board(const struct stasis_vmm_config *config,
                        struct stasis_board_state *ret_board, struct stasis_error *err)
{
    struct stasis_board_optional optional[STASIS_BOARD_SLOTS];
    size_t models;
    const struct stasis_board_options options = {
        .memory_bytes = (config->memory_mib ? config->memory_mib : STASIS_VMM_MEMORY_MIB_DEFAULT)
                        << 20,
        .vcpus = config->vcpus ? (uint32_t)config->vcpus : 1,
        .cpu_model = stasis_cpu_model_all(&models)[config->cpu].name,
        .pl031 = config->rtc == STASIS_VMM_RTC_PL031,
        .release = config->board_release,
        .optional = optional,
        .optional_count = list_optional(config, optional),
    };

    return stasis_board_default(&options, ret_board, err);
}

/* Its number from 1, or 0: there is none. */
static unsigned root_disk(const struct stasis_vmm_config *config)
{
    for (unsigned i = 0; i < stasis_config_disks(config); i++)
        if (config->block[i].root == STASIS_VMM_BLOCK_ROOT_ON)
            return i + 1;
    return 0;
}

struct stasis_boot_options stasis_config_boot(const struct stasis_vmm_config *config)
{
    return (struct stasis_boot_options){
        .kernel_path = config->kernel.path,
        .initrd_path = config->initrd_path,
        .cmdline = config->kernel.cmdline,
        .root_disk = root_disk(config),
        .load_addr = config->kernel.load_addr,
    };
}

struct stasis_thaw_options stasis_config_thaw(const struct stasis_vmm_config *config)
{
    return (struct stasis_thaw_options){
        .clock = config->restore.clock == STASIS_VMM_CLOCK_ADVANCE ? STASIS_CLOCK_ADVANCE
                                                                   : STASIS_CLOCK_CONTINUE,
        .ignore_tsc_rate = config->restore.ignore_tsc_rate,
        .memory = config->restore.memory,
        .no_prefetch = config->restore.prefetch == STASIS_VMM_PREFETCH_OFF,
        .tracks_changes =
            config->restore.track == STASIS_VMM_TRACK_ON || config->snapshot.save.parent,
        .uffd_fd = config->restore.uffd_fd,
        .kvm_fd = config->kvm_fd,
    };
}

_Static_assert((int)STASIS_VMM_SERIAL_STDIO == (int)STASIS_SERIAL_SINK_STDIO &&
                   (int)STASIS_VMM_SERIAL_NONE == (int)STASIS_SERIAL_SINK_NONE &&
                   (int)STASIS_VMM_SERIAL_FILE == (int)STASIS_SERIAL_SINK_FILE &&
                   (int)STASIS_VMM_SERIAL_RING == (int)STASIS_SERIAL_SINK_RING &&
                   (int)STASIS_VMM_SERIAL_PIPE == (int)STASIS_SERIAL_SINK_PIPE,
               "kinds of serial output");

struct stasis_serial_sink_options stasis_config_serial(const struct stasis_vmm_config *config)
{
    return (struct stasis_serial_sink_options){
        .kind = (enum stasis_serial_sink_kind)config->serial.kind,
        .path = config->serial.path,
        .limit = config->serial.limit,
        .size = config->serial.size,
        .rate = config->serial.rate,
        .append = config->restore.path != NULL, /* the guest continues */
    };
}

static bool is_stream(const char *path)
{
    return path && !strcmp(path, STASIS_VMM_STREAM);
}

bool stasis_config_freezes_to_stream(const struct stasis_vmm_config *config)
{
    return is_stream(config->snapshot.path);
}

bool stasis_config_thaws_from_stream(const struct stasis_vmm_config *config)
{
    return is_stream(config->restore.path);
}
