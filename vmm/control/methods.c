/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/control/control_internal.h"

#include <string.h>

#define AT(member) offsetof(struct stasis_control_args, member)

#define NEEDS_GUEST                                                                                \
    (STASIS_CONTROL_NEEDS_VM | STASIS_CONTROL_NEEDS_START | STASIS_CONTROL_NEEDS_NO_SAVE |         \
     STASIS_CONTROL_NEEDS_NO_PAUSE)

static const char *const then_words[] = {"resume", "exit", NULL};
static const char *const digest_words[] = {"none", "sha256", NULL};
static const char *const sync_words[] = {"full", "none", NULL};
static const char *const drop_words[] = {"refuse", "allow", NULL};

static const struct stasis_control_param snapshot_params[] = {
    {"path", STASIS_CONTROL_PATH, 0, "FILE",
     "The file. Of vmm ctl alone: it opens the folder and sends its descriptor, and the last part "
     "of the path as name.",
     NULL},
    {"name", STASIS_CONTROL_NAME, AT(name), "NAME",
     "Name of the file, in the folder whose descriptor comes with the request, else in the folder "
     "of --control dir=. An existing file is replaced when the new one is complete.",
     NULL},
    {"then", STASIS_CONTROL_WORD, AT(then), "resume|exit",
     "resume (default): the guest runs on, or stays paused; exit: the VM ends when the file is "
     "there. Release 0.2.0 calls the first one continue, which is still taken.",
     then_words, .was = "continue"},
    {"compress", STASIS_CONTROL_LEVEL, AT(zlib_level), "none|zlib[:N]",
     "How memory is stored: none (default), or zlib with level 1 to 12.", NULL},
    {"digest", STASIS_CONTROL_WORD, AT(digest), "none|sha256",
     "sha256: each chunk of memory gets a SHA-256 digest; none is the default.", digest_words},
    {"sync", STASIS_CONTROL_WORD, AT(sync), "full|none",
     "full (default): wait until the file is on the disk; none: do not wait.", sync_words},
    {"parent", STASIS_CONTROL_TEXT, AT(parent), "none|auto|HEX",
     "auto: write a layer, which holds what the guest has changed since the last snapshot, if that "
     "is known; else a whole snapshot, and the next one can be a layer. HEX: a layer on the "
     "snapshot with this root, or fail. none: a whole snapshot, and the next one can be a layer.",
     NULL},
    {"target", STASIS_CONTROL_TEXT, AT(target), "RELEASE",
     "Write a file that this older release can thaw.", NULL},
    {"drop", STASIS_CONTROL_WORD, AT(drop), "refuse|allow",
     "Whether what the target cannot represent is left out; refuse is the default.", drop_words},
    {NULL},
};

/* In the order of enum stasis_control_of. */
static const char *const of_words[] = {"any", "own", NULL};

static const struct stasis_control_param cancel_params[] = {
    {"of", STASIS_CONTROL_WORD, AT(of), "any|own",
     "any (default): whichever client, key or signal asked for it; own: only if this client did, "
     "by "
     "the same connection.",
     of_words},
    {NULL},
};

static const struct stasis_control_param balloon_params[] = {
    {"target_mib", STASIS_CONTROL_NUMBER, AT(target_mib), "N",
     "How many MiB the balloon shall have, of the guest's memory; 0 gives all of it back.", NULL},
    {NULL},
};

/* In the order of enum stasis_vmm_metrics_format. */
static const char *const format_words[] = {"json", "openmetrics", NULL};

static const struct stasis_control_param metrics_params[] = {
    {"format", STASIS_CONTROL_WORD, AT(format), "json|openmetrics",
     "json (default): the result is the object that vmm --metrics writes; openmetrics: its one "
     "member is text for Prometheus, which vmm ctl prints as it is.",
     format_words},
    {NULL},
};

static const struct stasis_control_member version_members[] = {
    {"version", "release of vmm"},
    {"pid", "number of its process"},
    {NULL},
};

