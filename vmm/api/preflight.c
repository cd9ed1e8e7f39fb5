/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/preflight.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stasis/snap.h"
#include "vmm/api/preflight_outputs.h"
#include "vmm/api/vmm_internal.h"
#include "vmm/snapshot/freeze.h"

/* ---- a world in which nothing happens ---- */

static size_t take_nothing(void *ctx, const uint8_t *bytes, size_t len)
{
    (void)ctx;
    (void)bytes;
    (void)len;
    return 0;
}

static void be_ready(void *ctx, const struct stasis_device *from)
{
    (void)ctx;
    (void)from;
}

static uint64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

static void arm_nothing(void *ctx, const struct stasis_device *from, bool on, uint64_t deadline_ns)
{
    (void)ctx;
    (void)from;
    (void)on;
    (void)deadline_ns;
}

static void wait_for_nothing(void *ctx, const struct stasis_device *from, uint64_t deadline_ns)
{
    (void)ctx;
    (void)from;
    (void)deadline_ns;
}

static bool no_random(void *ctx, uint8_t *bytes, size_t len)
{
    (void)ctx;
    (void)bytes;
    (void)len;
    return false;
}

static const struct stasis_device_host quiet_host = {.serial_out = {take_nothing, NULL},
                                                     .serial_rx_ready = be_ready,
                                                     .rtc_now_ns = no_time,
                                                     .rtc_arm = arm_nothing,
                                                     .timer_arm = wait_for_nothing,
                                                     .random = no_random};

/* ---- the snapshot ---- */

static int open_snapshot(const struct stasis_vmm_config *config, struct stasis_outputs *outputs,
                         struct stasis_snap **ret_snap, struct stasis_error *err)
{
    struct stasis_parse_opts opts = {.size = sizeof(opts)};

    return stasis_files_open_restore(config, outputs, &opts, ret_snap, err);
}

static void check_board(const struct stasis_vmm_config *config, struct stasis_snap *snap,
                        struct stasis_reasons *reasons)
{
    struct stasis_board_state board;
    struct stasis_error why;
    int rc = stasis_records_get(stasis_snap_records(snap), &stasis_board_schema, STASIS_INSTANCE_VM,
                                &board, &why);

    if (!rc)
        rc = stasis_vmm_console_check_board(&board, &why);
    if (rc)
        stasis_reasons_add_error(reasons, "device", "console", &why);
    else if (stasis_vmm_net_check_board(config, &board, &why))
        stasis_reasons_add_error(reasons, "network", stasis_config_net_id(config), &why);
    if (!rc && stasis_vmm_vsock_check_board(config, &board, &why))
        stasis_reasons_add_error(reasons, "sockets", stasis_config_vsock_id(config), &why);
    if (!rc && stasis_config_check_own_target(config, &board, &why))
        stasis_reasons_add_error(reasons, "option", "target", &why);
}

static void check_layer(const struct stasis_vmm_config *config, struct stasis_snap *snap,
                        struct stasis_reasons *reasons)
{
    struct stasis_error why;

    if (stasis_vmm_base_check_thawed(config, snap, NULL, &why))
        stasis_reasons_add_error(reasons, "option", "parent", &why);
}

/* A trial thaw gets others, which nothing is wrong with. */
static void check_disks(const struct stasis_vmm_config *config, struct stasis_outputs *outputs,
                        struct stasis_snap *snap, struct stasis_reasons *reasons)
{
    struct stasis_device_host nobody = quiet_host;
    struct stasis_vmm_disks disks = {.outputs = outputs, .only_looks = true};
    struct stasis_error why;

    for (unsigned i = 0; i < stasis_config_disks(config); i++)
        if (stasis_vmm_disks_add(config, i, &disks, &nobody, &why))
            stasis_reasons_add_error(reasons, "disk", stasis_config_disk_id(config, i), &why);
    stasis_vmm_disks_unlock(&disks);
    if (stasis_vmm_disks_open_overlays(config, &disks, stasis_snap_records(snap), &why))
        stasis_reasons_add_error(reasons, "disk", "overlay", &why);
    else
        stasis_vmm_disks_check(config, &disks, stasis_snap_records(snap), reasons);
    if (stasis_vmm_disks_check_own_target(config, &disks, &why))
        stasis_reasons_add_error(reasons, "option", "target", &why);
    stasis_vmm_disks_close(&disks);
}

