/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Virtio devices in `info` and `verify`.
 */
#include "tests/tools/rig.h"

#include <string.h>
#include <unistd.h>

#include "stasis/virtio_state.h"

#define RUNNING 0x0f
#define AVAIL   0x100400
#define USED    0x100800

static struct run run;

/* A device that has answered 3 requests, with a queue of 16 at 0x100000. */
static struct stasis_virtio_rng_state device(void)
{
    struct stasis_virtio_rng_state rng;

    stasis_state_init(&stasis_virtio_rng_schema, &rng);
    rng.mmio.device_features = rng.mmio.driver_features = STASIS_VIRTIO_F_VERSION_1;
    rng.mmio.status = RUNNING;
    rng.mmio.queues_count = 1;
    rng.mmio.queues[0] = (struct stasis_virtio_queue_state){.size = 16,
                                                            .ready = 1,
                                                            .desc = 0x100000,
                                                            .driver = AVAIL,
                                                            .device = USED,
                                                            .next_avail = 3,
                                                            .next_used = 3};
    return rng;
}

/* What a command says of a snapshot with this device, whose rings in RAM have these idx. */
static void run_on(const char *command, const struct stasis_virtio_rng_state *rng, uint8_t avail,
                   uint8_t used)
{
    struct stasis_board_state board;
    struct built built;

    built_small(&built);
    stasis_state_init(&stasis_board_schema, &board);
    board.ram_count = 1;
    board.ram[0].size = 8192;
    board.devices_count = 1;
    board.devices[0] = (struct stasis_board_device_state){"stasis.virtio_rng", "rng",  1, 1,
                                                          0xd0001000,          0x1000, 16};
    add_state(&built, &stasis_board_schema, "vm", &board);
    add_state(&built, &stasis_virtio_rng_schema, "rng", rng);
    memset(built.ram[1] + 0x400, 0, 0x800);
    built.ram[1][AVAIL + 2 - 0x100000] = avail;
    built.ram[1][USED + 2 - 0x100000] = used;
    save_to(&built, in_folder("a.snap"));
    run_inspect(&run, NULL, command, in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
    built_fini(&built);
}

static void info_shows_status_and_queues(void **state)
{
    struct stasis_virtio_rng_state rng = device();

    (void)state;
    run_on("info", &rng, 3, 3);
    assert_has(run.out, "  rng (stasis.virtio_rng): memory 0xd0001000-0xd0001fff, IRQ 16\n"
                        "    status 0x0f (in use), requestq of 16: taken 3, given back 3\n");
    rng.mmio.interrupt_status = 1;
    rng.mmio.status = RUNNING | STASIS_VIRTIO_NEEDS_RESET;
    run_on("info", &rng, 3, 3);
    assert_has(run.out, "    status 0x4f (needs a reset), requestq of 16: taken 3, given back 3, "
                        "interrupt pending\n");
    rng.mmio.status = RUNNING | STASIS_VIRTIO_FAILED;
    run_on("info", &rng, 3, 3);
    assert_has(run.out, "    status 0x8f (given up by the driver), requestq");
    stasis_state_init(&stasis_virtio_rng_schema, &rng);
    rng.mmio.queues_count = 1;
    run_on("info", &rng, 3, 3);
    assert_has(run.out, "    status 0x00 (not used)\n");
    rng.mmio.status = 3;
    run_on("info", &rng, 3, 3);
    assert_has(run.out, "    status 0x03 (being set up)\n");
}

/* `info` of a snapshot whose board has this device alone. */
static void run_info_of(const struct stasis_schema *schema, const char *instance, uint64_t base,
                        uint32_t gsi, const void *device_state)
{
    struct stasis_board_device_state *row;
    struct stasis_board_state board;
    struct built built;

    built_small(&built);
    stasis_state_init(&stasis_board_schema, &board);
    board.ram_count = 1;
    board.ram[0].size = 8192;
    board.devices_count = 1;
    row = &board.devices[0];
    *row = (struct stasis_board_device_state){
        .version = 1, .bus = 1, .base = base, .size = 0x1000, .gsi = gsi};
    strcpy(row->type, schema->type);
    strcpy(row->instance, instance);
    add_state(&built, &stasis_board_schema, "vm", &board);
    add_state(&built, schema, instance, device_state);
    save_to(&built, in_folder("a.snap"));
    run_inspect(&run, NULL, "info", in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
    built_fini(&built);
}

static void info_shows_a_disk(void **state)
{
    struct stasis_virtio_rng_state rng = device();
    struct stasis_virtio_blk_state blk;

    (void)state;
    stasis_state_init(&stasis_virtio_blk_schema, &blk);
    memcpy(&blk.mmio, &rng.mmio, sizeof(blk.mmio));
    blk.mmio.queues[0].next_avail = 4;
    blk.requests_count = 1;
    blk.sectors = 3;
    strcpy(blk.serial, "tape");
    run_info_of(&stasis_virtio_blk_schema, "root", 0xd0002000, 17, &blk);
    assert_has(run.out, "  root (stasis.virtio_blk): memory 0xd0002000-0xd0002fff, IRQ 17\n"
                        "    disk of 1.5 KiB in blocks of 512 bytes, serial tape; 1 request in "
                        "flight; status 0x0f (in use), requestq of 16: taken 4, given back 3\n");
}

static void info_shows_a_network(void **state)
{
    struct stasis_virtio_rng_state rng = device();
    struct stasis_virtio_net_state net;

    (void)state;
    stasis_state_init(&stasis_virtio_net_schema, &net);
    memcpy(&net.mmio, &rng.mmio, sizeof(net.mmio));
    net.mac = 0xfe0100112202;
    net.link_up = 0;
    run_info_of(&stasis_virtio_net_schema, "lan", 0xd0003000, 18, &net);
    assert_has(run.out, "  lan (stasis.virtio_net): memory 0xd0003000-0xd0003fff, IRQ 18\n"
                        "    network 02:22:11:00:01:fe, MTU 1500, link down; status 0x0f (in use), "
                        "receiveq of 16: taken 3, given back 3\n");
}

static void info_shows_sockets(void **state)
{
    struct stasis_virtio_rng_state rng = device();
    struct stasis_virtio_vsock_state vsock;

    (void)state;
    stasis_state_init(&stasis_virtio_vsock_schema, &vsock);
    memcpy(&vsock.mmio, &rng.mmio, sizeof(vsock.mmio));
    vsock.guest_cid = 42;
    run_info_of(&stasis_virtio_vsock_schema, "vsock", 0xd0004000, 19, &vsock);
    assert_has(run.out, "  vsock (stasis.virtio_vsock): memory 0xd0004000-0xd0004fff, IRQ 19\n"
                        "    sockets of CID 42; status 0x0f (in use), rx of 16: taken 3, "
                        "given back 3\n");
}

static void info_shows_a_balloon(void **state)
{
    struct stasis_virtio_rng_state rng = device();
    struct stasis_virtio_balloon_state balloon;

    (void)state;
    stasis_state_init(&stasis_virtio_balloon_schema, &balloon);
    memcpy(&balloon.mmio, &rng.mmio, sizeof(balloon.mmio));
    balloon.num_pages = UINT32_MAX;
    balloon.actual = 256;
    run_info_of(&stasis_virtio_balloon_schema, "balloon", 0xd0004000, 19, &balloon);
    assert_has(run.out, "  balloon (stasis.virtio_balloon): memory 0xd0004000-0xd0004fff, IRQ 19\n"
                        "    balloon of 1024 KiB, asked for 17179869180 KiB; status 0x0f (in use), "
                        "inflateq of 16: taken 3, given back 3\n");
}

static void json_shows_queues_by_name(void **state)
{
    struct stasis_virtio_rng_state rng = device();

    (void)state;
    run_on("json", &rng, 3, 3);
    assert_has(run.out, "\"next_avail\": 3,\n");
    assert_has(run.out, "\"interrupt_status\": 0,\n");
    assert_has(run.out, "  \"virtio\": [\n    {\n      \"type\": \"stasis.virtio_rng\",\n"
                        "      \"instance\": \"rng\",\n      \"queues\": [\n"
                        "        \"requestq\"\n      ]\n    }\n  ]\n}\n");
}

static void diff_shows_queues_by_name(void **state)
{
    struct stasis_virtio_rng_state rng = device();

    (void)state;
    run_on("info", &rng, 3, 3);
    assert_int_equal(rename(in_folder("a.snap"), in_folder("b.snap")), 0);
    rng.mmio.queues[0].next_avail = rng.mmio.queues[0].next_used = 1;
    run_on("info", &rng, 3, 3);
    run_inspect(&run, NULL, "diff", in_folder("a.snap"), in_folder("b.snap"), NULL);
    assert_has(run.out, "  mmio.queues[requestq].next_used 0x1 -> 0x3\n");
    run_inspect(&run, NULL, "diff", "--json", in_folder("a.snap"), in_folder("b.snap"), NULL);
    assert_has(run.out, "\"path\": \"mmio.queues[0].next_used\",\n"
                        "          \"queue\": \"requestq\",\n          \"a\": 1,\n");
    assert_int_equal(unlink(in_folder("b.snap")), 0);
}

static void true_rings_are_not_mentioned(void **state)
{
    struct stasis_virtio_rng_state rng = device();

    (void)state;
    run_on("verify", &rng, 19, 3);
    assert_has(run.out, "/a.snap: whole; ");
    assert_null(strstr(run.out, "impossible"));
}

static void untrue_rings_are_reported(void **state)
{
    struct stasis_virtio_rng_state rng = device();

    (void)state;
    run_on("verify", &rng, 3, 4);
    assert_has(run.out, "/a.snap: whole; ");
    assert_has(run.out, "\nimpossible state: stasis.virtio_rng rng, version 1: queue 0: the used "
                        "ring in RAM has idx 4, the device 3; vmm refuses the guest\n");
    run_on("verify", &rng, 20, 3);
    assert_has(run.out, "queue 0: the available ring in RAM has idx 20, which is not within 16 "
                        "entries beyond 3; vmm");
    rng.mmio.queues[0].desc = 0x2000; /* behind the first region */
    run_on("verify", &rng, 3, 3);
    assert_has(run.out, "queue 0 is not in RAM (0x2000, 0x100400, 0x100800); vmm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_shows_status_and_queues),
        cmocka_unit_test(info_shows_a_disk),
        cmocka_unit_test(info_shows_a_network),
        cmocka_unit_test(info_shows_sockets),
        cmocka_unit_test(info_shows_a_balloon),
        cmocka_unit_test(json_shows_queues_by_name),
        cmocka_unit_test(diff_shows_queues_by_name),
        cmocka_unit_test(true_rings_are_not_mentioned),
        cmocka_unit_test(untrue_rings_are_reported),
    };
    int failed = cmocka_run_group_tests(tests, setup_folder, teardown_folder);

    run_fini(&run);
    return failed;
}