static const struct stasis_control_member status_members[] = {
    {"state", "opened, running, pausing, paused, saving or ended"},
    {"paused", "true: the guest is paused, or will be when the snapshot is saved"},
    {"generation", "how often the guest was saved"},
    {"saved_bytes", "of the snapshot that is being saved; 0 if there is none"},
    {"total_bytes", "that the snapshot will have"},
    {"balloon_bytes", "that the balloon has, says the guest; absent if it has no balloon"},
    {"balloon_target_bytes", "that the balloon shall have; absent likewise"},
    {NULL},
};

static const struct stasis_control_member snapshot_members[] = {
    {"name", "of the file"},
    {"file_bytes", "length of the file"},
    {"stored_bytes", "bytes of memory that the file holds"},
    {"zero_bytes", "bytes of memory that are zero and not stored"},
    {"pause_us", "from the start of the freeze until the file was complete, in microseconds"},
    {"root", "of the snapshot, in hexadecimal digits; absent in that of a crash"},
    {"layer", "true: it is a layer, which can be thawed beside what it lies on only"},
    {NULL},
};

static const struct stasis_control_member metrics_members[] = {
    {"...", "the values that vmm --metrics writes, see vmm(1); with format json"},
    {"text", "the same as OpenMetrics text; with format openmetrics"},
    {NULL},
};

static const struct stasis_control_member config_members[] = {
    {"...", "the keys that vmm --print-config writes and vmm --config takes, see vmm(1)"},
    {NULL},
};

const struct stasis_control_method stasis_control_methods[] = {
    {"version", "Return the version of vmm.", NULL, version_members, 0, false,
     stasis_control_run_version},
    {"status", "Return the state of the VM.", NULL, status_members, 0, false,
     stasis_control_run_status},
    {"pause",
     "Stop the virtual CPUs, and answer when they stand still. Other requests are answered "
     "meanwhile. "
     "If the host holds a CPU up for 10 seconds, the request fails, and the guest runs on. The "
     "clocks "
     "of a paused guest go on.",
     NULL, NULL, NEEDS_GUEST | STASIS_CONTROL_NEEDS_RUNNING, false, stasis_control_run_pause},
    {"resume", "Let a paused guest run.", NULL, NULL, NEEDS_GUEST | STASIS_CONTROL_NEEDS_PAUSED,
     false, stasis_control_run_resume},
    {"snapshot",
     "Save the guest to a file, and answer when the file is complete. Other requests are answered "
     "meanwhile. The snapshot goes on if the client that asked for it leaves.",
     snapshot_params, snapshot_members, NEEDS_GUEST, true, stasis_control_run_snapshot},
    {"cancel",
     "Give up the snapshot that is being saved. Its request fails, an existing file stays as it "
     "was, "
     "and the guest continues.",
     cancel_params, NULL, STASIS_CONTROL_NEEDS_VM | STASIS_CONTROL_NEEDS_SAVE, false,
     stasis_control_run_cancel},
    {"power-button",
     "Press the power button of the guest, whose system then powers itself off if it is set up to. "
     "A "
     "paused guest learns of it when it runs. Boards of release 0.1.0 have no button.",
     NULL, NULL, NEEDS_GUEST, false, stasis_control_run_power_button},
    {"reset",
     "Reset the machine, as the guest can itself. The guest has no time to write anything to its "
     "disks. vmm ends with status 11, or boots the guest again (--on-reset).",
     NULL, NULL, NEEDS_GUEST, false, stasis_control_run_reset},
    {"balloon",
     "Ask the guest for memory, by its balloon, or give some back. The answer does not wait for "
     "the "
     "guest, which takes its time, and may refuse: status tells how much it has given. Guests have "
     "a balloon that were started with --balloon.",
     balloon_params, NULL, NEEDS_GUEST, false, stasis_control_run_balloon},
    {"metrics", "Return all counters of the VM.", metrics_params, metrics_members, 0, false,
     stasis_control_run_metrics},
    {"config", "Return the configuration of the VM, defaults included.", NULL, config_members, 0,
     false, stasis_control_run_config},
    {"subscribe", "Send events to this client from now on.", NULL, NULL, 0, false,
     stasis_control_run_subscribe},
    {"quit", "End the VM. A snapshot that is being saved is given up.", NULL, NULL,
     STASIS_CONTROL_NEEDS_VM, false, stasis_control_run_quit},
    {NULL},
};