/* A trial gets it as it would be, if it cannot be opened. */
static void open_net(const struct stasis_vmm_config *config, struct stasis_vmm_net_host *net,
                     struct stasis_reasons *reasons)
{
    struct stasis_device_host nobody = quiet_host;
    struct stasis_error why;

    if (stasis_vmm_net_open(config, net, &nobody, &why)) {
        stasis_reasons_add_error(reasons, "network", stasis_config_net_id(config), &why);
        stasis_vmm_net_stand_in(config, net);
    }
}

static void check_vsock(const struct stasis_vmm_config *config, struct stasis_reasons *reasons)
{
    struct stasis_error why;

    if (stasis_vmm_vsock_check(config, &why))
        stasis_reasons_add_error(reasons, "sockets", stasis_config_vsock_id(config), &why);
}

/* A trial takes what is in its list for its own. */
static int try_thaw(const struct stasis_vmm_config *config, struct stasis_snap *snap,
                    const struct stasis_device_net *net, struct stasis_reasons *reasons,
                    struct stasis_thaw_result *ret_result, struct stasis_error *err)
{
    const struct stasis_thaw_options options = stasis_config_thaw(config);
    struct stasis_vmm_vsock_host vsock = {.host = NULL};
    struct stasis_device_host host = quiet_host;
    struct stasis_vmm_stand_ins stand_ins;
    struct stasis_reasons own = {0};
    int rc;

    stasis_vmm_disks_stand_in(stasis_snap_records(snap), &stand_ins, &host);
    host.net = net->id ? net : NULL;
    stasis_vmm_vsock_describe(config, &vsock);
    host.vsock = config->vsock.path ? &vsock.device : NULL;
    rc = stasis_thaw_try(snap, &options, &host, &own, ret_result, err);
    for (size_t i = 0; i < own.count; i++)
        stasis_reasons_add(reasons, &own.list[i]);
    reasons->more += own.more;
    stasis_reasons_fini(&own);
    return rc;
}

/* A host without KVM is a reason beside those that the file gives, found without asking KVM. */
static void check_kvm(const struct stasis_vmm_config *config, struct stasis_reasons *reasons)
{
    struct stasis_kvm kvm;
    struct stasis_error why;

    for (size_t i = 0; i < reasons->count; i++)
        if (!strcmp(reasons->list[i].kind, "host"))
            return;
    if (stasis_machine_open_kvm(config->kvm_fd, &kvm, &why))
        stasis_reasons_add_error(reasons, "host", "KVM", &why);
    else
        stasis_kvm_close(&kvm);
}

/* ---- what would be otherwise ---- */

static void warn(struct stasis_preflight *preflight, const char *kind, const char *object,
                 const char *text)
{
    struct stasis_reason warning = {.kind = kind};

    snprintf(warning.object, sizeof(warning.object), "%s", object);
    snprintf(warning.what, sizeof(warning.what), "%s", text);
    stasis_reasons_add(&preflight->warnings, &warning);
}

static void check_memory(const struct stasis_vmm_config *config, struct stasis_preflight *preflight)
{
    char text[STASIS_ERROR_MSG_MAX];
    struct stasis_error why;

    if (config->restore.memory != STASIS_RAM_AUTO && config->restore.memory != STASIS_RAM_LAZY)
        return;
    if (!stasis_ram_check_lazy(config->restore.uffd_fd, &why))
        return;
    snprintf(text, sizeof(text), "%.900s; memory=copy will be used instead of lazy", why.msg);
    warn(preflight, "userfaultfd", "memory=lazy", text);
}

static void check_clock(const struct stasis_thaw_result *result, struct stasis_preflight *preflight)
{
    if (!preflight->reasons.count && !result->tsc_is_set)
        warn(preflight, "clock", "TSC",
             "this host's KVM cannot set the guest's time stamp counter (TSC), which will jump; "
             "kvmclock and the timers will be right");
}

/* There may be more reasons than were found. */
static void check_compared(const struct stasis_thaw_result *result,
                           struct stasis_preflight *preflight)
{
    static const char *const texts[] = {
        [STASIS_THAW_COMPARED_NOTHING] =
            "this host was not compared with the guest, whose board could not be read",
        [STASIS_THAW_COMPARED_CPU] =
            "without KVM only this CPU's features were compared with the guest's; MSRs, clocks, "
            "the number of vCPUs and what KVM makes of the CPU were not",
        [STASIS_THAW_COMPARED_HOST] =
            "KVM was asked for CPU features and limits, but not given the guest's state, since no "
            "VM can be made for it; it may refuse MSRs or clocks as well",
    };

