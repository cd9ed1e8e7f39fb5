/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/kvm_guest.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/boot/x86/linux.h"
#include "vmm/base/clock.h"
#include "vmm/arch/x86/x86.h"

/* ---- cases ---- */

void kvm_sleep_us(unsigned us)
{
    struct timespec left = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};

    while (nanosleep(&left, &left) < 0)
        ;
}

unsigned kvm_open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void on_abort(int signo)
{
    (void)signo;
    _exit(1);
}

static void run_child(const struct kvm_case *test)
{
    unsigned fds;

    /* A failed assertion prints and aborts, instead of going on with the parent's next test. */
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    (void)signal(SIGABRT, on_abort);
    alarm(KVM_CASE_SECONDS);
    fds = kvm_open_fds();
    test->body();
    assert_int_equal(kvm_open_fds(), fds);
    exit(0); /* by way of the leak check, if there is one */
}

void kvm_case_run(void **state)
{
    pid_t pid;
    int status;

    (void)fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_child(*state);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        fail_msg("the case was ended by signal %d%s", WTERMSIG(status),
                 WTERMSIG(status) == SIGALRM ? ": it hangs" : "");
    if (WEXITSTATUS(status) == STASIS_TEST_SKIPPED)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

void kvm_case_skip(const char *why)
{
    print_message("skipped: %s\n", why);
    exit(STASIS_TEST_SKIPPED);
}

void kvm_skip_if_msrs_are_ignored(void)
{
    FILE *file = fopen("/sys/module/kvm/parameters/ignore_msrs", "re");
    int answer = file ? fgetc(file) : EOF;

    if (file)
        (void)fclose(file);
    if (answer == 'Y')
        kvm_case_skip("this host's KVM ignores accesses to unknown MSRs (ignore_msrs)");
}

bool kvm_rig_is(const char *name)
{
    const char *rig = getenv("STASIS_RIG");

    return rig && !strcmp(rig, name);
}

int kvm_missing(void)
{
    struct stasis_kvm kvm;
    struct stasis_error err;

    if (stasis_kvm_open(&kvm, &err)) {
        printf("skipped: %s\n", err.msg);
        return STASIS_TEST_SKIPPED;
    }
    stasis_kvm_close(&kvm);
    return 0;
}

void kvm_ok_at(int rc, const struct stasis_error *err, const char *file, int line)
{
    if (rc) {
        print_error("%s\n", err->msg);
        _fail(file, line);
    }
}

/* ---- what the devices see of the outside ---- */

static size_t host_tx(void *ctx, const uint8_t *bytes, size_t len)
{
    struct kvm_guest *guest = ctx;

    if (guest->sink_blocked || len > sizeof(guest->out) - guest->out_len)
        return 0;
    memcpy(guest->out + guest->out_len, bytes, len);
    guest->out_len += len;
    return len;
}

static void host_rx_ready(void *ctx, const struct stasis_device *from)
{
    (void)from;
    ((struct kvm_guest *)ctx)->rx_ready++;
}

static uint64_t host_rtc_now(void *ctx)
{
    return ((struct kvm_guest *)ctx)->rtc_ns;
}

static void host_rtc_arm(void *ctx, const struct stasis_device *from, bool on, uint64_t deadline_ns)
{
    struct kvm_guest *guest = ctx;

    if (from->type->schema != &stasis_pl031_schema)
        return;
    guest->rtc_armed = on;
    guest->rtc_deadline_ns = on ? deadline_ns : 0;
}

static void host_timer_arm(void *ctx, const struct stasis_device *from, uint64_t deadline_ns)
{
    struct kvm_guest *guest = ctx;

    (void)from;
    guest->waits++;
    guest->wait_until_ns = deadline_ns;
}

static bool host_random(void *ctx, uint8_t *bytes, size_t len)
{
    (void)ctx;
    memset(bytes, KVM_GUEST_RANDOM, len);
    return true;
}

/* ---- guests ---- */

/* The clock of older boards, third as there, beside the one that guests have now. */
static void add_pl031(struct stasis_board_state *board)
{
    static const struct stasis_board_device_state pl031 = {
        "stasis.pl031", "pl031", 1, STASIS_BUS_MMIO, STASIS_MMIO_GAP_START, 0x1000, 10};

    memmove(&board->devices[3], &board->devices[2],
            (board->devices_count - 2) * sizeof(board->devices[0]));
    board->devices[2] = pl031;
    board->devices_count++;
}

void kvm_board(struct stasis_board_state *board, uint64_t ram)
{
    const struct stasis_board_options options = {
        .memory_bytes = ram, .vcpus = 1, .cpu_model = "host"};
    struct stasis_error err;

    kvm_ok(stasis_board_default(&options, board, &err), &err);
    add_pl031(board);
}

void kvm_guest_host(struct kvm_guest *guest)
{
    const struct stasis_device_net *net = guest->net;
    const struct stasis_device_disk *disks = guest->disks;
    const struct stasis_device_vsock *vsock = guest->vsock;
    bool blocked = guest->sink_blocked;

    memset(guest, 0, sizeof(*guest));
    guest->sink_blocked = blocked;
    guest->net = net;
    guest->disks = disks;
    guest->vsock = vsock;
    guest->host = (struct stasis_device_host){.ctx = guest,
                                              .serial_out = {host_tx, guest},
                                              .serial_rx_ready = host_rx_ready,
                                              .rtc_now_ns = host_rtc_now,
                                              .rtc_arm = host_rtc_arm,
                                              .timer_arm = host_timer_arm,
                                              .random = host_random,
                                              .disks = disks,
                                              .net = net,
                                              .vsock = vsock};
    guest->rtc_ns = UINT64_C(1700000000) * 1000000000;
}

void kvm_guest_init(struct kvm_guest *guest, const struct stasis_board_state *board)
{
    struct stasis_board_state standard;
    struct stasis_error err;

    kvm_board(&standard, KVM_RAM);
    kvm_guest_host(guest);
    kvm_ok(stasis_machine_build(&guest->machine, board ? board : &standard, &guest->host, &err),
           &err);
}

void kvm_guest_fini(struct kvm_guest *guest)
{
    stasis_machine_fini(&guest->machine);
}

void *kvm_guest_ram(struct kvm_guest *guest, uint64_t gpa, uint64_t len)
{
    void *at = stasis_memory_writable(&guest->machine.memory, gpa, len);

    assert_non_null(at);
    return at;
}

const uint8_t kvm_spinning[3] = {0xfa, 0xeb, 0xfd};
const uint8_t kvm_counting[6] = {0xfa, 0x66, 0xff, 0x07, 0xeb, 0xfa};
const uint8_t kvm_halted[2] = {0xfa, 0xf4};
const uint8_t kvm_resetting[4] = {0xb0, 0xfe, 0xe6, 0x64};

/* Real mode as a reset leaves it (SDM 3A, table 9-1), but at segment 0. */
static struct stasis_arch_entry real_mode(void)
{
    struct stasis_arch_entry cpu;

    stasis_state_init(&stasis_x86_regs_schema, &cpu.regs);
    stasis_state_init(&stasis_x86_sregs_schema, &cpu.sregs);
    cpu.sregs.cs =
        (struct stasis_x86_segment_state){.limit = 0xffff, .type = 0xb, .present = 1, .s = 1};
    cpu.sregs.ds = cpu.sregs.cs;
    cpu.sregs.ds.type = 0x3;
    cpu.sregs.es = cpu.sregs.fs = cpu.sregs.gs = cpu.sregs.ss = cpu.sregs.ds;
    cpu.sregs.tr = (struct stasis_x86_segment_state){.limit = 0xffff, .type = 0xb, .present = 1};
    cpu.sregs.ldt = (struct stasis_x86_segment_state){.limit = 0xffff, .type = 0x2, .present = 1};
    cpu.sregs.idt.limit = 0x3ff;
    cpu.sregs.cr0 = 0x60000010;
    cpu.regs.rsp = KVM_STACK;
    cpu.regs.rip = KVM_ENTRY;
    return cpu;
}

static void load(struct kvm_guest *guest, uint32_t id, const struct stasis_arch_entry *cpu,
                 const void *payload, size_t len)
{
    struct stasis_vcpu *vcpu = &guest->machine.vcpus[id];
    struct stasis_error err;

    memcpy(kvm_guest_ram(guest, cpu->regs.rip, len), payload, len);
    kvm_ok(stasis_arch_vcpu_start(vcpu, &guest->machine.board, cpu, &err), &err);
}

void kvm_guest_real(struct kvm_guest *guest, const void *payload, size_t len)
{
    const struct stasis_arch_entry cpu = real_mode();

    load(guest, 0, &cpu, payload, len);
}

void kvm_guest_long(struct kvm_guest *guest, const void *payload, size_t len)
{
    struct stasis_arch_entry cpu;
    struct stasis_error err;

    kvm_ok(stasis_boot_cpu_setup(&guest->machine.memory, KVM_ENTRY, &cpu, &err), &err);
    load(guest, 0, &cpu, payload, len);
}

void kvm_guest_mp_state(struct kvm_guest *guest, uint32_t id, uint32_t mp_state)
{
    const struct stasis_x86_mp_state_state state = {mp_state};
    struct stasis_error err;

    kvm_ok(stasis_x86_mp_state_part.set(&guest->machine.vcpus[id], &state, &err), &err);
}

void kvm_guest_smp_init(struct kvm_guest *guest, uint32_t vcpus)
{
    struct stasis_board_state board;

    kvm_board(&board, KVM_RAM);
    board.vcpus = vcpus;
    kvm_guest_init(guest, &board);
}

/* As if a SIPI had sent it there: stasis_arch_vcpu_start() leaves application processors as they
 * are. */
static void set_registers(struct stasis_vcpu *vcpu, struct stasis_arch_entry *cpu)
{
    struct stasis_x86_sregs_state now;
    struct stasis_error err;

    stasis_state_init(&stasis_x86_sregs_schema, &now);
    kvm_ok(stasis_x86_sregs_part.get(vcpu, &now, &err), &err);
    cpu->sregs.apic_base = now.apic_base;
    kvm_ok(stasis_x86_sregs_part.set(vcpu, &cpu->sregs, &err), &err);
    kvm_ok(stasis_x86_regs_part.set(vcpu, &cpu->regs, &err), &err);
}

void kvm_guest_smp_real(struct kvm_guest *guest, uint32_t id, const void *payload, size_t len)
{
    struct stasis_arch_entry cpu = real_mode();

    assert_in_range(len, 1, KVM_SMP_STEP);
    cpu.regs.rip = KVM_ENTRY + KVM_SMP_STEP * id;
    cpu.regs.rbx = KVM_SMP_CELLS + 4 * id;
    load(guest, id, &cpu, payload, len);
    set_registers(&guest->machine.vcpus[id], &cpu);
    kvm_guest_mp_state(guest, id, KVM_MP_STATE_RUNNABLE);
}

void kvm_guest_smp_long(struct kvm_guest *guest, uint32_t id, const void *payload, size_t len,
                        const struct stasis_x86_regs_state *regs)
{
    struct stasis_arch_entry cpu;
    struct stasis_error err;

    kvm_ok(stasis_boot_cpu_setup(&guest->machine.memory, KVM_ENTRY, &cpu, &err), &err);
    load(guest, id, &cpu, payload, len);
    cpu.regs = *regs;
    cpu.regs.rip = KVM_ENTRY;
    cpu.regs.rflags = 2;
    set_registers(&guest->machine.vcpus[id], &cpu);
    kvm_guest_mp_state(guest, id, KVM_MP_STATE_RUNNABLE);
}

uint32_t kvm_guest_smp_cell(struct kvm_guest *guest, uint32_t id)
{
    return __atomic_load_n((uint32_t *)kvm_guest_ram(guest, KVM_SMP_CELLS + 4 * id, 4),
                           __ATOMIC_RELAXED);
}

void kvm_guest_vector(struct kvm_guest *guest, unsigned vector, uint16_t offset)
{
    const uint16_t entry[2] = {offset, 0};

    memcpy(kvm_guest_ram(guest, UINT64_C(4) * vector, 4), entry, 4);
}

void kvm_guest_start(struct kvm_guest *guest)
{
    struct stasis_error err;

    kvm_ok(stasis_machine_start(&guest->machine, &err), &err);
}

void kvm_guest_step(struct kvm_guest *guest, const struct kvm_probe *probe, unsigned count)
{
    while (probe->count < count) {
        if (stasis_vcpu_run_once(&guest->machine.vcpus[0]) < 0)
            fail_msg("%s", guest->machine.end_error.msg);
    }
}

struct stasis_x86_regs_state kvm_guest_regs(struct kvm_guest *guest)
{
    struct stasis_x86_regs_state regs;
    struct stasis_error err;

    stasis_state_init(&stasis_x86_regs_schema, &regs);
    kvm_ok(stasis_x86_regs_part.get(&guest->machine.vcpus[0], &regs, &err), &err);
    return regs;
}

/* ---- probe ---- */

static void remember(struct kvm_probe *probe, struct kvm_access access)
{
    unsigned count = probe->count;

    if (count < KVM_PROBE_LOG)
        probe->log[count] = access;
    probe->count = count + 1;
}

static uint64_t probe_read(void *ctx, uint64_t offset, unsigned len)
{
    struct kvm_probe *probe = ctx;
    uint64_t value = probe->answer++;

    remember(probe, (struct kvm_access){offset, value, len, false});
    return value;
}

static void probe_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    remember(ctx, (struct kvm_access){offset, value, len, true});
}

void kvm_probe_attach(struct kvm_probe *probe, struct stasis_bus *bus, uint64_t base, uint64_t size)
{
    static const struct stasis_bus_ops ops = {probe_read, probe_write};
    struct stasis_error err;

    kvm_ok(stasis_bus_add(bus, base, size, &ops, probe, "probe", &err), &err);
}

void kvm_assert_access(const struct kvm_probe *probe, unsigned index, bool write, uint64_t offset,
                       unsigned len, uint64_t value)
{
    const struct kvm_access *access = &probe->log[index];

    assert_true(index < probe->count);
    assert_int_equal(access->write, write);
    assert_int_equal(access->offset, offset);
    assert_int_equal(access->len, len);
    assert_int_equal(access->value, value);
}