static const struct stasis_control_member file_members[] = {
    {"name", "of the file"},
    {NULL},
};

static const struct stasis_control_member progress_members[] = {
    {"saved_bytes", "so far"},
    {"total_bytes", "that the snapshot will have"},
    {NULL},
};

static const struct stasis_control_member failed_members[] = {
    {"name", "of the file"},
    {"error", "an object with code, name, message and remedy, as the data of an error has them"},
    {NULL},
};

static const struct stasis_control_member pause_failed_members[] = {
    {"error", "an object with code, name, message and remedy, as the data of an error has them"},
    {NULL},
};

static const struct stasis_control_member guest_error_members[] = {
    {"kind", "a word of guest_errors in the metrics, such as unhandled_port"},
    {"text", "all of it, as one line"},
    {"device", "that refused it; absent if no device has the address"},
    {"address", "the port, or the guest physical address"},
    {"len", "bytes; 0: the device found it out later, by itself"},
    {"is_mmio", "it was an access to memory, not to a port"},
    {"is_write", "it was a write"},
    {"suppressed", "how many came since the last one that was told"},
    {NULL},
};

static const struct stasis_control_member ended_members[] = {
    {"reason", "reset, powered_off, crashed, frozen, quit, stopped, or invalid_access"},
    {"error", "why the guest crashed or was stopped, or that a freeze is outstanding: code, name, "
              "message, remedy"},
    {NULL},
};

static const struct stasis_control_member dropped_members[] = {
    {"count", "of the events that this client has lost, because it did not read them in time"},
    {NULL},
};

const struct stasis_control_event stasis_control_events[] = {
    {"running", "The guest runs: it was started or resumed.", NULL},
    {"paused", "The guest is paused.", NULL},
    {"pause_failed", "The guest could not be paused, and runs on unless it has ended.",
     pause_failed_members},
    {"snapshot_started", "A snapshot is being saved, by any request.", file_members},
    {"snapshot_progress", "At most one for each percent.", progress_members},
    {"snapshot_done", "The file is complete.", snapshot_members},
    {"snapshot_failed", "No file was written, and the guest continues.", failed_members},
    {"power_button", "The power button was pressed, by any client.", NULL},
    {"reset", "The machine was reset, and the guest boots again (--on-reset).", NULL},
    {"guest_error", "The guest made an invalid access; with --on-guest-error event.",
     guest_error_members},
    {"ended", "The VM has ended. It is the last event.", ended_members},
    {"dropped", "Events were lost.", dropped_members},
    {NULL},
};

const struct stasis_control_state stasis_control_states[] = {
    {STASIS_CONTROL_NEEDS_VM, "ENDED", "the VM has ended; start it again"},
    {STASIS_CONTROL_NEEDS_START, "NOT_STARTED",
     "the guest has not been started; wait for the event running"},
    {STASIS_CONTROL_NEEDS_NO_SAVE, "SNAPSHOT_RUNS",
     "a snapshot is being saved; wait for its end, or cancel it"},
    {STASIS_CONTROL_NEEDS_NO_PAUSE, "PAUSE_RUNS",
     "the guest is being paused; wait for the event paused or pause_failed"},
    {STASIS_CONTROL_NEEDS_SAVE, "NO_SNAPSHOT_RUNS",
     "no snapshot is being saved; ask for the status"},
    {STASIS_CONTROL_NEEDS_RUNNING, "GUEST_PAUSED", "the guest is paused; resume lets it run"},
    {STASIS_CONTROL_NEEDS_PAUSED, "GUEST_RUNS", "the guest runs; pause stops it"},
    {0},
};

const struct stasis_control_method *stasis_control_method_find(const char *name)
{
    for (const struct stasis_control_method *method = stasis_control_methods; method->name;
         method++)
        if (strcmp(method->name, name) == 0)
            return method;
    return NULL;
}

const struct stasis_control_param *
stasis_control_param_find(const struct stasis_control_method *method, const char *name)
{
    for (const struct stasis_control_param *param = method->params; param && param->name; param++)
        if (strcmp(param->name, name) == 0)
            return param;
    return NULL;
}
