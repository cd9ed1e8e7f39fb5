/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A baseline guest that has run at another rate of the TSC than this host's is thawed here, and its
 * kvmclock keeps time before and after. STASIS_TEST_SECONDS (5) is how far apart it is compared
 * with the host's clock.
 */
#include "vmm/kvm_pvclock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "vmm/arch/x86/x86.h"

#define PAIRS     1000
#define MOST_PPM  100
#define ERROR_PPM 50 /* that the comparison itself may have */
#define WAIT_MAX  60 /* s */

static struct kvm_guest guest;
static struct kvm_probe before, after;

/* ---- the guest's clock beside the host's ---- */

struct moment {
    int64_t guest_ns, host_ns, width_ns;
};

/* No adjustment of the host's time of day is in it, as none is in kvmclock. */
static int64_t host_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The guest reads its clock between two readings of the host's: the narrowest of many counts. */
static struct moment compare(struct kvm_probe *probe)
{
    struct moment best = {.width_ns = INT64_MAX};

    for (unsigned i = 0; i < PAIRS; i++) {
        int64_t start = host_ns();
        struct kvm_pair pair = kvm_pvclock_read(&guest, probe);
        int64_t width = host_ns() - start;

        if (width < best.width_ns)
            best = (struct moment){(int64_t)pair.clock_ns, start + width / 2, width};
    }
    return best;
}

static int64_t seconds(void)
{
    const char *text = getenv("STASIS_TEST_SECONDS");

    return text ? strtol(text, NULL, 10) : 5;
}

/* Further apart if the readings are not narrow enough for it. */
static void assert_keeps_time(const char *when, struct kvm_probe *probe)
{
    struct moment first = compare(probe), last;
    int64_t apart, error, ppm, waited = 0;

    do {
        kvm_sleep_us((unsigned)seconds() * 1000000);
        waited += seconds();
        last = compare(probe);
        apart = last.host_ns - first.host_ns;
        error = (first.width_ns + last.width_ns) / 2;
    } while (error > apart / 1000000 * ERROR_PPM && waited < WAIT_MAX);
    ppm = (last.guest_ns - first.guest_ns - apart) / (apart / 1000000);
    print_message("  %s: off by %lld ppm in %lld ms, to %lld us\n", when, (long long)ppm,
                  (long long)(apart / 1000000), (long long)(error / 1000));
    assert_true(ppm >= -MOST_PPM && ppm <= MOST_PPM);
}

/* ---- guests of another rate ---- */

static uint32_t rate(void)
{
    struct stasis_x86_tsc_state tsc;
    struct stasis_error err;

    kvm_ok(stasis_x86_tsc_part.get(&guest.machine.vcpus[0], &tsc, &err), &err);
    return tsc.khz;
}

/* Half as fast again as the host's: KVM takes it where it cannot scale, too (KVM api.rst, 4.54). */
static uint32_t begin(const char *release)
{
    const struct stasis_board_options options = {
        .memory_bytes = KVM_RAM, .vcpus = 1, .cpu_model = "baseline", .release = release};
    struct stasis_board_state board;
    struct stasis_error err;
    uint32_t host_khz;

    kvm_ok(stasis_board_default(&options, &board, &err), &err);
    kvm_guest_init(&guest, &board);
    host_khz = rate();
    assert_int_equal(stasis_kvm_ioctl(guest.machine.vcpus[0].fd, KVM_SET_TSC_KHZ,
                                      (void *)(uintptr_t)(host_khz + host_khz / 2)),
                     0);
    stasis_x86_of(&guest.machine.vcpus[0])->tsc_khz = 0; /* which was not told */
    assert_int_equal(rate(), host_khz + host_khz / 2);
    kvm_pvclock_load(&guest);
    return host_khz;
}

static void baseline_keeps_time_on_a_host_of_another_rate(void)
{
    uint32_t host_khz = begin(NULL);
    struct stasis_x86_tsc_state frozen;
    struct kvm_pair pair, thawed;
    struct stasis_snap *snap;

    kvm_probe_attach(&before, &guest.machine.pio, KVM_PORT, 1);
    assert_keeps_time("before the thaw", &before);
    pair = kvm_pvclock_read(&guest, &before);
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);
    kvm_record(snap, &stasis_x86_tsc_schema, "cpu0", &frozen);
    assert_int_equal(frozen.khz, host_khz + host_khz / 2);

    kvm_thaw(&guest, snap, STASIS_CLOCK_CONTINUE);
    stasis_snap_free(snap);
    if (!guest.machine.kvm.has_tsc_control)
        assert_int_equal(rate(), host_khz);
    kvm_probe_attach(&after, &guest.machine.pio, KVM_PORT, 1);
    thawed = kvm_pvclock_read(&guest, &after);
    assert_true(thawed.clock_ns > pair.clock_ns);
    assert_true(thawed.tsc > pair.tsc || !guest.tsc_is_set);
    assert_keeps_time("after the thaw", &after);
    kvm_guest_fini(&guest);
}

/* Its guest was shown the TSC-deadline timer. */
static void board_of_0_1_0_is_refused(void)
{
    const struct stasis_thaw_options options = {.clock = STASIS_CLOCK_CONTINUE};
    struct stasis_snap *snap;
    struct stasis_error err;
    bool scales;

    begin("0.1.0");
    scales = guest.machine.kvm.has_tsc_control;
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);
    if (!scales)
        assert_int_equal(kvm_try_thaw(&guest, snap, &options, &err), STASIS_ERR_HOST);
    stasis_snap_free(snap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(baseline_keeps_time_on_a_host_of_another_rate),
        KVM_CASE(board_of_0_1_0_is_refused),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
