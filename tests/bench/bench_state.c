/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The state of a paused guest: how long collecting and encoding it takes, and each ioctl's share;
 * then how long the state of eight vCPUs takes to encode and to decode, beside what msgpack-c and
 * memcpy do with the same bytes.
 *   bench-state ROUNDS     prints one JSON object; times are medians in nanoseconds
 */
#include <libdeflate.h>
#include <msgpack.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/guest.h"
#include "bench/kvm_trace.h"
#include "vmm/base/clock.h"
#include "vmm/arch/x86/x86.h"

#define ROUNDS_MAX   1001
#define REQUESTS_MAX 64
#define VCPUS        8
#define RECORDS_MAX  64
#define BYTES_MAX    (1u << 20)
#define ITEMS_MAX    BYTES_MAX /* none is shorter than a byte */

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *ns, unsigned count)
{
    qsort(ns, count, sizeof(*ns), compare);
    return ns[count / 2];
}

/* ---- every ioctl of this program comes by here ---- */

static struct {
    unsigned long request;
    unsigned calls; /* of one round */
    uint64_t round_ns;
    uint64_t ns[ROUNDS_MAX];
} spent[REQUESTS_MAX];
static unsigned spent_count;
static bool watching;

static void note(unsigned long request, uint64_t ns)
{
    unsigned i = 0;

    while (i < spent_count && spent[i].request != request)
        i++;
    if (i == REQUESTS_MAX)
        return;
    if (i == spent_count)
        spent[spent_count++].request = request;
    spent[i].calls++;
    spent[i].round_ns += ns;
}

int ioctl(int fd, unsigned long request, ...);
int ioctl(int fd, unsigned long request, ...)
{
    uint64_t start = watching ? stasis_monotonic_ns() : 0;
    va_list args;
    void *arg;
    int rc;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    rc = (int)syscall(SYS_ioctl, fd, request, arg);
    if (watching)
        note(request, stasis_monotonic_ns() - start);
    return rc;
}

static void end_round(unsigned round)
{
    for (unsigned i = 0; i < spent_count; i++) {
        spent[i].ns[round] = spent[i].round_ns;
        spent[i].round_ns = 0;
    }
}

static void print_shares(unsigned rounds)
{
    printf("\"ioctls\": {");
    for (unsigned i = 0; i < spent_count; i++)
        printf("%s\"%s\": {\"calls\": %u, \"ns\": %llu}", i ? ", " : "",
               kvm_trace_name(spent[i].request), spent[i].calls / rounds,
               (unsigned long long)median(spent[i].ns, rounds));
    printf("}, ");
}

/* ---- collect and encode ---- */

static void collect(struct kvm_guest *guest, unsigned rounds)
{
    static uint64_t ns[ROUNDS_MAX];
    struct stasis_error err;
    size_t len = 0;

    for (unsigned i = 0; i < rounds; i++) {
        uint64_t start = stasis_monotonic_ns();
        struct stasis_snap *snap = NULL;
        uint8_t *bytes = NULL;

        watching = true;
        kvm_ok(stasis_freeze(&guest->machine, guest->generation, &snap, &err), &err);
        watching = false;
        kvm_ok(stasis_records_encode(stasis_snap_records(snap), &bytes, &len, &err), &err);
        ns[i] = stasis_monotonic_ns() - start;
        end_round(i);
        free(bytes);
        stasis_snap_free(snap);
    }
    printf("\"collect_ns\": %llu, \"collect_bytes\": %zu, ", (unsigned long long)median(ns, rounds),
           len);
    print_shares(rounds);
}

/* ---- eight vCPUs ---- */

struct sample {
    const struct stasis_schema *schema;
    char instance[16];
    void *state;
};

static struct sample samples[VCPUS * RECORDS_MAX];
static size_t sample_count;

static void sample_vcpus(struct kvm_guest *guest)
{
    struct stasis_error err;

    for (unsigned cpu = 0; cpu < VCPUS; cpu++) {
        for (size_t i = 0; stasis_arch_vcpu_save_order[i]; i++) {
            struct sample *sample = &samples[sample_count++];

            sample->schema = stasis_arch_vcpu_save_order[i]->schema;
            snprintf(sample->instance, sizeof(sample->instance), "cpu%u", cpu);
            sample->state = calloc(1, sample->schema->size);
            stasis_state_init(sample->schema, sample->state);
            kvm_ok(
                stasis_arch_vcpu_save_order[i]->get(&guest->machine.vcpus[0], sample->state, &err),
                &err);
        }
    }
}

struct packed {
    uint8_t *bytes;
    size_t len;
    uint32_t crc;
};