    if (result->compared != STASIS_THAW_COMPARED_STATE)
        warn(preflight, "host", "comparison", texts[result->compared]);
}

/* ---- what the guest would find ---- */

STASIS_PRINTF(4, 5)
static void add_bind(struct stasis_preflight *preflight, const char *kind, const char *object,
                     const char *format, ...)
{
    struct stasis_reason found = {.kind = kind};
    va_list args;

    snprintf(found.object, sizeof(found.object), "%s", object);
    va_start(args, format);
    (void)vsnprintf(found.what, sizeof(found.what), format, args);
    va_end(args);
    stasis_reasons_add(&preflight->binds, &found);
}

static void bind_disks(const struct stasis_vmm_config *config, struct stasis_preflight *preflight)
{
    for (unsigned i = 0; i < stasis_config_disks(config); i++) {
        const struct stasis_vmm_block *block = &config->block[i];
        const bool read_only = block->readonly == STASIS_VMM_BLOCK_READONLY_ON;

        add_bind(preflight, "disk", stasis_config_disk_id(config, i), "%.400s%s%s%.400s",
                 block->path, read_only ? ", read-only" : "", block->overlay ? ", beneath " : "",
                 block->overlay ? block->overlay : "");
    }
}

static void bind_others(const struct stasis_vmm_config *config, struct stasis_preflight *preflight)
{
    const struct stasis_vmm_net *net = &config->net;

    if (net->tap)
        add_bind(preflight, "network", stasis_config_net_id(config), "tap device %.400s", net->tap);
    else if (net->passt)
        add_bind(preflight, "network", stasis_config_net_id(config), "passt at %.400s", net->passt);
    else if (net->fd)
        add_bind(preflight, "network", stasis_config_net_id(config), "descriptor %d", net->fd);
    if (config->vsock.path)
        add_bind(preflight, "sockets", stasis_config_vsock_id(config), "%.400s",
                 config->vsock.path);
    if (config->serial.kind == STASIS_VMM_SERIAL_NONE)
        add_bind(preflight, "serial", "output", "nothing");
    else if (config->serial.path)
        add_bind(preflight, "serial", "output", "%.400s", config->serial.path);
}

/* With a snapshot that could be opened. */
static int run(const struct stasis_vmm_config *config, struct stasis_outputs *outputs,
               struct stasis_snap *snap, struct stasis_preflight *preflight,
               struct stasis_error *err)
{
    struct stasis_reasons *reasons = &preflight->reasons;
    struct stasis_vmm_net_host net = {.is_open = false};
    struct stasis_thaw_result result = {0};
    int rc;

    check_layer(config, snap, reasons);
    check_disks(config, outputs, snap, reasons);
    open_net(config, &net, reasons);
    check_vsock(config, reasons);
    rc = try_thaw(config, snap, &net.device, reasons, &result, err);
    stasis_vmm_net_close(&net);
    if (rc)
        return rc;
    if (result.compared != STASIS_THAW_COMPARED_NOTHING)
        check_board(config, snap, reasons);
    if (reasons->count)
        check_kvm(config, reasons);
    check_compared(&result, preflight);
    check_memory(config, preflight);
    check_clock(&result, preflight);
    return 0;
}

static void refuse_file(const struct stasis_vmm_config *config, const struct stasis_error *why,
                        struct stasis_preflight *preflight)
{
    const struct stasis_thaw_result result = {0};

    stasis_reasons_add_error(&preflight->reasons, "file", "snapshot", why);
    check_kvm(config, &preflight->reasons);
    check_compared(&result, preflight);
}

int stasis_preflight_run(const struct stasis_vmm_config *config, struct stasis_preflight *preflight,
                         struct stasis_error *err)
{
    struct stasis_preflight_outputs looked;
    struct stasis_snap *snap = NULL;
    struct stasis_error why;
    int rc = stasis_preflight_outputs_look(config, &looked, &preflight->reasons, err);

    if (rc)
        goto out;
    bind_disks(config, preflight);
    bind_others(config, preflight);
    if (open_snapshot(config, looked.set, &snap, &why))
        refuse_file(config, &why, preflight);
    else
        rc = run(config, looked.set, snap, preflight, err);
out:
    stasis_snap_free(snap);
    stasis_preflight_outputs_close(&looked);
    return rc;
}

void stasis_preflight_fini(struct stasis_preflight *preflight)
{
    stasis_reasons_fini(&preflight->reasons);
    stasis_reasons_fini(&preflight->warnings);
    stasis_reasons_fini(&preflight->binds);
}
