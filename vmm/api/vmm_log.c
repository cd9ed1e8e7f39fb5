/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The log of a VM's life: a line for each event, besides what is told to the client.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"

_Static_assert((int)STASIS_VMM_LOG_NONE == (int)STASIS_LOG_NONE &&
                   (int)STASIS_VMM_LOG_ERROR == (int)STASIS_LOG_ERROR &&
                   (int)STASIS_VMM_LOG_WARN == (int)STASIS_LOG_WARN &&
                   (int)STASIS_VMM_LOG_INFO == (int)STASIS_LOG_INFO &&
                   (int)STASIS_VMM_LOG_DEBUG == (int)STASIS_LOG_DEBUG,
               "levels of the log");

/* Standard error may be a terminal that the guest prints on, too. */
int stasis_vmm_log_open(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const struct stasis_vmm_log *config = &vmm->config->log;
    const struct stasis_log_options options = {
        .level = (enum stasis_log_level)config->level,
        .fd = config->fd ? config->fd : STDERR_FILENO,
        .no_time = config->time == STASIS_VMM_LOG_TIME_OFF,
        .cursor = config->fd ? NULL : &vmm->cursor,
    };
    int rc = config->level ? stasis_log_open(&options, &vmm->log, err) : 0;

    return rc ? stasis_wrap(err, rc, "log.fd=%d: the log cannot be written", options.fd) : 0;
}

void stasis_vmm_log_opened(const struct stasis_vmm *vmm)
{
    const char *from = vmm->config->restore.path;

    stasis_log_put(vmm->log, STASIS_LOG_INFO,
                   "opened: %s%s, generation %" PRIu64 ", vCPUs: %" PRIu32 ", RAM: %" PRIu64 " MiB",
                   from ? "thawed from " : "a new guest", from ? from : "", vmm->generation,
                   vmm->machine.vcpu_count, stasis_memory_size(&vmm->machine.memory) >> 20);
}

static void log_saved(const struct stasis_vmm *vmm, const struct stasis_vmm_event *event)
{
    const struct stasis_freeze_times *times = &vmm->metrics.times;

    stasis_log_put(vmm->log, STASIS_LOG_INFO,
                   "freeze ended: %s, %" PRIu64 " us (stop %" PRIu64 ", collect %" PRIu64
                   ", write %" PRIu64 ", sync %" PRIu64 "), %" PRIu64 " bytes",
                   event->path, event->pause_us, times->stop_us, times->collect_us, times->write_us,
                   times->sync_us, event->stats->file_bytes);
}

/* Whether the message begins with the name of the file, as those of files do. */
static bool names(const char *message, const char *path)
{
    size_t len = strlen(path);

    return !strncmp(message, path, len) && !strncmp(message + len, ": ", 2);
}

static void log_failed(const struct stasis_vmm *vmm, const struct stasis_vmm_event *event)
{
    bool cancelled = event->err->code == STASIS_ERR_CANCELLED;
    bool named = names(event->err->msg, event->path);

    stasis_log_put(vmm->log, cancelled ? STASIS_LOG_WARN : STASIS_LOG_ERROR, "freeze %s: %s%s%s",
                   cancelled ? "cancelled" : "failed", named ? "" : event->path, named ? "" : ": ",
                   event->err->msg);
}

static void log_guest_error(const struct stasis_vmm *vmm,
                            const struct stasis_vmm_guest_error *error)
{
    stasis_log_put(vmm->log, STASIS_LOG_WARN, "guest error: %s: %s; not shown before it: %" PRIu64,
                   error->kind, error->text, error->suppressed);
}

static void log_ended(const struct stasis_vmm *vmm, const struct stasis_vmm_end *end)
{
    static const char *const reasons[] = {
        [STASIS_VMM_RESET] = "the guest reset the machine",
        [STASIS_VMM_CRASHED] = "the guest died",
        [STASIS_VMM_FROZEN] = "the guest was frozen",
        [STASIS_VMM_QUIT] = "ended by a key",
        [STASIS_VMM_STOPPED] = "stopped",
        [STASIS_VMM_INVALID_ACCESS] = "the guest was stopped for an invalid access",
        [STASIS_VMM_POWERED_OFF] = "the guest powered the machine off",
    };

    if (end->crash.code)
        stasis_log_put(vmm->log, STASIS_LOG_ERROR, "%s", end->crash.msg);
    if (end->missing.code)
        stasis_log_put(vmm->log, STASIS_LOG_ERROR, "%s", end->missing.msg);
    stasis_log_put(vmm->log, STASIS_LOG_INFO, "ended: %s", reasons[end->reason]);
}

void stasis_vmm_log_event(const struct stasis_vmm *vmm, const struct stasis_vmm_event *event)
{
    switch (event->kind) {
    case STASIS_VMM_EVENT_RUNNING:
        stasis_log_put(vmm->log, STASIS_LOG_INFO, "running");
        break;
    case STASIS_VMM_EVENT_PAUSED:
        stasis_log_put(vmm->log, STASIS_LOG_INFO, "paused");
        break;
    case STASIS_VMM_EVENT_PAUSE_FAILED:
        stasis_log_put(vmm->log, STASIS_LOG_ERROR, "not paused: %s", event->err->msg);
        break;
    case STASIS_VMM_EVENT_POWER_BUTTON:
        stasis_log_put(vmm->log, STASIS_LOG_INFO, "power button pressed");
        break;
    case STASIS_VMM_EVENT_RESET:
        stasis_log_put(vmm->log, STASIS_LOG_INFO, "reset");
        break;
    case STASIS_VMM_EVENT_SAVING:
        stasis_log_put(vmm->log, STASIS_LOG_INFO, "freeze begun: %s", event->path);
        break;
    case STASIS_VMM_EVENT_SAVED:
        log_saved(vmm, event);
        break;
    case STASIS_VMM_EVENT_SAVE_FAILED:
        log_failed(vmm, event);
        break;
    case STASIS_VMM_EVENT_GUEST_ERROR:
        log_guest_error(vmm, event->guest_error);
        break;
    case STASIS_VMM_EVENT_ENDED:
        log_ended(vmm, event->end);
        break;
    case STASIS_VMM_EVENT_KEYS:
    case STASIS_VMM_EVENT_ENDING:
        break;
    }
}