static void encode(struct packed *ret_packed)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_error err;

    for (size_t i = 0; i < sample_count; i++)
        kvm_ok(
            stasis_records_add(set, samples[i].schema, samples[i].instance, samples[i].state, &err),
            &err);
    kvm_ok(stasis_records_encode(set, &ret_packed->bytes, &ret_packed->len, &err), &err);
    ret_packed->crc = libdeflate_crc32(0, ret_packed->bytes, ret_packed->len);
    stasis_records_free(set);
}

/* As opening a file does: every record is decoded and checked. */
static void decode(const struct packed *packed)
{
    struct stasis_records *set = NULL;
    struct stasis_error err;

    assert_int_equal(libdeflate_crc32(0, packed->bytes, packed->len), packed->crc);
    kvm_ok(stasis_records_parse(packed->bytes, packed->len, NULL, &set, &err), &err);
    stasis_records_free(set);
}

static void unpack_by_msgpack(const struct packed *packed)
{
    msgpack_unpacked result;

    msgpack_unpacked_init(&result);
    assert_int_equal(msgpack_unpack_next(&result, (const char *)packed->bytes, packed->len, NULL),
                     MSGPACK_UNPACK_SUCCESS);
    msgpack_unpacked_destroy(&result);
}

/* Values in it: containers, keys and leaves. */
static size_t count_items(const msgpack_object *root)
{
    const msgpack_object **stack = calloc(ITEMS_MAX, sizeof(const msgpack_object *));
    size_t depth = 0, count = 0;

    assert_non_null(stack);
    stack[depth++] = root;
    while (depth) {
        const msgpack_object *object = stack[--depth];
        bool map = object->type == MSGPACK_OBJECT_MAP;
        uint32_t size = map ? object->via.map.size : 0;

        count++;
        for (uint32_t i = 0; i < size; i++) {
            stack[depth++] = &object->via.map.ptr[i].key;
            stack[depth++] = &object->via.map.ptr[i].val;
        }
        size = object->type == MSGPACK_OBJECT_ARRAY ? object->via.array.size : 0;
        for (uint32_t i = 0; i < size; i++)
            stack[depth++] = &object->via.array.ptr[i];
    }
    free(stack);
    return count;
}

static size_t items_of(const struct packed *packed)
{
    msgpack_unpacked result;
    size_t count;

    msgpack_unpacked_init(&result);
    assert_int_equal(msgpack_unpack_next(&result, (const char *)packed->bytes, packed->len, NULL),
                     MSGPACK_UNPACK_SUCCESS);
    count = count_items(&result.data);
    msgpack_unpacked_destroy(&result);
    return count;
}

static void eight_vcpus(struct kvm_guest *guest, unsigned rounds)
{
    static uint64_t ns[4][ROUNDS_MAX];
    static uint8_t copy[BYTES_MAX];
    struct packed packed;

    sample_vcpus(guest);
    encode(&packed);
    assert_in_range(packed.len, 1, sizeof(copy));
    for (unsigned i = 0; i < rounds; i++) {
        struct packed again;
        uint64_t t[5];

        t[0] = stasis_monotonic_ns();
        encode(&again);
        t[1] = stasis_monotonic_ns();
        decode(&packed);
        t[2] = stasis_monotonic_ns();
        unpack_by_msgpack(&packed);
        t[3] = stasis_monotonic_ns();
        memcpy(copy, packed.bytes, packed.len);
        __asm__ volatile("" ::"r"(copy) : "memory"); /* or nobody would miss the copy */
        t[4] = stasis_monotonic_ns();
        for (unsigned k = 0; k < 4; k++)
            ns[k][i] = t[k + 1] - t[k];
        free(again.bytes);
    }
    printf("\"vcpus\": %d, \"bytes\": %zu, \"items\": %zu, \"encode_ns\": %llu, "
           "\"decode_ns\": %llu, \"msgpack_ns\": %llu, \"memcpy_ns\": %llu",
           VCPUS, packed.len, items_of(&packed), (unsigned long long)median(ns[0], rounds),
           (unsigned long long)median(ns[1], rounds), (unsigned long long)median(ns[2], rounds),
           (unsigned long long)median(ns[3], rounds));
    free(packed.bytes);
}

int main(int argc, char **argv)
{
    static struct kvm_guest guest;
    unsigned rounds = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    bench_guest_run(&guest, 64, 0);
    stasis_machine_pause(&guest.machine);
    printf("{");
    collect(&guest, rounds);
    eight_vcpus(&guest, rounds);
    printf("}\n");
    kvm_guest_fini(&guest);
    for (size_t i = 0; i < sample_count; i++)
        free(samples[i].state);
    return 0;
}
